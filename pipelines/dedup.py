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
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import StandardOptions

import beam_sts
from beam_sts.corpus.buckets import CAP
from beam_sts.corpus.candidates import MinHash
from beam_sts.corpus.dedup import (
    LINKAGES,
    TABLE,
    Decision,
    KeepPolicy,
    decide,
    describe_clusters,
    threshold_table,
)
from beam_sts.corpus.given import plan_given
from beam_sts.corpus.overlap import Overlap
from beam_sts.corpus.propose import Proposal, parse_sources, propose
from beam_sts.corpus.receipts import FOLDERS, RECEIPT, RowWriter, SliceWriter
from beam_sts.corpus.rows import EMPTY, Nodes, Rows, Source, make_nodes, read_rows
from beam_sts.corpus.shards import Edges, PairShards, edges_of, pairs_schema, read_edges
from beam_sts.corpus.show import examples
from beam_sts.corpus.verify import Verifier, VerifyStats
from beam_sts.errors import UserError
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart, file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.slices import plan_input
from beam_sts.io.spill import TextFile, work_folder
from beam_sts.io.summary import Pace, add_records, quantiles, score_histogram
from beam_sts.models.checkpoint import DEFAULT_MODEL, Checkpoint, load_checkpoint
from beam_sts.report import render
from beam_sts.report.dedup import dedup_page
from beam_sts.scoring.backends import PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT
from beam_sts.scoring.scorer import PairScorer
from beam_sts.transforms.components import ROUNDS
from beam_sts.transforms.dedup_files import REPORT, BeamSettings, DeduplicateSlices
from beam_sts.transforms.nearest import blocks_for
from pipelines.cli import (
    Clock,
    Parser,
    add_console_options,
    check_runs,
    console_of,
    guarded,
    local_options,
    program,
    progress,
)
from pipelines.describe import (
    add_report_options,
    check_report_options,
    describe_input,
    describe_model,
    digest,
)
from pipelines.formats import add_format_options, format_settings, output_folder, read_options

THRESHOLD = 0.9
MAX_PAIRS = 5_000_000
ROWS_PER_SHARD = 20_000
_SETTINGS = (
    *("text", "id", "threshold", "keep", "candidates", "minhash_similarity", "minhash_recall", "shingle"),
    *("neighbours", "bucket_cap", "against_text", "against_id", "within", "symmetric", "long_text", "empty"),
    *("embedding", "against_embedding", "precision", "rows_per_shard", "cascade_band", "rule", "linkage"),
    "one_to_one",
)
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
    data.add_argument("--input", required=True, metavar="PATTERN", help="file, folder, pattern or fsspec URL")
    data.add_argument("--output", required=True, metavar="DIR", help="output folder, local or fsspec URL")
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
        "--model",
        default=DEFAULT_MODEL,
        help="embedded model, folder, fsspec URL or Hugging Face id[@revision] (default: %(default)s)",
    )
    verify.add_argument(
        "--rule",
        choices=("model", "blend"),
        default="model",
        help="score of a pair: the model's, or, for records, its mean with the overlap of the texts, rare "
        "parts weighing more (default: %(default)s)",
    )
    verify.add_argument(
        "--cascade_model", metavar="M", help="a better model for the pairs near the threshold"
    )
    verify.add_argument(
        "--cascade_band", metavar="LO,HI", help="scores that go to it (default: threshold -0.1, +0.05)"
    )
    verify.add_argument("--symmetric", action="store_true", help="mean of both orders, at twice the work")
    verify.add_argument("--long_text", choices=LONG_TEXT, default="windows", help="default: %(default)s")
    rule.add_argument(
        "--empty",
        choices=EMPTY,
        default="keep",
        help="empty texts: keep all, score (duplicates of each other) or reject (default: %(default)s)",
    )
    machine.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32")
    machine.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    machine.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    machine.add_argument(
        "--component_rounds",
        type=int,
        default=ROUNDS,
        metavar="N",
        help="with --runner: rounds of the search for clusters; long chains need more (default: %(default)s)",
    )
    verify.add_argument(
        "--allow_pickle", action="store_true", help="load a model's .bin if you trust its source"
    )
    verify.add_argument(
        "--trust_remote_code", action="store_true", help="run a model's own code if you trust it"
    )
    data.add_argument(
        "--rows_per_shard", type=int, default=ROWS_PER_SHARD, metavar="N", help="default: %(default)s"
    )
    data.add_argument("--overwrite", action="store_true", help="drop an earlier run's output in DIR")
    add_report_options(data)
    add_console_options(p)
    return p


