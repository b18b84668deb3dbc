"""NumPy and Arrow helpers for grouping, ordering, pairing and converting rows. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
_LOW = (1 << 32) - 1  # 32 bits are enough for the number of any text in memory


def inverse(order: IntArray) -> IntArray:
    """The inverse of a permutation: the position of each of n items in ``order``.

    >>> inverse(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def sort_rank(keys: Sequence[Any]) -> IntArray:
    """The rank of each of n Python values in ascending order; equal values rank in the order given.

    >>> sort_rank(["b", "c", "a"]).tolist()
    [1, 2, 0]
    """
    return inverse(np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64))


def group_starts(keys: IntArray) -> IntArray:
    """The index at which each group of equal keys starts. Keys are not negative; equal keys are adjacent.

    >>> group_starts(np.array([3, 3, 0, 1, 1])).tolist()
    [0, 2, 3]
    """
    return np.flatnonzero(np.diff(keys, prepend=-1))


def rank_in_group(keys: IntArray) -> IntArray:
    """The position, from 0, of each of n items within its group of equal keys. Keys are sorted.

    >>> rank_in_group(np.array([1, 1, 4, 7, 7, 7])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    found: IntArray = np.arange(len(keys)) - np.searchsorted(keys, keys)
    return found


def group_rows(
    columns: Sequence[NDArray[Any]],
    rank: IntArray | None = None,
    alone: NDArray[np.bool_] | None = None,
) -> tuple[IntArray, IntArray]:
    """Group rows with equal values. Groups are numbered in the order of their values.

    Args:
        columns: the values, each of shape (n,).
        rank: distinct numbers that order the rows of a group, shape (n,). None: the order of the rows.
        alone: rows that are a group each, shape (n,); all rows with equal values, or none of them.

    Returns:
        The group of each row, shape (n,), and the first row of each group, shape (groups,).

    >>> groups, first = group_rows([np.array([7, 5, 7, 5])], rank=np.array([3, 2, 1, 0]))
    >>> groups.tolist(), first.tolist()
    ([1, 0, 1, 0], [3, 2])
    """
    order = np.lexsort((*(() if rank is None else (rank,)), *columns[::-1]))
    opens = np.zeros(len(order), bool) if alone is None else alone[order]
    opens[:1] = True
    for column in columns:
        ordered = column[order]
        opens[1:] |= ordered[1:] != ordered[:-1]
    return (np.cumsum(opens) - 1)[inverse(order)], order[opens]


def best_of_groups(groups: IntArray, rank: IntArray) -> IntArray:
    """The row with the lowest rank in each group; groups are numbered from 0 and none is empty.

    >>> best_of_groups(np.array([1, 0, 1]), np.array([5, 2, 3])).tolist()
    [1, 2]
    """
    order = np.lexsort((rank, groups))
    return order[group_starts(groups[order])]


def pair_codes(a: IntArray, b: IntArray) -> IntArray:
    """One integer for each pair, whatever the order of its ends. The codes sort like (lower, higher).

    >>> codes = pair_codes(np.array([1, 5]), np.array([3, 2]))
    >>> [ends.tolist() for ends in coded_pairs(codes)]
    [[1, 2], [3, 5]]
    """
    codes: IntArray = np.minimum(a, b) << 32 | np.maximum(a, b)
    return codes


def coded_pairs(codes: IntArray) -> tuple[IntArray, IntArray]:
    """The two ends of each pair, the lower first, decoded from :func:`pair_codes`."""
    return codes >> 32, codes & _LOW


def chunks_of(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    """The arrays that a column consists of.

    >>> [len(chunk) for chunk in chunks_of(pa.chunked_array([[1, 2], [3]]))], len(chunks_of(pa.array([1])))
    ([2, 1], 1)
    """
    chunks: list[pa.Array] = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return chunks


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column as one array.

    >>> one_array(pa.chunked_array([["a"], ["b"]])).to_pylist()
    ['a', 'b']
    """
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def distinct_values(*columns: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, list[IntArray]]:
    """Number the distinct values of some columns, in order of appearance.

    Args:
        columns: of one type, without nulls.

    Returns:
        The distinct values, and for each column the number of the value in each of its rows.

    >>> values, (first, second) = distinct_values(pa.array(["b", "a"]), pa.array(["c", "b"]))
    >>> values.to_pylist(), first.tolist(), second.tolist()
    (['b', 'a', 'c'], [0, 1], [2, 0])
    """
    chunks = [chunk for column in columns for chunk in chunks_of(column)]
    coded = one_array(one_array(pa.chunked_array(chunks, columns[0].type)).dictionary_encode())
    numbers = numpy_numbers(coded.indices).astype(np.int64)
    return coded.dictionary, np.split(numbers, np.cumsum([len(column) for column in columns])[:-1])


# Where pandas is installed, pyarrow imports it (0.2 s, 35 MB) at its first conversion of a list to an array,
# or of an array to NumPy, to check for a Series. The next three functions avoid that.


def arrow_texts(texts: Sequence[str]) -> pa.LargeStringArray:
    """Convert texts without nulls to an Arrow array.

    Raises:
        UnicodeEncodeError: a text contains a lone surrogate.

    >>> arrow_texts(["a", "", "bc"]).to_pylist()
    ['a', '', 'bc']
    """
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def arrow_numbers(numbers: IntArray) -> pa.Int64Array:
    """Convert integers to an Arrow array that shares their memory.

    >>> arrow_numbers(np.array([3, 1])).to_pylist()
    [3, 1]
    """
    buffer = pa.py_buffer(np.ascontiguousarray(numbers, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, buffer])


def numpy_numbers(numbers: pa.Array) -> NDArray[Any]:
    """Convert an Arrow array of integers to NumPy; both share the memory. The value for a null is undefined.

    >>> numpy_numbers(pa.array([3, 1, 2], pa.int32())[1:]).tolist()
    [1, 2]
    """
    sign = "u" if pa.types.is_unsigned_integer(numbers.type) else "i"
    kind = np.dtype(f"{sign}{numbers.type.bit_width // 8}")
    buffer = numbers.buffers()[1] or b""
    return np.frombuffer(buffer, kind)[numbers.offset : numbers.offset + len(numbers)]
