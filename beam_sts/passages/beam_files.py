"""WritePassages: read slices of files, find passages, write the slices. Used by ``beam-sts dedup``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.utils.shared import Shared

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.candidates.source import Source
from beam_sts.io.committed import slice_identity
from beam_sts.io.slices import Slice
from beam_sts.passages.beam import FirstOfUnits, contained, pack_units
from beam_sts.passages.find import FoundPassages
from beam_sts.passages.lookup import Contained
from beam_sts.passages.settings import PassageSettings
from beam_sts.passages.within import Match, OwnUnits
from beam_sts.passages.write import PassageWriter, identity


@dataclass(frozen=True)
class PassageRun:
    """The settings of the run. ``within``: units that repeat within the input itself count too."""

    writer: PassageWriter
    against: Source | None
    within: bool

    @property
    def settings(self) -> PassageSettings:
        """What counts as a passage, and what is removed."""
        return self.writer.settings


class WritePassages(beam.PTransform):
    """A dict of units of slices, ``rows`` and optionally ``against`` -> committed shards, as on one machine.

    Each worker process reads the items to search for. Rows are not shuffled; only hashes and positions of
    units are.
    """

    def __init__(self, run: PassageRun) -> None:
        super().__init__()
        self._run = run

    def expand(self, inputs: dict[str, beam.PCollection[list[Slice]]]) -> beam.PCollection[int]:
        """Build the steps: read, find, write."""
        run = self._run
        units = inputs["rows"] | "Spread" >> beam.Reshuffle()
        if run.settings.contains and run.against is not None:
            return units | "Find and write" >> beam.ParDo(_WriteContained(run))
        if run.settings.contains:
            shared = Shared()
            passages = (
                units
                | "Find" >> beam.ParDo(_FindContained(run, shared))
                | "All matches" >> beam.GroupByKey()
                | "Decide" >> beam.ParDo(_DecideContained(run, shared))
            )
        else:
            found = [units | "Units" >> beam.ParDo(_ReadUnits(run, run.writer.source, 1))]
            if run.against is not None:
                others = inputs["against"] | "Spread against" >> beam.Reshuffle()
                found.append(others | "Units against" >> beam.ParDo(_ReadUnits(run, run.against, 0)))
            passages = (
                tuple(found) | "All units" >> beam.Flatten() | FirstOfUnits(run.settings, within=run.within)
            )
        parts = units | "Slices" >> beam.FlatMap(lambda unit: [(part.index, part) for part in unit])
        by_slice = passages | "By slice" >> beam.MapTuple(lambda place, found: (place[0], (place[1], *found)))
        return (
            {"part": parts, "passages": by_slice}
            | "Gather" >> CoGroup()
            | "Write" >> beam.ParDo(_WriteRepeated(run))
        )


class _WriteContained(beam.DoFn):
    """A unit -> the shards of each of its slices that is not yet committed."""

    def __init__(self, run: PassageRun) -> None:
        self._run, self._shared = run, Shared()
        self._lookup: Any = None

    def setup(self) -> None:
        """Read the items, once per process."""
        if (against := self._run.against) is None:
            raise RuntimeError("nothing to look for")
        self._lookup = self._shared.acquire(lambda: Contained.read(against, self._run.settings))

    def process(self, unit: list[Slice]) -> Iterator[int]:
        """See ``beam.DoFn``."""
        writer = self._run.writer
        # Runners retry elements, so a slice may have been committed after the plan was made.
        missing = [part for part in unit if not writer.output.is_whole(part)]
        for rows in writer.source.read(missing) if missing else ():
            found, others = self._lookup.of(rows)
            writer.write(rows, found, others, of=slice_identity(rows.data.slice))
            yield rows.data.slice.index


@dataclass(frozen=True)
class _Rows:
    """The units of all good rows; by the number of the row: its position in the input, place and id."""

    units: OwnUnits
    numbers: IntArray
    places: list[tuple[int, int]]
    ids: list[Any]


def _read_all(source: Source, settings: PassageSettings) -> _Rows:
    texts, numbers, places, ids = list[str](), list[int](), list[tuple[int, int]](), list[Any]()
    for rows in source.read():
        texts += rows.texts.to_pylist()
        numbers += rows.numbers.tolist()
        places += [(rows.data.slice.index, place) for place in range(len(rows.good))]
        ids += rows.ids.to_pylist()
    return _Rows(OwnUnits.of(texts, settings), np.array(numbers, np.int64), places, ids)


class _OwnUnits(beam.DoFn):
    """Base of the steps that search the rows for their own units. Each process reads the whole input."""

    def __init__(self, run: PassageRun, shared: Shared) -> None:
        self._run, self._shared = run, shared
        self._rows: _Rows | None = None

    def rows(self) -> _Rows:
        """The units of all rows, read once per process."""
        if self._rows is None:
            run = self._run
            self._rows = self._shared.acquire(lambda: _read_all(run.writer.source, run.settings))
        return self._rows


class _FindContained(_OwnUnits):
    """A unit of slices -> matches of units of shorter rows in its rows."""

    def process(self, unit: list[Slice]) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """See ``beam.DoFn``."""
        every = self.rows()
        for rows in self._run.writer.source.read(unit):
            numbers = np.searchsorted(every.numbers, rows.numbers)
            for match in every.units.find(rows.texts.to_pylist(), numbers):
                yield 0, tuple(match)


class _DecideContained(_OwnUnits):
    """All matches -> the contained units, as ``FirstOfUnits`` outputs repeated ones."""

    def process(self, matches: tuple[int, Iterable[tuple[Any, ...]]]) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        every = self.rows()
        found, other = every.units.passages(Match(*match) for match in matches[1])
        for row, place in contained(found, other, every.ids):
            yield every.places[row], place


class _ReadUnits(beam.DoFn):
    """A unit of slices -> the text units of its rows, each with its key and position."""

    def __init__(self, run: PassageRun, source: Source, side: int) -> None:
        self._settings, self._source, self._side = run.settings, source, side

    def process(self, unit: list[Slice]) -> Iterator[Any]:
        for rows in self._source.read(unit):
            index = rows.data.slice.index
            places = [(index, place) for place in range(len(rows.good))]
            order = rows.numbers.tolist()
            yield from pack_units(
                self._side, order, places, rows.ids.to_pylist(), rows.texts.to_pylist(), self._settings
            )


class _WriteRepeated(beam.DoFn):
    """A slice and the repeated units of its rows -> its shards."""

    def __init__(self, run: PassageRun) -> None:
        self._run = run

    def process(self, gathered: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[int]:
        index, found = gathered
        writer = self._run.writer
        rows_of = sorted(found["passages"], key=lambda one: one[:3])
        numbers = np.array([[*one[:3], *one[4:6]] for one in rows_of], np.int64).reshape(-1, 5)
        against = np.array([one[6] for one in rows_of], dtype=bool)
        passages = FoundPassages.of(numbers, against, np.array([one[7] for one in rows_of], np.float64))
        others = pa.array([one[3] for one in rows_of], writer.source.id_type)
        for part in found["part"]:
            of = identity(part, passages, others)
            if part.index in writer.output.whole({part.index: of})[0]:
                continue
            for rows in writer.source.read([part]):
                writer.write(rows, passages, others, of=of)
            yield index