@dataclass(frozen=True)
class Job:
    """A run whose inputs, models and settings have been looked at and hold together."""

    sources: list[Source]
    output: OutputFolder
    proposal: Proposal
    keep: KeepPolicy
    checkpoint: Checkpoint
    cascade: Checkpoint | None
    band: tuple[float, float]
    fingerprint: dict[str, Any]


def prepare(own: argparse.Namespace) -> Job:
    """Look at everything before the long work.

    Raises:
        UserError: the first thing that is wrong.
    """
    for name, least in (
        ("rows_per_shard", 1),
        ("threads", 1),
        ("neighbours", 1),
        ("bucket_cap", 2),
        ("max_pairs", 1),
        ("component_rounds", 1),
    ):
        value = getattr(own, name)
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: must be at least {least}.")
    check_report_options(own)
    if own.within and not own.against:
        raise UserError("--within: goes with --against; without it the input is compared with itself anyway.")
    if own.one_to_one and not own.against:
        raise UserError("--one_to_one: goes with --against; it is about matches of two inputs.")
    if own.linkage == "average" and own.against:
        raise UserError("--linkage average: groups the rows of one input. Leave --against out.")
    if own.rule == "blend" and own.cascade_model:
        raise UserError("--rule blend: goes without --cascade_model.")
    keep = KeepPolicy(own.keep)
    proposal = Proposal(
        parse_sources(own.candidates),
        MinHash(own.minhash_similarity, own.minhash_recall, own.shingle),
        own.bucket_cap,
        own.neighbours,
        own.within,
    )
    if own.embedding and "neighbours" not in proposal.sources:
        raise UserError("--embedding: goes with neighbours among the --candidates.")
    trust = {"allow_pickle": own.allow_pickle, "trust_remote_code": own.trust_remote_code}
    checkpoint = load_checkpoint(own.model, **trust)
    cascade = load_checkpoint(own.cascade_model, **trust) if own.cascade_model else None
    band = _band(own)
    options = read_options(own)
    plan = plan_input(own.input, own.rows_per_shard, options)
    check_apart(own.input, plan.files, own.output)
    sources = [Source(plan, options, own.text, own.id, own.empty == "reject", own.embedding)]
    sources[0].check("")
    if own.against:
        other = plan_input(own.against, own.rows_per_shard, options)
        text, name = own.against_text or own.text, own.against_id or own.id
        vector = own.against_embedding or own.embedding
        sources.append(Source(other, options, text, name, own.empty == "reject", vector))
        sources[1].check("against_")
        if sources[0].id_type != sources[1].id_type:
            raise UserError(
                f"--id {own.id}: holds {sources[0].id_type} in the input and {sources[1].id_type} in "
                f"--against {own.against}. Cast one of them."
            )
    own_names = {*RECEIPT, *(() if own.id else ("_id",)), *(("survivor_in",) if own.against else ())}
    taken = sorted(own_names & set(plan.schema.names))
    if taken:
        raise UserError(
            f"the input already has a column {taken[0]!r}, a name of the receipts. Rename or drop it first"
            + (", or name it with --id." if taken[0] == "_id" else ".")
        )
    output = output_folder(own, FOLDERS)
    check_encodable(plan.schema, own.output_format)
    settings = {name: getattr(own, name) for name in _SETTINGS}
    fingerprint = {
        "pipeline": "dedup",
        "input": _identity(sources[0]),
        "against": _identity(sources[1]) if own.against else None,
        "model": checkpoint.fingerprint,
        "cascade_model": cascade.fingerprint if cascade else None,
        "from_pairs": None,
        "settings": {**settings, **format_settings(own)},
    }
    if own.from_pairs:
        fingerprint |= _earlier(own.from_pairs, fingerprint)
    return Job(sources, output, proposal, keep, checkpoint, cascade, band, fingerprint)


