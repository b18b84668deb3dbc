"""A required number of rows that stay, in Beam: counts at several thresholds, then decisions at one of them.

The search is that of ``beam_sts.dedup.wanted``. Each of its rounds is one small sum over all clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
import numpy as np

from beam_sts.candidates.beam_pack import unpacked_piece
from beam_sts.dedup.beam_decide import decisions, ranks_of_texts
from beam_sts.dedup.beam_part import ClusterPart, InParts
from beam_sts.dedup.beam_report import ReportPart
from beam_sts.dedup.beam_texts import TextInfo
from beam_sts.dedup.beam_verify import PairVerdict, view_of_texts
from beam_sts.dedup.decide import decide
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.rule import Policy, texts_removed
from beam_sts.dedup.settings import BeamDedupSettings
from beam_sts.dedup.show import pair_examples
from beam_sts.dedup.wanted import ROUNDS, ThresholdSearch, most_removed


class FindThreshold(beam.PTransform):
    """A dict of ``clusters`` and ``texts`` -> the threshold that keeps the required rows, as one element.

    Args:
        policy: the policy of the run, at the lowest threshold.
        wanted: the required number of rows, or a fraction of those that were compared.
    """

    def __init__(self, policy: Policy, wanted: float) -> None:
        super().__init__()
        self._policy, self._wanted = policy, wanted

    def expand(self, found: dict[str, beam.PCollection]) -> beam.PCollection:
        """Build the rounds of the search."""
        most = (
            found["texts"]
            | "Own" >> beam.FlatMapTuple(_own_rows)
            | "Add" >> beam.CombineGlobally(_add)
            | "Most removed" >> beam.Map(_most_removed, self._wanted)
        )
        searches = found["texts"].pipeline | "ThresholdSearch" >> beam.Create(
            [ThresholdSearch.over(self._policy.threshold)], reshuffle=False
        )
        for number in range(1, ROUNDS + 1):
            counts = (
                found["clusters"]
                | f"Count {number}"
                >> beam.ParDo(_CountRemoved(self._policy), beam.pvalue.AsSingleton(searches))
                | f"Add {number}" >> beam.CombineGlobally(_add)
            )
            searches = searches | f"Narrow {number}" >> beam.Map(
                _narrowed, beam.pvalue.AsSingleton(counts), beam.pvalue.AsSingleton(most)
            )
        return searches | "Threshold" >> beam.Map(lambda search: search.found)


def _own_rows(name: Any, info: TextInfo) -> Iterator[list[int]]:
    if name[0] == 0:
        yield [info.rows, 1]


def _add(several: Iterable[list[int]]) -> list[int]:
    total: list[int] = []
    for counts in several:
        total = [one + other for one, other in zip(total or [0] * len(counts), counts, strict=True)]
    return total


def _most_removed(found: list[int], wanted: float) -> int:
    return most_removed(wanted, *(found or [0, 0]))


def _narrowed(search: ThresholdSearch, removed: list[int], most: int) -> ThresholdSearch:
    return search.narrowed(lambda number: not removed or removed[number] <= most)


class _CountRemoved(InParts):
    """Clusters and the search -> the number of removed texts at each threshold that the search asks for."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(texts=False)
        self._policy = policy

    def of_part(self, part: ClusterPart, search: ThresholdSearch) -> Iterator[list[int]]:
        if asked := ThresholdSearch(*search).asked:
            members, _, edges = part.sorted()
            rule = self._policy.rule(*ranks_of_texts(members), edges.proposed)
            yield [texts_removed(rule, edges.pairs, threshold) for threshold in asked]


class DecideAgain(InParts):
    """Clusters with all scored pairs, and the threshold -> what ``DecideClusters`` outputs, without scoring.

    Args:
        settings: the settings of the run.
    """

    def __init__(self, settings: BeamDedupSettings) -> None:
        super().__init__()
        self._settings = settings

    def of_part(self, part: ClusterPart, threshold: float) -> Iterator[Any]:
        """Decide about a part."""
        members, texts, edges = part.sorted()
        policy = replace(self._settings.policy, threshold=threshold)
        made = decide(policy, *ranks_of_texts(members), edges)
        view = view_of_texts(members, texts.of)
        shown = pair_examples(made, made.edges, threshold, self._settings.report_examples, view)
        yield from decisions(made, members, self._settings.shown_cuts(threshold), view, shown)


def accepted_part(packed: bytes, threshold: float) -> ReportPart:
    """Count packed pairs at the found threshold."""
    pairs = (PairVerdict(*found) for found in unpacked_piece(packed))
    accepted = (pair.score >= np.float32(threshold) and pair.bars != BOTH for pair in pairs)
    return ReportPart.of({"pairs_accepted_at": int(sum(accepted))})
