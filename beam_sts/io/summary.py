"""Adding up the counts of slices. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 1000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# Two bounds per doubling: 4, 6, 8, 12, 16, 24, ... 98,304. The last bin includes all longer texts.
LENGTH_BOUNDS = tuple(bound for power in range(2, 17) for bound in (2**power, 3 * 2 ** (power - 1)))
TIME_BINS = 60


def score_histogram(scores: NDArray[np.float32], *, logits: bool = False) -> dict[str, int]:
    """Count scores in 1,000 equal bins from 0 to 1. A sigmoid maps logits to this range first.

    Returns:
        Counts by bin number, empty bins left out.

    >>> score_histogram(np.array([0.0, 0.0004, 0.5, 1.0], np.float32))
    {'0': 2, '500': 1, '999': 1}
    """
    unit = 1 / (1 + np.exp(-scores.astype(np.float64))) if logits else scores.astype(np.float64)
    bins, counts = np.unique(np.clip((unit * BINS).astype(int), 0, BINS - 1), return_counts=True)
    return {str(b): int(c) for b, c in zip(bins, counts, strict=True)}


def quantiles(histogram: dict[str, int], *, logits: bool = False) -> dict[str, float]:
    """Quantiles of the scores counted by ``score_histogram``, exact to one bin (0.001).

    >>> quantiles({"0": 50, "999": 50})["0.5"]
    0.0005
    """
    if not histogram:
        return {}
    bins = sorted(map(int, histogram))
    cumulated = np.cumsum([histogram[str(b)] for b in bins])
    result = {}
    for q in QUANTILES:
        index = int(np.searchsorted(cumulated, q * cumulated[-1], side="left"))
        value = (bins[min(index, len(bins) - 1)] + 0.5) / BINS
        result[str(q)] = round(float(np.log(value / (1 - value))) if logits else value, 4)
    return result


def length_histogram(tokens: NDArray[np.int64]) -> dict[str, int]:
    """Count pairs by tokens, in bins with the upper bounds ``LENGTH_BOUNDS``. 0 tokens: not scored.

    Returns:
        Counts by the upper bound of the bin, empty bins left out.

    >>> length_histogram(np.array([0, 5, 6, 7, 300]))
    {'6': 2, '8': 1, '384': 1}
    """
    places = np.searchsorted(LENGTH_BOUNDS, tokens[tokens > 0], side="left")
    bins, counts = np.unique(np.minimum(places, len(LENGTH_BOUNDS) - 1), return_counts=True)
    return {str(LENGTH_BOUNDS[b]): int(c) for b, c in zip(bins, counts, strict=True)}


def throughput(done: Iterable[tuple[float, float, int]], bins: int = TIME_BINS) -> dict[str, Any]:
    """The number of rows processed over time. Each piece of work is spread evenly over its duration.

    Args:
        done: for each piece of work, its start and end in seconds since the epoch, and its rows.
        bins: the number of equal parts of the time from the first start to the last end.

    Returns:
        The ``start`` in seconds since the epoch, the ``seconds`` per bin and the ``rows`` in each bin; empty
        if there is no work.

    >>> throughput([(100.0, 104.0, 80), (102.0, 104.0, 20)], bins=2)
    {'start': 100.0, 'seconds': 2.0, 'rows': [40.0, 60.0]}
    """
    pieces = np.array(list(done), dtype=np.float64).reshape(-1, 3)
    if not len(pieces):
        return {}
    starts, ends, rows = pieces.T
    ends = np.maximum(ends, starts + 1e-3)
    edges = np.linspace(starts.min(), ends.max(), bins + 1)
    before = np.zeros(bins + 1)  # rows done before each edge
    for start, end, count in zip(starts, ends, rows, strict=True):
        before += count * np.clip((edges - start) / (end - start), 0, 1)
    return {
        "start": round(float(edges[0]), 3),
        "seconds": round(float(edges[1] - edges[0]), 6),
        "rows": np.diff(before).round(2).tolist(),
    }


class Timeline:
    """Counts processed items over time. Its timeline is that of ``throughput``."""

    def __init__(self) -> None:
        self.done = 0
        self._pieces: list[tuple[float, float, int]] = []
        self._last = time.time()

    def add(self, count: int) -> None:
        """Record that ``count`` more are done since the last call."""
        now = time.time()
        self._pieces.append((self._last, now, count))
        self.done, self._last = self.done + count, now

    def timeline(self) -> dict[str, Any]:
        """The items processed in each part of the time."""
        return throughput(self._pieces)


class Steps:
    """Counts the processed items of a phase, with the name of the current one, such as a file."""

    def __init__(self) -> None:
        self.done = 0
        self.at = ""

    def add(self, count: int, at: str) -> None:
        """Record that ``count`` more are done, the last of them in ``at``."""
        self.done, self.at = self.done + count, at


def add_records(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add up the numbers of slice records; nested ones by key.

    >>> add_records([{"rows": 2, "h": {"1": 1}}, {"rows": 3, "h": {"1": 2, "7": 1}}])
    {'rows': 5, 'h': {'1': 3, '7': 1}}
    """
    total: dict[str, Any] = {}
    for record in records:
        for key, value in record.items():
            if isinstance(value, dict):
                total[key] = add_records([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return total