def _identity(source: Source) -> list[dict[str, Any]]:
    return [
        {"path": file.path, "size": file.size, "identity": file.identity, "content": content}
        for file, content in zip(source.plan.files, source.plan.contents, strict=True)
    ]


def _band(own: argparse.Namespace) -> tuple[float, float]:
    if own.cascade_band and not own.cascade_model:
        raise UserError("--cascade_band: goes with --cascade_model.")
    if not own.cascade_band:
        return own.threshold - 0.1, own.threshold + 0.05
    try:
        low, high = (float(part) for part in own.cascade_band.split(","))
    except ValueError as error:
        raise UserError(
            f"--cascade_band {own.cascade_band}: must be two numbers, such as 0.8,0.95."
        ) from error
    if not low <= high:
        raise UserError(f"--cascade_band {own.cascade_band}: the first must not be above the second.")
    return low, high


def _earlier(folder: str, fingerprint: dict[str, Any]) -> dict[str, Any]:
    """What the fingerprint takes over from the run whose pairs are used."""
    fs, inside = file_system(OutputFolder.at(folder).path("_run", "run.json"))
    if not fs.exists(inside):
        raise UserError(f"--from_pairs {folder}: holds no run of pipelines.dedup (no _run/run.json).")
    before = json.loads(fs.cat_file(inside))
    if before.get("pipeline") != "dedup":
        raise UserError(f"--from_pairs {folder}: holds a run of pipelines.{before.get('pipeline')}.")
    summary_fs, summary = file_system(OutputFolder.at(folder).path("summary.json"))
    if not summary_fs.exists(summary):
        raise UserError(
            f"--from_pairs {folder}: that run is not finished (no summary.json). Run it again first."
        )
    for key in ("input", "against"):
        if before[key] != fingerprint[key]:
            raise UserError(
                f"--from_pairs {folder}: is of another --{key}, or its files have changed. Give that one, or "
                "leave --from_pairs out to score anew."
            )
    for key in ("text", "id", "empty", "against_text", "against_id", "within"):
        was, now = before["settings"][key], fingerprint["settings"][key]
        if was != now:
            raise UserError(f"--from_pairs {folder}: was made with --{key} {was}, not {now}.")
    return {
        "model": before["model"],
        "cascade_model": before["cascade_model"],
        "from_pairs": {"folder": OutputFolder.at(folder).root, "settings": before["settings"]},
    }


