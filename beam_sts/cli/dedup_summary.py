"""The summary of ``beam-sts dedup``, as JSON and as lines for the terminal."""

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
from beam_sts.dedup.counts import DedupCounts, RowCounts
from beam_sts.dedup.decide import Edges
from beam_sts.dedup.learnt import learnt_lines
from beam_sts.dedup.profiles import PROFILES
from beam_sts.dedup.rows import Corpus, CorpusDecision
from beam_sts.dedup.shards import PairShards
from beam_sts.io.names import describe_renames
from beam_sts.io.summary import score_histogram
from beam_sts.plurals import plural


def counts_of(
    corpus: Corpus, decided: CorpusDecision, edges: Edges, shards: PairShards, threshold: float
) -> DedupCounts:
    """The counts of a run on one machine."""
    rows, made = corpus.rows, decided.made
    sizes = np.bincount(np.bincount(decided.rows.cluster[: rows.own], minlength=1))
    scores = edges.pairs.scores
    return DedupCounts(
        rows={"0": rows.own, "1": len(rows) - rows.own},
        texts_compared=len(corpus.distinct),
        rows_blank=int((rows.blank[: rows.own]).sum()),
        pairs=len(edges.verdicts),
        pairs_accepted=len(edges.pairs.accepted(threshold).a),
        pairs_reused=shards.reused,
        pairs_guard=len(made.edges.verdicts) - len(edges.verdicts),
        **made.edges.verdicts.counts(),
        verify=asdict(shards.stats),
        unverified=made.chosen.unverified,
        cluster_sizes={str(size): int(sizes[size]) for size in np.flatnonzero(sizes).tolist() if size},
        score_histogram=score_histogram(scores[~np.isnan(scores)]),
        shards_damaged=shards.damaged,
    )


def row_counts(job: DedupJob) -> RowCounts:
    """The numbers of rows by outcome, from the records of the slices.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan = job.sources[0].plan
    records = job.output.records(part.index for part in plan.slices)
    total = RowCounts.total(RowCounts.read(record, some=True) for record in records)
    total.check(plan.rows)
    return total


def summarise(
    args: argparse.Namespace,
    job: DedupJob,
    path: str,
    rows: RowCounts,
    counts: dict[str, Any],
    seconds: dict[str, float],
    timeline: dict[str, Any],
) -> dict[str, Any]:
    """Make the summary of a run.

    Args:
        args: the options of the command.
        job: the run.
        path: how it ran: on one machine, or with which runner.
        rows: the numbers of rows by outcome.
        counts: from ``DedupCounts.summary``.
        seconds: the seconds of each part of the run.
        timeline: the timeline of the scoring, if there is one.
    """
    damaged = {"shards_damaged": counts.pop("shards_damaged"), "timeline": timeline}
    measured = {"seconds": seconds, "peak_memory_mib": _peak_memory()}
    return {"path": path, **_about(args, job), **rows.summary(), **counts, **measured, **damaged}


def _about(args: argparse.Namespace, job: DedupJob) -> dict[str, Any]:
    """The description of the run."""
    return {
        "pipeline": "dedup",
        "input": describe_input(args.input, job.sources[0].plan.files),
        # With --from_pairs, the model is that of the earlier run.
        "model": {**describe_model(job.checkpoint), "sha256": job.fingerprint["model"]},
        "fingerprint": digest(job.fingerprint),
        "cascade": {"model": args.cascade_model, "band": job.settings.band} if job.cascade else None,
        "threshold": job.settings.threshold,
        "settings": job.fingerprint["settings"],
        "renamed_columns": job.fingerprint["renamed_columns"],
        "versions": {
            "beam_sts": beam_sts.__version__,
            "pyarrow": pa.__version__,
            "python": sys.version.split()[0],
        },
    }


def _peak_memory() -> int:
    """The peak memory of this process so far, in MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib / 1024 if sys.platform == "linux" else kib / 1024**2)


