"""DeduplicateTexts: near-duplicate removal on any Beam runner, with a receipt for every removed element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import numpy as np

from beam_sts import checks
from beam_sts.candidates.beam import ProposeCandidates, ProposedCollections
from beam_sts.candidates.beam_buckets import JoinTexts
from beam_sts.candidates.beam_nearest import ShingleFrequencies
from beam_sts.dedup.beam_components import Components
from beam_sts.dedup.beam_decide import (
    DecideClusters,
    EarlierPairs,
    Judged,
    SortOut,
    TakeScores,
    Verify,
    fates,
)
from beam_sts.dedup.beam_learnt import LearnTexts, OwnTexts
from beam_sts.dedup.beam_scored import KeptScores, VerifyKept
from beam_sts.dedup.beam_texts import RECEIPT, WHERE, Fields, MakeDistinctTexts, ReadRows, TextInfo
from beam_sts.dedup.beam_thresholds import CountThresholds
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.overlap import SHINGLE
from beam_sts.dedup.profiles import with_profile
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.rule import threshold_table
from beam_sts.dedup.settings import BeamDedupSettings, with_new_names
from beam_sts.dedup.show import Entry, best_entries, by_kind
from beam_sts.errors import UserError
from beam_sts.io.blank import is_blank
from beam_sts.io.summary import add_records
from beam_sts.pairs.beam_elements import row_fields, with_field_types
from beam_sts.settings import made, takes

_MAYBE_INT = Optional[int]  # noqa: UP045  (Beam knows no schema of int | None)
_PAIRS_AT_ONCE = 4096
_LARGEST = 20
_INPUTS = ("rows", "against", "given", "scored")


class DeduplicatedTexts(NamedTuple):
    """What ``DeduplicateTexts`` gives: kept, removed and rejected are together every element that went in.

    ``removed`` are the elements plus ``survivor``, ``score``, ``source``, ``rule``, ``threshold`` and
    ``lost`` (and ``survivor_in``, with elements to compare against); where an element has such a field
    already, ours has ``output_prefix`` before its name.
    ``pairs`` are ``(id_a, id_b, score, source, rule, bound, differs, lost_a, lost_b)`` of every candidate and
    of equal texts, with ``(side, id)`` in place of ids where there are elements to compare against;
    ``clusters`` are ``(id, cluster)`` of every row that is not alone, the cluster named by its smallest id;
    ``report`` is one
    dict: candidates by source with their hot buckets, counts, the largest clusters with their bridges, what
    other thresholds would do, and the pairs that a report shows.
    """

    kept: beam.PCollection
    removed: beam.PCollection
    rejected: beam.PCollection
    pairs: beam.PCollection
    clusters: beam.PCollection
    report: beam.PCollection


@takes(BeamDedupSettings)
class DeduplicateTexts(beam.PTransform):
    """Remove near-duplicates from a bounded PCollection: only those whose own score says so.

    Elements are dicts, ``beam.Row`` or named tuples; a removed one comes out as a dict or a ``beam.Row``.

    The rule is that of ``beam_sts.dedup.representatives``, and so is the result of ``pipelines.dedup``, which
    is faster on one machine: equal texts are one node, candidates come from any union of sources, the model
    scores each, accepted pairs form components, and in each component rows are removed only for a
    representative with which they score the threshold or more. Texts are joined to pairs by shuffles; every
    step sees the pairs of one text, of one bucket, of one component, or two blocks of vectors.

    Apply it to a dict of ``rows`` and ``against`` to remove the rows that duplicate one of the others, which
    are not compared among themselves; and of ``given``, pairs of ids as texts, for the source ``pairs``. With
    ``scored``, the ``pairs`` that an earlier run gave, with ends of ``(side, id)``, nothing is proposed, and
    only what it left out is scored.

    Args:
        model: as for ``PairScorer``.
        **settings: as below.

    ``keep`` takes a field in ``highest:FIELD``, and ``candidates`` in ``block:FIELD``; ``first`` is the
    smallest id. The source ``pairs`` takes the input ``given``. Blank texts are kept and compared with
    nothing, unless ``empty`` says otherwise.

    >>> rows = [{"id": 1, "text": "A cat sat on the mat."}, {"id": 2, "text": "A cat sat on the  mat."}]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     done = pipeline | beam.Create(rows) | DeduplicateTexts()
    ...     _ = done.removed | beam.Map(lambda row: print(row["id"], "->", row["survivor"]))
    2 -> 1
    """

    def __init__(self, model: str = "beam-sts-nano", **settings: Any) -> None:
        super().__init__()
        given = {"model": model, **with_profile(with_new_names(settings))}
        s = made(BeamDedupSettings, "DeduplicateTexts", given)
        self._settings = s
        self._proposal, self._policy, self._scoring = s.proposal(), s.policy, s.scoring()
        self._fields = Fields(
            s.id, s.text, s.keep, tuple(self._proposal.blocks), s.embedding, s.empty == "reject"
        )
        self._thresholds = s.cuts(s.thresholds) if s.thresholds else []
        self.completes = True
        """With ``scored``: whether pairs that the earlier run did not score may be scored."""
        self.kept: KeptScores | None = None
        """Where scores are kept for a run that resumes after a kill."""
        self.carried: tuple[str, ...] = ()
        """The fields of the elements of ``kept`` and ``removed``; none: whole elements."""

    def expand(self, elements: Any) -> DeduplicatedTexts:
        """Group equal texts, propose, verify, cluster, settle, sort out."""
        inputs = elements if isinstance(elements, dict) else {"rows": elements}
        against = "against" in inputs
        self._check_inputs(inputs)
        fields = replace(self._fields, carried=self.carried)
        fields.check(inputs["rows"].element_type)
        read = inputs["rows"] | "Read" >> beam.ParDo(ReadRows(fields)).with_outputs("rejected", main="rows")
        rows = every = read["rows"]  # ((side, id), Row)
        if against:
            reference = replace(self._fields, keep="first")
            reference.check(inputs["against"].element_type)
            others = inputs["against"] | "Read against" >> beam.ParDo(ReadRows(reference, 1)).with_outputs(
                "rejected", main="rows"
            )
            _ = (
                others["rows"]
                | "Ids" >> beam.Keys()
                | "Each" >> beam.combiners.Count.PerElement()
                | ("Check ids" >> beam.Map(_check_once))
            )
            every = (rows, others["rows"]) | "Both" >> beam.Flatten()
        nodes = every | "Nodes" >> MakeDistinctTexts(
            merge=self._proposal.by_text,
            compare_blank=self._settings.empty == "score",
            apart=against and not self._proposal.within,
        )
        texts = nodes.nodes | "Texts" >> beam.MapTuple(lambda node, info: (node, info.text))
        learning = self._settings.learning
        looked = texts | "Look first" >> LearnTexts(learning, self._scoring.model, self._settings.load)
        earlier = "scored" in inputs
        if earlier:
            scored = {"members": nodes.members, "scored": inputs["scored"]}
            proposed = ProposedCollections(scored | "Earlier" >> EarlierPairs(), None)
        else:
            own = texts | "Own texts" >> OwnTexts(looked) if learning.boilerplate else texts
            proposed = self._candidates(nodes, own, inputs, against)
        joined = {"texts": texts, "pairs": proposed.pairs} | "Join" >> JoinTexts()
        if self._settings.empty != "score" and not earlier:
            joined = joined | "Not blank" >> beam.Filter(
                lambda row: not (is_blank(row[2]) or is_blank(row[3]))
            )
        learnt = [beam.pvalue.AsSingleton(looked)]
        if self._settings.blend:
            learnt += [beam.pvalue.AsSingleton(texts | "Words" >> ShingleFrequencies(*SHINGLE))]
        count = joined | "Pairs" >> beam.combiners.Count.Globally()
        verified = self._verify(joined, count, learnt, earlier)
        pairs = verified["pairs"]
        named = self._components(pairs)
        at = named[self._policy.threshold]
        settled = self._settle(pairs, nodes.nodes, at, learnt, verify=not earlier or self.completes)
        scored = (pairs, settled["guard"]) | "Scored" >> beam.Flatten()
        table = []
        if self._thresholds:
            parts = {"pairs": scored, "nodes": nodes.nodes, "names": named[min(named)]}
            table = [parts | CountThresholds(self._thresholds, self._policy)]
        shown = (
            (verified["shown"], settled["shown"])
            | "Shown" >> beam.Flatten()
            | "Best shown" >> beam.CombineGlobally(_best, self._settings.report_examples)
        )
        verdicts = (
            {"verdict": settled["of"], "members": nodes.members}
            | "Fates" >> beam.CoGroupByKey()
            | "Fate" >> beam.FlatMapTuple(fates)
        )
        sorted_out = (
            {
                "rows": rows | "Elements" >> beam.MapTuple(lambda row, found: (row, found.element)),
                "fate": verdicts,
            }
            | "Meet" >> beam.CoGroupByKey()
            | "Sort out"
            >> beam.ParDo(
                SortOut(self._policy.threshold, against, self._settings.output_prefix)
            ).with_outputs("removed", main="kept")
        )
        clusters = (
            verdicts
            | "Clustered" >> beam.Filter(lambda fate: fate[1][0] is not None)
            | "Cluster of" >> beam.MapTuple(lambda row, fate: (row, fate[0]))
        )
        report = (
            (
                verified["counts"],
                settled["counts"],
                *table,
                every | "Row counts" >> beam.MapTuple(lambda row, _: {"rows": {str(row[0]): 1}}),
                nodes.nodes | "Node counts" >> beam.MapTuple(_count_node),
                count | "Pair counts" >> beam.Map(lambda pairs: {"pairs": pairs}),
                clusters
                | "Sizes" >> beam.MapTuple(lambda _, name: name)
                | "Members" >> beam.combiners.Count.PerElement()
                | "Size counts" >> beam.MapTuple(lambda _, size: {"cluster_sizes": {str(size): 1}}),
            )
            | "Counts" >> beam.Flatten()
            | "Sum" >> beam.CombineGlobally(add_records)
            | "Report"
            >> beam.Map(
                _report,
                self._thresholds,
                beam.pvalue.AsSingleton(shown),
                learnt[0],
                [] if proposed.reports is None else beam.pvalue.AsList(proposed.reports),
                beam.pvalue.AsList(
                    settled["clusters"] | "Largest" >> beam.combiners.Top.Of(_LARGEST, key=_by_size)
                ),
            )
        )
        equal = nodes.members | "Equal" >> beam.FlatMapTuple(_equal)
        pairs = (scored, equal) | "All pairs" >> beam.Flatten()
        pairs = pairs | "As they are given" >> beam.Map(_given, against)
        clusters = clusters | "Plain names" >> beam.MapTuple(lambda row, name: (row[1], name[1]))
        kept, removed = sorted_out["kept"], sorted_out["removed"]
        kind = inputs["rows"].element_type
        if theirs := dict(row_fields(kind)):
            types = (theirs[fields.id], float, str, str, float, _MAYBE_INT, str)
            receipt = zip((*RECEIPT, WHERE) if against else RECEIPT, types, strict=False)
            kept.element_type = kind
            removed.element_type = with_field_types(kind, receipt, self._settings.output_prefix)
        return DeduplicatedTexts(kept, removed, read["rejected"], pairs, clusters, report)

    def _check_inputs(self, inputs: dict[str, Any]) -> None:
        """See that there are the collections that the candidates take, and no others."""
        checks.check_names("DeduplicateTexts", inputs, _INPUTS)
        if "rows" not in inputs:
            raise UserError("DeduplicateTexts: no 'rows' among its inputs; these are what it deduplicates.")
        against = "against" in inputs
        self._settings.check_inputs(lambda name: repr(name) if name == "against" else name, against=against)
        pairs = "pairs" in self._proposal.sources
        if pairs != ("given" in inputs):
            raise UserError("candidates 'pairs' and the input 'given', pairs of ids as texts, go together.")

    def _candidates(self, nodes: Any, texts: beam.PCollection, inputs: dict[str, Any], against: bool) -> Any:
        parts = {"texts": texts, "blocks": nodes.blocks}
        if self._fields.vector is not None:
            parts["vectors"] = nodes.nodes | "Vectors" >> beam.MapTuple(
                lambda node, info: (node, info.vector)
            )
        if "given" in inputs:
            parts["given"] = inputs["given"]
            parts["ids"] = nodes.members | "Ids as texts" >> beam.MapTuple(
                lambda node, found: (str(found[0][1]), node)
            )
        return parts | "Propose" >> ProposeCandidates(
            self._proposal,
            self._scoring.model,
            against=against,
            blocks=self._settings.blocks,
            load=self._settings.load,
        )

    def _verify(self, joined: beam.PCollection, count: Any, learnt: list[Any], earlier: bool) -> Any:
        """Candidates with texts -> :class:`Judged`, in batches, or in shards that are kept."""
        of = self._scoring, self._settings.report_examples
        if self.kept is not None and not earlier:
            parts = joined | "Shard" >> beam.WithKeys(self.kept.number) | "Shards" >> beam.GroupByKey()
            step: Verify = VerifyKept(self.kept, *of, self._settings.max_pairs)
        else:
            size = {"min_batch_size": _PAIRS_AT_ONCE, "max_batch_size": _PAIRS_AT_ONCE}
            parts = joined | "Batch" >> beam.BatchElements(**size)
            step = TakeScores(*of) if earlier else Verify(*of, self._settings.max_pairs)
        verify = beam.ParDo(step, beam.pvalue.AsSingleton(count), *learnt)
        return parts | "Verify" >> verify.with_outputs("counts", "shown", main="pairs")

    def _components(self, pairs: beam.PCollection) -> dict[float, beam.PCollection]:
        """(node, component) at the threshold and at the lowest of the table, both in the same rounds."""
        levels = sorted({self._policy.threshold, *self._thresholds[:1]})
        named = (
            pairs
            | "Accept" >> beam.FlatMap(_edges_by_level, [float(np.float32(level)) for level in levels])
            | Components(self._settings.component_rounds)
        )
        return {
            level: named
            | f"Level {at}" >> beam.Filter(lambda found, at: found[0][0] == at, at)
            | f"Names {at}" >> beam.MapTuple(lambda node, name: (node[1], name[1]))
            for at, level in enumerate(levels)
        }

    def _settle(
        self,
        pairs: beam.PCollection,
        nodes: beam.PCollection,
        named: beam.PCollection,
        learnt: list[Any],
        *,
        verify: bool,
    ) -> Any:
        """What becomes of the nodes that an accepted pair names."""
        members = (
            {"name": named, "info": nodes}
            | "Name nodes" >> beam.CoGroupByKey()
            | "In clusters" >> beam.FlatMapTuple(_named)
        )
        edges = (
            {"name": named, "edges": pairs | "By end" >> beam.Map(lambda p: (p[0], p))}
            | "Name edges" >> beam.CoGroupByKey()
            | "Of clusters" >> beam.FlatMapTuple(_edges_by_name)
        )
        decide = DecideClusters(self._scoring, self._policy, self._settings.report_examples, verify=verify)
        return (
            {"members": members, "edges": edges}
            | "Cluster" >> beam.CoGroupByKey()
            | "Decide"
            >> beam.ParDo(decide, *learnt).with_outputs("guard", "counts", "clusters", "shown", main="of")
        )


def _check_once(counted: tuple[Any, int]) -> None:
    (_, ident), count = counted
    if count > 1:
        raise UserError(f"against: id {ident!r}: {count} elements have it. Receipts need distinct ids.")


def _equal(node: Any, member: tuple[Any, Any]) -> Iterator[Judged]:
    """A row behind a node, paired with the node's own: equal texts."""
    if member[0] != node and node[0] == 0:  # the other input is not compared with itself
        yield Judged.identical(node, member[0])


