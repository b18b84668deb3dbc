"""The rule of a run over nodes and their scored pairs, at its threshold and at others. Pure functions.

One machine applies it to all nodes at once, Beam to some that hang together with no others: what is counted
here adds up to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.dedup.components import components
from beam_sts.dedup.keep import KeepPolicy
from beam_sts.dedup.linkage import average_clusters
from beam_sts.dedup.representatives import (
    BOTH,
    Compare,
    PairScores,
    Representatives,
    central_ranks,
    pick_representatives,
)

TABLE = (*(round(0.5 + step * 0.05, 2) for step in range(10)), 0.99)
"""The thresholds of the summary's table."""


LINKAGES = ("single", "average")


@dataclass(frozen=True)
class Policy:
    """What a run's settings say about duplicates, whatever the texts.

    ``threshold``: least score of a duplicate. ``linkage``: clusters are connected components (``single``), or
    finer (``average``). ``one_to_one``: a row is removed for one of the other input only if each is the
    other's best.
    """

    threshold: float
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    linkage: str = "single"
    one_to_one: bool = False

    def rule(self, rank: IntArray, rows: IntArray, fixed: NDArray[np.bool_], proposed: PairScores) -> Rule:
        """The rule over some texts; ``proposed`` are the pairs of them that a source named, scored."""
        by = proposed if self.linkage == "average" else None
        return Rule(rank, rows, fixed, self.keep.central, self.one_to_one, by)


@dataclass(frozen=True)
class Rule:
    """What decides about n nodes, numbered in the order of their ids.

    ``rank`` of each, distinct, the best being 0; ``rows`` that it stands for; ``fixed`` where it stays
    whatever the others do, all of shape (n,). ``central``: those most like the others are best, then by rank.
    ``proposed``: pairs that average linkage goes by; None is single linkage.
    """

    rank: IntArray
    rows: IntArray
    fixed: NDArray[np.bool_]
    central: bool = False
    one_to_one: bool = False
    proposed: PairScores | None = None

    @property
    def own_rows(self) -> IntArray:
        """Rows of the input itself that each node stands for."""
        return np.where(self.fixed, 0, self.rows)

    def clusters(self, threshold: float) -> IntArray | None:
        """Of average linkage."""
        if self.proposed is None:
            return None
        by, order = self.proposed, np.arange(len(self.rank))
        barred = (by.bars == BOTH) & (by.scores >= np.float32(threshold))
        scores = np.where(barred, np.float32(np.nan), by.scores)  # no duplicates, whatever they score
        return average_clusters(by.a, by.b, scores, threshold, order, self.rows)

    def settle(
        self,
        pairs: PairScores,
        threshold: float,
        clusters: IntArray | None = None,
        compare: Compare | None = None,
    ) -> Representatives:
        """What becomes of each node at a threshold; ``clusters`` of the same one."""
        rank = central_ranks(pairs, threshold, self.rank, self.rows) if self.central else self.rank
        fixed = self.fixed if self.fixed.any() else None
        return pick_representatives(
            pairs,
            threshold,
            rank,
            fixed=fixed,
            compare=compare,
            clusters=clusters,
            one_to_one=self.one_to_one,
        )


def count_removals(rule: Rule, pairs: PairScores, thresholds: Sequence[float]) -> dict[str, Any]:
    """What each threshold would do to the nodes, as numbers that ``add_records`` adds up.

    Args:
        rule: of the nodes, none of which has an accepted pair with a node that is not among them.
        pairs: of them, with the scores that are there; none is made up.
        thresholds: to count at.

    Returns:
        By threshold: ``removed`` and ``unverified`` nodes, and ``sizes``: how many clusters of so many rows
        there are more than if every node were alone, or less.

    >>> pair = PairScores(np.array([0]), np.array([1]), np.array([0.8], np.float32))
    >>> count_removals(Rule(np.arange(2), np.array([1, 3]), np.zeros(2, bool)), pair, [0.7])
    {'0.7': {'removed': 1, 'unverified': 0, 'sizes': {'1': -1, '3': -1, '4': 1}}}
    """
    alone, counts = np.bincount(rule.own_rows), {}
    for threshold in thresholds:
        clusters = rule.clusters(threshold)
        found = rule.settle(pairs, threshold, clusters)
        links = pairs.accepted(threshold).within(clusters)
        labels = components(links.a, links.b, len(rule.rank))
        sizes = np.bincount(np.bincount(labels, rule.own_rows).astype(np.int64), minlength=len(alone))
        sizes[: len(alone)] -= alone
        sizes[:1] = 0  # clusters of rows to compare against alone
        counts[str(threshold)] = {
            "removed": int((found.representative != np.arange(len(rule.rank))).sum()),
            "unverified": found.unverified,
            "sizes": {str(size): int(sizes[size]) for size in np.flatnonzero(sizes).tolist()},
        }
    return counts


def node_sizes(rows: IntArray) -> dict[str, int]:
    """Number of nodes by the rows of the input that they stand for; those of the other input are left out.

    >>> node_sizes(np.array([1, 3, 0, 1]))
    {'1': 2, '3': 1}
    """
    counts = np.bincount(rows)
    return {str(size): int(counts[size]) for size in np.flatnonzero(counts).tolist() if size}


def threshold_table(
    thresholds: Sequence[float], sizes: Mapping[str, int], counts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Removed rows and clusters of more than one row at each threshold.

    A lower bound where the chain guard would have to score more pairs than it did at the run's threshold.

    Args:
        thresholds: of the rows of the table.
        sizes: of ``node_sizes``, added up.
        counts: of ``count_removals``, added up.

    >>> made = {"0.7": {"removed": 1, "unverified": 0, "sizes": {"1": -1, "3": -1, "4": 1}}}
    >>> threshold_table([0.7], {"1": 5, "3": 1}, made)
    [{'threshold': 0.7, 'removed': 3, 'clusters': 1, 'largest': 4, 'unverified': 0}]
    """
    equal = sum((int(size) - 1) * count for size, count in sizes.items())
    table = []
    for threshold in thresholds:
        found = counts.get(str(threshold), {"removed": 0, "unverified": 0, "sizes": {}})
        there = {int(size): count for size, count in sizes.items()}
        for size, more in found["sizes"].items():
            there[int(size)] = there.get(int(size), 0) + more
        table.append(
            {
                "threshold": threshold,
                "removed": equal + found["removed"],
                "clusters": sum(count for size, count in there.items() if size > 1),
                "largest": max((size for size, count in there.items() if count), default=0),
                "unverified": found["unverified"],
            }
        )
    return table