def run(own: argparse.Namespace, beam_args: list[str]) -> int:
    """Deduplicate; gives the exit status."""
    options, _, local = local_options(beam_args)
    check_runs(options)
    job = prepare(own)
    with job.output.lock(takeover=own.takeover) as output:
        job = replace(job, output=output)
        output.prepare(job.fingerprint, overwrite=own.overwrite)
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
    rows = read_rows(job.sources, spill, own.keep, job.proposal.blocks)
    id_rank = rows.id_ranks()
    nodes = make_nodes(
        rows,
        id_rank,
        merge=job.proposal.by_text,
        compare_blank=own.empty == "score",
        apart=bool(own.against) and not own.within,
    )
    texts = _node_texts(rows, nodes, work)
    clock.lap("read")
    if own.from_pairs:
        edges = read_edges(OutputFolder.at(own.from_pairs).path("pairs"), rows, nodes)
        shards, reports, timeline = None, [], {}
        clock.lap("pairs")
    else:
        proposed = propose(job.proposal, rows, nodes, texts, job.checkpoint)
        reports = proposed.reports
        clock.lap("candidates")
        if len(proposed.a) > own.max_pairs:
            raise UserError(
                f"--max_pairs {own.max_pairs:,}: there are {len(proposed.a):,} candidate pairs. Raise it, or "
                "narrow them: a higher --minhash_similarity, a smaller --bucket_cap, fewer --candidates."
            )
        shards = PairShards(job.output, _verifier(own, job, texts), rows, nodes, texts)
        pace = Pace()
        with progress(len(proposed.a), lambda: pace.done, "pairs", console=console_of(own)):
            edges = edges_of(proposed, *shards.score(proposed.a, proposed.b, proposed.source, pace.add))
        timeline = pace.timeline()
        clock.lap("score")
    rule = {"linkage": own.linkage, "one_to_one": own.one_to_one}
    made = decide(rows, nodes, id_rank, edges, own.threshold, job.keep, shards, **rule)
    if shards is not None:
        shards.write_identical()
    else:
        shards = PairShards(job.output, None, rows, nodes, texts)  # type: ignore[arg-type]
        shards.write(edges)
        shards.write_identical()
    cuts = sorted({*TABLE, own.threshold})
    table = threshold_table(rows, nodes, id_rank, made.edges, job.keep, cuts, **rule)
    clock.lap("decide")
    model = job.fingerprint["model"] + (f"+{job.fingerprint['cascade_model']}" if job.cascade else "")
    writer = RowWriter(_writer(job), rows, made, own.threshold, model)
    there = job.output.committed()
    missing = [part for part in job.sources[0].plan.slices if part.index not in there]
    written = 0
    with progress(job.sources[0].plan.rows, lambda: written, "rows", console=console_of(own)):
        for count in writer.write(missing):
            written += count
    job.output.finish({**writer.to.schemas, "pairs": pairs_schema(rows.ids[0].type, own.against is not None)})
    clock.lap("write")
    summary = summarise(own, job, rows, nodes, made, edges, shards, reports, table, clock.seconds)
    summary["timeline"] = timeline
    shown = examples(rows, nodes, made, own.threshold, each=own.report_examples)
    job.output.write_text("report.html", render(dedup_page(summary, shown, job.checkpoint.card)))
    return summary


def _writer(job: Job) -> SliceWriter:
    return SliceWriter(job.output, job.sources[0], len(job.sources) > 1)


