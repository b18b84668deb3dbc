"""Components: the connected components of a PCollection of edges, in few shuffles."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.dedup.forest import Forest, large_star, small_star, text_code
from beam_sts.errors import UserError

MOST_NODES = 4_000_000
"""Most nodes joined on one worker: 16 bytes each; about 670 MB while two forests of this size are merged."""
ROUNDS = 1
"""Number of rounds if there may be more nodes than that."""

_EDGES_AT_ONCE = 1 << 20  # edges buffered for the next forest, 16 bytes each
_WAYS, _PIECE = 16, 1 << 15


class Components(beam.PTransform):
    """Edges of nodes -> ``(code of a node, (component, nodes of it))`` for each node of an edge.

    Every bundle builds a spanning forest of its edges, and the forests are merged on the way to one worker
    (``beam_sts.dedup.forest``): two shuffles for any graph. A component is named by its smallest code
    (``text_code``).

    For graphs that are too large for one worker, ``rounds`` come first: alternating large-star and small-star
    steps (Kiveris et al., Connected Components in MapReduce and Beyond, 2014). Each step sees the edges of
    one node. One round completes components in which every node is adjacent to the smallest; r rounds
    complete components of about 2**r steps. Only incomplete components go to the one worker.

    Args:
        rounds: the number of rounds, each with one large-star and one small-star step.

    Raises:
        UserError: (at run time) more than ``MOST_NODES`` nodes are left for one worker.

    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     found = pipeline | beam.Create([(3, 2), (1, 2), (7, 8)]) | Components()
    ...     sizes = found | beam.Values() | beam.Distinct() | beam.Map(lambda component: component[1])
    ...     _ = sizes | beam.combiners.ToList() | beam.Map(lambda sizes: print(sorted(sizes)))
    [2, 3]
    """

    def __init__(self, rounds: int = 0) -> None:
        super().__init__()
        self._rounds = rounds

    def expand(self, edges: beam.PCollection) -> beam.PCollection:
        """Build the rounds, then merge the forests of the remaining edges."""
        edges = edges | "Codes" >> beam.MapTuple(lambda a, b: (text_code(a), text_code(b)))
        if not self._rounds:
            return edges | "Forest" >> JoinForests(self._rounds)
        edges = edges | "Sort ends" >> beam.Map(lambda e: (min(e), max(e)))
        for number in range(1, self._rounds + 1):
            edges = (
                edges
                | f"Both {number}" >> beam.FlatMap(lambda e: [e, e[::-1]] if e[0] != e[1] else [e])
                | f"Group large {number}" >> beam.GroupByKey()
                | f"Large star {number}" >> beam.FlatMapTuple(large_star)
                | f"Down {number}" >> beam.Map(lambda e: (max(e), min(e)))
                | f"Group small {number}" >> beam.GroupByKey()
                | f"Small star {number}" >> beam.FlatMapTuple(small_star)
            )
        named = (
            edges
            | "Ends" >> beam.FlatMap(lambda e: [(e[0], e[1]), (e[1], e[1])])
            | "Group ends" >> beam.GroupByKey()
            | "Names" >> beam.ParDo(_Names()).with_outputs("left", main="named")
        )
        left = named["left"] | "Forest" >> JoinForests(self._rounds)
        return {"name": left, "nodes": named["named"]} | CoGroup() | beam.FlatMapTuple(_final)


class JoinForests(beam.PTransform):
    """Edges of codes -> ``(code, (component, nodes of it))``, joined on one worker, in two shuffles.

    Forests are sent in pieces of half a megabyte, because runners hold an element in one buffer.

    Args:
        rounds: number of preceding rounds, for the message.
    """

    def __init__(self, rounds: int = 0) -> None:
        super().__init__()
        self._rounds = rounds

    def expand(self, edges: beam.PCollection) -> beam.PCollection:
        """Join within bundles, then in groups, then all."""
        return (
            edges
            | "In bundles" >> beam.ParDo(_JoinBundle(self._rounds))
            | "By ways" >> beam.GroupByKey()
            | "Join ways" >> beam.FlatMap(_joined_way, self._rounds)
            | "All" >> beam.GroupByKey()
            | "Join all" >> beam.FlatMap(_nodes, self._rounds)
        )


class _Growing:
    """A forest with buffered edges and pieces that are still to be merged.

    Raises:
        UserError: it has more than ``MOST_NODES`` nodes.
    """

    def __init__(self, rounds: int) -> None:
        self._rounds, self._forest = rounds, Forest.merged([])
        self._edges, self._pieces, self._waiting = array("q"), list[Forest](), 0

    def add(self, edge: tuple[int, int]) -> None:
        """Add an edge."""
        self._edges.extend(edge)
        if len(self._edges) >= 2 * _EDGES_AT_ONCE:
            self.forest()

    def merge(self, piece: Forest) -> None:
        """Add a piece of another forest."""
        self._pieces.append(piece)
        self._waiting += len(piece.nodes)
        if self._waiting > max(_EDGES_AT_ONCE, len(self._forest.nodes)):
            self.forest()

    def forest(self) -> Forest:
        """Merge everything that is buffered, and return the forest."""
        edges = Forest.of(np.array(self._edges, np.int64).reshape(-1, 2))
        self._forest = Forest.merged([self._forest, edges, *self._pieces])
        self._edges, self._pieces, self._waiting = array("q"), [], 0
        if len(self._forest.nodes) > MOST_NODES:
            raise UserError(
                f"--component_rounds {self._rounds}: more than {MOST_NODES:,} texts are in clusters that one "
                f"worker joins. Give more, such as --component_rounds {self._rounds + 1}."
            )
        return self._forest


class _JoinBundle(beam.DoFn):
    """Edges -> ``(group, piece of the forest of the bundle)``."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds

    def start_bundle(self) -> None:
        self._growing = _Growing(self._rounds)

    def process(self, edge: tuple[int, int]) -> None:
        self._growing.add(edge)

    def finish_bundle(self) -> Iterator[Any]:
        forest = self._growing.forest()
        self.start_bundle()  # runners keep instances
        if len(forest.nodes):
            way = int(forest.nodes[0] % _WAYS)
            for piece in forest.pieces(_PIECE):
                yield GlobalWindows.windowed_value((way, tuple(piece)))


