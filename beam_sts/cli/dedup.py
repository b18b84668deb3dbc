r"""Remove near-duplicates from a corpus: verified pairs only, and a receipt for every removed row.

    python -m pipelines.dedup --input 'corpus/*.parquet' --output clean/ --text text --id url
    python -m pipelines.dedup --input new.jsonl --against clean/kept --output fresh/ --text text
    python -m pipelines.dedup --input 'corpus/*.parquet' --output strict/ --text text --id url \
        --from_pairs clean --threshold 0.95

The output folder resumes: run the same command again and it takes the scores that are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts.candidates.buckets import CAP
from beam_sts.candidates.given import plan_given
from beam_sts.candidates.propose import propose
from beam_sts.candidates.rejects import read_rejected
from beam_sts.candidates.source import EMPTY
from beam_sts.cli.args import Parser, beam_options
from beam_sts.cli.console import Clock, add_console_options, console_of, guarded, kept_in, progress
from beam_sts.cli.dedup_job import Job, prepare
from beam_sts.cli.dedup_summary import summarise, summarise_beam, summary_lines
from beam_sts.cli.describe import (
    add_report_options,
)
from beam_sts.cli.formats import add_format_options
from beam_sts.cli.scoring import add_places, add_scoring_options, check_device, scorer_options, trust
from beam_sts.dedup.components import ROUNDS
from beam_sts.dedup.decide import GUARD, decide, row_outcomes
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.receipts import RowWriter, SliceWriter
from beam_sts.dedup.rows import Nodes, Rows, best_rows, make_nodes, read_rows
from beam_sts.dedup.rule import LINKAGES, TABLE, Policy, count_removals, node_sizes, threshold_table
from beam_sts.dedup.shards import PairShards, edges_of, pairs_schema, read_edges
from beam_sts.dedup.show import Look, by_kind, examples
from beam_sts.dedup.verify import MODEL_SHARE, THRESHOLD, Scoring, Verifier, check_pairs
from beam_sts.errors import UserError
from beam_sts.examples import Example, merge_examples
from beam_sts.io.files import file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.spill import TextFile, work_folder
from beam_sts.io.summary import Pace, Steps
from beam_sts.report import render
from beam_sts.report.dedup import dedup_page

MAX_PAIRS = 5_000_000
ROWS_PER_SHARD = 20_000
_COPY = 20_000  # texts that are in memory at once when they are written to disk


EXAMPLES = (
    "--input 'corpus/*.parquet' --output clean --text text --id url",
    "--input corpus.jsonl --output clean --text text --threshold 0.85 --keep longest",
    "--input new.jsonl --against clean/kept --output fresh --text text",
    "--input 'corpus/*.parquet' --output strict --text text --id url --from_pairs clean --threshold 0.95",
)


def parser() -> Parser:
    """The command's own options."""
    p = Parser("dedup", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    rule = p.add_argument_group("what is a duplicate, and which row stays")
    find = p.add_argument_group("candidates")
    verify = p.add_argument_group("scoring")
    machine = p.add_argument_group("machine")
    add_places(data)
    add_scoring_options(verify, machine, long_text="windows")
    data.add_argument("--text", required=True, metavar="COL", help="column of the texts, a.b in a struct")
    data.add_argument("--id", metavar="COL", help="column of distinct ids (default: row numbers, as _id)")
    add_format_options(p.add_argument_group("formats"))
    rule.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="T",
        help="least score of a duplicate (default: %(default)s)",
    )
    rule.add_argument(
        "--keep",
        default="first",
        metavar="POLICY",
        help="which row of a cluster stays: first, longest, shortest, central (most like the others), or "
        "highest:X, X a column or an SQL expression over the columns; ties go by id (default: %(default)s)",
    )
    rule.add_argument(
        "--linkage",
        choices=LINKAGES,
        default="single",
        help="clusters: single (connected components), or average: merged while the mean score of all their "
        "pairs reaches the threshold, pairs that are no candidates counting 0 (default: %(default)s)",
    )
    find.add_argument(
        "--candidates",
        default="exact,minhash",
        metavar="LIST",
        help="exact, minhash, lexical, neighbours, block:EXPRESSION, pairs:FILE; any union "
        "(default: %(default)s)",
    )
    find.add_argument(
        "--minhash_similarity", type=float, default=0.7, metavar="J", help="default: %(default)s"
    )
    find.add_argument("--minhash_recall", type=float, default=0.95, metavar="R", help="default: %(default)s")
    find.add_argument("--shingle", default="char4", metavar="S", help="charN or wordN (default: %(default)s)")
    find.add_argument(
        "--neighbours", type=int, default=10, metavar="K", help="of each text, for lexical and neighbours"
    )
    find.add_argument(
        "--embedding",
        metavar="COL",
        help="vectors that neighbours go by (default: --model's token vectors)",
    )
    find.add_argument(
        "--bucket_cap",
        type=int,
        default=CAP,
        metavar="N",
        help="largest bucket whose members are all paired; of a larger one each member is paired with N/2 "
        "others and the first, and that is counted (default: %(default)s)",
    )
    find.add_argument(
        "--max_pairs",
        type=int,
        default=MAX_PAIRS,
        metavar="N",
        help="stop before scoring more candidates than this (default: %(default)s)",
    )
    data.add_argument(
        "--against", metavar="PATTERN", help="remove rows that duplicate a row of this other input"
    )
    data.add_argument("--against_text", metavar="COL", help="its text column (default: as --text)")
    data.add_argument("--against_id", metavar="COL", help="its id column (default: as --id)")
    data.add_argument("--against_embedding", metavar="COL", help="its vectors (default: as --embedding)")
    data.add_argument(
        "--within", action="store_true", help="with --against: also compare the input with itself"
    )
    data.add_argument(
        "--one_to_one",
        action="store_true",
        help="with --against: a row goes only if it and its survivor are each other's best match",
    )
    data.add_argument(
        "--from_pairs", metavar="DIR", help="take the scores of that earlier run; score nothing"
    )
    verify.add_argument(
        "--rule",
        choices=("model", "blend"),
        default="blend",
        help="score of a pair: the model's, or a mean of it and of the overlap of the texts, rare parts "
        "weighing more (default: %(default)s)",
    )
    verify.add_argument(
        "--model_share",
        type=float,
        default=MODEL_SHARE,
        metavar="W",
        help="the model's part of a blend, 0 to 1 (default: %(default)s)",
    )
    verify.add_argument(
        "--cascade_model", metavar="M", help="a better model for the pairs near the threshold"
    )
    verify.add_argument(
        "--cascade_band", metavar="LO,HI", help="scores that go to it (default: threshold -0.1, +0.05)"
    )
    rule.add_argument(
        "--empty",
        choices=EMPTY,
        default="keep",
        help="empty texts: keep all, score (duplicates of each other) or reject (default: %(default)s)",
    )
    machine.add_argument(
        "--component_rounds",
        type=int,
        default=ROUNDS,
        metavar="N",
        help="with --runner: rounds of the search for clusters; long chains need more (default: %(default)s)",
    )
    data.add_argument(
        "--rows_per_shard", type=int, default=ROWS_PER_SHARD, metavar="N", help="default: %(default)s"
    )
    add_report_options(data)
    add_console_options(p)
    return p


