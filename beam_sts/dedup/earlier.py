"""Reads scored pairs from their shards: those of a run that is resumed, or of an earlier run.

One machine reads all pairs of an earlier run at once. Beam reads them part by part, and joins their ends with
the texts in shuffles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.candidates.given import find_ids
from beam_sts.dedup.decide import Edges
from beam_sts.dedup.distinct import DistinctTexts
from beam_sts.dedup.rows import Rows
from beam_sts.dedup.verdicts import VERDICT, MaxLost, Sizes, Verdicts
from beam_sts.errors import UserError
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import Slice

_PAIRS_AT_ONCE = 1 << 16
_OF_FACTS = ("differs", "lost_a", "lost_b")


class PlannedPairs(NamedTuple):
    """A part of the shards. ``read`` is the schema of the shards, ``schema`` the one that is wanted.

    ``compared``: the facts of pairs were compared with the guard of this run. Otherwise they are not read.
    """

    unit: list[Slice]
    read: pa.Schema
    schema: pa.Schema
    compared: bool = True


def pairs_schema(kind: pa.DataType, against: bool) -> pa.Schema:
    """The schema of shards of pairs. With another input it has ``b_in``, the input of the second row."""
    score, *more = VERDICT
    columns = [pa.field("id_a", kind), pa.field("id_b", kind), score, pa.field("source", pa.string()), *more]
    return pa.schema([*columns, *([pa.field("b_in", pa.string())] if against else [])])


def plan_pairs(pattern: str, schema: pa.Schema, *, compared: bool = True) -> list[PlannedPairs]:
    """Plan the reading of shards of pairs. The other arguments are as in ``PlannedPairs``."""
    plan = plan_input(pattern, _PAIRS_AT_ONCE)
    return [PlannedPairs(list(unit), plan.schema, schema, compared) for unit in plan.units]


def read_pair_shards(planned: Sequence[PlannedPairs], schema: pa.Schema) -> pa.Table:
    """Read the pairs of some parts, planned with this schema. Columns that are not there are null."""
    tables = (
        _filled(each.table, schema, () if part.compared else _OF_FACTS)
        for part in planned
        for each in read_slices(part.unit, part.read)
    )
    return pa.concat_tables([schema.empty_table(), *tables])


def _filled(table: pa.Table, schema: pa.Schema, without: Sequence[str]) -> pa.Table:
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names and field.name not in without
        else pa.chunked_array([pa.nulls(len(table), field.type)])
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def sides_of(table: pa.Table) -> NDArray[np.int8]:
    """The input of the second row of each pair: 1 for rows to compare against; shape (pairs,)."""
    if "b_in" not in table.column_names:
        return np.zeros(len(table), np.int8)
    return np.asarray(pc.equal(table.column("b_in"), "against")).astype(np.int8)


def read_scored(planned: PlannedPairs) -> Iterator[tuple[Any, ...]]:
    """Read the pairs of a part as ``DeduplicateTexts`` outputs them with ends (side, id)."""
    table = read_pair_shards([planned], planned.schema)
    columns = [column.to_pylist() for column in table.select(planned.schema.names[:9]).columns]
    for side, a, b, *found in zip(sides_of(table).tolist(), *columns, strict=True):
        yield (0, a), (side, b), *found


def known_verdicts(table: pa.Table, swapped: NDArray[np.bool_], sizes: Sizes, most: MaxLost) -> Verdicts:
    """The results of an earlier run for pairs of this one.

    Args:
        table: the results, with the columns of ``Verdicts.columns``; n rows.
        swapped: whether the earlier run had the ends of each pair in the other order, shape (n,).
        sizes: the characters of the texts, in the order of this run.
        most: as for ``bars_of``.
    """
    return Verdicts.read(table, sizes, None).turned(swapped).with_bars(sizes, most)


def read_edges(
    planned: Sequence[PlannedPairs], rows: Rows, distinct: DistinctTexts, max_lost: MaxLost, folder: str
) -> Edges:
    """Read the scored pairs of an earlier run as edges of distinct texts.

    Args:
        planned: all parts of the shards.
        rows: the rows, with their ids.
        distinct: the distinct texts of the rows.
        max_lost: as for ``bars_of``.
        folder: the folder of the shards, for messages.

    Raises:
        UserError: an id is not in the input.
    """
    table = read_pair_shards(planned, pairs_schema(rows.ids[0].type, len(rows.ids) > 1))
    of_side = np.split(distinct.of_row, [rows.own])
    ends = []
    for name, side in (("id_a", np.zeros(len(table), np.int8)), ("id_b", sides_of(table))):
        ids = table.column(name)
        found = [find_ids(ids, known, texts) for known, texts in zip(rows.ids, of_side, strict=False)]
        end = np.choose(side, found)
        if (end < 0).any():
            unknown = ids[int(np.flatnonzero(end < 0)[0])].as_py()
            raise UserError(
                f"{folder}: {name} {unknown!r} is not in the input. These pairs are of another input."
            )
        ends.append(end)
    a, b = np.minimum(*ends), np.maximum(*ends)
    keep = np.flatnonzero(a != b)
    keep = keep[np.lexsort((b[keep], a[keep]))]
    a, b, swapped = a[keep], b[keep], (ends[0] > ends[1])[keep]
    table = table.take(pa.array(keep))
    sizes = rows.characters[distinct.row[a]], rows.characters[distinct.row[b]]
    found_pairs = known_verdicts(table, swapped, sizes, max_lost)
    return Edges.of(a, b, table.column("source").combine_chunks(), found_pairs)
