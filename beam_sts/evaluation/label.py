"""The quality of a threshold, estimated from few labels, and which pairs to label next. Pure functions.

The only assumption is that the share of duplicates rises with the score. Labels of similar scores form a
cell, the share of each cell is drawn from a Beta distribution, and each draw is made monotone by isotonic
regression. So a label is evidence for neighbouring scores too, and few labels give narrow intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import FloatArray, IntArray

STEPS = 100
"""Count of the thresholds 0.00, 0.01, ... 0.99; a step is the scores from one threshold to the next."""
CONFIDENCE = 0.7
_DRAWS = 1_000
_PRIOR = 0.1
_CELL = 8  # the least number of labels in a cell
_WIDTH = 0.15  # standard deviation, in scores, of the first sample's concentration around the threshold
_NEAR = 8  # steps on either side of the possible thresholds
_TILT = 2.0  # limit of the ratio at which kinds of difference are drawn more or less often


def steps_of(scores: NDArray[np.floating]) -> IntArray:
    """The step of each score.

    >>> steps_of(np.array([0.0, 0.049, 0.05, 0.97, 1.0])).tolist()
    [0, 4, 5, 97, 99]
    """
    # The margin puts the float32 number nearest to 0.9 into the step from 0.9.
    found: IntArray = np.clip((scores.astype(np.float64) * STEPS + 1e-4).astype(np.int64), 0, STEPS - 1)
    return found


@dataclass(frozen=True)
class Labels:
    """Labels by people of n pairs. All arrays have the shape (n,).

    Attributes:
        scores: scores of the pairs.
        duplicate: whether each pair is a duplicate.
        weights: how many pairs each represents, relative to others of similar scores; 1 if all are drawn
            equally.
    """

    scores: FloatArray
    duplicate: NDArray[np.bool_]
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Labels:
        """Empty labels."""
        return cls(np.empty(0), np.empty(0, dtype=bool), np.empty(0))


@dataclass(frozen=True)
class Quality:
    """Precision and recall at a threshold, each with a 95% interval; recall is among the candidate pairs."""

    threshold: float
    pairs: int
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    recall_low: float
    recall_high: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True)
class Estimate:
    """The estimate for all pairs of a run from its labels.

    Attributes:
        population: count of pairs in each step, shape (100,).
        shares: drawn shares of duplicates in each step, shape (draws, 100).
    """

    population: IntArray
    shares: FloatArray

    @property
    def above(self) -> IntArray:
        """Count of pairs at or above each threshold, shape (100,)."""
        found: IntArray = _from_above(self.population)
        return found

    @property
    def precision(self) -> FloatArray:
        """Drawn precisions at each threshold, shape (draws, 100)."""
        found: FloatArray = _from_above(self.shares * self.population) / np.maximum(self.above, 1)
        return found

    def at(self, threshold: float) -> Quality:
        """Precision and recall at a threshold."""
        step = int(steps_of(np.array([threshold]))[0])
        hits = _from_above(self.shares * self.population)
        precision = hits[:, step] / max(1, self.above[step])
        recall = hits[:, step] / np.maximum(hits[:, 0], 1e-12)
        return Quality(
            step / STEPS,
            int(self.above[step]),
            *(float(precision.mean()), *map(float, np.quantile(precision, (0.025, 0.975)))),
            *(float(recall.mean()), *map(float, np.quantile(recall, (0.025, 0.975)))),
        )

    def recommend(self, precision: float, confidence: float = CONFIDENCE) -> Quality | None:
        """The lowest threshold with at least this precision in ``confidence`` of the draws, or None."""
        sure = np.quantile(self.precision, 1 - confidence, axis=0)
        found = np.flatnonzero((sure >= precision) & (self.population > 0))
        return self.at(float(found[0]) / STEPS) if len(found) else None

    def most_certain(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The threshold with the highest precision at this confidence, and that precision."""
        sure = np.quantile(self.precision, 1 - confidence, axis=0)
        step = int(np.argmax(np.where(self.population > 0, sure, -1.0)))
        return step / STEPS, float(sure[step])


