"""Slices: ranges of rows of input files. A slice is the unit of work, of output and of recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.streams import check_encoding

# The slices of one row group are read in one pass. More slices would leave a large file to one worker.
SLICES_PER_UNIT = 8
# A slice is held in memory as a whole, so large rows make slices with fewer rows.
SLICE_BYTES = 64 << 20
MOST_SLICES = 1_000_000
"""The most shards that six digits can number. Damaged footers may claim more."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading that the files themselves do not contain.

    ``delimiter`` separates the fields of CSV and TSV files, by default a comma or a tab. ``quotes`` says
    whether double quotes enclose fields. ``encoding`` is the Python codec of line formats, by default UTF-8.
    ``raw`` carries the original text of each row of JSON Lines, for output in the same format.
    """

    delimiter: str | None = None
    quotes: bool = True
    encoding: str | None = None
    raw: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> ReadOptions:
        r"""Make options from the ``delimiter``, ``quotes``, ``encoding`` and ``output_format`` of a command.

        Raises:
            UserError: the delimiter is not valid, or the encoding is not known.

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

    ``index`` numbers the shards over all files. Rows count from 0 within the file. The byte range (of the
    decompressed file) and the number of the first line (from 1) are used by line formats only. ``partitions``
    are the partition columns of the file's folders. ``content`` is the digest of these rows at planning,
    which is compared at reading: of the records of lines, of the batches of Arrow files, of the bytes of
    local Parquet files, and of the footer and the store's version of remote ones.
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
    """A row that cannot be processed: its number in the file, the reason, and the line if unparsable."""

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
    """The result of planning a file: its schema, and its slices, numbered from 0."""

    schema: pa.Schema
    slices: list[Slice]
    content: str = ""

    @property
    def rows(self) -> int:
        """The number of rows of the file."""
        return sum(s.rows for s in self.slices)


class Format(Protocol):
    """A file format: how to plan a file, and how to read its slices."""

    @property
    def name(self) -> str:
        """The name of the format in messages."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of its files."""
        ...

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file.

        Raises:
            UserError: the file cannot be read.
        """
        ...

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """Group the slices of a file into units that are best read in one pass."""
        ...

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Read the slices of one unit, in order, each with the columns of the file.

        Args:
            unit: slices of one file, in order, possibly with gaps.
            schema: the schema of the whole input, for formats whose files have none.
            texts: the paths of the columns that must contain texts, for formats with columns of mixed types.
        """
        ...


def changed(path: str, row: int) -> UserError:
    """The error for a file that has changed since it was planned, noticed at the rows from ``row``."""
    return UserError(
        f"{path}: changed while it was read: its rows from {row:,} are not those that this run has planned. "
        "Start again."
    )


def check_slices(count: int, path: str) -> None:
    """Check that an input does not make more shards than can be numbered.

    Raises:
        UserError: it does.
    """
    if count > MOST_SLICES:
        raise UserError(
            f"{path}: would make {count:,} shards or more, over the limit of {MOST_SLICES:,}. Give a larger "
            "--rows_per_shard, or fewer files. If it does not have so many rows, the file is damaged."
        )


def digest_of(*parts: bytes) -> str:
    """A digest of several byte strings: BLAKE2b, the fastest hash of Python's hashlib on any processor."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()