def run(own: argparse.Namespace, beam_args: list[str]) -> int:
    """Deduplicate; gives the exit status."""
    options, _, local = beam_options(beam_args)
    if local:
        check_device(own.device)
    job = prepare(own)
    if not local:
        check_beam(own)
    with job.output.claim(job.fingerprint, overwrite=own.overwrite, takeover=own.takeover) as output:
        job = replace(job, output=output)
        if local:
            with work_folder(job.output) as work:
                summary = run_locally(own, job, work)
        else:
            summary = run_on_beam(own, job, options)
        job.output.write_json("summary.json", summary)
    console_of(own).finish(summary_lines(summary, job.output.root), summary)
    return 0


def run_locally(own: argparse.Namespace, job: Job, work: Path) -> dict[str, Any]:
    """Read, propose, verify, decide, write; gives the summary."""
    clock = Clock()
    spill = TextFile(work / "texts")
    total, reading = sum(source.plan.rows for source in job.sources), Steps()
    with progress(total, lambda: reading.done, "rows", where=lambda: reading.at, console=console_of(own)):
        rows = read_rows(job.sources, spill, job.keep, job.proposal.blocks, reading.add)
    id_rank = rows.id_ranks()
    nodes = make_nodes(
        rows,
        id_rank,
        merge=job.proposal.by_text,
        compare_blank=own.empty == "score",
        apart=bool(own.against) and not own.within,
    )
    spill = _node_texts(rows, nodes, spill, work)
    texts = spill.column()
    clock.lap("read")
    if own.from_pairs:
        edges = read_edges(OutputFolder.at(own.from_pairs).path("pairs"), rows, nodes)
        shards, reports, timeline = None, [], {}
        clock.lap("pairs")
    else:
        total, found = len(job.proposal.sources), Steps()
        with progress(total, lambda: found.done, "sources", where=lambda: found.at, console=console_of(own)):
            proposed = propose(
                job.proposal, rows, nodes, texts, job.checkpoint, lambda source: found.add(1, source)
            )
        reports = proposed.reports
        clock.lap("candidates")
        check_pairs(len(proposed.a), own.max_pairs)
        shards = PairShards(job.output, _verifier(own, job, texts), rows, nodes, texts)
        pace = Pace()

        def scored(pairs: int) -> None:
            pace.add(pairs)
            spill.release()

        with progress(len(proposed.a), lambda: pace.done, "pairs", console=console_of(own)):
            edges = edges_of(proposed, *shards.score(proposed.a, proposed.b, proposed.source, scored))
        timeline = pace.timeline()
        clock.lap("score")
    policy = Policy(own.threshold, job.keep, own.linkage, own.one_to_one)
    rank, best = best_rows(rows, nodes, id_rank, job.keep)
    verify = None if shards is None else partial(shards.score, source=GUARD)
    made = decide(policy, rank, nodes.rows, nodes.side == 1, edges, verify)
    outcomes = row_outcomes(made, nodes.of_row, best, nodes.row)
    if shards is not None:
        shards.write_identical()
    else:
        shards = PairShards(job.output, None, rows, nodes, texts)  # type: ignore[arg-type]
        shards.write(edges)
        shards.write_identical()
    shards.finish()
    cuts = sorted({*TABLE, own.threshold})
    counts = count_removals(made.rule, made.edges.pairs, cuts)
    table = threshold_table(cuts, node_sizes(made.rule.own_rows), counts)
    clock.lap("decide")
    model = job.fingerprint["model"] + (f"+{job.fingerprint['cascade_model']}" if job.cascade else "")
    writer = RowWriter(_writer(own, job), rows, outcomes, own.threshold, model)
    whole, damaged = writer.whole(verify=own.verify)
    missing = [part for part in job.sources[0].plan.slices if part.index not in whole]
    written = 0
    with progress(job.sources[0].plan.rows, lambda: written, "rows", console=console_of(own)):
        for count in writer.write(missing):
            written += count
    job.output.finish({**writer.to.schemas, "pairs": pairs_schema(rows.ids[0].type, own.against is not None)})
    clock.lap("write")
    summary = summarise(own, job, rows, nodes, made, outcomes, edges, shards, reports, table, clock.seconds)
    summary["shards_damaged"] = shards.damaged + len(damaged)
    summary["timeline"] = timeline
    look = Look(
        lambda found: found.tolist(),
        lambda found: rows.ids_of(nodes.row[found]).to_pylist(),
        lambda found: rows.ids_of(best[found]).to_pylist(),
        lambda found: texts.take(pa.array(found)).to_pylist(),
    )
    shown = examples(made, made.edges.pairs, own.threshold, own.report_examples, look)
    _report(own, job, summary, by_kind(shown))
    return summary


