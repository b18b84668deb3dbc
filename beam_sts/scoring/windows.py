"""Long pairs as pairs of windows: how to cut, compare and combine them. Pure functions.

The rule of ``long_text="windows"``, for a pair of more tokens than the model's limit:

1. Each text is cut into windows of half of the pair's token budget. Each window overlaps half of the
   previous one, and the last ends with the text. A text that is not longer than a window is one window.
2. Each window is compared with at most ``CANDIDATES`` windows of the other text: the one at the same
   relative position, and those that share the most tokens with it, with more weight for rare tokens. The
   model scores these pairs of windows. The choice bounds the work, which grows linearly with the length of
   the texts, not quadratically.
3. The score of a window is the best of its comparisons. The score of a token is the mean over the windows
   that contain it. The score of the pair is the mean over all tokens of both texts.

So the score is close to the share of the tokens of both texts that the other text matches. Two equal long
texts score like two equal short ones; if half of them differs, the score is about half, wherever that half
is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray

CANDIDATES = 4
MAX_WINDOWS = 512
_BUCKETS = 4096  # token ids are compared modulo this


def window_starts(length: int, size: int) -> IntArray:
    """Indices of the first tokens of a text's windows.

    Args:
        length: count of tokens of the text.
        size: count of tokens of a window.

    >>> window_starts(10, 4)
    array([0, 2, 4, 6])
    >>> window_starts(3, 4)
    array([0])
    """
    if length <= size:
        return np.zeros(1, dtype=np.int64)
    return np.append(np.arange(0, length - size, max(1, size // 2), dtype=np.int64), length - size)


def window_weights(length: int, size: int) -> NDArray[np.float64]:
    """The weight of each window in tokens: a token in several windows is divided among them.

    Args:
        length: count of tokens of the text.
        size: count of tokens of a window.

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
    """Choose the windows of two texts to compare.

    Args:
        windows_a: token ids of each window of the first text.
        windows_b: the same for the second text.

    Returns:
        Two arrays of shape (comparisons,): indices of the windows of both texts. Every window is compared
            at least once.
    """
    n, m = len(windows_a), len(windows_b)
    held = np.zeros((n + m, _BUCKETS), dtype=np.float32)
    for row, ids in enumerate([*windows_a, *windows_b]):
        held[row, ids % _BUCKETS] = 1
    rarity = 1 / np.maximum(held.sum(axis=0), 1)
    likeness = (held[:n] * rarity) @ held[n:].T
    # Of equally similar windows, the one at the nearest position comes first.
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
    """The score of a pair from the scores of its pairs of windows.

    Args:
        scores: score of each comparison, shape (comparisons,).
        first: index of each comparison's window in the first text, of the same shape.
        second: index of each comparison's window in the second text, of the same shape.
        weights_a: weights of the first text's windows, from ``window_weights``.
        weights_b: weights of the second text's windows.

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
