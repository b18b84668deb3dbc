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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from beam_sts import PairScorer, UserError
from beam_sts.evaluation import (
    GroupMean,
    UndefinedCorrelationError,
    agreement,
    check_varies,
    group_means,
    plot,
    require_matplotlib,
)
from beam_sts.io.files import is_local, publish
from beam_sts.io.schema import field_at
from beam_sts.io.slices import SliceData, plan_input, read_slices
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.transforms.columns import choose_columns, is_text, sift, text_arrays
from pipelines.cli import Parser, add_console_options, console_of, guarded
from pipelines.formats import add_storage_options

ROWS_AT_ONCE = 8192
REJECTED_SHOWN = 5
GROUPS_SHOWN = 40


@dataclass(frozen=True)
class RejectedRow:
    """A row without two texts or a gold number; rows count from 0 within their file."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class Pairs:
    """The usable rows of an input, in its order, and those that are not.

    ``gold`` is NaN, and ``groups`` has empty names, where the input was not asked for them.
    """

    text_columns: tuple[str, str]
    text_a: pa.ChunkedArray
    text_b: pa.ChunkedArray
    gold: NDArray[np.float64]
    groups: list[str]
    rejected: list[RejectedRow]


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

    def __str__(self) -> str:
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
        return "\n".join([*lines, f"speed     {speed}"])


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


def read_pairs(
    pattern: str, text_a: str | None, text_b: str | None, gold: str | None, group: str | None
) -> Pairs:
    """Read an input whole and part its rows into usable and rejected.

    Raises:
        UserError: no file, no such column, or a column of the wrong kind.
    """
    plan = plan_input(pattern, ROWS_AT_ONCE)
    columns = choose_columns(plan.schema, text_a, text_b)
    _check_columns(plan.schema, columns, gold, group)
    texts: tuple[list[pa.Array], list[pa.Array]] = ([], [])
    golds: list[NDArray[np.float64]] = [np.empty(0)]
    groups: list[str] = []
    rejected: list[RejectedRow] = []
    for unit in plan.units:
        for part in read_slices(unit, plan.schema, columns):
            values = np.zeros(len(part.table))
            if gold:
                values = np.asarray(pc.fill_null(part.table.column(gold).cast(pa.float64()), np.nan))
            reasons = _reasons(part, columns, values, gold)
            usable = np.setdiff1d(np.arange(len(part.table)), list(reasons))
            for side, column in zip(texts, text_arrays(part.table, columns, usable), strict=True):
                side.extend(column.chunks)
            golds.append(values[usable])
            names = (
                part.table.column(group).take(pa.array(usable)).to_pylist() if group else [""] * len(usable)
            )
            groups += map(str, names)
            found = [RejectedRow(part.slice.path, part.rows[index], why) for index, why in reasons.items()]
            found += [RejectedRow(part.slice.path, bad.row, bad.reason) for bad in part.bad]
            rejected += sorted(found, key=lambda each: each.row)
    first, second = (pa.chunked_array(side, pa.large_string()) for side in texts)
    return Pairs(columns, first, second, np.concatenate(golds), groups, rejected)


def _check_columns(schema: pa.Schema, columns: tuple[str, str], gold: str | None, group: str | None) -> None:
    listed = ", ".join(map(repr, schema.names)) or "none"
    for flag, name in (("--score", gold), ("--group", group)):
        if name and name not in schema.names:
            raise UserError(f"{flag}: column {name!r} is not in the input; its columns are {listed}.")
    for name in columns:
        kind = field_at(schema, name).type
        if not (is_text(kind) or pa.types.is_null(kind)):
            raise UserError(f"column {name!r} holds {kind}, not texts. Choose with --text_a and --text_b.")
    kind = schema.field(gold).type if gold else pa.null()
    if not (_is_number(kind) or pa.types.is_null(kind)):
        raise UserError(f"--score: column {gold!r} holds {kind}, not numbers. Name another, or convert it.")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _reasons(
    part: SliceData, columns: tuple[str, str], values: NDArray[np.float64], gold: str | None
) -> dict[int, str]:
    """Why rows of a slice cannot be used, by their index in its table."""
    sifted = sift(part.table, columns)
    reasons = dict(zip(sifted.bad.tolist(), sifted.reasons, strict=True))
    for index in np.flatnonzero(~np.isfinite(values)).tolist() if gold else ():
        reasons.setdefault(index, f"{part.table.column(gold)[index].as_py() or 'null'} in column {gold!r}")
    return reasons


def score(
    scorer: PairScorer, pairs: Pairs, symmetric: bool, quiet: bool = False
) -> tuple[NDArray[np.float32], float]:
    """Score all pairs, with a progress bar on a terminal.

    Returns:
        The scores and the seconds they took.

    Raises:
        UserError: the model fails on a pair.
    """
    parts = []
    start = time.perf_counter()
    with tqdm(total=len(pairs.gold), unit=" pairs", disable=quiet or None) as progress:
        for begin in range(0, len(pairs.gold), ROWS_AT_ONCE):
            some = slice(begin, begin + ROWS_AT_ONCE)
            result = scorer.run(pairs.text_a[some], pairs.text_b[some], symmetric=symmetric)
            for index, why in result.failures.items():
                texts = pairs.text_a[begin + index].as_py(), pairs.text_b[begin + index].as_py()
                raise UserError(f"the model fails on the pair {str(texts)[:200]}: {why}")
            parts.append(result.scores)
            progress.update(len(result.scores))
    return np.concatenate(parts), time.perf_counter() - start


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
    for flag, path in (("--json", args.json), ("--plot", args.plot)):
        if path:
            _check_writable(flag, path)
    pairs = read_pairs(args.input, args.text_a, args.text_b, args.score, args.group)
    if not len(pairs.gold):
        raise UserError("\n".join([f"{args.input}: no row can be used.", *_first_few(pairs.rejected)]))
    numbers = None
    try:
        if args.score:
            check_varies(pairs.gold, f"gold scores in column {args.score!r}")
        scores, seconds = score(PairScorer(args.model), pairs, args.symmetric, args.quiet)
        if args.score:
            numbers = agreement(scores, pairs.gold)
    except UndefinedCorrelationError as error:
        lines = [
            f"{args.input}: {error}; {len(pairs.rejected):,} rows rejected.",
            *_first_few(pairs.rejected),
        ]
        raise UserError("\n".join(lines)) from error
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
        seconds=seconds,
        pairs_per_second=len(scores) / seconds,
        rejected=pairs.rejected,
    )
    if args.json:
        publish(args.json, (json.dumps(asdict(evaluation), indent=2, ensure_ascii=False) + "\n").encode())
    if args.plot:
        image = io.BytesIO()
        plot(image, scores, pairs.gold, model=args.model, gold_name=args.score, source=args.input)
        publish(args.plot, image.getvalue())
    return evaluation


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
    add_storage_options(data)
    scoring = options.add_argument_group("scoring")
    scoring.add_argument(
        "--model", default=DEFAULT_MODEL, help="name, folder or hub id (default: %(default)s)"
    )
    scoring.add_argument("--symmetric", action="store_true", help="score the mean of both orders")
    add_console_options(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = parser().parse(argv)
    console = console_of(args)

    def run() -> int:
        evaluation = evaluate(args)
        if console.json or console.quiet:
            console.finish([], asdict(evaluation))
        else:
            print(evaluation)
        return 0

    return guarded(run, interrupted="Nothing was written.", console=console)


if __name__ == "__main__":
    sys.exit(main())
