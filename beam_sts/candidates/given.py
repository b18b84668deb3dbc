"""Candidate pairs from another tool: a file of pairs of ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray, coded_pairs, pair_codes
from beam_sts.candidates.buckets import distinct_codes
from beam_sts.errors import UserError
from beam_sts.io.column_paths import listed
from beam_sts.io.ids import as_texts, ids_as_texts
from beam_sts.io.reading import InputPlan, plan_input, read_slices
from beam_sts.io.slices import ReadOptions, Slice

COLUMNS = ("id_a", "id_b")
COUNTS = ("rows", "unknown", "same")
"""The counts of ``GivenPairs``."""
_ROWS_AT_ONCE = 50_000


class GivenPairs(NamedTuple):
    """Distinct pairs a < b of texts, the number of rows, and of rows that are left out.

    ``unknown``: rows with an id that no text has. ``same``: rows whose two ids have the same text.
    """

    a: IntArray
    b: IntArray
    rows: int
    unknown: int
    same: int

    @property
    def counts(self) -> dict[str, int]:
        """The counts of rows."""
        return {name: getattr(self, name) for name in COUNTS}


def given_pairs(
    patterns: Sequence[str],
    ids: pa.Array | pa.ChunkedArray,
    options: ReadOptions | None = None,
    texts: IntArray | None = None,
) -> GivenPairs:
    """Read candidate pairs from files with the columns ``id_a`` and ``id_b``, in any supported format.

    Args:
        patterns: paths, folders, patterns or fsspec URLs.
        ids: the ids of n rows; compared as texts.
        options: how to read the files.
        texts: the number of the text of each row, shape (n,). None: the number of the row.

    Returns:
        The pairs as numbers of texts, and counts of rows.

    Raises:
        UserError: there is no file, a column is missing, or a row cannot be read.
    """
    known = as_texts(pa.chunked_array(ids) if isinstance(ids, pa.ChunkedArray) else ids)
    ends: list[list[IntArray]] = [[np.empty(0, np.int64)] for _ in COLUMNS]
    for plan in (plan_given(pattern, options) for pattern in patterns):
        for columns in chain.from_iterable(_ids_of(unit, plan.schema, options) for unit in plan.units):
            for end, column in zip(ends, columns, strict=True):
                end.append(find_ids(column, known, texts))
    return known_pairs(*map(np.concatenate, ends))


def find_ids(
    wanted: pa.Array | pa.ChunkedArray, ids: pa.Array | pa.ChunkedArray, texts: IntArray | None = None
) -> IntArray:
    """Find the texts that have some ids. One machine looks in all ids, Beam in those of a shard.

    Args:
        wanted: m ids, as texts.
        ids: the ids of n rows, as texts.
        texts: as for :func:`given_pairs`.

    Returns:
        The number of each text, -1 if no row has the id; shape (m,).

    >>> find_ids(pa.array(["b", "c", None]), pa.array(["a", "b"])).tolist()
    [1, -1, -1]
    """
    rows = np.asarray(pc.fill_null(pc.index_in(wanted, ids), -1)).astype(np.int64)
    return rows if texts is None else np.where(rows < 0, rows, np.append(texts, -1)[rows])


def known_pairs(a: IntArray, b: IntArray) -> GivenPairs:
    """Select the pairs of two different known texts. Beam calls this for some of the rows.

    Args:
        a: the text of the first id of each row, -1 if unknown; shape (rows,).
        b: the text of the second id, likewise.

    >>> found = known_pairs(np.array([3, 1, -1, 2]), np.array([1, 3, 0, 2]))
    >>> found.a.tolist(), found.b.tolist(), found.counts
    ([1], [3], {'rows': 4, 'unknown': 1, 'same': 1})
    """
    known = (a >= 0) & (b >= 0)
    same = known & (a == b)
    chosen = known & ~same
    codes = distinct_codes(pair_codes(a[chosen], b[chosen]))
    return GivenPairs(*coded_pairs(codes), len(a), int((~known).sum()), int(same.sum()))


def plan_given(pattern: str, options: ReadOptions | None = None) -> InputPlan:
    """Plan the reading of files of pairs.

    Args:
        pattern: one of those of ``given_pairs``.
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


def read_given(
    planned: tuple[list[Slice], pa.Schema, ReadOptions | None],
) -> Iterator[tuple[str | None, str | None]]:
    """The pairs in a unit of the plan, as texts."""
    unit, schema, options = planned
    for columns in _ids_of(unit, schema, options):
        yield from zip(*(column.to_pylist() for column in columns), strict=True)


def _ids_of(
    unit: Sequence[Slice], schema: pa.Schema, options: ReadOptions | None
) -> Iterator[list[pa.ChunkedArray]]:
    """The two id columns, as texts, of each part of a unit."""
    for part in read_slices(unit, schema, options=options):
        if part.bad:
            bad = part.bad[0]
            raise UserError(f"pairs {unit[0].path}: row {bad.row}: {bad.reason}.")
        yield [ids_as_texts(part.table, name) for name in COLUMNS]
