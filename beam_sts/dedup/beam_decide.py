"""From joined candidates to what becomes of each row, in Beam: keys, batches, outputs.

What is decided, and how, is ``beam_sts.dedup.decide``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import IntArray, inverse
from beam_sts.candidates.beam_nearest import Packed
from beam_sts.dedup.beam_texts import RECEIPT, WHERE, NodeInfo
from beam_sts.dedup.decide import GUARD, IDENTICAL, Edges, decide, describe_clusters
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import ScoredPairs
from beam_sts.dedup.rule import Policy
from beam_sts.dedup.show import Look, best_entries, examples, nearest_pairs
from beam_sts.dedup.verify import RULES, Scoring, Verified, Verifier, VerifyStats, check_pairs
from beam_sts.errors import UserError
from beam_sts.io.summary import score_histogram
from beam_sts.pairs.beam_elements import with_fields

_TEXTS_AT_ONCE, _CHARACTERS_AT_ONCE = 20_000, 1 << 23
"""Texts of whole clusters that one worker decides together; a larger cluster is decided alone."""

Learnt = tuple[int, Packed]
"""Texts, and in how many of them each shingle is: what ``blend`` weighs by."""


class _Scores(beam.DoFn):
    """What scores: the models are loaded once for each worker, and only if there is a pair to score.

    Args:
        scoring: how.
        each: pairs of a kind for the report to show, which come out as ``shown``.
    """

    def __init__(self, scoring: Scoring, each: int = 0) -> None:
        self._scoring, self._each = scoring, each
        self._verifier: Verifier | None = None

    def verifier(self, learnt: Learnt | None) -> Verifier:
        """The worker's own."""
        if self._verifier is None:
            overlap = Overlap.of(learnt[1].array, learnt[0]) if learnt else None
            self._verifier = self._scoring.verifier(overlap)
        return self._verifier


class Verify(_Scores):
    """Candidates with texts -> (a, b, score, source, rule); as ``counts`` what was done; as ``shown`` a few.

    A pair that fails has a score of NaN.

    Args:
        scoring: how.
        each: as of ``DecideClusters``.
        most: pairs that there may be.
    """

    def __init__(self, scoring: Scoring, each: int = 0, most: int | None = None) -> None:
        super().__init__(scoring, each)
        self._most = most

    def process(
        self, rows: list[tuple[Any, Any, str, str, str]], count: int, learnt: Learnt | None = None
    ) -> Iterator[Any]:
        """Beam's."""
        if self._most is not None:
            check_pairs(count, self._most)
        found, sources = self._scored(rows, learnt)
        good = found.scores[~np.isnan(found.scores)]
        accepted = int((good >= np.float32(self._scoring.threshold)).sum())
        yield pvalue.TaggedOutput(
            "counts",
            {
                "verify": _counts(found.stats),
                "pairs_accepted": accepted,
                "score_histogram": score_histogram(good),
            },
        )
        decided = found.scores.tolist(), sources, found.rules.tolist()
        for row, score, source, rule in zip(rows, *decided, strict=True):
            yield row[0], row[1], score, source, RULES[rule]
        if self._each:
            order = sorted(range(len(rows)), key=lambda at: rows[at][:2])
            ends = [(row[side], row[side + 2]) for side in (0, 1) for row in (rows[at] for at in order)]
            a = np.arange(len(rows))
            pairs = ScoredPairs(a, a + len(rows), found.scores[order])
            look = _look([(name, NodeInfo(text, (), 1, b"")) for name, text in ends])
            shown = nearest_pairs(pairs, self._scoring.threshold, self._each, look.pairs)
            yield pvalue.TaggedOutput("shown", best_entries(shown, self._each))

    def _scored(self, rows: list[tuple[Any, ...]], learnt: Learnt | None) -> tuple[Verified, list[str]]:
        """Scores of the pairs, and their sources."""
        texts = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        return self.verifier(learnt).verify(*texts), [row[4] for row in rows]


class TakeScores(Verify):
    """As :class:`Verify`, of pairs that bring (score, source, rule) of an earlier run: nothing is scored."""

    def _scored(self, rows: list[tuple[Any, ...]], learnt: Learnt | None) -> tuple[Verified, list[str]]:
        scores, sources, rules = zip(*(row[4] for row in rows), strict=True)
        known = np.array([np.nan if score is None else score for score in scores], np.float32)
        return Verified(known, np.array([RULES.index(rule) for rule in rules], np.int8)), list(sources)


