"""Sums up the report of a run in Beam in one shuffle: counts, clusters, example pairs."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from beam_sts.candidates.beam import Tally
from beam_sts.dedup.beam_texts import TextInfo
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.rule import threshold_table
from beam_sts.dedup.settings import BeamDedupSettings
from beam_sts.dedup.show import Entry, best_entries, by_kind
from beam_sts.io.blank import is_blank
from beam_sts.io.summary import add_records

_LARGEST = 20

LargeCluster = tuple[int, Any, dict[str, Any]]
"""Number of texts, name of the smallest, record for the report."""


class ReportPart(NamedTuple):
    """A step's part of the report: ``counts`` to add up, examples, candidates for the largest clusters."""

    counts: dict[str, Any]
    shown: list[Entry]
    clusters: list[LargeCluster]

    @classmethod
    def of(cls, counts: dict[str, Any] | None = None, shown: Iterable[Entry] = ()) -> ReportPart:
        """Make a part of counts or examples."""
        return cls(counts or {}, list(shown), [])


class SumParts(beam.PTransform):
    """Tuple of collections of :class:`ReportPart` -> one :class:`ReportPart`.

    Args:
        each: number of pairs of each kind to show.
    """

    def __init__(self, each: int) -> None:
        super().__init__()
        self._each = each

    def expand(self, parts: tuple[beam.PCollection, ...]) -> beam.PCollection:
        """Add up within bundles, since most parts are of one text, then all in one shuffle."""
        add = _SumFn(self._each)
        sums = [part | f"In bundles {at}" >> beam.ParDo(_SumBundle(add)) for at, part in enumerate(parts)]
        return sums | beam.Flatten() | beam.CombineGlobally(add)


class _SumFn(beam.CombineFn):
    def __init__(self, each: int) -> None:
        self._each = each

    def create_accumulator(self) -> list[ReportPart]:
        return []

    def add_input(self, parts: list[ReportPart], part: ReportPart) -> list[ReportPart]:
        parts.append(part)
        return parts if len(parts) < 1000 else self.compact(parts)

    def merge_accumulators(self, several: Iterable[list[ReportPart]]) -> list[ReportPart]:
        parts: list[ReportPart] = []
        for one in several:
            for part in one:
                parts = self.add_input(parts, part)
        return self.compact(parts)

    def compact(self, parts: list[ReportPart]) -> list[ReportPart]:
        return [self.extract_output(parts)]

    def extract_output(self, parts: list[ReportPart]) -> ReportPart:
        counts = add_records(part.counts for part in parts)
        shown = best_entries((entry for part in parts for entry in part.shown), self._each)
        clusters = (cluster for part in parts for cluster in part.clusters)
        largest = heapq.nsmallest(_LARGEST, clusters, key=lambda cluster: (-cluster[0], cluster[1]))
        return ReportPart(counts, shown, largest)


class _SumBundle(beam.DoFn):
    """The parts of a bundle -> their sum."""

    def __init__(self, add: _SumFn) -> None:
        self._add = add

    def start_bundle(self) -> None:
        self._parts = self._add.create_accumulator()

    def process(self, part: ReportPart) -> None:
        self._parts = self._add.add_input(self._parts, part)

    def finish_bundle(self) -> Iterator[Any]:
        parts = self._parts
        self.start_bundle()
        if parts:
            yield GlobalWindows.windowed_value(self._add.extract_output(parts))


def text_part(name: Any, info: TextInfo) -> ReportPart:
    """Returns the counts of a distinct text."""
    blank = info.rows if name[0] == 0 and is_blank(info.text) else 0
    own = {str(info.rows): 1} if name[0] == 0 else {}
    rows = {"rows": {str(name[0]): info.rows}}
    return ReportPart.of({"texts_compared": 1, "rows_blank": blank, "rows_by_text": own, **rows})


def report(
    total: ReportPart,
    settings: BeamDedupSettings,
    learnt: Learnt,
    tally: Tally | None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Returns the report, as ``DeduplicateTexts`` outputs it.

    Args:
        total: sum of all parts.
        settings: settings of the run.
        learnt: what was learnt from the texts.
        tally: tally of the candidates; None if they come from an earlier run.
        threshold: threshold that keeps the required rows, if there is such a number.
    """
    counts = dict(total.counts)
    if threshold is None:
        threshold = settings.threshold
    else:
        counts["pairs_accepted"] = counts.pop("pairs_accepted_at", 0)
    sizes, removals = counts.pop("rows_by_text", {}), counts.pop("thresholds", {})
    table = threshold_table(settings.shown_cuts(threshold), sizes, removals)
    return {
        **counts,
        **learnt.record(),
        "threshold": threshold,
        "candidates": tally.reports if tally else [],
        "largest_clusters": [cluster for *_, cluster in total.clusters],
        "thresholds": table,
        "examples": by_kind(total.shown),
    }
