"""DeduplicateTexts: removes near-duplicates on any Beam runner, with a receipt for each removed element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import numpy as np

from beam_sts import checks
from beam_sts.candidates.beam import ProposeCandidates, ProposedCollections
from beam_sts.candidates.beam_group import CoGroupInShards
from beam_sts.candidates.beam_join import JoinedInShards, JoinInShards, TextsSize
from beam_sts.candidates.beam_pack import Pack, PackAll, in_list, packed_if_many, unpacked_piece
from beam_sts.candidates.beam_shingles import ShingleFrequencies
from beam_sts.dedup.beam_components import Components
from beam_sts.dedup.beam_decide import (
    DecideClusters,
    SplitRows,
    outcomes_of_rows,
)
from beam_sts.dedup.beam_learnt import LearnTexts, OwnTexts
from beam_sts.dedup.beam_report import SumParts, report, text_part
from beam_sts.dedup.beam_scored import KeptScores, VerifyKept
from beam_sts.dedup.beam_texts import (
    RECEIPT,
    WHERE,
    DistinctTextCollections,
    Fields,
    MakeDistinctTexts,
    ReadRows,
    TextInfo,
)
from beam_sts.dedup.beam_verify import EarlierPairs, PairVerdict, TakeScores, Verify
from beam_sts.dedup.beam_wanted import DecideAgain, FindThreshold, accepted_part
from beam_sts.dedup.distinct import Grouping
from beam_sts.dedup.forest import text_code
from beam_sts.dedup.overlap import SHINGLE
from beam_sts.dedup.profiles import with_profile
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.settings import BeamDedupSettings, with_new_names
from beam_sts.errors import UserError
from beam_sts.io.ids import shown_id
from beam_sts.pairs.beam_elements import row_fields, with_field_types
from beam_sts.settings import made, takes

_MAYBE_INT = Optional[int]  # noqa: UP045  (Beam knows no schema of int | None)
_INPUTS = ("rows", "against", "given", "scored")


class DeduplicatedTexts(NamedTuple):
    """The outputs of ``DeduplicateTexts``. Each input element is in one of kept, removed and rejected.

    ``removed`` has the elements with the added fields ``survivor``, ``score``, ``source``, ``rule``,
    ``threshold`` and ``lost`` (and ``survivor_in`` if there are elements to compare against). An added field
    whose name an element has already gets ``output_prefix`` before its name.
    ``pairs`` has ``(id_a, id_b, score, source, rule, bound, differs, lost_a, lost_b)`` for each candidate and
    for equal texts. If there are elements to compare against, ``(side, id)`` replaces each id.
    ``clusters`` has ``(id, cluster)`` for each row that is not alone. A cluster is named by its smallest id.
    ``report`` is one dict: candidates by source with their hot buckets, counts, the largest clusters with
    their bridges, the effect of other thresholds, and the pairs that a report shows.
    """

    kept: beam.PCollection
    removed: beam.PCollection
    rejected: beam.PCollection
    pairs: beam.PCollection
    clusters: beam.PCollection
    report: beam.PCollection


@takes(BeamDedupSettings)
class DeduplicateTexts(beam.PTransform):
    """Remove near-duplicates from a bounded PCollection. Each removal is verified by its own score.

    Elements are dicts, ``beam.Row`` or named tuples. A removed element is output as a dict or a ``beam.Row``.

    The rule is that of ``beam_sts.dedup.representatives``, and the result equals that of ``beam-sts dedup``,
    which is faster on one machine. Rows of equal text are one distinct text. Candidates come from any union
    of sources, and the model scores each. Accepted pairs form connected components, and within a component a
    row is removed only if it scores at or above the threshold with its representative. Texts are joined to
    pairs by shuffles. Each step sees the pairs of one text, bucket or component, or two blocks of vectors.

    Apply the transform to a PCollection or to a dict. With ``rows`` and ``against``, rows that duplicate one
    of ``against`` are removed, and rows are not compared among themselves. ``given`` has pairs of ids as
    texts, for the source ``pairs``. ``scored`` has the ``pairs`` of an earlier run, with ends ``(side, id)``:
    then no candidates are proposed, and only pairs that the earlier run did not score are scored.

    Args:
        model: as for ``PairScorer``.
        **settings: as below.

    ``keep`` takes a field in ``highest:FIELD``, and ``candidates`` takes one in ``block:FIELD``. ``first``
    keeps the smallest id. The source ``pairs`` needs the input ``given``. Blank texts are kept and not
    compared, unless ``empty`` says otherwise.

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
        self._thresholds = s.shown_cuts(s.threshold)
        self.completes = True
        """With ``scored``: whether pairs without a score from the earlier run may be scored."""
        self.kept: KeptScores | None = None
        """Where scores are stored, for a run that resumes after it was killed."""
        self.carried: tuple[str, ...] = ()
        """The fields of the elements in ``kept``, ``removed`` and ``clusters``.

        If empty, elements are whole, and ``clusters`` has ids.
        """

    def expand(self, elements: Any) -> DeduplicatedTexts:
        """Build the steps: group equal texts, propose, verify, cluster, decide, split into outputs."""
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
        grouping = Grouping.of(self._proposal, against=against, compare_blank=self._settings.empty == "score")
        distinct = every | "Distinct texts" >> MakeDistinctTexts(grouping, self._settings.row_shards)
        texts = distinct.texts | "Texts" >> beam.MapTuple(lambda name, info: (name, info.text))
        infos = distinct.texts | "Text and rank" >> beam.MapTuple(_without_vector) | "Pack texts" >> PackAll()
        size = texts | "Size" >> TextsSize()
        learning = self._settings.learning
        learn = LearnTexts(learning, self._scoring.model, self._settings.load, size)
        learnt_once = infos | "Learn first" >> learn
        earlier = "scored" in inputs
        if earlier:
            scored = {"members": distinct.members, "scored": inputs["scored"]}
            earlier_pairs = scored | "Earlier" >> EarlierPairs()
            proposed = ProposedCollections(earlier_pairs | "Pack" >> PackAll(), None)
            count = earlier_pairs | "Pairs" >> beam.combiners.Count.Globally()
        else:
            needed, own = self._proposal.needs_form, texts
            if learning.boilerplate or needed:
                own = infos | "Own texts" >> OwnTexts(learnt_once, needed=needed)
            proposed = self._candidates(distinct, own, inputs, against)
            count = proposed.tally | "Pairs" >> beam.Map(lambda tally: tally.pairs)
        learnt = [beam.pvalue.AsSingleton(learnt_once)]
        if self._settings.blend:
            learnt += [beam.pvalue.AsList(texts | "Words" >> ShingleFrequencies(*SHINGLE, size))]
        of_shards = {"texts": infos, "pairs": proposed.pairs, "size": size, "count": count}
        joined = of_shards | "Join" >> JoinInShards()
        verified = joined.shards | "Verify" >> beam.ParDo(
            self._verify(earlier), beam.pvalue.AsSingleton(count), *learnt
        ).with_outputs("report", main="pairs")
        pairs = verified["pairs"]
        verify = not earlier or self.completes
        decided = self._decide(pairs, joined, distinct.texts, learnt, verify=verify)
        at = [] if decided.threshold is None else [beam.pvalue.AsSingleton(decided.threshold)]
        outcome = (
            {"verdict": decided.verdicts, "members": distinct.members}
            | "Verdict and rows" >> CoGroupInShards(self._settings.row_shards)
            | "Outcome" >> beam.FlatMapTuple(outcomes_of_rows).with_outputs("report", main="of")
        )
        split_rows = (
            {
                "rows": rows | "Elements" >> beam.MapTuple(lambda row, found: (row, found.element)),
                "outcome": outcome["of"],
            }
            | "Meet" >> CoGroupInShards(self._settings.row_shards)
            | "Split rows"
            >> beam.ParDo(
                SplitRows(
                    self._policy.threshold,
                    against,
                    self._settings.output_prefix,
                    bool(self.carried),
                ),
                *at,
            ).with_outputs("removed", "clusters", main="kept")
        )
        parts = (
            verified["report"],
            *decided.reports,
            outcome["report"],
            distinct.texts | "Text" >> beam.MapTuple(text_part),
        )
        tally = None if earlier else beam.pvalue.AsSingleton(proposed.tally)
        report_of_run = (
            parts
            | "Sum" >> SumParts(self._settings.report_examples)
            | "Report" >> beam.Map(report, self._settings, learnt[0], tally, *at)
        )
        equal = distinct.members | "Equal" >> beam.FlatMapTuple(_equal)
        pairs = (decided.scored, decided.guard, equal) | "All pairs" >> beam.Flatten()
        pairs = pairs | "As they are given" >> beam.FlatMap(_given, against)
        kept, removed, clusters = (split_rows[name] for name in ("kept", "removed", "clusters"))
        kind = inputs["rows"].element_type
        if theirs := dict(row_fields(kind)):
            types = (theirs[fields.id], float, str, str, float, _MAYBE_INT, str)
            receipt = zip((*RECEIPT, WHERE) if against else RECEIPT, types, strict=False)
            kept.element_type = kind
            removed.element_type = with_field_types(kind, receipt, self._settings.output_prefix)
        return DeduplicatedTexts(kept, removed, read["rejected"], pairs, clusters, report_of_run)

    def _check_inputs(self, inputs: dict[str, Any]) -> None:
        """Check that the inputs are those that the sources of candidates need, and no others."""
        checks.check_names("DeduplicateTexts", inputs, _INPUTS)
        if "rows" not in inputs:
            raise UserError("DeduplicateTexts: none of the inputs is named 'rows'. Give the rows this name.")
        against = "against" in inputs
        self._settings.check_inputs(lambda name: repr(name) if name == "against" else name, against=against)
        pairs = "pairs" in self._proposal.sources
        if pairs != ("given" in inputs):
            raise UserError(
                "the source 'pairs' and the input 'given' (pairs of ids as texts) need each other."
            )

    def _candidates(
        self,
        distinct: DistinctTextCollections,
        texts: beam.PCollection,
        inputs: dict[str, Any],
        against: bool,
    ) -> Any:
        parts = {"texts": texts, "blocks": distinct.blocks}
        if self._fields.vector is not None:
            parts["vectors"] = distinct.texts | "Vectors" >> beam.MapTuple(
                lambda name, info: (name, info.vector)
            )
        if "given" in inputs:
            parts["given"] = inputs["given"]
            parts["ids"] = distinct.members | "Ids as texts" >> beam.FlatMapTuple(
                lambda name, found: [(str(shown_id(row[1])), name) for row in in_list(found[0])]
            )
        return parts | "Propose" >> ProposeCandidates(
            self._proposal,
            self._scoring.model,
            against=against,
            blocks=self._settings.blocks,
            shards=self._settings.row_shards,
            load=self._settings.load,
        )

    def _verify(self, earlier: bool) -> Verify:
        """Returns the step that scores the pairs of a shard, and stores the scores if the run does."""
        each = self._settings.report_examples if self._settings.keep_rows is None else 0  # chosen later
        of = self._scoring, each, self._settings.empty == "score" or earlier
        if earlier:
            return TakeScores(*of)
        if self.kept is not None:
            return VerifyKept(self.kept, *of, self._settings.max_pairs)
        return Verify(*of, self._settings.max_pairs)

    def _decide(
        self,
        pairs: beam.PCollection,
        joined: JoinedInShards,
        texts: beam.PCollection,
        learnt: list[Any],
        *,
        verify: bool,
    ) -> _Decided:
        """Decide about the texts of accepted pairs.

        Texts that are connected at the lowest threshold of the table are decided together, because no pair
        connects them to others at a higher threshold either.
        """
        s = self._settings
        # Flink cannot plan a flatten whose input another shuffle has too: github.com/apache/beam/issues/34647
        scored = pairs | "Scored" >> beam.Map(lambda piece: piece)
        lowest = float(np.float32(min([self._policy.threshold, *self._thresholds[:1]])))
        named = (
            pairs
            | "Accept" >> beam.FlatMap(_accepted, lowest)
            | "Components" >> Components(s.component_rounds)
        )
        parts = {"name": named, "text": joined.paired, "edge": pairs}
        again = s.keep_rows is not None
        decide = DecideClusters(
            *(self._scoring, self._policy, self._thresholds, s.report_examples),
            verify=verify,
            only_guard=again,
        )
        clusters = parts | "Clusters" >> _Clusters(joined.number)
        first = clusters | "Decide" >> beam.ParDo(decide, *learnt).with_outputs("guard", "report", main="of")
        if s.keep_rows is None:
            return _Decided(first["of"], scored, first["guard"], [first["report"]], None)
        parts["edge"] = (scored, first["guard"]) | "All scored" >> beam.Flatten()
        clusters = parts | "Whole clusters" >> _Clusters(joined.number)
        searched = {"clusters": clusters, "texts": texts}
        threshold = searched | "Find threshold" >> FindThreshold(self._policy, s.keep_rows)
        at = beam.pvalue.AsSingleton(threshold)
        second = clusters | "Decide again" >> beam.ParDo(DecideAgain(s), at).with_outputs("report", main="of")
        accepted = pairs | "Accepted at it" >> beam.Map(accepted_part, at)
        reports = [first["report"], second["report"], accepted]
        return _Decided(second["of"], scored, first["guard"], reports, threshold)