class DecideClusters(_Scores):
    """Clusters -> (text, (cluster, representative's best row, score, source, rule)) of each text in one.

    The cluster is None for a text that is alone after all, the others for one that stays. As ``guard`` come
    the pairs that were scored to verify removals, as ``counts`` and ``clusters`` what was decided, as
    ``shown`` what of it may be shown. Some thousand texts of whole clusters are decided at once.
    """

    def __init__(self, scoring: Scoring, policy: Policy, each: int = 0, *, verify: bool = True) -> None:
        super().__init__(scoring, each)
        self._policy, self._verify = policy, verify

    def start_bundle(self) -> None:
        """Nothing waits."""
        self._part = _Part()

    def process(
        self, cluster: tuple[Any, dict[str, Iterable[Any]]], learnt: Learnt | None = None
    ) -> Iterator[Any]:
        """What is decided when enough texts wait."""
        self._part.add(cluster[1]["members"], cluster[1]["edges"])
        self._learnt = learnt
        if self._part.is_full:
            yield from self._decide()

    def finish_bundle(self) -> Iterator[Any]:
        """What is decided of those that still wait."""
        for one in self._decide():
            if isinstance(one, pvalue.TaggedOutput):
                yield pvalue.TaggedOutput(one.tag, GlobalWindows.windowed_value(one.value))
            else:
                yield GlobalWindows.windowed_value(one)

    def _decide(self) -> Iterator[Any]:
        part, self._part = self._part, _Part()
        if not part.members:
            return
        members, edges = part.sorted()
        texts = pa.array([info.text for _, info in members], pa.large_string())
        stats = VerifyStats()

        def verify(a: IntArray, b: IntArray) -> Any:
            nonlocal stats
            found = self.verifier(self._learnt).verify(texts.take(pa.array(a)), texts.take(pa.array(b)))
            stats += found.stats
            return found.scores, found.rules

        ranked = [(name, info.best, info.rows) for name, info in members]
        made = decide(self._policy, *ranks_of(ranked), edges, verify if self._verify else None)
        guard, everything = made.settled.guard, made.edges
        sources, rules = everything.source.cast(pa.string()).to_pylist(), everything.rules.tolist()
        for at in range(len(edges.rules), len(rules)):
            a, b = sorted((int(everything.pairs.a[at]), int(everything.pairs.b[at])))
            score = float(everything.pairs.scores[at])
            yield pvalue.TaggedOutput("guard", (members[a][0], members[b][0], score, GUARD, RULES[rules[at]]))
        threshold, look = self._policy.threshold, _look(members)
        if self._each:
            yield pvalue.TaggedOutput("shown", examples(made, guard, threshold, self._each, look))
        counts = {
            "unverified": made.settled.unverified,
            "pairs_guard": len(guard.a),
            "verify": _counts(stats),
        }
        yield pvalue.TaggedOutput("counts", counts)
        for first, cluster in describe_clusters(made, look.id):
            yield pvalue.TaggedOutput("clusters", (cluster["nodes"], members[first][0], cluster))
        alone = (np.bincount(made.label, minlength=len(members)) == 1)[made.label].tolist()
        labels, scores = made.label.tolist(), made.settled.scores.tolist()
        for at, (edge, survivor) in enumerate(
            zip(made.edge.tolist(), made.settled.survivor.tolist(), strict=True)
        ):
            name = None if alone[at] else members[labels[at]][0]
            if edge < 0:
                yield members[at][0], (name, None, None, None, None)
            else:
                best = members[survivor][1].best[1:]
                yield members[at][0], (name, best, scores[at], sources[edge], RULES[rules[edge]])


class _Part:
    """Texts of whole clusters with the scored pairs among them, that wait to be decided together."""

    def __init__(self) -> None:
        self.members: list[tuple[Any, NodeInfo]] = []
        self._edges: list[tuple[Any, ...]] = []
        self._characters = 0

    def add(self, members: Iterable[tuple[Any, NodeInfo]], edges: Iterable[tuple[Any, ...]]) -> None:
        """One cluster more; ``edges`` perhaps with ends in none."""
        new = list(members)
        inside = {name for name, _ in new}
        self.members += new
        self._edges += (edge for edge in edges if edge[1] in inside)
        self._characters += sum(len(info.text) for _, info in new)

    @property
    def is_full(self) -> bool:
        """Whether it is time."""
        return len(self.members) >= _TEXTS_AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE

    def sorted(self) -> tuple[list[tuple[Any, NodeInfo]], Edges]:
        """The texts in the order of their names, and their pairs by number."""
        members = sorted(self.members, key=lambda member: member[0])
        place = {name: at for at, (name, _) in enumerate(members)}
        edges = sorted(((place[a], place[b], *more) for a, b, *more in self._edges), key=lambda e: e[:2])
        a, b = (np.array([edge[at] for edge in edges], np.int64) for at in (0, 1))
        pairs = ScoredPairs(a, b, np.array([edge[2] for edge in edges], np.float32))
        rules = np.array([RULES.index(edge[4]) for edge in edges], np.int8)
        return members, Edges(pairs, pa.array([edge[3] for edge in edges], pa.string()), rules)


