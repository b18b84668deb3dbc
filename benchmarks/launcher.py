"""The time and memory of the launching process for a job of many slices: plan, submit, resume, sum up.

    python -m benchmarks.launcher --slices 50000

The input is simulated: one Parquet file of ``--rows`` rows under many names (hard links), each a slice. The
workers' output is simulated too: a small shard and a record of the usual size for each slice. The file system
is the local disk; a store is slower, and is read by 16 threads.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.cli import score
from beam_sts.cli.score_job import prepare
from beam_sts.cli.score_summary import Sums, summarise
from beam_sts.examples import merge_examples
from beam_sts.io.ahead import ahead
from beam_sts.io.claim import claim
from beam_sts.io.committed import slice_identity
from beam_sts.io.slices import Slice
from beam_sts.pairs.beam_files import ScoreSlices


def make_input(folder: Path, slices: int, rows: int) -> None:
    """Write one file of equal pairs, with ``slices`` names."""
    folder.mkdir()
    first = folder / "part-000000.parquet"
    text = pa.array(["a text"] * rows).dictionary_encode()
    pq.write_table(pa.table({"text_a": text, "text_b": text}), first)
    for number in range(1, slices):
        os.link(first, folder / f"part-{number:06d}.parquet")


def record_of(rows: int, number: int) -> dict[str, Any]:
    """Counts like those of a slice of real pairs, with histograms of a hundred and of twenty bins."""
    return {
        "rows_read": rows,
        "rows_scored": rows,
        "pairs": rows,
        "real_tokens": 57 * rows,
        "padded_tokens": 59 * rows,
        "lengths": {str(16 * at): rows // 20 for at in range(1, 21)},
        "histogram": {str(at): rows // 100 for at in range(100)},
        "committed_at": 1.8e9 + number,
        **{f"{part}_seconds": 1.0 for part in ("read", "score", "write")},
    }


def timed(name: str, action: Callable[[], Any]) -> Any:
    """Run an action, and print its time and memory."""
    start = time.perf_counter()
    result = action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {time.perf_counter() - start:,.1f} | {peak:,.0f} |", flush=True)
    return result


def submitted(job: Any) -> int:
    """Size of the job graph in bytes."""
    pipeline = beam.Pipeline()
    model = job.checkpoint.name
    _ = pipeline | "Units" >> beam.Create(job.plan.units, reshuffle=False) | ScoreSlices(model, job.settings)
    return len(pipeline.to_runner_api().SerializeToString())


def main() -> None:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--slices", type=int, default=50_000)
    p.add_argument("--rows", type=int, default=20_000, help="of each slice")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        make_input(source, args.slices, args.rows)
        command = ["--input", str(source), "--output", str(target), "--model", "beam-sts-pico"]
        command += ["--rows_per_shard", str(args.rows), "--threads", "1"]
        options, _ = score.parser().split([*command, "--text_a", "text_a", "--text_b", "text_b"])
        print("| step | seconds | peak MiB so far |\n|---|---:|---:|")
        job = timed("plan", lambda: prepare(options, 1, local=True))
        size = timed("graph", lambda: submitted(job))
        with claim(job.settings.output, job.fingerprint, overwrite=False, takeover=False) as output:
            shard = {"scores": job.settings.scored_schema.empty_table()}

            def commit(part: Slice) -> None:
                record = record_of(args.rows, part.index)
                output.commit(part.index, shard, record, of=slice_identity(part))

            for _ in ahead(commit, job.plan.slices):
                pass
            watched = score.Watched(job)
            timed("progress, once", lambda: (watched.rows(), watched.file()))
            before, _ = timed("resume", lambda: output.resume(job.plan.slices, verify=False))

            def sum_up() -> dict[str, Any]:
                sums = Sums()
                merge_examples(sums.examples(output.records(sorted(before))), each=5)
                return summarise(job, before, 0, sums, 1.0, 0.0)

            summary = timed("sum up", sum_up)
        rows = f"{summary['rows_scored']:,} rows in {len(job.plan.slices):,} slices"
        print(f"{rows}, a job graph of {size / 1e6:,.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
