"""The mean score of each group, with its confidence interval. Pure functions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from beam_sts.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class GroupMean:
    """The mean score of a group, with its 95% confidence interval.

    ``low`` and ``high`` are None for a group of one question, whose spread is unknown. ``count`` is the
    number of scores, ``questions`` the number of questions that they are clustered by; the two are equal if
    each score has a separate question.
    """

    group: str
    count: int
    mean: float
    low: float | None
    high: float | None
    median: float
    questions: int


def group_means(
    scores: ArrayLike, groups: Sequence[str], questions: Sequence[Hashable] | None = None
) -> list[GroupMean]:
    """Mean, its 95% confidence interval, and median of the scores of each group, the highest mean first.

    The interval is Student's t over the questions, clipped to 0 to 1 if all scores are in that range. Scores
    of one question are not independent. They are averaged first, so that each question has the same weight,
    however many answers it has. If all questions have the same number of answers, this is the clustered
    standard error of Miller (2024, "Adding error bars to evals", arXiv:2411.00640; Cameron and Miller 2015,
    "A practitioner's guide to cluster-robust inference"), with its small-sample factor.

    Args:
        scores: the model's scores, finite, shape (n,).
        groups: the group of each score.
        questions: the question of each score; default: a separate question for each.

    >>> group_means([0.9, 0.8, 0.7, 0.4, 0.2], ["a", "a", "a", "b", "b"])[0].mean.__round__(3)
    0.8
    """
    names, group = codes(groups)
    return means_of(scores, group, names, None if questions is None else codes(questions)[1])


def means_of(
    scores: ArrayLike, group: IntArray, names: Sequence[str], question: IntArray | None
) -> list[GroupMean]:
    """The same as ``group_means``, with numbers for questions and indices into ``names`` for groups."""
    predicted = np.asarray(scores, np.float64)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(names)))
    found = []
    for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
        if len(rows):
            found.append(_mean(name, predicted[rows], None if question is None else question[rows]))
    return sorted(found, key=lambda each: (-each.mean, each.group))


def codes(values: Sequence[Hashable]) -> tuple[list[str], IntArray]:
    """The distinct values as texts, sorted, and the index of each value among them.

    >>> codes(["b", "a", "b"])
    (['a', 'b'], array([1, 0, 1]))
    """
    texts = np.asarray([str(value) for value in values], dtype=object)
    names, place = np.unique(texts, return_inverse=True)
    return [str(name) for name in names], place.astype(np.int64)


def clustered(values: FloatArray, cluster: IntArray | None) -> FloatArray:
    """The mean of each cluster, sorted by cluster; without clusters, the values.

    >>> clustered(np.array([1.0, 3.0, 5.0]), np.array([7, 7, 9])).tolist()
    [2.0, 5.0]
    """
    if cluster is None:
        return values
    _, place = np.unique(cluster, return_inverse=True)
    means: FloatArray = np.bincount(place, values) / np.bincount(place)
    return means


def half_width(values: FloatArray, confidence: float = 0.95) -> float:
    """Half the width of Student's t interval of the mean of independent values; 0 if they do not vary."""
    if values.min() == values.max():
        return 0.0
    return float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * standard_error(values))


def standard_error(values: FloatArray) -> float:
    """The standard error of the mean of independent values."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def _mean(name: str, predicted: FloatArray, question: IntArray | None) -> GroupMean:
    values = clustered(predicted, question)
    mean, median = float(values.mean()), float(np.median(predicted))
    bounds: tuple[Any, Any] = (None, None)
    if len(values) > 1:
        half = half_width(values)
        bounds = mean - half, mean + half
        if predicted.min() >= 0 and predicted.max() <= 1:
            bounds = max(bounds[0], 0.0), min(bounds[1], 1.0)
    return GroupMean(name, len(predicted), mean, *bounds, median, len(values))
