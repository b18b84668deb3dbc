r"""Mine training pairs from a corpus: neighbours, adjacent and random texts, scored by a model.

    python -m pipelines.mine --input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en
    python -m pipelines.mine --input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts
    python -m pipelines.train all --scored 'mined/pair-score-sampled/train/*.parquet' ...

Writes DIR/<subset>/{train,test}/*.parquet for the subsets raw, pair-score, pair-score-hard,
pair-score-sampled, triplet and triplet-hard. No text is in both splits. Without --runner it
runs on one machine. Run the same command again to go on after an interruption.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

import beam_sts
from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import Source
from beam_sts.cli.args import Parser, beam_options, look_at
from beam_sts.cli.console import Clock, add_console_options, console_of, guarded, kept_in, progress
from beam_sts.cli.describe import describe_input, describe_model, digest, input_identity, versions_of
from beam_sts.cli.formats import add_read_options, add_resume_options, add_storage_options, read_options
from beam_sts.cli.scoring import add_places, check_device
from beam_sts.errors import UserError
from beam_sts.examples import merge_examples
from beam_sts.io.claim import claim
from beam_sts.io.committed import check_files, read_record, run_damage
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart, file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.spill import work_folder
from beam_sts.io.summary import quantiles
from beam_sts.mining.card import THIN, data_set_card, thin_sets
from beam_sts.mining.core import SUBSETS
from beam_sts.mining.counts import MineCounts
from beam_sts.mining.local import mine_locally
from beam_sts.mining.passages import check_columns
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import FOLDERS, Cuts, empty_schemas, mine_counts
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.report import render
from beam_sts.report.mine import mine_page
from beam_sts.settings import add_options, from_args

_ROWS_PER_SLICE = 20_000
_BYTES_PER_SENTENCE = 40  # of compressed input, at least
_NOT_IN_FINGERPRINT = {
    *("input", "output", "threads", "overwrite", "model", "device", "quiet", "log_format"),
    *("report_examples", "storage_options", "takeover", "verify", "help_beam"),
}
EXAMPLES = (
    "--input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en",
    "--input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts",
)


def parser() -> Parser:
    """The command's own options."""
    p = Parser("mine", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    add_places(data)
    add_options(data, MineSettings, "text", "doc_id", "sentences", "shortest", "longest")
    add_read_options(data)
    find = p.add_argument_group("pairs")
    add_options(find, MineSettings, "neighbours", "embedding", "embedding_model", "lexical", "random")
    judge = p.add_argument_group("scores")
    add_options(judge, MineSettings, "model", "symmetric", "long_text", "allow_pickle", "trust_remote_code")
    add_options(judge, MineSettings, "precision", "device", "threads")
    sets = p.add_argument_group("training sets")
    add_options(
        sets, MineSettings, "test_share", "sampled_rows", "hard_gap", "guard", "positive", "positive_share"
    )
    add_options(sets, MineSettings, "negative", "absolute_margin", "relative_margin", "num_negatives")
    add_options(sets, MineSettings, "range_min", "range_max", "min_score", "max_score", "sampling_strategy")
    add_options(sets, MineSettings, "seed")
    add_storage_options(data)
    add_resume_options(data)
    add_options(data, MineSettings, "report_examples")
    add_console_options(p)
    return p


@dataclass(frozen=True)
class MineJob:
    """A run whose input, model and settings have been looked at and hold together."""

    source: Source
    output: OutputFolder
    checkpoint: Checkpoint
    settings: MineSettings
    texts: int
    fingerprint: dict[str, Any]

    @property
    def cuts(self) -> Cuts:
        """The parts of the run."""
        return Cuts.of(self.texts, self.settings)


def prepare(args: argparse.Namespace) -> MineJob:
    """Look at everything before the long work.

    Raises:
        UserError: the first thing that is wrong.
    """
    settings = from_args(MineSettings, args)
    checkpoint = load_checkpoint(settings.model, **settings.load)
    options = read_options(args)
    plan = plan_input(args.input, _ROWS_PER_SLICE, options)
    settings = settings.for_rows(plan.rows)
    check_apart(args.input, plan.files, args.output)
    check_files(plan.files, f"--input {args.input}")
    source = Source(plan, options, settings.text, None, reject_empty=True)
    source.check("")
    check_encodable(source.schema, "parquet")  # of the rejected rows
    check_columns(plan.schema, settings, "--{}".format)
    fingerprint = {
        "pipeline": "mine",
        "input": input_identity(plan),
        "versions": versions_of(*_makers(settings)),
        "model": checkpoint.fingerprint,
        "settings": {name: value for name, value in vars(args).items() if name not in _NOT_IN_FINGERPRINT},
    }
    output = OutputFolder.at(args.output, folders=FOLDERS, storage=args.storage_options)
    texts = _texts_expected(plan, settings.sentences)
    return MineJob(source, output, checkpoint, settings, texts, fingerprint)


def _makers(settings: MineSettings) -> list[str]:
    """Packages whose versions decide what is proposed."""
    used = {
        "sentencex": settings.sentences,
        "sparse-dot-topn": settings.lexical,
        "scipy": True,
        "sentence-transformers": settings.embedding_model,
    }
    return [name for name, wanted in used.items() if wanted]


def _texts_expected(plan: InputPlan, sentences: str | None) -> int:
    """About how many texts there are, which decides how the work is cut up."""
    if not sentences:
        return plan.rows
    return max(plan.rows, sum(file.size for file in plan.files) // _BYTES_PER_SENTENCE)


def run(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Mine; gives the exit status."""
    options, _, local = beam_options(beam_args)
    if local:
        check_device(args.device)
    job = prepare(args)
    if not local and args.embedding_model:
        raise UserError(
            "--embedding_model: is loaded on one machine. With --runner add its vectors to the input as a "
            "column, a list of numbers per row, and name it with --embedding; or leave --runner out."
        )
    with claim(job.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover) as output:
        job = replace(job, output=output)
        summary = _finished(job.output, verify=args.verify)
        finished = summary is not None
        if summary is None:
            clock = Clock()
            counts = _on_one_machine(args, job, clock) if local else _on_beam(job, options, clock)
            path = "one machine" if local else f"Beam, {options.get_all_options()['runner']}"
            summary = summarise(args, job, counts, {"path": path, "seconds": clock.seconds})
            job.output.write_json("summary.json", summary)
    console_of(args).finish(_summary_lines(summary, job.output, finished), summary)
    return 0


def _finished(output: OutputFolder, *, verify: bool) -> dict[str, Any] | None:
    """The summary of a run that is done, if all its shards are whole."""
    summary = read_record(output.path("summary.json"))
    return None if summary and run_damage(output.root, verify=verify) else summary


def _on_one_machine(args: argparse.Namespace, job: MineJob, clock: Clock) -> MineCounts:
    with work_folder(job.output) as work:
        return mine_locally(
            job.output,
            job.source,
            job.source.plan.rows,
            job.settings,
            job.cuts,
            job.checkpoint,
            work,
            reject=lambda rows: write_rejected(job.output, job.source, rows, job.settings.report_examples),
            lap=clock.lap,
            progress=lambda total, done, unit, where: progress(
                total, done, unit, where=where, console=console_of(args)
            ),
        )


def _on_beam(job: MineJob, options: Any, clock: Clock) -> MineCounts:
    import apache_beam as beam

    from beam_sts.candidates.beam_nearest import blocks_for
    from beam_sts.cli.beam_options import runner_of
    from beam_sts.mining.beam_files import COUNTS, MineRun, MineSlices

    settings = replace(job.settings, model=job.checkpoint.name)
    mine = MineRun(job.output, job.source, settings, job.cuts, blocks_for(job.texts))
    with beam.Pipeline(runner=runner_of(options), options=options) as pipeline:
        _ = pipeline | beam.Create(job.source.plan.units, reshuffle=False) | MineSlices(mine)
    clock.lap("run")
    fs, path = file_system(job.output.path(COUNTS))
    return MineCounts.read(json.loads(fs.cat_file(path)))


def summarise(
    args: argparse.Namespace, job: MineJob, counted: MineCounts, more: dict[str, Any]
) -> dict[str, Any]:
    """The run's summary, its report written.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan, output = job.source.plan, job.output
    output.finish({**empty_schemas(), "rejected": rejected_schema(job.source.schema)})
    counts, examples = mine_counts(output, counted, plan.rows)
    summary = {
        "pipeline": "mine",
        **more,
        "input": describe_input(args.input, plan.files),
        **counts,
        "score_quantiles": quantiles(counts["score_histogram"]),
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "settings": job.fingerprint["settings"],
        "versions": {"beam_sts": beam_sts.__version__, "pyarrow": pa.__version__, "numpy": np.__version__},
    }
    shown = merge_examples(examples, each=args.report_examples)
    output.write_text("report.html", render(mine_page(summary, shown, job.checkpoint.card)))
    output.write_text("README.md", data_set_card(summary))
    return summary


def _summary_lines(summary: dict[str, Any], output: OutputFolder, finished: bool) -> list[tuple[str, str]]:
    reasons = [("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()]
    failed = [("", f"{count:,} {why}") for why, count in summary["pairs_failed"].items()]
    split = summary["texts_by_split"]
    return [
        ("path", summary["path"]),
        *(("note", line) for line in thin_sets(summary["rows_written"], THIN) if summary["texts"]),
        *([("note", "this run was finished before; --overwrite runs it again")] if finished else []),
        ("read", f"{summary['rows_read']:,} rows"),
        ("rejected", f"{summary['rows_rejected']:,}"),
        *reasons,
        (
            "texts",
            f"{summary['texts']:,} distinct ({summary['texts_repeated']:,} repeated, "
            f"{summary['texts_too_short']:,} too short, {summary['texts_too_long']:,} too long); "
            f"{split['train']:,} train, {split['test']:,} test",
        ),
        ("pairs", f"{summary['pairs']:,} scored, {sum(summary['pairs_failed'].values()):,} failed"),
        *failed,
        *(
            ("dropped", f"{summary['pairs_straddling']:,} adjacent pairs with a text in each split")
            for _ in range(summary["pairs_straddling"] > 0)
        ),
        ("bands", "pairs by tenth of score: " + " ".join(f"{n:,}" for n in summary["pairs_by_band"])),
        *(
            ("resumed", f"{summary['pairs_reused']:,} scores were there")
            for _ in range(summary["pairs_reused"] > 0)
        ),
        *(
            ("damaged", f"{summary['shards_damaged']:,} shards of scores that were there: made again")
            for _ in range(summary["shards_damaged"] > 0)
        ),
        *(
            (
                "written" if subset == SUBSETS[0] else "",
                f"{subset}: {rows['train']:,} train, {rows['test']:,} test",
            )
            for subset, rows in summary["rows_written"].items()
        ),
        ("time", f"{sum(summary['seconds'].values()):.1f} s"),
        ("output", output.root),
        ("report", f"{output.root}/report.html"),
        ("next", look_at(f"{output.root}/pair-score/train", "parquet")),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    args, beam_args = parser().split(argv)
    return guarded(
        lambda: run(args, beam_args),
        **kept_in(args.output),
        console=console_of(args),
    )
