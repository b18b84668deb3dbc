"""Limits of the process: an error that names its cause, or no effect; the next run is complete."""

import resource
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import engines


@pytest.fixture
def command(tmp_path, tiny):
    texts = [f"row {number} of a few" for number in range(400)]
    pq.write_table(pa.table({"text_a": texts, "text_b": texts[::-1]}), tmp_path / "in.parquet")

    def of(output):
        places = engines.places(tmp_path / "in.parquet", tmp_path / output, tiny)
        return [sys.executable, "-m", "pipelines.score", *places, "--rows_per_shard=100", "--threads=1"]

    return of


def run(command, **settings):
    return subprocess.run(command, cwd=engines.ROOT, capture_output=True, text=True, check=False, **settings)


@pytest.fixture
def whole(command, tmp_path):
    assert run(command("whole")).returncode == 0
    return engines.shards(tmp_path / "whole")


def limited(kind, to):
    return lambda: resource.setrlimit(kind, (to, to))


def test_a_limit_on_the_size_of_files_is_said_and_the_next_run_is_whole(command, whole, tmp_path):
    refused = run(command("out"), preexec_fn=limited(resource.RLIMIT_FSIZE, 2048))
    assert refused.returncode == 1
    assert "File too large" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run(command("out")).returncode == 0
    assert engines.shards(tmp_path / "out") == whole


def test_few_open_files_are_enough(command, whole, tmp_path):
    assert run(command("out"), preexec_fn=limited(resource.RLIMIT_NOFILE, 64)).returncode == 0
    assert engines.shards(tmp_path / "out") == whole


def test_closed_standard_streams_are_no_files(command, whole, tmp_path):
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command("out")]
    assert subprocess.run(closed, cwd=engines.ROOT, check=False).returncode == 0
    assert engines.shards(tmp_path / "out") == whole