def run_on_beam(own: argparse.Namespace, job: Job, options: Any) -> dict[str, Any]:
    """The same by a Beam runner, for what it can; gives the summary.

    Raises:
        UserError: an option needs one machine.
    """
    only = {
        "--from_pairs": own.from_pairs,
        f"--linkage {own.linkage}": own.linkage != "single",
        "--one_to_one": own.one_to_one,
    }
    for flag, given in only.items():
        if given:
            raise UserError(f"{flag}: runs on one machine. Leave out --runner, or the option.")
    clock = Clock()
    against = job.sources[1] if own.against else None
    trust = {"allow_pickle": own.allow_pickle, "trust_remote_code": own.trust_remote_code}
    model = job.fingerprint["model"] + (f"+{job.fingerprint['cascade_model']}" if job.cascade else "")
    settings = BeamSettings(
        _writer(job),
        own.threshold,
        job.keep.name,
        model,
        job.checkpoint.name,
        job.proposal,
        against,
        {
            "blocks": blocks_for(sum(source.plan.rows for source in job.sources)),
            "rounds": own.component_rounds,
            "symmetric": own.symmetric,
            "blend": own.rule == "blend",
            "cascade_model": own.cascade_model,
            "cascade_band": job.band,
            "compare_blank": own.empty == "score",
            "max_pairs": own.max_pairs,
            **_scorer_options(own),
            **trust,
        },
    )
    inputs: dict[str, list[Any]] = {"rows": list(job.sources[0].plan.units)}
    if against is not None:
        inputs["against"] = list(against.plan.units)
    patterns = [s.partition(":")[2] for s in job.proposal.sources if s.startswith("pairs:")]
    plans = [plan_given(pattern) for pattern in patterns]
    if plans:
        inputs["given"] = [(unit, plan.schema) for plan in plans for unit in plan.units]
    # Slices are committed one by one, but what becomes of a row takes all of them: nothing is skipped.
    with beam.Pipeline(options=options) as pipeline:
        parts = {
            name: pipeline | f"Slices of {name}" >> beam.Create(units, reshuffle=False)
            for name, units in inputs.items()
        }
        _ = parts | DeduplicateSlices(settings)
    kind = job.sources[0].id_type
    job.output.finish({**settings.writer.schemas, "pairs": pairs_schema(kind, against=against is not None)})
    clock.lap("run")
    fs, path = file_system(job.output.path(REPORT))
    summary = summarise_beam(own, job, json.loads(fs.cat_file(path)), clock.seconds)
    summary["path"] = f"Beam, {options.view_as(StandardOptions).runner}"
    job.output.write_text("report.html", render(dedup_page(summary, {}, job.checkpoint.card)))
    return summary


def summarise_beam(
    own: argparse.Namespace, job: Job, report: dict[str, Any], seconds: dict[str, float]
) -> dict[str, Any]:
    """The summary of a run by a Beam runner: as of one machine, without what takes all pairs at once.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan = job.sources[0].plan
    total: dict[str, Any] = {f"rows_{name}": 0 for name in ("read", "kept", "removed", "rejected")}
    total = add_records([total, *job.output.records(part.index for part in plan.slices)])
    counts = {name: total[f"rows_{name}"] for name in ("read", "kept", "removed", "rejected")}
    if counts["read"] != plan.rows or counts["kept"] + counts["removed"] + counts["rejected"] != plan.rows:
        raise RuntimeError(f"the counts do not add up: {plan.rows} rows planned, {total}")
    rows = {str(side): report.get("rows", {}).get(str(side), 0) for side in (0, 1)}
    sizes = {int(size): count for size, count in report.get("cluster_sizes", {}).items()}
    sizes[1] = sizes.get(1, 0) + rows["0"] - sum(size * count for size, count in sizes.items())
    histogram = report.get("score_histogram", {})
    verify = {**asdict(VerifyStats()), **report.get("verify", {})}
    return {
        "pipeline": "dedup",
        "input": describe_input(own.input, plan.files),
        **{f"rows_{name}": count for name, count in counts.items()},
        "rejected_reasons": total.get("reasons", {}),
        "rows_against": rows["1"],
        "texts_compared": report.get("texts_compared", 0),
        "identical_rows": sum(rows.values()) - report.get("texts_compared", 0),
        "empty_texts_kept": report.get("rows_blank", 0) if own.empty == "keep" else 0,
        "candidates": report["candidates"],
        "pairs": report.get("pairs", 0),
        "pairs_accepted": report.get("pairs_accepted", 0),
        "pairs_scored": verify["pairs"],
        "pairs_reused": 0,
        "pairs_guard": report.get("pairs_guard", 0),
        "pairs_failed": verify["failed"],
        "verify": {name: value for name, value in verify.items() if name != "seconds"},
        "unverified": report.get("unverified", 0),
        "clusters": sum(count for size, count in sizes.items() if size > 1),
        "cluster_sizes": {str(size): count for size, count in sorted(sizes.items()) if count},
        "largest_clusters": report["largest_clusters"],
        "thresholds": [],
        "timeline": {},
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        "seconds": seconds,
        "peak_memory_mib": _peak_memory(),
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "cascade": {"model": own.cascade_model, "band": job.band} if job.cascade else None,
        "threshold": own.threshold,
        "settings": job.fingerprint["settings"],
        "versions": {
            "beam_sts": beam_sts.__version__,
            "pyarrow": pa.__version__,
            "python": sys.version.split()[0],
        },
    }


def _peak_memory() -> int:
    """Most memory of this process so far, in MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib / 1024 if sys.platform == "linux" else kib / 1024**2)


