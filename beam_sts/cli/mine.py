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

import apache_beam as beam
import numpy as np
import pyarrow as pa

import beam_sts
from beam_sts.candidates.beam_nearest import blocks_for
from beam_sts.candidates.source import Source
from beam_sts.checks import check
from beam_sts.cli.args import Parser, look_at
from beam_sts.cli.beam_options import local_options, runner_of
from beam_sts.cli.console import Clock, add_console_options, console_of, guarded, kept_in, progress
from beam_sts.cli.describe import (
    add_report_options,
    describe_input,
    describe_model,
    digest,
    input_identity,
    versions_of,
)
from beam_sts.cli.formats import add_read_options, add_resume_options, add_storage_options, read_options
from beam_sts.cli.scoring import add_places, add_scoring_options, check_device, scorer_options, trust
from beam_sts.errors import UserError
from beam_sts.examples import merge_examples
from beam_sts.io.committed import check_files, read_record, run_damage
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart, file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.spill import work_folder
from beam_sts.io.summary import quantiles
from beam_sts.mining.beam_files import COUNTS, MineBeamSettings, MineSlices
from beam_sts.mining.core import SUBSETS
from beam_sts.mining.local import PairSources, mine_locally
from beam_sts.mining.passages import PassageSettings
from beam_sts.mining.shards import FOLDERS, PAIRS_PER_SHARD, SetSettings, empty_schemas, mine_counts
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.report import render
from beam_sts.report.mine import mine_page
from beam_sts.scoring.scorer import PairScorer
from beam_sts.transforms.options import MINE

_ROWS_PER_SLICE = 20_000
_BYTES_PER_SENTENCE = 40  # of compressed input, at least
_TEXTS_PER_RANDOM_SHARD = 50_000
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
    find = p.add_argument_group("pairs")
    judge = p.add_argument_group("scores")
    add_scoring_options(judge, judge)
    sets = p.add_argument_group("training sets")
    data.add_argument("--text", required=True, metavar="COL", help="column of the texts, a.b in a struct")
    data.add_argument(
        "--doc_id", metavar="COL", help="column of document ids; rows of one are in their order"
    )
    data.add_argument(
        "--sentences", metavar="LANG", help="split texts into sentences of this language, such as en"
    )
    data.add_argument(
        "--shortest", type=int, default=1, metavar="N", help="least characters of a text (default: 1)"
    )
    data.add_argument("--longest", type=int, default=10_000, metavar="N", help="most (default: %(default)s)")
    add_read_options(data)
    find.add_argument(
        "--neighbours", type=int, default=5, metavar="K", help="nearest texts of each (default: %(default)s)"
    )
    find.add_argument("--embedding", metavar="COL", help="column of vectors to find neighbours by")
    find.add_argument(
        "--embedding_model",
        metavar="M",
        help="sentence-transformers model to find neighbours by (default: --model's token vectors)",
    )
    find.add_argument(
        "--lexical",
        type=int,
        default=2,
        metavar="K",
        help="texts of each that share rare shingles (default: %(default)s)",
    )
    find.add_argument("--random", type=int, default=1, metavar="K", help="random texts of each (default: 1)")
    sets.add_argument(
        "--test_share",
        type=float,
        default=0.03,
        metavar="X",
        help="of documents, or texts without one, that are the test split (default: %(default)s)",
    )
    sets.add_argument(
        "--sampled_rows",
        type=int,
        metavar="N",
        help="of pair-score-sampled's train split (default: half of its pairs)",
    )
    sets.add_argument(
        "--hard_gap",
        type=float,
        default=0.4,
        metavar="X",
        help="pair-score-hard: least gap between score and word overlap (default: %(default)s)",
    )
    sets.add_argument(
        "--positive", type=float, default=0.8, metavar="X", help="least score of a positive (0.8)"
    )
    sets.add_argument(
        "--negative", type=float, default=0.3, metavar="X", help="most score of an easy negative"
    )
    sets.add_argument(
        "--margin",
        type=float,
        default=0.2,
        metavar="X",
        help="by which a negative is below the positive (0.2)",
    )
    sets.add_argument("--seed", type=int, default=0, help="of split, draws and orders (default: 0)")
    add_storage_options(data)
    add_resume_options(data)
    add_report_options(data)
    add_console_options(p)
    return p


