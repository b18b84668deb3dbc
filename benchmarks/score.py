"""The speed of scoring compared with other ways: the same pairs and checkpoint, in turn, in one process each.

    python -m benchmarks.score --quick     # a short run of some minutes
    python -m benchmarks.score             # all measurements
    python -m benchmarks.score --publish   # and write them to docs/performance.md and README.md
    python -m benchmarks.score --peer_python VENV/bin/python   # with CrossEncoder's ONNX and OpenVINO

Needs the extra `bench`. The ONNX and OpenVINO backends of sentence-transformers need another version of
transformers, so they are in a separate virtual environment (`pip install
'sentence-transformers[onnx,openvino]'`). A contestant that cannot be loaded is left out, with the reason.

Ratios are within a round, because a machine's speed drifts; the table has the median and the range.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import beam_sts
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.backends import PRECISIONS, available_cores
from benchmarks.score_tables import markdown, publish
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
PAIRS = {"short": 8192, "mixed": 8192, "mining": 8192, "long": 512}
BATCH_SIZES = (32, 64, 128, 256)
REFERENCE = "CrossEncoder torch 32"  # the default of CrossEncoder.predict
HANDLER = "PytorchModelHandlerKeyedTensor 128"
STARTUP_PAIRS = 32


class UnavailableError(Exception):
    """A contestant cannot run on this machine, for a reason."""


class Process:
    """A contestant in its own process."""

    def __init__(self, name: str, model: str, folder: Path, python: str = sys.executable) -> None:
        self.name = name
        self._scores = Path(tempfile.mkdtemp(dir=folder)) / "scores.npy"
        self._log = (folder / f"{name.replace(' ', '_')}.log").open("w+")
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peers", name, "--model", model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "true",
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            },
        )
        self.versions = self._answer()["versions"]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if line:
            return dict(json.loads(line))
        self._process.wait()
        self._log.seek(0)
        errors = [line.strip() for line in self._log if re.match(r"[\w.]*(Error|Exception):", line)]
        raise UnavailableError(errors[-1][:200] if errors else f"exit status {self._process.returncode}")

    def score(self, pairs: Path, first: int, last: int, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Scores of a range of the pairs, and the costs of the run."""
        self.ask(pairs, first, last, **settings)
        answer = self._answer()
        return np.load(self._scores), answer

    def ask(self, pairs: Path, first: int, last: int, **settings: Any) -> None:
        """Start scoring a range of the pairs; ``seconds`` waits for the end."""
        request = {
            "pairs": str(pairs),
            "first": first,
            "last": last,
            "scores": str(self._scores),
            "settings": settings,
        }
        self._process.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
        self._process.stdin.flush()  # type: ignore[union-attr]

    def seconds(self) -> float:
        """The duration of the started run."""
        return float(self._answer()["seconds"])

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):  # the process has failed
            self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._log.close()


@contextmanager
def contest(
    names: list[str], own: argparse.Namespace, folder: Path
) -> Iterator[tuple[list[Process], dict[str, str]]]:
    """The contestants that start, and the reasons why the others do not."""
    started: list[Process] = []
    absent: dict[str, str] = {}
    for name in names:
        exported = name.startswith(("CrossEncoder onnx", "CrossEncoder openvino"))
        python = own.peer_python if exported and own.peer_python else sys.executable
        try:
            started.append(Process(name, own.model_folder, folder, python))
        except UnavailableError as reason:
            absent[name] = str(reason)
    try:
        yield started, absent
    finally:
        for process in started:
            process.close()


@dataclass
class Result:
    """One contestant on one workload."""

    seconds: list[float] = field(default_factory=list)  # of each round, without the start-up
    startup: list[float] = field(default_factory=list)
    scores: np.ndarray | None = None
    peak: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0

    def of_pairs(self) -> np.ndarray:
        """The scores of the pairs. Raises RuntimeError if there are none."""
        if self.scores is None:
            raise RuntimeError("a contestant has no scores")
        return self.scores


