"""A Spark cluster on this machine: the same output, also when an executor or a Python worker is killed.

Needs Java, Maven and minutes. Engines are kept in ~/.cache/beam_sts (BEAM_STS_ENGINES):

    BEAM_STS_RECORD=1 python -m pytest -m slow tests/pipelines/test_spark.py
"""

import os
import signal
import subprocess

import pytest

from scripts.spark import SPARK_WORKERS, SparkCluster
from tests import engines

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A master, two Spark workers and a pool of this environment's Python workers."""
    engines.need("java", "mvn")
    with SparkCluster(engines.HOME / "spark") as started:
        yield started


def executors(cluster):
    """Process numbers of the executors that the Spark workers have started."""
    found = []
    for name, pid in cluster.pids().items():
        if name.startswith("spark_worker"):
            listing = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
            )
            found += [int(child) for child in listing.stdout.split()]
    return found


def executor_logs(cluster):
    """What the executors of the newest job have logged so far."""
    jobs = sorted((cluster.home / "tmp").glob("app-*"))
    return [log.read_text() for log in jobs[-1].glob("*/stderr")] if jobs else []


NAMES = {"worker": "the workers", "executor": "an executor"}
VICTIMS = {
    "worker": lambda cluster: list(filter(engines.connected, cluster.workers())),
    "executor": lambda cluster: executors(cluster)[:1],
}


@pytest.mark.parametrize("verb", engines.VERBS)
@pytest.mark.parametrize("victim", [None, *VICTIMS])
def test_dedup_and_mine(victim, verb, cluster, engine_corpus, request, tmp_path):
    """Spark runs anew what the dead process was at; a task may fail four times."""
    run, reference, check, same = engines.VERBS[verb]
    wanted, jobs = request.getfixturevalue(reference), len(list((cluster.home / "tmp").glob("app-*")))

    def half_done():
        started = len(list((cluster.home / "tmp").glob("app-*"))) > jobs
        return started and sum(log.count("Finished task") for log in executor_logs(cluster)) >= 20

    def kill():
        engines.wait_until(lambda: half_done() and any(map(engines.connected, cluster.workers())))
        for pid in VICTIMS[victim](cluster):
            os.kill(pid, signal.SIGKILL)

    with engines.beside(kill if victim else lambda: None):
        run(engine_corpus, tmp_path / "out", *cluster.options)
    logs = executor_logs(cluster)
    assert (len(logs) > SPARK_WORKERS) == (victim == "executor")
    if victim != "executor":  # what reads from a dead one fails too
        assert any("Exception in task" in log for log in logs) == (victim == "worker")
    check(tmp_path / "out", wanted)
    name = "SparkRunner, EXTERNAL" + (f", {NAMES[victim]} killed" if victim else "")
    engines.record(name, "$SPARK", verb, same)
