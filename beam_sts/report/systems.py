"""The report on systems: which is better, by how much, with what confidence, and where it loses."""

from __future__ import annotations

from typing import Any

from beam_sts.examples import Example
from beam_sts.plurals import plural
from beam_sts.report.gold import GoldParts, agreement_by_group_section, agreement_section
from beam_sts.report.groups import (
    GROUPS_DRAWN,
    GROUPS_LISTED,
    gate_section,
    group_section,
    interval_row,
    listed_note,
)
from beam_sts.report.page import Section
from beam_sts.report.pieces import fold, intervals, pairs, table
from beam_sts.report.shared import Examples, Summary

_REFERENCES, _NAMED = 3, 3
_VERDICTS = {
    "better": "better are",
    "worse": "worse are",
    "no difference found": "no difference was found for",
    "unknown": "nothing is known of",
}


def systems_parts(summary: Summary, examples: Examples) -> GoldParts:
    """Title, verdict, figures and sections of the report."""
    groups, compared = summary["groups"], summary["comparisons"]
    mean = summary["mean"]
    figures = [("mean score", f"{mean['mean']:.4f}", _bounds(mean, ".3f"))]
    if groups:
        figures.append(("groups", f"{len(groups):,}", f"by {summary['group']}"))
    if compared:
        figures.append(("questions", f"{max(one['n'] for one in compared):,}", "answered by both"))
    sections = [*([_better(summary)] if compared else []), *gate_section(summary)]
    if summary["lost"]:
        sections.append(_lost(summary))
    if groups:
        sections.append(_means(summary))
    if summary["scatter"]:
        sections.append(agreement_section(summary, examples))
    if summary["agreement"]:
        sections.append(agreement_by_group_section(summary))
    return f"Evaluated answers of {summary['input']['pattern']}", _verdict(summary), figures, sections


def _bounds(found: dict[str, Any], form: str) -> str:
    return "" if found["low"] is None else f"95%: {found['low']:{form}} to {found['high']:{form}}"


def _verdict(summary: Summary) -> str:
    groups, compared = summary["groups"], summary["comparisons"]
    if len(compared) == 1:
        return _comparison(compared[0])
    if compared:
        parts = (_named(kind, [one for one in compared if one["verdict"] == kind]) for kind in _VERDICTS)
        return f"Compared with {summary['baseline']}: {'; '.join(filter(None, parts))}."
    if len(groups) > 1:
        best, worst = groups[0], groups[-1]
        return (
            f"{best['group']} has the highest mean, {best['mean']:.3f}; {worst['group']} the lowest, "
            f"{worst['mean']:.3f}. Whether they differ is not tested: name the question with --by."
        )
    rows = plural(summary["rows_scored"], "row has", "rows have")
    return f"{rows} a mean score of {summary['mean']['mean']:.3f}."


def _named(verdict: str, found: list[dict[str, Any]]) -> str:
    """The systems with one verdict; the first few are named."""
    if not found:
        return ""
    shown = [
        one["group"] + (f" (by {abs(one['difference']):.3f})" if verdict in ("better", "worse") else "")
        for one in found[:_NAMED]
    ]
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return f"{_VERDICTS[verdict]} {', '.join(shown)}{more}"


def _comparison(one: dict[str, Any]) -> str:
    """A comparison in one or two sentences."""
    names = f"{one['group']} and {one['baseline']}"
    if one["verdict"] == "unknown":
        return f"Whether {names} differ is unknown: {one['note']}."
    over = f"over {plural(one['n'], 'question')}"
    if one["verdict"] == "no difference found":
        able = one["detectable"]
        power = f"; one of {able:.3f} would be detected 8 times in 10" if able else ""
        return f"No difference between {names} was found {over}: {_estimate(one)}{power}."
    size = f"{abs(one['difference']):.3f}"
    return f"{one['group']} is {one['verdict']} than {one['baseline']} by {size} {over}: {_estimate(one)}."


def _estimate(one: dict[str, Any]) -> str:
    return f"{one['difference']:+.4f} (95%: {one['low']:+.4f} to {one['high']:+.4f}), p {one['p_holm']:.2g}"


