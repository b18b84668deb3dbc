"""Choose a threshold by labelling a few pairs of a finished run of dedup.

beam-sts label --run clean/ --sheet first.csv --pairs 100    # writes a sheet
(fill in the column label: 1 for duplicates, 0 for others)
beam-sts label --run clean/ --read first.csv --sheet second.csv --pairs 100    # more pairs, where they decide
beam-sts label --run clean/ --read first.csv second.csv --precision 0.95
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from beam_sts.checks import whole
from beam_sts.cli.args import Parser
from beam_sts.cli.console import guarded
from beam_sts.cli.formats import add_read_options, add_storage_options, read_options
from beam_sts.cli.label_sheet import (
    LabelledPair,
    judged_pairs,
    labels_of,
    population_of,
    read_sheet,
    scores_all,
    write_sheet,
)
from beam_sts.cli.terminal import print_lines
from beam_sts.dedup.runs import Run
from beam_sts.errors import UserError
from beam_sts.evaluation.label import (
    CONFIDENCE,
    STEPS,
    Estimate,
    estimate_quality,
    labels_needed,
)
from beam_sts.plurals import plural
from beam_sts.settings import Settings, add_options, from_args, setting

_TWO_SHEETS = 150  # from this many pairs on, two smaller sheets are better than one
_TABLE = 5  # steps between the thresholds in the table


def _inside(what: str, value: Any) -> None:
    if not 0 < value < 1:
        raise UserError(f"{what} {value}: must be between 0 and 1, both excluded.")


@dataclass(frozen=True, kw_only=True)
class LabelSettings(Settings):
    """The settings of the command: the sheet, and the required quality of the threshold."""

    pairs: int = setting(100, "pairs in the sheet", whole(1), metavar="N")
    seed: int = setting(0, "random seed", whole(0))
    precision: float = setting(0.95, "required precision", _inside, metavar="P")
    confidence: float = setting(
        CONFIDENCE, "confidence that the recommended threshold has the precision", _inside, metavar="C"
    )
    width: float = setting(
        0.05,
        "required width of the 95%% interval of the precision; reports how many more labels are needed",
        _inside,
        metavar="W",
    )


def quality_report(run: Run, labelled: Sequence[LabelledPair], target: LabelSettings) -> list[str]:
    """Precision and recall by threshold, a recommendation, and the effect of more labels, as lines."""
    pairs = judged_pairs(run)
    labels, found = labels_of(pairs, labelled)
    population = population_of(pairs)
    estimate = estimate_quality(population, labels)
    best = estimate.recommend(target.precision, target.confidence)
    lines = [
        f"{plural(len(labels), 'label')}, {plural(int(labels.duplicate.sum()), 'duplicate')}; recall is "
        f"among the {plural(int(population.sum()), 'candidate')}",
    ]
    if len(found) < len(labels):
        lines.append(
            f"{plural(len(labels) - len(found), 'label')} of pairs that this run did not score: the scores "
            "in the sheet are used"
        )
    if not scores_all(run):
        lines.append(
            "the run scored only pairs that may reach its threshold, "
            f"{run.fingerprint['settings']['threshold']}; below it, the highest score that a pair can have "
            "is used. A run with a lower --threshold or --score_all has scores there: use the sheets for it"
        )
    lines += _by_kind(labelled)
    lines.append("threshold      pairs  precision (95% interval)    recall (95% interval)")
    lowest = int(np.flatnonzero(population)[0]) // _TABLE * _TABLE
    shown = {step / STEPS for step in range(lowest, STEPS, _TABLE) if estimate.above[step]}
    for row in map(estimate.at, sorted(shown | ({best.threshold} if best else set()))):
        lines.append(
            f"{row.threshold:9.2f} {row.pairs:10,}  {row.precision:9.3f} ({row.precision_low:.3f} to "
            f"{row.precision_high:.3f})  {row.recall:8.3f} ({row.recall_low:.3f} to {row.recall_high:.3f})"
        )
    return lines + _advice(run, estimate, len(labels), target)


def _by_kind(labelled: Sequence[LabelledPair]) -> list[str]:
    total, right = Counter[str](), Counter[str]()
    for one in labelled:
        total[one.kind] += 1
        right[one.kind] += one.duplicate
    kinds = [f"{kind} {right[kind]:,} of {total[kind]:,}" for kind in sorted(total) if kind]
    return [f"duplicates among labels by what differs: {'; '.join(kinds)}"] if kinds else []


def _advice(run: Run, estimate: Estimate, labels: int, target: LabelSettings) -> list[str]:
    best = estimate.recommend(target.precision, target.confidence)
    if best is None:
        threshold, sure = estimate.most_certain(target.confidence)
        return [
            f"no threshold has a precision of {target.precision} with a confidence of {target.confidence}; "
            f"the best is {threshold} with {sure:.3f} or more. Label more pairs, lower --precision, or use a "
            "better model."
        ]
    width = best.precision_high - best.precision_low
    more = labels_needed(labels, width, target.width)
    there = f"the 95% interval of its precision is {width:.3f} wide; "
    return [
        there
        + (
            f"about {plural(more, 'more label')} would narrow it to {target.width} (use --read and --sheet "
            "together for more pairs)"
            if more
            else f"no more labels are needed for {target.width}"
        ),
        f"recommended: --threshold {best.threshold} (the lowest with a precision of {target.precision} or "
        f"more, with a confidence of {target.confidence}); next: --from_pairs {shlex.quote(run.output.root)} "
        f"--threshold {best.threshold}",
    ]


EXAMPLES = (
    "--run clean --sheet first.csv --pairs 100",
    "--run clean --read first.csv --sheet second.csv --pairs 100",
    "--run clean --read first.csv second.csv --precision 0.98",
)


def parser() -> Parser:
    """The options of the command."""
    p = Parser("label", __doc__, EXAMPLES, beam=False)
    p.add_argument("--run", required=True, metavar="DIR", help="output folder of beam-sts dedup")
    p.add_argument(
        "--sheet", metavar="FILE", help="write a label sheet as CSV, safe to open in a spreadsheet"
    )
    p.add_argument(
        "--read",
        metavar="FILE",
        nargs="+",
        default=[],
        help="sheets with labels: report precision and recall; with --sheet, choose the next pairs by them",
    )
    add_options(p, LabelSettings, "pairs", "seed", "precision", "confidence", "width")
    add_read_options(p)
    add_storage_options(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args = parser().parse(argv)

    def run() -> int:
        target = from_args(LabelSettings, args)
        if not args.sheet and not args.read:
            raise UserError("give --sheet FILE to write a label sheet, or --read FILE to read one.")
        found = Run.at(args.run)
        labelled = [row for path in args.read for row in read_sheet(path, read_options(args))]
        if args.sheet:
            count = write_sheet(found, args.sheet, target.pairs, target.seed, target.precision, labelled)
            print_lines(
                f"{plural(count, 'pair')} in {args.sheet}: fill in the column label, then pass the file to "
                "--read"
            )
            if not labelled and count >= _TWO_SHEETS:
                print_lines(
                    "two sheets of half the size come closer to the threshold; --read the first for it"
                )
        else:
            print_lines(*quality_report(found, labelled, target))
        return 0

    return guarded(run, stays="Nothing was written")
