"""Train a BERT-hash cross-encoder in stages, each resumable.

A finished stage is skipped if its data and settings are unchanged. Data is a path or pattern of files in any
format that 'score' reads, on any fsspec file system, or 'hub:owner/name/subset:split'.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from beam_sts.cli.installed import check_installed

check_installed("beam-sts train", "train", "torch", "transformers", "sentence_transformers", "datasets")

import torch

import beam_sts
from beam_sts.checks import check, name, optional, whole
from beam_sts.cli.args import Parser, program
from beam_sts.cli.console import Console, add_console_options, console_of, guarded
from beam_sts.cli.describe import describe_model
from beam_sts.cli.formats import add_read_options, read_options
from beam_sts.cli.scoring import check_device_here
from beam_sts.errors import UserError
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.report import render
from beam_sts.report.train import train_page
from beam_sts.settings import add_options, from_args, rules_of
from beam_sts.training.data import DataError
from beam_sts.training.fit import FitSettings
from beam_sts.training.leakage import HeldOutTextError
from beam_sts.training.recipe import Recipe, values_of
from beam_sts.training.smoke import smoke_recipe
from beam_sts.training.stages import STAGES, workspace
from beam_sts.training.workspace import Workspace

logger = logging.getLogger("beam_sts.training")

LAST = "export"
EXAMPLES = (
    "all --smoke",
    "all --stsb 'stsb/{split}.parquet' --work_dir work --sentences sentences.parquet --encoder "
    "all-MiniLM-L6-v2",
)


_GROUPS = {
    "teachers": (
        *("encoder", "teacher_encoder", "teacher_also", "teacher", "teacher_cross", "teacher_frozen"),
    ),
    "student": ("size", "seed", "start", "start_share", "data_notes"),
    "numbers of pairs": (
        *("pairs", "cross_pairs", "labelled_again", "edits", "facts", "roles", "swaps", "identical"),
        *("documents", "replaced", "changed", "forms", "start_pairs", "replay"),
    ),
}
_FITS = {
    "teacher_fit": "fit of the teacher",
    "teacher_cross_fit": "fit of the teacher as a cross-encoder (--teacher_cross)",
    "pretrain": "pretraining of the student",
    "finetune": "fine-tuning of the student",
}
_FIT_OPTIONS = {
    "epochs": (float, "passes over the pairs"),
    "batch_size": (int, "pairs per step"),
    "learning_rate": (float, "peak learning rate"),
    "average": (float, "decay of the moving average of the weights, the result; 0: use the last weights"),
    "max_tokens": (int, "most tokens in a batch, with padding"),
}
_SHOWN = " (default: %(default)s)"


def parser() -> Parser:
    """The options of the command."""
    result = Parser("train", __doc__, EXAMPLES, beam=False, first="STAGE")
    result.add_argument("stage", choices=[*STAGES, "all"], help="the stage to run, or 'all'")
    result.add_argument(
        "--work_dir",
        type=Path,
        metavar="DIR",
        help="folder for the results of the stages (temporary with --smoke)",
    )
    result.add_argument(
        "--smoke",
        action="store_true",
        help="run all stages on tiny built-in data, for tests; of the other options only --work_dir, --seed, "
        "--device and --threads apply",
    )
    data = result.add_argument_group("data")
    add_options(data, Recipe, "stsb", "gold", "gold_skip", "second_dev", "sentences", "sentence_limit")
    data.add_argument(
        "--source_limits", nargs="*", default=[], metavar="SOURCE=N", help="other limits by source"
    )
    add_options(data, Recipe, "scored")
    add_read_options(data)
    for title, names in _GROUPS.items():
        add_options(result.add_argument_group(title), Recipe, *names)
    table = result.add_argument_group("fit of the token table")
    _add_number(table, "table_steps", int, Recipe.table.steps, "steps; 0: the table is not fitted")
    _add_number(table, "table_learning_rate", float, Recipe.table.learning_rate, "peak learning rate")
    for stage, title in _FITS.items():
        fit = result.add_argument_group(title)
        for option, (kind, what) in _FIT_OPTIONS.items():
            _add_number(fit, f"{stage}_{option}", kind, getattr(getattr(Recipe, stage), option), what)
    machine = result.add_argument_group("machine")
    machine.add_argument(
        "--device",
        default="cpu",
        help=f"torch device for fitting, embedding and labelling, such as cuda{_SHOWN}",
    )
    machine.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="torch threads (default: cores)",
    )
    add_console_options(result)
    return result


def _add_number(
    group: argparse._ArgumentGroup, name: str, kind: type[int] | type[float], default: float, what: str
) -> None:
    metavar = "N" if kind is int else "X"
    group.add_argument(f"--{name}", type=kind, default=default, metavar=metavar, help=f"{what}{_SHOWN}")


def recipe_of(options: argparse.Namespace) -> Recipe:
    """Make the recipe from the options."""
    limits = dict(item.rsplit("=", 1) for item in options.source_limits)

    def settings(stage: str) -> FitSettings:
        default: FitSettings = getattr(Recipe, stage)
        return replace(default, **{name: getattr(options, f"{stage}_{name}") for name in _FIT_OPTIONS})

    fits: dict[str, Any] = {stage: settings(stage) for stage in _FITS}
    return from_args(
        Recipe,
        options,
        source_limits={name: int(limit) for name, limit in limits.items()},
        table=replace(Recipe.table, steps=options.table_steps, learning_rate=options.table_learning_rate),
        **fits,
        read=read_options(options),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested stages. Returns the exit status (2 for unusable options or data)."""
    command = parser()
    options = command.parse(argv)
    console = console_of(options)
    _log(console)
    if not options.smoke and (options.stsb is None or options.work_dir is None):
        command.error("--stsb and --work_dir are needed (or --smoke)")
    if options.stsb is not None and "{split}" not in options.stsb:
        command.error(
            f"--stsb must contain '{{split}}' where train, dev and test differ, but is {options.stsb!r}"
        )

    def run() -> int:
        try:
            check_device_here(options.device)
            check({**rules_of(Recipe), "stsb": optional(name), "threads": whole(1)}, vars(options), "--")
            torch.set_num_threads(options.threads)
            with tempfile.TemporaryDirectory() as scratch:
                root = options.work_dir or Path(scratch)
                recipe = (
                    replace(smoke_recipe(root / "data"), seed=options.seed)
                    if options.smoke
                    else recipe_of(options)
                )
                work = workspace(root, recipe, options.device)
                logger.info("recipe: %s", values_of(recipe))
                if options.stage != "all":
                    work.run(options.stage, alone=True)
                    return 0
                noted = work.run(LAST)
                lines = _lines(work, write_report(work), kept=options.work_dir is not None)
                console.finish(lines, noted)
                return 0
        except (DataError, HeldOutTextError, UserError) as error:
            return console.error(2, *str(error).split("\n"))

    return guarded(
        run,
        stays="Finished stages are kept" if options.work_dir else "Nothing is kept without --work_dir",
        again="run the same command again to continue" if options.work_dir else None,
        console=console,
    )


