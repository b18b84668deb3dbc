"""The report of ``pipelines.evaluate``."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import (
    Interval,
    Step,
    density,
    duration,
    facts,
    fold,
    funnel,
    intervals,
    plural,
    share,
    table,
    titled,
)
from beam_sts.report.shared import (
    Examples,
    Summary,
    every_tenth,
    foot,
    made_of,
    rejections,
    score_bars,
    titled_pairs,
    unknown_words,
)
from beam_sts.report.work import lengths, pace

_GROUPS_DRAWN, _GROUPS_LISTED = 30, 200
_FEW = 30  # pairs: below, an interval says little


def evaluate_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.evaluate``.

    Args:
        summary: what ``pipelines.evaluate.report_summary`` gives.
        examples: pairs to show, by kind; none is fine.
        card: the model card, Markdown; shown as it is.
    """
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    figures = [
        ("rows read", f"{read:,}", ""),
        ("scored", f"{scored:,}", share(scored, read)),
        ("mean score", f"{summary['mean']['mean']:.4f}", _interval(summary["mean"])),
    ]
    if summary["pearson"] is not None:
        figures += [
            ("Pearson", f"{summary['pearson']:.4f}", f"with {summary['gold']}"),
            ("Spearman", f"{summary['spearman']:.4f}", f"with {summary['gold']}"),
        ]
    if summary["groups"]:
        figures.append(("groups", f"{len(summary['groups']):,}", f"by {summary['group']}"))
    figures.append(("time", duration(summary["seconds"]), f"{summary['pairs_per_second']:,.0f} pairs/s"))
    return Page(
        title=f"Evaluated pairs of {summary['input']['pattern']}",
        verdict=_verdict(summary),
        figures=figures,
        notes=notes(summary),
        sections=[
            *([_groups(summary)] if summary["groups"] else []),
            *([_agreement(summary, examples)] if summary["scatter"] else []),
            _scores(summary, examples),
            _rows(summary, examples, rejected),
            lengths(summary, summary["model"]["max_length"], {}),
            _time(summary),
            made_of(summary, card),
        ],
        foot=foot(summary),
    )


def _verdict(summary: Summary) -> str:
    groups = summary["groups"]
    if len(groups) > 1:
        best, worst = groups[0], groups[-1]
        return (
            f"{best['group']} has the highest mean, {best['mean']:.3f}; {worst['group']} the lowest, "
            f"{worst['mean']:.3f}."
        )
    if summary["pearson"] is not None:
        return (
            f"The scores of {summary['rows_scored']:,} pairs correlate with {summary['gold']} at "
            f"{summary['pearson']:.3f} (Pearson)."
        )
    return f"{summary['rows_scored']:,} pairs have a mean score of {summary['mean']['mean']:.3f}."


def notes(summary: Summary) -> list[Note]:
    """What needs a look, the worst first."""
    found = []
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    if rejected:
        found.append(Note(f"Left out: {plural(rejected, 'row')} ({share(rejected, read)}).", "rows"))
    found += unknown_words(summary["unknown"], scored, "tokens")
    if summary["truncated"]:
        found.append(Note(f"Longer than the model takes: {plural(summary['truncated'], 'pair')}.", "tokens"))
    few = [group for group in summary["groups"] if group["count"] < _FEW]
    if few:
        found.append(
            Note(f"Fewer than {_FEW} pairs: {plural(len(few), 'group')}, with wide intervals.", "groups")
        )
    return found


def _interval(mean: dict[str, Any]) -> str:
    return "" if mean["low"] is None else f"95%: {mean['low']:.3f} to {mean['high']:.3f}"


