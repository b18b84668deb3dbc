"""Score pairs of texts from Parquet, JSON Lines, CSV, TSV or Arrow files, and write the rows with scores.

    python -m pipelines.score --input pairs.parquet --output scored/
    python -m pipelines.score --input 's3://bucket/pairs/*.jsonl' --output s3://bucket/scored --threshold 0.8

To resume, run the same command again: it scores only what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from beam_sts.cli.args import Parser
from beam_sts.cli.beam_options import local_options, only_built, run_pipeline, worker_threads
from beam_sts.cli.console import Console, add_console_options, console_of, guarded, kept_in
from beam_sts.cli.formats import add_format_options
from beam_sts.cli.progress import progress
from beam_sts.cli.score_job import ScoreJob, prepare
from beam_sts.cli.score_summary import Sums, summarise, summary_lines
from beam_sts.cli.scoring import add_places
from beam_sts.examples import merge_examples
from beam_sts.io.claim import claim
from beam_sts.io.reading import read_slices
from beam_sts.pairs.beam_files import ScoreSlices
from beam_sts.pairs.settings import ScoreSettings
from beam_sts.plurals import plural
from beam_sts.report import render
from beam_sts.report.score import score_page
from beam_sts.scoring.backends import default_threads
from beam_sts.scoring.columns import check_rows, text_arrays
from beam_sts.scoring.result import ScoreStats
from beam_sts.scoring.scorer import PairScorer
from beam_sts.settings import add_options

_SAMPLE_SLICES, _SAMPLE_ROWS = 8, 256


EXAMPLES = (
    "--input 'data/*.parquet' --output scored --text_a question --text_b answer",
    "--input pairs.jsonl --output dupes --threshold 0.9",
    "--input pairs.csv.gz --output scored --output_format csv --csv_safe",
    "--input pairs.jsonl --output scored --estimate",
    "--input pairs.parquet --output scored --direct_running_mode=multi_processing",
)


def parser() -> Parser:
    """The options of the command."""
    p = Parser("score", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    add_places(data)
    add_options(data, ScoreSettings, "text_a", "text_b", "score_column", "threshold", "rows_per_shard")
    add_options(data, ScoreSettings, "output_prefix", "report_examples")
    data.add_argument(
        "--estimate",
        action="store_true",
        help="read a sample and print the expected rows, tokens and time; write nothing",
    )
    add_format_options(p.add_argument_group("formats"))
    scoring = p.add_argument_group("scoring")
    add_options(scoring, ScoreSettings, "raw_logits", "empty", "model", "symmetric", "long_text")
    add_options(scoring, ScoreSettings, "allow_pickle", "trust_remote_code")
    machine = p.add_argument_group("machine")
    add_options(machine, ScoreSettings, "precision", "device", "threads", "backend")
    add_console_options(p)
    return p


def run(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Score. Returns the exit status."""
    options, processes, local = local_options(beam_args)
    threads = default_threads(args.device, processes) if local else worker_threads(options)
    job = prepare(args, threads, local=local)
    if args.estimate:
        return estimate(job, console_of(args))
    with claim(
        job.settings.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover
    ) as output:
        built = only_built(options)
        # A job that is only built runs after this process, which releases its lease, so the job has no lease.
        writer = replace(output, lease=None) if built else output
        job = replace(job, settings=replace(job.settings, output=writer))
        rows = {part.index: part.rows for part in job.plan.slices}
        before, damaged = output.resume(job.plan.slices, verify=args.verify)
        units = [
            missing
            for unit in job.plan.units
            if (missing := [part for part in unit if part.index not in before])
        ]
        started, started_at = time.perf_counter(), time.time()
        if units:
            watched = Watched(job)
            with progress(job.plan.rows, watched.rows, "pairs", where=watched.file, console=console_of(args)):
                model = str(job.checkpoint.path) if local else job.checkpoint.name
                run_pipeline(options, units, ScoreSlices(model, job.settings))
            if built:
                after = "once the job has run, the same command without --runner writes summary and report"
                lines = [("built", built), ("output", output.root), ("next", after)]
                console_of(args).finish(lines, {"built": built, "output": output.root})
                return 0
        seconds = time.perf_counter() - started
        schemas = {"scores": job.settings.scored_schema, "rejected": job.settings.rejected_schema}
        if job.settings.score.threshold is not None:
            schemas["matches"] = job.settings.scored_schema
        output.finish(schemas)
        sums = Sums()
        examples = merge_examples(sums.examples(output.records(rows)), each=args.report_examples)
        summary = summarise(job, before, len(damaged), sums, seconds, started_at)
        output.write_text("report.html", render(score_page(summary, examples, job.checkpoint.card)))
        output.write_json("summary.json", summary)
    console_of(args).finish(summary_lines(summary, output.root), summary)
    return 0


