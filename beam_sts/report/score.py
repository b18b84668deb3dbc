"""The report of ``pipelines.score``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from beam_sts.plurals import plural, were
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import Step, duration, facts, fold, funnel, parts, percent, table, titled
from beam_sts.report.shared import (
    NEAREST,
    Examples,
    Summary,
    at_least,
    every_tenth,
    foot,
    made_of,
    rows_section,
    score_bars,
    titled_pairs,
    to_unit,
    unknown_words,
)
from beam_sts.report.work import lengths, moment, pace

_PADDING = "fewer and larger shards (--rows_per_shard) let lengths be sorted better and pad less"
_NEAR = 0.02  # distance from the threshold
_MARKS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)  # rows in the table of thresholds


def score_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.score``.

    Args:
        summary: the content of ``summary.json``.
        examples: rows to show, by kind, from ``merge_examples``; may be empty.
        card: the model card in Markdown, shown as plain text.
    """
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    rate = summary["pairs_per_second"]
    figures = [
        ("rows read", f"{read:,}", _files(summary["input"]["files"])),
        ("scored", f"{scored:,}", percent(scored, read)),
        ("rejected", f"{rejected:,}", percent(rejected, read)),
    ]
    if summary["matches"] is not None:
        matches, threshold = summary["matches"], summary["settings"]["threshold"]
        figures.append(
            (f"score {threshold} or more", f"{matches:,}", f"{percent(matches, scored)} of the scored")
        )
    elif summary["score_quantiles"]:
        figures.append(("median score", f"{summary['score_quantiles']['0.5']:.3f}", ""))
    figures.append(
        ("time", duration(summary["seconds"]["run"]), f"{rate:,.0f} pairs/s" if rate else "resumed run")
    )
    return Page(
        title=f"Scored pairs of {summary['input']['pattern']}",
        verdict=_verdict(summary),
        figures=figures,
        notes=notes(summary),
        sections=[
            _rows(summary, examples),
            *([_scores(summary, examples)] if scored else []),
            *([_threshold(summary, examples)] if scored else []),
            lengths(summary, summary["model"]["max_length"], examples, _PADDING),
            _time(summary),
            made_of(summary, card),
        ],
        foot=foot(summary),
    )


def _verdict(summary: Summary) -> str:
    read, scored = summary["rows_read"], summary["rows_scored"]
    if not read:
        return "The input has no rows."
    if scored == read:
        return f"All {read:,} rows were scored." if read > 1 else "The one row was scored."
    if not scored:
        return (
            f"None of the {read:,} rows could be scored." if read > 1 else "The one row could not be scored."
        )
    verb = "was" if scored == 1 else "were"
    return f"{scored:,} of {read:,} rows {verb} scored. The others are in rejected/ with their reasons."


def notes(summary: Summary) -> list[Note]:
    """Points that need attention, the most important first."""
    found = []
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    if rejected:
        reason, count = max(summary["rejected_reasons"].items(), key=lambda item: item[1])
        found.append(
            Note(
                f"{were(rejected, 'row')} rejected ({percent(rejected, read)}), {count:,} for: {reason}.",
                "rows",
            )
        )
    found += unknown_words(summary["unknown"], scored, "tokens")
    if summary["truncated"]:
        found.append(
            Note(
                f"{were(summary['truncated'], 'pair')} longer than the model's limit and truncated "
                f"({percent(summary['truncated'], scored)}).",
                "tokens",
            )
        )
    threshold = summary["settings"]["threshold"]
    if threshold is not None and scored:
        if summary["matches"] in (0, scored):
            some = "No pair scores" if not summary["matches"] else "Every pair scores"
            found.append(Note(f"{some} {threshold} or more: the threshold has no effect.", "threshold"))
        near = _near(summary, threshold)
        if near > 0.05 * scored:
            found.append(
                Note(
                    f"{percent(near, scored)} of the pairs score within {_NEAR} of the threshold: a "
                    "small change of it affects many of them.",
                    "threshold",
                )
            )
    return found


def _rows(summary: Summary, examples: Examples) -> Section:
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    reused = summary["pairs_reused"]
    steps = [
        Step("read", read, "soft"),
        Step("rejected", rejected, "bad", "in rejected/, with reasons" if rejected else ""),
        Step("scored", scored, "good"),
        Step("reused", reused, "soft", "scored rows with the score of an equal pair" if reused else ""),
    ]
    if summary["matches"] is not None:
        steps.append(
            Step("matches", summary["matches"], "good", f"score {summary['settings']['threshold']} or more")
        )
    body = funnel(steps)
    if summary["shards_skipped"]:
        body += Markup("<p>{} of {} shards are from an earlier run.</p>").format(
            summary["shards_skipped"], summary["shards"]
        )
    return rows_section(
        body,
        summary,
        examples,
        read="rejected and scored rows add up to the rows read. A reused row has the same two texts "
        "as another row, and needed no work.",
        act="correct the rejected rows at their source, or decide to leave them out. They are in "
        "rejected/ with file, row and reason."
        if rejected
        else "",
    )