def _groups(summary: Summary) -> Section:
    groups = summary["groups"]
    ends = [
        end for group in groups for end in (group["low"], group["high"], group["mean"]) if end is not None
    ]
    low, high = min(0.0, *ends), max(1.0, *ends)

    def place(value: float) -> float:
        return float((value - low) / (high - low))

    drawn = [
        Interval(
            group["group"],
            place(group["mean"]),
            place(group["mean"] if group["low"] is None else group["low"]),
            place(group["mean"] if group["high"] is None else group["high"]),
            f"{group['mean']:.3f}"
            + (f" ({group['low']:.3f} to {group['high']:.3f})" if group["low"] is not None else ""),
        )
        for group in groups[:_GROUPS_DRAWN]
    ]
    ticks = [f"{low + part * (high - low):.2g}" for part in (0, 0.25, 0.5, 0.75, 1)]
    body = intervals(drawn, label="Mean score of each group with its 95% interval", ticks=ticks)
    rows = [
        (
            group["group"],
            group["count"],
            f"{group['mean']:.4f}",
            "–" if group["low"] is None else f"{group['low']:.4f} to {group['high']:.4f}",
            f"{group['median']:.4f}",
        )
        for group in groups[:_GROUPS_LISTED]
    ]
    listed = table((summary["group"], "pairs", "mean", "95% interval", "median"), rows, label="All groups")
    body += fold("The numbers", listed)
    if len(groups) > _GROUPS_DRAWN:
        body += Markup("<p>{:,} groups are drawn, {:,} listed, of {:,}; --json has all.</p>").format(
            _GROUPS_DRAWN, len(rows), len(groups)
        )
    return Section(
        "groups",
        f"Which {summary['group']} is the best?",
        body,
        shows="the mean score of each group (dot) and the interval that holds the mean of all such pairs "
        "with 95% confidence (bar).",
        read="groups whose bars do not overlap differ surely enough. A bar is too narrow where many answers "
        "share a question. The score says how alike two texts are, not which is true.",
        act="for groups whose bars overlap, bring more pairs, or compare them question by question.",
    )


def _agreement(summary: Summary, examples: Examples) -> Section:
    scatter, gold = summary["scatter"], summary["gold"]
    low, high = scatter["score"]

    def height(value: float) -> float:
        return float(min(max((value - low) / (high - low), 0.0), 1.0))

    first, last = scatter["gold"]
    body = density(
        scatter["counts"],
        line=(height(scatter["line"][0]), height(scatter["line"][1])),
        label=f"Scatter of {summary['rows_scored']:,} scores over {gold}: Pearson {summary['pearson']:.3f}, "
        f"Spearman {summary['spearman']:.3f}.",
        unit="score of the model",
        axis=f"{gold} of people",
        x_ticks=[(part / 4, f"{first + part / 4 * (last - first):.3g}") for part in range(5)],
        y_ticks=[(part / 4, f"{low + part / 4 * (high - low):.3g}") for part in range(5)],
    )
    if summary["tenths"]:
        rows = [
            (f"{row['low']:.1f} to {row['low'] + 0.1:.1f}", row["count"], f"{row['score']:.3f}",
             f"{row['gold']:.3g}")
            for row in reversed(summary["tenths"])
        ]  # fmt: skip
        head = ("score", "pairs", "mean score", f"mean {gold}")
        worth = table(head, rows, label="Mean gold score by tenth of the score")
        body += titled("What a score was worth", worth)
    farthest = {"higher": "The model says more than people", "lower": "The model says less than people"}
    body += titled_pairs(examples, farthest)
    return Section(
        "agreement",
        "Does it agree with people?",
        body,
        shows=f"each pair by its {gold} and its score, the darker the more pairs; the dashed line is that of "
        "least squares. Below, the pairs farthest from it.",
        read="pairs along a rising line are agreement. Pearson asks for a line, Spearman only for the same "
        "order; 1 is perfect, 0 is chance.",
        act="read the disagreements: where people are right, do not decide by this model there, or try a "
        "larger one (beam-sts models).",
    )


def _scores(summary: Summary, examples: Examples) -> Section:
    body = score_bars(summary["score_histogram"], None, "pairs", logits=summary["logits"])
    body += titled_pairs(examples, {"lowest": "The lowest scores"}) + every_tenth(examples, first=4)
    return Section(
        "scores",
        "How are the scores spread?",
        body,
        shows="how many pairs have which score.",
        read="1 is the same meaning, 0 is nothing in common. A mean hides two heaps: see whether there are.",
        act="read the lowest pairs first: they are wrong answers, or right ones in words the model does not "
        "connect.",
    )


def _rows(summary: Summary, examples: Examples, rejected: int) -> Section:
    steps = [
        Step("read", summary["rows_read"], "soft"),
        Step("rejected", rejected, "bad", "without two texts or a number" if rejected else ""),
        Step("scored", summary["rows_scored"], "good"),
    ]
    return Section(
        "rows",
        "Did it work?",
        funnel(steps) + rejections(summary, examples),
        shows="what became of every row that was read.",
        read="rejected and scored rows add up to the rows read.",
        act="mend the rejected rows: figures without them may be too kind." if rejected else "nothing.",
    )


def _time(summary: Summary) -> Section:
    return Section(
        "time",
        "What did it cost?",
        pace(summary["timeline"])
        + facts(
            {"scoring": duration(summary["seconds"]), "pairs per second": round(summary["pairs_per_second"])}
        ),
        shows="pairs scored per second; loading the model is not counted.",
        read="a fall is a batch of longer texts.",
        act="to compare many systems at once, put them into one file with a column for --group.",
    )
