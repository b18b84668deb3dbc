"""The two pages of ``pipelines.evaluate``: systems compared, and scores beside people's marks."""

from __future__ import annotations

from beam_sts.report.gold import gold_parts
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, funnel, plural, share
from beam_sts.report.shared import (
    Examples,
    Summary,
    every_tenth,
    foot,
    made_of,
    rows_section,
    score_bars,
    titled_pairs,
    unknown_words,
)
from beam_sts.report.systems import systems_parts
from beam_sts.report.work import lengths, pace

_FEW = 30  # scores: below, an interval says little


def evaluate_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.evaluate``.

    Args:
        summary: what ``pipelines.evaluate_summary.page_summary`` gives.
        examples: answers to show, by kind; none is fine.
        card: the model card, Markdown; shown as it is.
    """
    parts = gold_parts if is_gold(summary) else systems_parts
    title, verdict, figures, sections = parts(summary, examples)
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    return Page(
        title=title,
        verdict=verdict,
        figures=[
            ("rows read", f"{read:,}", ""),
            ("scored", f"{scored:,}", share(scored, read)),
            *figures,
            ("time", duration(summary["seconds"]), f"{summary['pairs_per_second']:,.0f} pairs/s"),
        ],
        notes=notes(summary),
        sections=[
            *sections,
            _scores(summary, examples),
            _rows(summary, examples, rejected),
            lengths(summary, summary["model"]["max_length"], {}),
            _time(summary),
            made_of(summary, card),
        ],
        foot=foot(summary),
    )


def is_gold(summary: Summary) -> bool:
    """Whether it is of a gold set, whose groups, such as genres, are no systems: nothing ranks them."""
    return summary["gold"] is not None and not summary["comparisons"]


def notes(summary: Summary) -> list[Note]:
    """What needs a look, the worst first."""
    found = []
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    failed = sum(not gate["passed"] for gate in summary["gates"])
    if failed:
        found.append(Note(f"{plural(failed, 'gate')} of {len(summary['gates']):,} failed.", "gates"))
    if rejected:
        found.append(Note(f"Left out: {plural(rejected, 'row')} ({share(rejected, read)}).", "rows"))
    if any(summary["missing"].values()):
        most = max(summary["missing"], key=summary["missing"].__getitem__)
        found.append(Note(f"{most} did not answer {plural(summary['missing'][most], 'question')}.", "better"))
    noted = [one for one in summary["comparisons"] if one["note"]]
    if noted:
        found.append(
            Note(f"{noted[0]['group']} against {noted[0]['baseline']}: {noted[0]['note']}.", "better")
        )
    found += unknown_words(summary["unknown"], scored, "tokens")
    if summary["truncated"]:
        found.append(Note(f"Longer than the model takes: {plural(summary['truncated'], 'pair')}.", "tokens"))
    few = [group for group in summary["groups"] if group["count"] < _FEW]
    if few:
        found.append(
            Note(f"Fewer than {_FEW} scores: {plural(len(few), 'group')}, with wide intervals.", "groups")
        )
    return found


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
    return rows_section(
        funnel(steps),
        summary,
        examples,
        read="rejected and scored rows add up to the rows read.",
        act="repair the rejected rows: figures without them may be too kind." if rejected else "",
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
