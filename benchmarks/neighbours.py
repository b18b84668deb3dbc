"""Neighbours by cells: recall, time and memory as the number of texts grows; planted paraphrases found.

    python -m benchmarks.neighbours --data FILE.parquet --texts 100000,1000000

The texts are those of a column; some are copied with words left out and moved. Each size runs in a process of
its own. Prints the table of docs/candidates.md.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.arrays import pair_codes

PLANTED = 0.02
"""Paraphrases for each text."""


def paraphrase(text: str, rng: np.random.Generator) -> str:
    """The text without one word in eight, and with its end before its beginning."""
    words = np.array(text.split())
    words = words[np.sort(rng.permutation(len(words))[: max(len(words) - max(len(words) // 8, 1), 1)])]
    cut = int(rng.integers(len(words)))
    return " ".join([*words[cut:], *words[:cut]])


def corpus(path: str, column: str, count: int) -> tuple[pa.Array, int]:
    """``count`` texts, the last of which are paraphrases of the first, and the number of paraphrases."""
    rng = np.random.default_rng(0)
    planted = int(PLANTED * count)
    texts = pq.read_table(path, columns=[column])[column].combine_chunks().unique()
    texts = texts.take(pa.array(rng.permutation(len(texts))[: count - planted])).cast(pa.large_string())
    copies = [paraphrase(text, rng) for text in texts.slice(0, planted).to_pylist()]
    return pa.concat_arrays([texts, pa.array(copies, pa.large_string())]), planted


def measure(path: str, column: str, count: int, k: int) -> dict[str, Any]:
    """One size, in this process."""
    from beam_sts.candidates.cells import search_report
    from beam_sts.candidates.neighbours import neighbours
    from beam_sts.candidates.vectors import static_embedding
    from beam_sts.models.checkpoint import load_checkpoint

    texts, planted = corpus(path, column, count)
    times = [(time.perf_counter(), time.process_time())]
    vectors = [static_embedding(texts, load_checkpoint("beam-sts-nano"))]
    times.append((time.perf_counter(), time.process_time()))
    near = neighbours(vectors.pop(), k)
    times.append((time.perf_counter(), time.process_time()))
    first = np.arange(planted)
    found = np.isin(pair_codes(first, count - planted + first), pair_codes(near.a, near.b))
    return {
        "texts": count,
        **search_report(near.report),
        "pairs": len(near.a),
        "planted": float(found.mean()),
        "embed": [round(after - before, 1) for before, after in zip(*times[:2], strict=True)],
        "search": [round(after - before, 1) for before, after in zip(*times[1:], strict=True)],
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--column", default="text")
    parser.add_argument("--texts", default="100000,1000000")
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--one", action="store_true", help="measure in this process, print JSON")
    args = parser.parse_args()
    sizes = [int(size) for size in args.texts.split(",")]
    if args.one:
        print(json.dumps(measure(args.data, args.column, sizes[0], args.k)))
        return
    names = f"texts, cells, recall at {args.k}, planted found, search CPU s, exponent, vectors CPU s, MiB"
    print("|", names.replace(",", " |"), "|")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    before: dict[str, Any] | None = None
    for size in sizes:
        command = [
            sys.executable,
            "-m",
            "benchmarks.neighbours",
            "--one",
            *sys.argv[1:],
            "--texts",
            str(size),
        ]
        made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        power = ""
        if before:
            growth = math.log(made["search"][1] / before["search"][1])
            power = f"{growth / math.log(size / before['texts']):.2f}"
        print(
            f"| {size:,} | {made['cells']:,} | {made['recall']:.3f} | {made['planted']:.3f} | "
            f"{made['search'][1]:.0f} | {power} | {made['embed'][1]:.0f} | {made['mib']:,} |",
            flush=True,
        )
        before = made


if __name__ == "__main__":
    main()
