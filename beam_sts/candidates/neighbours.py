"""Candidates by nearest neighbours: the top k by embedding, and the top k by shared rare shingles.

``lexical_neighbours`` ranks by tf-idf cosine over shingles. It finds texts that share little except something
rare (such as a part number), below any MinHash threshold. ``neighbours`` ranks by an embedding, such as
``static_embedding``, and finds paraphrases that share no shingle. It compares the members of cells
(``beam_sts.candidates.cells``). One machine processes the cells in turn; Beam
(``beam_sts.candidates.beam_neighbours``) processes them in parallel. ``beam_sts.candidates.beam_nearest`` is
the counterpart of ``lexical_neighbours``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_starts, rank_in_group
from beam_sts.candidates.cells import (
    CellRule,
    Cells,
    Sampled,
    cells_report,
    cut_cells,
    draw_vectors,
    split_crowded,
)
from beam_sts.candidates.dense import ROWS_AT_ONCE, nearest_points, step, whole_points
from beam_sts.candidates.keys import parse_shingle
from beam_sts.candidates.tf_idf import UNIT, WORK, TfIdf, nearest_rows, shingle_frequency

NearestPoints = tuple[IntArray, IntArray, IntArray]
"""Queries, one neighbour each, and their products; sorted by query, nearest first."""
NearestSearch = Callable[[Any, Any, int], NearestPoints]
"""Takes queries, points and the number of neighbours of each query."""


class Neighbours(NamedTuple):
    """Distinct pairs a < b in ascending order, and the cosine of each: int64, int64, float32 of (pairs,).

    ``report``: from ``cells_report``; empty for ``lexical_neighbours``.
    """

    a: IntArray
    b: IntArray
    cosine: NDArray[np.float32]
    report: dict[str, int]


def lexical_neighbours(
    texts: pa.Array | pa.ChunkedArray,
    k: int,
    *,
    shingle: str = "char4",
    least: float = 0.0,
    side: NDArray[np.integer] | None = None,
    asks: Sequence[int] = (0, 1),
    work: int = WORK,
    threads: int | None = None,
) -> Neighbours:
    """Pair each text with the k texts whose tf-idf vectors over shingles are nearest.

    A shingle has the weight (1 + log count) * log((n + 1) / (texts with it + 1)), hashed into 4 million
    columns. The most frequent shingles, which weigh least, are left out until the comparison takes at most
    ``work`` multiplications per text. Result and order do not depend on threads or machine.

    Args:
        texts: n texts; null and empty texts are in no pair.
        k: the number of neighbours of each text, at least 1.
        shingle: ``charN`` or ``wordN``, as for ``MinHash``.
        least: the lowest cosine of a pair.
        side: 0 or 1 for each text, shape (n,). If given, neighbours are searched on the other side only.
        asks: if there are sides, those whose texts get neighbours.
        work: the most multiplications per text.
        threads: the number of threads; by default all cores.

    Returns:
        The distinct pairs and their cosines.

    Raises:
        UserError: ``shingle`` is not valid.

    >>> texts = pa.array(["printer LX-350 black", "needle printer lx-350", "black shoe", "red shoes"])
    >>> near = lexical_neighbours(texts, 1, least=0.1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 1), (2, 3)]
    """
    unit, size = parse_shingle(shingle)
    weights = TfIdf.of(shingle_frequency(texts, unit, size), len(texts), unit, size, work)
    vectors = weights.vectors(texts)
    floor = max(int(least * UNIT * UNIT) - 1, 0)

    def search(queries: Any, points: Any, count: int) -> NearestPoints:
        return nearest_rows(queries, points, min(count, points.shape[0]), floor=floor, threads=threads)

    whole = VectorBlock(0, vectors, _sides(side, vectors.shape[0]))
    owner, code, product = nearest_in_blocks(whole, [whole], k, search, asks=() if side is None else asks)
    other = code & PLACE
    return _as_pairs(owner, other, (product / (UNIT * UNIT)).astype(np.float32), {})


def neighbours(
    vectors: NDArray[np.floating],
    k: int,
    *,
    least: float = -1.0,
    side: NDArray[np.integer] | None = None,
    asks: Sequence[int] = (0, 1),
    names: Callable[[IntArray], Sequence[Any]] = np.ndarray.tolist,
    rule: CellRule | None = None,
) -> Neighbours:
    """Pair each vector with the k nearest by cosine among those that share a cell with it.

    Up to 50,000 vectors are in one cell, so all are compared. With more, the report has an estimate of the
    share of the exact result that is found (``recall_of``).

    Coordinates are rounded to whole numbers of about nine to eleven bits, so that neither threads nor machine
    change the result. Among equals the lower number is chosen.

    Args:
        vectors: shape (n, dimensions); a row of zeros has no neighbours.
        k: the number of neighbours of each vector, at least 1.
        least: the lowest cosine of a pair.
        side: 0 or 1 for each vector, shape (n,). If given, neighbours are searched on the other side only.
        asks: if there are sides, those whose vectors get neighbours.
        names: the ids of vectors, from their numbers. The members of a crowded cell are split by their ids.
        rule: decides the number of cells.

    Returns:
        The distinct pairs, their cosines, and a report of the search.

    Raises:
        UserError: a value is not finite.

    >>> near = neighbours(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.0, 0.0]]), 1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 2), (1, 2)]
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    points, unit = whole_points(vectors), step(vectors.shape[1])
    real = np.flatnonzero(points.any(axis=1))
    of_real = _Points(
        points if len(real) == len(points) else points[real],
        _sides(side, len(points))[real],
        () if side is None else tuple(asks),
        lambda rows: names(real[rows]),
    )
    del vectors, points  # frees their memory during the search, unless the caller keeps them
    best, report = _search_cells(of_real, k, rule or CellRule())
    owner, column = np.nonzero(best != _NONE)
    key = best[owner, column]
    cosine = ((_LIFT - (key >> 32)) / unit**2).astype(np.float32)
    enough = cosine >= least
    return _as_pairs(real[owner[enough]], real[key[enough] & PLACE], cosine[enough], report)


