"""Choice of representatives: which row of a component stays. A row is removed only with a verified score.

The rule, within each component over accepted edges (those that score at or above the threshold):

1. The best row by the keep policy becomes a representative. Ties are resolved by id.
2. Every other row is compared with it, by its existing score or by a new one. Rows that score at or above the
threshold
   are removed, with the representative and the score in the receipt.
3. The best of the remaining rows becomes the next representative, and so on. After ``GUARD_ROUNDS``
representatives of a
   component, only existing scores are used. So a chain of n rows takes at most ``GUARD_ROUNDS * n``
   additional scores instead of n squared. Rows that might have been removed stay, and are counted.

So no row is removed only because it is similar to a row that is similar to the representative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array, IntArray, group_starts, inverse, pair_codes
from beam_sts.dedup.components import components, ends_of

GUARD_ROUNDS = 8
BarArray = NDArray[np.uint8]
Compare = Callable[[IntArray, IntArray], tuple[Float32Array, BarArray]]
"""Takes pairs of texts, the lower first. Returns their scores, NaN if there is none, and their bars."""
BOTH = 3
"""The bars of a pair of which neither end may be removed."""


@dataclass(frozen=True)
class PairScores:
    """Distinct pairs of texts and their scores (NaN if scoring failed), each of shape (pairs,).

    ``bars`` marks ends that must not be removed in favour of the other, whatever the score: 1 for ``a``, 2
    for ``b``, 3 for both. A pair with both barred is not a duplicate.
    """

    a: IntArray
    b: IntArray
    scores: Float32Array
    bars: BarArray = field(default_factory=lambda: np.zeros(0, np.uint8))  # default: no bars

    def __post_init__(self) -> None:
        if len(self.bars) != len(self.a):
            object.__setattr__(self, "bars", np.zeros(len(self.a), np.uint8))

    def joined(self, others: PairScores) -> PairScores:
        """These pairs and others."""
        names = ("a", "b", "scores", "bars")
        return PairScores(*(np.concatenate([getattr(self, name), getattr(others, name)]) for name in names))

    def at(self, rows: NDArray[Any] | slice) -> PairScores:
        """Some of the pairs, by index, mask or slice."""
        return PairScores(self.a[rows], self.b[rows], self.scores[rows], self.bars[rows])

    def accepted(self, threshold: float) -> PairScores:
        """The pairs at or above a threshold."""
        # Compared in float32, as everywhere, so that 0.9 accepts a score that prints as 0.9.
        return self.at((self.scores >= np.float32(threshold)) & (self.bars != BOTH))

    def within(self, clusters: IntArray | None) -> PairScores:
        """The pairs whose ends are in the same cluster; all pairs if there are no clusters."""
        return self if clusters is None else self.at(clusters[self.a] == clusters[self.b])


def may_be_removed(pairs: PairScores, texts: IntArray) -> NDArray[np.bool_]:
    """Whether the given end of each pair may be removed in favour of the other.

    >>> bars = np.array([1, 2], np.uint8)
    >>> pairs = PairScores(np.array([0, 0]), np.array([1, 2]), np.ones(2, np.float32), bars)
    >>> may_be_removed(pairs, np.array([0, 0])).tolist()
    [False, True]
    """
    free: NDArray[np.bool_] = (pairs.bars & np.where(texts == pairs.a, 1, 2).astype(np.uint8)) == 0
    return free


class _Known:
    """Looks up scores and bars by pair, in either order."""

    def __init__(self, pairs: PairScores) -> None:
        keys = pair_codes(pairs.a, pairs.b)
        order = np.argsort(keys)
        self._keys, self._pairs = keys[order], pairs.at(order)

    def look_up(
        self, stays: IntArray, goes: IntArray
    ) -> tuple[Float32Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """The scores (NaN if there is none), whether ``goes`` may be removed, and whether the pair exists."""
        keys = pair_codes(stays, goes)
        at = np.minimum(np.searchsorted(self._keys, keys), max(0, len(self._keys) - 1))
        found = self._keys[at] == keys if len(self._keys) else np.zeros(len(keys), dtype=bool)
        scores = np.full(len(keys), np.nan, dtype=np.float32)
        scores[found] = self._pairs.scores[at[found]]
        free = np.ones(len(keys), dtype=bool)
        free[found] = may_be_removed(self._pairs.at(at[found]), goes[found])
        return scores, free, found


@dataclass(frozen=True)
class Representatives:
    """The decisions about texts.

    ``representative`` has shape (texts,): the text itself if it stays. ``scores`` has the score of each text
    with its representative, NaN if it stays. ``guard`` has the pairs that were scored by the chain guard.
    ``unverified`` counts texts that stay although they were not compared with every earlier representative of
    their component.
    """

    representative: IntArray
    scores: Float32Array
    guard: PairScores
    unverified: int


def pick_representatives(
    pairs: PairScores,
    threshold: float,
    rank: IntArray,
    *,
    fixed: NDArray[np.bool_] | None = None,
    compare: Compare | None = None,
    rounds: int = GUARD_ROUNDS,
    clusters: IntArray | None = None,
    one_to_one: bool = False,
) -> Representatives:
    """Decide about all texts by the rule of this module.

    Args:
        pairs: scored pairs.
        threshold: the lowest score of a duplicate.
        rank: the rank of each text, distinct, shape (texts,). The lowest in a component stays.
        fixed: texts that always stay (the rows of ``--against``), shape (texts,). A text with an accepted
            edge to a fixed one is removed first, in favour of the one with the highest score.
        compare: scores pairs without a score. None: these count as not verified.
        rounds: the number of representatives per component for which missing scores are computed.
        clusters: the cluster of each text, finer than components, shape (texts,). Only pairs within a cluster
            count.
        one_to_one: whether a text is removed in favour of a fixed one only if each is the other's best match.

    Returns:
        The representative of each text.

    >>> chain = PairScores(np.array([0, 1]), np.array([1, 2]), np.array([0.95, 0.9], np.float32))
    >>> far = lambda a, b: (np.full(len(a), 0.4, np.float32), np.zeros(len(a), np.uint8))
    >>> pick_representatives(chain, 0.9, np.arange(3), compare=far).representative.tolist()
    [0, 0, 2]
    """
    texts = len(rank)
    representative = np.arange(texts)
    scores = np.full(texts, np.nan, dtype=np.float32)
    edges = pairs.accepted(threshold).within(clusters)
    if fixed is not None:
        edges = _join_fixed(edges, rank, fixed, representative, scores, one_to_one=one_to_one)
    labels = components(edges.a, edges.b, texts)
    known = _Known(pairs.within(labels))  # only pairs within a component are asked for
    left = ends_of(edges.a, edges.b)
    left = left[np.lexsort((rank[left], labels[left]))]  # sorted by component, the best first
    guard = PairScores(*_NOTHING)
    missed = np.zeros(texts, dtype=bool)
    for number in range(rounds):
        heads = group_starts(labels[left])
        lengths = np.diff(heads, append=len(left))
        head_of = np.repeat(left[heads], lengths)
        others = np.ones(len(left), dtype=bool)
        others[heads] = False
        first, members = head_of[others], left[others]
        if not len(members):
            left = members
            break
        values, free, found = known.look_up(first, members)
        if compare is not None and not found.all():
            ends = first[~found], members[~found]
            low, high = np.minimum(*ends), np.maximum(*ends)
            made = PairScores(low, high, *compare(low, high))
            values[~found], free[~found] = made.scores, may_be_removed(made, ends[1])
            guard = guard.joined(made)
        elif number == 0 or not found.all():
            missed[members[~found]] = True
        gone = free & (values >= np.float32(threshold))
        representative[members[gone]], scores[members[gone]] = first[gone], values[gone]
        left = members[~gone]
    missed[left] = True
    _assign_by_edges(left, edges, rank, representative, scores)
    stay = np.flatnonzero(missed)
    unverified = int((representative[stay] == stay).sum())
    return Representatives(representative, scores, guard, unverified)


_NOTHING = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def _join_fixed(
    edges: PairScores,
    rank: IntArray,
    fixed: NDArray[np.bool_],
    representative: IntArray,
    scores: Float32Array,
    *,
    one_to_one: bool,
) -> PairScores:
    """Remove the texts with an edge to a fixed one. Returns the edges among the other texts."""
    cross = edges.at(fixed[edges.a] != fixed[edges.b])
    cross = cross.at(may_be_removed(cross, np.where(fixed[cross.a], cross.b, cross.a)))
    a, b, s = cross.a, cross.b, cross.scores
    text, target = np.where(fixed[a], b, a), np.where(fixed[a], a, b)
    order = np.lexsort((rank[target], -s, text))
    texts, best = np.unique(text[order], return_index=True)
    best = order[best]
    if one_to_one:
        back = np.lexsort((rank[text], -s, target))
        _, first = np.unique(target[back], return_index=True)
        best = np.intersect1d(best, back[first])
        texts = text[best]
    representative[texts], scores[texts] = target[best], s[best]
    taken = fixed.copy()
    taken[texts] = True
    rest = ~taken[edges.a] & ~taken[edges.b]
    return edges.at(rest)


def _assign_by_edges(
    left: IntArray, edges: PairScores, rank: IntArray, representative: IntArray, scores: Float32Array
) -> None:
    """Apply the rule without new scores, from the best text on."""
    if not len(left):
        return
    waiting = np.zeros(len(rank), dtype=bool)
    waiting[left] = True
    inside = waiting[edges.a] & waiting[edges.b]
    edges = edges.at(inside)
    goes_b, goes_a = edges.at(may_be_removed(edges, edges.b)), edges.at(may_be_removed(edges, edges.a))
    sources, targets = np.concatenate([goes_b.a, goes_a.b]), np.concatenate([goes_b.b, goes_a.a])
    values = np.concatenate([goes_b.scores, goes_a.scores])
    order = np.argsort(sources, kind="stable")
    sources, targets, values = sources[order], targets[order], values[order]
    texts = left[np.argsort(rank[left])]
    starts, stops = np.searchsorted(sources, texts), np.searchsorted(sources, texts, side="right")
    for text, start, stop in zip(texts.tolist(), starts.tolist(), stops.tolist(), strict=True):
        if waiting[text]:
            waiting[text] = False
            for at in range(start, stop):
                target = targets[at]
                if waiting[target]:
                    waiting[target] = False
                    representative[target], scores[target] = text, values[at]


def central_ranks(
    pairs: PairScores, threshold: float, rank: IntArray, weights: IntArray | None = None
) -> IntArray:
    """Rank texts by their similarity to others: the sum of the scores of their accepted edges, highest first.

    Args:
        pairs: scored pairs.
        threshold: the lowest score of an accepted edge.
        rank: resolves ties, shape (texts,).
        weights: the number of rows with each text, shape (texts,); by default 1.

    Returns:
        The rank of each text, 0 for the most central, shape (texts,).

    >>> star = PairScores(np.array([0, 1]), np.array([1, 2]), np.array([0.95, 0.9], np.float32))
    >>> central_ranks(star, 0.9, np.arange(3)).tolist()
    [1, 0, 2]
    """
    edges = pairs.accepted(threshold)
    weights = np.ones(len(rank), dtype=np.int64) if weights is None else weights
    scores = edges.scores.astype(np.float64)
    strength = (
        np.bincount(edges.a, scores * weights[edges.b], len(rank))
        + np.bincount(edges.b, scores * weights[edges.a], len(rank))
        + (weights - 1)
    )
    order = np.lexsort((rank, -strength.round(6)))  # the last bits of a sum depend on its order
    return inverse(order)
