"""Connected components over verified edges, and the properties of the largest ones. Pure functions.

The distributed counterpart is ``beam_sts.dedup.beam_components``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray

_LARGEST = 20
# The exact diameter takes a search from each node. For larger components, two searches give a bound.
_EXACT_DIAMETER = 500


def components(a: NDArray[np.signedinteger], b: NDArray[np.signedinteger], nodes: int) -> IntArray:
    """The component of each node, named by its smallest node.

    Args:
        a: one end of each edge, shape (edges,), from 0 to ``nodes`` - 1.
        b: the other end, shape (edges,).
        nodes: the number of nodes. A node without an edge is a component of one.

    Returns:
        The smallest node in the component of each node, shape (nodes,).

    >>> components(np.array([4, 1]), np.array([2, 4]), 5).tolist()
    [0, 1, 1, 3, 1]
    """
    if not len(a):
        return np.arange(nodes)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = ends_of(a, b)  # mostly few of the nodes
    at = np.searchsorted(ends, a), np.searchsorted(ends, b)
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), at), shape=(len(ends), len(ends)))
    count, labels = connected_components(graph, directed=False)
    smallest = np.full(count, nodes, dtype=np.int64)
    np.minimum.at(smallest, labels, ends)
    names: IntArray = np.arange(nodes)
    names[ends] = smallest[labels]
    return names


def ends_of(a: NDArray[np.signedinteger], b: NDArray[np.signedinteger]) -> IntArray:
    """The nodes that have an edge, in ascending order."""
    ends: IntArray = np.unique(np.concatenate([a, b]))
    return ends


@dataclass(frozen=True)
class Cluster:
    """The structure of a component.

    ``diameter`` is the longest of the shortest paths (a lower bound unless ``exact``). ``bridges`` are the
    edges without which the component would split into parts of at least two nodes each: a wrongly accepted
    pair is probably among them. ``lowest`` is the lowest score of an accepted edge.
    """

    name: int
    nodes: int
    edges: int
    lowest: float
    diameter: int
    exact: bool
    bridges: list[tuple[int, int]]


def largest_clusters(
    a: IntArray, b: IntArray, scores: NDArray[np.float32], labels: IntArray, count: int = _LARGEST
) -> list[Cluster]:
    """The components with the most nodes, largest first.

    Args:
        a: one end of each accepted edge, shape (edges,).
        b: the other end, shape (edges,).
        scores: the scores of the edges, shape (edges,).
        labels: from ``components``, shape (nodes,).
        count: the most components to return, of those with more than one node.

    Returns:
        A description of each.

    >>> chain = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    >>> largest_clusters(*chain, np.ones(4, np.float32), components(*chain, 5))[0].diameter
    4
    """
    names, sizes = np.unique(labels[ends_of(a, b)], return_counts=True)
    order = np.lexsort((names, -sizes))[:count]
    found = []
    for name, size in zip(names[order].tolist(), sizes[order].tolist(), strict=True):
        rows = np.flatnonzero(labels[a] == name)
        edges, diameter, exact, bridges = _form(a[rows], b[rows], size)
        found.append(Cluster(name, size, edges, float(scores[rows].min()), diameter, exact, bridges))
    return found


def _form(a: IntArray, b: IntArray, size: int) -> tuple[int, int, bool, list[tuple[int, int]]]:
    """Returns edges, diameter, whether that is exact, and bridges of a component of ``size`` nodes."""
    if size == 2:
        return 1, 1, True, []
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import shortest_path

    nodes = ends_of(a, b)
    one, other = np.searchsorted(nodes, a), np.searchsorted(nodes, b)
    low, high = divmod(np.unique(np.minimum(one, other) * size + np.maximum(one, other)), size)
    graph = coo_matrix((np.ones(len(low), np.int8), (low, high)), shape=(size, size)).tocsr()
    exact = size <= _EXACT_DIAMETER
    steps = partial(shortest_path, graph, method="D", directed=False, unweighted=True)
    far = steps() if exact else steps(indices=steps(indices=0).argmax())
    bridges = [(int(nodes[u]), int(nodes[v])) for u, v in _bridges(graph, low, high)]
    return len(low), int(far.max()), exact, bridges


def _bridges(graph: Any, low: IntArray, high: IntArray) -> list[tuple[int, int]]:
    """The bridges between nodes that have other edges too, in ascending order.

    An edge is a bridge if no cycle contains it. Every edge outside a spanning tree gets a random number, and
    every tree edge the exclusive or of the numbers of the cycles that it is in: zero for a bridge, and for
    another edge with a probability of 2**-63 (Pritchard and Thurimella, Fast Computation of Small Cuts via
    Cycle Space Sampling, 2011).

    Args:
        graph: a connected graph as a sparse matrix, each edge once.
        low: the smaller end of each edge, shape (edges,), in ascending order.
        high: the greater end.
    """
    from scipy.sparse.csgraph import breadth_first_order

    order, parent = breadth_first_order(graph, 0, directed=False)
    in_tree = (parent[low] == high) | (parent[high] == low)
    numbers = np.random.default_rng(0).integers(1, 1 << 63, len(low))
    sums = np.zeros(len(order), np.int64)
    for ends in (low, high):
        np.bitwise_xor.at(sums, ends[~in_tree], numbers[~in_tree])
    sum_of, parents = sums.tolist(), parent.tolist()
    for node in order[:0:-1].tolist():  # children before their parents
        sum_of[parents[node]] ^= sum_of[node]
    child = np.where(parent[high] == low, high, low)
    degrees = np.bincount(low, minlength=len(order)) + np.bincount(high, minlength=len(order))
    inner = (degrees[low] > 1) & (degrees[high] > 1)
    rows = np.flatnonzero(in_tree & inner & (np.array(sum_of)[child] == 0))
    return list(zip(low[rows].tolist(), high[rows].tolist(), strict=True))