def _better(summary: Summary) -> Section:
    compared = summary["comparisons"]
    known = [one for one in compared if one["difference"] is not None]
    ends = [
        abs(one[name]) for one in known for name in ("difference", "low", "high") if one[name] is not None
    ]
    far = 1.05 * max(ends, default=0.0) or 1.0
    drawn = [
        interval_row(one["group"], one["difference"], one["low"], one["high"], -far, far, "+.4f")
        for one in known[:GROUPS_DRAWN]
    ]
    ticks = [f"{part * far:+.2g}" if part else "0" for part in (-1, -0.5, 0, 0.5, 1)]
    label = f"Difference of each system from {summary['baseline']} with its 95% interval"
    body = intervals(drawn, label=label, ticks=ticks, mark=0.5)
    head = ("system", "difference", "95% interval", "p", "questions", "won", "tied", "lost", "verdict")
    rows = [
        (
            one["group"],
            _figure(one["difference"], "+.4f"),
            "–" if one["low"] is None else f"{one['low']:+.4f} to {one['high']:+.4f}",
            _figure(one["p_holm"], ".2g"),
            one["n"],
            one["wins"],
            one["ties"],
            one["losses"],
            one["verdict"],
        )
        for one in compared[:GROUPS_LISTED]
    ]
    body += table(head, rows, label=f"Systems against {summary['baseline']}")
    more = [
        (
            one["group"],
            _figure(one["detectable"], ".4f"),
            _figure(one["effect_size"], "+.2f"),
            "–"
            if one["bootstrap_low"] is None
            else f"{one['bootstrap_low']:+.4f} to {one['bootstrap_high']:+.4f}",
            _figure(one["p"], ".2g"),
            one["missing"],
            one["extra"],
            one["note"],
        )
        for one in compared[:GROUPS_LISTED]
    ]
    base = summary["baseline"]
    more_head = (
        *("system", "difference detected 8 times in 10", "effect size", "bootstrap's 95%", "p uncorrected"),
        *(f"questions only {base} answered", "questions only it answered", "note"),
    )
    body += fold("Confidence, and questions left out", table(more_head, more, label="Power and effect size"))
    body += listed_note(len(compared), len(rows))
    return Section(
        "better",
        f"Which {summary['group']} is better?",
        body,
        shows=f"the mean difference from {base}, paired by question (dot), and its 95% interval "
        f"(bar). Right of the line is better than {base}.",
        read="a system is better or worse if p, corrected for the number of systems (Holm), is below "
        "0.05. No difference found does not mean no difference: see the difference that this number "
        "of questions detects 8 times in 10. A score says how similar answer and reference are, not "
        "which answer is true.",
        act="if a bar crosses the line and the difference matters, use more questions: four times as "
        "many halve the bar.",
    )


def _lost(summary: Summary) -> Section:
    shown: list[Example] = [
        {
            "where": f"{one['question']}; {one['baseline']} {one['baseline_score']:.3f}, "
            f"{one['group']} {one['score']:.3f}; {one['where']}",
            "reason": f"{one['group']}: {one['difference']:+.4f}",
            "text_a": one["baseline_answer"],
            "text_b": one["answer"],
            "note": f"reference: {' | '.join(one['references'][:_REFERENCES])}",
        }
        for one in summary["lost"]
    ]
    base = summary["baseline"]
    return Section(
        "lost",
        "Where did each system lose?",
        pairs(shown, label=f"Questions with the largest losses against {base}", first=5),
        shows=f"the questions with the largest losses of a system against {base}: first the answer of "
        f"{base}, then the system's, with the reference below. Words that only one answer has are "
        "marked.",
        read="of several answers to a question, the system's worst and the baseline's best are shown.",
        act="read them: a missing word, a refusal or a different format is often the same fault many times.",
    )


def _means(summary: Summary) -> Section:
    tested = bool(summary["comparisons"])
    return group_section(
        summary,
        f"How good is each {summary['group']}?",
        read="bars are the confidence intervals of single means. Whether two systems differ is "
        "tested above, paired by question; they may differ although their bars overlap."
        if tested
        else "systems whose bars do not overlap differ; others may still differ. The score says how "
        "similar two texts are, not which is true.",
        act="see the differences above."
        if tested
        else "to find smaller differences, pair by question: --by with the column of the question.",
    )


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
