r"""Remove near-duplicates from a corpus, with a verified score and a receipt for each removed row.

    python -m pipelines.dedup --input 'corpus/*.parquet' --output clean/ --text text --id url
    python -m pipelines.dedup --input new.jsonl --against clean/kept --output fresh/ --text text
    python -m pipelines.dedup --input 'corpus/*.parquet' --output strict/ --text text --id url \
        --from_pairs clean --threshold 0.95

To resume, run the same command again: it reuses the scores in the output folder.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from beam_sts.candidates.given import plan_given
from beam_sts.candidates.rejects import read_rejected
from beam_sts.checks import optional, whole
from beam_sts.cli.args import Parser, beam_options
from beam_sts.cli.console import Console, add_console_options, console_of, guarded, kept_in
from beam_sts.cli.dedup_job import DedupJob, prepare
from beam_sts.cli.dedup_summary import counts_of, row_counts, summarise, summary_lines
from beam_sts.cli.formats import add_format_options
from beam_sts.cli.passages import run_passages
from beam_sts.cli.progress import Clock, progress
from beam_sts.cli.scoring import add_places, check_device_here
from beam_sts.dedup.counts import DedupCounts
from beam_sts.dedup.decide import describe_clusters
from beam_sts.dedup.earlier import pairs_schema, plan_pairs, read_edges
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.local import Plan, decide_corpus, decide_for_rows, learn_first, score_candidates
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.profiles import PROFILES
from beam_sts.dedup.receipts import RowWriter
from beam_sts.dedup.rows import read_corpus
from beam_sts.dedup.rule import count_removals, rows_by_text, threshold_table
from beam_sts.dedup.settings import BeamDedupSettings, DedupSettings
from beam_sts.dedup.shards import PairShards
from beam_sts.dedup.show import by_kind, corpus_view, pair_examples
from beam_sts.dedup.verify import Verifier
from beam_sts.examples import Example, merge_examples
from beam_sts.io.claim import claim
from beam_sts.io.files import file_system
from beam_sts.io.spill import work_folder
from beam_sts.io.summary import Steps, Timeline
from beam_sts.passages.settings import PassageSettings
from beam_sts.report import render
from beam_sts.report.dedup import dedup_page
from beam_sts.settings import add_options, from_args, like, setting

ROWS_PER_SHARD = 20_000


EXAMPLES = (
    "--input 'corpus/*.parquet' --output clean --text text --id url",
    "--input corpus.jsonl --output clean --text text --threshold 0.85 --keep longest",
    "--input new.jsonl --against clean/kept --output fresh --text text",
    "--input 'corpus/*.parquet' --against test.jsonl --contains --output clean --text text",
    "--input 'corpus/*.parquet' --output strict --text text --id url --from_pairs clean --threshold 0.95",
)


@dataclass(frozen=True, kw_only=True)
class CommandSettings(DedupSettings):
    """The settings that only the command has: shards, and the search for clusters in Beam."""

    rows_per_shard: int = setting(ROWS_PER_SHARD, "most rows in an output shard", whole(1), metavar="N")
    component_rounds: int | None = like(BeamDedupSettings, "component_rounds", None, rule=optional(whole(0)))


def parser() -> Parser:
    """The options of the command."""
    p = Parser("dedup", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    rule = p.add_argument_group("what is a duplicate, and which row stays")
    find = p.add_argument_group("candidates")
    verify = p.add_argument_group("scoring")
    machine = p.add_argument_group("machine")
    of = CommandSettings
    add_places(data)
    add_options(verify, of, "model", "symmetric", "long_text", "allow_pickle", "trust_remote_code")
    add_options(machine, of, "precision", "device", "threads")
    data.add_argument(
        "--text",
        default="text",
        metavar="COL",
        help="text column, a.b for a field of a struct; several columns, joined by commas; or an SQL "
        "expression (default: text)",
    )
    data.add_argument("--id", metavar="COL", help="column of distinct ids (default: row numbers, as _id)")
    add_format_options(p.add_argument_group("formats"))
    add_options(
        rule, of, "profile", "threshold", "guard", "max_lost", "form", "boilerplate", "keep", "linkage"
    )
    add_options(rule, of, "keep_rows")
    add_options(find, of, "candidates", "minhash_similarity", "minhash_recall", "shingle", "neighbours")
    add_options(find, of, "embedding", "bucket_cap", "max_pairs")
    data.add_argument(
        "--against", metavar="PATTERN", help="remove rows that duplicate a row of this other input"
    )
    data.add_argument("--against_text", metavar="COL", help="its text column (default: as --text)")
    data.add_argument("--against_id", metavar="COL", help="its id column (default: as --id)")
    data.add_argument("--against_embedding", metavar="COL", help="its vectors (default: as --embedding)")
    add_options(data, of, "within", "one_to_one")
    data.add_argument(
        "--from_pairs", metavar="DIR", help="reuse the scores of that earlier run; score only missing pairs"
    )
    add_options(verify, of, "rule", "model_share", "languages", "score_all", "cascade_model", "cascade_band")
    add_options(rule, of, "empty")
    parts = p.add_argument_group("passages: search inside the rows, without a model")
    add_options(parts, PassageSettings, "contains", "unit", "contained", "unit_words", "repeats", "remove")
    add_options(machine, of, "component_rounds")
    add_options(data, of, "rows_per_shard", "output_prefix", "report_examples")
    add_console_options(p)
    return p


def run(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Deduplicate. Returns the exit status."""
    options, _, local = beam_options(beam_args)
    passages = from_args(PassageSettings, args)
    if passages.wanted:
        return run_passages(args, passages, options, local=local)
    if local:
        check_device_here(args.device)
    settings = from_args(CommandSettings, args)
    job = prepare(args, settings)
    with claim(job.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover) as output:
        job = replace(job, writer=replace(job.writer, output=output))
        if local:
            with work_folder(job.output) as work:
                summary = run_locally(args, job, work)
        else:
            summary = run_on_beam(args, job, options)
        job.output.write_json("summary.json", summary)
    console_of(args).finish(summary_lines(summary, job.output.root), summary)
    return 0


