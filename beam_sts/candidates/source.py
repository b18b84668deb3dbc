"""An input of texts, from files or a table: its relevant columns, split into good rows and bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from beam_sts.arrays import IntArray
from beam_sts.candidates.texts import check_text, text_columns, texts_in
from beam_sts.candidates.vectors import check_vector_column
from beam_sts.errors import UserError
from beam_sts.io.column_paths import field_at, find_path, missing_column
from beam_sts.io.ids import id_type, ids_in, is_id
from beam_sts.io.reading import InputPlan, read_slices
from beam_sts.io.slices import ReadOptions, Slice, SliceData
from beam_sts.scoring.columns import check_rows, text_arrays, text_schema

EMPTY = ("keep", "score", "reject")
ROWS_AT_ONCE = 50_000
"""The number of rows read at once from a table. From files, a slice is read at once."""


@dataclass(frozen=True)
class Columns:
    """The relevant columns of an input: the texts, the ids and, optionally, vectors and second texts.

    ``text`` and ``second`` are as for ``text_columns``; a row without one of them is bad. If ``id`` is None,
    ids are row numbers over the whole input, from 0.
    """

    text: str
    id: str | None = None
    reject_empty: bool = False
    vector: str | None = None
    second: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns or expressions of texts."""
        return (self.text,) if self.second is None else (self.text, self.second)

    def id_type(self, schema: pa.Schema) -> pa.DataType:
        """The type of the ids."""
        return pa.int64() if self.id is None else id_type(schema, self.id)

    def text_schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema, with the text columns converted to text types."""
        return text_schema(schema, [name for text in self.texts for name in text_columns(schema, text)])

    def check(self, schema: pa.Schema, flag: str) -> None:
        """Check that the columns exist and have the right types.

        Args:
            schema: the schema of the input.
            flag: the prefix of the names of settings in messages, such as ``--against_``.

        Raises:
            UserError: a column is missing or has a wrong type. The message names it and the way out.
        """
        if self.id is not None and not find_path(schema, self.id):
            raise missing_column(f"{flag}id {self.id}:", self.id, schema.names)
        check_text(schema, self.text, f"{flag}text")
        if self.vector is not None:
            check_vector_column(schema, self.vector)
        if self.id is not None and not is_id(kind := field_at(schema, self.id).type):
            raise UserError(
                f"{flag}id {self.id}: holds {kind}; ids must be integers, texts, bytes or UUIDs, so that "
                "equal ones are equal everywhere. Cast the column first, or leave it out to use row numbers."
            )

    def split(self, data: SliceData, start: int, id_type: pa.DataType) -> SliceRows:
        """Split a slice, which starts at row ``start`` of the input, into good rows and bad ones."""
        table = pa.table({text: texts_in(data.table, text) for text in self.texts})
        checked = check_rows(table, self.texts, empty="reject" if self.reject_empty else "score")
        good, reasons = checked.good, dict(zip(checked.bad.tolist(), checked.reasons, strict=True))
        numbers = start - data.slice.row + np.asarray(data.rows, dtype=np.int64)
        if self.id is None:
            ids: pa.Array = pa.array(numbers)
        else:
            column = ids_in(data.table, self.id).cast(id_type)
            for row in np.flatnonzero(np.asarray(column.is_null())).tolist():
                reasons[row] = f"null in column {self.id!r}"
            good = np.array([row for row in good.tolist() if row not in reasons], dtype=np.int64)
            ids = column
        taken = pa.array(good)
        texts, second = text_arrays(table, (self.text, self.second or self.text), good)
        bad = sorted(reasons)
        why = [reasons[row] for row in bad]
        return SliceRows(data, good, numbers[good], ids.take(taken), texts, bad, why, second)


class Readable(Protocol):
    """An input that can be read: files or a table."""

    @property
    def columns(self) -> Columns:
        """The relevant columns."""
        ...

    @property
    def id_type(self) -> pa.DataType:
        """The type of the ids."""
        ...

    def read(self) -> Iterator[SliceRows]:
        """The rows, part by part."""
        ...


@dataclass(frozen=True)
class TableSource:
    """A table as an input."""

    table: pa.Table
    columns: Columns

    @property
    def id_type(self) -> pa.DataType:
        """The type of the ids."""
        return self.columns.id_type(self.table.schema)

    def read(self) -> Iterator[SliceRows]:
        """The rows, ``ROWS_AT_ONCE`` at a time."""
        schema = self.columns.text_schema(self.table.schema)
        for start in range(0, len(self.table), ROWS_AT_ONCE):
            part = self.table.slice(start, ROWS_AT_ONCE).cast(schema)
            data = SliceData(Slice(start, "", start, len(part)), part, range(start, start + len(part)))
            yield self.columns.split(data, start, self.id_type)


@dataclass(frozen=True)
class Source:
    """Files as an input, with their relevant columns as in :class:`Columns`."""

    plan: InputPlan
    options: ReadOptions
    text: str
    id: str | None
    reject_empty: bool = False
    vector: str | None = None
    second: str | None = None

    @property
    def columns(self) -> Columns:
        """The relevant columns."""
        return Columns(self.text, self.id, self.reject_empty, self.vector, self.second)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the whole input, with the text columns converted to text types."""
        return self.columns.text_schema(self.plan.schema)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns that hold the texts; none if the texts come from an expression."""
        return tuple(name for text in self.columns.texts for name in text_columns(self.plan.schema, text))

    @property
    def id_type(self) -> pa.DataType:
        """The type of the ids."""
        return self.columns.id_type(self.plan.schema)

    def check(self, flag: str) -> None:
        """Check the columns. In messages ``--`` and ``flag`` precede the names of settings.

        Raises:
            UserError: a column is missing or has a wrong type. The message names it and the way out.
        """
        self.columns.check(self.plan.schema, f"--{flag}")

    def read(self, slices: Sequence[Slice] | None = None) -> Iterator[SliceRows]:
        """The rows of these slices, by default of all."""
        starts = np.cumsum([0, *(part.rows for part in self.plan.slices)])
        wanted = None if slices is None else {part.index for part in slices}
        for unit in self.plan.units:
            parts = [part for part in unit if wanted is None or part.index in wanted]
            if not parts:
                continue
            for data in read_slices(parts, self.schema, self.text_columns, self.options):
                yield self.columns.split(data, int(starts[data.slice.index]), self.id_type)


@dataclass(frozen=True)
class SliceRows:
    """The rows of a slice. ``good`` are indices into its table, ``numbers`` positions in the whole input.

    ``second``: the second texts of the good rows, or the same texts if there are none.
    """

    data: SliceData
    good: IntArray
    numbers: IntArray
    ids: pa.Array | pa.ChunkedArray
    texts: pa.ChunkedArray
    bad: list[int]
    reasons: list[str]
    second: pa.ChunkedArray

    @property
    def table(self) -> pa.Table:
        """The good rows."""
        return self.data.table.take(pa.array(self.good)) if self.bad else self.data.table
