"""Processes x threads never exceed the given cores: whole runs are observed through /proc."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.scoring.backends import available_cores
from tests.checkpoints import SENTENCES

ROOT = Path(__file__).parents[2]
ROWS, ROWS_PER_SHARD = 6_000, 300
# A thread counts as computing if it has at least this share of all processor time. Beam's threads for
# messages, timers and polling have less. There are dozens, and under external load some always wait for a
# core.
SHARE = 0.05
# When a thread hands over to the next, both are briefly ready: in 0 to 8% of the samples. With twice as many
# threads as cores it is most samples.
LIMIT = 0.25

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


def _processes(root):
    """A process and all its descendants."""
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                pending += map(int, children.read_text().split())
            except OSError:  # the process has ended
                continue


def _threads(root):
    """For each (process, thread): whether it runs or waits for a core, and its CPU time in clock ticks."""
    found = {}
    for pid in _processes(root):
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[pid, int(stat.parent.name)] = fields[0] == "R", int(fields[11]) + int(fields[12])
    return found


def computing_threads(command, scores):
    """Run a command, and count how many of its computing threads wanted a core at once.

    Samples are taken from the first shard to the last but one, when all processes have started.
    """
    samples, ticks, before = [], {}, {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        os.set_blocking(process.stderr.fileno(), False)
        while process.poll() is None:
            shards = len(list(scores.iterdir())) if scores.is_dir() else 0
            seen = _threads(process.pid)
            if 0 < shards < ROWS // ROWS_PER_SHARD - 1:
                samples.append([thread for thread, (running, _) in seen.items() if running])
                ticks |= {thread: time_used for thread, (_, time_used) in seen.items()}
            elif not shards:
                before = {thread: time_used for thread, (_, time_used) in seen.items()}
            time.sleep(0.01)
        assert process.returncode == 0, process.stderr.read()
    used = {thread: total - before.get(thread, 0) for thread, total in ticks.items()}
    computing = {thread for thread, own in used.items() if own >= SHARE * sum(used.values())}
    return Counter(len(computing.intersection(running)) for running in samples)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = random.Random(0)
    words = " ".join(SENTENCES).split()

    def texts():
        return [" ".join(rng.choices(words, k=rng.randrange(5, 30))) for _ in range(ROWS)]

    path = tmp_path_factory.mktemp("threads") / "in.parquet"
    pq.write_table(pa.table({"text_a": texts(), "text_b": texts()}), path)
    return path


def _share_above(source, folder, model, cores, *options):
    """The share of the samples in which more threads wanted to compute than there are cores."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    command = ["taskset", "--cpu-list", ",".join(map(str, allowed)), sys.executable, "-m", "pipelines.score"]
    command += ["--input", str(source), "--output", str(folder), "--model", str(model)]
    command += ["--rows_per_shard", str(ROWS_PER_SHARD), *options]
    counts = computing_threads(command, folder / "scores")
    print(sorted(counts.items()))
    assert counts.total() >= 20, "too few samples: make the run longer"
    return sum(number for running, number in counts.items() if running > cores) / counts.total()


CASES = [("multi_processing", 2)]
OTHER_CASES = [
    (mode, cores) for mode in ("in_memory", "multi_threading", "multi_processing") for cores in (1, 2)
]


@pytest.mark.parametrize(
    ("mode", "cores"),
    [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHER_CASES if case not in CASES)],
)
def test_no_more_threads_compute_than_there_are_cores(source, tmp_path, full_size, mode, cores):
    if available_cores() < cores:
        pytest.skip(f"needs {cores} cores")
    above = _share_above(source, tmp_path / "out", full_size, cores, f"--direct_running_mode={mode}")
    assert above < LIMIT


@pytest.mark.slow
def test_an_overrun_would_be_seen(source, tmp_path, full_size):
    assert (
        _share_above(source, tmp_path / "out", full_size, 1, "--threads", "2", "--backend", "native")
        > 2 * LIMIT
    )
