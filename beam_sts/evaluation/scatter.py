"""The scatter plot of scores over marks, drawn by matplotlib."""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.typing import ArrayLike

from beam_sts.evaluation.agreement import agreement


def plot(
    file: IO[bytes],
    scores: ArrayLike,
    gold: ArrayLike,
    *,
    model: str,
    gold_name: str,
    source: str,
) -> None:
    """Write a PNG of model score against gold score, with the least-squares line and the correlations.

    Args:
        file: the file to write the PNG to.
        scores: the model's scores, shape (n,).
        gold: the gold scores by people, shape (n,).
        model: the model's name, for the title.
        gold_name: the gold column's name, for the axis.
        source: the origin of the pairs, for the subtitle.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
        UndefinedCorrelationError: as in :func:`agreement`.
    """
    require_matplotlib()
    # The object interface has no global state and needs no display, so it works in a server's thread too.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    numbers = agreement(predicted, expected)
    figure = Figure(figsize=(7, 6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # Density must be visible with ten points and with a million.
    axes.scatter(
        expected,
        predicted,
        s=float(np.clip(300 / numbers.count**0.5, 4, 40)),
        alpha=float(np.clip(15 / numbers.count**0.5, 0.01, 0.7)),
        color="#1f5fa8",
        linewidths=0,
        rasterized=True,
    )
    slope, intercept = np.polyfit(expected, predicted, 1)
    ends = np.array([expected.min(), expected.max()])
    axes.plot(ends, slope * ends + intercept, color="#d1495b", linewidth=1.5, label="line of least squares")
    axes.set_xlabel(f"gold score (column '{gold_name}', {ends[0]:.3g} to {ends[1]:.3g})", parse_math=False)
    # A checkpoint without an activation gives logits, which may be outside 0 to 1.
    low, high = min(0.0, predicted.min()), max(1.0, predicted.max())
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
    """Check, before the long work, that matplotlib is installed.

    Raises:
        ImportError: it is not; the message names the extra.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib, which is not installed. Install it with: pip install 'beam_sts[plot]'"
        ) from error
