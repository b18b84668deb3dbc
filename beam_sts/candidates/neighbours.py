"""Candidates by nearness: top-k by embedding, and top-k by shared rare shingles.

``lexical_neighbours`` ranks by tf-idf cosine over shingles, so it finds texts that share little but something
rare (a part number), below any MinHash threshold. ``neighbours`` ranks by any embedding, such as
``static_embedding``, and finds paraphrases that share no shingle. Their twin in Beam,
``beam_sts.candidates.beam_nearest``, compares block by block with the same functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.candidates.buckets import IntArray
from beam_sts.candidates.keys import parse_shingle
from beam_sts.candidates.tf_idf import UNIT, WORK, TfIdf, nearest_rows, shingle_frequency
from beam_sts.errors import UserError

EXACT_UP_TO = 50_000
"""Texts up to which ``neighbours`` compares all with all; beyond, it searches an index of cells."""

_EXACT_FLOAT = 1 << 24
_BLOCK = 1024
_ROWS_AT_ONCE = 50_000


_Search = Callable[[IntArray, IntArray, int], tuple[IntArray, IntArray, IntArray]]
"""From texts, among texts, how many -> a text, one of its neighbours, their product; nearest first."""


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


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
    work: int = WORK,
    threads: int | None = None,
) -> Neighbours:
    """Each text with the k whose tf-idf vectors over shingles are nearest to its own.

    Weights are (1 + log count) * log((n + 1) / (texts with it + 1)), hashed into 4 million columns. The most
    frequent shingles, whose weight is least, are left out until comparing all texts takes ``work``
    multiplications for each of them. Result and order do not depend on threads or machine.

    Args:
        texts: n texts; null and empty ones are in no pair.
        k: neighbours of each text, at least 1.
        shingle: ``charN`` or ``wordN``, as for ``MinHash``.
        least: cosine below which a pair is left out.
        side: 0 or 1 for each text, of shape (n,); then neighbours are looked for on the other side only.
        work: multiplications for each text.
        threads: default: all cores.

    Raises:
        UserError: the shingle is unknown.

    >>> texts = pa.array(["printer LX-350 black", "needle printer lx-350", "black shoe", "red shoes"])
    >>> near = lexical_neighbours(texts, 1, least=0.1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 1), (2, 3)]
    """
    unit, size = parse_shingle(shingle)
    weights = TfIdf.of(shingle_frequency(texts, unit, size), len(texts), unit, size, work)
    vectors = weights.vectors(texts)
    floor = max(int(least * UNIT * UNIT) - 1, 0)

    def search(rows: IntArray, columns: IntArray, count: int) -> tuple[IntArray, IntArray, IntArray]:
        count = min(count, len(columns))
        found = nearest_rows(vectors[rows], vectors[columns], count, floor=floor, threads=threads)
        return rows[found[0]], columns[found[1]], found[2]

    owner, other, product = _both_sides(search, vectors.shape[0], k, side)
    return _as_pairs(owner, other, (product / (UNIT * UNIT)).astype(np.float32))


def neighbours(
    vectors: NDArray[np.floating],
    k: int,
    *,
    least: float = -1.0,
    side: NDArray[np.integer] | None = None,
    exact_up_to: int = EXACT_UP_TO,
) -> Neighbours:
    """Each vector with the k nearest to it by cosine.

    Up to ``exact_up_to`` vectors all are compared with all, in whole numbers (coordinates rounded to some
    nine to eleven bits), so that neither threads nor machine change a result; ties go to the lower number.
    Beyond, faiss looks into the 32 nearest of about 4 * sqrt(n) cells; that is approximate, and the same
    wherever its k-means gives the same cells.

    Args:
        vectors: of shape (n, dimensions); a row of zeros has no neighbours.
        k: neighbours of each, at least 1.
        least: cosine below which a pair is left out.
        side: 0 or 1 for each, of shape (n,); then neighbours are looked for on the other side only.
        exact_up_to: see above.

    Raises:
        UserError: faiss is needed and not installed.

    >>> near = neighbours(np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.0, 0.0]]), 1)
    >>> list(zip(near.a.tolist(), near.b.tolist()))
    [(0, 2), (1, 2)]
    """
    points = whole_points(vectors)
    real: NDArray[np.bool_] = np.any(points != 0, axis=1)

    def search(rows: IntArray, columns: IntArray, count: int) -> tuple[IntArray, IntArray, IntArray]:
        rows, columns = rows[real[rows]], columns[real[columns]]
        count = min(count, len(columns))
        if not count or not len(rows):
            return _NOTHING
        find = nearest_points if len(columns) <= exact_up_to else _indexed
        product, place = find(points[rows], points[columns], count)
        owner = np.repeat(rows, count)
        good = (place >= 0).ravel()
        return owner[good], columns[place.ravel()[good]], product.ravel()[good].astype(np.int64)

    owner, other, product = _both_sides(search, len(vectors), k, side)
    cosine = (product / _step(vectors.shape[1]) ** 2).astype(np.float32)
    enough = cosine >= least
    return _as_pairs(owner[enough], other[enough], cosine[enough])


def whole_points(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors brought to one length and rounded to whole numbers, whose products float32 adds up exactly.

    Args:
        vectors: of shape (n, dimensions).

    Raises:
        UserError: a value is not finite.
    """
    length = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise UserError(f"embedding of row {row}: holds a value that is not finite.")
    unit = vectors / np.maximum(length, 1e-12)[:, None]
    points: NDArray[np.float32] = np.rint(unit * _step(vectors.shape[1])).astype(np.float32)
    return points


