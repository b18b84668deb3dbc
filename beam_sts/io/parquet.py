"""Parquet in slices of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.errors import UserError
from beam_sts.io.files import file_system, is_local
from beam_sts.io.slices import SLICES_PER_UNIT, FileScan, Slice, SliceData, conform


class Parquet:
    """Slices are row ranges; those of a unit are read in one pass over its row groups."""

    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file from its footer alone."""
        with _open(path) as file:
            metadata = file.metadata
            rows = metadata.num_rows
            # Offsets, sizes and statistics of every column chunk: an edited file has another footer.
            content = sha256(repr(metadata.to_dict()).encode()).hexdigest()
            schema = file.schema_arrow
        names = schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"{path}: column {twice[0]!r} is there twice. Rename one of them.")
        starts = range(0, rows, rows_per_slice)
        slices = [
            Slice(index, path, start, min(rows_per_slice, rows - start)) for index, start in enumerate(starts)
        ]
        return FileScan(schema, slices, content)

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """A few neighbouring slices together, so that a big row group is not decoded anew for each."""
        return [slices[i : i + SLICES_PER_UNIT] for i in range(0, len(slices), SLICES_PER_UNIT)]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, text_columns: Sequence[str]
    ) -> Iterator[SliceData]:
        """Stream the row groups that hold the unit and cut its slices out of them."""
        with _open(unit[0].path) as file:
            first, groups = _row_groups(file.metadata, unit[0].row, unit[-1].row + unit[-1].rows)
            wanted = unit[0].rows
            rows = _Rows(file.iter_batches(batch_size=min(wanted, 8192), row_groups=groups), first)
            for part in unit:
                try:
                    table = rows.take(part.row, part.rows, file.schema_arrow)
                except (OSError, pa.ArrowException) as error:
                    raise UserError(f"{part.path}: rows from {part.row} cannot be read: {error}") from error
                yield SliceData(part, conform(table, schema), range(part.row, part.row + part.rows))


@contextmanager
def _open(path: str) -> Iterator[Any]:
    fs, inside = file_system(path)
    try:
        # Arrow's own reader for local files: several times faster than through a Python file object.
        source = inside if is_local(path) else fs.open(inside, "rb")
        file = pq.ParquetFile(source, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file: {error}") from error
    with file:
        yield file


def _row_groups(metadata: Any, start: int, stop: int) -> tuple[int, list[int]]:
    """The row groups that hold rows start to stop, and the first row of the first of them."""
    groups: list[int] = []
    begin = first = 0
    for index in range(metadata.num_row_groups):
        end = begin + metadata.row_group(index).num_rows
        if begin < stop and end > start:
            first = first if groups else begin
            groups.append(index)
        begin = end
    return first, groups


class _Rows:
    """A stream of record batches from which row ranges are taken in ascending order."""

    def __init__(self, batches: Iterator[pa.RecordBatch], row: int) -> None:
        self._batches = batches
        self._row = row
        self._rest: pa.RecordBatch | None = None

    def take(self, start: int, rows: int, schema: pa.Schema) -> pa.Table:
        parts, stop = [], start + rows
        while self._row < stop:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                raise OSError(f"the file ends before row {stop}")
            skip, size = max(0, start - self._row), len(batch)
            used = min(size, stop - self._row)
            if used > skip:
                parts.append(batch.slice(skip, used - skip))
            self._rest = batch.slice(used) if used < size else None
            self._row += used
        return pa.Table.from_batches(parts, schema=schema)
