"""Average linkage: clusters whose members are similar on average, not only along a chain. Pure functions."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, inverse
from beam_sts.dedup.components import components


def average_clusters(
    a: IntArray,
    b: IntArray,
    scores: NDArray[np.float32],
    threshold: float,
    rank: IntArray,
    rows: IntArray | None = None,
) -> IntArray:
    """Clusters by average linkage (UPGMA; Sokal and Michener 1958) over the pairs that have a score.

    The two clusters with the highest mean score between their members are merged, repeatedly, while that mean
    is at or above the threshold. A pair without a score counts as 0, since no source of candidates proposed
    it. Each cluster is a connected part of a connected component over the pairs at or above the threshold.

    Args:
        a: one end of each pair, distinct pairs, shape (pairs,).
        b: the other end, shape (pairs,).
        scores: the scores of the pairs, shape (pairs,); NaN counts as 0.
        threshold: the lowest mean score.
        rank: the rank of each of n nodes, distinct, shape (n,). Lower ranks decide between equal means.
        rows: the number of rows with each node, shape (n,); by default 1.

    Returns:
        The cluster of each node, named by its smallest node; shape (n,).

    >>> chain = np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.6, 0.9], np.float32)
    >>> average_clusters(*chain, 0.5, np.arange(4)).tolist()
    [0, 0, 2, 2]
    """
    n = len(rank)
    kept = scores >= np.float32(threshold)
    labels = components(a[kept], b[kept], n)
    crowded = np.bincount(labels, minlength=n)[labels] > 2
    inside = crowded[a] & (labels[a] == labels[b]) & ~np.isnan(scores)
    order = np.argsort(rank)  # below, ranks name nodes, so that the order of the input has no effect
    place = inverse(order)
    merged = _merge(
        place[a[inside]].tolist(),
        place[b[inside]].tolist(),
        scores[inside].tolist(),
        float(np.float32(threshold)),
        (np.ones(n, np.int64) if rows is None else rows)[order].tolist(),
    )
    name = labels.copy()
    name[crowded] = np.flatnonzero(crowded)
    for one, into in merged.items():
        name[order[one]] = order[into]
    smallest = np.full(n, n)
    np.minimum.at(smallest, name, np.arange(n))
    found: IntArray = smallest[name]
    return found


def _merge(
    a: list[int], b: list[int], scores: list[float], threshold: float, rows: list[int]
) -> dict[int, int]:
    """The node into which each merged node is merged in the end."""
    links: dict[int, dict[int, float]] = {}  # sums of scores over all pairs of rows between two clusters
    for one, other, score in sorted(zip(map(min, a, b), map(max, a, b), scores, strict=True)):
        links.setdefault(one, {})[other] = links.setdefault(other, {})[one] = score * rows[one] * rows[other]

    def mean(one: int, other: int) -> float:
        return links[one][other] / (rows[one] * rows[other])

    heap = [(-mean(one, other), one, other) for one in links for other in links[one] if one < other]
    heap = [entry for entry in heap if -entry[0] >= threshold]
    heapify(heap)
    into: dict[int, int] = {}
    while heap:
        negative, one, other = heappop(heap)
        if other not in links.get(one, {}) or -negative != mean(one, other):
            continue  # outdated: one of the clusters has changed
        into[other] = one
        for third, total in links.pop(other).items():
            del links[third][other]
            if third != one:
                links[one][third] = links[third][one] = links[one].get(third, 0.0) + total
        rows[one] += rows[other]
        for third in links[one]:
            value = mean(one, third)
            if value >= threshold:
                heappush(heap, (-value, min(one, third), max(one, third)))
    for node in sorted(into):  # lower ranks first, so that the target's own target is known
        into[node] = into.get(into[node], into[node])
    return into
