"""A Spark cluster on this machine: the same output, even if an executor, the driver or a worker is killed.

Needs Java, Maven and minutes. Engines are kept in ~/.cache/beam_sts (BEAM_STS_ENGINES):

    BEAM_STS_RECORD=1 python -m pytest -m slow tests/cli/test_spark.py
"""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.spark_runner import JOB_SERVER_CACHE

from beam_sts.cli import score
from scripts.spark import SPARK_WORKERS, SparkCluster
from tests import engines
from tests.checkpoints import SENTENCES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A master, two Spark workers and a pool of this environment's Python workers."""
    engines.need("java", "mvn")
    with SparkCluster(engines.HOME / "spark") as started:
        yield started


def executors(cluster):
    """Process ids of the executors of the Spark workers."""
    found = []
    for name, pid in cluster.pids().items():
        if name.startswith("spark_worker"):
            listing = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
            )
            found += [int(child) for child in listing.stdout.split()]
    return found


def executor_logs(cluster):
    """The logs of the executors of the newest job so far."""
    jobs = sorted((cluster.home / "tmp").glob("app-*"))
    return [log.read_text() for log in jobs[-1].glob("*/stderr")] if jobs else []


def drivers():
    """Process ids of the job servers that this process has started; each is the driver of a job."""
    children = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    return [
        int(child)
        for line in children
        for child in line
        if b"-jar" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    ]


VICTIMS = {
    "an executor killed": lambda cluster: executors(cluster)[:1],
    "the workers killed, run again": lambda cluster: list(filter(engines.connected, cluster.workers())),
    "the driver killed, run again": lambda _: drivers(),
}
"""The processes to kill; with "run again" the command fails and is run again."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("spark") / "pairs.parquet"
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:5]]) if i % 13 else None for i in range(4000)]
    pq.write_table(pa.table({"id": range(4000), "text_a": texts, "text_b": texts[::-1]}), path)
    return path


def score_pairs(source, output, *options, status=0):
    settings = ("--rows_per_shard=50", "--threshold=0.5", "--threads=1")
    assert score.main(["--input", str(source), "--output", str(output), *settings, *options]) == status


@pytest.fixture(scope="module")
def scored(pairs, tmp_path_factory):
    """The output of DirectRunner in memory, by the embedded model."""
    output = tmp_path_factory.mktemp("reference") / "out"
    score_pairs(pairs, output)
    return output


def check_scored(output, reference):
    assert engines.shards(output) == engines.shards(reference)
    assert engines.summary(output) == engines.summary(reference)
    assert not list(output.rglob(".*"))


VERBS = {
    "score": (score_pairs, "pairs", "scored", check_scored, "same bytes"),
    **{verb: (run, "engine_corpus", *rest) for verb, (run, *rest) in engines.VERBS.items()},
}


@contextlib.contextmanager
def killing(victims, cluster, output):
    """Kill processes when the job that the block starts is half finished."""
    jobs = len(list((cluster.home / "tmp").glob("app-*")))

    def half_done():
        started = len(list((cluster.home / "tmp").glob("app-*"))) > jobs
        tasks = sum(log.count("Finished task") for log in executor_logs(cluster))
        return started and (tasks >= 20 or len(list((output / "scores").glob("part-*"))) >= 5)

    def kill():
        engines.wait_until(lambda: half_done() and any(map(engines.connected, cluster.workers())), 900)
        found = victims(cluster)
        assert found
        for pid in found:
            os.kill(pid, signal.SIGKILL)

    with engines.beside(kill):
        yield


@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_gives_the_reference(verb, cluster, request, tmp_path):
    run, source, reference, check, same = VERBS[verb]
    run(request.getfixturevalue(source), tmp_path / "out", *cluster.options)
    assert not any("Exception in task" in log for log in executor_logs(cluster))
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("SparkRunner, EXTERNAL", "$SPARK", verb, same)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_loses_nothing(victim, verb, cluster, request, tmp_path):
    """An executor is replaced, and its work is repeated.

    An executor keeps a dead Python worker for its next tasks, so all attempts of a task fail at once.
    """
    run, source, reference, check, same = VERBS[verb]
    source = request.getfixturevalue(source)
    again = "again" in victim
    with killing(VICTIMS[victim], cluster, tmp_path / "out"):
        run(source, tmp_path / "out", *cluster.options, status=int(again))
    if again:
        # Beam would use a killed job server again, so this process must have another one for its next test.
        JOB_SERVER_CACHE.clear()
        code = f"import sys; from tests.cli.test_spark import VERBS; VERBS[{verb!r}][0](*sys.argv[1:])"
        command = [sys.executable, "-c", code, source, tmp_path / "out", *cluster.options]
        subprocess.run(command, cwd=engines.ROOT, check=True, timeout=900)
    else:
        assert len(executor_logs(cluster)) > SPARK_WORKERS
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record(f"SparkRunner, EXTERNAL, {victim}", "$SPARK", verb, same)
