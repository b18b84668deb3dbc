"""The two reports of ``pipelines.evaluate``: systems compared, and scores compared with marks by people."""

from __future__ import annotations

from beam_sts.plurals import plural
from beam_sts.report.gold import gold_parts
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, funnel, percent
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

_FEW = 30  # scores; below this an interval is hardly informative


def evaluate_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.evaluate``.

    Args:
        summary: the result of ``beam_sts.cli.evaluate_summary.page_summary``.
        examples: answers to show, by kind; may be empty.
        card: the model card in Markdown, shown as plain text.
    """
    parts = gold_parts if is_gold(summary) else systems_parts
    title, verdict, figures, sections = parts(summary, examples)
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    return Page(
        title=title,
        verdict=verdict,
        figures=[
            ("rows read", f"{read:,}", ""),
            ("scored", f"{scored:,}", percent(scored, read)),
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
    """Whether the run is of a gold set, whose groups, such as genres, are not systems and not ranked."""
    return summary["gold"] is not None and not summary["comparisons"]


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = []
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    failed = sum(not gate["passed"] for gate in summary["gates"])
    if failed:
        found.append(Note(f"{plural(failed, 'gate')} of {len(summary['gates']):,} failed.", "gates"))
    if rejected:
        found.append(Note(f"Rejected: {plural(rejected, 'row')} ({percent(rejected, read)}).", "rows"))
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
            Note(
                f"Fewer than {_FEW} scores: {plural(len(few), 'group')}. Their intervals are wide.", "groups"
            )
        )
    return found


def _scores(summary: Summary, examples: Examples) -> Section:
    body = score_bars(summary["score_histogram"], None, "pairs", logits=summary["logits"])
    body += titled_pairs(examples, {"lowest": "The lowest scores"}) + every_tenth(examples, first=4)
    return Section(
        "scores",
        "How are the scores distributed?",
        body,
        shows="how many pairs have each score.",
        read="1 means the same meaning, 0 nothing in common. Check for two peaks, which a mean would hide.",
        act="read the lowest pairs first: they are wrong answers, or right ones in words that the model "
        "does not recognise.",
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
        act="correct the rejected rows at their source: figures without them may be too favourable."
        if rejected
        else "",
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
        read="a drop is a batch of longer texts.",
        act="to compare many systems at once, put them into one file with a column for --group.",
    )