def _step(dimensions: int) -> float:
    return float(np.sqrt(_EXACT_FLOAT / max(dimensions, 1)) // 1 - 1)


def nearest_points(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    """Products and places of the ``count`` largest for each query, the lower place first among equals.

    Args:
        queries: of ``whole_points``, shape (q, dimensions).
        points: shape (p, dimensions), p at least ``count``.
        count: at least 1.

    Returns:
        Two arrays of shape (q, count), the largest product first.
    """
    products, places = [], []
    for begin in range(0, len(queries), _BLOCK):
        product, place = _largest(queries[begin : begin + _BLOCK] @ points.T, count)
        products.append(product)
        places.append(place)
    return np.concatenate(products), np.concatenate(places)


def _largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], IntArray]:
    """The ``count`` largest of each row and their places, the largest first, the lower place among equals.

    Each group of a row's numbers has a largest one. The ``count`` largest of those are that many numbers of
    the row: whatever is below the least of them is out, and few are left to sort.
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
    starts = np.searchsorted(row, np.arange(rows))  # nonzero gives the rows in order, as does the sort
    chosen = order[starts[:, None] + np.arange(count)]
    return value[chosen], place[chosen]


def _indexed(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"neighbours among {len(points):,} texts need faiss: pip install 'beam_sts[neighbours]'"
        ) from error
    cells = int(4 * np.sqrt(len(points)))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(points.shape[1]), points.shape[1], cells, faiss.METRIC_INNER_PRODUCT
    )
    index.train(points[np.random.default_rng(0).permutation(len(points))[: 64 * cells]])
    index.add(points)
    index.nprobe = 32
    parts = [
        index.search(queries[b : b + _ROWS_AT_ONCE], count) for b in range(0, len(queries), _ROWS_AT_ONCE)
    ]
    return np.concatenate([p for p, _ in parts]), np.concatenate([i for _, i in parts])


def _both_sides(
    search: _Search, n: int, k: int, side: NDArray[np.integer] | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Run a search among all, or from each side in the other; at most k for each, never the text itself.

    Returns:
        A text, one of its neighbours, and their product; of shape (found,) each.
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1")
    if side is not None:
        left, right = np.flatnonzero(np.asarray(side) == 0), np.flatnonzero(np.asarray(side) == 1)
        if not len(left) or not len(right):
            return _NOTHING
        there, back = search(left, right, k), search(right, left, k)
        owner, other, product = (np.concatenate(both) for both in zip(there, back, strict=True))
        return owner, other, product
    everyone = np.arange(n)
    owner, other, product = search(everyone, everyone, k + 1)
    apart = owner != other
    owner, other, product = owner[apart], other[apart], product[apart]
    # A text with many equals may not be among its own k + 1 nearest.
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return owner[rank < k], other[rank < k], product[rank < k]


def _as_pairs(owner: IntArray, other: IntArray, cosine: NDArray[np.float32]) -> Neighbours:
    a, b = np.minimum(owner, other), np.maximum(owner, other)
    order = np.lexsort((-cosine, b, a))
    a, b, cosine = a[order], b[order], cosine[order]
    first = np.concatenate([[True], (np.diff(a) != 0) | (np.diff(b) != 0)])[: len(a)]
    return Neighbours(a[first], b[first], cosine[first])
