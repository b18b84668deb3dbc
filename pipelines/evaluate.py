"""Measure: how a model's scores agree with gold scores, or how alike answers and references are, by group.

python -m pipelines.evaluate --input gold.parquet --score gold
python -m pipelines.evaluate --input answers.jsonl --text_a answer --text_b reference --group system
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

import beam_sts
from beam_sts import PairScorer, UserError
from beam_sts.evaluation import (
    GroupMean,
    UndefinedCorrelationError,
    agreement,
    by_tenth,
    check_varies,
    group_means,
    plot,
    require_matplotlib,
    scatter_counts,
)
from beam_sts.io.files import is_local, publish
from beam_sts.io.summary import Pace, length_histogram, score_histogram
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.report import render
from beam_sts.report.evaluate import evaluate_page
from beam_sts.report.examples import Example, choose_rows, reason_kind, shorten
from beam_sts.scoring.scorer import ScoreStats
from pipelines.checks import check_at_least
from pipelines.cli import Parser
from pipelines.console import Console, add_console_options, console_of, guarded, progress
from pipelines.describe import (
    add_report_options,
    check_report_options,
    describe_input,
    describe_model,
    digest,
)
from pipelines.formats import add_read_options, add_storage_options, read_options
from pipelines.gold import ROWS_AT_ONCE, Pairs, RejectedRow, read_pairs
from pipelines.scoring import add_scoring_options, check_device, scorer_options, trust

REJECTED_SHOWN = 5
GROUPS_SHOWN = 40
_SETTINGS = (
    *("text_a", "text_b", "score", "group", "symmetric", "precision", "long_text"),
    *("delimiter", "quotes", "encoding"),
)
_COUNTS = ("real_tokens", "padded_tokens", "truncated", "windowed", "unknown")


@dataclass(frozen=True)
class Evaluation:
    """The result, as ``--json`` writes it; ``rows_read`` is ``rows_scored`` + ``rows_rejected``."""

    model: str
    input: str
    text_a: str
    text_b: str
    gold: str | None
    group: str | None
    symmetric: bool
    rows_read: int
    rows_scored: int
    rows_rejected: int
    pearson: float | None
    spearman: float | None
    mean: GroupMean
    groups: list[GroupMean]
    seconds: float
    pairs_per_second: float
    rejected: list[RejectedRow]

    def lines(self) -> list[str]:
        """The result for people."""
        order = ", mean of both orders" if self.symmetric else ""
        against = f" against {self.gold}" if self.gold else ""
        scored, rejected = f"{self.rows_scored:,} scored", f"{self.rows_rejected:,} rejected"
        lines = [
            f"{self.model} on {self.input}",
            f"columns   {self.text_a}, {self.text_b}{against}{order}",
            f"rows      {self.rows_read:,} read: {scored}, {rejected}",
            *_first_few(self.rejected),
        ]
        if self.pearson is not None and self.spearman is not None:
            lines += [f"Pearson   {self.pearson:.4f}", f"Spearman  {self.spearman:.4f}"]
        lines += [f"mean      {_interval(self.mean)}", *_by_group(self.group, self.groups)]
        speed = f"{self.pairs_per_second:,.0f} pairs/s ({self.seconds:.2f} s; loading not counted)"
        return [*lines, f"speed     {speed}"]


def _written(args: argparse.Namespace) -> list[str]:
    """Where the result is, and what to do next."""
    files = [f"{name:<10}{path}" for name in ("json", "plot", "report") if (path := getattr(args, name))]
    return files or [
        f"{'next':<10}the same command with --report report.html shows the pairs behind the figures"
    ]


def _interval(mean: GroupMean) -> str:
    spread = "" if mean.low is None else f" (95% confidence {mean.low:.4f} to {mean.high:.4f})"
    return f"{mean.mean:.4f}{spread}"


def _by_group(name: str | None, groups: Sequence[GroupMean]) -> list[str]:
    if name is None:
        return []
    wide = max(len(name), *(len(each.group) for each in groups[:GROUPS_SHOWN]))
    lines = [f"{name:<{wide}}  {'pairs':>9}  mean"]
    lines += [
        f"{each.group:<{wide}}  {each.count:>9,}  {_interval(each)}, median {each.median:.4f}"
        for each in groups[:GROUPS_SHOWN]
    ]
    more = len(groups) - GROUPS_SHOWN
    return [*lines, f"and {more:,} more groups: --json has them"] if more > 0 else lines


def _first_few(rejected: Sequence[RejectedRow]) -> list[str]:
    lines = [f"          {each.file}, row {each.row}: {each.reason}" for each in rejected[:REJECTED_SHOWN]]
    more = len(rejected) - REJECTED_SHOWN
    return [*lines, f"          and {more:,} more"] if more > 0 else lines


@dataclass
class Work:
    """What scoring took, for the report."""

    stats: ScoreStats = field(default_factory=ScoreStats)
    tokens: list[NDArray[np.int64]] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    seconds: float = 0.0


def score(
    scorer: PairScorer, pairs: Pairs, symmetric: bool, console: Console
) -> tuple[NDArray[np.float32], Work]:
    """Score all pairs; gives the scores and what they took.

    Raises:
        UserError: the model fails on a pair.
    """
    parts, work = [], Work()
    start = time.perf_counter()
    total = len(pairs.gold)

    def where() -> str:
        return pairs.where(min(work.pace.done, total - 1)).rpartition("/")[2]

    with progress(total, lambda: work.pace.done, "pairs", where=where, console=console):
        for begin in range(0, total, ROWS_AT_ONCE):
            some = slice(begin, begin + ROWS_AT_ONCE)
            result = scorer.run(pairs.text_a[some], pairs.text_b[some], symmetric=symmetric)
            for index, why in result.failures.items():
                texts = pairs.text_a[begin + index].as_py(), pairs.text_b[begin + index].as_py()
                raise UserError(
                    f"{pairs.where(begin + index)}: the model fails on the pair {str(texts)[:200]}: {why}"
                )
            parts.append(result.scores)
            work.stats += result.stats
            work.tokens.append(result.tokens)
            work.pace.add(len(result.scores))
    work.seconds = time.perf_counter() - start
    return np.concatenate(parts), work


def evaluate(args: argparse.Namespace) -> Evaluation:
    """Read, score, compare, and write what was asked for.

    Raises:
        UserError: an option or the input is wrong, or the correlation is undefined.
    """
    if args.plot:
        if not args.score:
            raise UserError("--plot: draws the score against a gold score; name its column with --score.")
        try:
            require_matplotlib()
        except ImportError as error:
            raise UserError(f"--plot: {error}") from error
    check_report_options(args)
    check_at_least(args, threads=1)
    check_device(args.device)
    for flag, path in (("--json", args.json), ("--plot", args.plot), ("--report", args.report)):
        if path:
            _check_writable(flag, path)
    pairs = read_pairs(args.input, args.text_a, args.text_b, args.score, args.group, read_options(args))
    if not len(pairs.gold):
        raise UserError(f"{args.input}: no row can be used.", *_first_few(pairs.rejected))
    numbers = None
    try:
        if args.score:
            check_varies(pairs.gold, f"gold scores in column {args.score!r}")
        checkpoint = load_checkpoint(args.model, **trust(args))
        scorer = PairScorer(checkpoint, **scorer_options(args))
        scores, work = score(scorer, pairs, args.symmetric, console_of(args))
        if args.score:
            numbers = agreement(scores, pairs.gold)
    except UndefinedCorrelationError as error:
        raise UserError(
            f"{args.input}: {error}; {len(pairs.rejected):,} rows rejected.", *_first_few(pairs.rejected)
        ) from error
    (mean,) = group_means(scores, ["all"] * len(scores))
    evaluation = Evaluation(
        model=args.model,
        input=args.input,
        text_a=pairs.text_columns[0],
        text_b=pairs.text_columns[1],
        gold=args.score,
        group=args.group,
        symmetric=args.symmetric,
        rows_read=len(scores) + len(pairs.rejected),
        rows_scored=len(scores),
        rows_rejected=len(pairs.rejected),
        pearson=numbers.pearson if numbers else None,
        spearman=numbers.spearman if numbers else None,
        mean=mean,
        groups=group_means(scores, pairs.groups) if args.group else [],
        seconds=work.seconds,
        pairs_per_second=len(scores) / work.seconds,
        rejected=pairs.rejected,
    )
    if args.json:
        publish(args.json, (json.dumps(asdict(evaluation), indent=2, ensure_ascii=False) + "\n").encode())
    if args.report:
        summary = report_summary(args, evaluation, pairs, scores, checkpoint, work)
        examples = report_examples(pairs, scores, args)
        publish(args.report, render(evaluate_page(summary, examples, checkpoint.card)).encode())
    if args.plot:
        image = io.BytesIO()
        plot(image, scores, pairs.gold, model=args.model, gold_name=args.score, source=args.input)
        publish(args.plot, image.getvalue())
    return evaluation


def report_summary(
    args: argparse.Namespace,
    evaluation: Evaluation,
    pairs: Pairs,
    scores: NDArray[np.float32],
    checkpoint: Checkpoint,
    work: Work,
) -> dict[str, Any]:
    """The result in the shape of the other pipelines' summaries, with what its charts are drawn from."""
    logits = bool(len(scores) and (scores.min() < 0 or scores.max() > 1))
    settings = {name: value for name, value in vars(args).items() if name in _SETTINGS}
    fingerprint = {
        "pipeline": "evaluate",
        "input": [[file.path, file.size, file.identity] for file in pairs.plan.files],
        "model": checkpoint.fingerprint,
        "settings": settings,
    }
    return {
        **asdict(evaluation),
        "rejected_reasons": dict(Counter(reason_kind(each.reason) for each in pairs.rejected)),
        "logits": logits,
        "score_histogram": score_histogram(scores, logits=logits),
        "scatter": scatter_counts(scores, pairs.gold) if args.score else None,
        "tenths": [asdict(each) for each in by_tenth(scores, pairs.gold)]
        if args.score and not logits
        else [],
        **{name: getattr(work.stats, name) for name in _COUNTS},
        "length_histogram": length_histogram(np.concatenate(work.tokens)),
        "timeline": work.pace.timeline(),
        "input": describe_input(args.input, pairs.plan.files),
        "model": describe_model(checkpoint),
        "settings": settings,
        "fingerprint": digest(fingerprint),
        "versions": {
            "beam_sts": beam_sts.__version__,
            "torch": torch.__version__,
            "pyarrow": pa.__version__,
            "python": sys.version.split()[0],
        },
    }


