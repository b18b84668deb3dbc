"""CPU time of deduplication and of its verification, for several checkouts of this project in turn.

    python -m benchmarks.verification CORPUS.parquet [--tree FOLDER ...] [--rounds 3] [--threshold 0.9] ...

`CORPUS.parquet` has the columns `id` and `text`. Each round runs every checkout once, in a separate process
with one thread, so that all of them meet the same noise. The least time of each is printed, with the number
of candidates and of those that the model scored. Other options are passed to `beam_sts.deduplicate`. Without
`--tree` this checkout is measured. A checkout needs its engine: `python setup.py -q build_ext --inplace`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Stages:
    """CPU seconds of the stages of a run; a `Watch` of `deduplicate`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, unit: str, total: int) -> Iterator[Any]:
        """Measure a stage."""
        begun = time.process_time()
        yield lambda count, at="": None
        self.seconds[unit] = self.seconds.get(unit, 0.0) + time.process_time() - begun


def measured(corpus: str, settings: dict[str, Any]) -> dict[str, float]:
    """Deduplicate in this process. Returns CPU seconds and counts."""
    import pyarrow.parquet as pq

    from beam_sts.dedup.library import deduplicate

    begun, stages = time.process_time(), Stages()
    table = pq.read_table(corpus, columns=["id", "text"])
    result = deduplicate(table, text="text", id="id", watch=stages, threads=1, **settings)
    stats = result._parts.scores.stats
    scored = getattr(stats, "scored", stats.pairs - stats.identical)  # earlier versions scored all
    return {
        "verification": stages.seconds["pairs"],
        "all": time.process_time() - begun,
        "candidates": result.counts["pairs"],
        "scored": scored,
        "removed": result.counts["removed"],
    }


def _child(tree: str, corpus: str, settings: dict[str, Any]) -> dict[str, float]:
    places = {"PYTHONPATH": str(Path(tree).resolve()), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, corpus, "--child", json.dumps(settings)]
    done = subprocess.run(
        command, env={**os.environ, **places}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _settings(rest: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        try:
            found[name.lstrip("-")] = json.loads(value)
        except ValueError:
            found[name.lstrip("-")] = value
    return found


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("corpus")
    p.add_argument("--tree", nargs="+", default=[str(Path(__file__).parents[1])])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--child")
    own, rest = p.parse_known_args()
    if own.child:
        sys.path.pop(0)  # the folder of this file
        print(json.dumps(measured(own.corpus, json.loads(own.child))))
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(own.rounds):
        for tree in own.tree:
            found = _child(tree, own.corpus, _settings(rest))
            least = best.setdefault(tree, found)
            for name in ("verification", "all"):
                least[name] = min(least[name], found[name])
            print({"tree": tree, **found}, flush=True)
    first = best[own.tree[0]]
    for tree, found in best.items():
        ratios = " ".join(f"{name} {first[name] / found[name]:.2f}x" for name in ("verification", "all"))
        share = found["scored"] / max(found["candidates"], 1)
        print(
            f"{tree}: verification {found['verification']:.1f} s, all {found['all']:.1f} s of CPU time; "
            f"{found['scored']:,.0f} of {found['candidates']:,.0f} candidates scored by the model "
            f"({share:.1%}); {found['removed']:,.0f} removed; beside {own.tree[0]}: {ratios}"
        )


if __name__ == "__main__":
    main()
