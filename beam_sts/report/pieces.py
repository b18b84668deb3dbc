"""The parts of sections: funnel, bars, density, table, pairs and others. Plain values in, escaped HTML out.

Shapes have positions in percent of their chart, and font sizes are set in CSS, so a drawing fits a phone, a
screen and a printed page. Colours are CSS variables, so it fits light and dark mode.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from beam_sts.report.page import macro

if TYPE_CHECKING:
    from markupsafe import Markup

UNIT_TICKS = [(tenth / 10, f"{tenth / 10:.1f}") for tenth in range(0, 11, 2)]
"""Ticks of an axis of scores."""
_WORDS = re.compile(r"\w+|\s+|[^\w\s]+")
_LOG_FROM = 200  # ratio of the largest bar to the median bar
_LOWEST = 0.4  # percent, so that the smallest bar is visible


@dataclass(frozen=True)
class Step:
    """A step of a funnel: name, count, tone (``good``, ``soft``, ``warn``, ``bad``) and remark."""

    name: str
    count: int
    tone: str = "good"
    remark: str = ""


@dataclass(frozen=True)
class Bar:
    """A bar from ``left`` to ``right`` on the axis (0 to 1), with its height, name and tone."""

    left: float
    right: float
    value: float
    name: str
    tone: str = "good"


def funnel(steps: Sequence[Step]) -> Markup:
    """Counts as bars below each other, in proportion to the largest."""
    whole = max((step.count for step in steps), default=0) or 1
    rows = [(step, 100 * step.count / whole, percent(step.count, whole)) for step in steps]
    return macro("funnel", rows=rows)


def bars(
    bars: Sequence[Bar],
    *,
    label: str,
    unit: str,
    axis: str,
    ticks: Sequence[tuple[float, str]],
    mark: tuple[float, str] | None = None,
) -> Markup:
    """A histogram, on a labelled log scale if small bars would be invisible otherwise.

    Args:
        bars: bars from left to right.
        label: description of the chart for screen readers.
        unit: what a height counts.
        axis: label of the horizontal axis.
        ticks: positions (0 to 1) with their labels.
        mark: position of a vertical line, and its label.
    """
    heights = sorted(bar.value for bar in bars if bar.value > 0)
    counts = all(float(height).is_integer() for height in heights)
    log = bool(heights) and heights[-1] > _LOG_FROM * heights[(len(heights) - 1) // 2]
    highest = heights[-1] if heights else 1.0
    top, marks = _log_scale(highest) if log else _scale(highest, 1.0 if counts else 0.0)

    def height(value: float) -> float:
        return 100 * (math.log10(2 * value) / math.log10(2 * top) if log else value / top) if value else 0.0

    drawn = [
        (bar, 100 * bar.left, 100 * (bar.right - bar.left), max(height(bar.value), _LOWEST))
        for bar in bars
        if bar.value
    ]
    return macro(
        "bars",
        drawn=drawn,
        label=label,
        unit=f"{unit}, log scale" if log else unit,
        axis=axis,
        x_ticks=[(100 * place, text) for place, text in ticks],
        y_ticks=[(height(value), compact(value)) for value in marks],
        mark=mark and (100 * mark[0], mark[1]),
    )


def columns(
    named: Sequence[tuple[str, float, str, str]], *, label: str, unit: str, axis: str, every: int = 1
) -> Markup:
    """A bar chart of equally wide bars.

    Args:
        named: name on the axis, height, tooltip and tone of each bar.
        label: description of the chart for screen readers.
        unit: what a height counts.
        axis: label of the horizontal axis.
        every: every how many bars the name is shown.
    """
    wide = 1 / max(len(named), 1)
    return bars(
        [
            Bar(at * wide, (at + 1) * wide, value, what, tone)
            for at, (_, value, what, tone) in enumerate(named)
        ],
        label=label,
        unit=unit,
        axis=axis,
        ticks=[((at + 0.5) * wide, name) for at, (name, *_) in enumerate(named) if at % every == 0],
    )


def titled(title: str, body: Markup) -> Markup:
    """A part of a section, with a title.

    >>> str(titled("A < B", facts({})))[:17]
    '<h3>A &lt; B</h3>'
    """
    from markupsafe import Markup

    return Markup("<h3>{}</h3>").format(title) + body


def area(
    values: Sequence[float], *, label: str, unit: str, axis: str, ticks: Sequence[tuple[float, str]]
) -> Markup:
    """A filled step line of equally spaced values."""
    top, marks = _scale(max(values, default=1.0))
    steps = [
        (100 * place / len(values), 100 - 100 * value / top)
        for index, value in enumerate(values)
        for place in (index, index + 1)
    ]
    line = " L".join(f"{x:.2f} {y:.2f}" for x, y in steps)
    return macro(
        "area",
        line=f"M{line}" if steps else "",
        label=label,
        unit=unit,
        axis=axis,
        x_ticks=[(100 * place, text) for place, text in ticks],
        y_ticks=[(100 * value / top, compact(value)) for value in marks],
    )


def density(
    counts: Sequence[Sequence[int]],
    *,
    line: tuple[float, float] | None,
    label: str,
    unit: str,
    axis: str,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
) -> Markup:
    """A scatter plot of any number of points as cells; darker cells have more points.

    Args:
        counts: points by row, from the bottom, and by column.
        line: heights (0 to 1) of a line at the left and right ends.
        label: description of the chart for screen readers.
        unit: label of the vertical axis.
        axis: label of the horizontal axis.
        x_ticks: horizontal positions (0 to 1) with their labels.
        y_ticks: vertical positions (0 to 1) with their labels.
    """
    height, width = 100 / max(len(counts), 1), 100 / max(map(len, counts), default=1)
    most = math.log1p(max((count for row in counts for count in row), default=0) or 1)
    cells = [
        (width * x, 100 - height * (y + 1), count, 0.25 + 0.75 * math.log1p(count) / most)
        for y, row in enumerate(counts)
        for x, count in enumerate(row)
        if count
    ]
    return macro(
        "density",
        cells=cells,
        width=width,
        height=height,
        line=line and [100 - 100 * end for end in line],
        label=label,
        unit=unit,
        axis=axis,
        x_ticks=[(100 * place, text) for place, text in x_ticks],
        y_ticks=[(100 * place, text) for place, text in y_ticks],
    )


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its interval as positions on a scale (0 to 1), and its text."""

    name: str
    mean: float
    low: float
    high: float
    words: str