def _scores(summary: Summary, examples: Examples) -> Section:
    settings, marks = summary["settings"], summary["score_quantiles"]
    body = score_bars(
        summary["score_histogram"], settings["threshold"], "pairs", logits=settings["raw_logits"]
    )
    body += fold(
        "The numbers",
        table(("quantile", "score"), [(q, f"{value:.3f}") for q, value in marks.items()], label="Quantiles"),
    )
    body += every_tenth(examples)
    return Section(
        "scores",
        "What did it find?",
        body,
        shows="how many pairs have each score, and one pair from each tenth of the scale, the first "
        "in the input. Words that only one of the two texts has are marked.",
        read="1 means the same meaning, 0 nothing in common. A valley between two peaks is a good "
        "threshold; with one broad peak there is none.",
        act="read the pairs from the top down, and note where they stop being what you look for. The "
        "threshold belongs near that score.",
    )


def _threshold(summary: Summary, examples: Examples) -> Section:
    settings, scored = summary["settings"], summary["rows_scored"]
    threshold, logits = settings["threshold"], settings["raw_logits"]
    rows: list[tuple[Any, ...]] = [
        (f"{math.log(mark / (1 - mark)) if logits else mark:.2f}", at_least(summary, mark), mark)
        for mark in _MARKS
    ]
    if threshold is not None:
        rows = [row for row in rows if row[0] != f"{threshold:.2f}"]
        rows.append((f"{threshold} (yours)", summary["matches"], to_unit(threshold, logits)))
        rows.sort(key=lambda row: row[2])
    body = table(
        ("threshold", "pairs at or above", "of the scored"),
        [(name, count, percent(count, scored)) for name, count, _ in rows],
        label="Matches by threshold",
    )
    body += titled_pairs(examples, NEAREST)
    if threshold is None:
        act = "choose the threshold at which the examples above stop being matches, and run again "
        "with --threshold and another output folder."
    else:
        act = (
            "if the pairs just below are matches too, lower the threshold; if those just above are "
            "not, raise it. Label some fifty pairs near it before you delete rows."
        )
    return Section(
        "threshold",
        "Can the threshold be trusted?" if threshold is not None else "Which threshold?",
        body,
        shows="how many pairs each threshold would keep"
        + (
            ", and the pairs nearest to your threshold."
            if examples.get("above") or examples.get("below")
            else "."
        ),
        read="if neighbouring rows of the table differ little, a small error of the threshold "
        "matters little. The counts are exact to 0.001 of a score.",
        act=act,
    )


def _time(summary: Summary) -> Section:
    seconds = summary["seconds"]
    body = pace(summary["timeline"])
    work = [
        ("read", seconds["read_in_workers"], "soft", duration(seconds["read_in_workers"])),
        ("score", seconds["score_in_workers"], "good", duration(seconds["score_in_workers"])),
        ("write", seconds["write_in_workers"], "warn", duration(seconds["write_in_workers"])),
    ]
    spent = parts(work, label=", ".join(f"{name} {words}" for name, _, _, words in work))
    body += titled("Time of the workers by step, all processes together", spent)
    body += facts(
        {
            "planning": duration(seconds["plan"]),
            "elapsed time": duration(seconds["run"]),
            "started": moment(summary["started"]),
            "shards written by this run": summary["shards"] - summary["shards_skipped"],
        }
    )
    return Section(
        "time",
        "What did it cost?",
        body,
        shows="pairs scored per second during this run, and the workers' time by step.",
        read="the rows of a shard are spread over its duration, so short runs look flat. A drop at "
        "the end is the last worker that still runs.",
        act=_time_advice(seconds),
    )


def _time_advice(seconds: Mapping[str, float]) -> str:
    parts = {name: seconds[f"{name}_in_workers"] for name in ("read", "score", "write")}
    whole = sum(parts.values())
    if whole and parts["read"] > 0.3 * whole:
        return "reading takes much of the time: Parquet is faster to read than compressed JSON Lines or CSV."
    if whole and parts["write"] > 0.3 * whole:
        return (
            "writing takes much of the time: fewer and larger shards (--rows_per_shard) are faster to write."
        )
    return (
        "to save time, use more processes (--direct_running_mode=multi_processing), --precision bf16 if the "
        "processor supports it, a smaller model, or a cluster."
    )


def _near(summary: Summary, threshold: float) -> int:
    border = to_unit(threshold, summary["settings"]["raw_logits"])
    return at_least(summary, border - _NEAR) - at_least(summary, border + _NEAR)


def _files(count: int) -> str:
    return plural(count, "file")
