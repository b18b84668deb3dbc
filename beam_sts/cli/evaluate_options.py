"""The options of ``beam-sts evaluate``, and the check of their combination."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from beam_sts.checks import check, flag, name, number, one_of, optional, whole
from beam_sts.cli.console import add_console_options
from beam_sts.cli.formats import add_format_options
from beam_sts.cli.writable import check_writable
from beam_sts.errors import UserError
from beam_sts.evaluation.calibration import METHODS
from beam_sts.evaluation.consistency import THRESHOLD
from beam_sts.evaluation.rules import MODEL_RULE, RULES
from beam_sts.evaluation.scatter import require_matplotlib
from beam_sts.evaluation.settings import SEVERAL
from beam_sts.io.files import file_system
from beam_sts.pairs.settings import ScoreSettings
from beam_sts.settings import add_options, rules_of, setting

GATE_FAILED = 3
"""The exit status if a gate fails."""
_FILES = ("json", "plot", "report", "junit", "markdown", "sheet", "calibration")


def _loss(what: str, value: Any) -> None:
    number(what, value)
    if value < 0:
        raise UserError(f"{what} {value}: must be at least 0.")


def _name(help: str, metavar: str = "COL") -> Any:
    """An optional column or file."""
    return setting(None, help, optional(name), metavar=metavar)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(ScoreSettings):
    """The settings of the command."""

    text_a: str | None = _name("column of the answers (default: detected)")
    text_b: str | None = _name(
        "column of the references, texts or lists of texts; or several columns", "COL[,COL]"
    )
    systems: str | None = _name(
        "columns of the answers of several systems, instead of --text_a and --group", "COL,COL[,COL]"
    )
    references: str = setting(
        SEVERAL[0], "with several references per row: use their best score or the mean", choices=SEVERAL
    )
    score: str | None = _name(
        "column of marks by people, any scale or true/false: adds correlations, also by group"
    )
    group: str | None = _name(
        "column to group by, such as the system: adds the mean of each group, with confidence interval"
    )
    by: str | None = _name("column of the question, or of its id: groups are compared question by question")
    baseline: str | None = _name("the group to compare with (default: the first by name)", "NAME")
    seed: int = setting(
        0, "random seed of bootstrap, sheet and --consistency's sample", whole(0), metavar="N"
    )
    consistency: bool = setting(
        False, "without references: how far the answers to each question (--by) agree with each other", flag
    )
    threshold: float = setting(
        THRESHOLD, "score from which two answers have the same meaning", number, metavar="T"
    )
    fail_under: float | None = setting(
        None, "fail if the mean of any group is below X", optional(number), metavar="X"
    )
    max_regression: float | None = setting(
        None,
        "fail if the estimated loss of any group relative to the baseline is above X",
        optional(_loss),
        metavar="X",
    )
    json: str | None = _name("the result as JSON", "FILE")
    report: str | None = _name("the result as an HTML page", "FILE")
    junit: str | None = _name("the gates as JUnit XML", "FILE")
    markdown: str | None = _name("the result in GitHub's Markdown", "FILE")
    plot: str | None = _name("a scatter plot as PNG (needs --score and the extra 'plot')", "FILE")
    output: str | None = _name("folder for the scored rows, in order, and the rejected rows", "DIR")
    overwrite: bool = setting(False, "delete the output of an earlier run in DIR", flag)
    sheet: str | None = _name(
        "CSV file of answers to mark: where model and --score disagree, or a sample over all scores", "FILE"
    )
    sheet_rows: int = setting(200, "rows of the sheet", whole(1, 100_000), metavar="N")
    calibration: str | None = _name(
        "with --score, a file to fit and write; if it exists, the curve to apply to all scores", "FILE"
    )
    calibrate: str | None = setting(
        None,
        f"fit again, with this method (default: {METHODS[0]})",
        optional(one_of(*METHODS)),
        choices=METHODS,
    )
    rule: str = setting(
        MODEL_RULE,
        "score of an answer: the model's similarity, or, for long answers and short references, `answer`, "
        "which also uses passages, numbers, names and negations",
        choices=tuple(RULES),
    )


_GROUPS = {
    "comparison": ("group", "by", "baseline", "seed"),
    "consistency": ("consistency", "threshold"),
    "gates": ("fail_under", "max_regression"),
    "results": (
        *("json", "report", "junit", "markdown", "plot", "output", "output_prefix", "overwrite", "sheet"),
        *("sheet_rows", "report_examples"),
    ),
    "calibration": ("calibration", "calibrate"),
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
    add_options(data, EvaluateSettings, "text_a", "text_b", "systems", "references", "score")
    for title, names in _GROUPS.items():
        more = f"exit status {GATE_FAILED} if a gate fails" if title == "gates" else None
        add_options(options.add_argument_group(title, more), EvaluateSettings, *names)
    add_format_options(options.add_argument_group("formats"))
    scoring = options.add_argument_group("scoring")
    add_options(scoring, EvaluateSettings, "rule", "model", "symmetric", "long_text", "allow_pickle")
    add_options(scoring, EvaluateSettings, "trust_remote_code")
    add_options(options.add_argument_group("machine"), EvaluateSettings, "precision", "device", "threads")
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
    check(rules_of(EvaluateSettings), vars(args), "--")
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
    for file in _FILES:
        if getattr(args, file):
            check_writable(f"--{file}", getattr(args, file))
    if args.sheet:
        fs, inside = file_system(args.sheet)
        if fs.exists(inside):
            raise UserError(f"--sheet {args.sheet}: exists already. Give another name.")
