"""The summary of ``pipelines.dedup``: counts that add up, as JSON and as lines for the terminal."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

import beam_sts
from beam_sts.cli.args import program
from beam_sts.cli.dedup_job import DedupJob
from beam_sts.cli.describe import (
    describe_input,
    describe_model,
    digest,
)
from beam_sts.dedup.decide import (
    Edges,
    describe_clusters,
)
from beam_sts.dedup.rows import Corpus, Settled
from beam_sts.dedup.shards import PairShards
from beam_sts.dedup.verdicts import Verdicts
from beam_sts.dedup.verify import VerifyStats
from beam_sts.io.names import told
from beam_sts.io.summary import add_records, quantiles, score_histogram


def summarise_beam(
    args: argparse.Namespace, job: DedupJob, report: dict[str, Any], seconds: dict[str, float]
) -> dict[str, Any]:
    """The summary of a run by a Beam runner: as of one machine, without what takes all pairs at once.

    Raises:
        RuntimeError: the counts do not add up.
    """
    counts = _counts(job)
    rows = {str(side): report.get("rows", {}).get(str(side), 0) for side in (0, 1)}
    sizes = {int(size): count for size, count in report.get("cluster_sizes", {}).items()}
    sizes[1] = sizes.get(1, 0) + rows["0"] - sum(size * count for size, count in sizes.items())
    histogram = report.get("score_histogram", {})
    verify = {**asdict(VerifyStats()), **report.get("verify", {})}
    return {
        **_about(args, job),
        **counts,
        "rows_against": rows["1"],
        "texts_compared": report.get("texts_compared", 0),
        "identical_rows": sum(rows.values()) - report.get("texts_compared", 0),
        "empty_texts_kept": report.get("rows_blank", 0) if args.empty == "keep" else 0,
        "candidates": report["candidates"],
        "pairs": report.get("pairs", 0),
        "pairs_accepted": report.get("pairs_accepted", 0),
        "pairs_scored": verify["pairs"],
        "pairs_reused": report.get("pairs_reused", 0),
        "shards_damaged": 0,
        "pairs_guard": report.get("pairs_guard", 0),
        **{name: report.get(name, 0) for name in Verdicts.identical(0).counts()},
        "verify": {name: value for name, value in verify.items() if name != "seconds"},
        "unverified": report.get("unverified", 0),
        "clusters": sum(count for size, count in sizes.items() if size > 1),
        "cluster_sizes": {str(size): count for size, count in sorted(sizes.items()) if count},
        "largest_clusters": report["largest_clusters"],
        "thresholds": report["thresholds"],
        "timeline": {},
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        "seconds": seconds,
        "peak_memory_mib": _peak_memory(),
    }


def _counts(job: DedupJob) -> dict[str, Any]:
    """Rows by what became of them, from the records of the slices."""
    plan = job.sources[0].plan
    names = [f"rows_{name}" for name in ("read", "kept", "removed", "rejected")]
    total: dict[str, Any] = dict.fromkeys(names, 0)
    total = add_records([total, *job.output.records(part.index for part in plan.slices)])
    read, kept, removed, rejected = (total[name] for name in names)
    if read != plan.rows or kept + removed + rejected != plan.rows:
        raise RuntimeError(f"the counts do not add up: {plan.rows} rows planned, {total}")
    return {**{name: total[name] for name in names}, "rejected_reasons": total.get("reasons", {})}


def _about(args: argparse.Namespace, job: DedupJob) -> dict[str, Any]:
    """What the run was."""
    return {
        "pipeline": "dedup",
        "input": describe_input(args.input, job.sources[0].plan.files),
        # With --from_pairs the model is the earlier run's.
        "model": {**describe_model(job.checkpoint), "sha256": job.fingerprint["model"]},
        "fingerprint": digest(job.fingerprint),
        "cascade": {"model": args.cascade_model, "band": job.settings.band} if job.cascade else None,
        "threshold": args.threshold,
        "settings": job.fingerprint["settings"],
        "renamed_columns": job.fingerprint["renamed_columns"],
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


def summarise(
    args: argparse.Namespace,
    job: DedupJob,
    corpus: Corpus,
    settled: Settled,
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
    rows, nodes, made, outcomes = corpus.rows, corpus.nodes, settled.made, settled.rows
    counts = _counts(job)
    if counts["rows_removed"] != int(outcomes.removed.sum()):
        raise RuntimeError(f"the counts do not add up: {counts}, {outcomes.removed.sum()} rows decided on")
    sizes = np.bincount(np.bincount(outcomes.cluster[: rows.own], minlength=1))

    good = edges.pairs.scores[~np.isnan(edges.pairs.scores)]
    histogram = score_histogram(good)
    return {
        "path": "one machine",
        **_about(args, job),
        **counts,
        "rows_against": len(rows) - rows.own,
        "texts_compared": len(nodes),
        "identical_rows": len(rows) - len(nodes),
        "empty_texts_kept": int((rows.blank[: rows.own]).sum()) if args.empty == "keep" else 0,
        "candidates": reports,
        "pairs": len(edges.verdicts),
        "pairs_accepted": len(edges.pairs.accepted(args.threshold).a),
        "pairs_scored": shards.stats.pairs,
        "pairs_reused": shards.reused,
        "pairs_guard": len(made.settled.guard.a),
        **made.edges.verdicts.counts(),
        "verify": {name: value for name, value in asdict(shards.stats).items() if name != "seconds"},
        "unverified": made.settled.unverified,
        "clusters": int(sizes[2:].sum()),
        "cluster_sizes": {str(size): int(sizes[size]) for size in np.flatnonzero(sizes).tolist() if size},
        "largest_clusters": [cluster for _, cluster in describe_clusters(made, corpus.first_ids)],
        "thresholds": table,
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        "seconds": seconds,
        "peak_memory_mib": _peak_memory(),
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
        ("rejected", counts["rejected"]),
        *([("columns", told(summary["renamed_columns"]))] if summary["renamed_columns"] else []),
        *(("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()),
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
    if summary["shards_damaged"]:
        lines.append(("damaged", f"{summary['shards_damaged']:,} shards that were there: made again"))
    if summary["cascade"]:
        verify = summary["verify"]
        lines.append(
            ("cascade", f"{verify['cascaded']:,} pairs went up, {verify['changed']:,} decisions changed")
        )
    if summary["pairs_guarded"]:
        lines.append(
            ("guarded", f"{summary['pairs_guarded']:,} pairs of such scores differ in a fact: no duplicates")
        )
    if summary["pairs_parted"]:
        lines.append(("parted", f"{summary['pairs_parted']:,} such pairs each say too much beyond the other"))
    if summary["pairs_bounded"]:
        lines.append(
            ("bounded", f"{summary['pairs_bounded']:,} pairs cannot reach the threshold: no model was asked")
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
    if summary["thresholds"]:
        lines.append(("thresholds", "removed rows (clusters) had the threshold been"))
    else:
        lines.append(
            (
                "thresholds",
                f"not counted: see report; without --runner, with --from_pairs {shlex.quote(root)}",
            )
        )
    for row in summary["thresholds"]:
        mark = " <" if row["threshold"] == summary["threshold"] else ""
        lines.append(("", f"{row['threshold']:<5} {row['removed']:>10,} ({row['clusters']:,}){mark}"))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    lines.append(("time", f"{sum(summary['seconds'].values()):.1f} s: {seconds}"))
    lines.append(("memory", f"{summary['peak_memory_mib']:,} MiB at most in this process"))
    lines.append(("output", root))
    lines.append(("report", f"{root}/report.html"))
    lines.append(("next", f"{program('explain')} --run {shlex.quote(root)} ID"))
    return lines
