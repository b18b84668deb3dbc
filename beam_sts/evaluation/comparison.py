"""Comparison of systems with a baseline, paired by question: difference and confidence. Pure functions.

The unit is the question: a group's answers to it are averaged, and the difference of a question is the
group's mean minus the baseline's. Answers to one question are not independent, but the differences of
questions are, so their mean has the standard error of n independent values. This is the analysis of Miller
(2024, "Adding error bars to evals", arXiv:2411.00640) for paired differences; for unequal numbers of answers
it is the cluster-robust analysis (Cameron and Miller 2015) of means in which each question has the same
weight.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from beam_sts.arrays import FloatArray, IntArray
from beam_sts.evaluation.means import codes, half_width, standard_error

TIE = 1e-5
"""Differences up to this count as ties: scores of a pair in different batches differ by up to 2e-6."""
FEW_QUESTIONS, FEW_CHANGED = 20, 6
_ALPHA, _POWER = 0.05, 0.8
_RESAMPLES, _DRAWS, _BOOTSTRAP_TO = 5_000, 100_000_000, 100_000


@dataclass(frozen=True)
class Comparison:
    """A group against the baseline over the ``n`` questions that both answered.

    Attributes:
        group: the system.
        baseline: the system that it is compared with.
        difference: mean over the questions of the group's mean score minus the baseline's; None if both
            answered no question in common.
        low: lower end of the 95% interval of the difference (Student's t over questions); None below two
            questions.
        high: upper end.
        p: two-sided p value of the t test for a difference of 0, but at least the lowest p value that a sign
            test of the questions that differ could give; None below two questions.
        n: questions that both answered.
        p_holm: ``p`` corrected for the number of comparisons (Holm 1979).
        verdict: ``better``, ``worse`` (``p_holm`` below 0.05), ``no difference found`` or ``unknown``.
        effect_size: mean of the differences divided by their standard deviation (Cohen's d for paired
            values); None if they do not vary.
        wins: questions where the group's mean is higher by more than ``TIE``.
        ties: questions where the means differ by at most ``TIE``.
        losses: questions where the group's mean is lower by more than ``TIE``.
        detectable: the smallest true difference that a test with ``n`` questions of this spread detects with
            a power of 0.8; None below two questions or without spread.
        bootstrap_low: lower end of the percentile bootstrap's 95% interval (Efron 1979), over questions; None
            below two questions, and above 100,000, where it equals the t interval.
        bootstrap_high: upper end.
        missing: questions that only the baseline answered; they are not part of the difference.
        extra: questions that only the group answered; they are not part of the difference.
        note: why the figures are uncertain; empty if there is no reason.
    """

    group: str
    baseline: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    p_holm: float | None
    verdict: str
    effect_size: float | None
    wins: int
    ties: int
    losses: int
    detectable: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
    missing: int
    extra: int
    note: str


@dataclass(frozen=True)
class Paired:
    """The questions that two groups both answered: their indices, in order, and each group's mean scores."""

    question: IntArray
    group: FloatArray
    baseline: FloatArray
    missing: int
    extra: int

    @property
    def difference(self) -> FloatArray:
        """Group minus baseline for each question."""
        return self.group - self.baseline


def compare(
    scores: ArrayLike,
    groups: Sequence[str],
    questions: Sequence[Hashable],
    baseline: str,
    *,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every other group with the baseline, paired by question.

    Args:
        scores: scores of the answers, finite, shape (n,).
        groups: the system that gave each answer.
        questions: the question of each answer; a system may answer one several times.
        baseline: one of ``groups``.
        seed: seed of the bootstrap.

    Returns:
        The comparisons, the largest difference first.

    Raises:
        ValueError: the baseline is not one of the groups.

    >>> scores = [0.9, 0.8, 0.7, 0.6, 0.8, 0.6, 0.6, 0.3]
    >>> (b,) = compare(scores, ["a"] * 4 + ["b"] * 4, [1, 2, 3, 4] * 2, "a")
    >>> b.group, round(b.difference, 3), b.n, b.losses
    ('b', -0.175, 4, 4)
    """
    names, group = codes(groups)
    if baseline not in names:
        raise ValueError(f"baseline {baseline!r} is not one of the groups {', '.join(names[:20])}")
    return compare_groups(scores, group, names, codes(questions)[1], baseline, seed=seed)


def compare_groups(
    scores: ArrayLike,
    group: IntArray,
    names: Sequence[str],
    question: IntArray,
    baseline: str,
    *,
    seed: int = 0,
) -> list[Comparison]:
    """The same as ``compare``, with groups and questions as numbers; groups are indices into ``names``."""
    predicted = np.asarray(scores, np.float64)
    base = names.index(baseline)
    found = [
        _compare(name, baseline, pair(predicted, group, question, number, base), seed)
        for number, name in enumerate(names)
        if number != base
    ]
    known = [at for at, one in enumerate(found) if one.p is not None]
    for at, p in zip(known, holm([found[at].p or 0.0 for at in known]), strict=True):
        sure = p < _ALPHA
        way = "better" if (found[at].difference or 0) > 0 else "worse"
        found[at] = replace(found[at], p_holm=p, verdict=way if sure else "no difference found")
    unknown = float("-inf")
    return sorted(
        found, key=lambda one: (-(unknown if one.difference is None else one.difference), one.group)
    )


def pair(scores: FloatArray, group: IntArray, question: IntArray, first: int, second: int) -> Paired:
    """The questions that two groups both answered, with each group's mean score.

    Args:
        scores: scores of the answers, shape (n,).
        group: number of each answer's group, shape (n,).
        question: number of each answer's question, shape (n,).
        first: number of a group.
        second: number of the group that it is compared with.
    """
    sides = []
    for number in (first, second):
        rows = np.flatnonzero(group == number)
        asked, place = np.unique(question[rows], return_inverse=True)
        sides.append((asked, np.bincount(place, scores[rows]) / np.maximum(np.bincount(place), 1)))
    (asked, mean), (base_asked, base_mean) = sides
    both, at, base_at = np.intersect1d(asked, base_asked, assume_unique=True, return_indices=True)
    return Paired(both, mean[at], base_mean[base_at], len(base_asked) - len(both), len(asked) - len(both))


def holm(p: Sequence[float]) -> list[float]:
    """P values corrected for multiple tests.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".

    >>> [round(value, 3) for value in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def _compare(name: str, baseline: str, both: Paired, seed: int) -> Comparison:
    d = both.difference
    n, changed = len(d), np.abs(d) > TIE
    if not changed.any():
        d = np.zeros(n)
    wins, losses = int((d > TIE).sum()), int((d < -TIE).sum())
    low = high = p = effect = detectable = None
    around: tuple[float | None, float | None] = (None, None)
    if n > 1:
        half, spread = half_width(d), float(d.std(ddof=1)) if d.min() < d.max() else 0.0
        low, high = float(d.mean()) - half, float(d.mean()) + half
        p = _p_value(d, spread, int(changed.sum()))
        around = _bootstrap(d, seed)
        if spread:
            effect = float(d.mean()) / spread
            found = stats.t.ppf((1 - _ALPHA / 2, _POWER), n - 1)
            detectable = float(found.sum() * standard_error(d))
    return Comparison(
        group=name,
        baseline=baseline,
        difference=float(d.mean()) if n else None,
        low=low,
        high=high,
        p=p,
        n=n,
        p_holm=None,
        verdict="unknown",
        effect_size=effect,
        wins=wins,
        ties=n - wins - losses,
        losses=losses,
        detectable=detectable,
        bootstrap_low=around[0],
        bootstrap_high=around[1],
        missing=both.missing,
        extra=both.extra,
        note=_note(n, int(changed.sum())),
    )


def _p_value(d: FloatArray, spread: float, changed: int) -> float:
    """The p value of the t test, but at least the lowest of a sign test of the changed questions."""
    if not changed:
        return 1.0
    least = 2.0 ** (1 - min(changed, 1000))
    if not spread:
        return min(least, 1.0)
    return float(max(2 * stats.t.sf(abs(d.mean()) / standard_error(d), len(d) - 1), least))


def _bootstrap(d: FloatArray, seed: int) -> tuple[float | None, float | None]:
    if len(d) > _BOOTSTRAP_TO:
        return None, None
    if d.min() == d.max():
        return float(d[0]), float(d[0])
    found = stats.bootstrap(
        (d,),
        np.mean,
        n_resamples=min(_RESAMPLES, _DRAWS // len(d)),
        batch=max(1, 2_000_000 // len(d)),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _note(n: int, changed: int) -> str:
    if not n:
        return "no question was answered by both groups"
    if n < FEW_QUESTIONS:
        return (
            f"{n} questions are too few for a reliable result: use at least {FEW_QUESTIONS}, "
            "better some hundred"
        )
    if not changed:
        return "no question differs: the two groups gave the same answers, or the model sees no difference"
    if changed < FEW_CHANGED:
        return f"only {changed} of {n:,} questions differ: too few to tell the two groups apart"
    return ""
