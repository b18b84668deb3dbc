"""Vectors of integers, and the nearest among them: products whose sums are equal on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.errors import UserError

ROWS_AT_ONCE = 1 << 16
"""Vectors that are rounded, compared or assigned together, to bound memory."""

_EXACT_FLOAT = 1 << 24
_PRODUCTS_AT_ONCE = 1 << 23


def whole_points(vectors: NDArray[np.floating]) -> NDArray[np.int16]:
    """Scale vectors to one length and round them to whole numbers whose products are exact in float32.

    Args:
        vectors: shape (n, dimensions).

    Raises:
        UserError: a value is not finite.
    """
    points = np.empty(vectors.shape, np.int16)
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        part = vectors[start : start + ROWS_AT_ONCE]
        length = np.linalg.norm(part, axis=1)
        if not np.isfinite(length).all():
            row = start + int(np.flatnonzero(~np.isfinite(length))[0])
            raise UserError(f"embedding of row {row}: has a value that is not finite.")
        unit = part / np.maximum(length, 1e-12)[:, None]
        points[start : start + len(part)] = np.rint(unit * step(vectors.shape[1]))
    return points


def step(dimensions: int) -> float:
    """Returns the length of a vector from :func:`whole_points`."""
    return float(np.sqrt(_EXACT_FLOAT / max(dimensions, 1)) // 1 - 1)


def scaled_to_length(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale vectors to the length of :func:`whole_points`, with the same result on every machine.

    Args:
        sums: shape (n, dimensions); the squares of a row add up to less than 2**53.
    """
    length = np.sqrt(np.square(sums).sum(axis=1))
    scaled: NDArray[np.float64] = np.rint(sums / np.maximum(length, 1)[:, None] * step(sums.shape[1]))
    return scaled.astype(np.float32)


def pack_points(vectors: NDArray[np.floating]) -> list[bytes]:
    """Pack the points of n vectors as int16; empty for a vector of zeros, which has no neighbours."""
    return [row.tobytes() if row.any() else b"" for row in whole_points(vectors).astype("<i2")]


def unpack_points(vectors: Sequence[bytes]) -> NDArray[np.int16]:
    """Unpack vectors to a matrix; shape (0, 0) if there are none.

    Raises:
        UserError: the vectors differ in length.
    """
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise _unequal(*(n // 2 for n in sorted(lengths)))
    width = max(lengths, default=0) // 2
    return np.frombuffer(b"".join(vectors), "<i2").astype(np.int16).reshape(len(vectors), width)


def _unequal(*lengths: int) -> UserError:
    found = " and ".join(map(str, lengths))
    return UserError(f"vectors have {found} numbers. All must have the same length.")


def nearest_points(
    queries: NDArray[np.float32], points: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], IntArray]:
    """Find the ``count`` points with the largest products for each query; ties go by index.

    Args:
        queries: vectors of whole numbers, shape (q, dimensions).
        points: shape (p, dimensions), p at least ``count``.
        count: at least 1.

    Returns:
        The products and the indices, each of shape (q, count), the largest product first.

    Raises:
        UserError: the vectors differ in length.
    """
    if queries.shape[1] != points.shape[1]:
        raise _unequal(queries.shape[1], points.shape[1])
    products = np.empty((len(queries), count), np.float32)
    places = np.empty((len(queries), count), np.int64)
    rows = max(_PRODUCTS_AT_ONCE // len(points), 1)
    for begin in range(0, len(queries), rows):
        part = slice(begin, begin + rows)
        products[part], places[part] = _largest(queries[part] @ points.T, count)
    return products, places


def _largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.float32], IntArray]:
    """Find the ``count`` largest values of each row and their indices, the lower index first among equals.

    The values of a row are split into groups, and the largest ``count`` group maxima are a lower bound:
    smaller values than the least of them cannot be among the ``count`` largest. Only the few others are
    sorted.
    """
    rows, columns = values.shape
    if count == 1:
        place = values.argmax(axis=1)[:, None]
        return np.take_along_axis(values, place, axis=1), place
    groups = min(columns, max(8 * count, columns // 32))
    whole = columns // groups * groups
    best = values[:, :whole].reshape(rows, -1, groups).max(axis=1)
    rest = columns - whole
    best[:, :rest] = np.maximum(best[:, :rest], values[:, whole:])
    bound = np.partition(best, groups - count, axis=1)[:, groups - count]
    row, place = np.divmod(np.flatnonzero(values >= bound[:, None]), columns)
    value = values[row, place]
    order = np.lexsort((place, -value, row))
    starts = np.searchsorted(row, np.arange(rows))  # nonzero returns the rows in order, and the sort keeps it
    chosen = order[starts[:, None] + np.arange(count)]
    return value[chosen], place[chosen]