def report_examples(
    pairs: Pairs, scores: NDArray[np.float32], args: argparse.Namespace
) -> dict[str, list[Example]]:
    """Pairs to show: with a gold score, those where model and people disagree most; else from low to high."""
    each = args.report_examples
    if not each:
        return {}
    if args.score:
        slope, intercept = np.polyfit(pairs.gold, scores, 1)
        above = scores - (slope * pairs.gold + intercept)
        order = np.argsort(above, kind="stable")
        lower, higher = order[above[order] < 0], order[above[order] > 0]
        chosen = {"lower": lower[:each].tolist(), "higher": higher[::-1][:each].tolist()}
    else:
        chosen = choose_rows(scores, {}, threshold=None, each=each)
        chosen["lowest"] = np.argsort(scores, kind="stable")[:each].tolist()
    found: dict[str, list[Example]] = {
        kind: [
            {
                "where": pairs.where(row)
                + (f"; {args.group} {shorten(pairs.groups[row])}" if args.group else "")
                + (f"; {args.score} {pairs.gold[row]:g}" if args.score else ""),
                "text_a": shorten(pairs.text_a[row].as_py()),
                "text_b": shorten(pairs.text_b[row].as_py()),
                "score": float(scores[row]),
            }
            for row in rows
        ]
        for kind, rows in chosen.items()
    }
    kinds = Counter[str]()
    for bad in pairs.rejected:
        kinds[reason_kind(bad.reason)] += 1
        if kinds[reason_kind(bad.reason)] <= each:
            found.setdefault("rejected", []).append(
                {"file": bad.file, "row": bad.row, "reason": shorten(bad.reason), "line": ""}
            )
    return found


