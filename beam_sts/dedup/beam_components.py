"""Components: connected components of a PCollection of edges; no step needs more than one node's edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from beam_sts.dedup.components import ROUNDS
from beam_sts.errors import UserError


class Components(beam.PTransform):
    """Edges (u, v) -> (node, component) for every node of an edge; a component's name is its smallest node.

    Alternating large-star and small-star steps (Kiveris et al., Connected Components in MapReduce and Beyond,
    2014). Beam has no loops, so the rounds are unrolled: the pipeline holds ``rounds`` of them whatever the
    input. Every round keeps the components; when they are done each component is a star around its smallest
    node, which a last step checks for every node. The rounds needed grow with the logarithm of the longest
    path: in order, a chain of 100 nodes takes 7, of 10,000 takes 14, of 50,000 takes 16.

    Nodes are of any one type that sorts and is a deterministic Beam key: int, str. A node's edges are read
    twice in a stream, never held.

    Args:
        rounds: of one large-star and one small-star step each.

    Raises:
        UserError: (while it runs) the rounds did not suffice.

    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     edges = pipeline | beam.Create([(3, 2), (1, 2), (7, 8)])
    ...     _ = edges | Components() | beam.combiners.ToList() | beam.Map(lambda found: print(sorted(found)))
    [(1, 1), (2, 1), (3, 1), (7, 7), (8, 7)]
    """

    def __init__(self, rounds: int = ROUNDS) -> None:
        super().__init__()
        self._rounds = rounds

    def expand(self, edges: beam.PCollection) -> beam.PCollection:
        """Round after round, then the check."""
        edges = edges | "Sort ends" >> beam.Map(lambda e: (min(e), max(e))) | beam.Distinct()
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
        return (
            edges
            | "Ends" >> beam.FlatMap(lambda e: [(e[0], e[1]), (e[1], e[1])])
            | "Group ends" >> beam.GroupByKey()
            | "Check" >> beam.Map(_component, self._rounds)
        )


def large_star(node: Any, neighbours: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Join a node's larger neighbours to the smallest of them all.

    >>> list(large_star(5, [2, 9, 7]))
    [(9, 2), (7, 2)]
    """
    smallest = min(node, min(neighbours))
    if smallest == node:  # a loop keeps a node that no other edge names
        yield from ((v, node) for v in neighbours)
    else:
        yield from ((v, smallest) for v in neighbours if v > node)


def small_star(node: Any, smaller: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Join a node and its smaller neighbours to the smallest of them.

    >>> list(small_star(5, [2, 4]))
    [(5, 2), (4, 2)]
    """
    smallest = min(smaller)
    yield node, smallest
    yield from ((v, smallest) for v in smaller if v not in (smallest, node))


def _component(grouped: tuple[Any, Iterable[Any]], rounds: int) -> tuple[Any, Any]:
    node, parents = grouped
    smallest = min(parents)
    if any(parent != smallest for parent in parents):
        raise UserError(
            f"{rounds} rounds do not suffice to find the components: node {node!r} has edges to "
            f"{smallest!r} and to {max(parents)!r}. Give more with --component_rounds (rounds=... in Python)."
        )
    return node, smallest
