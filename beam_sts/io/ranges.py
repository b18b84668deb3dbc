"""Row ranges cut out of a stream of record batches: how the columnar formats read their slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.slices import SLICE_BYTES, Slice, SliceData


def row_ranges(path: str, rows: int, rows_per_slice: int, largest_row: float) -> list[Slice]:
    """Cut a file into slices of rows.

    Args:
        path: the file.
        rows: of the file.
        rows_per_slice: most rows of a slice.
        largest_row: mean bytes of a row where rows are largest; big rows make shorter slices.
    """
    fitting = max(1, int(SLICE_BYTES / largest_row)) if largest_row else rows_per_slice
    size = min(rows_per_slice, fitting)
    return [
        Slice(index, path, start, min(size, rows - start)) for index, start in enumerate(range(0, rows, size))
    ]


def read_ranges(
    batches: Iterator[pa.RecordBatch], row: int, unit: Sequence[Slice], schema: pa.Schema
) -> Iterator[SliceData]:
    """The slices of a unit.

    Args:
        batches: a stream of the file's rows.
        row: number of the stream's first row.
        unit: slices in ascending order.
        schema: the file's.

    Raises:
        UserError: the file is damaged or ends too early.
    """
    rest: pa.RecordBatch | None = None
    for part in unit:
        pieces, stop = [], part.row + part.rows
        while row < stop:
            try:
                batch = rest if rest is not None else next(batches, None)
            except (OSError, pa.ArrowException) as error:
                raise UserError(f"{part.path}: rows from {row} cannot be read: {error}") from error
            if batch is None:
                raise UserError(
                    f"{part.path}: changed while it was read: it ends before row {stop}. Start again."
                )
            skip, used = max(0, part.row - row), min(len(batch), stop - row)
            if used > skip:
                pieces.append(batch.slice(skip, used - skip))
            rest = batch.slice(used) if used < len(batch) else None
            row += used
        table = pa.Table.from_batches(pieces, schema=schema)
        yield SliceData(part, table, range(part.row, stop))
