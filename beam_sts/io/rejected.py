"""The shards of rejected rows: the origin of each row, the reason, and the row itself."""

from __future__ import annotations

import pyarrow as pa

from beam_sts.arrays import one_array
from beam_sts.io.carried_types import loosened
from beam_sts.io.slices import SliceData


def rejected_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of rejected rows. A row is a record of the input's schema, or an unparsable line."""
    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("row", pa.int64(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("record", pa.struct([loosened(field) for field in schema])),
            pa.field("line", pa.string()),
        ]
    )


def rejected_table(data: SliceData, bad: list[int], reasons: list[str], schema: pa.Schema) -> pa.Table:
    """The rejected rows of a slice, in row order.

    Args:
        data: the slice as read. Its bad rows are part of the result.
        bad: indices of further bad rows in its table.
        reasons: the reason for each of ``bad``.
        schema: from ``rejected_schema``.
    """
    records = one_array(data.table.take(pa.array(bad, pa.int64())).to_struct_array())
    rows = [
        *(
            (data.rows[i], reason, position, None)
            for position, (i, reason) in enumerate(zip(bad, reasons, strict=True))
        ),
        *((row.row, row.reason, None, row.line) for row in data.bad),
    ]
    rows.sort(key=lambda row: row[0])
    return pa.Table.from_arrays(
        [
            pa.array([data.slice.path] * len(rows), pa.string()),
            pa.array([row for row, _, _, _ in rows], pa.int64()),
            pa.array([reason for _, reason, _, _ in rows], pa.string()),
            records.cast(schema.field("record").type).take(pa.array([p for _, _, p, _ in rows], pa.int64())),
            pa.array([line for _, _, _, line in rows], pa.string()),
        ],
        schema=schema,
    )
