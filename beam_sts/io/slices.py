"""Input files as slices of rows: the unit of work, of output and of recovery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.files import InputFile, find_files

# Slices of one row group are read in one pass; more of them would leave a big file to one worker.
SLICES_PER_UNIT = 8


@dataclass(frozen=True)
class Slice:
    """Consecutive rows of one file, which become one output shard.

    ``index`` numbers the shards over all files; rows count from 0 within the file; the bytes and the first
    line's number (from 1) matter to line formats only.
    """

    index: int
    path: str
    row: int
    rows: int
    byte_start: int = 0
    byte_stop: int = 0
    line: int = 1


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be scored: its number within the file, why, and the raw line if it did not parse."""

    row: int
    reason: str
    line: str | None = None


@dataclass(frozen=True)
class SliceData:
    """A slice as read: the table of its good rows, their numbers within the file, and the bad rows."""

    slice: Slice
    table: pa.Table
    rows: list[int] | range
    bad: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True)
class FileScan:
    """What planning learnt of a file: its rows, their schema, and slices numbered from 0."""

    schema: pa.Schema
    slices: list[Slice]
    content: str = ""

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(s.rows for s in self.slices)


class Format(Protocol):
    """A file format: how to plan a file and how to read its slices."""

    suffixes: tuple[str, ...]

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file.

        Raises:
            UserError: the file cannot be read.
        """
        ...

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """Group a file's slices by what is best read in one pass."""
        ...

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, text_columns: Sequence[str]
    ) -> Iterator[SliceData]:
        """Read the slices of one unit, in order, each as a table of the whole input's schema."""
        ...


@dataclass(frozen=True)
class InputPlan:
    """All of the input: its files, one schema, slices in row order, and units of reading."""

    files: list[InputFile]
    schema: pa.Schema
    units: list[list[Slice]]
    contents: list[str]

    @property
    def slices(self) -> list[Slice]:
        """All slices, in row order."""
        return [s for unit in self.units for s in unit]

    @property
    def rows(self) -> int:
        """Rows of the whole input."""
        return sum(s.rows for s in self.slices)


def formats() -> tuple[Format, ...]:
    """Every readable format."""
    from beam_sts.io.jsonl import JsonLines
    from beam_sts.io.parquet import Parquet

    known: tuple[Format, ...] = (Parquet(), JsonLines())
    return known


def format_of(path: str) -> Format:
    """The format of a file, by its ending.

    Raises:
        UserError: no format has that ending.
    """
    for known in formats():
        if path.lower().endswith(known.suffixes):
            return known
    endings = ", ".join(ending for known in formats() for ending in known.suffixes)
    raise UserError(f"{path}: the format is not known by its ending; readable are {endings}")


def plan_input(pattern: str, rows_per_slice: int) -> InputPlan:
    """Find the input's files, read their schemas and cut them into slices.

    Files that differ in their columns are united: a column that a file lacks is null there, and a narrower
    type widens (int32 beside int64, for example).

    Args:
        pattern: path, folder, pattern or fsspec URL.
        rows_per_slice: most rows of a slice.

    Raises:
        UserError: nothing matches, a file cannot be read, or two files' columns cannot be united.
    """
    suffixes = tuple(ending for known in formats() for ending in known.suffixes)
    files = find_files(pattern, suffixes)
    units: list[list[Slice]] = []
    scans: list[FileScan] = []
    schema: pa.Schema | None = None
    count = 0
    for file in files:
        known = format_of(file.path)
        scan = known.scan(file.path, rows_per_slice)
        schema = scan.schema if schema is None else _unite(schema, scan.schema, file.path)
        numbered = [
            Slice(count + s.index, s.path, s.row, s.rows, s.byte_start, s.byte_stop, s.line)
            for s in scan.slices
        ]
        count += len(numbered)
        units += known.units(numbered)
        scans.append(scan)
    assert schema is not None
    return InputPlan(files, schema, units, [scan.content for scan in scans])


def _unite(first: pa.Schema, second: pa.Schema, path: str) -> pa.Schema:
    if first.equals(second):
        return first
    for name in first.names:
        if name in second.names:
            pair = [pa.schema([schema.field(name)]) for schema in (first, second)]
            try:
                pa.unify_schemas(pair, promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise UserError(
                    f"{path}: column {name!r} is {second.field(name).type} here and "
                    f"{first.field(name).type} in the files before it. Score the files apart, or cast it."
                ) from error
    return pa.unify_schemas([first.remove_metadata(), second.remove_metadata()], promote_options="permissive")


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A file's table under the input's schema: its order, absent columns null, types widened."""
    if table.schema.equals(schema, check_metadata=True):
        return table
    columns = [
        table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
