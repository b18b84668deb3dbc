"""Parquet files, in slices of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.errors import UserError
from beam_sts.io.carried_types import has_fixed_list
from beam_sts.io.files import fault_of_file, file_system, identify, is_local
from beam_sts.io.ranges import read_ranges, row_ranges
from beam_sts.io.schema import check_column_names
from beam_sts.io.slices import SLICES_PER_UNIT, FileScan, Slice, SliceData, changed, digest_of
from beam_sts.io.streams import described

_BLOCK = 1 << 20
_BATCH_BYTES = 256 << 20
_NEXT_I32 = 0x15  # Thrift's compact protocol: the next field is a 32-bit integer


class Parquet:
    """Slices are row ranges. The slices of a unit are read in one pass over their row groups."""

    name = "Parquet"
    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file from its footer. For a local file, also compute the digests of its bytes."""
        with _open(path) as file:
            metadata, schema = file.parquet.metadata, file.parquet.schema_arrow
            check_column_names(schema.names, path)
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            rows = [group.num_rows for group in groups]
            if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
                raise UserError(
                    f"{path}: damaged: its footer counts {metadata.num_rows:,} rows, its row groups "
                    f"{sum(rows):,}."
                )
            for field in schema:
                if has_fixed_list(field.type):
                    _check_fixed_lists(file, field.name)
            means = (group.total_byte_size / n for group, n in zip(groups, rows, strict=True) if n)
            ranges = row_ranges(path, metadata.num_rows, rows_per_slice, max(means, default=0))
            seen = _Seen(file)
            slices = [replace(part, content=seen.content(part)) for part in ranges]
            return FileScan(schema, slices, seen.content(Slice(0, path, 0, metadata.num_rows)))

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """Group a few neighbouring slices, so that a large row group is not decoded again for each."""
        return [slices[i : i + SLICES_PER_UNIT] for i in range(0, len(slices), SLICES_PER_UNIT)]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Stream the row groups that contain the unit, and cut its slices out of them."""
        path, stop = unit[0].path, unit[-1].row + unit[-1].rows
        with _open(path) as file:
            seen = _Seen(file)
            first, groups = _row_groups(file.parquet.metadata, unit[0].row, stop)
            size = min(unit[0].rows, 8192, max(1, _BATCH_BYTES // _largest_text(file, groups)))
            batches = file.parquet.iter_batches(batch_size=size, row_groups=groups)
            for part in unit:
                if seen.content(part) != part.content:
                    raise changed(path, part.row)
            for data in read_ranges(batches, first, unit, file.parquet.schema_arrow):
                if file.now() != file.version:
                    raise changed(path, data.slice.row)
                yield data


@dataclass(frozen=True)
class _File:
    """An open file. ``source`` reads its bytes. ``version`` is that at opening, ``now()`` the current one.

    The version of a local file is its size and modification time. That of a remote file comes from its store.
    """

    path: str
    parquet: Any
    source: Any
    size: int
    version: str
    now: Callable[[], str]


@contextmanager
def _open(path: str) -> Iterator[_File]:
    fs, inside = file_system(path)

    def version() -> str:
        if is_local(path):  # not by fileno() of Arrow's reader, which fails in pyarrow 23
            try:
                found = Path(inside).stat()
            except FileNotFoundError:
                return "removed"
            return f"{found.st_size} {found.st_mtime_ns}"
        known = identify(path)
        return f"{known.size} {known.identity}"

    with ExitStack() as stack:
        try:
            # Arrow's reader for local files is several times faster than a Python file object.
            source = stack.enter_context(pa.OSFile(inside) if is_local(path) else fs.open(inside, "rb"))
            before = version()
            parquet = stack.enter_context(pq.ParquetFile(source, pre_buffer=False))
        except (OSError, pa.ArrowException) as error:
            raise fault_of_file(
                error, f"{path}: not a readable Parquet file{described(path, 'Parquet')}: {error}"
            ) from error
        yield _File(path, parquet, source, int(before.partition(" ")[0]), before, version)


def _check_fixed_lists(file: _File, name: str) -> None:
    """Check that a column with lists of a fixed size can be read: Arrow cannot read them with nulls.

    Raises:
        UserError: it cannot be read.
    """
    try:
        for _ in file.parquet.iter_batches(columns=[name]):
            pass
    except (OSError, pa.ArrowException) as error:
        raise fault_of_file(
            error,
            f"{file.path}: column {name!r} has lists of a fixed size and cannot be read: {error}. Write it "
            "with lists of variable size, or without nulls.",
        ) from error


class _Seen:
    """Digests of a file: of its footer, which has all sizes and positions, and of each row group.

    Row groups are read for this in local files only. For a remote file, the version from its store is used.
    """

    def __init__(self, file: _File) -> None:
        self._file = file
        self._metadata = file.parquet.metadata
        local = is_local(file.path)
        size = self._metadata.serialized_size
        footer = _bytes_at(file.source, max(0, file.size - size - 8), size)
        self._footer = footer + (b"" if local else file.version.encode())
        self._group: Callable[[int], bytes] = cache(self._digest) if local else lambda index: b""
        if local:
            self._check()

    def content(self, part: Slice) -> str:
        """The digest of the row groups that contain a slice."""
        _, groups = _row_groups(self._metadata, part.row, part.row + part.rows)
        return digest_of(self._footer, *map(self._group, groups))

    def _chunks(self, index: int) -> list[tuple[int, int]]:
        """The position and size in bytes of each column of a row group."""
        group = self._metadata.row_group(index)
        columns = (group.column(at) for at in range(group.num_columns))
        return [
            (min(c.data_page_offset, c.dictionary_page_offset or c.data_page_offset), c.total_compressed_size)
            for c in columns
        ]

    def _check(self) -> None:
        chunks = [chunk for index in range(self._metadata.num_row_groups) for chunk in self._chunks(index)]
        total = sum(size for _, size in chunks)
        if min((min(chunk) for chunk in chunks), default=0) < 0 or total > self._file.size:
            raise UserError(f"{self._file.path}: damaged: its footer refers to more bytes than the file has.")

    def _digest(self, index: int) -> bytes:
        digest = blake2b(digest_size=16)
        for start, size in self._chunks(index):
            for place in range(start, start + size, _BLOCK):
                try:
                    digest.update(_bytes_at(self._file.source, place, min(_BLOCK, start + size - place)))
                except OSError as error:
                    raise fault_of_file(
                        error, f"{self._file.path}: cannot be read at byte {place:,}: {error}"
                    ) from error
        return digest.digest()


def _bytes_at(source: Any, start: int, size: int) -> bytes:
    source.seek(start)
    data: bytes = source.read(size)
    return data


def _largest_text(file: _File, groups: Sequence[int]) -> int:
    """The bytes of the largest texts that a row may hold; a small encoded page may expand to large texts.

    Args:
        file: the file.
        groups: the row groups that are read.
    """
    largest = 1
    for index in groups:
        group = file.parquet.metadata.row_group(index)
        columns = [group.column(at) for at in range(group.num_columns)]
        texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
        sizes = [
            column.total_uncompressed_size
            if "DELTA_BYTE_ARRAY" in column.encodings  # a text may be built from earlier texts
            else _page_size(file.source, column.dictionary_page_offset)
            for column in texts
            if column.dictionary_page_offset or "DELTA_BYTE_ARRAY" in column.encodings
        ]
        largest = max(largest, sum(sizes))
    return largest


def _page_size(source: Any, offset: int) -> int:
    """The decompressed size of a page in bytes: the second number in its header, after its type."""
    head = _bytes_at(source, offset, 32)
    numbers: list[int] = []
    place = 0
    while len(numbers) < 2 and place < len(head) and head[place] == _NEXT_I32:
        number, shift, place = 0, 0, place + 1
        while place < len(head):
            byte = head[place]
            number, shift, place = number | (byte & 0x7F) << shift, shift + 7, place + 1
            if byte < 0x80:
                break
        numbers.append(number >> 1)  # zigzag; sizes are positive
    return numbers[1] if len(numbers) == 2 else 0


def _row_groups(metadata: Any, start: int, stop: int) -> tuple[int, list[int]]:
    """The row groups that contain rows start to stop, and the first row of the first of these groups."""
    groups: list[int] = []
    begin = first = 0
    for index in range(metadata.num_row_groups):
        end = begin + metadata.row_group(index).num_rows
        if begin < stop and end > start:
            first = first if groups else begin
            groups.append(index)
        begin = end
    return first, groups
