"""The passages of a slice: items of another input that it contains, or units that are repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray, chunks_of, one_array
from beam_sts.candidates.source import Readable, SliceRows
from beam_sts.io.committed import slice_identity
from beam_sts.io.slices import Slice
from beam_sts.passages.find import FoundPassages, Items, repeated, slice_units
from beam_sts.passages.settings import PassageSettings
from beam_sts.passages.units import Units, occurrences
from beam_sts.passages.within import Match, OwnUnits
from beam_sts.passages.write import identity

Seen = Callable[[int, str], None]


class Lookup(Protocol):
    """Finds the passages of rows."""

    def of(self, rows: SliceRows) -> tuple[FoundPassages, pa.Array]:
        """The passages of the good rows of a slice, and for each the id of the matching row."""
        ...

    def identity(self, part: Slice) -> list[Any]:
        """The data on which the shards of a slice depend."""
        ...


@dataclass(frozen=True)
class Contained:
    """Items of another input; ``ids`` are the ids of its rows."""

    items: Items
    ids: pa.Array
    settings: PassageSettings

    @classmethod
    def read(cls, other: Readable, settings: PassageSettings, seen: Seen | None = None) -> Contained:
        """Read the other input, and index its items."""
        texts, ids = list[str](), []
        for rows in other.read():
            texts += rows.texts.to_pylist()
            ids.append(rows.ids)
            if seen:
                seen(rows.data.slice.rows, rows.data.slice.path)
        return cls(Items.of(texts, settings), _joined(ids, other.id_type), settings)

    def of(self, rows: SliceRows) -> tuple[FoundPassages, pa.Array]:
        """The items in the rows of a slice."""
        found, other = self.items.find(rows.texts.to_pylist(), self.settings)
        return found, self.ids.take(pa.array(other))

    def identity(self, part: Slice) -> list[Any]:
        """The identity of the slice only, since the fingerprint of the run covers the items."""
        return slice_identity(part)

    @property
    def counts(self) -> dict[str, int]:
        """The number of items, and of those that are not searched for."""
        index = self.items.index
        return {
            "items": len(index),
            "items_too_short": int(index.short.sum()),
            "items_repeated": int(index.repeated.sum()),
        }


@dataclass(frozen=True)
class Repeated:
    """The repeated or contained units of an input. Takes about 50 bytes of memory per unit, plus the ids.

    ``first`` and ``count`` give the good rows of each slice, by its index. ``ids`` has the ids of the good
    rows of the input, and those of the other input.
    """

    found: FoundPassages
    other: IntArray
    first: dict[int, int]
    count: dict[int, int]
    ids: tuple[pa.Array, pa.Array]
    units: int

    @classmethod
    def read(
        cls,
        source: Readable,
        other: Readable | None,
        settings: PassageSettings,
        *,
        within: bool,
        seen: Seen | None = None,
    ) -> Repeated:
        """Read each input once, and find the repeated units."""
        parts: list[Units] = []
        first, count, rows_before = dict[int, int](), dict[int, int](), 0
        ids: tuple[list[pa.Array], list[pa.Array]] = ([], [])
        others = 0
        for side, of in ((1, other), (0, source)):
            if side == 0:
                others = rows_before
            for rows in of.read() if of is not None else ():
                units = slice_units(rows.texts.to_pylist(), settings)
                parts.append(Units(units.row + rows_before, units.start, units.stop, units.key))
                if side == 0:
                    first[rows.data.slice.index] = rows_before - others
                    count[rows.data.slice.index] = len(rows.good)
                ids[side].append(rows.ids)
                rows_before += len(rows.good)
                if seen:
                    seen(rows.data.slice.rows, rows.data.slice.path)
        found, of_row = repeated(occurrences(parts), others, settings, within=within or other is None)
        kinds = source.id_type, source.id_type if other is None else other.id_type
        joined = _joined(ids[0], kinds[0]), _joined(ids[1], kinds[1])
        return cls(found, of_row, first, count, joined, sum(map(len, parts)))

    @classmethod
    def read_contained(
        cls, source: Readable, settings: PassageSettings, seen: Seen | None = None
    ) -> Repeated:
        """Read the input twice, and find the units that longer rows contain. All words are in memory."""
        first, count, texts, ids = dict[int, int](), dict[int, int](), list[str](), []
        for rows in source.read():
            first[rows.data.slice.index], count[rows.data.slice.index] = len(texts), len(rows.good)
            texts += rows.texts.to_pylist()
            ids.append(rows.ids)
        units = OwnUnits.of(texts, settings)
        del texts
        matches: list[Match] = []
        for rows in source.read():
            numbers = first[rows.data.slice.index] + np.arange(len(rows.good))
            matches += units.find(rows.texts.to_pylist(), numbers)
            if seen:
                seen(rows.data.slice.rows, rows.data.slice.path)
        found, other = units.passages(matches)
        kind = source.id_type
        return cls(found, other, first, count, (_joined(ids, kind), _joined([], kind)), len(units.items.row))

    def of(self, rows: SliceRows) -> tuple[FoundPassages, pa.Array]:
        """The repeated units of the rows of a slice."""
        return self._of(rows.data.slice.index)

    def identity(self, part: Slice) -> list[Any]:
        """The identity of the slice and of its repeated units, which depend on all other slices."""
        return identity(part, *self._of(part.index))

    def _of(self, index: int) -> tuple[FoundPassages, pa.Array]:
        first, count = self.first[index], self.count[index]
        found = self.found.of_rows(first, count)
        low = int(np.searchsorted(self.found.row, first))
        other = self.other[low : low + len(found)]
        names = [
            self.ids[side].take(pa.array(np.where(found.against == bool(side), other, 0)))
            if len(self.ids[side])
            else pa.nulls(len(other), self.ids[side].type)
            for side in (0, 1)
        ]
        mask = pa.array(found.against)
        chosen = pc.if_else(mask, names[1].cast(names[0].type), names[0])
        return found, chosen

    @property
    def counts(self) -> dict[str, int]:
        """The number of units that were compared."""
        return {"units": self.units}


def _joined(ids: Sequence[pa.Array | pa.ChunkedArray], kind: pa.DataType) -> pa.Array:
    chunks = [chunk.cast(kind) for part in ids for chunk in chunks_of(part)]
    return one_array(pa.chunked_array(chunks, kind))
