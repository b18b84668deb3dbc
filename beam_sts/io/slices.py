"""Input files as slices of rows: the unit of work, of output and of recovery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import pyarrow as pa

from beam_sts.errors import UserError
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

    ``delimiter`` separates the fields of CSV and TSV files, by default a comma or a tab; ``quotes`` says
    whether double quotes enclose fields; ``encoding`` is that of line formats, a codec of Python, by default
    UTF-8.
    ``raw`` carries each row of JSON Lines as it is besides its columns, for output in the same format.
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
