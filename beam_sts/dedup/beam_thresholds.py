"""CountThresholds: what every threshold of the table would remove, from scores that are there."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.transforms.window import GlobalWindows

from beam_sts.dedup.beam_decide import ranks_of
from beam_sts.dedup.beam_texts import TextInfo
from beam_sts.dedup.decide import GUARD
from beam_sts.dedup.representatives import PairScores
from beam_sts.dedup.rule import Policy, count_removals

MOST_PAIRS = 5_000_000
"""Of texts that hang together at the lowest threshold, in one worker's memory: 20 bytes each."""
_NODES_AT_ONCE = 20_000


class CountThresholds(beam.PTransform):
    """A dict of ``pairs``, ``nodes`` and ``names`` -> the counts of ``count_removals``, in parts to add up.

    Groups of texts that hang together at the lowest threshold are counted on one worker each, by their names
    and scores, without texts. A group of more than ``MOST_PAIRS`` is not: ``pairs_over`` tells of it.

    Args:
        thresholds: to count at.
        policy: of the run.
    """

    def __init__(self, thresholds: Sequence[float], policy: Policy) -> None:
        super().__init__()
        self._thresholds, self._policy = list(thresholds), policy

    def expand(self, parts: dict[str, beam.PCollection]) -> beam.PCollection:
        """Bring nodes and pairs to the group of their first node, then count."""
        found = {
            "name": parts["names"],
            "node": parts["nodes"] | "Nodes" >> beam.MapTuple(_node),
            "pair": parts["pairs"]
            | "Pairs" >> beam.Map(lambda p: (p.a, (p.b, p.score, p.source != GUARD, p.bars))),
        }
        return (
            found
            | "Meet" >> beam.CoGroupByKey()
            | "By group" >> beam.FlatMapTuple(_by_group)
            | "Group" >> beam.GroupByKey()
            | "Count" >> beam.ParDo(_Count(self._thresholds, self._policy))
        )


def _node(node: Any, info: TextInfo) -> tuple[Any, tuple[Any, int]]:
    return node, (info.best, info.rows)


def _by_group(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    for name in found["name"]:
        for best, rows in found["node"]:
            yield name, (node, best, rows)
        for pair in found["pair"]:
            yield name, (node, *pair)


class _Count(beam.DoFn):
    """Groups -> counts, some thousand nodes at a time, as most groups are small."""

    def __init__(self, thresholds: list[float], policy: Policy) -> None:
        self._thresholds, self._policy = thresholds, policy

    def start_bundle(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._members: list[tuple[Any, Any, int]] = []
        self._ends, self._scores, self._proposed = array("q"), array("f"), bytearray()
        self._bars = bytearray()

    def process(self, group: tuple[Any, Iterable[Any]]) -> Iterator[Any]:
        numbers, before = self._numbers, len(self._scores)
        for node, other, value, *more in group[1]:
            if not more:  # a member: its best row's key, its number of rows
                self._members.append((node, other, value))
                continue
            self._proposed.append(more[0])
            self._bars.append(more[1])
            self._ends.extend(
                (numbers.setdefault(node, len(numbers)), numbers.setdefault(other, len(numbers)))
            )
            self._scores.append(value)
            if len(self._scores) - before > MOST_PAIRS:
                self._clear()
                yield {"pairs_over": MOST_PAIRS}
                return
        if len(self._members) >= _NODES_AT_ONCE:
            yield self._count()

    def finish_bundle(self) -> Iterator[Any]:
        if self._members:
            yield GlobalWindows.windowed_value(self._count())

    def _count(self) -> dict[str, Any]:
        members = sorted(self._members, key=lambda member: member[0])
        places = np.full(len(self._numbers), -1, np.int64)
        for place, (node, _, _) in enumerate(members):
            places[self._numbers[node]] = place
        ends = places[np.array(self._ends, np.int64)].reshape(-1, 2)
        scores = np.array(self._scores, np.float32)
        inside = (ends >= 0).all(axis=1)  # the others were not accepted at any threshold
        bars = np.frombuffer(bytes(self._bars), np.uint8)
        pairs = PairScores(ends[inside, 0], ends[inside, 1], scores[inside], bars[inside])
        named = np.frombuffer(bytes(self._proposed), bool)[inside]
        proposed = pairs.at(named)
        rule = self._policy.rule(*ranks_of(members), proposed)
        self._clear()
        return {"thresholds": count_removals(rule, pairs, self._thresholds)}
