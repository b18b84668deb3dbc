"""Long pairs as pairs of windows: which windows, what to compare, how to combine. Pure functions.

The rule of ``long_text="windows"``, for a pair of more tokens than the model takes:

1. Each text is cut into windows of half of the pair's token budget; each overlaps half of the one before,
   and the last ends with the text. A text that is no longer than a window is one window.
2. Each window is compared with at most ``CANDIDATES`` windows of the other text: the one at the same relative
   place, and those that share the most tokens with it, rare tokens counting more. The model scores these
   pairs of windows; the choice only bounds the work, which grows with the length of the texts and not with
   its square.
3. A window's score is its best score among its comparisons. A token's score is the mean over the windows that
   hold it. The pair's score is the mean over all tokens of both texts.

So the score is near the share of both texts' tokens that the other text matches: two equal long texts score
like two equal short ones, and a half that differs takes half of the score, wherever it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray

CANDIDATES = 4
MAX_WINDOWS = 512
_BUCKETS = 4096  # token ids are compared modulo this


def window_starts(length: int, size: int) -> IntArray:
    """First tokens of a text's windows.

    Args:
        length: tokens of the text.
        size: tokens of a window.

    >>> window_starts(10, 4)
    array([0, 2, 4, 6])
    >>> window_starts(3, 4)
    array([0])
    """
    if length <= size:
        return np.zeros(1, dtype=np.int64)
    return np.append(np.arange(0, length - size, max(1, size // 2), dtype=np.int64), length - size)


def window_weights(length: int, size: int) -> NDArray[np.float64]:
    """How many tokens each window stands for: a token in several windows is shared out among them.

    >>> window_weights(10, 4)
    array([3., 2., 2., 3.])
    """
    starts = window_starts(length, size)
    ends = np.minimum(starts + size, length)
    shares = np.zeros(length + 1)
    np.add.at(shares, starts, 1)
    np.add.at(shares, ends, -1)
    cumulated = np.concatenate([[0.0], np.cumsum(1 / np.maximum(np.cumsum(shares[:-1]), 1))])
    weights: NDArray[np.float64] = cumulated[ends] - cumulated[starts]
    return weights


def choose_comparisons(windows_a: list[IntArray], windows_b: list[IntArray]) -> tuple[IntArray, IntArray]:
    """Which windows of two texts to compare.

    Args:
        windows_a: token ids of each window of the first text.
        windows_b: the same of the second.

    Returns:
        Two arrays of shape (comparisons,): a window of each text. Every window is in at least one.
    """
    n, m = len(windows_a), len(windows_b)
    held = np.zeros((n + m, _BUCKETS), dtype=np.float32)
    for row, ids in enumerate([*windows_a, *windows_b]):
        held[row, ids % _BUCKETS] = 1
    rarity = 1 / np.maximum(held.sum(axis=0), 1)
    likeness = (held[:n] * rarity) @ held[n:].T
    # Among windows that are equally alike the nearest in place comes first.
    place_a, place_b = (np.arange(k) / max(1, k - 1) for k in (n, m))
    distance = np.abs(place_a[:, None] - place_b[None, :])
    likeness -= 1e-4 * distance
    chosen = np.zeros((n, m), dtype=bool)
    chosen[np.arange(n), distance.argmin(axis=1)] = True
    chosen[distance.argmin(axis=0), np.arange(m)] = True
    most = np.argsort(-likeness, axis=1, kind="stable")[:, : CANDIDATES - 1]
    chosen[np.arange(n)[:, None], most] = True
    most = np.argsort(-likeness, axis=0, kind="stable")[: CANDIDATES - 1]
    chosen[most, np.arange(m)[None, :]] = True
    first, second = np.nonzero(chosen)
    return first, second


def combine(
    scores: NDArray[np.float32],
    first: IntArray,
    second: IntArray,
    weights_a: NDArray[np.float64],
    weights_b: NDArray[np.float64],
) -> float:
    """The pair's score from those of its window pairs.

    Args:
        scores: of each comparison, shape (comparisons,).
        first: its window of the first text.
        second: its window of the second.
        weights_a: of the first text's windows, from ``window_weights``.
        weights_b: of the second's.

    >>> scores, five = np.array([1.0, 0.2, 0.0], np.float32), np.array([5.0, 5.0])
    >>> round(combine(scores, np.array([0, 0, 1]), np.array([0, 1, 1]), five, five), 6)
    0.55
    """
    best_a = np.full(len(weights_a), -np.inf)
    best_b = np.full(len(weights_b), -np.inf)
    np.maximum.at(best_a, first, scores)
    np.maximum.at(best_b, second, scores)
    total = weights_a.sum() + weights_b.sum()
    return float((best_a @ weights_a + best_b @ weights_b) / total)