def _writer(own: argparse.Namespace, job: Job) -> SliceWriter:
    return SliceWriter(job.output, job.sources[0], len(job.sources) > 1, own.report_examples)


def _report(
    own: argparse.Namespace, job: Job, summary: dict[str, Any], shown: dict[str, list[Example]]
) -> None:
    rejected = merge_examples(read_rejected(job.output), each=own.report_examples)
    job.output.write_text(
        "report.html", render(dedup_page(summary, {**shown, **rejected}, job.checkpoint.card))
    )


def check_beam(own: argparse.Namespace) -> None:
    """See that a Beam runner can do what is asked for.

    Raises:
        UserError: an option needs one machine.
    """
    if own.from_pairs:
        raise UserError("--from_pairs: runs on one machine. Leave out --runner, or the option.")


def run_on_beam(own: argparse.Namespace, job: Job, options: Any) -> dict[str, Any]:
    """The same by a Beam runner, for what it can; gives the summary."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import StandardOptions

    from beam_sts.candidates.beam_nearest import blocks_for
    from beam_sts.cli.beam_options import runner_of
    from beam_sts.dedup.beam_files import REPORT, BeamSettings, DeduplicateSlices

    clock = Clock()
    against = job.sources[1] if own.against else None
    model = job.fingerprint["model"] + (f"+{job.fingerprint['cascade_model']}" if job.cascade else "")
    settings = BeamSettings(
        _writer(own, job),
        own.threshold,
        job.keep,
        model,
        job.checkpoint.name,
        job.proposal,
        against,
        {
            "linkage": own.linkage,
            "one_to_one": own.one_to_one,
            "blocks": blocks_for(sum(source.plan.rows for source in job.sources)),
            "rounds": own.component_rounds,
            "symmetric": own.symmetric,
            "blend": own.rule == "blend",
            "model_share": own.model_share,
            "cascade_model": own.cascade_model,
            "cascade_band": job.band if own.cascade_band else None,
            "compare_blank": own.empty == "score",
            "max_pairs": own.max_pairs,
            "thresholds": TABLE,
            "report_examples": own.report_examples,
            **scorer_options(own),
            **trust(own),
        },
    )
    inputs: dict[str, list[Any]] = {"rows": list(job.sources[0].plan.units)}
    if against is not None:
        inputs["against"] = list(against.plan.units)
    patterns = [s.partition(":")[2] for s in job.proposal.sources if s.startswith("pairs:")]
    plans = [plan_given(pattern, job.proposal.read) for pattern in patterns]
    if plans:
        inputs["given"] = [(unit, plan.schema, job.proposal.read) for plan in plans for unit in plan.units]
    # Slices are committed one by one, but what becomes of a row takes all of them: nothing is skipped.
    job.output.drop("pairs", job.output.numbers("pairs"), "pairs")  # one machine cuts them otherwise
    with beam.Pipeline(runner=runner_of(options), options=options) as pipeline:
        parts = {
            name: pipeline | f"Slices of {name}" >> beam.Create(units, reshuffle=False)
            for name, units in inputs.items()
        }
        _ = parts | DeduplicateSlices(settings)
    kind = job.sources[0].id_type
    job.output.finish({**settings.writer.schemas, "pairs": pairs_schema(kind, against=against is not None)})
    clock.lap("run")
    fs, path = file_system(job.output.path(REPORT))
    counted = json.loads(fs.cat_file(path))
    summary = summarise_beam(own, job, counted, clock.seconds)
    summary["path"] = f"Beam, {options.view_as(StandardOptions).runner}"
    _report(own, job, summary, counted["examples"])
    return summary


def _node_texts(rows: Rows, nodes: Nodes, spill: TextFile, work: Path) -> TextFile:
    """The texts of the nodes, in their order; ``spill`` has those of the rows."""
    if np.array_equal(nodes.row, np.arange(len(rows))):
        return spill
    file = TextFile(work / "distinct")
    for start in range(0, len(nodes), _COPY):
        file.append(rows.texts.take(pa.array(nodes.row[start : start + _COPY])))
        spill.release()
    return file


def _verifier(own: argparse.Namespace, job: Job, texts: pa.LargeStringArray) -> Verifier:
    scoring = Scoring(
        job.checkpoint,
        own.symmetric,
        job.cascade,
        job.band,
        own.threshold,
        scorer_options(own),
        own.model_share,
    )
    return scoring.verifier(Overlap.learn(texts) if own.rule == "blend" else None)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    own, beam_args = parser().split(argv)
    return guarded(
        lambda: run(own, beam_args),
        **kept_in(own.output),
        console=console_of(own),
    )
