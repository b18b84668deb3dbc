"""The passages of rows, and the rows without them. Pure functions.

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
"""Rules in receipts: an item is contained, or a unit has the same words as an earlier one."""
RECEIPT = (
    *("id", "start", "end", "survivor", "survivor_start", "survivor_end", "survivor_in"),
    *("score", "source", "rule", "threshold", "passage"),
)


@dataclass(frozen=True)
class FoundPassages:
    """Passages of rows, sorted by row and position; all arrays have shape (n,).

    Characters ``start`` to ``stop`` of ``row`` match characters ``other_start`` to ``other_stop`` of another
    row, which is in the other input if ``against``. ``score`` is the fraction of the words that match.
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
    def of(cls, places: IntArray, against: NDArray[np.bool_], score: NDArray[np.float64]) -> FoundPassages:
        """Make passages from rows of (row, start, stop, other_start, other_stop), shape (n, 5)."""
        row, start, stop, other_start, other_stop = np.ascontiguousarray(places.T)
        return cls(row, start, stop, other_start, other_stop, against, score)

    def of_rows(self, first: int, count: int) -> FoundPassages:
        """The passages of ``count`` consecutive rows from ``first``, renumbered from 0."""
        part = slice(*np.searchsorted(self.row, [first, first + count]).tolist())
        return FoundPassages(
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
    """The items to search for: units of rows of the other input. ``row`` and ``start`` locate each there."""

    index: ItemIndex
    row: IntArray
    start: IntArray

    @classmethod
    def of(cls, texts: Sequence[str], settings: PassageSettings) -> Items:
        """Index the units of texts."""
        row, start, pieces = list[int](), list[int](), list[str]()
        for number, text in enumerate(texts):
            for first, last in split_units(text, settings.unit):
                row.append(number)
                start.append(first)
                pieces.append(text[first:last])
        return cls(ItemIndex.of(pieces), np.array(row, np.int64), np.array(start, np.int64))

    def find(self, texts: Sequence[str], settings: PassageSettings) -> tuple[FoundPassages, IntArray]:
        """Find items in rows numbered from 0. Also returns the row of the other input of each item."""
        found = self.index.find(list(texts), settings.least)
        start = self.start[found.item]
        passages = FoundPassages(
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
) -> tuple[FoundPassages, IntArray]:
    """Units with an earlier equal unit, and the first row with each. Rows of the other input come first.

    Args:
        found: the units of both inputs.
        others: the number of rows of the other input; 0 if there is none.
        settings: how often a unit must occur.
        within: whether units that repeat within the input itself count.
    """
    against = found.row[found.of] < others
    gone = (found.row >= others) & (np.arange(len(found.row)) != found.of)
    gone &= found.count >= settings.repeats
    if not within:
        gone &= against
    gone = np.flatnonzero(gone)
    gone = gone[np.lexsort((found.start[gone], found.row[gone]))]
    of = found.of[gone]
    passages = FoundPassages(
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
    """The units of rows that have enough words."""
    return units_of(texts, settings.unit, settings.unit_words)


def passage_receipt_schema(kind: pa.DataType) -> pa.Schema:
    """The schema of receipts with ids of a type."""
    place, text = pa.int64(), pa.string()
    kinds = (
        *(kind, place, place, kind, place, place, text),
        *(pa.float32(), text, text, pa.float64(), pa.large_string()),
    )
    return pa.schema(list(zip(RECEIPT, kinds, strict=True)))


def passage_receipts(
    found: FoundPassages, texts: Sequence[str], ids: pa.Array, others: pa.Array, settings: PassageSettings
) -> pa.Table:
    """The receipts of passages: a table with one row for each.

    Args:
        found: the passages of rows numbered from 0.
        texts: the texts of these rows.
        ids: the ids of these rows.
        others: for each passage, the id of the matching row.
        settings: the settings of the run.
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
        [settings.least if settings.contains else 1.0] * len(found),
        [texts[row][start:stop] for row, start, stop in spans],
    ]
    schema = passage_receipt_schema(ids.type)
    made = [
        column.cast(field.type)
        if isinstance(column, pa.Array | pa.ChunkedArray)
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(made, schema=schema)


@dataclass(frozen=True)
class Outcome:
    """The result for n rows: which are removed, and the new texts; None if texts do not change."""

    gone: NDArray[np.bool_]
    texts: list[str] | None


def outcome(found: FoundPassages, texts: Sequence[str], settings: PassageSettings) -> Outcome:
    """The result for rows, numbered from 0, with passages. A row whose text becomes blank is removed."""
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
