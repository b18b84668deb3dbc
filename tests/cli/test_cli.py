"""The parts that all command lines share."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_sts.candidates.beam_nearest import parts_for
from beam_sts.cli import child, score
from beam_sts.cli.beam_options import local_options, note_few_parts, only_built, worker_threads
from beam_sts.cli.console import Console
from beam_sts.errors import UserError
from beam_sts.scoring.backends import available_cores
from tests.cli.test_runner_problems import Made, server

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "runner", ["DaskRunner", "daskrunner", "dask", "apache_beam.runners.dask.dask_runner.DaskRunner"]
)
def test_dask_is_refused_with_its_reason_before_the_input_is_looked_at(runner, tmp_path, capsys):
    output = tmp_path / "out"
    assert score.main(["--input", "/nowhere/*.parquet", "--output", str(output), f"--runner={runner}"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: --runner {runner}: Beam's DaskRunner loses rows")
    assert "FlinkRunner" in message
    assert not output.exists()


def test_a_named_runner_is_not_local():
    options, _, local = local_options(["--runner=DirectRunner"])
    assert options.get_all_options()["runner"] == "DirectRunner"
    assert not local


@pytest.mark.parametrize(
    ("args", "processes"),
    [
        ([], 1),
        (["--direct_num_workers=0"], 1),
        (["--direct_running_mode=multi_threading"], 1),
        (["--direct_running_mode=multi_processing", "--direct_num_workers=3"], 3),
        (["--direct_running_mode=multi_processing"], available_cores()),
        (["--runner=DirectRunner", "--direct_running_mode=multi_processing"], 1),
    ],
)
def test_only_processes_divide_the_cores(args, processes):
    assert local_options(args)[1] == processes


def test_a_job_may_take_longer_than_a_request_to_its_server():
    """Beam gives the streams of Prism's jobs the timeout of a request, so they ended after five minutes."""
    embedded = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    for args, seconds in (([], 31_536_000), (["--job_server_timeout=7"], 7), (["--job-server-timeout=8"], 8)):
        options, _, _ = local_options([*embedded, *args])
        assert options.get_all_options()["job_server_timeout"] == seconds


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        (["--runner=DataflowRunner"], 1),
        (["--runner=dataflow", "--experiments=no_use_multiple_sdk_containers"], None),
        (["--runner=FlinkRunner"], None),
    ],
)
def test_a_process_per_core_scores_with_one_thread(given, threads):
    assert worker_threads(PipelineOptions(given)) == threads


def test_what_is_only_built():
    template = "--template_location=gs://bucket/template"
    assert only_built(PipelineOptions(["--runner=DataflowRunner"])) is None
    assert only_built(PipelineOptions(["--runner=FlinkRunner", template])) is None
    assert "gs://bucket/template" in only_built(PipelineOptions(["--runner=DataflowRunner", template]))
    assert "--dry_run" in only_built(PipelineOptions(["--runner=DataflowRunner", "--dry_run=true"]))


def test_a_reader_that_has_left_is_no_failure():
    command = [sys.executable, "-u", "-m", "pipelines.evaluate", "--input", "examples/pairs.jsonl"]
    with subprocess.Popen(
        [*command, "--score", "gold"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()  # like head after its last line
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
def test_a_job_server_ends_with_a_launcher_that_is_killed():
    code = (
        "import os, subprocess, sys, time; "
        "server = [sys.executable, sys.argv[1], str(os.getpid()), 'SIGTERM', 'sleep', '600']; "
        "print(subprocess.Popen(server).pid, flush=True); "
        "time.sleep(600)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, child.__file__], stdout=subprocess.PIPE, text=True
    )
    command = Path("/proc", launcher.stdout.readline().strip(), "cmdline")
    deadline = time.monotonic() + 60
    while not command.read_bytes().startswith(b"sleep"):
        assert time.monotonic() < deadline
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    while command.exists() and command.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("runner", "lines"), [("PortableRunner", 2), ("no\nsuch", 1)], ids=["two lines", "one name of two lines"]
)
def test_what_a_runner_needs_is_told_in_its_lines(runner, lines):
    pool = ["--job_endpoint=embed", "--environment_type=EXTERNAL"]
    with pytest.raises(UserError) as told:
        local_options([f"--runner={runner}", *pool], here=Made())
    assert len(str(told.value).split("\n")) == lines


def test_parts_of_a_job_on_flink_wait_for_slots_and_few_are_noted(tmp_path, capsys):
    jar = f"--flink_job_server_jar={server(tmp_path, 'Flink')}"
    flink, _, _ = local_options(["--runner=FlinkRunner", jar, "--parallelism=4"], here=Made())
    assert flink.get_all_options()["execution_mode_for_batch"] == "BATCH"
    other, _, _ = local_options(["--runner=DirectRunner"])
    assert other.get_all_options()["execution_mode_for_batch"] is None
    for options, rows in ((flink, 500_000), (other, 10_000_000)):
        note_few_parts(options, rows, Console())
    assert not capsys.readouterr().err
    note_few_parts(flink, 10_000_000, Console())
    assert "--parallelism 4: for 10,000,000 rows give --parallelism=153." in capsys.readouterr().err
    note_few_parts(flink, 3_000, Console(), parts_for(3_000))
    assert not capsys.readouterr().err
    note_few_parts(flink, 20_000, Console(), parts_for(20_000))
    assert "--parallelism 4: for 20,000 rows give --parallelism=23." in capsys.readouterr().err


def test_only_a_job_server_that_beam_starts_is_watched(tmp_path):
    jar = f"--flink_job_server_jar={server(tmp_path, 'Flink')}"
    flink = ["--runner=FlinkRunner", jar, "--job_server_jvm_properties=-Xmx1g"]
    watched, _, _ = local_options(flink, here=Made())
    found = watched.get_all_options()
    assert found["job_server_java_launcher"] == sys.executable
    assert found["job_server_jvm_properties"] == [
        child.__file__,
        str(os.getpid()),
        "SIGTERM",
        "java",
        "-Xmx1g",
    ]
    other, _, _ = local_options(["--runner=DirectRunner"])
    assert other.get_all_options()["job_server_java_launcher"] == "java"
