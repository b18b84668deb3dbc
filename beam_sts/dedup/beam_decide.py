"""From candidates with texts to the decision about each row, in Beam: keys, batches and outputs.

The decisions are made by ``beam_sts.dedup.decide``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue

from beam_sts.arrays import IntArray, sort_rank
from beam_sts.candidates.beam_pack import in_list, pieces
from beam_sts.dedup.beam_part import ClusterPart, InParts
from beam_sts.dedup.beam_report import ReportPart
from beam_sts.dedup.beam_texts import RECEIPT, WHERE, TextInfo
from beam_sts.dedup.beam_verify import (
    Scores,
    ShingleWeights,
    each_of,
    stats_counts,
    view_of_texts,
)
from beam_sts.dedup.decide import GUARD, IDENTICAL, Decision, decide, describe_clusters, is_repeated
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.rule import Policy, count_removals
from beam_sts.dedup.shards import shard_parts
from beam_sts.dedup.show import Entry, TextView, pair_examples
from beam_sts.dedup.verdicts import NOT_COMPARED, RULES, Verdicts
from beam_sts.dedup.verify import Scoring, VerifyStats
from beam_sts.errors import UserError
from beam_sts.pairs.beam_elements import with_fields

_RECEIPT = 5
"""The number of decided fields in the receipt of a removed row: representative, score, source, rule, lost."""


class DecideClusters(InParts, Scores):
    """Texts and pairs of clusters -> (text, (cluster, representative's best row, score, source, rule, lost)).

    The cluster is None for a text that is alone after all; the other values are None for a text that stays.
    Also outputs ``guard``, the pairs that were scored to verify removals, and ``report``: counts of
    decisions, of removals at other thresholds, and examples. Thousands of texts of whole clusters are decided
    at once; the texts of larger clusters are stored in a file and are scored part by part.

    Args:
        scoring: scoring settings.
        policy: policy of the run.
        thresholds: thresholds to count removals at.
        each: number of pairs of each kind for the report.
        verify: whether to score pairs that direct verification lacks.
        only_guard: whether to output only the pairs that were scored, since another step decides.
    """

    def __init__(
        self,
        scoring: Scoring,
        policy: Policy,
        thresholds: Sequence[float] = (),
        each: int = 0,
        *,
        verify: bool = True,
        only_guard: bool = False,
    ) -> None:
        InParts.__init__(self)
        Scores.__init__(self, scoring, each)
        self._policy, self._thresholds = policy, list(thresholds)
        self._verify, self._only_guard = verify, only_guard

    def of_part(
        self, part: ClusterPart, learnt: Learnt, words: ShingleWeights | None = None
    ) -> Iterator[Any]:
        """Decide about a part."""
        members, texts, edges = part.sorted()
        stats = VerifyStats()

        def verify(a: IntArray, b: IntArray) -> Verdicts:
            nonlocal stats
            found = []
            for some in shard_parts(texts.sizes[a] + texts.sizes[b]):
                made = self.verifier(learnt, words).verify(texts.take(a[some]), texts.take(b[some]))
                texts.release()
                stats += made.stats
                found.append(made.verdicts)
            return Verdicts.join(found)

        made = decide(self._policy, *ranks_of_texts(members), edges, verify if self._verify else None)
        guard = made.edges.at(slice(len(edges.verdicts), None))
        ends = zip(guard.pairs.a, guard.pairs.b, strict=True)
        scored = (
            (members[a][0], members[b][0], one[0], GUARD, *one[1:])
            for (a, b), one in zip(ends, each_of(guard.verdicts), strict=True)
        )
        for piece in pieces(scored):
            yield pvalue.TaggedOutput("guard", piece)
        counts = {
            **guard.verdicts.counts(),
            "pairs_guard": len(guard.verdicts),
            "verify": stats_counts(stats),
        }
        yield pvalue.TaggedOutput("report", ReportPart.of(counts))
        if not self._only_guard:
            view = view_of_texts(members, texts.of)
            shown = pair_examples(made, guard, self._policy.threshold, self._each, view)
            yield from decisions(made, members, self._thresholds, view, shown)


def decisions(
    made: Decision,
    members: Sequence[tuple[Any, TextInfo]],
    thresholds: Sequence[float],
    view: TextView,
    shown: list[Entry],
) -> Iterator[Any]:
    """Output the decisions about a part, as :class:`DecideClusters` does, with their counts as ``report``.

    Args:
        made: the decisions.
        members: the texts of the part.
        thresholds: thresholds to count removals at.
        view: access to the texts of the part.
        shown: examples for the report.
    """
    texts = np.bincount(made.label, minlength=len(members))
    rows = np.bincount(made.label, made.rule.own_rows, len(members)).astype(np.int64)[texts > 1]
    sizes, clusters = np.unique(rows[rows > 0], return_counts=True)
    counts = {
        "unverified": made.chosen.unverified,
        "cluster_sizes": dict(zip(map(str, sizes.tolist()), clusters.tolist(), strict=True)),
        "thresholds": count_removals(made.rule, made.edges.pairs, thresholds),
    }
    largest = [
        (cluster["nodes"], members[first][0], cluster) for first, cluster in describe_clusters(made, view.id)
    ]
    yield pvalue.TaggedOutput("report", ReportPart(counts, shown, largest))
    sources = made.edges.source.cast(pa.string())
    rules = made.edges.verdicts.rules
    alone = (texts == 1)[made.label].tolist()
    labels, scores, lost = (
        made.label.tolist(),
        made.chosen.scores.tolist(),
        made.lost(np.arange(len(members))).tolist(),
    )
    for at, (edge, representative) in enumerate(
        zip(made.edge.tolist(), made.chosen.representative.tolist(), strict=True)
    ):
        name = None if alone[at] else members[labels[at]][0]
        if edge < 0:
            yield members[at][0], (name, *(None,) * _RECEIPT)
        else:
            best = members[representative][1].best[1:]
            size = None if lost[at] == NOT_COMPARED else lost[at]
            yield members[at][0], (name, best, scores[at], sources[edge].as_py(), RULES[rules[edge]], size)


def ranks_of_texts(members: Sequence[tuple[Any, TextInfo]]) -> tuple[IntArray, IntArray, Any]:
    """Ranks, numbers of rows and fixed flags of texts, from their names and records."""
    fixed = np.array([name[0] == 1 for name, _ in members], bool)
    rank = sort_rank([(name[0] == 1, info.best) for name, info in members])
    return rank, np.array([info.rows for _, info in members], np.int64), fixed


def outcomes_of_rows(name: Any, found: dict[str, Iterable[Any]]) -> Iterator[Any]:
    """(row, (cluster or None if alone, representative or None if kept, receipt)) for each row of a text.

    Clusters of equal rows are counted here, as ``report``.
    """
    if name[0] == 1:  # rows to compare against are not part of the output
        return
    verdict: Sequence[Any] = next(iter(found["verdict"]), (None,) * (1 + _RECEIPT))
    members = found["members"]
    rows = sum(len(in_list(some)) for some, _ in members)
    cluster = verdict[0] if verdict[0] is not None else (name if rows > 1 else None)
    if verdict[0] is None and rows > 1:
        yield pvalue.TaggedOutput("report", ReportPart.of({"cluster_sizes": {str(rows): 1}}))
    removed = verdict[1] is not None
    for packed, best in members:
        some = in_list(packed)
        is_best = np.array([row == best for row in some])
        for row, equal in zip(some, is_repeated(removed, is_best, False).tolist(), strict=True):
            yield row, (cluster, best, *IDENTICAL, 0) if equal else (cluster, *verdict[1:])


class SplitRows(beam.DoFn):
    """(row, its element and decision) -> the element in ``kept``, or in ``removed`` with its receipt.

    Also outputs ``clusters``: (id, cluster).

    Args:
        threshold: threshold of the run; None if it is a side input.
        against: whether there are elements to compare against.
        prefix: prefix for added fields whose name the element already has.
        places: whether ``clusters`` has elements instead of ids.
    """

    def __init__(self, threshold: float | None, against: bool, prefix: str, places: bool) -> None:
        self._threshold, self._against, self._prefix = threshold, against, prefix
        self._places = places

    def process(
        self, met: tuple[Any, dict[str, Iterable[Any]]], threshold: float | None = None
    ) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        row, found = met
        rows = iter(found["rows"])
        element = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {row[1]!r}: several elements have it. Ids must be distinct.")
        cluster, representative, *scored, lost = next(iter(found["outcome"]))
        if cluster is not None:
            yield pvalue.TaggedOutput("clusters", (element if self._places else row[1], cluster[1]))
        if representative is None:
            yield element
            return
        threshold = self._threshold if threshold is None else threshold
        receipt = dict(zip(RECEIPT, (representative[1], *scored, threshold, lost), strict=True))
        if self._against:
            receipt[WHERE] = "against" if representative[0] else "input"
        yield pvalue.TaggedOutput("removed", with_fields(element, receipt, self._prefix))
