"""Average linkage: clusters whose members are alike on the whole, not only along a chain. Pure functions."""

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

    The two clusters whose members' mean score is highest are merged, again and again, while that mean is at
    or above the threshold. A pair without a score counts 0: no source of candidates thought it alike. Every
    cluster lies within a connected component over the pairs at or above the threshold and is connected by
    them.

    Args:
        a: one end of each pair, distinct pairs, shape (pairs,).
        b: the other end.
        scores: of the pairs; NaN counts 0.
        threshold: least mean.
        rank: of the n nodes, distinct, shape (n,); the lower decide between equal means.
        rows: rows that each node stands for, shape (n,); default one.

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
    order = np.argsort(rank)  # nodes are named by rank below, so that the input's order does not matter
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
    """The node that each merged node ends up with."""
    links: dict[int, dict[int, float]] = {}  # sums of scores over the pairs of rows of two clusters
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
            continue  # of clusters that are no more what they were
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
    for node in sorted(into):  # a node was merged into one of lower rank, whose own end is known by now
        into[node] = into.get(into[node], into[node])
    return into
