"""The work of a run: lengths of pairs, throughput, time by step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup

from beam_sts.io.summary import LENGTH_BOUNDS
from beam_sts.plurals import plural
from beam_sts.report.page import Section
from beam_sts.report.pieces import area, columns, duration, facts, parts, percent
from beam_sts.report.shared import Examples, titled_pairs

_TONES = ("soft", "good", "warn", "bad")


def lengths(counts: Mapping[str, Any], limit: int, examples: Examples, remedy: str = "") -> Section:
    """The section on tokens: lengths of pairs, padding, truncation.

    Args:
        counts: ``length_histogram``, ``real_tokens``, ``padded_tokens``, ``truncated``, ``windowed`` and
            ``unknown`` of a run.
        limit: the model's limit for a pair, in tokens.
        examples: pairs to show, of the kinds ``truncated``, ``windowed`` and ``unknown``.
        remedy: advice against much padding, or empty.
    """
    lengths = {int(bound): count for bound, count in counts["length_histogram"].items()}
    real, padded = counts["real_tokens"], counts["padded_tokens"]
    body = Markup("")
    if lengths:
        bounds = length_bins(min(lengths), max(lengths))
        counted = [(bound, lengths.get(bound, 0)) for bound in bounds]
        most = max(lengths, key=lengths.__getitem__)
        body += columns(
            [(f"{bound:,}", count, _length_name(bound, count), "good") for bound, count in counted],
            label=f"Histogram of the pairs' lengths. The most frequent have {_length_range(most)} "
            f"tokens; the longest are in the bin up to {max(lengths):,}.",
            unit="pairs",
            axis="tokens of a pair, up to",
            every=max(1, math.ceil(len(bounds) / 9)),
        )
    if padded:
        waste = padded - real
        body += parts(
            [
                ("texts", real, "good", f"{real:,} tokens ({percent(real, padded)})"),
                ("padding", waste, "soft", f"{waste:,} ({percent(waste, padded)})"),
            ],
            label=f"Of {padded:,} tokens computed, {percent(waste, padded)} are padding.",
        )
    body += facts(
        {
            "the model's limit, tokens per pair": limit,
            "truncated pairs": counts["truncated"],
            "pairs scored by windows": counts["windowed"],
            "pairs of mostly unknown words": counts["unknown"],
        }
    )
    titles = {
        "truncated": "Truncated pairs (only their beginnings are shown)",
        "windowed": "Pairs scored by windows (only their beginnings are shown)",
        "unknown": "Pairs of mostly unknown words",
    }
    body += titled_pairs(examples, titles, differences=False, first=2)
    advice = []
    if counts["truncated"]:
        advice.append(
            "if the ends of long texts matter, run with --long_text windows, or use a model with a "
            "longer context"
        )
    if counts["unknown"]:
        advice.append(
            "use a model that knows the language of the pairs with unknown words, and do not filter "
            "by their scores"
        )
    if padded > 1.15 * real and remedy:
        advice.append(remedy)
    return Section(
        "tokens",
        "How long were the texts?",
        body,
        shows="how many tokens the pairs have as input of the model, and how much of its work was padding.",
        read="time grows with the tokens, so pairs on the right cost the most. Padding up to 6% is usual.",
        act="; ".join(advice) + "." if advice else "",
    )


def length_bins(first: int, last: int) -> list[int]:
    """The bounds of ``LENGTH_BOUNDS`` from ``first`` to ``last``, both included.

    >>> length_bins(12, 32)
    [12, 16, 24, 32]
    """
    return [bound for bound in LENGTH_BOUNDS if first <= bound <= last]


def _length_range(bound: int) -> str:
    at = LENGTH_BOUNDS.index(bound)
    return f"{LENGTH_BOUNDS[at - 1] + 1 if at else 1:,} to {bound:,}"


def _length_name(bound: int, count: int) -> str:
    return f"{_length_range(bound)} tokens: {plural(count, 'pair')}"


def pace(timeline: Mapping[str, Any]) -> Markup:
    """The throughput over a run, from ``beam_sts.io.summary.throughput``; empty if there is none."""
    if not timeline:
        return Markup("")
    rates = [rows / timeline["seconds"] for rows in timeline["rows"]]
    total = timeline["seconds"] * len(rates)
    return area(
        rates,
        label=f"Throughput over {duration(total)}: from {min(rates):,.0f} to {max(rates):,.0f} pairs "
        "per second.",
        unit="pairs per second",
        axis="time since scoring began",
        ticks=[(quarter / 4, duration(total * quarter / 4)) for quarter in range(5)],
    )


def laps(seconds: Mapping[str, float]) -> Markup:
    """The time of each step of a run, in proportion."""
    pieces = [
        (name, value, _TONES[at % len(_TONES)], duration(value))
        for at, (name, value) in enumerate(seconds.items())
    ]
    return parts(pieces, label=", ".join(f"{name} {words}" for name, _, _, words in pieces))


def moment(seconds: float) -> str:
    """A time in UTC, from seconds since the epoch."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
