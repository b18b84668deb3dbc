"""Candidates by nearest neighbours: the top k by embedding, and the top k by shared rare shingles.

``lexical_neighbours`` ranks by tf-idf cosine over shingles. It finds texts that share little except something
rare (such as a part number), below any MinHash threshold. ``neighbours`` ranks by an embedding, such as
``static_embedding``, and finds paraphrases that share no shingle. Both compare block by block with
:func:`nearest_in_blocks`. One machine processes the blocks in turn; Beam
(``beam_sts.candidates.beam_nearest``) processes them in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, rank_in_group
from beam_sts.candidates.keys import parse_shingle
from beam_sts.candidates.tf_idf import UNIT, WORK, TfIdf, nearest_rows, shingle_frequency
from beam_sts.errors import UserError

BLOCK = 50_000
"""The number of vectors in a block on one machine."""

_EXACT_FLOAT = 1 << 24
_ROWS_AT_ONCE = 1024

Found = tuple[IntArray, IntArray, IntArray]
"""Queries, one neighbour each, and their products; sorted by query, nearest first."""
Search = Callable[[Any, Any, int], Found]
"""Takes queries, points and the number of neighbours of each query."""


class Neighbours(NamedTuple):
    """Distinct pairs a < b in ascending order, and the cosine of each: int64, int64, float32 of (pairs,)."""

    a: IntArray
    b: IntArray
    cosine: NDArray[np.float32]


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

    def search(queries: Any, points: Any, count: int) -> Found:
        return nearest_rows(queries, points, min(count, points.shape[0]), floor=floor, threads=threads)

    whole = Block(0, vectors, _sides(side, vectors.shape[0]))
    owner, code, product = nearest_in_blocks(whole, [whole], k, search, asks=() if side is None else asks)
    other = code & PLACE
    return _as_pairs(owner, other, (product / (UNIT * UNIT)).astype(np.float32))


def neighbours(
    vectors: NDArray[np.floating],
    k: int,
    *,
    least: float = -1.0,
    side: NDArray[np.integer] | None = None,
    asks: Sequence[int] = (0, 1),
    block: int = BLOCK,
) -> Neighbours:
    """Pair each vector with the k nearest by cosine, by exact comparison of all vectors.

    Coordinates are rounded to whole numbers of about nine to eleven bits, so that neither threads nor machine
    change the result. Among equals the lower number is chosen. The work is quadratic in the number of
    vectors.

    Args:
        vectors: shape (n, dimensions); a row of zeros has no neighbours.
        k: the number of neighbours of each vector, at least 1.
        least: the lowest cosine of a pair.
        side: 0 or 1 for each vector, shape (n,). If given, neighbours are searched on the other side only.
        asks: if there are sides, those whose vectors get neighbours.
        block: the number of vectors that are compared at once, to bound memory.

    Returns:
        The distinct pairs and their cosines.

    Raises:
        UserError: a value is not finite.

    >>> near = neighbours(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.0, 0.0]]), 1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 2), (1, 2)]
    """
    points = whole_points(vectors)
    real = np.flatnonzero(np.any(points != 0, axis=1))
    starts = range(0, len(real), block)
    rows = [real[start : start + block] for start in starts]
    sides = _sides(side, len(vectors))
    blocks = [Block(number, points[some], sides[some]) for number, some in enumerate(rows)]
    found: list[Found] = []
    for own in blocks:
        owner, code, product = nearest_in_blocks(
            own, blocks, k, search_dense, asks=() if side is None else asks
        )
        found.append((rows[own.number][owner], real[(code >> 32) * block + (code & PLACE)], product))
    if not found:
        return _as_pairs(*_NOTHING[:2], np.empty(0, np.float32))
    owner, other, product = (np.concatenate(parts) for parts in zip(*found, strict=True))
    cosine = (product / _step(vectors.shape[1]) ** 2).astype(np.float32)
    enough = cosine >= least
    return _as_pairs(owner[enough], other[enough], cosine[enough])


def whole_points(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale vectors to one length and round them to whole numbers whose products are exact in float32.

    Args:
        vectors: of shape (n, dimensions).

    Raises:
        UserError: a value is not finite.
    """
    length = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise UserError(f"embedding of row {row}: has a value that is not finite.")
    unit = vectors / np.maximum(length, 1e-12)[:, None]
    points: NDArray[np.float32] = np.rint(unit * _step(vectors.shape[1])).astype(np.float32)
    return points