@dataclass(frozen=True)
class Job:
    """A run whose input, model and settings have been looked at and hold together."""

    source: Source
    output: OutputFolder
    checkpoint: Checkpoint
    passages: PassageSettings
    sources: PairSources
    sets: SetSettings
    texts: int
    fingerprint: dict[str, Any]


def prepare(own: argparse.Namespace) -> Job:
    """Look at everything before the long work.

    Raises:
        UserError: the first thing that is wrong.
    """
    check(MINE, vars(own), "--")
    if own.longest < own.shortest:
        raise UserError(f"--longest {own.longest}: is below --shortest {own.shortest}.")
    if own.embedding and own.embedding_model:
        raise UserError("--embedding and --embedding_model: give one of them.")
    if not (own.neighbours or own.lexical or own.random or own.doc_id or own.sentences):
        raise UserError("nothing proposes pairs: give --neighbours, --lexical, --random or --doc_id.")
    checkpoint = load_checkpoint(own.model, **trust(own))
    options = read_options(own)
    plan = plan_input(own.input, _ROWS_PER_SLICE, options)
    check_apart(own.input, plan.files, own.output)
    check_files(plan.files, f"--input {own.input}")
    source = Source(plan, options, own.text, None, reject_empty=True)
    source.check("")
    check_encodable(source.schema, "parquet")  # of the rejected rows
    settings = PassageSettings(
        own.doc_id, own.sentences, own.shortest, own.longest, own.embedding, own.test_share, own.seed
    )
    settings.check(plan.schema)
    fingerprint = {
        "pipeline": "mine",
        "input": input_identity(plan),
        "versions": versions_of(*_makers(own)),
        "model": checkpoint.fingerprint,
        "settings": {name: value for name, value in vars(own).items() if name not in _NOT_IN_FINGERPRINT},
    }
    output = OutputFolder.at(own.output, folders=FOLDERS, storage=own.storage_options)
    texts = _texts_expected(plan, own.sentences)
    pairs = texts * (own.neighbours + own.lexical + own.random + bool(own.doc_id or own.sentences))
    sources = PairSources(
        own.neighbours,
        own.lexical,
        own.random,
        "column" if own.embedding else own.embedding_model or "static",
        own.seed,
        1 + texts // _TEXTS_PER_RANDOM_SHARD,
    )
    sets = SetSettings(
        1 + pairs // PAIRS_PER_SHARD,
        own.seed,
        own.sampled_rows,
        own.hard_gap,
        own.positive,
        own.negative,
        own.margin,
        own.symmetric,
        own.report_examples,
    )
    return Job(source, output, checkpoint, settings, sources, sets, texts, fingerprint)


def _makers(own: argparse.Namespace) -> list[str]:
    """Packages whose versions decide what is proposed."""
    used = {
        "sentencex": own.sentences,
        "sparse-dot-topn": own.lexical,
        "scipy": True,
        "faiss-cpu": own.neighbours,
        "sentence-transformers": own.embedding_model,
    }
    return [name for name, wanted in used.items() if wanted]


