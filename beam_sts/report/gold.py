"""The report on a gold set: how well the scores agree with marks by people, and where they do not."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from beam_sts.plurals import plural
from beam_sts.report.groups import GROUPS_DRAWN, GROUPS_LISTED, gate_section, interval_row, listed_note
from beam_sts.report.page import Section
from beam_sts.report.pieces import density, fold, intervals, table, titled
from beam_sts.report.shared import Examples, Summary, titled_pairs

GoldParts = tuple[str, str, list[tuple[str, str, str]], list[Section]]


def gold_parts(summary: Summary, examples: Examples) -> GoldParts:
    """Title, verdict, figures and sections of the report."""
    gold = marks(summary)
    verdict = (
        f"The scores of {plural(summary['rows_scored'], 'row')} correlate with the {gold} at "
        f"{summary['pearson']:.3f} (Pearson)."
    )
    figures = [
        ("Pearson", f"{summary['pearson']:.4f}", f"with the {gold}"),
        ("Spearman", f"{summary['spearman']:.4f}", f"with the {gold}"),
        ("mean score", f"{summary['mean']['mean']:.4f}", ""),
    ]
    by_group = [agreement_by_group_section(summary)] if summary["agreement"] else []
    sections = [agreement_section(summary, examples), *by_group, *gate_section(summary)]
    return f"Evaluated against marks: {summary['input']['pattern']}", verdict, figures, sections


def marks(summary: Summary) -> str:
    """The name for the marks by people, whose column may have any name, even that of the model's score."""
    return f"marks in column '{summary['gold']}'"


def agreement_section(summary: Summary, examples: Examples) -> Section:
    """Scores over marks, and the rows with the largest disagreement."""
    scatter, gold = summary["scatter"], marks(summary)
    low, high = scatter["score"]

    def height(value: float) -> float:
        return float(min(max((value - low) / (high - low), 0.0), 1.0))

    first, last = scatter["gold"]
    body = density(
        scatter["counts"],
        line=(height(scatter["line"][0]), height(scatter["line"][1])),
        label=f"Scatter of {plural(summary['rows_scored'], 'score')} over {gold}: "
        f"Pearson {summary['pearson']:.3f}, "
        f"Spearman {summary['spearman']:.3f}.",
        unit="score of the model",
        axis=f"people's {gold}",
        x_ticks=[(part / 4, f"{first + part / 4 * (last - first):.3g}") for part in range(5)],
        y_ticks=[(part / 4, f"{low + part / 4 * (high - low):.3g}") for part in range(5)],
    )
    if summary["tenths"]:
        tenths = summary["tenths"][::-1]
        rows = [
            (f"{row['low']:.1f} to {row['low'] + 0.1:.1f}", row["count"], f"{row['score']:.3f}", mark)
            for row, mark in zip(tenths, _marks([row["gold"] for row in tenths]), strict=True)
        ]
        head = ("score", "pairs", "mean score", "mean mark")
        worth = table(head, rows, label="Mean gold score by tenth of the score")
        body += titled("Mean mark by score", worth)
    farthest = {
        "higher": "The model scores higher than people",
        "lower": "The model scores lower than people",
    }
    body += titled_pairs(examples, farthest)
    return Section(
        "agreement",
        "Does the model agree with people?",
        body,
        shows=f"each row by its {gold} and its score; darker cells have more pairs. The dashed line is the "
        "least-squares line. Below are the rows farthest from it.",
        read="pairs along a rising line agree. Pearson's correlation measures how close they are to a "
        "line, Spearman's only whether the order is the same; 1 is perfect, 0 is chance.",
        act="read the disagreements, or have them marked again (--sheet). Where people are right, do not "
        "rely on this model, or try a larger one (beam-sts models).",
    )


def agreement_by_group_section(summary: Summary) -> Section:
    """Pearson's correlation within each group: it shows where the model is less reliable, or drifts."""
    groups = summary["agreement"]
    known = [one for one in groups if one["pearson"] is not None]
    low = min([0.0, *(one["low"] if one["low"] is not None else one["pearson"] for one in known)])
    drawn = [
        interval_row(one["group"], one["pearson"], one["low"], one["high"], low, 1.0, ".3f")
        for one in known[:GROUPS_DRAWN]
    ]
    ticks = [f"{low + part * (1 - low):.2g}" for part in (0, 0.25, 0.5, 0.75, 1)]
    body = (
        intervals(drawn, label="Pearson correlation within each group", ticks=ticks) if drawn else Markup("")
    )
    marks = _marks([one["gold"] for one in groups[:GROUPS_LISTED]])
    rows = [
        (
            one["group"],
            one["count"],
            "–" if one["pearson"] is None else f"{one['pearson']:.4f}",
            "–" if one["low"] is None else f"{one['low']:.4f} to {one['high']:.4f}",
            "–" if one["spearman"] is None else f"{one['spearman']:.4f}",
            f"{one['score']:.4f}",
            mark,
        )
        for one, mark in zip(groups[:GROUPS_LISTED], marks, strict=True)
    ]
    head = (summary["group"], "rows", "Pearson", "95% interval", "Spearman", "mean score", "mean mark")
    body += fold("The numbers", table(head, rows, label="Agreement of each group"))
    body += listed_note(len(groups), len(rows))
    return Section(
        "by-group",
        f"Is the agreement equal in every {summary['group']}?",
        body,
        shows="the correlation of scores and marks within each group, with its 95% interval (Fisher's z).",
        read="in a group whose bar is left of the others, the model agrees less with people. A "
        "correlation is also lower if marks vary little. Groups are sorted by name and not ranked.",
        act="have more answers of the weak groups marked. If the groups are months or versions, a "
        "falling correlation is drift: calibrate again, or change the model.",
    )


def _marks(values: Sequence[float]) -> list[str]:
    """Marks of any scale, all with the same number of decimals.

    >>> _marks([0.0612, 0.951]), _marks([55.25, 100])
    (['0.061', '0.951'], ['55.2', '100.0'])
    """
    decimals = 3 if max(map(abs, values), default=0) < 10 else 1
    return [f"{value:.{decimals}f}" for value in values]
