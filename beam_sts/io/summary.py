"""Counts of slices, added up. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 1000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def score_histogram(scores: NDArray[np.float32], *, logits: bool = False) -> dict[str, int]:
    """Count scores in 1,000 equal bins of 0 to 1; logits are brought there by a sigmoid first.

    Returns:
        Counts by bin number, empty bins left out.

    >>> score_histogram(np.array([0.0, 0.0004, 0.5, 1.0], np.float32))
    {'0': 2, '500': 1, '999': 1}
    """
    unit = 1 / (1 + np.exp(-scores.astype(np.float64))) if logits else scores.astype(np.float64)
    bins, counts = np.unique(np.clip((unit * BINS).astype(int), 0, BINS - 1), return_counts=True)
    return {str(b): int(c) for b, c in zip(bins, counts, strict=True)}


def quantiles(histogram: dict[str, int], *, logits: bool = False) -> dict[str, float]:
    """Quantiles of scores counted by ``score_histogram``, exact to one bin (0.001).

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


def add_records(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sum the numbers of slice records, nested ones by key.

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
