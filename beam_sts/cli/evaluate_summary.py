"""The output of ``beam-sts evaluate``: lines for the terminal, and the data of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from beam_sts.cli.describe import describe_input, describe_model, digest, shown_versions
from beam_sts.cli.evaluate_job import EvaluateJob
from beam_sts.evaluation.agreement import by_tenth, scatter_counts
from beam_sts.evaluation.comparison import Comparison
from beam_sts.evaluation.entries import Entries
from beam_sts.evaluation.means import GroupMean
from beam_sts.evaluation.result import Evaluation, first_few
from beam_sts.examples import shorten
from beam_sts.io.summary import score_histogram, throughput
from beam_sts.plurals import plural
from beam_sts.scoring.counts import TokenCounts

GROUPS_SHOWN = 40
_NAMED = ("groups", "comparisons", "agreement", "gates", "baseline", "missing", "lost")
_FILES = ("json", "plot", "report", "junit", "markdown", "sheet", "calibration", "output")


def result_lines(found: Evaluation) -> list[str]:
    """The result as lines for the terminal."""
    order = ", mean of both orders" if found.symmetric else ""
    against = f" against {found.gold}" if found.gold else ""
    scored, rejected = f"{found.rows_scored:,} scored", f"{found.rows_rejected:,} rejected"
    lines = [
        f"{found.model} on {found.input}",
        f"columns   {found.text_a}, {found.text_b}{against}{order}",
        f"rows      {found.rows_read:,} read: {scored}, {rejected}",
        *(_safe(line) for line in first_few(found.rejected)),
    ]
    if found.calibration:
        lines.append(f"scale     {found.calibration['said']}")
    if found.pearson is not None and found.spearman is not None:
        lines += [f"Pearson   {found.pearson:.4f}", f"Spearman  {found.spearman:.4f}"]
    lines.append(f"mean      {_interval(found.mean)}")
    if found.groups:
        lines += _by_group(found)
    for one in found.comparisons[:GROUPS_SHOWN]:
        lines += _compared(one)
    lines += [
        f"gate      {'passed' if gate.passed else 'FAILED'}: {gate.gate}: {_safe(gate.group)}: {gate.message}"
        for gate in found.gates[:GROUPS_SHOWN]
    ]
    speed = f"{found.pairs_per_second:,.0f} pairs/s ({found.seconds:.2f} s; loading not counted)"
    return [*lines, f"speed     {speed}"]


def written(args: Any) -> list[str]:
    """The files of the result, or how to see more of it."""
    files = [f"{name:<9} {path}" for name in _FILES if (path := getattr(args, name))]
    return files or [f"{'next':<10}the same command with --report report.html shows the answers"]


def _by_group(found: Evaluation) -> list[str]:
    groups, correlations = found.groups, {one.group: one for one in found.agreement}
    if found.gold and not found.comparisons:  # groups of a gold set, such as genres, are not ranked
        groups = sorted(groups, key=lambda each: each.group)
    shown = groups[:GROUPS_SHOWN]
    name = found.group or ""
    wide = max(len(name), *(len(_safe(each.group)) for each in shown))
    lines = [f"{name:<{wide}}  {'pairs':>9}  mean"]
    for each in shown:
        line = f"{_safe(each.group):<{wide}}  {each.count:>9,}  {_interval(each)}, median {each.median:.4f}"
        known = correlations.get(each.group)
        if known and known.pearson is not None:
            line += f", Pearson {known.pearson:.4f}"
        absent = found.missing.get(each.group, 0)
        lines.append(line + (f", {plural(absent, 'question')} not answered" if absent else ""))
    more = len(found.groups) - GROUPS_SHOWN
    return [*lines, f"and {plural(more, 'more group')}: --json has them"] if more > 0 else lines


def _compared(one: Comparison) -> list[str]:
    name = f"{_safe(one.group)} against {_safe(one.baseline)}"
    if one.difference is None:
        return [f"{name}: {one.note}"]
    lines = [f"{name}: {one.difference:+.4f}"]
    if one.low is not None and one.high is not None and one.p_holm is not None:
        lines[0] += f" (95% confidence {one.low:+.4f} to {one.high:+.4f}), p {one.p_holm:.2g}: {one.verdict}"
    counts = f"{plural(one.n, 'question')}: {one.wins:,} won, {one.ties:,} tied, {one.losses:,} lost"
    if one.missing or one.extra:
        counts += f"; left out: {one.missing:,} of {one.baseline} alone, {one.extra:,} of {one.group} alone"
    lines.append(f"          {_safe(counts)}")
    if one.detectable is not None:
        boot = "" if one.bootstrap_low is None else f"{one.bootstrap_low:+.4f} to {one.bootstrap_high:+.4f}"
        lines.append(
            f"          bootstrap {boot or 'left out'}; effect {one.effect_size:+.2f}; "
            f"a true difference of {one.detectable:.4f} is found 8 times in 10"
        )
    return [*lines, f"          note: {one.note}"] if one.note else lines


def _safe(text: str) -> str:
    """A text of the input, without characters that control a terminal."""
    return shorten(text) or ""


def _interval(mean: GroupMean) -> str:
    spread = "" if mean.low is None else f" (95% confidence {mean.low:.4f} to {mean.high:.4f})"
    return f"{mean.mean:.4f}{spread}"


def page_summary(
    job: EvaluateJob, found: Evaluation, entries: Entries, records: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The result in the form of the other commands' summaries, with the data of its charts."""
    scores = entries.score
    logits = job.settings.calibration is None and bool(scores.min() < 0 or scores.max() > 1)
    total = TokenCounts.total(TokenCounts.read(record, some=True) for record in records).dump()
    lengths = total.pop("lengths")
    gold = bool(job.settings.gold)
    low, high = job.settings.calibration.scale if job.settings.calibration else (0.0, 1.0)
    unit = ((scores - low) / (high - low)).astype(np.float32)
    return {
        **asdict(found),
        **{name: _shown(value) for name, value in asdict(found).items() if name in _NAMED},
        "logits": logits,
        "scale": [low, high],
        "score_histogram": score_histogram(unit, logits=logits),
        "scatter": scatter_counts(scores, entries.gold) if gold else None,
        "tenths": [asdict(each) for each in by_tenth(scores, entries.gold)]
        if gold and not logits and not job.settings.calibration
        else [],
        **total,
        "length_histogram": lengths,
        "timeline": throughput(
            (one["done_at"] - one["seconds"], one["done_at"], one["pairs"]) for one in records
        ),
        "input": describe_input(job.pattern, job.plan.files),
        "model": describe_model(job.checkpoint),
        "settings": job.fingerprint["settings"],
        "fingerprint": digest(job.fingerprint),
        "versions": shown_versions("torch", "pyarrow", "python"),
    }


def _shown(value: Any) -> Any:
    """A part of the result, with its texts shortened for the report."""
    if isinstance(value, dict):
        return {_shown(name): _shown(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return shorten(value) if isinstance(value, str) else value
