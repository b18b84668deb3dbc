"""How well scores agree with a human's: the numbers and the picture, free of files, models and Beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_RESAMPLES = 5_000
_NORMAL_FROM = 5_000
_BOOTSTRAP_FROM = 20  # below, a bootstrap's intervals are too narrow: it knows no spread but the sample's


class UndefinedCorrelationError(ValueError):
    """The data has no correlation: too few rows, or a side that never varies."""


@dataclass(frozen=True)
class Agreement:
    """Correlation of scores with gold scores over ``count`` pairs."""

    count: int
    pearson: float
    spearman: float


def agreement(scores: ArrayLike, gold: ArrayLike) -> Agreement:
    """Correlate scores with gold scores, row by row.

    Args:
        scores: what the model said, one finite number a pair.
        gold: what people said, as many finite numbers on any scale.

    Raises:
        UndefinedCorrelationError: fewer than two rows, or one side is constant (scipy would answer NaN).
        ValueError: the lengths differ, or a value is not finite.
    """
    said, meant = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    if said.shape != meant.shape or said.ndim != 1:
        raise ValueError(f"scores and gold must be columns of one length, not {said.shape} and {meant.shape}")
    check_varies(meant, "gold scores")
    check_varies(said, "model scores")
    return Agreement(
        count=len(said),
        pearson=float(stats.pearsonr(said, meant).statistic),
        spearman=float(stats.spearmanr(said, meant).statistic),
    )


@dataclass(frozen=True)
class GroupMean:
    """The mean score of a group, and the interval that holds the mean of all such pairs at 95% confidence.

    ``low`` and ``high`` are None for a group of one pair, which says nothing of its spread.
    """

    group: str
    count: int
    mean: float
    low: float | None
    high: float | None
    median: float


def group_means(scores: ArrayLike, groups: Sequence[str]) -> list[GroupMean]:
    """Mean, its 95% confidence interval, and median of the scores of each group, the highest mean first.

    The interval is the percentile bootstrap's (Efron 1979, ``scipy.stats.bootstrap``, 5,000 resamples, a
    fixed seed); from 5,000 pairs on the normal approximation, which then agrees with it, and below 20 pairs
    Student's t, cut to 0 to 1 where all scores lie there. Pairs count as
    independent: where many answers share a question or a reference, the interval is too narrow.

    Args:
        scores: what the model said, shape (n,).
        groups: the group of each pair.

    >>> group_means([0.9, 0.8, 0.7, 0.4, 0.2], ["a", "a", "a", "b", "b"])[0].mean.__round__(3)
    0.8
    """
    said = np.asarray(scores, np.float64)
    names, place = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    means = [_mean(str(name), said[place == index]) for index, name in enumerate(names)]
    return sorted(means, key=lambda group: (-group.mean, group.group))


def _mean(group: str, said: NDArray[np.float64]) -> GroupMean:
    mean, median = float(said.mean()), float(np.median(said))
    if len(said) < 2:
        return GroupMean(group, len(said), mean, None, None, median)
    if len(said) >= _NORMAL_FROM or len(said) < _BOOTSTRAP_FROM or said.min() == said.max():
        half = float(stats.t.ppf(0.975, len(said) - 1) * said.std(ddof=1) / len(said) ** 0.5)
        low, high = mean - half, mean + half
        if said.min() >= 0 and said.max() <= 1:
            low, high = max(low, 0.0), min(high, 1.0)
        return GroupMean(group, len(said), mean, low, high, median)
    result = stats.bootstrap(
        (said,), np.mean, n_resamples=_RESAMPLES, batch=500, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = map(float, result.confidence_interval)
    return GroupMean(group, len(said), mean, low, high, median)


def scatter_counts(
    scores: ArrayLike, gold: ArrayLike, columns: int = 40, rows: int = 24
) -> dict[str, list[Any]]:
    """A scatter of scores over gold scores as counts, so that its size does not grow with the pairs.

    Args:
        scores: what the model said, shape (n,), finite.
        gold: what people said, shape (n,), finite, not all the same.
        columns: equal parts of the gold scale.
        rows: equal parts of the score scale.

    Returns:
        ``counts`` by row and column; the ends of both scales, ``gold`` and ``score``; ``line``, the line of
        least squares at both ends of the gold scale.

    >>> lower, upper = scatter_counts([0.1, 0.9, 0.9], [0, 5, 5], columns=2, rows=2)["counts"]
    >>> lower == [1, 0] and upper == [0, 2]
    True
    """
    said, meant = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    ends = [float(meant.min()), float(meant.max())]
    # A checkpoint without an activation answers with logits, which leave the unit interval.
    scale = [min(0.0, float(said.min())), max(1.0, float(said.max()))]
    counts, _, _ = np.histogram2d(said, meant, bins=(rows, columns), range=(scale, ends))
    slope, intercept = np.polyfit(meant, said, 1)
    line = [float(slope * end + intercept) for end in ends]
    return {"counts": counts.astype(int).tolist(), "gold": ends, "score": scale, "line": line}


@dataclass(frozen=True)
class Tenth:
    """The pairs whose scores lie in one tenth of the scale: how many, and their mean score and gold score."""

    low: float
    count: int
    score: float
    gold: float


def by_tenth(scores: ArrayLike, gold: ArrayLike) -> list[Tenth]:
    """Mean score and mean gold score by tenth of the score, from 0 to 1; empty tenths are left out.

    >>> by_tenth([0.05, 0.95, 0.97], [0, 4, 5])[-1]
    Tenth(low=0.9, count=2, score=0.96, gold=4.5)
    """
    said, meant = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    place = np.clip((said * 10).astype(int), 0, 9)
    return [
        Tenth(
            index / 10,
            int((place == index).sum()),
            float(said[place == index].mean()),
            float(meant[place == index].mean()),
        )
        for index in np.unique(place).tolist()
    ]


def check_varies(values: NDArray[np.float64], name: str) -> None:
    """Raise unless a correlation over these values is defined; ``name`` says in the error what they are.

    Raises:
        UndefinedCorrelationError: fewer than two values, or all are the same.
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


