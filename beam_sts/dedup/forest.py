"""Connected components of a graph whose edges come in parts: spanning forests that merge. Pure functions.

A forest of n nodes has n entries for any number of edges, so a tree of merges handles less data at each
level. The version for one machine is ``beam_sts.dedup.components``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.dedup.components import components


def text_code(node: Any) -> int:
    """Returns a 64-bit code of a node, the same in every process.

    Two nodes with the same code are put into one component. That is harmless where a component only
    determines which nodes are decided together.

    >>> text_code((0, "a"))
    9026062096370171638
    """
    digest = hashlib.blake2b(repr(node).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class Forest(NamedTuple):
    """Nodes in ascending order, and for each the smallest node of its tree; int64 of shape (nodes,)."""

    nodes: IntArray
    names: IntArray

    @classmethod
    def of(cls, edges: IntArray) -> Forest:
        """Build a forest from edges of shape (edges, 2).

        >>> Forest.of(np.array([[4, 2], [9, 7], [4, 9]])).names.tolist()
        [2, 2, 2, 2]
        """
        return cls._joined(np.unique(edges), edges[:, 0], edges[:, 1])

    @classmethod
    def merged(cls, forests: Sequence[Forest]) -> Forest:
        """Merge forests."""
        some = [forest for forest in forests if len(forest.nodes)]
        if len(some) < 2:
            return some[0] if some else cls.of(np.empty((0, 2), np.int64))
        nodes, names = (np.concatenate([forest[at] for forest in some]) for at in (0, 1))
        return cls._joined(np.unique(nodes), nodes, names)

    @classmethod
    def _joined(cls, nodes: IntArray, a: IntArray, b: IntArray) -> Forest:
        """Build a forest from sorted nodes and the positions of edges' ends, which need half the memory."""
        first, second = (np.searchsorted(nodes, ends).astype(np.int32, copy=False) for ends in (a, b))
        return cls(nodes, nodes[components(first, second, len(nodes))])

    def pieces(self, nodes: int) -> Iterator[Forest]:
        """Cut the forest into pieces with this many nodes each."""
        for start in range(0, len(self.nodes), nodes):
            yield Forest(self.nodes[start : start + nodes], self.names[start : start + nodes])

    @property
    def sizes(self) -> IntArray:
        """Number of nodes in each node's tree, shape (nodes,)."""
        counts = np.bincount(np.searchsorted(self.nodes, self.names), minlength=len(self.nodes))
        sizes: NDArray[np.int64] = counts[np.searchsorted(self.nodes, self.names)]
        return sizes


def large_star(node: Any, neighbours: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Connect the larger neighbours of a node to the smallest node among the node and its neighbours.

    >>> list(large_star(5, [2, 9, 7]))
    [(9, 2), (7, 2)]
    """
    smallest = min(node, min(neighbours))
    if smallest == node:  # a self-loop keeps a node without other edges
        yield from ((v, node) for v in neighbours)
    else:
        yield from ((v, smallest) for v in neighbours if v > node)


def small_star(node: Any, smaller: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Connect a node and its smaller neighbours to the smallest neighbour.

    >>> list(small_star(5, [2, 4]))
    [(5, 2), (4, 2)]
    """
    smallest = min(smaller)
    yield node, smallest
    yield from ((v, smallest) for v in smaller if v not in (smallest, node))
