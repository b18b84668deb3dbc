"""Plans of micro-batches and of truncation: pure functions."""

from __future__ import annotations

import numpy as np

from beam_sts.arrays import IntArray

MAX_WASTE = 0.04
# The budget of most backends on a CPU: its activations fit the cache.
TOKEN_BUDGET = 4096
MACRO_BATCH = 8192
"""Default number of distinct pairs that are tokenised and sorted by length together."""


def longest_first(len_a: IntArray, len_b: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Cut pairs to a token budget as Hugging Face tokenizers do under ``truncation="longest_first"``.

    The longer text loses tokens first. If both are longer than half of the budget, each keeps half, and an
    odd token goes to the longer text (to the second one if they are equally long).

    Args:
        len_a: tokens of the first texts, shape (n,).
        len_b: tokens of the second texts, shape (n,).
        budget: tokens that both texts may keep together, special tokens not counted.

    Returns:
        The lengths kept of both texts, each of shape (n,).

    Source: ``truncate_encodings`` of the huggingface/tokenizers library (0.21 to 0.23).

    >>> longest_first(np.array([3, 9, 9]), np.array([9, 3, 9]), 9)
    (array([3, 6, 4]), array([6, 3, 5]))
    """
    short, long = np.minimum(len_a, len_b), np.maximum(len_a, len_b)
    over = short + long > budget
    kept_long = np.where(over, np.maximum(short, budget - short), long)
    both = short + kept_long > budget
    kept_short = np.where(both, budget // 2, short)
    kept_long = np.where(both, budget // 2 + budget % 2, kept_long)
    a_is_long = len_a > len_b
    return np.where(a_is_long, kept_long, kept_short), np.where(a_is_long, kept_short, kept_long)


def plan_micro_batches(lengths: IntArray, token_budget: int) -> list[tuple[int, int]]:
    """Cut pairs, sorted from long to short, into micro-batches of bounded padded size.

    A micro-batch ends at the budget. It also ends, once it fills a quarter of the budget, where more than
    ``MAX_WASTE`` of it would be padding, so that a few long pairs do not cause padding of many short ones.

    Args:
        lengths: tokens of each pair, shape (n,), in descending order.
        token_budget: bound on rows x longest row, in tokens. A longer pair is a micro-batch by itself.

    Returns:
        ``(start, stop)`` of each micro-batch; together they cover ``range(n)`` in order.

    >>> plan_micro_batches(np.array([9, 4, 4, 2, 2, 2]), 8)
    [(0, 1), (1, 3), (3, 6)]
    """
    batches, start, total = [], 0, len(lengths)
    while start < total:
        longest = max(1, int(lengths[start]))
        most = max(1, min(total - start, token_budget // longest))
        padded = longest * np.arange(1, most + 1)
        waste = 1 - np.cumsum(lengths[start : start + most]) / padded
        fits = (waste <= MAX_WASTE) | (padded <= token_budget // 4)
        stop = start + max(1, int(np.flatnonzero(fits)[-1]) + 1 if fits.any() else 1)
        batches.append((start, stop))
        start = stop
    return batches


def plan_packed(lengths: IntArray, token_budget: int) -> list[tuple[int, int]]:
    """Cut pairs into micro-batches of at most ``token_budget`` tokens, for a backend that does not pad.

    Args:
        lengths: tokens of each pair, shape (n,).
        token_budget: bound on the tokens of a micro-batch. A longer pair is a micro-batch by itself.

    Returns:
        ``(start, stop)`` of each micro-batch; together they cover ``range(n)`` in order.

    >>> plan_packed(np.array([9, 4, 4, 2, 2, 2]), 8)
    [(0, 1), (1, 3), (3, 6)]
    """
    ends = np.cumsum(lengths)
    batches, start, total = [], 0, len(lengths)
    while start < total:
        before = int(ends[start] - lengths[start])
        stop = max(start + 1, int(np.searchsorted(ends, before + token_budget, side="right")))
        batches.append((start, stop))
        start = stop
    return batches


def expand_ranges(starts: IntArray, lengths: IntArray) -> IntArray:
    """Concatenate ``arange(start, start + length)`` of every range, without a Python loop.

    >>> expand_ranges(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    indices: IntArray = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    return indices