class _Decided(NamedTuple):
    """Decisions about texts, all scored pairs, those scored for the decisions, parts of the report.

    ``threshold``: the found threshold or None.
    """

    verdicts: beam.PCollection
    scored: beam.PCollection
    guard: beam.PCollection
    reports: list[beam.PCollection]
    threshold: beam.PCollection | None


class _Clusters(beam.PTransform):
    """A dict of ``name`` of texts by code, ``text`` and packed ``edge`` -> those of each cluster, packed.

    Args:
        shards: side input with the number of shards of the join.
    """

    def __init__(self, shards: beam.pvalue.AsSingleton) -> None:
        super().__init__()
        self._shards = shards

    def expand(self, parts: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join by code, then group by cluster."""
        return (
            {
                "name": parts["name"],
                "text": parts["text"] | "By code" >> beam.Map(lambda text: (text_code(text[0]), text)),
                "edge": parts["edge"],
            }
            | "Names" >> CoGroupInShards(self._shards, edge=_by_end)
            | "Of clusters" >> beam.FlatMapTuple(_of_clusters)
            | "Pack" >> beam.ParDo(Pack())
            | "Group" >> beam.GroupByKey()
        )


def _check_once(counted: tuple[Any, int]) -> None:
    (_, ident), count = counted
    if count > 1:
        raise UserError(f"against: id {ident!r}: {count} elements have it. Ids must be distinct.")


def _without_vector(name: Any, info: TextInfo) -> tuple[Any, tuple[Any, ...]]:
    # Beam encodes tuples, but pickles named tuples, which takes five times as long.
    return name, tuple(info._replace(vector=b""))


def _equal(name: Any, members: tuple[list[Any] | bytes, Any]) -> Iterator[list[Any] | bytes]:
    """Pair the other rows of a distinct text with the row that names it."""
    if name[0] == 0:  # rows to compare against are not compared with each other
        pairs = [tuple(PairVerdict.identical(name, row)) for row in in_list(members[0]) if row != name]
        if pairs:
            yield packed_if_many(pairs)


def _given(packed: list[Any] | bytes, against: bool) -> Iterator[tuple[Any, ...]]:
    for found in in_list(packed):
        pair = PairVerdict(*found)
        yield pair.given((pair.a, pair.b) if against else (pair.a[1], pair.b[1]))


def _accepted(packed: bytes, threshold: float) -> Iterator[tuple[Any, Any]]:
    for found in unpacked_piece(packed):
        pair = PairVerdict(*found)
        if pair.score >= threshold and pair.bars != BOTH:
            yield pair.a, pair.b


def _by_end(packed: bytes) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for pair in unpacked_piece(packed):
        yield text_code(pair[0]), pair


def _of_clusters(_: int, found: dict[str, Iterable[Any]]) -> Iterator[tuple[int, Any]]:
    """Emit texts and pairs by the name of their cluster. Those in no cluster are dropped."""
    for name, _ in found["name"]:
        for text in found["text"]:
            yield name, text
        for edge in found["edge"]:
            yield name, edge