def summary_lines(summary: dict[str, Any], root: str) -> list[tuple[str, str]]:
    """The summary as a table of names and texts. The last line is the next command."""
    counts = {name: f"{summary[f'rows_{name}']:,}" for name in ("read", "kept", "removed", "rejected")}
    local = summary["path"] == "one machine"
    identical = summary["identical_rows"]
    repeated = f"{plural(identical, 'row')} {'has' if identical == 1 else 'have'}"
    lines = [
        ("path", summary["path"] + (" (texts on disk, arrays in memory)" if local else "")),
        ("read", plural(summary["rows_read"], "row")),
        ("texts", f"{summary['texts_compared']:,} distinct, {repeated} the text of another"),
        ("kept", counts["kept"]),
        ("removed", counts["removed"] + (", each with its receipt" if summary["rows_removed"] else "")),
        ("rejected", counts["rejected"]),
        *([("columns", describe_renames(summary["renamed_columns"]))] if summary["renamed_columns"] else []),
        *(("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()),
    ]
    if (profile := summary["settings"]["profile"]) != "default":
        made = {name: summary["settings"][name] for name in PROFILES[profile]}
        given = ", ".join(f"--{name} {'none' if value is None else value}" for name, value in made.items())
        lines.append(("profile", f"{profile}: {given}"))
    if languages := summary["languages"]:
        lines.append(("languages", languages["said"]))
    lines += [("", line) for line in learnt_lines(summary)]
    for report in summary["candidates"]:
        hot = (
            f"; {plural(report['hot'], 'hot bucket')}, {plural(report['pairs_capped'], 'pair')} left out"
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
        lines.append(("resumed", f"{plural(summary['pairs_reused'], 'existing score')} reused"))
    if summary["shards_damaged"]:
        lines.append(("damaged", f"{plural(summary['shards_damaged'], 'damaged shard')}, written again"))
    if summary["cascade"]:
        verify = summary["verify"]
        lines.append(
            (
                "cascade",
                f"{plural(verify['cascaded'], 'pair')} scored by the second model, "
                f"{plural(verify['changed'], 'decision')} changed",
            )
        )
    if summary["pairs_guarded"]:
        lines.append(
            (
                "guarded",
                f"{plural(summary['pairs_guarded'], 'pair differs', 'pairs differ')} in a fact: not "
                "duplicates",
            )
        )
    if summary["pairs_parted"]:
        lines.append(
            (
                "parted",
                f"{plural(summary['pairs_parted'], 'pair')}: each text has too much that the other lacks",
            )
        )
    if summary["pairs_bounded"]:
        lines.append(
            (
                "bounded",
                f"{plural(summary['pairs_bounded'], 'pair')} cannot reach the threshold: not scored by the "
                "model",
            )
        )
    if summary["pairs_failed"]:
        lines.append(
            ("failed", f"{plural(summary['pairs_failed'], 'pair')} could not be scored: the rows stay")
        )
    if summary["unverified"]:
        lines.append(
            (
                "unverified",
                f"{plural(summary['unverified'], 'row stays', 'rows stay')}, not compared with every "
                "survivor",
            )
        )
    largest = summary["largest_clusters"][:1]
    lines.append(
        (
            "clusters",
            f"{summary['clusters']:,}"
            + (
                f", the largest of {plural(largest[0]['rows'], 'row')}, diameter {largest[0]['diameter']}"
                if largest
                else ""
            ),
        )
    )
    if summary["thresholds"]:
        lines.append(("thresholds", "removed rows (clusters) at other thresholds"))
    else:
        lines.append(
            (
                "thresholds",
                f"not counted: see the report; to count, use --from_pairs {shlex.quote(root)} without "
                "--runner",
            )
        )
    for row in summary["thresholds"]:
        mark = " <" if row["threshold"] == summary["threshold"] else ""
        lines.append(("", f"{row['threshold']:<5} {row['removed']:>10,} ({row['clusters']:,}){mark}"))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    lines.append(("time", f"{sum(summary['seconds'].values()):.1f} s: {seconds}"))
    lines.append(("memory", f"{summary['peak_memory_mib']:,} MiB at the peak, in this process"))
    lines.append(("output", root))
    lines.append(("report", f"{root}/report.html"))
    lines.append(("next", f"{program('explain')} --run {shlex.quote(root)} ID"))
    return lines