@dataclass
class Watched:
    """The progress of a run, from its output folder."""

    job: ScoreJob
    _committed: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._slices = self.job.plan.slices
        self._files = {file.path: number for number, file in enumerate(self.job.plan.files, 1)}
        self._done = 0  # number of committed slices at the start of the input

    def rows(self) -> int:
        """The number of rows in committed slices."""
        self._committed = self.job.settings.output.committed()
        return sum(part.rows for part in self._slices if part.index in self._committed)

    def file(self) -> str:
        """The first incomplete file, and its number."""
        while self._done < len(self._slices) and self._slices[self._done].index in self._committed:
            self._done += 1
        left = self._slices[self._done].path if self._done < len(self._slices) else None
        if left not in self._files:
            return ""
        return f"{left.rpartition('/')[2]} ({self._files[left]} of {len(self._files)})"


def estimate(job: ScoreJob, console: Console) -> int:
    """Print the rows, tokens and time to expect, from a sample spread over the input."""
    settings, slices = job.settings, job.plan.slices
    scorer = PairScorer(job.checkpoint, **settings.score.scorer_args)
    picked = slices[:: max(1, len(slices) // _SAMPLE_SLICES)][:_SAMPLE_SLICES]
    stats, seconds, sampled, rejected = ScoreStats(), 0.0, 0, 0
    for position, part in enumerate(picked):
        data = next(read_slices([part], settings.schema, settings.text_columns, settings.options))
        table = data.table.slice(0, _SAMPLE_ROWS)
        checked = check_rows(table, settings.text_columns, empty=settings.score.empty)
        pairs = text_arrays(table, settings.text_columns, checked.good)
        if position == 0:
            scorer.run(*pairs, symmetric=settings.score.symmetric)  # warm up
        result = scorer.run(*pairs, symmetric=settings.score.symmetric)
        stats, seconds = stats + result.stats, seconds + result.seconds
        sampled += len(table)
        rejected += len(checked.bad)
    share = job.plan.rows / sampled if sampled else 0.0
    rate = stats.pairs / seconds if seconds else 0.0
    lines = [
        (
            "rows",
            f"{job.plan.rows:,} in {plural(len(job.plan.files), 'file')}, {plural(len(slices), 'shard')}",
        ),
        ("sample", f"{plural(sampled, 'row')}, {rejected:,} rejected, {stats.truncated:,} truncated"),
        ("tokens", f"about {stats.real_tokens * share:,.0f}"),
        ("time", f"about {seconds * share:,.0f} s in one process ({rate:,.0f} pairs/s here)"),
    ]
    console.finish(
        lines,
        {
            "rows": job.plan.rows,
            "sampled": sampled,
            "rejected_in_sample": rejected,
            "tokens": round(stats.real_tokens * share),
            "seconds": round(seconds * share, 1),
            "pairs_per_second": round(rate, 1),
        },
    )
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args, beam_args = parser().split(argv)
    return guarded(
        lambda: run(args, beam_args),
        **kept_in(args.output),
        console=console_of(args),
    )