def _step(dimensions: int) -> float:
    return float(np.sqrt(_EXACT_FLOAT / max(dimensions, 1)) // 1 - 1)


def nearest_points(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    """The ``count`` points with the largest product for each query. Among equals the lower index is first.

    Args:
        queries: from ``whole_points``, shape (q, dimensions).
        points: shape (p, dimensions), p at least ``count``.
        count: at least 1.

    Returns:
        The products and the indices of the points, each of shape (q, count), the largest product first.
    """
    products, places = [], []
    for begin in range(0, len(queries), _ROWS_AT_ONCE):
        product, place = _largest(queries[begin : begin + _ROWS_AT_ONCE] @ points.T, count)
        products.append(product)
        places.append(place)
    return np.concatenate(products), np.concatenate(places)


def _largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], IntArray]:
    """The ``count`` largest values of each row and their columns, in order; of equal ones the lower column.

    The columns are split into groups. The ``count`` largest of the group maxima are values of the row, so
    smaller values than the least of them cannot be among the ``count`` largest. Only the few others are
    sorted.
    """
    rows, columns = values.shape
    groups = min(columns, max(8 * count, columns // 32))
    whole = columns // groups * groups
    best = values[:, :whole].reshape(rows, -1, groups).max(axis=1)
    rest = columns - whole
    best[:, :rest] = np.maximum(best[:, :rest], values[:, whole:])
    bound = np.partition(best, groups - count, axis=1)[:, groups - count]
    row, place = np.divmod(np.flatnonzero(values >= bound[:, None]), columns)
    value = values[row, place]
    order = np.lexsort((place, -value, row))
    starts = np.searchsorted(row, np.arange(rows))  # the rows are sorted before and after lexsort
    chosen = order[starts[:, None] + np.arange(count)]
    return value[chosen], place[chosen]


def search_dense(queries: NDArray[np.float32], points: NDArray[np.float32], count: int) -> Found:
    """The nearest points of each query; a :data:`Search`."""
    count = min(count, len(points))
    product, place = nearest_points(queries, points, count)
    owner = np.repeat(np.arange(len(queries)), count)
    return owner, place.ravel().astype(np.int64), product.ravel().astype(np.int64)


PLACE = (1 << 32) - 1
"""The bits of a code that hold the index of a point in its block. The higher bits hold the block number."""


class Block(NamedTuple):
    """A block of consecutive points: its number, the points (rows of a matrix), and their sides, 0 or 1."""

    number: int
    points: Any
    side: NDArray[np.integer]


def nearest_in_blocks(
    own: Block, blocks: Iterable[Block], k: int, search: Search, *, asks: Sequence[int]
) -> Found:
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


def _best(one: Found, other: Found, count: int) -> Found:
    """The ``count`` neighbours of each query with the largest product; of equal ones the lower code."""
    owner, code, product = (np.concatenate(both) for both in zip(one, other, strict=True))
    order = np.lexsort((code, -product, owner))
    order = order[rank_in_group(owner[order]) < count]
    return owner[order], code[order], product[order]


def _sides(side: NDArray[np.integer] | None, n: int) -> NDArray[np.integer]:
    return np.zeros(n, np.int8) if side is None else np.asarray(side)


def _as_pairs(owner: IntArray, other: IntArray, cosine: NDArray[np.float32]) -> Neighbours:
    a, b = np.minimum(owner, other), np.maximum(owner, other)
    order = np.lexsort((-cosine, b, a))
    a, b, cosine = a[order], b[order], cosine[order]
    first = np.concatenate([[True], (np.diff(a) != 0) | (np.diff(b) != 0)])[: len(a)]
    return Neighbours(a[first], b[first], cosine[first])
