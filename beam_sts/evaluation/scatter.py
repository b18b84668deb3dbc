"""The scatter plot of scores and marks, by matplotlib."""

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