def estimate_quality(population: IntArray, labels: Labels, seed: int = 0) -> Estimate:
    """Estimate the shares of duplicates among all pairs from labels of some of them.

    With k duplicates among the n labels of a cell, the share is drawn from Beta(k + 0.1, n - k + 0.1).
    Jeffreys' 1/2 instead of 0.1 would add up over many cells without duplicates, and understate recall.

    Args:
        population: count of the run's pairs in each step, shape (100,).
        labels: labels of some of the pairs, at least one.
        seed: seed of the draws.

    >>> population = np.zeros(100, np.int64); population[[25, 92]] = 1000, 100
    >>> score = np.repeat([0.255, 0.925], 40)
    >>> best = estimate_quality(population, Labels(score, score > 0.9, np.ones(80))).recommend(0.95)
    >>> best.threshold > 0.25, best.precision > 0.97, best.pairs
    (True, True, 100)
    """
    rng = np.random.default_rng(seed)
    steps = steps_of(labels.scores)
    cell = _cells(np.bincount(steps, minlength=STEPS))
    of = cell[steps]
    weight = np.bincount(of, labels.weights)
    hit = np.bincount(of, labels.weights * labels.duplicate) / weight
    size = weight**2 / np.bincount(of, labels.weights**2)  # the effective sample size
    shares = rng.beta(hit * size + _PRIOR, (1 - hit) * size + _PRIOR, size=(_DRAWS, len(size)))
    shares = _monotone(shares, size + 2 * _PRIOR)
    # Shares are interpolated linearly between the middles of cells.
    middle = np.bincount(of, labels.weights * steps) / weight
    return Estimate(population, _between(shares, middle))


def _cells(count: IntArray) -> IntArray:
    """The cell of each step: from the top, steps are joined until they have enough labels."""
    cell = np.zeros(STEPS, dtype=np.int64)
    number, labels = 0, 0
    for step in range(STEPS - 1, -1, -1):
        cell[step] = number
        labels += int(count[step])
        if labels >= _CELL:
            number, labels = number + 1, 0
    if labels < _CELL and number:
        cell[cell == number] = number - 1
    found: IntArray = cell.max() - cell
    return found


def _monotone(shares: FloatArray, weights: FloatArray) -> FloatArray:
    """Isotonic regression of each row by the min-max formula."""
    edges = np.concatenate([[0.0], np.cumsum(weights)])
    sums = np.concatenate([np.zeros((len(shares), 1)), np.cumsum(shares * weights, axis=1)], axis=1)
    found = np.full_like(shares, -np.inf)
    for start in range(shares.shape[1]):
        means = (sums[:, start + 1 :] - sums[:, start : start + 1]) / (edges[start + 1 :] - edges[start])
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        np.maximum(found[:, start:], least, out=found[:, start:])
    return found


def _between(shares: FloatArray, middle: FloatArray) -> FloatArray:
    if len(middle) == 1:
        return np.repeat(shares, STEPS, axis=1)
    step = np.arange(STEPS)
    left = np.clip(np.searchsorted(middle, step) - 1, 0, len(middle) - 2)
    part = np.clip((step - middle[left]) / (middle[left + 1] - middle[left]), 0, 1)
    found: FloatArray = shares[:, left] * (1 - part) + shares[:, left + 1] * part
    return found


def _from_above(values: Any) -> Any:
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]


