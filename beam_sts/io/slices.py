"""Input files as slices of rows: the unit of work, of output and of recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Protocol

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.files import InputFile, find_files
from beam_sts.io.missing import readable
from beam_sts.io.schema import (
    carried,
    check_names,
    check_width,
    conform,
    find_path,
    partition_values,
    raw_last,
    unite,
)
from beam_sts.io.streams import check_encoding

# Slices of one row group are read in one pass; more of them would leave a big file to one worker.
SLICES_PER_UNIT = 8
# A slice is in memory as a whole, so large rows make slices of fewer rows.
SLICE_BYTES = 64 << 20
MOST_SLICES = 1_000_000
"""Shards that six digits number; a damaged footer claims rows for more."""


@dataclass(frozen=True)
class ReadOptions:
    """What the files do not say themselves.

    ``delimiter`` parts the fields of CSV and TSV files, by default a comma or a tab; ``quotes`` says whether
    double quotes enclose fields; ``encoding`` is that of line formats, a codec of Python, by default UTF-8.
    ``raw`` carries each row of JSON Lines as it stands besides its columns, for output in the same format.
    """

    delimiter: str | None = None
    quotes: bool = True
    encoding: str | None = None
    raw: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ReadOptions:
        r"""How to read, from a command's ``delimiter``, ``quotes``, ``encoding`` and ``output_format``.

        Raises:
            UserError: the delimiter is none, or the encoding is not known.

        >>> ReadOptions.of({"delimiter": r"\t", "quotes": "off", "encoding": "latin1"})
        ReadOptions(delimiter='\t', quotes=False, encoding='iso8859-1', raw=False)
        """
        given: str | None = settings.get("delimiter")
        delimiter = "\t" if given in ("\\t", "tab") else given
        if delimiter is not None and (
            len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0'
        ):
            raise UserError(
                f"--delimiter {given!r}: must be one ASCII character, such as ';', or the word tab."
            )
        encoding = settings.get("encoding")
        return cls(
            delimiter,
            settings.get("quotes", "on") == "on",
            check_encoding(encoding) if encoding else None,
            settings.get("output_format") == "jsonl",
        )


@dataclass(frozen=True)
class Slice:
    """Consecutive rows of one file, which become one output shard.

    ``index`` numbers the shards over all files; rows count from 0 within the file; the bytes (of the
    decompressed file) and the first line's number (from 1) matter to line formats only. ``partitions`` are
    the columns that the file's folders add. ``content`` is the digest of what planning saw of these rows, to
    which reading compares what it sees: of the records of lines, of the batches of Arrow files, of the bytes
    of local Parquet files, and of the footer and the store's version of remote ones.
    """

    index: int
    path: str
    row: int
    rows: int
    byte_start: int = 0
    byte_stop: int = 0
    line: int = 1
    partitions: tuple[tuple[str, str | None], ...] = ()
    content: str = ""


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

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of its files."""
        ...

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
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Read the slices of one unit, in order, each with the columns of the file.

        Args:
            unit: slices of one file, in order, perhaps with gaps.
            schema: the whole input's, for formats whose files have none.
            texts: paths of the columns that must hold texts, for formats whose columns hold anything.
        """
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


def changed(path: str, row: int) -> UserError:
    """The error of a file that is not what it was when it was planned, seen at the rows from ``row``."""
    return UserError(
        f"{path}: changed while it was read: its rows from {row:,} are not those that this run has planned. "
        "Start again."
    )


def check_slices(count: int, path: str) -> None:
    """See that an input does not make more shards than are numbered.

    Raises:
        UserError: it would.
    """
    if count > MOST_SLICES:
        raise UserError(
            f"{path}: would make {count:,} shards or more, over the limit of {MOST_SLICES:,}. Give a larger "
            "--rows_per_shard, or fewer files; unless so many rows are there, the file is damaged."
        )


def digest_of(*parts: bytes) -> str:
    """A digest of several byte strings: BLAKE2b, the fastest of Python's on any processor."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()


def formats(options: ReadOptions | None = None) -> tuple[Format, ...]:
    """Every readable format."""
    from beam_sts.io.arrow import Arrow
    from beam_sts.io.delimited import Delimited
    from beam_sts.io.jsonl import JsonLines
    from beam_sts.io.parquet import Parquet

    options = options or ReadOptions()
    return (
        Parquet(),
        JsonLines(options.encoding, options.raw),
        Delimited("CSV", (".csv",), options),
        Delimited("TSV", (".tsv", ".tab"), options, "\t"),
        Arrow(),
    )


def format_of(path: str, options: ReadOptions | None = None) -> Format:
    """The format of a file, by its ending.

    Raises:
        UserError: no format has that ending.
    """
    for known in formats(options):
        if path.lower().endswith(known.suffixes):
            return known
    raise UserError(
        f"{path}: the format is not known by its ending. Readable: {readable(_endings())}. "
        "Rename the file or convert it."
    )


def _endings() -> tuple[str, ...]:
    return tuple(ending for known in formats() for ending in known.suffixes)


def plan_input(
    pattern: str, rows_per_slice: int, options: ReadOptions | None = None, flag: str = "--input"
) -> InputPlan:
    """Find the input's files, read their schemas and cut them into slices.

    Files that differ in their columns are united by the rule of ``beam_sts.io.schema``. A folder named
    ``name=value`` adds a column of texts to the files below it that do not have that column themselves.

    Args:
        pattern: path, folder, pattern or fsspec URL.
        rows_per_slice: most rows of a slice.
        options: how to read.
        flag: the option that gives the pattern, for messages.

    Raises:
        UserError: nothing matches, a file cannot be read, no file has columns, or two files' columns cannot
            be united.
    """
    files = find_files(pattern, _endings(), flag)
    units: list[list[Slice]] = []
    contents: list[str] = []
    schema = pa.schema([])
    count = 0
    for file in files:
        known = format_of(file.path, options)
        scan = known.scan(file.path, rows_per_slice)
        contents.append(scan.content)
        if not scan.schema.names:  # an empty file of lines
            continue
        own = set(scan.schema.names)
        check_width(len(own), file.path)
        added = {name: value for name, value in partition_values(file.path).items() if name not in own}
        check_names([*added], file.path)
        columns = [*carried(scan.schema, file.path), *(pa.field(name, pa.string()) for name in added)]
        schema = unite(schema, pa.schema(columns), file.path)
        partitions = tuple(added.items())
        numbered = [replace(s, index=count + s.index, partitions=partitions) for s in scan.slices]
        count += len(numbered)
        units += known.units(numbered)
        check_slices(count, file.path)
    if not schema.names:
        raise UserError(f"{flag} {pattern}: no rows and no column names in it: {files[0].path} is empty.")
    return InputPlan(files, raw_last(schema), units, contents)


def read_slices(
    unit: Sequence[Slice],
    schema: pa.Schema,
    text_columns: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> Iterator[SliceData]:
    """Read the slices of one unit, in order, each as a table of the whole input's schema.

    Args:
        unit: slices of one file, in order, perhaps with gaps.
        schema: the whole input's.
        text_columns: columns that must hold texts, nested ones by path.
        options: as the input was planned with.

    Raises:
        UserError: the file cannot be read, or is not what it was when it was planned.
    """
    path, partitions = unit[0].path, unit[0].partitions
    texts = [way for name in text_columns if (way := find_path(schema, name))]
    for data in format_of(path, options).read(unit, schema, texts):
        yield replace(data, table=conform(data.table, schema, path, partitions))