def plot(
    file: IO[bytes],
    scores: ArrayLike,
    gold: ArrayLike,
    *,
    model: str,
    gold_name: str,
    source: str,
) -> None:
    """Write a PNG of model score against gold score, with the line of least squares and the correlations.

    Args:
        file: where the PNG goes, open for writing.
        scores: what the model said.
        gold: what people said.
        model: the model's name, for the title.
        gold_name: the gold column's name, for the axis.
        source: where the pairs came from, for the subtitle.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
        UndefinedCorrelationError: as :func:`agreement`.
    """
    require_matplotlib()
    # The object interface: no global state and no display, so it also works in a server's thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    said, meant = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    numbers = agreement(said, meant)
    figure = Figure(figsize=(7, 6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # Density has to stay visible with ten points and with a million.
    axes.scatter(
        meant,
        said,
        s=float(np.clip(300 / numbers.count**0.5, 4, 40)),
        alpha=float(np.clip(15 / numbers.count**0.5, 0.01, 0.7)),
        color="#1f5fa8",
        linewidths=0,
        rasterized=True,
    )
    slope, intercept = np.polyfit(meant, said, 1)
    ends = np.array([meant.min(), meant.max()])
    axes.plot(ends, slope * ends + intercept, color="#d1495b", linewidth=1.5, label="line of least squares")
    axes.set_xlabel(f"gold score (column '{gold_name}', {ends[0]:.3g} to {ends[1]:.3g})", parse_math=False)
    # A checkpoint without an activation answers with logits, which leave the unit interval.
    low, high = min(0.0, said.min()), max(1.0, said.max())
    axes.set_ylabel("model score (0 to 1)" if (low, high) == (0.0, 1.0) else "model score (a logit)")
    margin = 0.03 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.suptitle(
        f"{model}: Pearson {numbers.pearson:.4f}, Spearman {numbers.spearman:.4f}, n = {numbers.count:,}",
        fontsize=12,
        fontweight="bold",
        parse_math=False,
    )
    axes.set_title(source, fontsize=9, color="0.4", parse_math=False)
    figure.savefig(file, format="png")


def require_matplotlib() -> None:
    """Raise early, before the long work, when a plot is wanted and matplotlib is missing.

    Raises:
        ImportError: naming the extra that brings it.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib, which is not installed; get it with: pip install 'beam_sts[plot]'"
        ) from error
