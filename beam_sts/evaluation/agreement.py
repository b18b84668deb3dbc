"""Agreement of scores with marks by people: correlations and their figures. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from beam_sts.evaluation.means import codes


class UndefinedCorrelationError(ValueError):
    """A correlation is undefined: there are too few rows, or one side does not vary."""


@dataclass(frozen=True)
class Agreement:
    """Correlation of scores with gold scores over ``count`` pairs."""

    count: int
    pearson: float
    spearman: float


def agreement(scores: ArrayLike, gold: ArrayLike) -> Agreement:
    """Correlate scores with gold scores, row by row.

    Args:
        scores: the model's scores, finite, shape (n,).
        gold: the gold scores by people, finite, on any scale, shape (n,).

    Raises:
        UndefinedCorrelationError: there are fewer than two rows, or one side is constant (scipy would return
            NaN).
        ValueError: the lengths differ, or a value is not finite.
    """
    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    if predicted.shape != expected.shape or predicted.ndim != 1:
        raise ValueError(
            f"scores and gold must be one-dimensional and equally long, not of shapes {predicted.shape} "
            f"and {expected.shape}"
        )
    check_varies(expected, "gold scores")
    check_varies(predicted, "model scores")
    return Agreement(
        count=len(predicted),
        pearson=float(stats.pearsonr(predicted, expected).statistic),
        spearman=float(stats.spearmanr(predicted, expected).statistic),
    )


@dataclass(frozen=True)
class GroupAgreement:
    """Agreement within a group; ``low`` and ``high`` bound Pearson's correlation at 95% (Fisher's z).

    The correlations are None if the group has too few rows, or one side does not vary. ``score`` and ``gold``
    are the means. If their difference varies from group to group, the scores of the groups cannot be
    compared.
    """

    group: str
    count: int
    pearson: float | None
    low: float | None
    high: float | None
    spearman: float | None
    score: float
    gold: float


def agreement_by_group(scores: ArrayLike, gold: ArrayLike, groups: Sequence[str]) -> list[GroupAgreement]:
    """Correlate scores with gold scores within each group.

    Args:
        scores: the model's scores, finite, shape (n,).
        gold: the gold scores by people, finite, shape (n,).
        groups: the name of each row's group, shape (n,).

    Returns:
        The agreement of each group, sorted by name.

    >>> found = agreement_by_group([0.1, 0.5, 0.9, 0.5], [1, 2, 3, 4], ["a", "a", "a", "b"])
    >>> [(one.group, one.count, one.pearson and round(one.pearson, 3)) for one in found]
    [('a', 3, 1.0), ('b', 1, None)]
    """
    names, group = codes(groups)
    return agreement_of_groups(scores, gold, group, names)


def agreement_of_groups(
    scores: ArrayLike, gold: ArrayLike, group: NDArray[np.int64], names: Sequence[str]
) -> list[GroupAgreement]:
    """The same as ``agreement_by_group``, with groups as indices into ``names``."""
    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(names)))
    parts = zip(names, np.split(order, ends[:-1]), strict=True)
    return [_agreement(name, predicted[rows], expected[rows]) for name, rows in parts if len(rows)]


def _agreement(name: str, predicted: NDArray[np.float64], expected: NDArray[np.float64]) -> GroupAgreement:
    means = float(predicted.mean()), float(expected.mean())
    if len(predicted) < 3 or predicted.min() == predicted.max() or expected.min() == expected.max():
        return GroupAgreement(name, len(predicted), None, None, None, None, *means)
    found = stats.pearsonr(predicted, expected)
    bounds: tuple[float | None, float | None] = (None, None)
    if len(predicted) > 3:
        bounds = tuple(map(float, found.confidence_interval()))  # type: ignore[assignment]
    spearman = float(stats.spearmanr(predicted, expected).statistic)
    return GroupAgreement(name, len(predicted), float(found.statistic), *bounds, spearman, *means)


def scatter_counts(
    scores: ArrayLike, gold: ArrayLike, columns: int = 40, rows: int = 24
) -> dict[str, list[Any]]:
    """Counts for a scatter plot of scores over gold scores; their size does not grow with the pairs.

    Args:
        scores: the model's scores, finite, shape (n,).
        gold: the gold scores by people, finite, shape (n,), not all equal.
        columns: how many equal intervals the gold scale is divided into.
        rows: how many equal intervals the score scale is divided into.

    Returns:
        ``counts`` by row and column; ``gold`` and ``score``, the ends of both scales; ``line``, the values of
        the least-squares line at both ends of the gold scale.

    >>> lower, upper = scatter_counts([0.1, 0.9, 0.9], [0, 5, 5], columns=2, rows=2)["counts"]
    >>> lower == [1, 0] and upper == [0, 2]
    True
    """
    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    ends = [float(expected.min()), float(expected.max())]
    # A checkpoint without an activation gives logits, which may be outside 0 to 1.
    scale = [min(0.0, float(predicted.min())), max(1.0, float(predicted.max()))]
    counts, _, _ = np.histogram2d(predicted, expected, bins=(rows, columns), range=(scale, ends))
    slope, intercept = np.polyfit(expected, predicted, 1)
    line = [float(slope * end + intercept) for end in ends]
    return {"counts": counts.astype(int).tolist(), "gold": ends, "score": scale, "line": line}


@dataclass(frozen=True)
class Tenth:
    """The pairs with scores in one tenth of the scale: their count, mean score and mean gold score."""

    low: float
    count: int
    score: float
    gold: float


def by_tenth(scores: ArrayLike, gold: ArrayLike) -> list[Tenth]:
    """Mean score and mean gold score by tenth of the score, from 0 to 1; empty tenths are left out.

    >>> by_tenth([0.05, 0.95, 0.97], [0, 4, 5])[-1]
    Tenth(low=0.9, count=2, score=0.96, gold=4.5)
    """
    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    place = np.clip((predicted * 10).astype(int), 0, 9)
    return [
        Tenth(
            index / 10,
            int((place == index).sum()),
            float(predicted[place == index].mean()),
            float(expected[place == index].mean()),
        )
        for index in np.unique(place).tolist()
    ]


def check_varies(values: NDArray[np.float64], name: str) -> None:
    """Check that a correlation over these values is defined.

    Args:
        values: finite numbers, shape (n,).
        name: what they are, for messages.

    Raises:
        UndefinedCorrelationError: there are fewer than two values, or all are equal.
        ValueError: a value is not finite.
    """
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"{name} must be finite numbers; number {row} (from 0) is {values[row]}")
    if len(values) < 2:
        raise UndefinedCorrelationError(
            f"a correlation needs at least 2 rows; there are {len(values)} {name}"
        )
    if values.min() == values.max():
        raise UndefinedCorrelationError(
            f"the correlation is undefined: all {len(values):,} {name} are {values[0]:g}"
        )
