"""Candidate pairs that another tool proposed: a file of pairs of ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.corpus.buckets import IntArray
from beam_sts.errors import UserError
from beam_sts.io.schema import column_at
from beam_sts.io.slices import plan_input, read_slices

_ROWS_AT_ONCE = 50_000


class GivenPairs(NamedTuple):
    """Distinct pairs a < b of a file, its rows, and those left out: an unknown id, or one id twice."""

    a: IntArray
    b: IntArray
    rows: int
    unknown: int
    same: int


def given_pairs(
    pattern: str, ids: pa.Array | pa.ChunkedArray, columns: Sequence[str] = ("id_a", "id_b")
) -> GivenPairs:
    """Candidate pairs from files of ids, in any format that ``pipelines.score`` reads.

    Args:
        pattern: path, folder, pattern or fsspec URL.
        ids: of the n texts, in their order; compared as texts.
        columns: of the two ids.

    Raises:
        UserError: no file, or a column is missing.
    """
    plan = plan_input(pattern, _ROWS_AT_ONCE)
    for name in columns:
        if name not in plan.schema.names:
            listed = ", ".join(map(repr, plan.schema.names))
            raise UserError(f"pairs {pattern}: no column {name!r}; its columns are {listed}.")
    known = (
        pa.chunked_array(ids).cast(pa.string()) if isinstance(ids, pa.ChunkedArray) else ids.cast(pa.string())
    )
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    for unit in plan.units:
        for part in read_slices(unit, plan.schema):
            numbers = [
                np.asarray(
                    pc.fill_null(pc.index_in(column_at(part.table, name).cast(pa.string()), known), -1)
                )
                for name in columns
            ]
            found.append((numbers[0].astype(np.int64), numbers[1].astype(np.int64)))
    first, second = (np.concatenate([pair[at] for pair in found]) for at in (0, 1))
    missing = (first < 0) | (second < 0)
    same = ~missing & (first == second)
    first, second = first[~missing & ~same], second[~missing & ~same]
    pairs = np.unique(np.stack([np.minimum(first, second), np.maximum(first, second)]), axis=1)
    return GivenPairs(pairs[0], pairs[1], plan.rows, int(missing.sum()), int(same.sum()))