def _texts_expected(plan: InputPlan, sentences: str | None) -> int:
    """About how many texts there are, which decides how the work is cut up."""
    if not sentences:
        return plan.rows
    return max(plan.rows, sum(file.size for file in plan.files) // _BYTES_PER_SENTENCE)


def run(own: argparse.Namespace, beam_args: list[str]) -> int:
    """Mine; gives the exit status."""
    options, _, local = local_options(beam_args, waits=True)
    if local:
        check_device(own.device)
    job = prepare(own)
    if not local and own.embedding_model:
        raise UserError(
            "--embedding_model: is loaded on one machine. With --runner add its vectors to the input as a "
            "column, a list of numbers per row, and name it with --embedding; or leave --runner out."
        )
    with job.output.claim(job.fingerprint, overwrite=own.overwrite, takeover=own.takeover) as output:
        job = replace(job, output=output)
        summary = _finished(job.output, verify=own.verify)
        finished = summary is not None
        if summary is None:
            clock = Clock()
            counts = _on_one_machine(own, job, clock) if local else _on_beam(own, job, options, clock)
            path = "one machine" if local else f"Beam, {options.get_all_options()['runner']}"
            summary = summarise(own, job, counts, {"path": path, "seconds": clock.seconds})
            job.output.write_json("summary.json", summary)
    console_of(own).finish(_summary_lines(summary, job.output, finished), summary)
    return 0


def _finished(output: OutputFolder, *, verify: bool) -> dict[str, Any] | None:
    """The summary of a run that is done, if all its shards are whole."""
    summary = read_record(output.path("summary.json"))
    return None if summary and run_damage(output.root, verify=verify) else summary


def _on_one_machine(own: argparse.Namespace, job: Job, clock: Clock) -> dict[str, Any]:
    scorer = PairScorer(job.checkpoint, **scorer_options(own))
    with work_folder(job.output) as work:
        counts = mine_locally(
            job.output,
            job.source,
            job.passages,
            job.sources,
            job.sets,
            scorer,
            job.checkpoint,
            work,
            threads=own.threads,
            lap=clock.lap,
            progress=lambda total, done, unit, where: progress(
                total, done, unit, where=where, console=console_of(own)
            ),
        )
    return counts


def _on_beam(own: argparse.Namespace, job: Job, options: Any, clock: Clock) -> dict[str, Any]:
    settings = MineBeamSettings(
        job.output,
        job.source,
        job.passages,
        job.sources,
        job.sets,
        job.checkpoint.name,
        blocks_for(job.texts),
        trust(own),
        scorer_options(own),
    )
    with beam.Pipeline(runner=runner_of(options), options=options) as pipeline:
        _ = pipeline | beam.Create(job.source.plan.units, reshuffle=False) | MineSlices(settings)
    clock.lap("run")
    fs, path = file_system(job.output.path(COUNTS))
    counts: dict[str, Any] = json.loads(fs.cat_file(path))
    return counts


def summarise(
    own: argparse.Namespace, job: Job, counts: dict[str, Any], more: dict[str, Any]
) -> dict[str, Any]:
    """The run's summary, its report written.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan, output = job.source.plan, job.output
    output.finish({**empty_schemas(), "rejected": rejected_schema(job.source.schema)})
    counts, examples = mine_counts(output, counts, plan.rows)
    summary = {
        "pipeline": "mine",
        **more,
        "input": describe_input(own.input, plan.files),
        **counts,
        "score_quantiles": quantiles(counts["score_histogram"]),
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "settings": job.fingerprint["settings"],
        "versions": {"beam_sts": beam_sts.__version__, "pyarrow": pa.__version__, "numpy": np.__version__},
    }
    shown = merge_examples(examples, each=own.report_examples)
    output.write_text("report.html", render(mine_page(summary, shown, job.checkpoint.card)))
    return summary


def _summary_lines(summary: dict[str, Any], output: OutputFolder, finished: bool) -> list[tuple[str, str]]:
    reasons = [("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()]
    failed = [("", f"{count:,} {why}") for why, count in summary["pairs_failed"].items()]
    split = summary["texts_by_split"]
    empty = [name for name, count in split.items() if not count and summary["texts"]]
    return [
        ("path", summary["path"]),
        *[("note", f"the {name} split is empty: few documents; see --test_share, --seed") for name in empty],
        *([("note", "this run was finished before; --overwrite runs it anew")] if finished else []),
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
        ("straddling", f"{summary['pairs_straddling']:,} adjacent pairs lie in both splits: dropped"),
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
    own, beam_args = parser().split(argv)
    return guarded(
        lambda: run(own, beam_args),
        **kept_in(own.output),
        console=console_of(own),
    )
