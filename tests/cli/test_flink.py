"""A Flink cluster on this machine: the same output bytes, even if a task manager or a worker is killed.

Needs Java, Maven and minutes. Engines are kept in ~/.cache/beam_sts (BEAM_STS_ENGINES):

    BEAM_STS_RECORD=1 python -m pytest -m slow tests/cli/test_flink.py
"""

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import score
from scripts.flink import FlinkCluster
from tests import engines
from tests.checkpoints import SENTENCES

pytestmark = pytest.mark.slow

BOOT = f"github.com/apache/beam/sdks/v2/python/container@v{beam.version.__version__}"
SETTINGS = ("--rows_per_shard=50", "--threshold=0.5", "--threads=1")


@pytest.fixture(scope="module")
def cluster():
    """Two task managers and a pool of this environment's workers."""
    engines.need("java", "mvn")
    with FlinkCluster(engines.HOME / "flink") as started:
        yield started


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("flink") / "pairs.parquet"
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:5]]) if i % 13 else None for i in range(4000)]
    pq.write_table(pa.table({"id": range(4000), "text_a": texts, "text_b": texts[::-1]}), path)
    return path


@pytest.fixture(scope="module")
def reference(source, tmp_path_factory):
    """The output of DirectRunner in memory, with the embedded model."""
    output = tmp_path_factory.mktemp("reference") / "out"
    assert score.main(["--input", str(source), "--output", str(output), *SETTINGS]) == 0
    return output


def _check(output, reference):
    assert engines.shards(output) == engines.shards(reference)
    assert engines.summary(output) == engines.summary(reference)
    assert not list(output.rglob(".*"))


def _places(source, output):
    return ["--input", str(source), "--output", str(output)]


def test_a_worker_pool(cluster, source, reference, tmp_path):
    assert score.main([*_places(source, tmp_path / "out"), *SETTINGS, *cluster.options]) == 0
    _check(tmp_path / "out", reference)
    engines.record("FlinkRunner, EXTERNAL", "$FLINK", "score", "same bytes")


def test_workers_of_the_launching_process(cluster, source, reference, tmp_path):
    options = [option for option in cluster.options if "environment" not in option]
    flags = (*SETTINGS, *options, "--environment_type=LOOPBACK")
    assert score.main([*_places(source, tmp_path / "out"), *flags]) == 0
    _check(tmp_path / "out", reference)
    engines.record("FlinkRunner, LOOPBACK", "$FLINK --environment_type=LOOPBACK", "score", "same bytes")


def test_dedup(cluster, engine_corpus, deduplicated, tmp_path):
    engines.deduplicate(engine_corpus, tmp_path / "out", *cluster.options)
    engines.check_deduplicated(tmp_path / "out", deduplicated)
    engines.record("FlinkRunner, EXTERNAL", "$FLINK", "dedup", "same rows")


def test_mine(cluster, engine_corpus, mined, tmp_path):
    engines.mine_pairs(engine_corpus, tmp_path / "out", *cluster.options)
    engines.check_mined(tmp_path / "out", mined)
    engines.record("FlinkRunner, EXTERNAL", "$FLINK", "mine", "same bytes")


@pytest.mark.parametrize("victim", ["task manager", "worker"])
def test_a_killed_process_loses_nothing(victim, cluster, source, reference, tmp_path):
    output, left = tmp_path / "out", []

    def kill():
        engines.wait_until(lambda: len(list(output.glob("scores/part-*"))) >= 5)
        if victim == "worker":
            os.kill(cluster.workers()[-1], signal.SIGKILL)
        else:
            cluster.kill("task_manager_0")
        left.append(80 - len(list(output.glob("scores/part-*"))))
        if victim != "worker":
            cluster.start_task_manager(0)

    with engines.beside(kill):
        assert score.main([*_places(source, output), *SETTINGS, *cluster.options]) == 0
    assert left[0] > 0
    _check(output, reference)
    engines.record(f"FlinkRunner, EXTERNAL, a {victim} killed", "$FLINK", "score", "same bytes")


def newest_job(cluster):
    """Tasks of the newest job by state, and the failures that Flink recorded for it."""
    jobs = cluster.ask("jobs/overview")["jobs"]
    newest = max(jobs, key=lambda job: job["start-time"])
    failures = cluster.ask(f"jobs/{newest['jid']}/exceptions")["exceptionHistory"]["entries"]
    return newest["tasks"], failures


