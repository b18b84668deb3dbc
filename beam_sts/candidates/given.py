"""Candidate pairs from another tool: a file of pairs of ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray
from beam_sts.errors import UserError
from beam_sts.io.column_paths import listed
from beam_sts.io.ids import as_texts, ids_as_texts
from beam_sts.io.reading import InputPlan, plan_input, read_slices
from beam_sts.io.slices import ReadOptions, Slice

COLUMNS = ("id_a", "id_b")
_ROWS_AT_ONCE = 50_000


class GivenPairs(NamedTuple):
    """Distinct pairs a < b of a file, its number of rows, and of those left out: unknown ids, equal ids."""

    a: IntArray
    b: IntArray
    rows: int
    unknown: int
    same: int


def given_pairs(
    pattern: str, ids: pa.Array | pa.ChunkedArray, options: ReadOptions | None = None
) -> GivenPairs:
    """Read candidate pairs from files with the columns ``id_a`` and ``id_b``, in any supported format.

    Args:
        pattern: a path, folder, pattern or fsspec URL.
        ids: the ids of the n texts, in the order of the texts; compared as texts.
        options: how to read the files.

    Returns:
        The pairs as numbers of texts, and counts of rows.

    Raises:
        UserError: there is no file, a column is missing, or a row cannot be read.
    """
    plan = plan_given(pattern, options)
    known = pa.chunked_array(ids) if isinstance(ids, pa.ChunkedArray) else ids
    known = as_texts(known)
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for unit in plan.units:
        for columns in _ids_of(unit, plan.schema, options):
            first, second = (
                np.asarray(pc.fill_null(pc.index_in(column, known), -1)).astype(np.int64)
                for column in columns
            )
            found.append((first, second))
    first, second = (np.concatenate([pair[at] for pair in found]) for at in (0, 1))
    missing = (first < 0) | (second < 0)
    same = ~missing & (first == second)
    first, second = first[~missing & ~same], second[~missing & ~same]
    pairs = np.unique(np.stack([np.minimum(first, second), np.maximum(first, second)]), axis=1)
    return GivenPairs(pairs[0], pairs[1], plan.rows, int(missing.sum()), int(same.sum()))


def plan_given(pattern: str, options: ReadOptions | None = None) -> InputPlan:
    """Plan the reading of files of pairs.

    Args:
        pattern: as for ``given_pairs``.
        options: how to read the files.

    Raises:
        UserError: there is no file, or a column is missing.
    """
    plan = plan_input(pattern, _ROWS_AT_ONCE, options, "--candidates pairs:")
    for name in COLUMNS:
        if name not in plan.schema.names:
            there = listed(plan.schema.names)
            alone = " --delimiter sets the separator." if len(plan.schema.names) == 1 else ""
            raise UserError(f"pairs {pattern}: no column {name!r}; its columns are {there}.{alone}")
    return plan


def read_given(planned: tuple[list[Slice], pa.Schema, ReadOptions | None]) -> Iterator[tuple[str, str]]:
    """The pairs in a unit of the plan, as texts. A null becomes an empty text."""
    unit, schema, options = planned
    for columns in _ids_of(unit, schema, options):
        yield from zip(*(pc.fill_null(column, "").to_pylist() for column in columns), strict=True)


def _ids_of(
    unit: Sequence[Slice], schema: pa.Schema, options: ReadOptions | None
) -> Iterator[list[pa.ChunkedArray]]:
    """The two id columns, as texts, of each part of a unit."""
    for part in read_slices(unit, schema, options=options):
        if part.bad:
            bad = part.bad[0]
            raise UserError(f"pairs {unit[0].path}: row {bad.row}: {bad.reason}.")
        yield [ids_as_texts(part.table, name) for name in COLUMNS]
