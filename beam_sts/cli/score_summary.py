"""The summary of ``beam-sts score``: ``summary.json``, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from beam_sts.cli.args import open_command
from beam_sts.cli.console import SummaryLine
from beam_sts.cli.describe import describe_input, describe_model, digest, shown_versions
from beam_sts.cli.score_job import ScoreJob
from beam_sts.examples import Example
from beam_sts.io.names import describe_renames, renamed
from beam_sts.io.summary import quantiles, throughput
from beam_sts.plurals import counted, plural
from beam_sts.scoring.counts import ScoreCounts
from beam_sts.scoring.result import ScoreStats


class Sums:
    """Sums of the records of slices. One record at a time is in memory."""

    def __init__(self) -> None:
        self.counts = ScoreCounts()
        self.seconds = dict.fromkeys(("read", "score", "write"), 0.0)
        self.spans: list[tuple[float, float, int]] = []
        """Start and end, in seconds since the epoch, and number of rows, of each slice."""

    def examples(self, records: Iterable[dict[str, Any]]) -> Iterator[list[Example]]:
        """Add up records. Yields the examples of each."""
        for record in records:
            self.counts += ScoreCounts.read(record, some=True)
            took = 0.0
            for part in self.seconds:
                self.seconds[part] += record[f"{part}_seconds"]
                took += record[f"{part}_seconds"]
            moment = record["committed_at"]
            self.spans.append((moment - took, moment, record["rows_read"]))
            yield record.get("examples", [])


def summarise(
    job: ScoreJob,
    before: set[int],
    damaged: int,
    sums: Sums,
    seconds: float,
    started_at: float,
) -> dict[str, Any]:
    """Make the summary of a run.

    Args:
        job: settings of the run.
        before: indices of the slices that an earlier run had committed.
        damaged: number of other slices of an earlier run, which were written again.
        sums: sums of all slices, in their order.
        seconds: duration of the run.
        started_at: start of the run, in seconds since the epoch.

    Raises:
        RuntimeError: the counts do not add up.
    """
    slices, total = job.plan.slices, sums.counts
    timeline = throughput(
        span for part, span in zip(slices, sums.spans, strict=True) if part.index not in before
    )
    total.check(job.plan.rows)
    done = job.plan.rows if not before else None
    stats = ScoreStats(real_tokens=total.real_tokens, padded_tokens=total.padded_tokens)
    return {
        "pipeline": "score",
        "input": describe_input(job.pattern, job.plan.files),
        "rows_read": total.rows_read,
        "rows_scored": total.rows_scored,
        "rows_rejected": total.rows_rejected,
        "rejected_reasons": total.reasons,
        "pairs_reused": total.pairs_reused,
        "truncated": total.truncated,
        "windowed": total.windowed,
        "unknown": total.unknown,
        "windows": total.windows,
        "matches": total.matches if job.settings.score.threshold is not None else None,
        "shards": len(slices),
        "shards_skipped": len(before),
        "shards_damaged": damaged,
        "score_quantiles": quantiles(total.histogram, logits=job.settings.score.raw_logits),
        "score_histogram": total.histogram,
        "real_tokens": stats.real_tokens,
        "padded_tokens": stats.padded_tokens,
        "padding_ratio": round(stats.padding_ratio, 4),
        "length_histogram": total.lengths,
        "started": round(started_at, 3),
        "timeline": timeline,
        "seconds": {
            "plan": round(job.plan_seconds, 3),
            "run": round(seconds, 3),
            **{f"{part}_in_workers": round(took, 3) for part, took in sums.seconds.items()},
        },
        "pairs_per_second": round(done / seconds, 1) if done and seconds else None,
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "settings": job.fingerprint["settings"],
        "renamed_columns": renamed({job.settings.score.score_column: job.settings.score_column}),
        "versions": shown_versions("apache_beam", "torch", "pyarrow", "python"),
    }


def summary_lines(summary: dict[str, Any], root: str) -> list[SummaryLine]:
    """The summary as a table of names and texts. The last line is the next command."""
    renames, quantiles = summary["renamed_columns"], summary["score_quantiles"]
    note = None
    if not summary["rows_read"]:
        note = "the input has no rows, so the output has columns only"
    elif not summary["rows_scored"]:
        note = "no row could be scored: rejected/ has each row with its reason"
    matches, threshold = summary["matches"], summary["settings"]["threshold"]
    rate = f", {summary['pairs_per_second']:,.0f} pairs/s" if summary["pairs_per_second"] else ""
    return [
        ("read", plural(summary["rows_read"], "row")),
        ("scored", f"{summary['rows_scored']:,} ({summary['pairs_reused']:,} reused an equal pair's score)"),
        (
            "rejected",
            f"{summary['rows_rejected']:,}" + (f", in {root}/rejected" if summary["rows_rejected"] else ""),
        ),
        *(("", f"{count:,} {reason}") for reason, count in summary["rejected_reasons"].items()),
        ("columns", describe_renames(renames) if renames else None),
        ("truncated", f"{summary['truncated']:,}"),
        (
            "unknown",
            counted(
                *(summary["unknown"], "pair consists", "pairs consist"),
                " mostly of words that the model does not know: unreliable scores",
            ),
        ),
        (
            "windowed",
            counted(
                summary["windowed"], "pair", after=f", as {plural(summary['windows'], 'pair')} of windows"
            ),
        ),
        ("note", note),
        ("matches", None if matches is None else f"{matches:,} at or above {threshold}"),
        (
            "scores",
            ", ".join(f"{q} quantile {quantiles[q]:.3f}" for q in ("0.05", "0.5", "0.95"))
            if quantiles
            else None,
        ),
        (
            "resumed",
            f"{summary['shards_skipped']:,} of {plural(summary['shards'], 'shard')} existed"
            if summary["shards_skipped"]
            else None,
        ),
        ("damaged", counted(summary["shards_damaged"], "damaged shard", after=", written again")),
        ("time", f"{summary['seconds']['run']:.1f} s{rate}"),
        ("output", f"{root}/scores"),
        ("report", f"{root}/report.html"),
        ("next", open_command(f"{root}/scores", summary["settings"]["output_format"])),
    ]
