"""Score many pairs with ``pipelines.score``, and check that all are in the output.

    python -m benchmarks.load --pairs 10000000 --folder ~/load   # on this machine, under an hour on two cores
    python -m benchmarks.load --pairs 1000000 --flink ~/flink    # on the cluster of scripts/flink.py

The pairs are generated and written block by block. The output is checked in full: its rows, in order, have
the SHA-256 of the generated pairs, and each has a score. Every thousandth pair is scored again and must agree
to 2e-6. Memory is that of the command, its workers and the cluster together (shared pages by share, sampled
twice a second); ``peak_mib`` and ``processor_seconds`` are those of each process. ``memory_flat`` means that
memory in the last quarter of the run was at most 15% higher than in the second. With ``--folder`` the files
are kept, and the same command continues a killed one. With ``--memory_limit`` the status is 1 if memory was
above the limit or not flat. Options after ``--`` are passed to ``pipelines.score``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts import PairScorer
from benchmarks.processes import Watch, family, repeating
from benchmarks.workloads import texts
from scripts.flink import FlinkCluster

ROOT = Path(__file__).parents[1]
BLOCK = 20_000
FILE = 25 * BLOCK  # rows of an input file
WORDS = (6, 16)  # of a text: from the first to below the second
EVERY = 1000  # step between rows that are scored again
GROWTH = 1.15  # limit of the ratio of memory in the last quarter of the run to the second
START_UP = 60  # samples of the first 30 s, in which imports and the model need memory


def block(start: int, count: int) -> pa.Table:
    """Pairs ``start`` to ``start + count``, all different; half of a pair's words are in both texts."""
    lengths = np.random.default_rng(start).integers(*WORDS, 2 * count)
    drawn = list(texts(lengths, seed=start))
    first = drawn[:count]
    second = [f"{one[: len(one) // 2]} {other}" for one, other in zip(first, drawn[count:], strict=True)]
    return pa.table({"id": np.arange(start, start + count), "text_a": first, "text_b": second})


def digest(found: Any, table: pa.Table) -> None:
    """Add a table's pairs to a SHA-256."""
    for row in zip(*(table.column(name).to_pylist() for name in ("id", "text_a", "text_b")), strict=True):
        found.update(repr(row).encode())


def write_input(folder: Path, pairs: int) -> str:
    """Write the missing files of the input, and check that there are no others.

    Returns:
        The SHA-256 of the pairs.

    Raises:
        SystemExit: the folder has another number of pairs.
    """
    made = hashlib.sha256()
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, pairs, FILE)):
        last = min(first + FILE, pairs)
        file = folder / f"pairs-{number:04}.parquet"
        there, partial = file.exists(), file.with_suffix(".partial")
        with contextlib.ExitStack() as stack:
            schema = block(0, 1).schema
            writer = None if there else stack.enter_context(pq.ParquetWriter(partial, schema))
            for start in range(first, last, BLOCK):
                table = block(start, min(BLOCK, last - start))
                digest(made, table)
                if writer:
                    writer.write_table(table)
        if not there:
            partial.rename(file)
    if pairs != (found := sum(pq.read_metadata(file).num_rows for file in folder.glob("*.parquet"))):
        raise SystemExit(f"{folder} has {found:,} pairs, not {pairs:,}; use another --folder.")
    return made.hexdigest()


