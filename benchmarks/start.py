"""The costs of starting: processor time, memory, and imported large packages.

    python -m benchmarks.start [--tries N] [--json FILE]

Each use runs in a separate process, N times in turn with the others; the least of each is shown. Bytecode is
written first, as by an installation. An empty Beam pipeline in the same rounds is shown for comparison with
``score``. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "pairs.jsonl"
LARGE = ("torch", "transformers", "apache_beam", "scipy", "pandas", "duckdb", "networkx")
"""Packages that need much time or memory to import."""

# Peak memory of a process. The peak that its parent can read includes the parent's memory.
_HELD = f"""
import json, sys
def held():
    large = [name for name in {LARGE} if sys.modules.get(name)]
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return [peak / 1024, large]
"""
_REPORT = f"""
{_HELD}
print(json.dumps(held()), file=open(sys.argv[-1], "w"))
"""
_SCORE_ONE = "import beam_sts\nbeam_sts.PairScorer().score([('a cat', 'a dog')])"
_EMPTY_PIPELINE = """
import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
with beam.Pipeline(FnApiRunner()) as pipeline:
    pipeline | beam.Create([1])
"""
# Both workers of a machine score, and each reports its memory.
_WORKERS = """
import json, os, sys, time
import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from beam_sts import ScorePairs

class Hold(beam.DoFn):
    def __init__(self, folder):
        self.folder = folder
    def process(self, pair):
        yield pair
        time.sleep(0.2)  # leaves some for the other
        with open(os.path.join(self.folder, str(os.getpid())), "w") as file:
            json.dump(held(), file)

if __name__ == "__main__":
    options = PipelineOptions(direct_num_workers=2, direct_running_mode="multi_processing")
    with beam.Pipeline(FnApiRunner(), options=options) as pipeline:
        pairs = pipeline | beam.Create([(f"a cat {n}", "a dog") for n in range(40)]) | beam.Reshuffle()
        (pairs | ScorePairs()).scored | beam.ParDo(Hold(sys.argv[1]))
"""


@dataclass(frozen=True)
class Cost:
    """The costs of a use of the package.

    Attributes:
        cpu: user and system time of the process, in seconds.
        memory: its peak resident memory, in MB of 2**20 bytes.
        large: the packages of ``LARGE`` that it imported.
    """

    cpu: float
    memory: float
    large: tuple[str, ...]


def verb(*arguments: str) -> str:
    """Python code that runs a command."""
    return f"from beam_sts.cli.main import main\nassert main({list(arguments)!r}) == 0"


def uses(folder: Path) -> dict[str, str]:
    """The code of every use by its name; its output is written below a folder."""
    data = ["--input", str(EXAMPLES)]
    return {
        "beam-sts --help": verb("--help"),
        "import, score a pair": _SCORE_ONE,
        "empty Beam pipeline": _EMPTY_PIPELINE,
        "score": verb("score", *data, "--output", str(folder / "score"), "--overwrite"),
        "dedup": verb(
            "dedup", *data, "--output", str(folder / "dedup"), "--text=sentence1", "--id=id", "--overwrite"
        ),
        "mine": verb("mine", *data, "--output", str(folder / "mine"), "--text=sentence1", "--overwrite"),
        "evaluate": verb("evaluate", *data, "--score", "gold"),
    }


def run(code: str, folder: Path) -> Cost:
    """Run code in a separate process.

    Args:
        code: Python code.
        folder: folder of the bytecode and the process's report.

    Raises:
        RuntimeError: the process failed; the message has its output.
    """
    report = folder / "report.json"
    command = [sys.executable, "-c", f"{code}\n{_REPORT}", str(report)]
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, env=_environment(folder))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise RuntimeError(printed.read().decode(errors="replace")[-2000:])
    memory, large = json.loads(report.read_text())
    return Cost(used.ru_utime + used.ru_stime, memory, tuple(large))


def workers(folder: Path) -> list[Cost]:
    """The memory of each of two worker processes while both score; their time is not measured.

    Raises:
        RuntimeError: the pipeline failed; the message has its output.
    """
    held = Path(tempfile.mkdtemp(dir=folder))
    script = folder / "workers.py"
    script.write_text(f"{_HELD}\n{_WORKERS}")
    done = subprocess.run(
        [sys.executable, script, held], env=_environment(folder), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = [json.loads(file.read_text()) for file in held.iterdir()]
    return [Cost(0.0, memory, tuple(large)) for memory, large in found]


def _environment(folder: Path) -> dict[str, str]:
    written = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONPATH": str(ROOT)}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **written, "HF_HUB_OFFLINE": "1"}


def measure(tries: int, folder: Path) -> dict[str, Cost]:
    """The least cost of every use, after one warm-up run of each."""
    codes = uses(folder)
    rounds = [{name: run(code, folder) for name, code in codes.items()} for _ in range(1 + tries)]
    return {
        name: Cost(
            min(costs[name].cpu for costs in rounds[1:]),
            min(costs[name].memory for costs in rounds[1:]),
            rounds[-1][name].large,
        )
        for name in codes
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--tries", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        costs = measure(options.tries, Path(name))
        both = workers(Path(name))
    print("| use | processor time, s | memory, MB | imports |\n|---|---:|---:|---|")
    for use, cost in costs.items():
        print(f"| {use} | {cost.cpu:.2f} | {cost.memory:.0f} | {', '.join(cost.large)} |")
    empty, score = costs["empty Beam pipeline"], costs["score"]
    cpu, memory = score.cpu - empty.cpu, score.memory - empty.memory
    print(f"| score, less the empty pipeline | {cpu:.2f} | {memory:.0f} | |")
    together = sum(cost.memory for cost in both)
    imported = sorted({name for cost in both for name in cost.large})
    print(f"| {len(both)} workers (multi_processing), together | | {together:.0f} | {', '.join(imported)} |")
    if options.json:
        options.json.write_text(json.dumps({use: asdict(cost) for use, cost in costs.items()}, indent=1))


if __name__ == "__main__":
    main()
