"""The report of ``pipelines.score``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup

from beam_sts.io.summary import BINS, LENGTH_BOUNDS
from beam_sts.report.examples import Example, shorten
from beam_sts.report.page import Note, Page, Section
from beam_sts.report.pieces import (
    Bar,
    Step,
    area,
    bars,
    duration,
    facts,
    fold,
    funnel,
    pairs,
    parts,
    share,
    table,
    text,
)

_BARS = 50
_NEAR = 0.02  # of the threshold
_MARKS = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98)  # of the table of thresholds
_CARD_LENGTH = 20_000
Summary = Mapping[str, Any]
Examples = Mapping[str, Sequence[Example]]


def score_page(summary: Summary, examples: Examples, card: str = "") -> Page:
    """The page of a run of ``pipelines.score``.

    Args:
        summary: what ``summary.json`` holds.
        examples: rows to show, by kind, as ``merge_examples`` gives them; none is fine.
        card: the model card, Markdown; shown as it is.
    """
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    rate = summary["pairs_per_second"]
    figures = [
        ("rows read", f"{read:,}", _files(summary["input"]["files"])),
        ("scored", f"{scored:,}", share(scored, read)),
        ("rejected", f"{rejected:,}", share(rejected, read)),
    ]
    if summary["matches"] is not None:
        matches, threshold = summary["matches"], summary["settings"]["threshold"]
        figures.append(
            (f"score {threshold} or more", f"{matches:,}", f"{share(matches, scored)} of the scored")
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
            _tokens(summary, examples),
            _time(summary),
            made_of(summary, card),
        ],
        foot=f"Written by beam_sts {summary['versions']['beam_sts']}. This page loads nothing and runs no "
        "script; "
        "it shows some of the input's texts: share it as you would share them.",
    )


def _verdict(summary: Summary) -> str:
    read, scored = summary["rows_read"], summary["rows_scored"]
    if not read:
        return "The input has no rows."
    if scored == read:
        return f"All {read:,} rows were scored." if read > 1 else "The one row was scored."
    if not scored:
        return f"None of the {read:,} rows could be scored."
    return f"{scored:,} of {read:,} rows were scored; the others are in rejected/, each with its reason."


def notes(summary: Summary) -> list[Note]:
    """What needs a look, the worst first."""
    found = []
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    if rejected:
        reason, count = max(summary["rejected_reasons"].items(), key=lambda item: item[1])
        found.append(
            Note(
                f"{rejected:,} rows ({share(rejected, read)}) were rejected, {count:,} for: {reason}.", "rows"
            )
        )
    if summary["unknown"]:
        found.append(
            Note(
                f"{summary['unknown']:,} pairs ({share(summary['unknown'], scored)}) are mostly words "
                "that the "
                "model does not know: their scores mean little.",
                "tokens",
            )
        )
    if summary["truncated"]:
        found.append(
            Note(
                f"{summary['truncated']:,} pairs ({share(summary['truncated'], scored)}) were longer than "
                "the "
                "model takes and lost their ends.",
                "tokens",
            )
        )
    threshold = summary["settings"]["threshold"]
    if threshold is not None and scored:
        if summary["matches"] in (0, scored):
            some = "No pair scores" if not summary["matches"] else "Every pair scores"
            found.append(Note(f"{some} {threshold} or more: the threshold parts nothing.", "threshold"))
        near = _near(summary, threshold)
        if near > 0.05 * scored:
            found.append(
                Note(
                    f"{share(near, scored)} of the pairs score within {_NEAR} of the threshold: a small "
                    "change "
                    "of it moves many of them.",
                    "threshold",
                )
            )
    return found


def _rows(summary: Summary, examples: Examples) -> Section:
    read, scored, rejected = (summary[f"rows_{kind}"] for kind in ("read", "scored", "rejected"))
    reused = summary["pairs_reused"]
    steps = [
        Step("read", read, "soft"),
        Step("rejected", rejected, "bad", "in rejected/, each with its reason" if rejected else ""),
        Step("scored", scored, "good"),
        Step("reused", reused, "soft", "scored rows that took an equal pair's score" if reused else ""),
    ]
    if summary["matches"] is not None:
        steps.append(
            Step("matches", summary["matches"], "good", f"score {summary['settings']['threshold']} or more")
        )
    body = funnel(steps)
    if summary["shards_skipped"]:
        body += Markup("<p>{} of {} shards were there from an earlier run.</p>").format(
            summary["shards_skipped"], summary["shards"]
        )
    body += rejections(summary, examples)
    return Section(
        "rows",
        "Did it work?",
        body,
        shows="what became of every row that was read.",
        read="rejected and scored rows add up to the rows read. A reused row has the same two texts as "
        "another: it "
        "cost nothing.",
        act="mend the rejected rows at their source, or leave them out knowingly; they are in rejected/ "
        "with file, "
        "row and reason."
        if rejected
        else "nothing: no row was lost.",
    )


def rejections(summary: Summary, examples: Examples) -> Markup:
    """Reasons and examples of rejected rows; nothing where there are none."""
    reasons = sorted(summary["rejected_reasons"].items(), key=lambda item: -item[1])
    if not reasons:
        return Markup("")
    rows = [(shorten(reason), count, share(count, summary["rows_read"])) for reason, count in reasons[:20]]
    body = Markup("<h3>Why rows were rejected</h3>")
    body += table(("reason", "rows", "of all"), rows, label="Reasons of rejection")
    if len(reasons) > 20:
        body += Markup("<p>{:,} more reasons are in summary.json.</p>").format(len(reasons) - 20)
    if examples.get("rejected"):
        body += pairs(examples["rejected"][:30], label="Rejected rows", differences=False, first=3)
    return body


def score_bars(
    histogram: Mapping[str, int], threshold: float | None, unit: str, *, logits: bool = False
) -> Markup:
    """The histogram of ``score_histogram``, with the threshold."""
    border = None if threshold is None else _unit(threshold, logits)
    counts = [0] * _BARS
    for place, count in histogram.items():
        counts[int(place) * _BARS // BINS] += count
    drawn = [
        Bar(
            at / _BARS,
            (at + 1) / _BARS,
            count,
            f"{at / _BARS:.2f} to {(at + 1) / _BARS:.2f}: {count:,} pairs",
            "soft" if border is not None and (at + 1) / _BARS <= border else "good",
        )
        for at, count in enumerate(counts)
    ]
    most = max(range(_BARS), key=counts.__getitem__) / _BARS
    return bars(
        drawn,
        label=f"Histogram of {sum(counts):,} scores. Most lie between {most:.2f} and {most + 1 / _BARS:.2f}.",
        unit=unit,
        axis="sigmoid of the score" if logits else "score",
        ticks=[(tenth / 10, f"{tenth / 10:.1f}") for tenth in range(0, 11, 2)],
        mark=None if border is None else (min(max(border, 0.0), 1.0), f"threshold {threshold}"),
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
    shown = [example for tenth in range(9, -1, -1) for example in examples.get(f"tenth-{tenth}", ())]
    if shown:
        body += Markup("<h3>A pair from every tenth of the scale</h3>") + pairs(
            shown, label="Pairs from high to low scores"
        )
    return Section(
        "scores",
        "What did it find?",
        body,
        shows="how many pairs have which score, and one pair from each tenth of the scale, the first in "
        "the input. "
        "Words that only one of the two texts has are marked.",
        read="1 is the same meaning, 0 is nothing in common. Two heaps with a valley between them part "
        "easily; one "
        "broad heap does not.",
        act="read the pairs from the top down, and note where they stop being what you look for: near "
        "there belongs "
        "the threshold.",
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
        rows.append((f"{threshold} (yours)", summary["matches"], _unit(threshold, logits)))
        rows.sort(key=lambda row: row[2])
    body = table(
        ("threshold", "pairs at or above", "of the scored"),
        [(name, count, share(count, scored)) for name, count, _ in rows],
        label="Matches by threshold",
    )
    for kind, title in (("above", "The nearest pairs above"), ("below", "The nearest pairs below")):
        if examples.get(kind):
            body += Markup("<h3>{}</h3>").format(title) + pairs(examples[kind], label=title)
    if threshold is None:
        act = (
            "choose a threshold where the examples above stop being matches, and run again with "
            "--threshold and "
            "another output folder."
        )
    else:
        act = (
            "if the pairs just below are matches too, lower the threshold; if those just above are not, "
            "raise it. "
            "Label some fifty pairs near it before you delete anything by it."
        )
    return Section(
        "threshold",
        "Can the threshold be trusted?" if threshold is not None else "Which threshold?",
        body,
        shows="how many pairs each threshold would keep"
        + (", and the pairs nearest to yours." if examples.get("above") or examples.get("below") else "."),
        read="where neighbouring rows of the table differ little, a small error of the threshold does "
        "little harm. The "
        "counts are exact to 0.001 of a score.",
        act=act,
    )


def _tokens(summary: Summary, examples: Examples) -> Section:
    lengths = {int(bound): count for bound, count in summary["length_histogram"].items()}
    real, padded = summary["real_tokens"], summary["padded_tokens"]
    body = Markup("")
    if lengths:
        bounds = length_bins(min(lengths), max(lengths))
        size = 1 / len(bounds)
        drawn = [
            Bar(at * size, (at + 1) * size, lengths.get(bound, 0), _length_name(bound, lengths.get(bound, 0)))
            for at, bound in enumerate(bounds)
        ]
        every = max(1, math.ceil(len(bounds) / 9))
        most = max(lengths, key=lengths.__getitem__)
        body += bars(
            drawn,
            label=f"Histogram of the pairs' lengths. Most have {_length_range(most)} tokens; the longest "
            "are in the "
            f"bin up to {max(lengths):,}.",
            unit="pairs",
            axis="tokens of a pair, up to",
            ticks=[((at + 0.5) * size, f"{bound:,}") for at, bound in enumerate(bounds) if at % every == 0],
        )
    if padded:
        waste = padded - real
        body += parts(
            [
                ("texts", real, "good", f"{real:,} tokens ({share(real, padded)})"),
                ("padding", waste, "soft", f"{waste:,} ({share(waste, padded)})"),
            ],
            label=f"Of {padded:,} tokens computed, {share(waste, padded)} are padding.",
        )
    limit = summary["model"]["max_length"]
    body += facts(
        {
            "the model takes, tokens a pair": limit,
            "truncated pairs": summary["truncated"],
            "pairs scored by windows": summary["windowed"],
            "pairs of mostly unknown words": summary["unknown"],
        }
    )
    titles = {
        "truncated": "Truncated pairs (only their beginnings are shown)",
        "windowed": "Pairs scored by windows (only their beginnings are shown)",
        "unknown": "Pairs of mostly unknown words",
    }
    for kind, title in titles.items():
        if examples.get(kind):
            body += Markup("<h3>{}</h3>").format(title) + pairs(
                examples[kind], label=title, differences=False, first=2
            )
    advice = []
    if summary["truncated"]:
        advice.append(
            "where the ends of long texts matter, run with --long_text windows, or take a model with a "
            "longer context"
        )
    if summary["unknown"]:
        advice.append(
            "bring a model that knows the language of the pairs with unknown words, and do not filter by them"
        )
    if padded > 1.15 * real:
        advice.append("fewer and larger shards (--rows_per_shard) let lengths be sorted better and pad less")
    return Section(
        "tokens",
        "How long were the texts?",
        body,
        shows="how many tokens the pairs have as the model was given them, and how much of its work was "
        "padding.",
        read="time grows with the tokens: the right of the chart costs the most. Padding up to 6% is usual.",
        act="; ".join(advice) + "." if advice else "nothing: no text was cut and little was padded.",
    )


def _time(summary: Summary) -> Section:
    seconds, timeline = summary["seconds"], summary["timeline"]
    body = Markup("")
    if timeline:
        rates = [rows / timeline["seconds"] for rows in timeline["rows"]]
        total = timeline["seconds"] * len(rates)
        body += area(
            rates,
            label=f"Throughput over {duration(total)}: from {min(rates):,.0f} to {max(rates):,.0f} pairs "
            "a second.",
            unit="pairs per second",
            axis="time since the first shard was begun",
            ticks=[(quarter / 4, duration(total * quarter / 4)) for quarter in range(5)],
        )
    work = [
        ("read", seconds["read_in_workers"], "soft", duration(seconds["read_in_workers"])),
        ("score", seconds["score_in_workers"], "good", duration(seconds["score_in_workers"])),
        ("write", seconds["write_in_workers"], "warn", duration(seconds["write_in_workers"])),
    ]
    body += Markup("<h3>Where the workers' time went, all processes together</h3>")
    body += parts(work, label=", ".join(f"{name} {words}" for name, _, _, words in work))
    body += facts(
        {
            "planning": duration(seconds["plan"]),
            "run, by the clock": duration(seconds["run"]),
            "started": _moment(summary["started"]),
            "shards made by this run": summary["shards"] - summary["shards_skipped"],
        }
    )
    return Section(
        "time",
        "What did it cost?",
        body,
        shows="pairs scored per second while this run worked, and what the workers spent their time on.",
        read="each shard's rows are spread over the time it took, so short runs look flat. A fall at the "
        "end is the "
        "last worker finishing alone.",
        act=_time_advice(seconds),
    )


def _time_advice(seconds: Mapping[str, float]) -> str:
    parts = {name: seconds[f"{name}_in_workers"] for name in ("read", "score", "write")}
    whole = sum(parts.values())
    if whole and parts["read"] > 0.3 * whole:
        return "reading takes much of the time: Parquet instead of compressed JSON Lines or CSV reads faster."
    if whole and parts["write"] > 0.3 * whole:
        return "writing takes much of the time: fewer and larger shards (--rows_per_shard) write faster."
    return (
        "to go faster: more processes (--direct_running_mode=multi_processing), --precision bf16 where "
        "the processor "
        "has it, a smaller model, or a cluster."
    )


def made_of(summary: Summary, card: str = "") -> Section:
    """Settings, model, versions and fingerprint: the same section for every pipeline."""
    model, source = summary["model"], summary["input"]
    body = Markup("<h3>Settings</h3>") + facts(summary["settings"])
    body += Markup("<h3>Model</h3>") + facts(
        {
            "name": model["name"],
            "architecture": model.get("architecture"),
            "parameters": model.get("parameters"),
            "tokens of a pair": model.get("max_length"),
            "STS Benchmark test, Pearson": model.get("pearson"),
            "STS Benchmark test, Spearman": model.get("spearman"),
            "licence": model.get("licence"),
        }
    )
    if card:
        shown = card if len(card) <= _CARD_LENGTH else card[:_CARD_LENGTH] + "\n…"
        body += fold("Model card", text(shown))
    files = [(file["path"], file["size"]) for file in source["first"]]
    body += Markup("<h3>Input</h3>") + table(("file", "bytes"), files, label="Input files")
    if source["files"] > len(files):
        body += Markup("<p>and {:,} more files; {:,} bytes in all.</p>").format(
            source["files"] - len(files), source["bytes"]
        )
    body += Markup("<h3>Versions and fingerprint</h3>") + facts(summary["versions"])
    body += facts(
        {"model's files, SHA-256": model["sha256"], "input, model, settings": summary["fingerprint"]}
    )
    return Section(
        "made-of",
        "What made it?",
        body,
        shows="everything the result depends on.",
        read="two runs with the same fingerprint give the same scores, byte for byte on one machine.",
        act="keep this page with the data.",
    )


def at_least(summary: Summary, unit: float) -> int:
    """Scores in the bins from ``unit`` (0 to 1) up."""
    first = math.ceil(round(unit * BINS, 6))
    return sum(count for place, count in summary["score_histogram"].items() if int(place) >= first)


def _near(summary: Summary, threshold: float) -> int:
    border = _unit(threshold, summary["settings"]["raw_logits"])
    return at_least(summary, border - _NEAR) - at_least(summary, border + _NEAR)


def _unit(score: float, logits: bool) -> float:
    return 1 / (1 + math.exp(-score)) if logits else score


def length_bins(first: int, last: int) -> list[int]:
    """The bounds of ``LENGTH_BOUNDS`` from one to another, both included.

    >>> length_bins(12, 32)
    [12, 16, 24, 32]
    """
    return [bound for bound in LENGTH_BOUNDS if first <= bound <= last]


def _length_range(bound: int) -> str:
    at = LENGTH_BOUNDS.index(bound)
    return f"{LENGTH_BOUNDS[at - 1] + 1 if at else 1:,} to {bound:,}"


def _length_name(bound: int, count: int) -> str:
    return f"{_length_range(bound)} tokens: {count:,} pairs"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
