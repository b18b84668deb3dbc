"""How fast `PairScorer` is beside `CrossEncoder.predict`: same pairs, same checkpoint, same process, in turn.

    python -m benchmarks.score                 # pairs from the example sentences, no other data needed
    python -m benchmarks.score --input pairs.parquet --pairs 20000

Prints a ratio per repetition, since a machine's speed drifts. Needs the extra `test` (sentence-transformers).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

import beam_sts
from beam_sts import PairScorer
from beam_sts.scoring.backends import available_cores

EXAMPLES = Path(__file__).parents[1] / "examples" / "pairs.parquet"
BATCH_SIZES = (32, 128)


def made_pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Distinct pairs of log-normal length: words of the example sentences, shuffled (median 10 a text)."""
    rng = random.Random(seed)
    table = pq.read_table(EXAMPLES)
    words = " ".join(table["sentence1"].to_pylist() + table["sentence2"].to_pylist()).split()

    def text() -> str:
        return " ".join(rng.choices(words, k=max(1, round(rng.lognormvariate(2.3, 0.7)))))

    return [(text(), text()) for _ in range(count)]


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.score", description=__doc__)
    p.add_argument("--input", help="Parquet with sentence1 and sentence2 (default: made pairs)")
    p.add_argument("--pairs", type=int, default=8192)
    p.add_argument("--model", default="beam-sts-nano")
    p.add_argument("--repeat", type=int, default=3)
    own = p.parse_args()
    if own.input:
        table = pq.read_table(own.input, columns=["sentence1", "sentence2"]).slice(0, own.pairs)
        pairs = list(zip(table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), strict=True))
    else:
        pairs = made_pairs(own.pairs)

    from sentence_transformers import CrossEncoder

    cores = available_cores()
    exact, fast = (PairScorer(own.model, precision=precision) for precision in ("fp32", "bf16"))
    reference = CrossEncoder(str(exact.checkpoint), device="cpu")

    def ours(scorer: PairScorer) -> np.ndarray:
        torch.set_num_threads(1)  # a micro-batch is one thread's; the reference gets all of them
        return scorer.score(pairs)

    def theirs(batch_size: int) -> np.ndarray:
        torch.set_num_threads(cores)
        return reference.predict(pairs, batch_size=batch_size)

    runs = {
        **{f"CrossEncoder.predict, batch {size}": lambda size=size: theirs(size) for size in BATCH_SIZES},
        "PairScorer fp32": lambda: ours(exact),
        "PairScorer bf16": lambda: ours(fast),
    }
    for run in runs.values():
        run()  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    scores = {}
    for _ in range(own.repeat):
        for name, run in runs.items():
            start = time.perf_counter()
            scores[name] = run()
            seconds[name].append(time.perf_counter() - start)

    stats = exact.run([a for a, _ in pairs], [b for _, b in pairs]).stats
    base = f"CrossEncoder.predict, batch {BATCH_SIZES[0]}"
    best = [
        min(seconds[f"CrossEncoder.predict, batch {s}"][i] for s in BATCH_SIZES) for i in range(own.repeat)
    ]
    print(
        f"{len(pairs):,} pairs, {stats.real_tokens / len(pairs):.1f} tokens a pair, {cores} cores, "
        f"padded/real {stats.padding_ratio:.3f}, torch {torch.__version__}, beam_sts {beam_sts.__version__}"
    )
    print(f"{'':34}{'pairs/s':>9}{'x best of CrossEncoder (min-max)':>36}{'largest difference':>20}")
    for name, values in seconds.items():
        ratios = sorted(b / v for b, v in zip(best, values, strict=True))
        span = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        gap = np.abs(scores[name] - scores[base]).max()
        print(f"{name:34}{len(pairs) / statistics.median(values):>9,.0f}{span:>36}{gap:>20.1e}")


if __name__ == "__main__":
    main()
