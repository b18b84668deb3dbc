"""One text a million times, and 200,000 texts of one bucket: the rows of the local driver, in bounded memory.

It prints seconds and the most memory of each process, for docs/tested_runners.md:

    python -m pytest -m slow -s tests/dedup/test_hot_keys.py

BEAM_STS_HOT_ROWS gives another number of both.
"""

import contextlib
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.processes import Watch
from scripts.cluster import Cluster
from scripts.flink import FlinkCluster
from scripts.spark import SparkCluster
from tests import engines

pytestmark = pytest.mark.slow

ROWS = {
    name: int(os.environ.get("BEAM_STS_HOT_ROWS", rows))
    for name, rows in (("text", 10**6), ("bucket", 200_000))
}
TEXT = "The quick brown fox jumps over the lazy dog while the town sleeps in the rain and the wind. " * 3
# 200,000 texts make 600,000 pairs by this cap; by the default one 5,200,000, more than --max_pairs.
OPTIONS = {"text": (), "bucket": ("--candidates=exact,block:key", "--bucket_cap=4")}


class PrismWorkers(Cluster):
    """A pool of workers for Prism, which the command starts itself."""

    def runner_options(self):
        return ["--runner=PrismRunner", f"--prism_location={engines.go_program(engines.PRISM)}"]

    def prepare(self):
        pass

    def start_engine(self):
        pass

    def ready(self):
        return True


CLUSTERS = {"PrismRunner": PrismWorkers, "FlinkRunner": FlinkCluster, "SparkRunner": SparkCluster}
LIMIT_MIB = {None: 1500, "FnApiRunner": 3000, "PrismRunner": 2000, "FlinkRunner": 1100, "SparkRunner": 2000}
"""Of each process, by the runner."""
WORKER_MIB = 953
"""Of each Python worker that a pool has started: 1 GB."""


@pytest.fixture(scope="module", params=OPTIONS)
def source(tmp_path_factory, request):
    """A table, and the options of ``dedup`` that make it one group."""
    rows = ROWS[request.param]
    texts = [TEXT] * rows if request.param == "text" else [f"item {i * 7919 % 1000003}" for i in range(rows)]
    path = tmp_path_factory.mktemp("hot") / f"{request.param}.parquet"
    table = {"id": range(rows), "text": texts, "key": ["x"] * rows, "doc": [str(i) for i in range(rows)]}
    pq.write_table(pa.table(table), path)
    return path, OPTIONS[request.param]


@contextlib.contextmanager
def started(runner):
    """The options of a runner and its processes by name; a cluster runs while the block does."""
    if runner in CLUSTERS:
        engines.need(*(("go",) if runner == "PrismRunner" else ("java", "mvn")))
        with CLUSTERS[runner](engines.HOME / runner.removesuffix("Runner").lower()) as cluster:
            yield cluster.options, cluster.pids()
    else:
        yield [f"--runner={runner}"] if runner else [], {}


def checked_peaks(runner, verb, source, output, *options):
    """Run a command in its own process; the memory that it and its engine's processes held is bounded."""
    begun = time.monotonic()
    with started(runner) as (more, processes):
        places = engines.places(source, output, "beam-sts-pico")
        watch = Watch({pid: name.rstrip("_01") for name, pid in processes.items()})
        with watch.watching():
            process = engines.start(verb, *places, "--text=text", "--threads=1", "--quiet", *more, *options)
            watch.roots[process.pid] = "launcher"
            while process.poll() is None:
                time.sleep(0.5)
            engines.finish(process)
    peaks = watch.peaks
    print(f"\n{source.stem}, {verb}, {runner}: {time.monotonic() - begun:.0f} s, MiB {peaks}")
    assert max(peaks.values()) < LIMIT_MIB[runner], peaks
    workers = [most for name, most in peaks.items() if "worker_pool" in name]
    assert max(workers, default=0) < WORKER_MIB, peaks


@pytest.fixture(scope="module")
def local(source, tmp_path_factory):
    """The output of dedup on one machine, without Beam."""
    path, options = source
    output = tmp_path_factory.mktemp("local") / "out"
    checked_peaks(None, "dedup", path, output, "--id=id", *options)
    assert engines.summary(output)["rows_read"] == ROWS[path.stem]
    return output


@pytest.mark.parametrize("runner", ["FnApiRunner", *CLUSTERS])
def test_dedup_of_a_hot_key(runner, source, local, tmp_path):
    path, options = source
    checked_peaks(runner, "dedup", path, tmp_path / "out", "--id=id", *options)
    engines.assert_same_rows(tmp_path / "out", local, ("kept", "removed", "clusters"))


@pytest.mark.parametrize("source", ["text"], indirect=True)
def test_mining_of_a_hot_text(source, tmp_path):
    path, _ = source
    for runner in (None, "FnApiRunner"):
        checked_peaks(runner, "mine", path, tmp_path / str(runner), "--doc_id=doc")
    engines.check_mined(tmp_path / "FnApiRunner", tmp_path / "None")