def _log(console: Console) -> None:
    logging.basicConfig(stream=sys.stderr)  # does nothing if an imported library has set a handler
    logging.getLogger("beam_sts").setLevel(logging.ERROR if console.quiet else logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))


def write_report(work: Workspace) -> Path:
    """Write ``report.html`` of a finished training to its folder. Returns the path."""
    folder, recipe = work.folder(LAST), work.recipe
    checkpoint = load_checkpoint(str(folder))
    results = json.loads((work.folder("evaluate") / "results.json").read_text(encoding="utf-8"))
    sources = [recipe.stsb, *recipe.gold, *recipe.sentences, *recipe.scored]
    summary = {
        "stages": {name: work.result(name) or {"seconds": 0.0} for name in STAGES},
        "results": results,
        "model": {**describe_model(checkpoint), "name": f"beam-sts-{recipe.size}"},
        "input": {
            "pattern": recipe.stsb,
            "files": len(sources),
            "bytes": 0,
            "first": [{"path": source, "size": None} for source in sources],
        },
        "settings": {
            name: json.dumps(value) if isinstance(value, (dict, list, tuple)) else value
            for name, value in values_of(recipe).items()
        },
        "fingerprint": work.fingerprint(LAST),
        "versions": {
            "beam_sts": beam_sts.__version__,
            "torch": torch.__version__,
            "python": sys.version.split()[0],
        },
    }
    path = work.root / "report.html"
    path.write_text(render(train_page(summary, checkpoint.card)), encoding="utf-8")
    return path


def _lines(work: Workspace, report: Path, *, kept: bool) -> list[tuple[str, str]]:
    noted = work.result("evaluate") or {}
    lines = [
        (name, f"Pearson {value[0]:.4f}, Spearman {value[1]:.4f}")
        for name, value in noted.items()
        if isinstance(value, list)
    ]
    if not kept:
        return [*lines, ("note", "--work_dir DIR keeps the checkpoint and report.html")]
    return [
        *lines,
        ("output", str(work.folder(LAST))),
        ("report", str(report)),
        (
            "next",
            f"{program('score')} --model {shlex.quote(str(work.folder(LAST)))} --input PAIRS --output DIR",
        ),
    ]
