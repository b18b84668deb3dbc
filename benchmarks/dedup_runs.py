"""Runs of ``pipelines.dedup`` and of its peers for ``benchmarks.dedup``, each in a separate process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.verify import MODEL_SHARE
from benchmarks.load import Memory

# Linux includes this process's memory in the peak of a child process, but not of a child of a shell in
# between.
APART = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
SEMHASH = "model2vec distilled from all-MiniLM-L6-v2"


class Peers:
    """Runs peers on a table. Peers that are not installed are reported and left out."""

    def __init__(self, work: Path, semhash_model: str | None, text_dedup_python: str | None) -> None:
        self._work, self._model, self._python = work, semhash_model, text_dedup_python

    def run(
        self, table: pa.Table, thresholds: list[float], against: pa.Table | None = None, ngram: str = "5"
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name and the answer of each peer; all have the same thresholds."""
        self._work.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self._work / "in.parquet")
        command = [sys.executable, "-m", "benchmarks.dedup_peers"]
        more = ["--thresholds", *map(str, thresholds), "--ngram", ngram]
        more += ["--model", str(self._model), "--python", self._python or sys.executable]
        if against is not None:
            pq.write_table(against, self._work / "against.parquet")
            more += ["--against", str(self._work / "against.parquet")]
        for name, label, there in (
            ("datasketch", "datasketch MinHashLSH, char4", True),
            ("text_dedup", f"text-dedup MinHash, {ngram} words", self._python and against is None),
            ("semhash", f"semhash, {SEMHASH}", self._model),
        ):
            if there:
                out = self._work / f"{name}.json"
                run = [*command, name, str(self._work / "in.parquet"), str(out), *more]
                subprocess.run([*APART, *run], check=True, capture_output=True)
                yield label, json.loads(out.read_text())


def dedup(
    work: Path, table: pa.Table, *options: str, against: pa.Table | None = None
) -> tuple[Any, pa.Table]:
    """Run the command in a separate process, and return its summary, with costs, and its pairs.

    Costs are time and memory of all its processes. A killed run of the same input and folder continues.
    """
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "in.parquet").exists() or pq.read_table(work / "in.parquet") != table:
        pq.write_table(table, work / "in.parquet")
    command = [sys.executable, "-m", "pipelines.dedup", "--input", str(work / "in.parquet")]
    command += ["--output", str(work / "out"), "--text", "text", "--id", "id", *options]
    if against is not None:
        pq.write_table(against, work / "against.parquet")
        command += ["--against", str(work / "against.parquet")]
    started = time.perf_counter()
    memory = Memory()
    with memory.watched(), (work / "log").open("w") as log:
        process = subprocess.Popen([*APART, *command], stdout=subprocess.DEVNULL, stderr=log)
        memory.roots.add(process.pid)
        if process.wait():
            raise SystemExit(f"{' '.join(command)}:\n{(work / 'log').read_text()[-2000:]}")
    summary = json.loads((work / "out" / "summary.json").read_text())
    measured = {"wall": time.perf_counter() - started, "tree_mib": memory.report()["peak_memory_mib"]}
    return summary | measured, pq.read_table(work / "out" / "pairs")


def peer_costs(answer: dict[str, Any]) -> dict[str, Any]:
    """The costs of one pass, at the first threshold."""
    return {"seconds": answer["seconds"][0], "peak_mib": answer["peak_mib"]}


def costs_of(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "rows": summary["rows_read"],
        "removed": summary["rows_removed"],
        "pairs": summary["pairs"],
        "seconds": summary["wall"],
        "peak_mib": summary["tree_mib"],
        "peak_mib_of_the_process": summary["peak_memory_mib"],
        **{f"s_{name}": value for name, value in summary["seconds"].items()},
    }


def parts_of(
    nodes: pa.Array, first: pa.Array, second: pa.Array, blend: np.ndarray, share: float = MODEL_SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """The model's score and the overlap from a blend with ``share`` of the model; equal texts have 1."""
    overlap = np.where(blend >= 1, 1, Overlap.learn(nodes).scores(first, second)).astype(np.float32)
    model = (blend - (1 - share) * overlap) / share
    return np.where(blend >= 1, 1, model).astype(np.float32), overlap
