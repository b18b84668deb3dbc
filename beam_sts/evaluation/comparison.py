"""Systems against a baseline, paired by question: how much better, with what confidence. Pure functions.

The unit is the question: a group's answers to it are averaged, and the difference of a question is the
group's mean minus the baseline's. Differences of questions are independent where answers are not, so that
their mean has the plain standard error of n independent values. That is the analysis of Miller (2024, "Adding
error bars to evals", arXiv:2411.00640) for paired differences, and for unequal numbers of answers the
cluster-robust one (Cameron and Miller 2015) of means in which each question counts the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from beam_sts.arrays import IntArray
from beam_sts.evaluation.means import FloatArray, codes, half_width, standard_error

TIE = 1e-5
"""Differences up to this are ties: the same pair scored in another batch differs by up to 2e-6."""
FEW_QUESTIONS, FEW_CHANGED = 20, 6
_ALPHA, _POWER = 0.05, 0.8
_RESAMPLES, _DRAWS, _BOOTSTRAP_TO = 5_000, 100_000_000, 100_000


@dataclass(frozen=True)
class Comparison:
    """A group against the baseline over the ``n`` questions that both answered.

    Attributes:
        group: the system.
        baseline: the system that it is compared with.
        difference: mean over the questions of the group's mean score minus the baseline's; None without a
            question that both answered.
        low: lower end of the 95% interval of the difference (Student's t over questions); None below two
            questions.
        high: upper end.
        p: two-sided, of the t test that the difference is 0, never below the least that a sign test of the
            questions that differ could give; None below two questions.
        n: questions that both answered.
        p_holm: ``p`` corrected for the number of comparisons (Holm 1979).
        verdict: ``better``, ``worse`` (``p_holm`` below 0.05), ``no difference found`` or ``unknown``.
        effect_size: the mean of the differences by their standard deviation (Cohen's d of paired values);
            None where they do not vary.
        wins: questions where the group's mean is higher by more than ``TIE``.
        ties: questions where it is neither higher nor lower.
        losses: questions where it is lower.
        detectable: the smallest true difference that ``n`` questions of this spread find with a power of 0.8;
            None below two questions or without spread.
        bootstrap_low: lower end of the percentile bootstrap's 95% interval (Efron 1979), over questions; None
            below two questions and above 100,000, where it is the t interval.
        bootstrap_high: upper end.
        missing: questions that only the baseline answered; they are not in the difference.
        extra: questions that only the group answered; nor are they.
        note: what makes the figures unsure; empty where nothing does.
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
    """The questions that two groups both answered: their numbers, in order, and each group's mean score."""

    question: IntArray
    group: FloatArray
    baseline: FloatArray
    missing: int
    extra: int

    @property
    def difference(self) -> FloatArray:
        """Group minus baseline, question by question."""
        return self.group - self.baseline


def compare(
    scores: ArrayLike,
    groups: Sequence[str],
    questions: Sequence[Hashable],
    baseline: str,
    *,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every other group with the baseline, paired by question, by falling difference.

    Args:
        scores: of the answers, finite, shape (n,).
        groups: the system that gave each answer.
        questions: the question of each answer; a system may answer one several times.
        baseline: one of ``groups``.
        seed: of the bootstrap.

    Raises:
        ValueError: the baseline is no group.

    >>> scores = [0.9, 0.8, 0.7, 0.6, 0.8, 0.6, 0.6, 0.3]
    >>> (b,) = compare(scores, ["a"] * 4 + ["b"] * 4, [1, 2, 3, 4] * 2, "a")
    >>> b.group, round(b.difference, 3), b.n, b.losses
    ('b', -0.175, 4, 4)
    """
    names, group = codes(groups)
    if baseline not in names:
        raise ValueError(f"baseline {baseline!r} is none of the groups {', '.join(names[:20])}")
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
    """As ``compare``, of groups and questions that are numbers."""
    said = np.asarray(scores, np.float64)
    base = names.index(baseline)
    found = [
        _compare(name, baseline, pair(said, group, question, number, base), seed)
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
        scores: of the answers, shape (n,).
        group: the number of the group of each.
        question: the number of the question of each.
        first: a group.
        second: the group it is compared with.
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
    """P values corrected for their number.

    Holm (1979), "A simple sequentially rejective multiple test procedure".

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
    """Of the t test, but no lower than a sign test of the questions that differ could give."""
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
        return "no question was answered by both"
    if n < FEW_QUESTIONS:
        return f"{n} questions are too few to rely on: bring at least {FEW_QUESTIONS}, better some hundred"
    if not changed:
        return "no question differs: the two gave the same answers, or the model sees no difference"
    if changed < FEW_CHANGED:
        return f"only {changed} of {n:,} questions differ: too few to tell whether the two do"
    return ""