def ranks_of(members: Sequence[tuple[Any, tuple[Any, ...], int]]) -> tuple[IntArray, IntArray, Any]:
    """Ranks, rows and which are fixed, of texts by name: its name, the key of its best row, its rows."""
    fixed = np.array([name[0] == 1 for name, _, _ in members], bool)
    by_worth = sorted(range(len(members)), key=lambda at: (bool(fixed[at]), members[at][1]))
    rank = inverse(np.array(by_worth, np.int64))
    return rank, np.array([rows for *_, rows in members], np.int64), fixed


def _look(members: Sequence[tuple[Any, NodeInfo]]) -> Look:
    """At texts by their place among some."""

    def of(what: Callable[[Any, NodeInfo], Any]) -> Callable[[IntArray], list[Any]]:
        return lambda chosen: [what(*members[at]) for at in chosen.tolist()]

    return Look(
        of(lambda name, _: name),
        of(lambda name, _: name[1]),
        of(lambda _, info: info.best[-1]),
        of(lambda _, info: info.text),
    )


def _counts(stats: VerifyStats) -> dict[str, Any]:
    return {name: value for name, value in asdict(stats).items() if name != "seconds"}


class EarlierPairs(beam.PTransform):
    """``members`` of texts and ``scored`` pairs of rows -> ``((text, text), (score, source, rule))``.

    Rows are ``(side, id)``. Two rows of one text are no pair of texts.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Two shuffles: by the first row, then by the second."""
        texts = collections["members"] | "Text of" >> beam.MapTuple(lambda text, member: (member[0], text))
        first = collections["scored"] | "By first" >> beam.Map(lambda pair: (pair[0], pair[1:]))
        second = (
            {"text": texts, "pair": first}
            | "First" >> beam.CoGroupByKey()
            | "Text a" >> beam.FlatMapTuple(_with_text)
            | "By second" >> beam.MapTuple(lambda text, pair: (pair[0], (text, *pair[1:])))
        )
        return (
            {"text": texts, "pair": second}
            | "Second" >> beam.CoGroupByKey()
            | "Text b" >> beam.FlatMapTuple(_with_text)
            | "Apart" >> beam.Filter(lambda found: found[0] != found[1][0])
            | "In order" >> beam.MapTuple(lambda b, pair: ((min(pair[0], b), max(pair[0], b)), pair[1:]))
        )


def _with_text(row: tuple[int, Any], found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    text = next(iter(found["text"]), None)
    for pair in found["pair"]:
        if text is None:
            raise UserError(f"id {row[1]!r}: a scored pair names it, and it is not in the input.")
        yield text, pair


def fates(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """(row, (cluster or None if alone, survivor or None if kept, score, source, rule)) of a node's rows."""
    if node[0] == 1:  # rows to compare against stay
        return
    verdict: Sequence[Any] = next(iter(found["verdict"]), (None, None, None, None, None))
    members = found["members"]
    several = sum(1 for _ in members) > 1
    cluster = verdict[0] if verdict[0] is not None else (node if several else None)
    for row, best in members:
        if verdict[1] is not None:
            yield row, (cluster, *verdict[1:])
        elif row == best:
            yield row, (cluster, None, None, None, None)
        else:
            yield row, (cluster, best, *IDENTICAL)


class SortOut(beam.DoFn):
    """(row, its element and its fate) -> kept, or removed with its receipt."""

    def __init__(self, threshold: float, against: bool) -> None:
        self._threshold, self._against = threshold, against

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Beam's."""
        row, found = met
        rows = iter(found["rows"])
        element = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {row[1]!r}: several elements have it. Receipts need distinct ids.")
        _, survivor, score, source, rule = next(iter(found["fate"]))
        if survivor is None:
            yield element
            return
        receipt = dict(zip(RECEIPT, (survivor[1], score, source, rule, self._threshold), strict=True))
        if self._against:
            receipt[WHERE] = "against" if survivor[0] else "input"
        yield pvalue.TaggedOutput("removed", with_fields(element, receipt))
