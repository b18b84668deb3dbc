"""Groups of rows in the reports of ``pipelines.evaluate``: means, intervals, gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from beam_sts.report.page import Section
from beam_sts.report.pieces import Interval, fold, intervals, table
from beam_sts.report.shared import Summary

GROUPS_DRAWN, GROUPS_LISTED = 30, 200


def group_section(summary: Summary, title: str, *, read: str, act: str) -> Section:
    """The mean score of each group with its interval.

    Args:
        summary: the summary of the run.
        title: title of the section.
        read: how to read it.
        act: what to do.
    """
    groups = summary["groups"]
    bounds = [
        end for group in groups for end in (group["low"], group["high"], group["mean"]) if end is not None
    ]
    low, high = min(summary["scale"][0], *bounds), max(summary["scale"][1], *bounds)
    drawn = [
        interval_row(group["group"], group["mean"], group["low"], group["high"], low, high, ".3f")
        for group in groups[:GROUPS_DRAWN]
    ]
    ticks = [f"{low + part * (high - low):.2g}" for part in (0, 0.25, 0.5, 0.75, 1)]
    body = intervals(drawn, label="Mean score of each group with its 95% interval", ticks=ticks)
    rows = [
        (
            group["group"],
            group["count"],
            group["questions"],
            f"{group['mean']:.4f}",
            "–" if group["low"] is None else f"{group['low']:.4f} to {group['high']:.4f}",
            f"{group['median']:.4f}",
        )
        for group in groups[:GROUPS_LISTED]
    ]
    head = (summary["group"], "scores", "questions", "mean", "95% interval", "median")
    body += fold("The numbers", table(head, rows, label="All groups"))
    body += listed_note(len(groups), len(rows))
    return Section(
        "groups",
        title,
        body,
        shows="the mean score of each group (dot) and its 95% confidence interval (bar).",
        read=read,
        act=act,
    )


def interval_row(
    name: str, mean: float, low: float | None, high: float | None, start: float, stop: float, form: str
) -> Interval:
    """A mean with its interval on a scale from ``start`` to ``stop``, with numbers in the format ``form``."""

    def place(value: float) -> float:
        return min(max((value - start) / (stop - start), 0.0), 1.0)

    words = format(mean, form)
    if low is None or high is None:
        return Interval(name, place(mean), place(mean), place(mean), words)
    return Interval(name, place(mean), place(low), place(high), f"{words} ({low:{form}} to {high:{form}})")


def listed_note(count: int, shown: int) -> Markup:
    """A note on how many groups are drawn and listed, if that is not all."""
    if count <= GROUPS_DRAWN:
        return Markup("")
    text = Markup("<p>Of {2:,} groups, {0:,} are drawn and {1:,} listed; --json has all.</p>")
    return text.format(GROUPS_DRAWN, shown, count)


def gate_section(summary: Summary) -> list[Section]:
    """The section on gates, if there are any."""
    if not summary["gates"]:
        return []
    ordered: Sequence[dict[str, Any]] = sorted(summary["gates"], key=lambda gate: gate["passed"])
    rows = [
        ("passed" if gate["passed"] else "FAILED", gate["gate"], gate["group"], gate["message"])
        for gate in ordered[:GROUPS_LISTED]
    ]
    return [
        Section(
            "gates",
            "Did the gates pass?",
            table(("result", "gate", "group", "why"), rows, label="Gates"),
            shows="each limit, checked for each group.",
            read="a gate checks the estimate, which has a random error; see its interval above.",
            act="a failed gate ends the command with exit status 3, which can stop a release.",
        )
    ]
