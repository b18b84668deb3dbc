"""What deduplication costs: processor time for a million documents by stage, and from list prices a price.

    python -m benchmarks.cost --input corpus.parquet --text text
    python -m benchmarks.cost --input corpus.parquet --text text --flink_master 127.0.0.1:8081
    python -m benchmarks.cost --input corpus.parquet --text text --run /big/runs.jsonl

Runs the command on one machine with one thread, and shares its processor time among the stages by their
seconds. With ``--flink_master`` the bytes that the last finished job there has shuffled are read from Flink;
that job must be of the same input. ``--run`` reads them from a run of ``benchmarks.dedup_scale`` on Flink.
The price is a calculation, shown with its inputs: nothing runs on a cloud. List prices differ by region and
change: give yours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PUBLISHED = 0.30
"""Dollars for a million documents, as a publication has it for deduplication on 63 nodes."""


@dataclass(frozen=True)
class Prices:
    """List prices in dollars; the defaults are those of Dataflow's batch workers in us-central1.

    ``vcpu_hour`` and ``gb_hour`` are of a worker's processor and memory, ``shuffled_gb`` is of the data that
    Dataflow's shuffle service processes.
    """

    vcpu_hour: float = 0.056
    gb_hour: float = 0.003557
    shuffled_gb: float = 0.011


@dataclass(frozen=True)
class Use:
    """What a million documents use: processor seconds, bytes shuffled.

    ``overhead``: processor time on a cluster for each second on one machine; ``busy``: the part of a worker's
    time that is work; ``gb_per_vcpu``: memory of a worker for each vCPU.
    """

    seconds: float
    shuffled: float
    overhead: float
    busy: float
    gb_per_vcpu: float

    def lines(self, prices: Prices) -> list[tuple[str, float, str]]:
        """Each part of the price: what, dollars, how.

        >>> use = Use(seconds=900.0, shuffled=5e9, overhead=2.0, busy=0.5, gb_per_vcpu=4.0)
        >>> [(what, round(dollars, 3)) for what, dollars, _ in use.lines(Prices())]
        [('vCPU', 0.056), ('memory', 0.014), ('shuffle', 0.055)]
        """
        hours = self.seconds * self.overhead / self.busy / 3600
        memory, shuffled = hours * self.gb_per_vcpu, self.shuffled / 1e9
        clock = f"{self.seconds:,.0f} s x {self.overhead:g} / {self.busy:g} = {hours:.3f} h"
        return [
            ("vCPU", hours * prices.vcpu_hour, f"{clock} x {prices.vcpu_hour:g}"),
            (
                "memory",
                memory * prices.gb_hour,
                f"{hours:.3f} h x {self.gb_per_vcpu:g} GB x {prices.gb_hour:g}",
            ),
            ("shuffle", shuffled * prices.shuffled_gb, f"{shuffled:.2f} GB x {prices.shuffled_gb:g}"),
        ]


def measured(args: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """The summary of a run on one machine, and its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipelines.dedup", "--input", args.input, "--text", args.text]
        command += ["--output", f"{folder}/out", "--model", args.model, "--threads", "1", "--quiet"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed.")
        return json.loads(Path(folder, "out/summary.json").read_text()), used.ru_utime + used.ru_stime


def shuffles(master: str) -> dict[str, int]:
    """Bytes that the last finished job of a Flink cluster has read after each shuffle, by its name."""

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://{master}/{path}", timeout=10) as answer:
            return json.load(answer)

    jobs = [job for job in ask("jobs/overview")["jobs"] if job["state"] == "FINISHED"]
    if not jobs:
        raise SystemExit(f"--flink_master {master}: no job has finished there.")
    last = max(jobs, key=lambda job: job["end-time"])
    steps = ask(f"jobs/{last['jid']}")["vertices"]
    found: dict[str, int] = {}
    for step in steps:
        if step["name"].startswith("GroupReduce"):
            name = step["name"]
            found[name] = found.get(name, 0) + step["metrics"]["read-bytes"]
    return found


def main() -> None:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--input", required=True)
    p.add_argument("--text", default="text")
    p.add_argument("--model", default="beam-sts-nano")
    p.add_argument("--flink_master", help="HOST:PORT of a cluster whose last job deduplicated the input")
    p.add_argument("--run", type=Path, help="the runs.jsonl of a run of benchmarks.dedup_scale on Flink")
    p.add_argument("--shuffled", type=float, default=0.0, help="bytes shuffled for each document")
    p.add_argument("--overhead", type=float, default=1.0, help="processor time of Beam to one machine's")
    p.add_argument("--busy", type=float, default=0.8, help="part of a worker's time that is work")
    p.add_argument("--gb_per_vcpu", type=float, default=4.0)
    for name, price in vars(Prices()).items():
        p.add_argument(f"--{name}", type=float, default=price, help="dollars")
    args = p.parse_args()
    summary, seconds = measured(args)
    rows, took = summary["rows_read"], summary["seconds"]
    total = sum(took.values())
    print(f"{rows:,} documents, {summary['pairs']:,} pairs, {seconds:,.1f} s of one processor\n")
    print("| stage | processor seconds for a million documents |\n|---|---:|")
    for stage, part in took.items():
        print(f"| {stage} | {seconds * part / total / rows * 1e6:,.0f} |")
    print(f"| all | {seconds / rows * 1e6:,.0f} |\n")
    found = shuffles(args.flink_master) if args.flink_master else {}
    steps = {name: count / rows for name, count in found.items()}
    if args.run:
        run = [found for found in map(json.loads, args.run.read_text().splitlines()) if "steps" in found][-1]
        steps = {name: count / run["rows"] for name, count in run["steps"].items()}
    if steps:
        print("| shuffle | bytes for each document |\n|---|---:|")
        for name, count in sorted(steps.items(), key=lambda step: -step[1]):
            print(f"| {name} | {count:,.0f} |")
        print(f"| all | {sum(steps.values()):,.0f} |\n")
    shuffled = args.shuffled or sum(steps.values())
    use = Use(seconds / rows * 1e6, shuffled * 1e6, args.overhead, args.busy, args.gb_per_vcpu)
    lines = use.lines(Prices(args.vcpu_hour, args.gb_hour, args.shuffled_gb))
    print("| a million documents on Dataflow | dollars | calculation |\n|---|---:|---|")
    for what, dollars, how in lines:
        print(f"| {what} | {dollars:.4f} | {how} |")
    price = sum(dollars for _, dollars, _ in lines)
    print(f"| all | {price:.4f} | published by others: {PUBLISHED:.2f} |")


if __name__ == "__main__":
    main()
