"""Passages of some rows, whichever way they are found, and the rows without them. Pure functions.

Rows are numbered over all good rows of their input, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.io.blank import is_blank
from beam_sts.passages.index import ItemIndex
from beam_sts.passages.settings import PassageSettings
from beam_sts.passages.units import Occurrences, Units, cut, split_units, units_of

CONTAINS, REPEATED = "contains", "identical"
"""Rules of receipts: an item is contained, or a unit has the same words as an earlier one."""
RECEIPT = (
    *("id", "start", "end", "survivor", "survivor_start", "survivor_end", "survivor_in"),
    *("score", "source", "rule", "threshold", "passage"),
)


@dataclass(frozen=True)
class Passages:
    """Passages of rows, by row and place; all of shape (n,).

    ``row`` has characters ``start`` to ``stop``; another row, of the other input where ``against``, has them
    as its characters ``other_start`` to ``other_stop``. ``score``: share of the words found.
    """

    row: IntArray
    start: IntArray
    stop: IntArray
    other_start: IntArray
    other_stop: IntArray
    against: NDArray[np.bool_]
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(cls, places: IntArray, against: NDArray[np.bool_], score: NDArray[np.float64]) -> Passages:
        """From rows of ``row``, ``start``, ``stop``, ``other_start`` and ``other_stop``, shape (n, 5)."""
        row, start, stop, other_start, other_stop = np.ascontiguousarray(places.T)
        return cls(row, start, stop, other_start, other_stop, against, score)

    def of_rows(self, first: int, count: int) -> Passages:
        """Those of some rows that follow each other, which are numbered from 0."""
        part = slice(*np.searchsorted(self.row, [first, first + count]).tolist())
        return Passages(
            self.row[part] - first,
            self.start[part],
            self.stop[part],
            self.other_start[part],
            self.other_stop[part],
            self.against[part],
            self.score[part],
        )


@dataclass(frozen=True)
class Items:
    """What is looked for: units of rows of the other input. ``row`` and ``start`` are where each is from."""

    index: ItemIndex
    row: IntArray
    start: IntArray

    @classmethod
    def of(cls, texts: Sequence[str], settings: PassageSettings) -> Items:
        """The rows, or their units."""
        row, start, pieces = list[int](), list[int](), list[str]()
        for number, text in enumerate(texts):
            for first, last in split_units(text, settings.unit):
                row.append(number)
                start.append(first)
                pieces.append(text[first:last])
        return cls(ItemIndex.of(pieces), np.array(row, np.int64), np.array(start, np.int64))

    def find(self, texts: Sequence[str], settings: PassageSettings) -> tuple[Passages, IntArray]:
        """Items in some rows, which are numbered from 0, and the row of the other input that each is from."""
        found = self.index.find(list(texts), settings.contained)
        start = self.start[found.item]
        passages = Passages(
            found.page,
            found.start,
            found.stop,
            start + found.item_start,
            start + found.item_stop,
            np.ones(len(found), dtype=bool),
            found.score,
        )
        return passages, self.row[found.item]


def repeated(
    found: Occurrences, others: int, settings: PassageSettings, *, within: bool
) -> tuple[Passages, IntArray]:
    """Units that are there before, the rows of the other input coming first, and the first row with each.

    Args:
        found: units of both inputs.
        others: rows of the other input; 0: there is none.
        settings: how often a unit must be there.
        within: whether units of the input itself count.
    """
    against = found.row[found.of] < others
    gone = (found.row >= others) & (np.arange(len(found.row)) != found.of)
    gone &= found.count >= settings.repeats
    if not within:
        gone &= against
    gone = np.flatnonzero(gone)
    gone = gone[np.lexsort((found.start[gone], found.row[gone]))]
    of = found.of[gone]
    passages = Passages(
        found.row[gone] - others,
        found.start[gone],
        found.stop[gone],
        found.start[of],
        found.stop[of],
        against[gone],
        np.ones(len(gone)),
    )
    return passages, np.where(against[gone], found.row[of], found.row[of] - others)


def slice_units(texts: Sequence[str], settings: PassageSettings) -> Units:
    """The units of some rows that are long enough."""
    return units_of(texts, settings.unit, settings.unit_words)


def receipt_schema(kind: pa.DataType) -> pa.Schema:
    """Of receipts with ids of a type."""
    place, text = pa.int64(), pa.string()
    kinds = (
        *(kind, place, place, kind, place, place, text),
        *(pa.float32(), text, text, pa.float64(), pa.large_string()),
    )
    return pa.schema(list(zip(RECEIPT, kinds, strict=True)))


def receipts(
    found: Passages, texts: Sequence[str], ids: pa.Array, others: pa.Array, settings: PassageSettings
) -> pa.Table:
    """Why passages are passages: one row for each.

    Args:
        found: passages of some rows, numbered from 0.
        texts: of these rows.
        ids: of these rows.
        others: for each passage the id of the row that has it too.
        settings: of the run.
    """
    rule = CONTAINS if settings.contains else REPEATED
    spans = zip(found.row.tolist(), found.start.tolist(), found.stop.tolist(), strict=True)
    columns = [
        ids.take(pa.array(found.row)),
        *(found.start, found.stop),
        others,
        *(found.other_start, found.other_stop),
        pa.array(["input", "against"]).take(pa.array(found.against.astype(np.int64))),
        found.score.astype(np.float32),
        [settings.unit] * len(found),
        [rule] * len(found),
        [settings.contained if settings.contains else 1.0] * len(found),
        [texts[row][start:stop] for row, start, stop in spans],
    ]
    schema = receipt_schema(ids.type)
    made = [
        column.cast(field.type)
        if isinstance(column, pa.Array | pa.ChunkedArray)
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(made, schema=schema)


@dataclass(frozen=True)
class Outcome:
    """What becomes of n rows: which are removed, and the texts of the others, None where nothing changes."""

    gone: NDArray[np.bool_]
    texts: list[str] | None


def outcome(found: Passages, texts: Sequence[str], settings: PassageSettings) -> Outcome:
    """What becomes of rows with passages, numbered from 0; of a row without anything left nothing stays."""
    gone = np.zeros(len(texts), dtype=bool)
    if settings.removes == "nothing":
        return Outcome(gone, None)
    if settings.removes == "row":
        gone[found.row] = True
        return Outcome(gone, None)
    made = list(texts)
    starts = np.flatnonzero(np.diff(found.row, prepend=-1))
    for part in np.split(np.arange(len(found)), starts[1:]):
        if len(part):
            row = int(found.row[part[0]])
            spans = list(zip(found.start[part].tolist(), found.stop[part].tolist(), strict=True))
            made[row] = cut(texts[row], spans)
            gone[row] = is_blank(made[row])
    return Outcome(gone, made)