def pairs_of(workload: str, own: argparse.Namespace) -> int:
    """Count of the pairs of a workload; a sixteenth if they are long."""
    if own.pairs and workload == "long":
        return max(4 * STARTUP_PAIRS, int(own.pairs) // 16)
    return int(own.pairs or PAIRS[workload])


def best_batch(
    kind: str, own: argparse.Namespace, pairs: Path, count: int, folder: Path
) -> tuple[str, dict[str, str]]:
    """The fastest batch size on a quarter of the pairs."""
    sizes = BATCH_SIZES[::2] if own.quick else BATCH_SIZES
    seconds: dict[str, float] = {}
    with contest([f"{kind} {sizes[0]}"], own, folder) as (started, absent):
        for process in started:
            try:
                process.score(pairs, 0, min(256, count))
                for size in sizes * 2:
                    taken = process.score(pairs, 0, count // 4, batch_size=size)[1]["seconds"]
                    name = f"{kind} {size}"
                    seconds[name] = min(taken, seconds.get(name, taken))
            except UnavailableError as reason:
                return "", {process.name: str(reason)}
    return (min(seconds, key=seconds.__getitem__) if seconds else ""), absent


def measure(workload: str, count: int, own: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All contestants on one workload, in turn, round after round."""
    made = WORKLOADS[workload](count, own.seed)
    pairs = folder / f"{workload}.json"
    pairs.write_text(json.dumps(made), "utf-8")
    absent: dict[str, str] = {}
    names = [REFERENCE]
    for kind in ("CrossEncoder torch", "CrossEncoder onnx", "CrossEncoder openvino"):
        best, why = best_batch(kind, own, pairs, count, folder)
        names += [best] if best and best != REFERENCE else []
        absent |= why
    names.append(HANDLER)
    names += [f"PairScorer {p} {b}" for p in own.precisions for b in own.backends]
    results: dict[str, Result] = {}
    used: dict[str, dict[str, str]] = {}
    with contest(names, own, folder) as (started, why):
        absent |= why
        for round_ in range(own.rounds + 1):  # the first round is a warm-up
            for process in [p for p in started if p.name not in absent]:
                try:
                    startup = 0.0
                    if process.name == HANDLER:  # this contestant loads its model in each run
                        startup = process.score(pairs, 0, STARTUP_PAIRS)[1]["seconds"]
                    scores, answer = process.score(pairs, 0, count)
                except UnavailableError as reason:
                    absent[process.name] = str(reason)
                    results.pop(process.name, None)
                    continue
                if round_ == 0:
                    results[process.name] = Result(scores=scores)
                    used[process.name] = process.versions
                    continue
                result = results[process.name]
                result.seconds.append(answer["seconds"] - startup)
                result.startup.append(startup)
                result.peak = answer["peak"]
                result.real_tokens = answer.get("real_tokens", 0)
                result.padded_tokens = answer.get("padded_tokens", 0)
    return {
        "workload": workload,
        "pairs": count,
        "distinct_texts": len({text for pair in made for text in pair}),
        "rows": rows(results, count),
        "absent": absent,
        "versions": used,
    }


def rows(results: dict[str, Result], count: int) -> list[dict[str, Any]]:
    """The rows of the table. Ratios are to the fastest CrossEncoder on torch in the same round."""
    baseline = [r.seconds for name, r in results.items() if name.startswith("CrossEncoder torch")]
    best = [min(round_) for round_ in zip(*baseline, strict=True)]
    tokens = max(r.real_tokens for r in results.values())
    expected = results[REFERENCE].of_pairs()
    table = []
    for name, result in results.items():
        ratios = sorted(b / s for b, s in zip(best, result.seconds, strict=True))
        gaps = np.abs(result.of_pairs() - expected)
        rate = count / statistics.median(result.seconds)
        table.append(
            {
                "contestant": name,
                "pairs_per_second": rate,
                "tokens_per_second": rate * tokens / count,
                "ratio": statistics.median(ratios),
                "ratio_range": [ratios[0], ratios[-1]],
                "largest_difference": float(gaps.max()),
                "mean_difference": float(gaps.mean()),
                "padding": result.padded_tokens / result.real_tokens if result.real_tokens else None,
                "peak_bytes": result.peak,
                "startup_seconds": statistics.median(result.startup),
                "seconds": result.seconds,
            }
        )
    return table


def measure_pipeline(precision: str, own: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole command after its first pairs, compared with the loop without Beam over the same pairs."""
    count, backend = own.pipeline_pairs, own.backends[0]
    pairs = folder / "pipeline.json"
    pairs.write_text(json.dumps(WORKLOADS["mixed"](2 * count, own.seed)), "utf-8")
    whole, bare = f"pipelines.score {precision} {backend}", f"PairScorer {precision} {backend}"
    startup, ratios, rates, peak = [], [], [], 0
    with contest([whole, bare], own, folder) as (started, absent):
        if absent:
            raise UnavailableError(str(absent))
        pipeline, loop = started
        for process in started:
            process.score(pairs, 0, min(4096, count))
        for _ in range(max(1, own.rounds // 2)):
            startup.append(pipeline.score(pairs, 0, STARTUP_PAIRS)[1]["seconds"])
            once = pipeline.score(pairs, 0, count)[1]["seconds"]
            alone = loop.score(pairs, count, 2 * count)[1]["seconds"]
            twice = pipeline.score(pairs, 0, 2 * count)[1]
            rates.append(count / (twice["seconds"] - once))
            ratios.append(rates[-1] / (count / alone))
            peak = twice["peak"]
    return {
        "precision": precision,
        "pairs": count,
        "cold_start_seconds": cold_start(precision, own, folder),
        "startup_seconds": statistics.median(startup),
        "marginal_pairs_per_second": statistics.median(rates),
        "ratio_to_bare_loop": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "peak_bytes": peak,
    }


def measure_threads(precision: str, workload: str, own: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A process with a thread per core, compared with simultaneous processes of one thread each."""
    count, cores = pairs_of(workload, own), available_cores()
    pairs = folder / f"{workload}.json"
    pairs.write_text(json.dumps(WORKLOADS[workload](cores * count, own.seed)), "utf-8")
    backend = own.backends[0]
    alone = [f"PairScorer {precision} {backend} cpu 1"] * cores
    ratios = []
    with contest([f"PairScorer {precision} {backend}", *alone], own, folder) as (started, absent):
        if absent:
            raise UnavailableError(str(absent))
        together, *apart = started
        for round_ in range(own.rounds + 1):  # the first round is a warm-up
            for at, process in enumerate(apart):
                process.ask(pairs, at * count, (at + 1) * count)
            processes = max([process.seconds() for process in apart])
            together.ask(pairs, 0, cores * count)
            threads = together.seconds()
            ratios += [processes / threads] if round_ else []
    return {
        "precision": precision,
        "workload": workload,
        "cores": cores,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def cold_start(precision: str, own: argparse.Namespace, folder: Path) -> float:
    """Seconds of the whole command on the 62 example pairs, imports included."""
    command = [sys.executable, "-m", "pipelines.score", "--input", str(ROOT / "examples" / "pairs.parquet")]
    command += ["--output", str(folder / "cold"), "--overwrite", "--precision", precision]
    started = time.perf_counter()
    subprocess.run([*command, "--model", own.model_folder], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def hardware() -> dict[str, Any]:
    """The machine of the measurements."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if flag in flags]
    return {
        "cpu": models[0] if models else platform.processor(),
        "instructions": known,
        "cores": available_cores(),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.score", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--model", default="beam-sts-nano")
    p.add_argument("--workloads", nargs="+", choices=tuple(WORKLOADS), default=list(WORKLOADS))
    p.add_argument("--pairs", type=int, help="pairs of each workload (default: 8192, of long ones 512)")
    p.add_argument("--precisions", nargs="+", choices=tuple(PRECISIONS), default=["fp32", "bf16"])
    p.add_argument("--backends", nargs="+", default=["auto"])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--pipeline_pairs", type=int, default=100_000, help="0 leaves the whole pipeline out")
    p.add_argument("--threads", action="store_true", help="also threads beside processes")
    p.add_argument("--peer_python", metavar="PATH", help="Python with sentence-transformers[onnx,openvino]")
    p.add_argument("--quick", action="store_true", help="few pairs, two rounds, no whole pipeline")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument(
        "--save", default="out/benchmark_score", metavar="STEM", help="writes STEM.json and STEM.md"
    )
    p.add_argument(
        "--publish", action="store_true", help="put the result into docs/performance.md and README.md"
    )
    return p


def main() -> None:
    """Measure, print, save."""
    own = parser().parse_args()
    own.model_folder = str(load_checkpoint(own.model).path)
    if own.quick:
        own.pairs, own.rounds, own.pipeline_pairs = own.pairs or 1024, min(own.rounds, 2), 0
    report: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.score", *sys.argv[1:]]),
        "beam_sts": beam_sts.__version__,
        "model": own.model,
        "hardware": hardware(),
        "rounds": own.rounds,
        "workloads": [],
        "threads": [],
        "pipelines": [],
    }
    with tempfile.TemporaryDirectory(prefix="beam_sts-benchmark-") as name:
        folder = Path(name)
        for workload in own.workloads:
            report["workloads"].append(measure(workload, pairs_of(workload, own), own, folder))
            for precision in own.precisions if own.threads else []:
                report["threads"].append(measure_threads(precision, workload, own, folder))
            sys.stderr.write(f"{workload}: done\n")
        for precision in own.precisions if own.pipeline_pairs else []:
            report["pipelines"].append(measure_pipeline(precision, own, folder))
    text = markdown(report)
    print(text)
    stem = Path(own.save)
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    stem.with_suffix(".md").write_text(text, "utf-8")
    if own.publish:
        publish(report)


if __name__ == "__main__":
    main()