def check(output: Path, pairs: int, made: str) -> dict[str, Any]:
    """Check the whole output.

    Raises:
        RuntimeError: a pair is missing, duplicated, out of order or changed, or has a wrong score.
    """
    found, scores, rows = hashlib.sha256(), hashlib.sha256(), 0
    scorer, largest = PairScorer("beam-sts-pico"), 0.0
    for path in sorted(output.glob("scores/part-*")):
        table = pq.read_table(path)
        digest(found, table)
        column = table.column("score").combine_chunks()
        if column.null_count or not np.isfinite(column.to_numpy()).all():
            raise RuntimeError(f"{path}: rows without a score")
        scores.update(column.to_numpy().tobytes())
        some = table.take(pa.array(np.flatnonzero(np.arange(rows, rows + len(table)) % EVERY == 0)))
        rows += len(table)
        again = scorer.run(*(some.column(name).combine_chunks() for name in ("text_a", "text_b"))).scores
        if len(some):
            largest = max(largest, float(np.abs(again - some.column("score").to_numpy()).max()))
    if (rows, found.hexdigest()) != (pairs, made):
        raise RuntimeError(f"{rows:,} rows of SHA-256 {found.hexdigest()}, not {pairs:,} of {made}")
    if largest > 2e-6:
        raise RuntimeError(f"a score differs by {largest:.1e} from what the model gives here")
    return {"rows": rows, "pairs_sha256": made, "scores_sha256": scores.hexdigest(), "difference": largest}


class Memory:
    """The memory of processes and all their children together."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self.roots: set[int] = set()

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """A context during which memory is sampled."""
        return repeating(self._sample)

    def _sample(self) -> None:
        self.samples.append(sum(map(_share, family(dict.fromkeys(self.roots, "")))))

    def report(self) -> dict[str, Any]:
        """The peak, and whether memory was flat; None if the run was too short."""
        steady = self.samples[START_UP:]
        peak = max(self.samples, default=0)
        if len(steady) < 2 * START_UP:
            return {"peak_memory_mib": peak >> 20, "memory_flat": None}
        quarter = len(steady) // 4
        second, last = (float(np.median(steady[at:][:quarter])) for at in (quarter, len(steady) - quarter))
        return {
            "peak_memory_mib": peak >> 20,
            "memory_mib_second_quarter": round(second / 2**20),
            "memory_mib_last_quarter": round(last / 2**20),
            "memory_flat": last <= GROWTH * second,
        }


def _share(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def main(argv: list[str] | None = None) -> None:
    """Generate, score, check, print."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--pairs", type=int, default=1_000_000, help="default: %(default)s")
    p.add_argument("--flink", type=Path, metavar="DIR", help="folder of a Flink cluster, started for the run")
    p.add_argument("--precision", default="fp32")
    p.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="folder in which input and output are kept, to continue a killed run",
    )
    p.add_argument("--memory_limit", type=int, metavar="MIB", help="limit of memory, which must also be flat")
    p.add_argument("rest", nargs="*", metavar="-- OPTIONS", help="of pipelines.score and of Beam")
    own = p.parse_args(argv)
    memory, watch = Memory(), Watch({})
    with tempfile.TemporaryDirectory(prefix="beam_sts-load") as name, contextlib.ExitStack() as stack:
        work = own.folder.expanduser().absolute() if own.folder else Path(name)
        made = write_input(work / "in", own.pairs)
        command = [sys.executable, "-m", "pipelines.score", "--input", str(work / "in" / "*.parquet")]
        command += ["--output", str(work / "out"), "--model", "beam-sts-pico", "--precision", own.precision]
        if own.flink:
            cluster = stack.enter_context(FlinkCluster(own.flink.expanduser()))
            memory.roots |= set(cluster.pids().values())
            watch.roots |= {pid: name.rstrip("_01") for name, pid in cluster.pids().items()}
            command += ["--threads", "1", *cluster.options]
        started = time.perf_counter()
        with memory.watched(), watch.watching():
            process = subprocess.Popen([*command, *own.rest], cwd=ROOT, stdout=sys.stderr)
            memory.roots.add(process.pid)
            watch.roots[process.pid] = "command"
            status = process.wait()
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(status)
        report = check(work / "out", own.pairs, made)
        skipped = json.loads((work / "out" / "summary.json").read_text())["shards_skipped"]
    report |= {"seconds": round(seconds, 1), "shards_skipped": skipped}
    report |= {"pairs_per_second": None if skipped else round(own.pairs / seconds), **memory.report()}
    report |= watch.report()
    print(json.dumps(report))
    if own.memory_limit and (report["peak_memory_mib"] > own.memory_limit or report["memory_flat"] is False):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
