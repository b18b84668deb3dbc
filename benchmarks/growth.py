"""How time and memory grow with the number of pairs, the length of texts and the number of cores.

    python -m benchmarks.growth --largest 10000000     # hours on two cores
    python -m benchmarks.growth --largest 100000       # minutes

Each point is a separate process (``taskset`` limits its cores). It generates its pairs block by block, so
that they are never in memory together, and scores the blocks like ``pipelines.score``. Time is that of
scoring only; memory is the peak of the process. Writes a figure and its numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import peak_memory, versions

ROOT = Path(__file__).parents[1]
BLOCK = 20_000  # pairs at a time, like the rows of a shard of pipelines.score
LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
TOKENS_A_LENGTH = 400_000  # tokens that a point of the lengths scores
WORDS_A_PAIR = 20


def measure(pairs: int, words: int, precision: str) -> dict[str, Any]:
    """One point, in this process: ``pairs`` pairs of ``words`` words each."""
    import torch

    from beam_sts import PairScorer
    from beam_sts.scoring.backends import available_cores
    from benchmarks.workloads import texts

    cores = available_cores()
    scorer = PairScorer(precision=precision, threads=cores)
    half = np.full(2 * min(pairs, BLOCK), max(1, words // 2))
    block = list(texts(half, seed=0))
    scorer.run(block[: min(len(block), 256)], block[: min(len(block), 256)])  # warm-up
    seconds = processor = 0.0
    tokens = 0
    for start in range(0, pairs, BLOCK):
        count = min(BLOCK, pairs - start)
        # A number before the block's texts is a cheap way to make other texts.
        first, second = (
            [f"{start + i} {t}" for i, t in enumerate(side)] for side in (block[:count], block[-count:])
        )
        began, used = time.perf_counter(), time.process_time()
        result = scorer.run(first, second)
        seconds += time.perf_counter() - began
        processor += time.process_time() - used
        tokens += result.stats.real_tokens
    return {
        "pairs": pairs,
        "words": words,
        "cores": cores,
        "precision": precision,
        "tokens": tokens,
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_bytes": peak_memory(),
        "torch": torch.__version__,
    }


def point(pairs: int, words: int, precision: str, cores: int) -> dict[str, Any]:
    """One point, in a separate process."""
    allowed = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    command = [
        "taskset",
        "--cpu-list",
        allowed,
        sys.executable,
        "-m",
        "benchmarks.growth",
        "--precision",
        precision,
    ]
    command += ["--point", str(pairs), str(words)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{pairs:,} pairs of {words:,} words, {cores} cores: {found['seconds']:.1f} s\n")
    return found


def plot(report: dict[str, Any], path: Path) -> None:
    """Four panels: time and memory against pairs, the rate against length and against cores."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    by_pairs, by_length = report["pairs"], report["lengths"]
    cores = max(p["cores"] for p in by_pairs)
    most = [p for p in by_pairs if p["cores"] == cores]
    axes[0].loglog([p["pairs"] for p in most], [p["seconds"] for p in most], "o-", label="wall")
    axes[0].loglog(
        [p["pairs"] for p in most],
        [p["processor_seconds"] for p in most],
        "s--",
        label="processor, all cores",
    )
    axes[0].set(xlabel="pairs", ylabel="seconds", title=f"Time, {cores} cores", ylim=(0.1, None))
    axes[0].legend()
    axes[1].semilogx([p["pairs"] for p in most], [p["peak_bytes"] / 1e6 for p in most], "o-")
    axes[1].set(xlabel="pairs", ylabel="MB", title="Peak memory of the process", ylim=(0, None))
    axes[2].semilogx(
        [p["tokens"] / p["pairs"] for p in by_length],
        [p["tokens"] / p["seconds"] / 1e3 for p in by_length],
        "o-",
        base=2,
    )
    axes[2].set(
        xlabel="tokens per pair", ylabel="thousand tokens/s", title="Rate against length", ylim=(0, None)
    )
    for number in sorted({p["cores"] for p in report["cores"]}):
        own = [p for p in report["cores"] if p["cores"] == number]
        axes[3].bar(
            [f"{number}\n{p['precision']}" for p in own], [p["pairs"] / p["seconds"] for p in own], color="C0"
        )
    axes[3].set(xlabel="cores, precision", ylabel="pairs/s", title="Rate against cores")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure one point, or all of them."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--largest", type=int, default=1_000_000, help="most pairs (default: %(default)s)")
    p.add_argument("--precision", default="fp32")
    p.add_argument("--save", default="out/growth", metavar="STEM", help="writes STEM.png and STEM.json")
    p.add_argument("--point", type=int, nargs=2, metavar=("PAIRS", "WORDS"), help=argparse.SUPPRESS)
    own = p.parse_args()
    if own.point:
        pairs, words = own.point
        print(json.dumps(measure(pairs, words, own.precision)))
        return
    cores = len(os.sched_getaffinity(0))
    sizes = [10**n for n in range(4, 9) if 10**n <= own.largest]
    report = {
        "command": " ".join(["python -m benchmarks.growth", *sys.argv[1:]]),
        "versions": versions(),
        "pairs": [point(size, WORDS_A_PAIR, own.precision, cores) for size in sizes],
        "lengths": [
            # A word has 1.35 tokens on average; a pair also has three special tokens and two numbers.
            point(max(16, TOKENS_A_LENGTH // length), max(2, int((length - 7) / 1.35)), own.precision, cores)
            for length in LENGTHS
        ],
        "cores": [
            point(sizes[0], WORDS_A_PAIR, precision, number)
            for number in range(1, min(cores, 2) + 1)
            for precision in ("fp32", "bf16")
        ],
    }
    stem = Path(own.save)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    plot(report, stem.with_suffix(".png"))


if __name__ == "__main__":
    main()