def intervals(
    rows: Sequence[Interval], *, label: str, ticks: Sequence[str], mark: float | None = None
) -> Markup:
    """Means with their intervals below each other, on one scale with evenly spaced ticks.

    Args:
        rows: the means, from the top.
        label: description of the chart for screen readers.
        ticks: labels of the scale.
        mark: position of a vertical line (0 to 1), or None.
    """
    return macro("intervals", rows=rows, label=label, ticks=ticks, mark=mark)


def parts(pieces: Sequence[tuple[str, float, str, str]], *, label: str) -> Markup:
    """A bar divided into parts, each with name, size, tone and the size as text."""
    whole = sum(size for _, size, _, _ in pieces) or 1
    return macro("parts", pieces=[(*piece, 100 * piece[1] / whole) for piece in pieces], label=label)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, label: str) -> Markup:
    """A table; numbers are aligned to the right, with separators of thousands."""
    cells = [[(_cell(value), isinstance(value, (int, float))) for value in row] for row in rows]
    return macro("table", head=head, rows=cells, label=label)


def facts(items: Mapping[str, Any]) -> Markup:
    """A list of names and values."""
    return macro("facts", items={name: _cell(value) for name, value in items.items()})


def fold(title: str, body: Markup) -> Markup:
    """A part that is collapsed until the reader opens it."""
    return macro("fold", title=title, body=body)


def text(content: str) -> Markup:
    """A preformatted text."""
    return macro("text", content=content)


