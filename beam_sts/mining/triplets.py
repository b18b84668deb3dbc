"""From scored pairs to triplets: the positives and negatives of an anchor. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_starts, rank_in_group
from beam_sts.mining.core import MinedPairs

TRIPLETS = {"triplet": False, "triplet-hard": True}
"""The sets of triplets, and whether their negatives are hard."""


class Triplets(NamedTuple):
    """Text numbers of the three texts, a draw for anchor and positive, and scores; each of shape (triplets,).

    ``first``: whether the positive is the anchor's best.
    """

    anchor: IntArray
    positive: IntArray
    negative: IntArray
    draw: NDArray[np.uint64]
    positive_score: NDArray[np.float32]
    negative_score: NDArray[np.float32]
    first: NDArray[np.bool_]

    def take(self, part: slice) -> Triplets:
        """Select triplets by index."""
        columns: list[NDArray[Any]] = [column[part] for column in self]
        return Triplets(*columns)


@dataclass(frozen=True)
class TripletRule:
    """Which texts are positives and negatives of an anchor; terms as in sentence-transformers.

    ``given``: the positives come from the input; otherwise the positive is the anchor's best partner with a
    score of at least ``positive``. ``negative``: highest score of an easy negative. A negative must score at
    least ``absolute_margin`` less than the worst positive, and at most 1 - ``relative_margin`` of it; a hard
    negative that differs in a fact from the anchor may have any score. Hard negatives are among the
    ``range_max`` best partners after the positives, and score between ``min_score`` and ``max_score``; of
    those, the best ``range_min`` are skipped. An anchor has at most ``num_negatives`` negatives: the
    best-scoring (``top``) or random ones (``random``).
    """

    positive: float = 0.8
    negative: float = 0.3
    absolute_margin: float = 0.2
    relative_margin: float = 0.0
    num_negatives: int = 10
    range_min: int = 0
    range_max: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    sampling_strategy: str = "top"
    given: bool = False


def triplets(
    pairs: MinedPairs, rule: TripletRule, *, hard: bool, anchors: NDArray[np.bool_] | None = None
) -> Triplets:
    """Build the triplets of every text with a positive and a negative: its positives and some negatives.

    The positive is the best-scoring partner that differs in no fact; the lower number breaks a tie. If
    positives are given, all of them are used. A partner that could be a positive is never a negative.

    Args:
        pairs: scored pairs; all pairs of each anchor.
        rule: rule of the set.
        hard: whether to mine hard negatives; easy ones are the partners with the lowest draws.
        anchors: which texts may be anchors, shape (texts,); default: all. A worker that has all pairs of
            only some texts selects these.

    Returns:
        Triplets in the order of their positives' draws, then of anchors, then of negatives, the best first.

    >>> drawn, none = np.arange(3, dtype=np.uint64), np.zeros(3, bool)
    >>> scores = np.array([0.9, 0.6, 0.1], np.float32)
    >>> pairs = MinedPairs(np.array([0, 0, 0]), np.array([1, 2, 3]), scores, drawn, none, none)
    >>> found = triplets(pairs, TripletRule(num_negatives=1), hard=True)
    >>> tuple(int(x[0]) for x in found[:3])
    (0, 1, 2)
    """
    anchor = np.concatenate([pairs.a, pairs.b])
    other = np.concatenate([pairs.b, pairs.a])
    here = np.ones(len(anchor), bool) if anchors is None else anchors[anchor]
    anchor, other = anchor[here], other[here]
    score, draw = np.tile(pairs.score, 2)[here], np.tile(pairs.draw, 2)[here]
    differs, given = np.tile(pairs.differs, 2)[here], np.tile(pairs.given, 2)[here]
    good = given if rule.given else (score >= np.float32(rule.positive)) & ~differs
    by_score = np.lexsort((other, -score, anchor))
    positives = by_score[good[by_score]]
    if not rule.given:
        positives = _first_of_each(anchor, positives)
    # For each anchor: the number of positives, the first of them and the worst.
    count = np.bincount(anchor[positives], minlength=int(anchor.max(initial=-1)) + 1)
    first = np.cumsum(count) - count
    rows = by_score[(count[anchor[by_score]] > 0) & ~np.isin(by_score, positives)]
    worst = score[positives[first[anchor[rows]] + count[anchor[rows]] - 1]]
    fits = score[rows] <= worst - rule.absolute_margin
    fits &= score[rows] <= worst * (1 - rule.relative_margin)
    if hard:
        fits |= differs[rows]
        fits &= (rule.range_max is None) or (rank_in_group(anchor[rows]) < rule.range_max)
        fits &= score[rows] >= (-np.inf if rule.min_score is None else rule.min_score)
        fits &= score[rows] <= (np.inf if rule.max_score is None else rule.max_score)
    else:
        fits &= score[rows] <= rule.negative
    rows = rows[fits & ~good[rows]]
    if hard:
        rows = rows[rank_in_group(anchor[rows]) >= rule.range_min]
    if not hard or rule.sampling_strategy == "random":
        rows = rows[np.lexsort((other[rows], draw[rows], anchor[rows]))]
    rows = rows[rank_in_group(anchor[rows]) < rule.num_negatives]
    times = count[anchor[rows]]
    each = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    rows = np.repeat(rows, times)  # once for each positive
    chosen = positives[first[anchor[rows]] + each]
    order = np.lexsort((anchor[rows], draw[chosen]))  # stable: keeps the order of an anchor's negatives
    rows, chosen = rows[order], chosen[order]
    return Triplets(
        anchor[rows], other[chosen], other[rows], draw[chosen], score[chosen], score[rows], each[order] == 0
    )


def positives_from(counts: IntArray, share: float) -> float:
    """Returns the lowest score of the best-scoring share of pairs, to three decimals.

    Args:
        counts: pairs by thousandth of their score, from :func:`count_scores`.
        share: 0 to 1; no more pairs than that are taken, unless the best thousandth alone has more.

    Returns:
        The score, 0 to 1.

    >>> positives_from(count_scores(np.array([0.1, 0.2, 0.9042, 0.95], np.float32)), 0.5)
    0.904
    """
    above = np.cumsum(counts[::-1])[::-1]
    enough = np.flatnonzero(above <= share * counts.sum())
    there = np.flatnonzero(counts)
    least = int(enough[0]) if len(enough) else len(counts) - 1
    higher = there[there >= least]
    return float((higher[0] if len(higher) else there[-1] if len(there) else len(counts) - 1) / _THOUSAND)


def count_scores(scores: NDArray[np.float32]) -> IntArray:
    """Count pairs by thousandth of their score, shape (1001,)."""
    steps = np.clip((scores.astype(np.float64) * _THOUSAND + 1e-6).astype(np.int64), 0, _THOUSAND)
    counts: IntArray = np.bincount(steps, minlength=_THOUSAND + 1).astype(np.int64)
    return counts


_THOUSAND = 1_000


def _first_of_each(group: IntArray, order: IntArray) -> IntArray:
    """Returns the first index of each group, in an order that keeps groups together."""
    return order[group_starts(group[order])]
