"""Small idioms of numpy and Arrow that recur wherever rows are grouped, ordered or paired. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
_LOW = (1 << 32) - 1  # 32 bits hold the number of any text that fits into memory


def inverse(order: IntArray) -> IntArray:
    """The place of each of n things in an order of them, and the other way round.

    >>> inverse(np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place


def group_starts(keys: IntArray) -> IntArray:
    """Where each group of equal keys begins; keys are not negative, and equal ones are adjacent.

    >>> group_starts(np.array([3, 3, 0, 1, 1])).tolist()
    [0, 2, 3]
    """
    return np.flatnonzero(np.diff(keys, prepend=-1))


def rank_in_group(keys: IntArray) -> IntArray:
    """The place of each of n things within its group, from 0; keys ascend.

    >>> rank_in_group(np.array([1, 1, 4, 7, 7, 7])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    found: IntArray = np.arange(len(keys)) - np.searchsorted(keys, keys)
    return found


def pair_codes(a: IntArray, b: IntArray) -> IntArray:
    """One number for each pair, in whichever order its ends are; they sort as (lower, higher) does.

    >>> codes = pair_codes(np.array([1, 5]), np.array([3, 2]))
    >>> [ends.tolist() for ends in coded_pairs(codes)]
    [[1, 2], [3, 5]]
    """
    codes: IntArray = np.minimum(a, b) << 32 | np.maximum(a, b)
    return codes


def coded_pairs(codes: IntArray) -> tuple[IntArray, IntArray]:
    """The ends of pairs, the lower first, from their codes."""
    return codes >> 32, codes & _LOW


# Where pandas is installed, pyarrow imports it at the first list that it is given and at the first array that
# it turns into NumPy's: 0.2 s and 35 MB, to see whether that is a Series. These three do not ask.


def arrow_texts(texts: Sequence[str]) -> pa.LargeStringArray:
    """Texts, none of them null, as an Arrow array.

    Raises:
        UnicodeEncodeError: one holds a lone surrogate.

    >>> arrow_texts(["a", "", "bc"]).to_pylist()
    ['a', '', 'bc']
    """
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def arrow_numbers(numbers: IntArray) -> pa.Int64Array:
    """Whole numbers as an Arrow array in the same memory.

    >>> arrow_numbers(np.array([3, 1])).to_pylist()
    [3, 1]
    """
    buffer = pa.py_buffer(np.ascontiguousarray(numbers, np.int64))
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, buffer])


def numpy_numbers(numbers: pa.Array) -> NDArray[Any]:
    """Numbers of an Arrow array in the same memory; where one is null, any.

    >>> numpy_numbers(pa.array([3, 1, 2], pa.int32())[1:]).tolist()
    [1, 2]
    """
    sign = "u" if pa.types.is_unsigned_integer(numbers.type) else "i"
    kind = np.dtype(f"{sign}{numbers.type.bit_width // 8}")
    buffer = numbers.buffers()[1] or b""
    return np.frombuffer(buffer, kind)[numbers.offset : numbers.offset + len(numbers)]
