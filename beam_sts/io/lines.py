"""The common part of line formats: records of one or more lines, in slices of whole records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.slices import (
    SLICE_BYTES,
    BadRow,
    FileScan,
    Slice,
    SliceData,
    changed,
    check_slices,
    digest_of,
)
from beam_sts.io.streams import COMPRESSIONS, LATIN, LINE_LIMIT, Line, codec_of, looks_like, read_lines


class Record(NamedTuple):
    """A parsed row, or why it cannot be parsed. ``line`` is its first line, ``raw`` all of its bytes."""

    line: Line
    raw: bytes
    value: Any = None
    fault: str | None = None


def overlong(line: Line) -> str | None:
    """Why a line that exceeds the limit is not read; None for other lines."""
    if line.size <= len(line.data):
        return None
    return f"line too long: {line.size >> 20:,} MiB, over the limit of {LINE_LIMIT >> 20} MiB"


def undecodable(error: UnicodeDecodeError, encoding: str | None) -> str:
    """Why bytes are not valid text. Suggests an option if they look like text in another encoding."""
    if encoding:
        return f"not valid {encoding}"
    byte = f"{error.reason} 0x{error.object[error.start]:02x}"
    if LATIN.search(error.object):
        return f"not valid UTF-8 (if the file is Windows-1252, give --encoding cp1252): {byte}"
    return f"not valid UTF-8: {byte}"


class LineFormat(ABC):
    """Slices are byte ranges of whole records, so that each can be read without the bytes before it.

    A compressed file, or one in another encoding than UTF-8, has no random access. It is one unit, read as
    one stream with one slice in memory at a time.
    """

    name: str
    endings: tuple[str, ...]
    encoding: str | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The plain endings, and each with the endings of compressions."""
        return tuple(end + packed for end in self.endings for packed in ("", *COMPRESSIONS))

    @abstractmethod
    def header(self, path: str, lines: Iterator[Line]) -> list[str]:
        """Read the column names from the lines; empty if the format or the file has none."""

    @abstractmethod
    def records(
        self, lines: Iterator[Line], header: list[str], texts: Sequence[tuple[str, ...]]
    ) -> Iterator[Record]:
        """Parse the lines after the header.

        Args:
            lines: the remaining lines.
            header: the column names.
            texts: the paths of the columns that must contain texts.
        """

    @abstractmethod
    def schema(self, path: str, header: list[str], values: Iterable[tuple[int, Any]]) -> pa.Schema:
        """The schema of a file, from its header and all values, each given with its size in bytes."""

    @abstractmethod
    def table(self, records: list[Record], header: list[str], schema: pa.Schema) -> pa.Table:
        """Parsed records as a table."""

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Read the file once, to count its rows, find their types and compute their digests."""
        slices: list[Slice] = []
        faults: list[str] = []
        lines = read_lines(path, encoding=self.encoding)
        header = self.header(path, lines)

        def values() -> Iterator[tuple[int, Any]]:
            row, start, first, stop, seen = 0, 0, None, 0, _digest(header)
            for record in self.records(lines, header, ()):
                line = record.line
                full = row - start == rows_per_slice or (first and line.offset - first.offset >= SLICE_BYTES)
                if first is None:
                    first = line
                elif full:
                    slices.append(_slice(slices, path, start, row, first, line.offset, seen))
                    check_slices(len(slices), path)
                    start, first, seen = row, line, _digest(header)
                _add(seen, record)
                row, stop = row + 1, line.offset + max(len(record.raw), line.size)
                if record.fault is None:
                    yield stop - line.offset, record.value
                elif not faults:
                    faults.append(f"line {line.number}: {record.fault}")
            if first is not None:
                slices.append(_slice(slices, path, start, row, first, stop, seen))

        schema = self.schema(path, header, values())
        if slices and not schema.names:
            found = looks_like(path)
            what = f"; by its first bytes it is {found}" if found else ""
            rows = sum(part.rows for part in slices)
            raise UserError(
                f"{path}: none of its {rows:,} lines is a JSON object with columns{what}. {''.join(faults)}"
            )
        contents = [part.content for part in slices]
        return FileScan(schema, slices, digest_of(repr((header, contents)).encode()))

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """Each slice alone, or all slices of a file that is decompressed or decoded."""
        if slices and (self.encoding or codec_of(slices[0].path)):
            return [slices]
        return [[part] for part in slices]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Parse the records of each slice. A record that cannot be parsed becomes a bad row."""
        path = unit[0].path
        header = self.header(path, read_lines(path, encoding=self.encoding))
        first, stop = unit[0], unit[-1].byte_stop
        lines = read_lines(path, start=first.byte_start, stop=stop, number=first.line, encoding=self.encoding)
        records = self.records(lines, header, texts)
        row = unit[0].row
        for part in unit:
            for _ in islice(records, part.row - row):
                pass
            good: list[Record] = []
            rows: list[int] = []
            bad: list[BadRow] = []
            row, seen = part.row, _digest(header)
            for record in islice(records, part.rows):
                _add(seen, record)
                if record.fault is None:
                    good.append(record)
                    rows.append(row)
                else:
                    shown = record.raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
                    bad.append(BadRow(row, f"line {record.line.number}: {record.fault}", shown))
                row += 1
            if row != part.row + part.rows or seen.hexdigest() != part.content:
                raise changed(path, part.row)
            yield SliceData(part, self.table(good, header, schema), rows, bad)
        if next(records, None) is not None:
            raise changed(path, row)


def _digest(header: list[str]) -> Any:
    return blake2b(repr(header).encode("utf-8", "surrogatepass"), digest_size=16)


def _add(digest: Any, record: Record) -> None:
    """Add a record to the digest, with its line number and size, which appear in messages."""
    digest.update(b"%d %d %d " % (record.line.number, record.line.size, len(record.raw)))
    digest.update(record.raw)


def _slice(
    before: list[Slice], path: str, start: int, row: int, first: Line, stop: int, digest: Any
) -> Slice:
    return Slice(
        len(before),
        path,
        start,
        row - start,
        first.offset,
        stop,
        first.number,
        content=digest.hexdigest(),
    )
