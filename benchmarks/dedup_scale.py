"""Deduplication at scale: makes texts with planted copies, runs ``pipelines.dedup``, checks what it found.

    python -m benchmarks.dedup_scale make --work /big --documents 10000000
    python -m benchmarks.dedup_scale run --work /big
    python -m benchmarks.dedup_scale run --work /big --kill_after 600    # kills itself after ten minutes
    python -m benchmarks.dedup_scale check --work /big
    python -m benchmarks.dedup_scale draw --work /small /large /big --figure growth.svg
    python -m benchmarks.dedup_scale run --work /big --flink ~/flink     # by Beam, on a cluster

Every ``BLOCK`` documents draw their words from a vocabulary of their own, so that chance pairs grow with the
number of documents and not with its square. Two of a hundred documents are copies of documents of the block
before, with a share of the words replaced (``LEVELS``). The options after ``--`` go to ``pipelines.dedup``.
``run`` continues a killed run. Memory is that of all processes together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.cost import shuffles
from benchmarks.dedup_planted import LEVELS, made_words
from benchmarks.load import Memory
from benchmarks.processes import Watch
from scripts.flink import FlinkCluster

BLOCK, COPIES = 100_000, 2_000
SHORTEST, LONGEST = 14, 40  # words of a document: 350 characters on average
Codes = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Numbers of words, and the offset at which each document starts."""


def blocks(documents: int, numbers: range, seed: int = 0) -> Iterator[tuple[int, pa.Table, pa.Table]]:
    """Consecutive blocks of documents: number, documents, and the truth (``copy``, ``origin``, ``level``)."""
    last: tuple[pa.Array, Codes, int] | None = None
    for number in range(max(0, numbers.start - 1), numbers.stop):
        start = number * BLOCK
        rng = np.random.default_rng([seed, start])
        words = _in_own_letters(made_words(rng), rng)
        weights = 1 / np.arange(10, len(words) + 10)
        edges = np.cumsum(weights / weights.sum())
        vocabulary = pa.array(words, pa.string())

        def draw(
            count: int, rng: np.random.Generator = rng, edges: NDArray[np.float64] = edges
        ) -> NDArray[np.int64]:
            return np.minimum(np.searchsorted(edges, rng.random(count)), len(edges) - 1)

        size = min(BLOCK, documents - start)
        copies = size * COPIES // BLOCK
        lengths = rng.integers(SHORTEST, LONGEST + 1, size - copies)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        own = draw(int(offsets[-1])), offsets
        before = last or (vocabulary, own, start)
        texts = [_texts(vocabulary, own)]
        levels = np.array(LEVELS)[np.arange(copies) % len(LEVELS)]
        if copies:
            copied = _copies(before[1], levels, rng, draw)
            texts.append(_texts(before[0], copied))
        ids = np.arange(start, start + size)
        truth = pa.table(
            {"copy": ids[size - copies :], "origin": before[2] + np.arange(copies), "level": levels}
        )
        if number in numbers:
            yield number, pa.table({"id": ids, "text": pa.chunked_array(texts, pa.string())}), truth
        last = vocabulary, own, start


def _in_own_letters(words: NDArray[np.str_], rng: np.random.Generator) -> list[str]:
    """The words with their letters exchanged, since the words of all blocks are made of the same parts."""
    letters = np.array(list(ascii_lowercase))
    exchanged = str.maketrans(ascii_lowercase, "".join(rng.permutation(letters)))
    return [word.translate(exchanged) for word in words.tolist()]


def _texts(words: pa.Array, codes: Codes) -> pa.Array:
    taken = words.take(pa.array(codes[0]))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(codes[1].astype(np.int32)), taken), " ")


def _copies(codes: Codes, levels: NDArray[np.float64], rng: np.random.Generator, draw: Any) -> Codes:
    """The first documents, with a share of their words replaced."""
    count, (numbers, offsets) = len(levels), codes
    copied, ends = numbers[: offsets[count]].copy(), offsets[: count + 1]
    for document, level in enumerate(levels.tolist()):
        start, length = int(ends[document]), int(ends[document + 1] - ends[document])
        changed = start + rng.choice(length, round(level * length), replace=False)
        copied[changed] = draw(len(changed))
    return copied, ends


