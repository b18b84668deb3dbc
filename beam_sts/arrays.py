"""Small idioms of numpy that recur wherever rows are grouped, ordered or paired. Pure functions."""

from __future__ import annotations

import numpy as np
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
