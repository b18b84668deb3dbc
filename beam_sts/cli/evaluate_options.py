"""The options of ``beam-sts evaluate``, and the check of their combination."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from beam_sts.checks import Check, check, number, optional, whole
from beam_sts.cli.console import add_console_options
from beam_sts.cli.formats import add_format_options
from beam_sts.errors import UserError
from beam_sts.evaluation.calibration import METHODS
from beam_sts.evaluation.consistency import THRESHOLD
from beam_sts.evaluation.rules import MODEL_RULE, RULES
from beam_sts.evaluation.scatter import require_matplotlib
from beam_sts.evaluation.settings import SEVERAL
from beam_sts.io.files import file_system, is_local
from beam_sts.pairs.settings import ScoreSettings
from beam_sts.settings import add_options, rules_of

GATE_FAILED = 3
"""The exit status if a gate fails."""
_FILES = ("json", "plot", "report", "junit", "markdown", "sheet", "calibration")


def _loss(what: str, value: Any) -> None:
    number(what, value)
    if value < 0:
        raise UserError(f"{what} {value}: must be at least 0.")


_RULES: dict[str, Check] = {
    **rules_of(ScoreSettings),
    "fail_under": optional(number),
    "max_regression": optional(_loss),
    "sheet_rows": whole(1, 100_000),
    "seed": whole(0),
}


def add_evaluate_options(options: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    data = options.add_argument_group("input")
    data.add_argument(
        "--input",
        required=True,
        metavar="PATTERN",
        help="file, folder, pattern or fsspec URL, in any format that score reads",
    )
    data.add_argument("--text_a", metavar="COL", help="column of the answers (default: detected)")
    data.add_argument(
        "--text_b",
        metavar="COL[,COL]",
        help="column of the references, texts or lists of texts; or several columns",
    )
    data.add_argument(
        "--systems",
        metavar="COL,COL[,COL]",
        help="columns of the answers of several systems, instead of --text_a and --group",
    )
    data.add_argument(
        "--references",
        choices=SEVERAL,
        default=SEVERAL[0],
        help="with several references per row: use their best score or the mean (default: %(default)s)",
    )
    data.add_argument(
        "--score",
        metavar="COL",
        help="column of marks by people, any scale or true/false: adds correlations, also by group",
    )
    compared = options.add_argument_group("comparison")
    compared.add_argument(
        "--group",
        metavar="COL",
        help="column to group by, such as the system: adds the mean of each group, with confidence interval",
    )
    compared.add_argument(
        "--by",
        metavar="COL",
        help="column of the question, or of its id: groups are compared question by question",
    )
    compared.add_argument(
        "--baseline", metavar="NAME", help="the group to compare with (default: the first by name)"
    )
    compared.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="random seed of bootstrap, sheet and --consistency's sample (default: %(default)s)",
    )
    agreeing = options.add_argument_group("consistency")
    agreeing.add_argument(
        "--consistency",
        action="store_true",
        help="without references: how far the answers to each question (--by) agree with each other",
    )
    agreeing.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="T",
        help="score from which two answers have the same meaning (default: %(default)s)",
    )
    gates = options.add_argument_group("gates", f"exit status {GATE_FAILED} if a gate fails")
    gates.add_argument(
        "--fail_under", type=float, metavar="X", help="fail if the mean of any group is below X"
    )
    gates.add_argument(
        "--max_regression",
        type=float,
        metavar="X",
        help="fail if the estimated loss of any group relative to the baseline is above X",
    )
    results = options.add_argument_group("results")
    results.add_argument("--json", metavar="FILE", help="the result as JSON")
    results.add_argument("--report", metavar="FILE", help="the result as an HTML page")
    results.add_argument("--junit", metavar="FILE", help="the gates as JUnit XML")
    results.add_argument("--markdown", metavar="FILE", help="the result in GitHub's Markdown")
    results.add_argument(
        "--plot", metavar="FILE", help="a scatter plot as PNG (needs --score and the extra 'plot')"
    )
    results.add_argument(
        "--output", metavar="DIR", help="folder for the scored rows, in order, and the rejected rows"
    )
    add_options(results, ScoreSettings, "output_prefix")
    results.add_argument(
        "--overwrite", action="store_true", help="delete the output of an earlier run in DIR"
    )
    results.add_argument(
        "--sheet",
        metavar="FILE",
        help="CSV file of answers to mark: where model and --score disagree, or a sample over all scores",
    )
    results.add_argument(
        "--sheet_rows", type=int, default=200, metavar="N", help="rows of the sheet (default: %(default)s)"
    )
    add_options(results, ScoreSettings, "report_examples")
    scale = options.add_argument_group("calibration")
    scale.add_argument(
        "--calibration",
        metavar="FILE",
        help="with --score, a file to fit and write; if it exists, the curve to apply to all scores",
    )
    scale.add_argument(
        "--calibrate", choices=METHODS, help=f"fit again, with this method (default: {METHODS[0]})"
    )
    add_format_options(options.add_argument_group("formats"))
    scoring = options.add_argument_group("scoring")
    scoring.add_argument(
        "--rule",
        choices=tuple(RULES),
        default=MODEL_RULE,
        help="score of an answer: the model's similarity, or, for long answers and short references, "
        "`answer`, which also uses passages, numbers, names and negations (default: %(default)s)",
    )
    add_options(
        scoring, ScoreSettings, "model", "symmetric", "long_text", "allow_pickle", "trust_remote_code"
    )
    add_options(options.add_argument_group("machine"), ScoreSettings, "precision", "device", "threads")
    add_console_options(options)


def check_options(args: argparse.Namespace) -> None:
    """Check the combination of options, and that the named files can be written.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    if args.plot:
        if not args.score:
            raise UserError("--plot: plots scores against gold scores. Name their column with --score.")
        try:
            require_matplotlib()
        except ImportError as error:
            raise UserError(f"--plot: {error}") from error
    check(_RULES, vars(args), "--")
    if args.baseline is not None or args.max_regression is not None:
        flag = "--baseline" if args.baseline is not None else "--max_regression"
        if not (args.systems or args.group):
            raise UserError(
                f"{flag}: needs groups to compare. Name their column with --group, or use --systems."
            )
        if not (args.systems or args.by):
            raise UserError(
                f"{flag}: groups are compared question by question. Name the column of the question, or "
                "of its id, with --by."
            )
        if args.baseline is None:
            raise UserError("--max_regression: needs the group to compare with. Name it with --baseline.")
    if args.calibrate and not (args.score and args.calibration):
        raise UserError("--calibrate: needs --score, the marks to fit, and --calibration, the file to write.")
    if args.output and args.output.lower().endswith((".jsonl", ".json", ".csv", ".parquet")):
        form = args.output.rpartition(".")[2].lower().removesuffix("l").replace("json", "jsonl")
        raise UserError(
            f"--output {args.output}: is the name of a folder for shards. Give "
            f"--output {args.output.rpartition('.')[0]} --output_format {form}."
        )
    for name in _FILES:
        if getattr(args, name):
            _check_writable(f"--{name}", getattr(args, name))
    if args.sheet:
        fs, inside = file_system(args.sheet)
        if fs.exists(inside):
            raise UserError(f"--sheet {args.sheet}: exists already. Give another name.")


def _check_writable(flag: str, path: str) -> None:
    """Fail before the long work if a file cannot be written, as far as the local file system tells."""
    if not is_local(path):
        return
    file = Path(file_system(path)[1]).absolute()
    if file.is_dir():
        raise UserError(f"{flag} {path}: is a folder. Name a file.")
    existing = next(parent for parent in file.parents if parent.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise UserError(f"{flag} {path}: cannot be written below {existing}.")