def when_half_done(cluster, jobs):
    """Wait until a job after the first ``jobs`` has finished tasks and running ones."""

    def true():
        with contextlib.suppress(OSError):  # an answer can be late on a busy machine
            if len(cluster.ask("jobs/overview")["jobs"]) <= jobs:
                return False
            tasks, _ = newest_job(cluster)
            working = any(map(engines.connected, cluster.workers()))
            return tasks["finished"] >= 10 and tasks["running"] > 0 and working
        return False

    engines.wait_until(true, timeout=900)


@pytest.mark.parametrize("verb", engines.VERBS)
def test_dedup_and_mine_go_on_after_a_task_manager_is_killed(verb, cluster, engine_corpus, request, tmp_path):
    """Flink starts the tasks of the killed process again."""
    before = len(cluster.ask("jobs/overview")["jobs"])

    def kill():
        when_half_done(cluster, before)
        cluster.kill("task_manager_0")
        cluster.start_task_manager(0)
        engines.wait_until(lambda: newest_job(cluster)[1])

    run, reference, check, same = engines.VERBS[verb]
    with engines.beside(kill):
        run(engine_corpus, tmp_path / "out", *cluster.options)
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("FlinkRunner, EXTERNAL, a task manager killed", "$FLINK", verb, same)


@pytest.mark.parametrize("verb", engines.VERBS)
def test_the_same_command_again_after_the_job_manager_is_killed(
    verb, cluster, engine_corpus, request, tmp_path
):
    """The job is lost with its manager. The command fails, and succeeds with a new manager."""
    before = len(cluster.ask("jobs/overview")["jobs"])

    def kill():
        when_half_done(cluster, before)
        cluster.kill("job_manager")
        cluster.start_job_manager()

    run, reference, check, same = engines.VERBS[verb]
    with engines.beside(kill):
        run(engine_corpus, tmp_path / "out", *cluster.options, status=1)
    cluster.wait()
    run(engine_corpus, tmp_path / "out", *cluster.options)
    check(tmp_path / "out", request.getfixturevalue(reference))
    engines.record("FlinkRunner, EXTERNAL, the job manager killed, run again", "$FLINK", verb, same)


@pytest.mark.parametrize("staged", ["setup file", "wheel"])
def test_workers_that_have_only_the_staged_package(staged, cluster, source, reference, tmp_path):
    """A worker environment with Beam and torch but without beam_sts installs the staged package."""
    boot = engines.go_program(BOOT)
    python = clean_environment(tmp_path / "clean")
    assert "No module named 'beam_sts'" in ask(python, "import apache_beam, beam_sts").stderr
    if staged == "wheel":
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path]
        subprocess.run([*build, engines.ROOT], check=True, capture_output=True)
        (package,) = tmp_path.glob("*.whl")
        flags = [f"--extra_package={package}"]
    else:
        # The boot program builds with the workers' setuptools, which is an old version.
        flags = [f"--setup_file={engines.ROOT}/setup.py", "--experiments=pip_use_build_isolation"]
    cluster.stop()
    try:
        with FlinkCluster(cluster.home, python, boot=boot) as other:
            # One task manager, because the workers of two would install into the same environment at once.
            options = [*SETTINGS, *other.options, "--parallelism=1", *flags]
            process = engines.start("score", *_places(source, tmp_path / "out"), *options)
            engines.finish(process, timeout=900)
    finally:
        cluster.start()
    found = ask(python, "import beam_sts; print(beam_sts.__file__)")
    assert Path(found.stdout.strip()).is_relative_to(tmp_path / "clean"), found.stderr
    _check(tmp_path / "out", reference)
    shown = f"$FLINK {' '.join(flags)}".replace(f"{engines.ROOT}/", "").replace(f"{tmp_path}/", "dist/")
    engines.record(f"FlinkRunner, EXTERNAL, clean workers, {staged}", shown, "score", "same bytes")


def clean_environment(folder):
    """Python of a new environment with all packages of this one except beam_sts, pip and setuptools."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    links = folder / "dependencies"
    links.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        own = "beam_sts" in entry.name or entry.suffix == ".pth"
        if not own and entry.name.partition("-")[0] not in ("pip", "setuptools", "pkg_resources"):
            (links / entry.name).symlink_to(entry)
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{links}\n")
    return folder / "bin" / "python"


def ask(python, code):
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-c", code]
    return subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=False, env=bare)
