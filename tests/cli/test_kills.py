"""Real processes, killed at random moments: the output is that of an uninterrupted run.

    python -m pytest -m slow tests/cli/test_kills.py     # some 40 minutes

BEAM_STS_KILLS is how often each command is killed (20; a search a fifth of that), BEAM_STS_SEED the seed of
the moments.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.mining.shards import SUBSETS
from tests import engines
from tests.checkpoints import SENTENCES
from tests.cli.test_dedup import made_texts
from tests.cli.test_interrupts import workers_of

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("BEAM_STS_KILLS", "20"))
SEARCH_KILLS = max(2, KILLS // 5)
"""The same for each search, of which there are ten."""
SEED = int(os.environ.get("BEAM_STS_SEED", "0"))


@pytest.fixture
def source(tmp_path):
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:5]]) if i % 97 else None for i in range(4000)]
    table = pa.table({"id": range(len(texts)), "text_a": texts, "text_b": texts[::-1]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=300)
    return tmp_path / "in.parquet"


def files(output, folders):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for folder in folders
        for path in sorted((output / folder).glob("*"))
    }


def killed_often(start, out, progress, wanted, rng, times=KILLS):
    """Run a command and kill it repeatedly, half of the times during commits; compare the final output.

    Args:
        start: starts the command in a new session.
        out: its output folder.
        progress: the folder whose shards are its commits.
        wanted: compares the finished output.
        rng: draws the moments.
        times: how often to kill it.
    """
    kills, left_something, finished = 0, 0, 0
    while kills < times:
        process = start()
        if kills % 2:
            there = len(list((out / progress).glob("part-*")))
            more = there + rng.randint(1, 40)
            while process.poll() is None and len(list((out / progress).glob("part-*"))) < more:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
        else:
            deadline = time.monotonic() + rng.uniform(0, 12)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
            left_something += bool(list(out.rglob("part-*")))
            assert not (out / "summary.json").exists() or finished
            continue
        assert process.returncode == 0
        wanted()
        finished += 1
        shutil.rmtree(out)
    engines.finish(start())
    wanted()
    assert left_something >= times // 4  # otherwise the moments were badly chosen
    assert not list(out.rglob(".*"))
    assert not (out / "_run" / "work").exists()


def test_scoring_that_is_killed_twenty_times_ends_with_the_same_bytes(source, tmp_path, full_size):
    flags = (
        "--input",
        source,
        "--model",
        full_size,
        "--threads",
        1,
        "--rows_per_shard",
        10,
        "--threshold",
        0.5,
    )
    engines.finish(engines.start("score", *flags, "--output", tmp_path / "whole"))
    out = tmp_path / "out"

    def same():
        assert engines.shards(out) == engines.shards(tmp_path / "whole")
        assert engines.summary(out) == engines.summary(tmp_path / "whole")

    def start():
        return engines.start("score", *flags, "--output", out, start_new_session=True)

    killed_often(start, out, "scores", same, random.Random(SEED))


SMALL_MINED_SHARDS = """
import sys
import beam_sts.mining.shards as shards
from beam_sts.cli import mine
shards.PAIRS_PER_SHARD = 40
sys.exit(mine.main(sys.argv[1:]))
"""
SMALL_SHARDS = """
import sys
import beam_sts.dedup.shards as shards
from beam_sts.cli import dedup
shards.PAIRS_PER_SHARD = 200
sys.exit(dedup.main(sys.argv[1:]))
"""


def killed_often_with_small_shards(script, flags, tmp_path, folders, progress, times=KILLS):
    """The same for a script that writes many shards; ``folders`` are compared with an uninterrupted run."""
    out = tmp_path / "out"

    def start(output=out):
        return subprocess.Popen(
            [sys.executable, "-c", script, *map(str, flags), "--output", str(output)],
            cwd=engines.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    engines.finish(start(tmp_path / "whole"))
    whole = files(tmp_path / "whole", folders)
    assert len(whole) > 100

    def same():
        assert files(out, folders) == whole

    killed_often(start, out, progress, same, random.Random(SEED), times)


def test_deduplicating_that_is_killed_twenty_times_ends_with_the_same_bytes(tmp_path, tiny):
    """Kills occur in every phase: reading, candidates, scores (in many shards of 200 pairs), rows."""
    pq.write_table(pa.table({"text": made_texts(500)}), tmp_path / "in.parquet")
    flags = ["--input", tmp_path / "in.parquet", "--text", "text", "--model", tiny, "--threads", "1"]
    flags += ["--candidates", "exact,minhash,lexical", "--neighbours", "20", "--rows_per_shard", "10"]
    folders = ("kept", "removed", "pairs", "clusters", "rejected")

    killed_often_with_small_shards(SMALL_SHARDS, flags, tmp_path, folders, "pairs")


RUNNERS = [pytest.param((), id="one machine"), pytest.param(("--runner", "FnApiRunner"), id="Beam")]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_search_for_the_threshold_that_is_killed_ends_with_the_same_bytes(tmp_path, tiny, runner):
    """``--keep_rows``: the threshold follows from all scores, of which a killed run has some."""
    pq.write_table(pa.table({"text": made_texts(500)}), tmp_path / "in.parquet")
    flags = ["--input", tmp_path / "in.parquet", "--text", "text", "--model", tiny, "--threads", "1"]
    flags += ["--candidates", "exact,minhash", "--keep_rows", "0.7", "--rows_per_shard", "10", *runner]
    folders = ("kept", "removed", "pairs", "clusters", "rejected")

    killed_often_with_small_shards(SMALL_SHARDS, flags, tmp_path, folders, "kept", SEARCH_KILLS)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    "of",
    [
        ("--contains", "--against", "ITEMS"),
        ("--contains",),
        ("--contains", "--unit", "sentence", "--remove", "passage"),
        ("--unit", "sentence", "--repeats", "3"),
    ],
    ids=["items", "own rows", "own sentences", "repeated"],
)
def test_a_search_for_passages_that_is_killed_ends_with_the_same_bytes(tmp_path, runner, of):
    texts = made_texts(400)
    pages = [". ".join(texts[at : at + 1 + at % 5]) for at in range(len(texts))]
    pq.write_table(pa.table({"text": pages}), tmp_path / "in.parquet")
    pq.write_table(pa.table({"text": texts[::7]}), tmp_path / "items.parquet")
    more = [tmp_path / "items.parquet" if word == "ITEMS" else word for word in of]
    flags = ["--input", tmp_path / "in.parquet", "--text", "text", "--rows_per_shard", "4", *more, *runner]

    folders = ("kept", "removed", "passages", "rejected")
    killed_often_with_small_shards(SMALL_SHARDS, flags, tmp_path, folders, "kept", SEARCH_KILLS)


def test_a_label_sheet_is_there_as_a_whole_or_not_at_all(tmp_path, tiny):
    pq.write_table(pa.table({"text": made_texts(500)}), tmp_path / "in.parquet")
    flags = ("--input", tmp_path / "in.parquet", "--text", "text", "--model", tiny, "--threshold", 0.6)
    engines.finish(engines.start("dedup", *flags, "--output", tmp_path / "run"))

    def start(name):
        more = ("--run", tmp_path / "run", "--sheet", tmp_path / name, "--pairs", 300)
        return engines.start("label", *more, start_new_session=True)

    began = time.monotonic()
    engines.finish(start("whole.csv"))
    took, rng = time.monotonic() - began, random.Random(SEED)
    whole, kills = (tmp_path / "whole.csv").read_bytes(), 0
    for number in range(5 * SEARCH_KILLS):
        if kills == SEARCH_KILLS:
            break
        process = start(f"{number}.csv")
        time.sleep(rng.uniform(0.2, 1) * took)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        sheet = tmp_path / f"{number}.csv"
        if sheet.exists():
            assert sheet.read_bytes() == whole
        else:
            engines.finish(start(sheet.name))
            assert sheet.read_bytes() == whole
    assert kills == SEARCH_KILLS


@pytest.mark.parametrize("of", ["corpus", "queries"])
def test_mining_that_is_killed_twenty_times_ends_with_the_same_bytes(tmp_path, tiny, of):
    texts = made_texts(500)
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    flags = ["--input", tmp_path / "in.parquet"]
    if of == "queries":
        pairs = {"anchor": [f"About {text}" for text in texts], "positive": texts}
        pq.write_table(pa.table(pairs), tmp_path / "queries.parquet")
        flags = ["--queries", tmp_path / "queries.parquet", "--positive_column_name", "positive"]
        flags += ["--corpus", tmp_path / "in.parquet", "--output_format", "labeled-list", "--random", "5"]
    flags += ["--text", "text", "--model", tiny, "--threads", "1"]
    folders = [f"{subset}/{split}" for subset in SUBSETS for split in ("train", "test")]

    killed_often_with_small_shards(SMALL_MINED_SHARDS, flags, tmp_path, folders, "raw/train")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the worker in /proc")
def test_a_killed_worker_process_ends_the_run_with_the_reason_and_the_next_one_goes_on(
    source, tmp_path, full_size
):
    flags = ("--input", source, "--model", full_size, "--threads", 1, "--rows_per_shard", 20)
    many = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    engines.finish(engines.start("score", *flags, "--output", tmp_path / "whole"))
    out = tmp_path / "out"
    process = engines.start("score", *flags, "--output", out, *many)
    engines.wait_until(lambda: len(list((out / "scores").glob("part-*"))) >= 5 or process.poll() is not None)
    found = workers_of(process.pid)
    assert len(found) == 2
    os.kill(found[0], signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    last = error.strip().splitlines()[-2:]
    assert last[0].startswith("failed: a worker process ended with status 137 (killed,"), error
    assert "run the same command again to continue" in last[1]
    assert "Traceback" not in error
    engines.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found), timeout=30)
    assert not (out / "summary.json").exists()
    engines.finish(engines.start("score", *flags, "--output", out, *many))
    assert json.loads((out / "summary.json").read_text())["shards_skipped"] >= 5
    assert engines.shards(out) == engines.shards(tmp_path / "whole")
    assert engines.summary(out) == engines.summary(tmp_path / "whole")
    assert not list(out.rglob(".*"))


def test_a_clock_that_jumps_between_the_tries_changes_nothing(source, tmp_path, full_size):
    engines.need("faketime")
    flags = ("--input", source, "--model", full_size, "--threads", 1, "--rows_per_shard", 20)
    engines.finish(engines.start("score", *flags, "--output", tmp_path / "whole"))
    out = tmp_path / "out"
    for shift in ("+400d", "-400d"):
        command = ["faketime", "-m", "-f", shift, sys.executable, "-m", "pipelines.score", *map(str, flags)]
        process = subprocess.Popen(
            [*command, "--output", str(out)],
            cwd=engines.ROOT,
            env={**os.environ, "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        more = len(list((out / "scores").glob("part-*"))) + 20
        engines.wait_until(
            lambda process=process, more=more: (
                process.poll() is not None or len(list((out / "scores").glob("part-*"))) >= more
            )
        )
        os.killpg(process.pid, signal.SIGSTOP)  # alive, and not finished before the second run starts
        # A second run is refused by the lock, which does not expire while its holder lives.
        second = engines.start("score", *flags, "--output", out)
        _, refusal = second.communicate(timeout=120)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert second.returncode == 2, refusal
        assert "is writing there" in refusal
    engines.finish(engines.start("score", *flags, "--output", out))
    assert json.loads((out / "summary.json").read_text())["shards_skipped"] >= 40
    assert engines.shards(out) == engines.shards(tmp_path / "whole")


def test_worker_processes_end_with_their_launcher(source, tmp_path):
    """The kernel ends the workers, and they commit nothing after the end of their run."""
    out = tmp_path / "out"
    flags = ("--input", source, "--output", out, "--rows_per_shard", 20, "--threads", 1)
    workers = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    process = engines.start("score", *flags, *workers, start_new_session=True)

    def group():
        listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True)
        states = [line.split() for line in listed.stdout.splitlines()]
        return sum(int(pgid) == process.pid and "Z" not in state for pgid, state in states)

    engines.wait_until(lambda: len(list(out.glob("scores/part-*"))) >= 3)
    assert group() > 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    engines.wait_until(lambda: group() == 0, timeout=5)
    assert len(list(out.glob("scores/part-*"))) < 200
    engines.finish(engines.start("score", *flags))
