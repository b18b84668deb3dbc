"""DeduplicateTexts: near-duplicate removal on any Beam runner, with a receipt for every removed element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue

from beam_sts.corpus.buckets import CAP
from beam_sts.corpus.candidates import MinHash, exact_keys, hash128
from beam_sts.corpus.survivors import ScoredPairs, central_ranks, pick_survivors
from beam_sts.corpus.verify import RULES, Verifier
from beam_sts.errors import UserError
from beam_sts.scoring.scorer import PairScorer
from beam_sts.transforms.candidates import BucketCandidates, JoinTexts, KeyTexts, MergeCandidates
from beam_sts.transforms.components import ROUNDS, Components
from beam_sts.types import Rejected

_PAIRS_AT_ONCE = 4096


class DeduplicatedTexts(NamedTuple):
    """What ``DeduplicateTexts`` gives: kept, removed and rejected are together every element that went in.

    ``removed`` are the elements plus ``survivor``, ``score``, ``source``, ``rule`` and ``threshold``;
    ``pairs`` are ``(id_a, id_b, score, source, rule)`` of every scored pair; ``clusters`` are ``(id,
    cluster)`` of every row that is not alone, the cluster named by its smallest id.
    """

    kept: beam.PCollection
    removed: beam.PCollection
    rejected: beam.PCollection
    pairs: beam.PCollection
    clusters: beam.PCollection


class DeduplicateTexts(beam.PTransform):
    """Remove near-duplicates from a bounded PCollection of dicts: only those whose own score says so.

    The rule is that of ``beam_sts.corpus.survivors``, and so is the result of ``pipelines.dedup``, which is
    faster on one machine: equal texts are one node, candidates share an exact or a MinHash bucket, the model
    scores each, accepted pairs form components, and in each component rows go only for a survivor they score
    at or above the threshold with. Every step sees the pairs of one text, of one bucket or of one component.

    Args:
        model: as for ``PairScorer``.
        id: field of distinct ids, of one type.
        text: field of the texts. Blank ones are kept and compared with nothing.
        threshold: least score of a duplicate.
        keep: ``first`` (the smallest id: a PCollection has no order), ``longest``, ``shortest``, ``central``
            or ``highest:FIELD``, a field of numbers; ties go to the smallest id.
        minhash: settings of the MinHash candidates.
        cap: largest bucket whose members are all paired.
        rounds: of ``Components``.
        symmetric: mean of both orders.
        **scorer_args: more for ``PairScorer``: precision, device, threads, long_text (default ``windows``).

    >>> rows = [{"id": 1, "text": "A cat sat on the mat."}, {"id": 2, "text": "A cat sat on the  mat."}]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     done = pipeline | beam.Create(rows) | DeduplicateTexts()
    ...     _ = done.removed | beam.Map(lambda row: print(row["id"], "->", row["survivor"]))
    2 -> 1
    """

    def __init__(
        self,
        model: str = "beam-sts-nano",
        *,
        id: str = "id",
        text: str = "text",
        threshold: float = 0.9,
        keep: str = "first",
        minhash: MinHash | None = None,
        cap: int = CAP,
        rounds: int = ROUNDS,
        symmetric: bool = False,
        **scorer_args: Any,
    ) -> None:
        super().__init__()
        if keep not in ("first", "longest", "shortest", "central") and not keep.startswith("highest:"):
            raise UserError(f"keep {keep!r}: is not one of first, longest, shortest, central, highest:FIELD.")
        self._fields = id, text
        self._threshold, self._keep = threshold, keep
        self._minhash, self._cap, self._rounds = minhash or MinHash(), cap, rounds
        self._scoring = _Scoring(model, symmetric, {"long_text": "windows", **scorer_args})

    def expand(self, elements: beam.PCollection) -> DeduplicatedTexts:
        """Group equal texts, propose, verify, cluster, settle, sort out."""
        read = elements | "Read" >> beam.ParDo(_Read(self._fields, self._keep)).with_outputs(
            "rejected", main="rows"
        )
        rows = read["rows"]  # (id, (element, text, rank key))
        nodes = (
            rows
            | "By text" >> beam.MapTuple(_by_text)
            | "Equal texts" >> beam.GroupByKey()
            | "Node" >> beam.ParDo(_MakeNode()).with_outputs("members", main="nodes")
        )
        texts = nodes["nodes"] | "Texts" >> beam.MapTuple(lambda node, info: (node, info[0]))
        pairs = (
            {"texts": texts, "pairs": self._candidates(texts)}
            | "Join" >> JoinTexts()
            | "Batch" >> beam.BatchElements(min_batch_size=_PAIRS_AT_ONCE, max_batch_size=_PAIRS_AT_ONCE)
            | "Verify" >> beam.ParDo(_Verify(self._scoring))
        )
        limit = float(np.float32(self._threshold))
        accepted = pairs | "Accept" >> beam.Filter(lambda pair: pair[2] >= limit)
        named = accepted | "Edges" >> beam.Map(lambda p: (p[0], p[1])) | Components(self._rounds)
        members = (
            {"name": named, "info": nodes["nodes"]}
            | "Name nodes" >> beam.CoGroupByKey()
            | "In clusters" >> beam.FlatMapTuple(_named)
        )
        edges = (
            {"name": named, "edges": pairs | "By end" >> beam.Map(lambda p: (p[0], p))}
            | "Name edges" >> beam.CoGroupByKey()
            | "Of clusters" >> beam.FlatMapTuple(_edges_by_name)
        )
        settle = _Settle(self._scoring, self._threshold, self._keep)
        verdicts = (
            {"members": members, "edges": edges}
            | "Cluster" >> beam.CoGroupByKey()
            | "Settle" >> beam.ParDo(settle).with_outputs("guard", main="of")
        )
        fates = (
            {"verdict": verdicts["of"], "members": nodes["members"]}
            | "Fates" >> beam.CoGroupByKey()
            | "Fate" >> beam.FlatMapTuple(_fates)
        )
        sorted_out = (
            {"rows": rows | "Elements" >> beam.MapTuple(lambda i, row: (i, row[0])), "fate": fates}
            | "Meet" >> beam.CoGroupByKey()
            | "Sort out" >> beam.ParDo(_SortOut(self._threshold)).with_outputs("removed", main="kept")
        )
        clusters = (
            fates
            | "Clustered" >> beam.Filter(lambda fate: fate[1][0] is not None)
            | "Cluster of" >> beam.MapTuple(lambda i, fate: (i, fate[0]))
        )
        pairs = (pairs, verdicts["guard"]) | "All pairs" >> beam.Flatten()
        return DeduplicatedTexts(sorted_out["kept"], sorted_out["removed"], read["rejected"], pairs, clusters)

    def _candidates(self, texts: beam.PCollection) -> beam.PCollection:
        exact = texts | "Exact" >> KeyTexts(exact_keys) | "Pair exact" >> BucketCandidates("exact", self._cap)
        near = (
            texts
            | "MinHash" >> KeyTexts(self._minhash.keys)
            | "Pair MinHash" >> BucketCandidates("minhash", self._cap)
        )
        return (exact, near) | MergeCandidates(["exact", "minhash"])


class _Scoring(NamedTuple):
    model: str
    symmetric: bool
    scorer_args: dict[str, Any]

    def verifier(self) -> Verifier:
        return Verifier(PairScorer(self.model, **self.scorer_args), self.symmetric)


class _Read(beam.DoFn):
    """Element -> (id, (element, text, rank key)), or a rejection."""

    def __init__(self, fields: tuple[str, str], keep: str) -> None:
        self._fields, self._keep = fields, keep

    def process(self, element: dict[str, Any]) -> Iterator[Any]:
        for name in self._fields:
            if name not in element:
                raise UserError(f"an element has no field {name!r}; its fields are {', '.join(element)}.")
            if element[name] is None:
                yield pvalue.TaggedOutput("rejected", Rejected(element, f"null in field {name!r}"))
                return
        ident, text = (element[name] for name in self._fields)
        if not isinstance(text, str):
            reason = f"{type(text).__name__}, not a text, in field {self._fields[1]!r}"
            yield pvalue.TaggedOutput("rejected", Rejected(element, reason))
            return
        yield ident, (element, text, (self._worth(element, text), ident))

    def _worth(self, element: dict[str, Any], text: str) -> float:
        """What sorts first is best."""
        if self._keep == "longest":
            return -len(text)
        if self._keep == "shortest":
            return len(text)
        if self._keep.startswith("highest:"):
            value = element.get(self._keep.removeprefix("highest:"))
            return float("inf") if value is None or value != value else -value
        return 0


def _by_text(ident: Any, row: tuple[Any, str, Any]) -> tuple[Any, Any]:
    _, text, key = row
    blank = not text.strip()
    digest = hash128([text]).tobytes()
    return (digest, repr(ident) if blank else ""), (ident, text, key)


class _MakeNode(beam.DoFn):
    """Rows of equal text -> (node, (text, best key, rows)), and as ``members`` (node, (row, best row))."""

    def process(self, grouped: tuple[Any, Iterable[Any]]) -> Iterator[Any]:
        _, rows = grouped
        node = min(ident for ident, _, _ in rows)
        best = min(key for _, _, key in rows)
        text = next(text for _, text, _ in rows)
        count = 0
        for ident, _, _ in rows:
            count += 1
            yield pvalue.TaggedOutput("members", (node, (ident, best[1])))
        yield node, (text, best, count)


class _Verify(beam.DoFn):
    """Candidates with texts -> (id_a, id_b, score, source, rule); a pair that fails has a score of NaN."""

    def __init__(self, scoring: _Scoring) -> None:
        self._scoring = scoring

    def setup(self) -> None:
        self._verifier = self._scoring.verifier()

    def process(self, rows: list[tuple[Any, Any, str, str, str]]) -> Iterator[Any]:
        texts = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        found = self._verifier.verify(*texts)
        for row, score, rule in zip(rows, found.scores.tolist(), found.rules.tolist(), strict=True):
            yield row[0], row[1], score, row[4], RULES[rule]


def _named(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    for name in found["name"]:
        for info in found["info"]:
            yield name, (node, *info)


def _edges_by_name(_: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    for name in found["name"]:
        for edge in found["edges"]:
            yield name, edge


class _Settle(beam.DoFn):
    """A cluster -> (node, (cluster, survivor's best row or None, score, source, rule)) of each node.

    As ``guard`` the pairs that it had to score.
    """

    def __init__(self, scoring: _Scoring, threshold: float, keep: str) -> None:
        self._scoring, self._threshold, self._keep = scoring, threshold, keep
        self._verifier: Verifier | None = None

    def process(self, cluster: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        name, found = cluster
        members = sorted(found["members"], key=lambda member: member[0])
        place = {member[0]: row for row, member in enumerate(members)}
        inside = (edge for edge in found["edges"] if edge[1] in place)  # the others were not accepted
        edges = sorted(inside, key=lambda edge: edge[:2])
        a, b = (np.array([place[e[at]] for e in edges], np.int64) for at in (0, 1))
        pairs = ScoredPairs(a, b, np.array([e[2] for e in edges], np.float32))
        by_worth = sorted(range(len(members)), key=lambda row: members[row][2])
        rank = np.empty(len(members), np.int64)
        rank[by_worth] = np.arange(len(members))
        if self._keep == "central":
            rank = central_ranks(pairs, self._threshold, rank, np.array([member[3] for member in members]))
        texts = pa.array([member[1] for member in members], pa.large_string())

        def compare(x: Any, y: Any) -> Any:
            if self._verifier is None:  # most clusters are pairs and need none
                self._verifier = self._scoring.verifier()
            return self._verifier.verify(texts.take(pa.array(x)), texts.take(pa.array(y))).scores

        settled = pick_survivors(pairs, self._threshold, rank, compare=compare)
        known = {(int(x), int(y)): (e[3], e[4]) for x, y, e in zip(a, b, edges, strict=True)}
        ids = [member[0] for member in members]
        for x, y, score in zip(
            *(part.tolist() for part in (settled.guard.a, settled.guard.b)),
            settled.guard.scores.tolist(),
            strict=True,
        ):
            pair = (ids[min(x, y)], ids[max(x, y)], score, "guard", "model")
            yield pvalue.TaggedOutput("guard", pair)
        for row, survivor in enumerate(settled.survivor.tolist()):
            if survivor == row:
                yield members[row][0], (name, None, None, None, None)
                continue
            source, rule = known.get((min(row, survivor), max(row, survivor)), ("guard", "model"))
            score = float(settled.scores[row])
            yield members[row][0], (name, members[survivor][2][1], score, source, rule)


def _fates(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """(row, (cluster or None if alone, survivor or None if kept, score, source, rule)) of a node's rows."""
    verdict: Sequence[Any] = next(iter(found["verdict"]), (None, None, None, None, None))
    members = found["members"]
    several = sum(1 for _ in members) > 1
    cluster = verdict[0] if verdict[0] is not None else (node if several else None)
    for ident, best in members:
        if verdict[1] is not None:
            yield ident, (cluster, *verdict[1:])
        elif ident == best:
            yield ident, (cluster, None, None, None, None)
        else:
            yield ident, (cluster, best, 1.0, "exact", "identical")


class _SortOut(beam.DoFn):
    """(id, element and fate) -> kept, or removed with its receipt."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        ident, found = met
        rows = iter(found["rows"])
        element = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {ident!r}: several elements have it. Receipts need distinct ids.")
        _, survivor, score, source, rule = next(iter(found["fate"]))
        if survivor is None:
            yield element
        else:
            receipt = {"survivor": survivor, "score": score, "source": source, "rule": rule}
            yield pvalue.TaggedOutput("removed", {**element, **receipt, "threshold": self._threshold})