def pairs(
    examples: Sequence[Mapping[str, Any]], *, label: str, differences: bool = True, first: int | None = None
) -> Markup:
    """Pairs of texts with their score, or the reason of their rejection; different words are marked.

    Args:
        examples: mappings with ``text_a`` and perhaps ``text_b`` (None is shown as null), ``file`` and
            ``row`` or ``where``, and ``score`` or ``reason``; with ``line``, the raw line instead of the
            texts; with ``note``, a line below the texts.
        label: description of the list for screen readers.
        differences: whether words that the other text lacks are marked.
        first: how many pairs are shown; the others are collapsed. None: all.
    """
    if first is not None and len(examples) > first:
        others = pairs(examples[first:], label=f"{label}, more", differences=differences)
        return pairs(examples[:first], label=label, differences=differences) + fold(
            f"{len(examples) - first} more", others
        )
    shown = []
    for example in examples:
        a, b = example.get("text_a"), example.get("text_b")
        plain = a is None or b is None or not differences
        both = (a, b) if "text_b" in example else (a,)
        marked = [[(text, False)] for text in both] if plain else _differences(a or "", b or "")
        where = example.get("where") or f"{example['file']}, row {example['row']:,}"
        defaults = {"score": None, "reason": "", "line": None, "note": ""}
        shown.append({**defaults, **example, "where": where, "sides": marked})
    return macro("pairs", examples=shown, label=label)


def _differences(text_a: str, text_b: str) -> list[list[tuple[str, bool]]]:
    """The pieces of each text, and whether a piece is only in that text.

    >>> _differences("two red cars", "two blue cars")
    [[('two ', False), ('red', True), (' cars', False)], [('two ', False), ('blue', True), (' cars', False)]]
    """
    a, b = _WORDS.findall(text_a), _WORDS.findall(text_b)
    sides: list[list[tuple[str, bool]]] = [[], []]
    for kind, *bounds in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for side, words, (start, stop) in zip(sides, (a, b), (bounds[:2], bounds[2:]), strict=True):
            if start < stop:
                side.append(("".join(words[start:stop]), kind != "equal"))
    return sides


def percent(count: float, whole: float) -> str:
    """A share in percent, never rounded to 0% or 100%.

    >>> percent(1, 1_000_000), percent(999_999, 1_000_000), percent(1, 4), percent(0, 4)
    ('under 0.1%', 'over 99.9%', '25.0%', '0%')
    """
    if not whole or not count:
        return "0%"
    percent = 100 * count / whole
    if count == whole:
        return "100%"
    if percent < 0.1:
        return "under 0.1%"
    return "over 99.9%" if percent > 99.9 else f"{percent:.1f}%"


def compact(value: float) -> str:
    """A number for an axis.

    >>> [compact(value) for value in (0, 0.25, 40, 2500, 1_500_000, 3e9)]
    ['0', '0.25', '40', '2.5k', '1.5M', '3G']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """A duration as text.

    >>> [duration(seconds) for seconds in (0.042, 0.42, 75, 7300, 200_000)]
    ['42 ms', '0.4 s', '1 min 15 s', '2 h 2 min', '2 d 8 h']
    """
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    units = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
    size, name, small, small_name = next(unit for unit in units if seconds >= unit[0])
    whole = round(seconds / small) * small
    return f"{whole // size:.0f} {name} {whole % size // small:.0f} {small_name}"


def _cell(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:,}" if isinstance(value, int) else value


def _scale(largest: float, least_step: float = 0.0) -> tuple[float, list[float]]:
    """The top of an axis that starts at 0, and two to six round marks on it, at least ``least_step`` apart.

    >>> _scale(870)
    (1000.0, [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0])
    >>> _scale(2, 1.0)
    (2.0, [0.0, 1.0, 2.0])
    """
    largest = largest or 1.0
    step = 10.0 ** math.floor(math.log10(largest))
    step = next(step * factor for factor in (0.2, 0.5, 1, 2) if largest <= 5 * step * factor)
    step = max(step, least_step)
    count = math.ceil(largest / step - 1e-9)
    return step * count, [round(step * index, 10) for index in range(count + 1)]


def _log_scale(largest: float) -> tuple[float, list[float]]:
    """The top of a log axis that starts at one half, and at most seven powers of ten on it.

    >>> _log_scale(870)
    (870, [1.0, 10.0, 100.0])
    """
    powers = range(math.floor(math.log10(largest)) + 1)
    return largest, [10.0**power for power in powers[:: max(1, math.ceil(len(powers) / 7))]]