def _given(pair: Judged, against: bool) -> tuple[Any, ...]:
    return pair.given((pair.a, pair.b) if against else (pair.a[1], pair.b[1]))


def _edges_by_level(pair: Judged, levels: list[float]) -> Iterator[tuple[Any, Any]]:
    for at, level in enumerate(levels):
        if pair.score >= level and pair.bars != BOTH:
            yield (at, pair.a), (at, pair.b)


def _best(parts: Iterable[list[Entry]], each: int) -> list[Entry]:
    return best_entries(chain.from_iterable(parts), each)


def _named(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    for name in found["name"]:
        for info in found["info"]:
            yield name, (node, info)


def _edges_by_name(_: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    for name in found["name"]:
        for edge in found["edges"]:
            yield name, edge


def _count_node(node: Any, info: TextInfo) -> dict[str, Any]:
    blank = info.rows if node[0] == 0 and is_blank(info.text) else 0
    own = {str(info.rows): 1} if node[0] == 0 else {}
    return {"texts_compared": 1, "rows_blank": blank, "node_sizes": own}


def _by_size(cluster: tuple[Any, ...]) -> tuple[Any, ...]:
    return cluster[0], _Reversed(cluster[1])


class _Reversed:
    """Sorts the other way round: of clusters of one size that of the smaller name comes first."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other._value < self._value)


def _report(
    counts: dict[str, Any],
    thresholds: list[float],
    shown: list[Entry],
    learnt: Learnt,
    candidates: list[tuple[int, dict[str, Any]]],
    largest: list[list[Any]],
) -> dict[str, Any]:
    over = counts.pop("pairs_over", 0)
    table = threshold_table(thresholds, counts.pop("node_sizes", {}), counts.pop("thresholds", {}))
    ordered = [report for _, report in sorted(candidates, key=lambda placed: placed[0])]
    return {
        **counts,
        **learnt.record(),
        "candidates": ordered,
        "largest_clusters": [cluster for *_, cluster in (largest or [[]])[0]],
        "thresholds": [] if over else table,
        "examples": by_kind(shown),
    }
