"""The report of ``pipelines.dedup --contains`` and ``--unit``."""

from __future__ import annotations

from markupsafe import Markup

from beam_sts.plurals import plural, were
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, funnel, pairs, percent, table, titled
from beam_sts.report.shared import Examples, Summary, foot, made_of, rejections, score_bars

_MOST = 10


def passages_page(summary: Summary, examples: Examples) -> Page:
    """The report of a run that searched for passages.

    Args:
        summary: the content of ``summary.json``.
        examples: passages to show (kind ``passage``), and rejected rows; may be empty.
    """
    read, rows = summary["rows_read"], summary["rows_with_passages"]
    return Page(
        title=f"Passages in {summary['input']['pattern']}",
        verdict=f"{were(summary['passages'], 'passage')} found in {rows:,} of {plural(read, 'row')}."
        if rows
        else f"No passage was found in {plural(read, 'row')}.",
        figures=[
            ("rows read", f"{read:,}", ""),
            ("with passages", f"{rows:,}", percent(rows, read)),
            (
                "passages",
                f"{summary['passages']:,}",
                f"{percent(summary['characters_found'], summary['characters'])} of the text",
            ),
            ("rows removed", f"{summary['rows_removed']:,}", percent(summary["rows_removed"], read)),
            ("time", duration(sum(summary["seconds"].values())), ""),
        ],
        notes=notes(summary),
        sections=[
            _rows(summary, examples),
            _found(summary, examples),
            made_of(summary),
        ],
        foot=foot(summary),
    )


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = []
    read = summary["rows_read"]
    if summary["rows_rejected"]:
        found.append(Note(f"{were(summary['rows_rejected'], 'row')} rejected.", "rows"))
    if summary["rows_with_passages"] > 0.5 * read:
        part = percent(summary["rows_with_passages"], read)
        found.append(
            Note(
                f"More than half of the rows ({part}) have a passage: check the most frequent ones.", "found"
            )
        )
    if summary.get("items_too_short"):
        found.append(
            Note(
                f"{summary['items_too_short']:,} of {plural(summary['items'], 'item')} have too few words to "
                "look for.",
                "found",
            )
        )
    return found


def _rows(summary: Summary, examples: Examples) -> Section:
    steps = [
        Step("read", summary["rows_read"], "soft"),
        Step("kept", summary["rows_kept"], "good"),
        Step("removed", summary["rows_removed"], "warn"),
        Step("rejected", summary["rows_rejected"], "bad"),
    ]
    body = funnel(steps)
    body += facts({"rows kept without their passages": f"{summary['rows_changed']:,}"})
    return Section(
        "rows",
        "What happened to the rows?",
        body + rejections(summary, examples),
        shows="kept, removed and rejected rows, which add up to the rows read.",
        read="with --remove row, a row is removed if it has a passage, or without --against if a longer row "
        "contains it. With --remove passage, a row is removed if nothing of it remains.",
        act="check rejected rows first: they were not compared.",
    )


def _found(summary: Summary, examples: Examples) -> Section:
    body = Markup("")
    if summary["score_histogram"]:
        body += titled("Scores", score_bars(summary["score_histogram"], None, "passages"))
    if summary["most_found"]:
        rows = list(summary["most_found"].items())[:_MOST]
        body += titled("Most often found", table(("id", "passages"), rows, label="Most often found"))
    if shown := examples.get("passage"):
        body += titled(
            "The least certain passages, each with its context",
            pairs(shown, label="Passages", differences=False),
        )
    return Section(
        "found",
        "What was found?",
        body,
        shows="passages by score, and the least certain ones.",
        read="the score is the share of an item's words that the row has in order, with more weight for "
        "rare words. Repeated units have the same words.",
        act="if the least certain passages are wrong, raise --contained; at 1 the row has every word.",
    )
