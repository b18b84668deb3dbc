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
from beam_sts.io.ranges import read_ranges, row_ranges
from beam_sts.io.schema import check_unique
from beam_sts.io.slices import SLICES_PER_UNIT, FileScan, Slice, SliceData
from beam_sts.io.streams import described


class Parquet:
    """Slices are row ranges; those of a unit are read in one pass over its row groups."""

    name = "Parquet"
    suffixes: tuple[str, ...] = (".parquet", ".pq")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file from its footer alone."""
        with _open(path) as file:
            metadata = file.metadata
            # Offsets, sizes and statistics of every column chunk: an edited file has another footer.
            content = sha256(repr(metadata.to_dict()).encode()).hexdigest()
            schema = file.schema_arrow
        check_unique(schema.names, path)
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        largest = max(
            (group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=0
        )
        return FileScan(schema, row_ranges(path, metadata.num_rows, rows_per_slice, largest), content)

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """A few neighbouring slices together, so that a big row group is not decoded anew for each."""
        return [slices[i : i + SLICES_PER_UNIT] for i in range(0, len(slices), SLICES_PER_UNIT)]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, texts: Sequence[tuple[str, ...]]
    ) -> Iterator[SliceData]:
        """Stream the row groups that hold the unit and cut its slices out of them."""
        with _open(unit[0].path) as file:
            first, groups = _row_groups(file.metadata, unit[0].row, unit[-1].row + unit[-1].rows)
            batches = file.iter_batches(batch_size=min(unit[0].rows, 8192), row_groups=groups)
            yield from read_ranges(batches, first, unit, file.schema_arrow)


@contextmanager
def _open(path: str) -> Iterator[Any]:
    fs, inside = file_system(path)
    try:
        # Arrow's own reader for local files: several times faster than through a Python file object.
        source = inside if is_local(path) else fs.open(inside, "rb")
        file = pq.ParquetFile(source, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: not a readable Parquet file{described(path, 'Parquet')}: {error}"
        ) from error
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
