"""A Spark cluster on this machine: the same output, even if an executor or a Python worker is killed.

Needs Java, Maven and minutes. Engines are kept in ~/.cache/beam_sts (BEAM_STS_ENGINES):

    BEAM_STS_RECORD=1 python -m pytest -m slow tests/cli/test_spark.py
"""

import contextlib
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


@contextlib.contextmanager
def killing(victims, cluster):
    """Kill processes when the job that the block starts is half finished."""
    jobs = len(list((cluster.home / "tmp").glob("app-*")))

    def half_done():
        started = len(list((cluster.home / "tmp").glob("app-*"))) > jobs
        return started and sum(log.count("Finished task") for log in executor_logs(cluster)) >= 20

    def kill():
        engines.wait_until(lambda: half_done() and any(map(engines.connected, cluster.workers())), 900)
        for pid in victims():
            os.kill(pid, signal.SIGKILL)

    with engines.beside(kill):
        yield


@pytest.mark.parametrize("verb", engines.VERBS)
def test_dedup_and_mine(verb, cluster, engine_corpus, request, tmp_path):
    run, reference, check, same = engines.VERBS[verb]
    run(engine_corpus, tmp_path / "out", *cluster.options)
    assert not any("Exception in task" in log for log in executor_logs(cluster))
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("SparkRunner, EXTERNAL", "$SPARK", verb, same)


@pytest.mark.parametrize("verb", engines.VERBS)
def test_a_killed_executor_s_work_is_done_again(verb, cluster, engine_corpus, request, tmp_path):
    run, reference, check, same = engines.VERBS[verb]
    with killing(lambda: executors(cluster)[:1], cluster):
        run(engine_corpus, tmp_path / "out", *cluster.options)
    assert len(executor_logs(cluster)) > SPARK_WORKERS
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("SparkRunner, EXTERNAL, an executor killed", "$SPARK", verb, same)


@pytest.mark.parametrize("verb", engines.VERBS)
def test_the_same_command_again_after_the_workers_are_killed(verb, cluster, engine_corpus, request, tmp_path):
    """An executor keeps the dead worker for its next tasks, so all attempts of a task fail at once."""
    run, reference, check, same = engines.VERBS[verb]
    with killing(lambda: list(filter(engines.connected, cluster.workers())), cluster):
        run(engine_corpus, tmp_path / "out", *cluster.options, status=1)
    run(engine_corpus, tmp_path / "out", *cluster.options)
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("SparkRunner, EXTERNAL, the workers killed, run again", "$SPARK", verb, same)
