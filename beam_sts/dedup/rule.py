"""The rule of a run for texts and their scored pairs, at its threshold and at others. Pure functions.

One machine applies it to all texts at once, Beam to groups of texts that are not connected to others. The
counts of the groups add up to those of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.dedup.components import components, ends_of
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
"""The thresholds in the table of the summary."""


LINKAGES = ("single", "average")


@dataclass(frozen=True)
class Policy:
    """The settings of a run that decide about duplicates.

    ``threshold`` is the lowest score of a duplicate. ``linkage`` says whether clusters are connected
    components (``single``) or finer (``average``). With ``one_to_one``, a row is removed in favour of a row
    of the other input only if each is the other's best match.
    """

    threshold: float
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    linkage: str = "single"
    one_to_one: bool = False

    def rule(self, rank: IntArray, rows: IntArray, fixed: NDArray[np.bool_], proposed: PairScores) -> Rule:
        """The rule for some texts. ``proposed`` are the scored pairs among them that a source proposed."""
        by = proposed if self.linkage == "average" else None
        return Rule(rank, rows, fixed, self.keep.central, self.one_to_one, by)


@dataclass(frozen=True)
class Rule:
    """The rule for n texts, numbered in the order of their ids.

    ``rank`` is distinct, 0 for the best. ``rows`` is the number of rows with each text. ``fixed`` marks texts
    that always stay. All have shape (n,). ``central``: texts most similar to others are best, then by rank.
    ``proposed`` are the pairs that average linkage uses; None for single linkage.
    """

    rank: IntArray
    rows: IntArray
    fixed: NDArray[np.bool_]
    central: bool = False
    one_to_one: bool = False
    proposed: PairScores | None = None

    @property
    def own_rows(self) -> IntArray:
        """The number of rows of the input itself with each text."""
        return np.where(self.fixed, 0, self.rows)

    def clusters(self, threshold: float) -> IntArray | None:
        """The clusters of average linkage; None for single linkage."""
        if self.proposed is None:
            return None
        by, order = self.proposed, np.arange(len(self.rank))
        barred = (by.bars == BOTH) & (by.scores >= np.float32(threshold))
        scores = np.where(barred, np.float32(np.nan), by.scores)  # not duplicates, whatever their scores
        return average_clusters(by.a, by.b, scores, threshold, order, self.rows)

    def choose(
        self,
        pairs: PairScores,
        threshold: float,
        clusters: IntArray | None = None,
        compare: Compare | None = None,
    ) -> Representatives:
        """Decide about all texts at a threshold, with the ``clusters`` of that threshold."""
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


def texts_removed(rule: Rule, pairs: PairScores, threshold: float) -> int:
    """Count the texts that a threshold would remove, by existing scores."""
    found = rule.choose(pairs, threshold, rule.clusters(threshold))
    return int((found.representative != np.arange(len(rule.rank))).sum())


def count_removals(rule: Rule, pairs: PairScores, thresholds: Sequence[float]) -> dict[str, Any]:
    """Count what each threshold would do to the texts, as numbers that ``add_records`` can add up.

    Args:
        rule: the rule for the texts. None of them has an accepted pair with any other text.
        pairs: the pairs of the texts with existing scores. No new scores are computed.
        thresholds: the thresholds at which to count.

    Returns:
        By threshold: ``removed`` and ``unverified`` texts, and ``sizes``, the change in the number of
        clusters of each size (in rows) relative to single texts.

    >>> pair = PairScores(np.array([0]), np.array([1]), np.array([0.8], np.float32))
    >>> count_removals(Rule(np.arange(2), np.array([1, 3]), np.zeros(2, bool)), pair, [0.7])
    {'0.7': {'removed': 1, 'unverified': 0, 'sizes': {'1': -1, '3': -1, '4': 1}}}
    """
    own, counts = rule.own_rows, {}
    for threshold in thresholds:
        clusters = rule.clusters(threshold)
        found = rule.choose(pairs, threshold, clusters)
        links = pairs.accepted(threshold).within(clusters)
        joined = ends_of(links.a, links.b)
        _, labels = np.unique(components(links.a, links.b, len(own))[joined], return_inverse=True)
        sizes = np.bincount(np.bincount(labels, own[joined]).astype(np.int64))
        sizes -= np.bincount(own[joined], minlength=len(sizes))  # which they were alone
        sizes[:1] = 0  # clusters with rows to compare against only
        counts[str(threshold)] = {
            "removed": int((found.representative != np.arange(len(rule.rank))).sum()),
            "unverified": found.unverified,
            "sizes": {str(size): int(sizes[size]) for size in np.flatnonzero(sizes).tolist()},
        }
    return counts


def rows_by_text(rows: IntArray) -> dict[str, int]:
    """The number of texts by the number of rows of the input. Texts of the other input are left out.

    >>> rows_by_text(np.array([1, 3, 0, 1]))
    {'1': 2, '3': 1}
    """
    counts = np.bincount(rows)
    return {str(size): int(counts[size]) for size in np.flatnonzero(counts).tolist() if size}


def threshold_table(
    thresholds: Sequence[float], sizes: Mapping[str, int], counts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The table of removed rows and of clusters with more than one row, at each threshold.

    Removed rows are a lower bound if the chain guard would have to score more pairs than at the run's
    threshold.

    Args:
        thresholds: the thresholds of the table.
        sizes: from ``rows_by_text``, added up.
        counts: from ``count_removals``, added up.

    Returns:
        One entry for each threshold.

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