def _node_texts(rows: Rows, nodes: Nodes, work: Path) -> pa.LargeStringArray:
    if np.array_equal(nodes.row, np.arange(len(rows))):
        return rows.texts
    file = TextFile(work / "distinct")
    for start in range(0, len(nodes), _COPY):
        file.append(rows.texts.take(pa.array(nodes.row[start : start + _COPY])))
    return file.column()


def _scorer_options(own: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(own, name) for name in ("precision", "device", "threads", "long_text")}


def _verifier(own: argparse.Namespace, job: Job, texts: pa.LargeStringArray) -> Verifier:
    options = _scorer_options(own)
    cascade = PairScorer(job.cascade, **options) if job.cascade else None
    overlap = Overlap.learn(texts) if own.rule == "blend" else None
    scorer = PairScorer(job.checkpoint, **options)
    return Verifier(scorer, own.symmetric, cascade, job.band, own.threshold, overlap)


def summarise(
    own: argparse.Namespace,
    job: Job,
    rows: Rows,
    nodes: Nodes,
    made: Decision,
    edges: Edges,
    shards: PairShards,
    reports: list[dict[str, Any]],
    table: list[dict[str, Any]],
    seconds: dict[str, float],
) -> dict[str, Any]:
    """The run's summary, from the records of its slices.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan = job.sources[0].plan
    total: dict[str, Any] = {f"rows_{kind}": 0 for kind in ("read", "kept", "removed", "rejected")}
    total = add_records([total, *job.output.records(part.index for part in plan.slices)])
    counts = {name: total[f"rows_{name}"] for name in ("read", "kept", "removed", "rejected")}
    if (
        counts["read"] != plan.rows
        or counts["kept"] + counts["removed"] + counts["rejected"] != plan.rows
        or counts["removed"] != int(made.removed.sum())
    ):
        raise RuntimeError(f"the counts do not add up: {plan.rows} rows planned, {counts}")
    sizes = np.bincount(np.bincount(made.cluster[: rows.own], minlength=1))
    good = edges.pairs.scores[~np.isnan(edges.pairs.scores)]
    histogram = score_histogram(good)
    return {
        "pipeline": "dedup",
        "path": "one machine",
        "input": describe_input(own.input, plan.files),
        **{f"rows_{name}": count for name, count in counts.items()},
        "rejected_reasons": total.get("reasons", {}),
        "rows_against": len(rows) - rows.own,
        "texts_compared": len(nodes),
        "identical_rows": len(rows) - len(nodes),
        "empty_texts_kept": int((rows.blank[: rows.own]).sum()) if own.empty == "keep" else 0,
        "candidates": reports,
        "pairs": len(edges.rules),
        "pairs_accepted": int((edges.pairs.scores >= np.float32(own.threshold)).sum()),
        "pairs_scored": shards.stats.pairs,
        "pairs_reused": shards.reused,
        "pairs_guard": made.guard_pairs,
        "pairs_failed": int(np.isnan(made.edges.pairs.scores).sum()),
        "verify": {name: value for name, value in asdict(shards.stats).items() if name != "seconds"},
        "unverified": made.unverified,
        "clusters": int(sizes[2:].sum()),
        "cluster_sizes": {str(size): int(sizes[size]) for size in np.flatnonzero(sizes).tolist() if size},
        "largest_clusters": describe_clusters(rows, nodes, made),
        "thresholds": table,
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        "seconds": seconds,
        "peak_memory_mib": _peak_memory(),
        # With --from_pairs the model is the earlier run's.
        "model": {**describe_model(job.checkpoint), "sha256": job.fingerprint["model"]},
        "fingerprint": digest(job.fingerprint),
        "cascade": {"model": own.cascade_model, "band": job.band} if job.cascade else None,
        "threshold": own.threshold,
        "settings": job.fingerprint["settings"],
        "versions": {
            "beam_sts": beam_sts.__version__,
            "pyarrow": pa.__version__,
            "python": sys.version.split()[0],
        },
    }


def summary_lines(summary: dict[str, Any], root: str) -> list[tuple[str, str]]:
    """The summary as a table: names and texts, the next command last."""
    counts = {name: f"{summary[f'rows_{name}']:,}" for name in ("read", "kept", "removed", "rejected")}
    local = summary["path"] == "one machine"
    lines = [
        ("path", summary["path"] + (" (texts on disk, arrays in memory)" if local else "")),
        ("read", f"{counts['read']} rows"),
        ("kept", counts["kept"]),
        ("removed", f"{counts['removed']}, each with its receipt"),
        (
            "rejected",
            counts["rejected"]
            + "".join(f"\n           {count:,} {why}" for why, count in summary["rejected_reasons"].items()),
        ),
    ]
    for report in summary["candidates"]:
        hot = (
            f"; {report['hot']:,} hot buckets, {report['pairs_capped']:,} pairs not made"
            if report.get("hot")
            else ""
        )
        lines.append(("candidates", f"{report['pairs']:,} by {report['source']}{hot}"))
        if "settings" in report:
            lines.append(("", report["settings"]))
    lines.append(
        (
            "pairs",
            f"{summary['pairs']:,} distinct, {summary['pairs_accepted']:,} at or above "
            f"{summary['threshold']}, {summary['pairs_guard']:,} more scored for the chain guard",
        )
    )
    if summary["pairs_reused"]:
        lines.append(("resumed", f"{summary['pairs_reused']:,} scores were there"))
    if summary["cascade"]:
        verify = summary["verify"]
        lines.append(
            ("cascade", f"{verify['cascaded']:,} pairs went up, {verify['changed']:,} decisions changed")
        )
    if summary["pairs_failed"]:
        lines.append(("failed", f"{summary['pairs_failed']:,} pairs could not be scored: their rows stay"))
    if summary["unverified"]:
        lines.append(
            ("unverified", f"{summary['unverified']:,} rows stay that were not compared with every survivor")
        )
    largest = summary["largest_clusters"][:1]
    lines.append(
        (
            "clusters",
            f"{summary['clusters']:,}"
            + (
                f", the largest of {largest[0]['rows']:,} rows, diameter {largest[0]['diameter']}"
                if largest
                else ""
            ),
        )
    )
    if local:
        lines.append(("thresholds", "removed rows (clusters) had the threshold been"))
    else:
        lines.append(("thresholds", f"on one machine: the same without --runner, with --from_pairs {root}"))
    for row in summary["thresholds"]:
        mark = " <" if row["threshold"] == summary["threshold"] else ""
        lines.append(("", f"{row['threshold']:<5} {row['removed']:>10,} ({row['clusters']:,}){mark}"))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    lines.append(("time", f"{sum(summary['seconds'].values()):.1f} s: {seconds}"))
    lines.append(("memory", f"{summary['peak_memory_mib']:,} MiB at most in this process"))
    lines.append(("output", root))
    lines.append(("report", f"{root}/report.html"))
    lines.append(("next", f"{program('explain')} --run {root} ID"))
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    own, beam_args = parser().split(argv)
    return guarded(
        lambda: run(own, beam_args),
        interrupted=f"What is committed in {own.output} stays: run the same command again to go on.",
        console=console_of(own),
    )


if __name__ == "__main__":
    sys.exit(main())
