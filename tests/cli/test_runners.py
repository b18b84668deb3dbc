"""Every runner that one machine can run gives the same output.

Record in docs/tested_runners.md what ran:

    BEAM_STS_RECORD=1 python -m pytest -m slow tests/cli/test_runners.py
"""

import contextlib
import json
from pathlib import Path

import pytest

from beam_sts.cli import score
from scripts.job_server import job_server_jar
from tests import engines
from tests.checkpoints import SENTENCES

# Spark's workers in this process log errors when their channel is closed at the job's end.
quiet_end = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
pytestmark = [pytest.mark.slow, quiet_end]

RUNNERS = {
    "DirectRunner, threads": ["--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    "DirectRunner, processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    "PortableRunner, LOOPBACK": [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=LOOPBACK",
    ],
    "PrismRunner": ["--runner=PrismRunner", "--prism_location={PRISM}", "--environment_type=LOOPBACK"],
    "SparkRunner, LOOPBACK": [
        "--runner=SparkRunner",
        "--spark_master_url=local[2]",
        "--spark_job_server_jar={SPARK_JAR}",
        "--environment_type=LOOPBACK",
    ],
}
SCORE = ("--rows_per_shard=40", "--threshold=0.5", "--threads=1", "--empty=reject")


def options_of(name):
    """Beam's options for a runner, whose program is fetched or built; otherwise the test is skipped."""
    options = RUNNERS[name]
    if "Prism" in name:
        return [option.format(PRISM=engines.go_program(engines.PRISM)) for option in options]
    if "Spark" in name:
        engines.need("java", "mvn")
        jar = job_server_jar("spark", engines.HOME / "spark")
        return [option.format(SPARK_JAR=jar) for option in options]
    return options


def shown(name):
    return " ".join(RUNNERS[name]).replace("{", "").replace("}", "")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Rows, some of which are rejected."""
    path = tmp_path_factory.mktemp("runners") / "pairs.jsonl"
    rows = [
        {"id": i, "text_a": SENTENCES[i % 7], "text_b": f"{SENTENCES[i % 5]} {i}" if i % 11 else ""}
        for i in range(500)
    ]
    lines = [json.dumps(row) for row in rows]
    lines[123] = '{"id": 123, "text_a": "cut sho'
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def scored(pairs, tiny, tmp_path_factory):
    """The output of DirectRunner in memory."""
    output = tmp_path_factory.mktemp("reference") / "out"
    assert score.main([*engines.places(pairs, output, tiny), *SCORE]) == 0
    engines.record("DirectRunner, in memory", "(none)", "score", "the reference")
    return output


@pytest.mark.parametrize("name", RUNNERS)
def test_score_gives_the_bytes_of_the_run_in_memory(name, pairs, scored, tiny, tmp_path):
    assert score.main([*engines.places(pairs, tmp_path / "out", tiny), *SCORE, *options_of(name)]) == 0
    assert engines.shards(tmp_path / "out") == engines.shards(scored)
    assert engines.summary(tmp_path / "out") == engines.summary(scored)
    assert engines.summary(scored)["rows_rejected"] == 47
    assert not list((tmp_path / "out").rglob(".*"))
    engines.record(name, shown(name), "score", "same bytes")


def test_dedup_without_a_runner_keeps_the_same_rows(engine_corpus, deduplicated, tmp_path):
    engines.deduplicate(engine_corpus, tmp_path / "out")
    engines.assert_same_rows(tmp_path / "out", deduplicated, ("kept", "removed", "clusters", "rejected"))
    engines.check_summary_and_report(tmp_path / "out", deduplicated)
    engines.record("none: arrays on one machine", "(none)", "dedup", "same rows")


@pytest.mark.parametrize("name", RUNNERS)
def test_dedup_gives_the_rows_of_the_run_in_memory(name, engine_corpus, deduplicated, tmp_path):
    # Without --runner dedup does not use Beam.
    runner = ["--runner=DirectRunner"] if "Direct" in name else []
    engines.deduplicate(engine_corpus, tmp_path / "out", *runner, *options_of(name))
    engines.check_deduplicated(tmp_path / "out", deduplicated)
    engines.record(name, " ".join([*runner, shown(name)]), "dedup", "same rows")


def test_mine_without_a_runner_writes_the_same_bytes(engine_corpus, mined, tmp_path):
    engines.mine_pairs(engine_corpus, tmp_path / "out")
    engines.check_mined(tmp_path / "out", mined)
    engines.record("none: arrays on one machine", "(none)", "mine", "same bytes")


@pytest.mark.parametrize("name", RUNNERS)
def test_mine_gives_the_bytes_of_the_run_in_memory(name, engine_corpus, mined, tmp_path):
    runner = ["--runner=DirectRunner"] if "Direct" in name else []
    engines.mine_pairs(engine_corpus, tmp_path / "out", *runner, *options_of(name))
    engines.check_mined(tmp_path / "out", mined)
    engines.record(name, " ".join([*runner, shown(name)]), "mine", "same bytes")


def test_the_job_server_ends_with_a_launcher_that_is_killed(pairs, tiny, tmp_path):
    launcher = engines.start(
        "score", *engines.places(pairs, tmp_path / "out", tiny), *SCORE, *options_of("SparkRunner, LOOPBACK")
    )

    def servers():
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                parent = int(path.with_name("stat").read_text().rpartition(")")[2].split()[1])
                if words[0].endswith(b"java") and b"-jar" in words:
                    found.append((int(path.parent.name), parent))
        return found

    engines.wait_until(lambda: any(parent == launcher.pid for _, parent in servers()))
    (server,) = (pid for pid, parent in servers() if parent == launcher.pid)
    launcher.kill()
    launcher.wait()
    engines.wait_until(lambda: server not in [pid for pid, _ in servers()], timeout=60)
