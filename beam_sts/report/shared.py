"""Parts that several reports share: rejected rows, histogram of scores, versions and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from beam_sts.examples import Example, shorten
from beam_sts.io.summary import BINS
from beam_sts.plurals import plural
from beam_sts.report.page import Note, Section
from beam_sts.report.pieces import UNIT_TICKS, Bar, bars, facts, fold, pairs, percent, table, text, titled

_BARS = 50
_CARD_LENGTH = 20_000
Summary = Mapping[str, Any]
Examples = Mapping[str, Sequence[Example]]
NEAREST = {"above": "The nearest pairs above", "below": "The nearest pairs below"}


def foot(summary: Summary) -> str:
    """The footer: how the page was made, and that it shows texts of the input."""
    return (
        f"Written by beam_sts {summary['versions']['beam_sts']}. This page loads nothing and runs no script. "
        "It shows some texts of the input, so share it as you would share them."
    )


def rejections(summary: Summary, examples: Examples) -> Markup:
    """Reasons and examples of rejected rows; empty if there are none."""
    reasons = sorted(summary["rejected_reasons"].items(), key=lambda item: -item[1])
    if not reasons:
        return Markup("")
    rows = [(shorten(reason), count, percent(count, summary["rows_read"])) for reason, count in reasons[:20]]
    reasons_table = table(("reason", "rows", "of all"), rows, label="Reasons of rejection")
    body = titled("Why rows were rejected", reasons_table)
    if len(reasons) > 20:
        body += Markup("<p>{:,} more reasons are in summary.json.</p>").format(len(reasons) - 20)
    if examples.get("rejected"):
        body += pairs(examples["rejected"][:30], label="Rejected rows", differences=False, first=3)
    return body


def rows_section(body: Markup, summary: Summary, examples: Examples, *, read: str, act: str) -> Section:
    """The section on what happened to every row, with the reasons of rejections.

    The other arguments are those of ``Section``.
    """
    return Section(
        "rows",
        "Did it work?",
        body + rejections(summary, examples),
        shows="what happened to every row that was read.",
        read=read,
        act=act,
    )


def titled_pairs(examples: Examples, titles: Mapping[str, str], **options: Any) -> Markup:
    """Examples of several kinds, each under its title; ``options`` are those of ``pairs``."""
    body = Markup("")
    for kind, title in titles.items():
        if examples.get(kind):
            body += titled(title, pairs(examples[kind], label=title, **options))
    return body


def every_tenth(examples: Examples, **options: Any) -> Markup:
    """A pair from every tenth of the scale, highest scores first; ``options`` are those of ``pairs``."""
    shown = [one for tenth in range(9, -1, -1) for one in examples.get(f"tenth-{tenth}", ())]
    if not shown:
        return Markup("")
    body = pairs(shown, label="Pairs from high to low scores", **options)
    return titled("A pair from every tenth of the scale", body)


def unknown_words(count: int, whole: int, anchor: str) -> list[Note]:
    """A note on pairs of mostly unknown words, if there are any."""
    if not count:
        return []
    what = f"{plural(count, 'pair')} ({percent(count, whole)})"
    return [Note(f"Mostly words that the model does not know: {what}, whose scores mean little.", anchor)]


def score_bars(
    histogram: Mapping[str, int], threshold: float | None, unit: str, *, logits: bool = False
) -> Markup:
    """The chart of a ``score_histogram``, with the threshold."""
    border = None if threshold is None else to_unit(threshold, logits)
    counts = [0] * _BARS
    for place, count in histogram.items():
        counts[int(place) * _BARS // BINS] += count
    drawn = [
        Bar(
            at / _BARS,
            (at + 1) / _BARS,
            count,
            f"{at / _BARS:.2f} to {(at + 1) / _BARS:.2f}: {plural(count, 'pair')}",
            "soft" if border is not None and (at + 1) / _BARS <= border else "good",
        )
        for at, count in enumerate(counts)
    ]
    most = max(range(_BARS), key=counts.__getitem__) / _BARS
    return bars(
        drawn,
        label=f"Histogram of {sum(counts):,} scores. The most frequent are between {most:.2f} and "
        f"{most + 1 / _BARS:.2f}.",
        unit=unit,
        axis="sigmoid of the score" if logits else "score",
        ticks=UNIT_TICKS,
        mark=None if border is None else (min(max(border, 0.0), 1.0), f"threshold {threshold}"),
    )


def made_of(summary: Summary, card: str = "") -> Section:
    """The section on settings, model (if any), versions and fingerprint, the same for every pipeline."""
    model, source = summary.get("model"), summary["input"]
    body = Markup("") if model is None else fold(f"Model: {model['name']}", facts(_model(model)))
    body += fold("Settings", facts(summary["settings"]))
    if card:
        shown = card if len(card) <= _CARD_LENGTH else card[:_CARD_LENGTH] + "\n…"
        body += fold("Model card", text(shown))
    files = [(file["path"], file["size"]) for file in source["first"]]
    listed = table(("file", "bytes"), files, label="Input files")
    if source["files"] > len(files):
        listed += Markup("<p>and {:,} more files; {:,} bytes in total.</p>").format(
            source["files"] - len(files), source["bytes"]
        )
    body += fold("Input files", listed)
    digests = facts(
        {
            **({} if model is None else {"model's files, SHA-256": model["sha256"]}),
            "input, model, settings": summary["fingerprint"],
        }
    )
    body += fold("Versions and fingerprint", facts(summary["versions"]) + digests)
    return Section(
        "made-of",
        "How was the result made?",
        body,
        shows="everything that the result depends on.",
        read="two runs with the same fingerprint give the same scores, equal to the byte on one machine.",
    )


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": model["name"],
        "architecture": model.get("architecture"),
        "parameters": model.get("parameters"),
        "tokens of a pair": model.get("max_length"),
        "STS Benchmark test, Pearson": model.get("pearson"),
        "STS Benchmark test, Spearman": model.get("spearman"),
        "licence": model.get("licence"),
    }


def at_least(summary: Summary, unit: float) -> int:
    """Count of the scores at or above ``unit`` (0 to 1), by bins of the histogram."""
    first = math.ceil(round(unit * BINS, 6))
    return sum(count for place, count in summary["score_histogram"].items() if int(place) >= first)


def to_unit(score: float, logits: bool) -> float:
    """A score on the scale of histograms, 0 to 1."""
    return 1 / (1 + math.exp(-score)) if logits else score