class _Points(NamedTuple):
    """Vectors of integers, their sides, the sides that get neighbours (if any), and a function for ids."""

    points: NDArray[np.int16]
    side: NDArray[np.integer]
    asks: tuple[int, ...]
    names: Callable[[IntArray], Sequence[Any]]

    def block(self, rows: IntArray) -> VectorBlock:
        """Make a block of some vectors, for a comparison."""
        return VectorBlock(0, self.points[rows].astype(np.float32), self.side[rows])


_NONE = np.iinfo(np.int64).max
_LIFT = 1 << 30  # larger than every product


def _search_cells(of: _Points, k: int, rule: CellRule) -> tuple[IntArray, dict[str, int]]:
    """Returns keys of the k nearest of each vector, ``_NONE`` for missing ones, and a report.

    A key is (lift - product) << 32 | number, so keys sort the nearest first, the lower number among equals.
    """
    cells, sampled = _cut(of, k, rule)
    joined = np.empty((len(of.points), cells.joined), np.int64)
    for start in range(0, len(joined), ROWS_AT_ONCE):
        joined[start : start + ROWS_AT_ONCE] = cells.of(of.points[start : start + ROWS_AT_ONCE])
    members_of = dict(enumerate(np.bincount(joined.ravel(), minlength=cells.count).tolist()))
    cells = replace(cells, parts=split_crowded(rule, len(of.points), members_of))
    codes = cells.codes(joined, of.names).ravel()
    del joined
    order = np.argsort(codes, kind="stable")
    starts = group_starts(codes[order])
    del codes
    best = np.full((len(of.points), k), _NONE)
    for part in np.split(order, starts[1:]):
        members = part // cells.joined  # ascending, since the sort is stable
        block = of.block(members)
        owner, place, product = nearest_in_blocks(block, [block], k, search_dense, asks=of.asks)
        keys = np.full((len(members), k), _NONE)
        keys[owner, rank_in_group(owner)] = (_LIFT - product) << 32 | members[place]
        best[members] = _nearer(best[members], keys)
    return best, cells_report(cells, members_of, sampled)