def wanted_steps(
    population: IntArray, threshold: float, estimate: Estimate | None = None, precision: float = 0.95
) -> FloatArray:
    """The value of a label in each step, shape (100,), with sum 1.

    Without labels it is equal for all steps that have pairs, and three times as high at the threshold. With
    labels it favours the steps that narrow the interval of the precision most (pairs times the standard
    deviation of a label, which is Neyman's allocation) at the possible thresholds and in the steps next to
    them.

    Args:
        population: count of pairs in each step, shape (100,).
        threshold: the threshold of the run.
        estimate: the estimate from the labels so far, or None.
        precision: the precision that the user wants.
    """
    there = population > 0
    if estimate is None:
        middles = (np.arange(STEPS) + 0.5) / STEPS
        first: FloatArray = there * (0.5 + np.exp(-0.5 * ((middles - threshold) / _WIDTH) ** 2))
        return first / float(first.sum())
    share = estimate.shares.mean(axis=0)
    deviation = np.sqrt(share * (1 - share) + 0.01)
    reached = estimate.precision >= precision
    lies = np.where(reached.any(axis=1), reached.argmax(axis=1), STEPS - 1)
    narrow, near = np.zeros(STEPS), np.zeros(STEPS)
    for step, count in zip(*np.unique(lies, return_counts=True), strict=True):
        above = np.where(np.arange(STEPS) >= step - _NEAR // 2, population * deviation, 0.0)
        narrow += count * above / max(above.sum(), 1e-12)
        near[max(0, step - _NEAR) : step + _NEAR] += count
    near *= there
    worth: FloatArray = 0.6 * narrow / max(narrow.sum(), 1e-12) + 0.4 * near / max(near.sum(), 1e-12)
    return worth / max(float(worth.sum()), 1e-12)


def draw_steps(
    steps: IntArray, worth: FloatArray, count: int, rng: np.random.Generator, left_out: IntArray | None = None
) -> IntArray:
    """Draw pairs in proportion to the value of their step; of a step with too few pairs, all are drawn.

    Args:
        steps: step of each of n pairs, shape (n,).
        worth: value of each step, shape (100,).
        count: how many pairs to draw.
        rng: the random number generator.
        left_out: indices of pairs not to draw.

    Returns:
        Distinct indices, shape (min(count, available pairs),).
    """
    order = rng.permutation(len(steps))
    if left_out is not None:
        order = order[~np.isin(order, left_out)]
    count = min(count, len(order))
    there = np.bincount(steps[order], minlength=STEPS)
    take = np.zeros(STEPS)
    worth = np.where(there > 0, worth + 1e-9, 0.0)
    for _ in range(STEPS):  # the rest of a step with too few pairs is divided among the others
        open_steps = worth * (take < there)
        if count - take.sum() < 1e-6 or not open_steps.any():
            break
        take = np.minimum(take + open_steps / open_steps.sum() * (count - take.sum()), there)
    # Systematic sampling: each step gets its share rounded down or up, and the sum is the count.
    edges = np.floor(np.concatenate([[0.0], np.cumsum(take)]) + rng.random() * 0.999 + 1e-9)
    whole = np.minimum(np.diff(edges).astype(np.int64), there)
    by_step = order[np.argsort(steps[order], kind="stable")]
    starts = np.cumsum(there) - there
    place = np.arange(len(by_step)) - starts[steps[by_step]]
    chosen = by_step[place < whole[steps[by_step]]]
    spare = by_step[place >= whole[steps[by_step]]]
    return np.concatenate([chosen, spare[: max(0, count - len(chosen))]])[:count]


def sample_evenly(scores: NDArray[np.floating], count: int, seed: int = 0) -> IntArray:
    """Draw pairs evenly over the range of scores; indices in random order, shape (min(count, n),)."""
    rng = np.random.default_rng(seed)
    worth = np.full(STEPS, 1 / STEPS)
    found: IntArray = rng.permutation(draw_steps(steps_of(scores), worth, count, rng))
    return found


def draw_kinds(
    kinds: NDArray[np.generic], count: int, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Choose some of n pairs so that rare kinds of difference are more frequent.

    Args:
        kinds: kind of difference of each pair, in the order of scores, shape (n,).
        count: how many pairs to choose.
        rng: the random number generator.

    Returns:
        Indices, in random order so that a label does not hint at the next, and weights: how many pairs each
        represents relative to the others.
    """
    _, of, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    measure = np.clip(np.sqrt(sizes.mean() / sizes), 1 / _TILT, _TILT)[of]
    count = min(count, len(kinds))
    if count == len(kinds):
        return rng.permutation(count), np.ones(count)
    part = measure / measure.sum() * count
    for _ in range(20):  # keep probabilities at most 1, so that no pair is chosen twice
        over = part > 1
        if not over.any():
            break
        part[over] = 1.0
        rest = part < 1
        part[rest] *= (count - (~rest).sum()) / part[rest].sum()
    edges = np.cumsum(part)
    points = np.arange(count) + rng.random()
    chosen = np.minimum(np.searchsorted(edges, points), len(kinds) - 1)
    chosen = np.unique(chosen)
    chosen = rng.permutation(chosen)
    weights = 1 / part[chosen]
    return chosen, weights / weights.mean()


def labels_needed(labels: int, width: float, wanted: float) -> int:
    """How many more labels narrow an interval, whose width falls with the root of their number.

    >>> labels_needed(100, 0.1, 0.05), labels_needed(100, 0.04, 0.05)
    (300, 0)
    """
    return max(0, ceil(labels * (width / wanted) ** 2) - labels)