def make(work: Path, documents: int, processes: int) -> None:
    """Write the documents and the truth."""
    for name in ("in", "truth"):
        (work / name).mkdir(parents=True, exist_ok=True)
    every = range(-(-documents // BLOCK))
    cuts = np.linspace(0, len(every), processes + 1).astype(int).tolist()
    parts = [(work, documents, every[start:stop]) for start, stop in pairwise(cuts)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(_write, parts)


def _write(work: Path, documents: int, numbers: range) -> None:
    for number, table, truth in blocks(documents, numbers):
        pq.write_table(table, work / "in" / f"{number:05}.parquet", row_group_size=20_000)
        pq.write_table(truth, work / "truth" / f"{number:05}.parquet")


def run(work: Path, options: list[str], kill_after: float | None = None) -> dict[str, Any]:
    """Run the command, and measure time, processor time, memory of all processes, and bytes written."""
    command = [sys.executable, "-m", "pipelines.dedup", "--input", str(work / "in" / "*.parquet")]
    command += ["--output", str(work / "out"), "--text", "text", "--id", "id", *options]
    memory, began = Memory(), time.perf_counter()
    with memory.watched(), (work / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        memory.roots.add(process.pid)
        timer = threading.Timer(kill_after or 1e9, os.kill, (process.pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
    made = {
        "status": process.returncode,
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        **memory.report(),
        "written_mb": round(used.ru_oublock * 512 / 1e6),
        "output_mb": round(sum(f.stat().st_size for f in (work / "out").rglob("*") if f.is_file()) / 1e6),
    }
    with (work / "runs.jsonl").open("a") as stream:
        stream.write(json.dumps(made) + "\n")
    return made


def run_on_flink(work: Path, home: Path, options: list[str]) -> dict[str, Any]:
    """Run the command on a Flink cluster of this machine, which is started for it.

    Returns seconds, memory and processor seconds of each process, and the bytes shuffled for each document.
    """
    with FlinkCluster(home) as cluster:
        command = [sys.executable, "-m", "pipelines.dedup", "--input", str(work / "in" / "*.parquet")]
        command += ["--output", str(work / "flink"), "--text", "text", "--id", "id", "--threads", "1"]
        watch = Watch({pid: name.rstrip("_01") for name, pid in cluster.pids().items()})
        began = time.perf_counter()
        with watch.watching(), (work / "log").open("a") as log:
            process = subprocess.Popen(
                [*command, *cluster.options, *options], stdout=subprocess.DEVNULL, stderr=log
            )
            watch.roots[process.pid] = "launcher"
            status = process.wait()
        seconds = time.perf_counter() - began
        if status:
            raise SystemExit(f"{' '.join(command)} failed; see {work / 'log'}")
        steps = shuffles(cluster.master)
    rows = json.loads((work / "flink" / "summary.json").read_text())["rows_read"]
    shuffled = {"shuffled_bytes": sum(steps.values()), "for_each_document": round(sum(steps.values()) / rows)}
    same = same_rows(work / "out", work / "flink") if (work / "out").exists() else None
    made = {
        "rows": rows,
        "seconds": round(seconds, 1),
        **watch.report(),
        **shuffled,
        "steps": steps,
        "same_rows": same,
    }
    with (work / "runs.jsonl").open("a") as stream:
        stream.write(json.dumps(made) + "\n")
    return made


def same_rows(one: Path, other: Path) -> bool:
    """Whether two runs removed the same rows in favour of the same rows, and found the same clusters."""
    for folder, names in (("removed", ["id", "survivor"]), ("clusters", ["id", "cluster"]), ("kept", ["id"])):
        tables = [pq.read_table(run / folder, columns=names).sort_by("id") for run in (one, other)]
        if not tables[0].equals(tables[1]):
            return False
    return True


def check(work: Path) -> Iterator[str]:
    """Compare what was removed with what was planted, as a table in Markdown."""
    truth = pq.read_table(work / "truth")
    copy, origin = (truth[name].to_numpy() for name in ("copy", "origin"))
    level = truth["level"].to_numpy()
    summary = json.loads((work / "out" / "summary.json").read_text())
    removed = pq.read_table(work / "out" / "removed", columns=["id", "survivor"])
    gone, survivor = removed["id"].to_numpy(), removed["survivor"].to_numpy()
    made = _codes(gone, survivor)
    pairs = pq.read_table(work / "out" / "pairs", columns=["id_a", "id_b"])
    proposed = _codes(pairs["id_a"].to_numpy(), pairs["id_b"].to_numpy())
    planted = _codes(copy, origin)
    right, candidate = np.isin(planted, made), np.isin(planted, proposed)
    group = np.arange(summary["rows_read"])
    group[copy] = origin  # a document may have several copies
    removed_right = group[gone] == group[survivor]
    right |= np.isin(copy, gone[removed_right])
    yield f"{summary['rows_read']:,} documents, {len(proposed):,} pairs, {len(made):,} removed"
    yield "| words replaced | copies | candidates | removed | removed rightly, of those removed |"
    yield "|---|---:|---:|---:|---:|"
    for at in sorted(set(level.tolist())):
        of = level == at
        mine = np.isin(gone, copy[of]) | np.isin(survivor, copy[of])
        precision = f"{removed_right[mine].mean():.4f}" if mine.any() else ""
        yield (
            f"| {at:.0%} | {of.sum():,} | {candidate[of].mean():.4f} | {right[of].mean():.4f} | {precision} |"
        )
    yield f"removed without a planted pair: {(~removed_right).sum():,}"
    yield json.dumps({"stages": summary["seconds"]})


def draw(works: list[Path], figure: Path) -> Iterator[str]:
    """Draw processor seconds and memory of the finished runs against documents; also as a table."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    points = []
    for work in works:
        lines = map(json.loads, (work / "runs.jsonl").read_text().splitlines())
        last = [line for line in lines if line.get("status") == 0][-1]
        rows = json.loads((work / "out" / "summary.json").read_text())["rows_read"]
        points.append((rows, last["processor_seconds"], last["seconds"], last["peak_memory_mib"]))
    points.sort()
    rows, processor, _, memory = zip(*points, strict=True)
    drawn, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.loglog(rows, processor, "o-", label="processor")
    left.loglog(rows, [processor[-1] * n / rows[-1] for n in rows], ":", label="linear")
    left.set(xlabel="documents", ylabel="seconds", title="Time")
    left.legend()
    right.semilogx(rows, memory, "o-")
    right.set(xlabel="documents", ylabel="MiB", title="Peak memory of all processes", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
    drawn.savefig(figure, metadata={"Date": None})
    plt.close(drawn)
    yield "| documents | processor seconds | seconds | peak MiB |"
    yield "|---:|---:|---:|---:|"
    for point in points:
        yield "| {:,} | {:,.0f} | {:,.0f} | {:,} |".format(*point)


def _codes(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    codes: NDArray[np.int64] = np.minimum(a, b) << 32 | np.maximum(a, b)
    return codes


def main() -> None:
    """Command line."""
    argv, options = sys.argv[1:], []
    if "--" in argv:
        argv, options = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.dedup_scale",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    p.add_argument("what", choices=["make", "run", "check", "draw"])
    p.add_argument("--flink", type=Path, metavar="DIR", help="run on a cluster in this folder")
    p.add_argument("--work", type=Path, required=True, nargs="+", help="several for draw only")
    p.add_argument("--figure", type=Path, default=Path("out/dedup_growth.svg"))
    p.add_argument("--documents", type=int, default=10_000_000)
    p.add_argument("--processes", type=int, default=2, help="that make the documents")
    p.add_argument("--kill_after", type=float, metavar="SECONDS")
    own = p.parse_args(argv)
    work = own.work[0]
    if own.what == "draw":
        print("\n".join(draw(own.work, own.figure)))
    elif own.what == "make":
        make(work, own.documents, own.processes)
    elif own.what == "run":
        made = run_on_flink(work, own.flink, options) if own.flink else run(work, options, own.kill_after)
        print(json.dumps(made))
    else:
        print("\n".join(check(work)))


if __name__ == "__main__":
    main()