def run_locally(args: argparse.Namespace, job: DedupJob, work: Path) -> dict[str, Any]:
    """Run on one machine: read, propose, verify, decide, write. Returns the summary."""
    watch = ConsoleWatch(console_of(args))
    settings = job.settings
    plan = Plan(job.proposal, settings.policy, job.checkpoint, settings.max_pairs, settings.learning)
    with watch.stage("rows", sum(source.plan.rows for source in job.sources)) as seen:
        blank, keep = settings.empty == "score", settings.policy.keep
        corpus = read_corpus(job.sources, keep, job.proposal, compare_blank=blank, folder=work, seen=seen)
    watch.lap("read")
    corpus, learnt = learn_first(plan, corpus)
    watch.lap("learn")
    reports: list[dict[str, Any]] = []
    pairs = pairs_schema(corpus.rows.ids[0].type, corpus.against)
    if earlier := job.earlier:
        planned = plan_pairs(earlier.pairs, pairs, compared=earlier.compared)
        edges = read_edges(planned, corpus.rows, corpus.distinct, settings.max_lost, earlier.pairs)
        shards = PairShards(
            job.output, _verifier(job, corpus.texts, learnt) if earlier.completes else None, corpus
        )
        if earlier.completes:
            edges = shards.complete(edges)
        watch.lap("pairs")
        shards.write(edges)
        decided = decide_corpus(plan, corpus, edges, shards if earlier.completes else None)
    else:
        shards = PairShards(job.output, _verifier(job, corpus.texts, learnt), corpus)
        edges, reports = score_candidates(plan, corpus, shards, watch)
        watch.lap("score")
        decided = decide_corpus(plan, corpus, edges, shards)
    if settings.keep_rows is not None:
        plan, decided = decide_for_rows(plan, corpus, decided, settings.keep_rows)
        job = job.at(plan.policy.threshold)
    proposed = len(edges.verdicts)
    del edges  # the decisions have them too
    shards.write_identical()
    shards.finish()
    made = decided.made
    threshold = plan.policy.threshold
    cuts = settings.cuts(threshold)
    counts = count_removals(made.rule, made.edges.pairs, cuts)
    table = threshold_table(cuts, rows_by_text(made.rule.own_rows), counts)
    watch.lap("decide")
    writer = RowWriter(job.writer, corpus.rows, decided, threshold, job.models)
    whole, damaged = writer.whole(verify=args.verify)
    missing = [part for part in job.sources[0].plan.slices if part.index not in whole]
    with watch.stage("rows", job.sources[0].plan.rows) as step:
        for count in writer.write(missing):
            step(count, "")
    job.output.finish({**writer.to.schemas, "pairs": pairs})
    watch.lap("write")
    rows = row_counts(job)
    if rows.rows_removed != int(decided.removed.sum()):
        raise RuntimeError(f"the counts do not add up: {rows}, {decided.removed.sum()} rows decided on")
    counted = counts_of(corpus, decided, proposed, shards, threshold) + DedupCounts(
        shards_damaged=len(damaged)
    )
    largest = [cluster for _, cluster in describe_clusters(made, corpus.first_ids)]
    counts = counted.summary(reports, largest, table, learnt.record(), keeps_blank=args.empty == "keep")
    summary = summarise(args, job, "one machine", rows, counts, watch.seconds, watch.timeline)
    view = corpus_view(corpus, decided)
    shown = pair_examples(made, made.edges, threshold, args.report_examples, view)
    _report(args, job, summary, by_kind(shown))
    return summary