def _check_writable(flag: str, path: str) -> None:
    """Fail before the long work, where that can be known: on the local file system."""
    if not is_local(path):
        return
    file = Path(path.removeprefix("file://")).absolute()
    if file.is_dir():
        raise UserError(f"{flag} {path}: is a folder; name a file.")
    existing = next(parent for parent in file.parents if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError(f"{flag} {path}: cannot be written below {existing}.")


EXAMPLES = (
    "--input gold.parquet --score gold --plot scatter.png --json metrics.json",
    "--input answers.jsonl --text_a answer --text_b reference --group system",
)


def parser() -> Parser:
    """The command's options."""
    options = Parser("evaluate", __doc__, EXAMPLES, beam=False)
    data = options.add_argument_group("input and output")
    data.add_argument(
        "--input",
        required=True,
        metavar="PATTERN",
        help="file, folder, pattern or fsspec URL of the formats that score reads",
    )
    data.add_argument("--text_a", metavar="COL", help="column of the first text (default: recognised)")
    data.add_argument("--text_b", metavar="COL", help="column of the second text")
    data.add_argument(
        "--score", metavar="COL", help="column of gold scores, any scale: adds the correlations"
    )
    data.add_argument(
        "--group",
        metavar="COL",
        help="column to group by: adds each group's mean, with its confidence interval",
    )
    data.add_argument("--json", metavar="FILE", help="also write the result as JSON")
    data.add_argument(
        "--plot", metavar="FILE", help="also write a scatter plot as PNG (needs --score and the extra 'plot')"
    )
    data.add_argument("--report", metavar="FILE", help="also write the result as one page to look at: HTML")
    add_report_options(data)
    add_read_options(data)
    add_storage_options(data)
    add_scoring_options(options.add_argument_group("scoring"), options.add_argument_group("machine"))
    add_console_options(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parser().parse(argv)
    console = console_of(args)

    def run() -> int:
        evaluation = evaluate(args)
        console.show([*evaluation.lines(), *_written(args)], asdict(evaluation))
        return 0

    return guarded(run, stays="The files asked for are written at the end", console=console)


if __name__ == "__main__":
    sys.exit(main())