Piece = tuple[IntArray, IntArray]
"""Nodes in a piece of a forest."""


def _joined(pieces: Iterable[Piece], rounds: int) -> Forest:
    growing = _Growing(rounds)
    for piece in pieces:
        growing.merge(Forest(*piece))
    return growing.forest()


def _joined_way(way: tuple[int, Iterable[Piece]], rounds: int) -> Iterator[tuple[int, Piece]]:
    for piece in _joined(way[1], rounds).pieces(_PIECE):
        yield 0, (piece.nodes, piece.names)


def _nodes(every: tuple[int, Iterable[Piece]], rounds: int) -> Iterator[tuple[int, tuple[int, int]]]:
    forest = _joined(every[1], rounds)
    sizes = forest.sizes
    for start in range(0, len(sizes), _PIECE):
        part = slice(start, start + _PIECE)
        columns = (forest.nodes[part].tolist(), forest.names[part].tolist(), sizes[part].tolist())
        for node, name, size in zip(*columns, strict=True):
            yield node, (name, size)


class _Names(beam.DoFn):
    """A node and its smaller neighbours -> (the smallest neighbour, the node); the others as ``left``.

    The edges in ``left`` connect names of components that are not yet a star around their smallest node. A
    component that is one has no such edges.
    """

    def process(self, grouped: tuple[int, Iterable[int]]) -> Iterator[Any]:
        node, parents = grouped
        smallest = min(parents)
        yield smallest, node
        for parent in set(parents):
            if parent != smallest:
                yield pvalue.TaggedOutput("left", (smallest, parent))


def _final(name: int, found: dict[str, Iterable[Any]]) -> Iterator[tuple[int, tuple[int, int]]]:
    joined = next(iter(found["name"]), None)
    count = sum(1 for _ in found["nodes"])
    final, size = (name, count) if joined is None else (joined[0], max(joined[1], count))
    for node in found["nodes"]:
        yield node, (final, size)
