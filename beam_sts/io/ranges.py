"""Row ranges from a stream of record batches, for the columnar formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError
from beam_sts.io.files import fault_of_file
from beam_sts.io.slices import SLICE_BYTES, Slice, SliceData, check_slices

LARGEST_SLICE = 1 << 30
"""The most bytes of a decoded slice. Planning knows only the mean size of rows."""


def row_ranges(path: str, rows: int, rows_per_slice: int, largest_row: float) -> list[Slice]:
    """Cut a file into slices of rows.

    Args:
        path: the file.
        rows: the number of rows of the file.
        rows_per_slice: the most rows in a slice.
        largest_row: the mean bytes of a row in the part with the largest rows. Large rows make shorter
            slices.
    """
    fitting = max(1, int(SLICE_BYTES / largest_row)) if largest_row else rows_per_slice
    size = min(rows_per_slice, fitting)
    check_slices(rows // size, path)
    return [
        Slice(index, path, start, min(size, rows - start)) for index, start in enumerate(range(0, rows, size))
    ]


def read_ranges(
    batches: Iterator[pa.RecordBatch], row: int, unit: Sequence[Slice], schema: pa.Schema
) -> Iterator[SliceData]:
    """Read the slices of a unit.

    Args:
        batches: a stream of rows of the file.
        row: the number of the first row in the stream.
        unit: slices in ascending order.
        schema: the schema of the file.

    Raises:
        UserError: the file is damaged or ends too early, or its rows are much larger than planned.
    """
    rest: pa.RecordBatch | None = None
    for part in unit:
        pieces, stop, size = [], part.row + part.rows, 0
        while row < stop:
            try:
                batch = rest if rest is not None else next(batches, None)
            except (OSError, pa.ArrowException) as error:
                raise fault_of_file(error, f"{part.path}: rows from {row} cannot be read: {error}") from error
            if batch is None:
                raise UserError(
                    f"{part.path}: changed while it was read, or is damaged: it ends before row {row:,}, "
                    "although its footer counts more rows. Start again. If the error persists, "
                    "write the file again."
                )
            skip, used = max(0, part.row - row), min(len(batch), stop - row)
            if used > skip:
                pieces.append(batch.slice(skip, used - skip))
                size += _decoded_bytes(pieces[-1])
                if size > LARGEST_SLICE:
                    raise UserError(
                        f"{part.path}: rows {part.row:,} to {row + used:,} take more than "
                        f"{LARGEST_SLICE >> 20:,} MiB. Give a --rows_per_shard of less than "
                        f"{min(part.rows, row + used - part.row):,}, or shorten the texts."
                    )
            rest = batch.slice(used) if used < len(batch) else None
            row += used
        table = pa.Table.from_batches(pieces, schema=schema)
        yield SliceData(part, table, range(part.row, stop))


def _decoded_bytes(batch: pa.RecordBatch) -> int:
    """The bytes of a batch with dictionaries decoded; a small one may expand to rows of any size."""
    try:
        size = int(batch.nbytes)
    except pa.ArrowException:  # pyarrow 23 does not count views
        size = int(batch.get_total_buffer_size())
    for column in batch.columns:
        kind = column.type
        if pa.types.is_dictionary(kind) and _has_lengths(kind.value_type):
            lengths = pc.binary_length(column.dictionary)
            size += pc.sum(lengths.take(column.indices)).as_py() or 0
    return size


def _has_lengths(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)