def _cut(of: _Points, k: int, rule: CellRule) -> tuple[Cells, Sampled]:
    """Returns the cells, before crowded ones are split, and the sample that evaluates them."""
    sizes = dict(enumerate(np.bincount(of.side, minlength=2).tolist()))
    masks = [np.zeros((2, 0), np.bool_)]
    for start in range(0, len(of.points), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        masks.append(np.stack(draw_vectors(rule, of.points[part], of.side[part], sizes)))
    train, query = (np.flatnonzero(mask) for mask in np.concatenate(masks, axis=1))
    query = query[np.unique(of.points[query], axis=0, return_index=True)[1]]
    near = _nearest_of(of, query, k)
    owner, column = np.nonzero(near != _NONE)
    found = near[owner, column] & PLACE
    sampled = Sampled(of.points[query], of.names(query), of.points[found], owner, of.names(found))
    return cut_cells(rule, len(of.points), of.points[train], sampled), sampled


def _nearest_of(of: _Points, query: IntArray, k: int) -> IntArray:
    """Returns keys of the k nearest among all vectors for some vectors of side 0."""
    best = np.full((len(query), k + 1), _NONE)
    if not len(query):
        return best
    queries = of.points[query].astype(np.float32)
    others = np.flatnonzero(of.side == 1) if of.asks else np.arange(len(of.points))
    for start in range(0, len(others), ROWS_AT_ONCE):
        rows = others[start : start + ROWS_AT_ONCE]
        count = min(k + 1, len(rows))
        product, place = nearest_points(queries, of.points[rows].astype(np.float32), count)
        keys = (_LIFT - product.astype(np.int64)) << 32 | rows[place]
        best = _nearer(best, np.where(rows[place] == query[:, None], _NONE, keys))
    return best[:, :k]


def _nearer(one: IntArray, other: IntArray) -> IntArray:
    """Returns the lowest distinct keys in each row of two arrays, as many as ``one`` has columns."""
    keys = np.sort(np.concatenate([one, other], axis=1), axis=1)
    keys[:, 1:][keys[:, 1:] == keys[:, :-1]] = _NONE
    keys.sort(axis=1)
    return keys[:, : one.shape[1]]


def search_dense(queries: NDArray[np.float32], points: NDArray[np.float32], count: int) -> NearestPoints:
    """The nearest points of each query; a :data:`Search`."""
    count = min(count, len(points))
    product, place = nearest_points(queries, points, count)
    owner = np.repeat(np.arange(len(queries)), count)
    return owner, place.ravel(), product.ravel().astype(np.int64)


PLACE = (1 << 32) - 1
"""The bits of a code that hold the index of a point in its block. The higher bits hold the block number."""


class VectorBlock(NamedTuple):
    """A block of consecutive points: its number, the points (rows of a matrix), and their sides, 0 or 1."""

    number: int
    points: Any
    side: NDArray[np.integer]


def nearest_in_blocks(
    own: VectorBlock, blocks: Iterable[VectorBlock], k: int, search: NearestSearch, *, asks: Sequence[int]
) -> NearestPoints:
    """At most k neighbours of each point of a block, among the points of all blocks except the point itself.

    Args:
        own: the block whose points are the queries.
        blocks: all blocks, including ``own``; one is in memory at a time.
        k: the number of neighbours of each point, at least 1.
        search: compares two matrices.
        asks: the sides whose points get neighbours, from the other side only; empty if there are no sides.

    Returns:
        The index of a point in ``own``, the code of a neighbour (block number and index in it), and their
        product.

    Raises:
        ValueError: k is below 1.
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    sided = len(asks) > 0
    count = k if sided else k + 1
    best = _NOTHING
    for block in blocks:
        for side in asks or (0,):
            rows = np.flatnonzero(own.side == side)
            columns = np.flatnonzero(block.side == (1 - side if sided else 0))
            if len(rows) and len(columns):
                owner, place, product = search(own.points[rows], block.points[columns], count)
                code = np.int64(block.number) << 32 | columns[place]
                best = _best(best, (rows[owner], code, product), count)
    owner, code, product = best
    if sided:
        return best
    apart = code != (np.int64(own.number) << 32 | owner)
    owner, code, product = owner[apart], code[apart], product[apart]
    # A point with many equal points may not be among its own k + 1 nearest.
    few = rank_in_group(owner) < k
    return owner[few], code[few], product[few]


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def _best(one: NearestPoints, other: NearestPoints, count: int) -> NearestPoints:
    """The ``count`` neighbours of each query with the largest product; of equal ones the lower code."""
    owner, code, product = (np.concatenate(both) for both in zip(one, other, strict=True))
    order = np.lexsort((code, -product, owner))
    order = order[rank_in_group(owner[order]) < count]
    return owner[order], code[order], product[order]


def _sides(side: NDArray[np.integer] | None, n: int) -> NDArray[np.integer]:
    return np.zeros(n, np.int8) if side is None else np.asarray(side)


def _as_pairs(
    owner: IntArray, other: IntArray, cosine: NDArray[np.float32], report: dict[str, int]
) -> Neighbours:
    a, b = np.minimum(owner, other), np.maximum(owner, other)
    order = np.lexsort((-cosine, b, a))
    a, b, cosine = a[order], b[order], cosine[order]
    first = np.concatenate([[True], (np.diff(a) != 0) | (np.diff(b) != 0)])[: len(a)]
    return Neighbours(a[first], b[first], cosine[first], report)
