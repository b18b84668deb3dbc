"""The summary of ``beam-sts dedup``, as JSON and as lines for the terminal."""

from __future__ import annotations

import argparse
import resource
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from beam_sts.cli.args import program
from beam_sts.cli.console import SummaryLine
from beam_sts.cli.dedup_job import DedupJob
from beam_sts.cli.describe import describe_input, describe_model, digest, shown_versions
from beam_sts.dedup.counts import DedupCounts, RowCounts
from beam_sts.dedup.decide import CorpusDecision
from beam_sts.dedup.learnt import learnt_lines
from beam_sts.dedup.profiles import PROFILES
from beam_sts.dedup.rows import Corpus
from beam_sts.dedup.shards import PairShards
from beam_sts.io.names import describe_renames
from beam_sts.io.summary import score_histogram
from beam_sts.plurals import counted, plural


def counts_of(
    corpus: Corpus, decided: CorpusDecision, proposed: int, shards: PairShards, threshold: float
) -> DedupCounts:
    """The counts of a run on one machine. ``proposed``: how many of the pairs, the first, are candidates."""
    rows, made = corpus.rows, decided.made
    sizes = np.bincount(np.bincount(made.label[decided.text[: rows.own]], minlength=1))
    candidates = made.edges.pairs.at(slice(proposed))
    scores = candidates.scores
    return DedupCounts(
        rows={"0": rows.own, "1": len(rows) - rows.own},
        texts_compared=len(corpus.distinct),
        rows_blank=int((rows.blank[: rows.own]).sum()),
        pairs=proposed,
        pairs_accepted=len(candidates.accepted(threshold).a),
        pairs_reused=shards.reused,
        pairs_guard=len(made.edges.verdicts) - proposed,
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
        "versions": shown_versions("pyarrow", "python"),
    }


def _peak_memory() -> int:
    """The peak memory of this process so far, in MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kib / 1024 if sys.platform == "linux" else kib / 1024**2)


def summary_lines(summary: dict[str, Any], root: str) -> list[SummaryLine]:
    """The summary as a table of names and texts. The last line is the next command."""
    identical, profile = summary["identical_rows"], summary["settings"]["profile"]
    repeated = f"{plural(identical, 'row')} {'has' if identical == 1 else 'have'}"
    languages, renames, largest = (
        summary[name] for name in ("languages", "renamed_columns", "largest_clusters")
    )
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items())
    uncounted = (
        f"not counted: see the report; to count, use --from_pairs {shlex.quote(root)} without --runner"
    )
    local = " (texts on disk, arrays in memory)" if summary["path"] == "one machine" else ""
    return [
        ("path", summary["path"] + local),
        ("read", plural(summary["rows_read"], "row")),
        ("texts", f"{summary['texts_compared']:,} distinct, {repeated} the text of another"),
        ("kept", f"{summary['rows_kept']:,}"),
        (
            "removed",
            f"{summary['rows_removed']:,}" + (", each with its receipt" if summary["rows_removed"] else ""),
        ),
        ("rejected", f"{summary['rows_rejected']:,}"),
        ("columns", describe_renames(renames) if renames else None),
        *(("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()),
        ("profile", _profile_in_words(profile, summary["settings"]) if profile != "default" else None),
        ("languages", languages["said"] if languages else None),
        *(("", line) for line in learnt_lines(summary)),
        *(line for report in summary["candidates"] for line in _candidate_lines(report)),
        (
            "pairs",
            f"{summary['pairs']:,} distinct, {summary['pairs_accepted']:,} at or above "
            f"{summary['threshold']}, {summary['pairs_guard']:,} more scored for the chain guard",
        ),
        ("resumed", counted(summary["pairs_reused"], "existing score", after=" reused")),
        ("damaged", counted(summary["shards_damaged"], "damaged shard", after=", written again")),
        ("cascade", _cascade_in_words(summary["verify"]) if summary["cascade"] else None),
        (
            "guarded",
            counted(summary["pairs_guarded"], "pair differs", "pairs differ", " in a fact: not duplicates"),
        ),
        (
            "parted",
            counted(summary["pairs_parted"], "pair", after=": each text has too much that the other lacks"),
        ),
        (
            "bounded",
            counted(
                summary["pairs_bounded"], "pair", after=" cannot reach the threshold: not scored by the model"
            ),
        ),
        ("failed", counted(summary["pairs_failed"], "pair", after=" could not be scored: the rows stay")),
        (
            "unverified",
            counted(summary["unverified"], "row stays", "rows stay", ", not compared with every survivor"),
        ),
        ("clusters", f"{summary['clusters']:,}" + "".join(map(_largest_in_words, largest[:1]))),
        ("thresholds", "removed rows (clusters) at other thresholds" if summary["thresholds"] else uncounted),
        *(
            (
                "",
                f"{row['threshold']:<5} {row['removed']:>10,} ({row['clusters']:,})"
                + " <" * (row["threshold"] == summary["threshold"]),
            )
            for row in summary["thresholds"]
        ),
        ("time", f"{sum(summary['seconds'].values()):.1f} s: {seconds}"),
        ("memory", f"{summary['peak_memory_mib']:,} MiB at the peak, in this process"),
        ("output", root),
        ("report", f"{root}/report.html"),
        ("next", f"{program('explain')} --run {shlex.quote(root)} ID"),
    ]


def _profile_in_words(profile: str, settings: dict[str, Any]) -> str:
    made = {name: settings[name] for name in PROFILES[profile]}
    return f"{profile}: " + ", ".join(
        f"--{name} {'none' if value is None else value}" for name, value in made.items()
    )


def _candidate_lines(report: dict[str, Any]) -> Iterator[SummaryLine]:
    hot = (
        f"; {plural(report['hot'], 'hot bucket')}, {plural(report['pairs_capped'], 'pair')} left out"
        if report.get("hot")
        else ""
    )
    yield "candidates", f"{report['pairs']:,} by {report['source']}{hot}"
    yield "", report.get("settings")


def _cascade_in_words(verify: dict[str, Any]) -> str:
    return (
        f"{plural(verify['cascaded'], 'pair')} scored by the second model, "
        f"{plural(verify['changed'], 'decision')} changed"
    )


def _largest_in_words(cluster: dict[str, Any]) -> str:
    return f", the largest of {plural(cluster['rows'], 'row')}, diameter {cluster['diameter']}"
