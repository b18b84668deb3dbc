"""In how many texts each shingle is, in Beam: what tf-idf weighs by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_buckets import batch_texts
from beam_sts.candidates.tf_idf import COLUMNS, shingle_frequency

_RANGE = COLUMNS // 64  # columns of shingles that are summed together


class Packed:
    """Counts by column, without the 0 that most are in few texts: with them 32 MB would travel."""

    def __init__(self, columns: IntArray, counts: IntArray) -> None:
        self._columns, self._counts = columns, counts

    @classmethod
    def joined(cls, ranges: Sequence[tuple[int, IntArray]]) -> Packed:
        """From the counts of ranges of ``_RANGE`` columns, by the number of the range."""
        some = [(number * _RANGE + np.flatnonzero(counts), counts[counts > 0]) for number, counts in ranges]
        columns, counts = (
            np.concatenate([np.empty(0, np.int64), *(part[at] for part in some)]) for at in (0, 1)
        )
        return cls(columns.astype(np.int32), counts)

    @property
    def array(self) -> IntArray:
        """A count for each column."""
        array = np.zeros(COLUMNS, np.int64)
        array[self._columns] = self._counts
        return array


class ShingleFrequencies(beam.PTransform):
    """``(id, text)`` -> one ``(texts, frequency of each shingle)``: the counterpart of ``shingle_frequency``.

    Ranges of shingles are summed on workers of their own, half a megabyte each, so that no worker sums what
    all bundles of a large corpus counted. Every worker then holds two or three times 32 MB.

    Args:
        unit: of a shingle.
        size: of a shingle.
        texts: one ``Size`` of them.
    """

    def __init__(self, unit: str, size: int, texts: beam.PCollection) -> None:
        super().__init__()
        self._unit, self._size, self._texts = unit, size, beam.pvalue.AsSingleton(texts)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Count batch by batch, sum range by range, and join the ranges."""
        return (
            texts
            | "Batch" >> batch_texts()
            | "Count" >> beam.ParDo(_CountShingles(self._unit, self._size))
            | "Ranges" >> beam.CombinePerKey(_SumRange())
            | "All" >> beam.combiners.ToList()
            | "Join" >> beam.Map(lambda ranges, size: (size.texts, Packed.joined(ranges)), self._texts)
        )


Counts = tuple[NDArray[np.int32], IntArray] | IntArray | None
"""Of a range: columns and their counts, or a count for each column; None: of nothing yet."""


class _SumRange(beam.CombineFn):
    """Columns of a range and their counts -> counts of all its columns; of one bundle they stay sparse."""

    def create_accumulator(self) -> Counts:
        return None

    def add_input(self, total: Counts, part: tuple[NDArray[np.int32], IntArray]) -> Counts:
        return part if total is None else self.merge_accumulators([total, part])

    def merge_accumulators(self, totals: Iterable[Counts]) -> Counts:
        sum_of = np.zeros(_RANGE, np.int64)
        for total in totals:
            if isinstance(total, tuple):
                sum_of[total[0]] += total[1]
            elif total is not None:
                sum_of += total
        return sum_of

    def extract_output(self, total: Counts) -> Counts:
        return self.merge_accumulators([total])


class _CountShingles(beam.DoFn):
    """Batches -> ``(range, (columns in it, counts))``, once for each bundle."""

    def __init__(self, unit: str, size: int) -> None:
        self._unit, self._size = unit, size

    def start_bundle(self) -> None:
        self._total: IntArray | None = None

    def process(self, batch: list[tuple[Any, str]]) -> None:
        found = shingle_frequency(
            pa.array([text for _, text in batch], pa.large_string()), self._unit, self._size
        )
        self._total = found if self._total is None else self._total + found

    def finish_bundle(self) -> Iterator[Any]:
        if self._total is None:
            return
        for number, counts in enumerate(self._total.reshape(-1, _RANGE)):
            columns = np.flatnonzero(counts)
            if len(columns):
                yield GlobalWindows.windowed_value((number, (columns.astype(np.int32), counts[columns])))
