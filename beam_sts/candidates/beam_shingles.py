"""Counts in Beam how many texts contain each shingle: the document frequencies for tf-idf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_buckets import batch_texts
from beam_sts.candidates.beam_join import Size
from beam_sts.candidates.tf_idf import COLUMNS, shingle_frequency

_RANGE = COLUMNS // 256  # columns that are summed together; runners need elements far below 1 MB


class RangeCounts(NamedTuple):
    """Counts above 0 in a range of columns. ``columns``: 0 to 4194303; ``texts``: number of all texts."""

    texts: int
    columns: NDArray[np.int32]
    counts: IntArray


def whole_counts(ranges: Sequence[RangeCounts]) -> tuple[int, IntArray]:
    """Returns the number of texts, and a count for each column, shape (4194304,)."""
    array = np.zeros(COLUMNS, np.int64)
    for one in ranges:
        array[one.columns] = one.counts
    return (ranges[0].texts if ranges else 0), array


class ShingleFrequencies(beam.PTransform):
    """``(id, text)`` -> :class:`RangeCounts`, at most 256 of them: the counterpart of ``shingle_frequency``.

    Ranges of shingles are summed on different workers, so that no worker sums the counts of all bundles of a
    large corpus. Each worker that uses the result as a side input holds two or three arrays of 32 MB.

    Args:
        unit: unit of shingles.
        size: number of units in a shingle.
        texts: a PCollection with one ``Size`` of the texts.
    """

    def __init__(self, unit: str, size: int, texts: beam.PCollection) -> None:
        super().__init__()
        self._unit, self._size, self._texts = unit, size, beam.pvalue.AsSingleton(texts)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Count in batches, then sum by range in one shuffle."""
        return (
            texts
            | "Batch" >> batch_texts()
            | "Count" >> beam.ParDo(_CountShingles(self._unit, self._size))
            | "Ranges" >> beam.CombinePerKey(_SumRange())
            | "Place" >> beam.Map(_placed, self._texts)
        )


def _placed(one: tuple[int, tuple[NDArray[np.int32], IntArray]], size: Size) -> RangeCounts:
    number, (columns, counts) = one
    return RangeCounts(size.texts, columns + np.int32(number * _RANGE), counts)


ColumnCounts = tuple[NDArray[np.int32], IntArray] | IntArray | None
"""The sum of a range: columns and their counts (sparse), or a count for each column, or None if empty."""


class _SumRange(beam.CombineFn):
    """Columns of a range and their counts -> their sums. The counts of a single bundle stay sparse."""

    def create_accumulator(self) -> ColumnCounts:
        return None

    def add_input(self, total: ColumnCounts, part: tuple[NDArray[np.int32], IntArray]) -> ColumnCounts:
        return part if total is None else self.merge_accumulators([total, part])

    def merge_accumulators(self, totals: Iterable[ColumnCounts]) -> ColumnCounts:
        sum_of = np.zeros(_RANGE, np.int64)
        for total in totals:
            if isinstance(total, tuple):
                sum_of[total[0]] += total[1]
            elif total is not None:
                sum_of += total
        return sum_of

    def extract_output(self, total: ColumnCounts) -> ColumnCounts:
        return _sparse(self.merge_accumulators([total]))


def _sparse(counts: Any) -> tuple[NDArray[np.int32], IntArray]:
    columns = np.flatnonzero(counts)
    return columns.astype(np.int32), counts[columns]


class _CountShingles(beam.DoFn):
    """Batches -> ``(range, (columns in it, counts))``, at the end of each bundle."""

    def __init__(self, unit: str, size: int) -> None:
        self._unit, self._size = unit, size

    def start_bundle(self) -> None:
        self._total: IntArray | None = None

    def process(self, batch: list[tuple[Any, str]]) -> None:
        texts = pa.array([text for _, text in batch], pa.large_string())
        self._total = shingle_frequency(texts, self._unit, self._size, self._total)

    def finish_bundle(self) -> Iterator[Any]:
        total, self._total = self._total, None  # runners keep instances
        if total is None:
            return
        for number, counts in enumerate(total.reshape(-1, _RANGE)):
            if counts.any():
                yield GlobalWindows.windowed_value((number, _sparse(counts)))