class ConsoleWatch:
    """Shows the progress of a run, and measures its time."""

    def __init__(self, console: Console) -> None:
        self._console, self._clock = console, Clock()
        self.timeline: dict[str, Any] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds of each part of the run."""
        return self._clock.seconds

    def lap(self, name: str) -> None:
        """End a part of the run."""
        self._clock.lap(name)

    @contextmanager
    def stage(self, unit: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """Show the progress of a stage as a bar or as lines. For pairs, also record the timeline."""
        if unit == "pairs":
            self.lap("candidates")
        steps, pace = Steps(), Timeline()

        def step(count: int, at: str) -> None:
            steps.add(count, at)
            pace.add(count)

        with progress(total, lambda: steps.done, unit, where=lambda: steps.at, console=self._console):
            yield step
        if unit == "pairs":
            self.timeline = pace.timeline()


def _report(
    args: argparse.Namespace, job: DedupJob, summary: dict[str, Any], shown: dict[str, list[Example]]
) -> None:
    rejected = merge_examples(read_rejected(job.output), each=args.report_examples)
    job.output.write_text(
        "report.html", render(dedup_page(summary, {**shown, **rejected}, job.checkpoint.card))
    )


def run_on_beam(args: argparse.Namespace, job: DedupJob, options: Any) -> dict[str, Any]:
    """Run with a Beam runner. Returns the summary."""
    from apache_beam.options.pipeline_options import StandardOptions

    from beam_sts.candidates.beam_nearest import blocks_for, parts_for
    from beam_sts.cli.beam_options import note_few_parts, run_pipeline
    from beam_sts.dedup.beam_components import MOST_NODES, ROUNDS
    from beam_sts.dedup.beam_files import REPORT, BeamSettings, DeduplicateSlices
    from beam_sts.dedup.beam_scored import KeptScores
    from beam_sts.dedup.beam_texts import row_shards_for

    clock = Clock()
    against = job.sources[1] if args.against else None
    rows = sum(source.plan.rows for source in job.sources)
    note_few_parts(
        options, rows, console_of(args), parts_for(rows) if "lexical" in job.proposal.sources else 1
    )
    rounds = args.component_rounds
    settings = BeamSettings(
        job.writer,
        job.settings,
        job.proposal,
        job.checkpoint.name,
        job.models,
        against,
        blocks_for(rows),
        row_shards_for(rows),
        ROUNDS if rounds is None and rows > MOST_NODES else rounds or 0,
        job.earlier is None or job.earlier.completes,
        KeptScores.of(job.output),
    )
    inputs: dict[str, list[Any]] = {"rows": list(job.sources[0].plan.units)}
    if against is not None:
        inputs["against"] = list(against.plan.units)
    plans = [plan_given(pattern, job.proposal.read) for pattern in job.proposal.pair_files]
    if plans:
        inputs["given"] = [(unit, plan.schema, job.proposal.read) for plan in plans for unit in plan.units]
    schema = pairs_schema(job.sources[0].id_type, against=against is not None)
    if job.earlier:
        inputs["scored"] = plan_pairs(job.earlier.pairs, schema, compared=job.earlier.compared)
    # Slices are committed one by one, but a decision about a row needs all slices, so nothing is skipped.
    job.output.drop("pairs", job.output.numbers("pairs"), "pairs")  # a local run cuts shards differently
    run_pipeline(options, inputs, DeduplicateSlices(settings))
    if settings.kept:
        settings.kept.drop()
    job.output.finish({**settings.writer.schemas, "pairs": schema})
    clock.lap("run")
    fs, inside = file_system(job.output.path(REPORT))
    counted = json.loads(fs.cat_file(inside))
    job = job.at(counted["threshold"])
    counts = DedupCounts.read(counted, some=True).summary(
        counted["candidates"],
        counted["largest_clusters"],
        counted["thresholds"],
        {name: counted[name] for name in ("languages", "boilerplate")},
        keeps_blank=args.empty == "keep",
    )
    path = f"Beam, {options.view_as(StandardOptions).runner}"
    summary = summarise(args, job, path, row_counts(job), counts, clock.seconds, {})
    _report(args, job, summary, counted["examples"])
    return summary


def _verifier(job: DedupJob, texts: pa.LargeStringArray, learnt: Learnt) -> Verifier:
    overlap = Overlap.learn(texts) if job.settings.blend else None
    return job.settings.scoring(job.checkpoint, job.cascade).verifier(overlap, learnt)


def _profile(argv: Sequence[str] | None) -> str:
    """The requested profile. Its settings are defaults for the other options, so it must be known first."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--profile", nargs="?")
    return str(early.parse_known_args(argv)[0].profile)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    command = parser()
    command.set_defaults(**PROFILES.get(_profile(argv), {}))
    args, beam_args = command.split(argv)
    return guarded(
        lambda: run(args, beam_args),
        **kept_in(args.output),
        console=console_of(args),
    )
