"""The output folder is removed while a command writes there: the command ends and says so."""

import os
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, mine, score
from beam_sts.dedup import shards as pair_shards
from beam_sts.io.output import OutputFolder
from beam_sts.mining import shards as mining_shards
from tests.checkpoints import SENTENCES
from tests.cli.test_dedup import made_texts

VERBS = {
    "score": (score, ("--text_a=text", "--text_b=text_b", "--rows_per_shard=10", "--threshold=0.4")),
    "dedup": (dedup, ("--text=text", "--rows_per_shard=20", "--threshold=0.6")),
    "mine": (mine, ("--text=text", "--test_share=0.3")),
}
REASON = "the folder, or its _run/, was removed while this run wrote to it."


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pair_shards, "PAIRS_PER_SHARD", 15)
        patched.setattr(mining_shards, "PAIRS_PER_SHARD", 40)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    texts = made_texts(40)
    path = tmp_path_factory.mktemp("removed") / "in.parquet"
    pq.write_table(pa.table({"text": texts, "text_b": texts[::-1]}), path)
    return path


def removing(monkeypatch, at):
    """Remove the folder before its file number ``at`` is published; count the files."""
    real, files = OutputFolder._publish, []

    def publish(folder, path, data):
        files.append(path)
        if len(files) == at:
            shutil.rmtree(folder.root)
        real(folder, path, data)

    monkeypatch.setattr(OutputFolder, "_publish", publish)
    return files


@pytest.mark.parametrize("runner", [(), ("--runner=DirectRunner",)])
@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_is_removed_is_the_reason_that_is_said(
    verb, runner, source, tiny, tmp_path, monkeypatch, capsys
):
    command, options = VERBS[verb]
    places = ["--input", source, "--output", tmp_path / "out", "--model", tiny, "--threads=1", "--quiet"]
    arguments = [*map(str, places), *options, *runner]
    moments = [3]  # the first file says whose run it is
    if not runner:
        with monkeypatch.context() as patched:
            files = removing(patched, None)
            assert command.main(arguments) == 0
        moments = [2, len(files) // 2, len(files)]
        shutil.rmtree(tmp_path / "out")
    for at in moments:
        with monkeypatch.context() as patched:
            removing(patched, at)
            status = command.main(arguments)
        said = capsys.readouterr().err
        assert status == 2, (at, said)
        assert said.splitlines()[0].endswith(f"{REASON} This process has stopped writing."), (at, said)
        assert len(said.splitlines()) == 1
        assert not (tmp_path / "out").exists()
    assert command.main(arguments) == 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_at_any_moment(verb, tmp_path, full_size):
    """Twelve moments of a run in a separate process, spread over its time."""
    texts = [" ".join([SENTENCES[i % 7], str(i), *SENTENCES[:3]]) for i in range(3000)]
    pq.write_table(pa.table({"text": texts, "text_b": texts[::-1]}), tmp_path / "in.parquet")
    out = tmp_path / "out"
    places = ["--input", tmp_path / "in.parquet", "--output", out, "--model", full_size, "--threads=1"]
    command = [sys.executable, "-m", f"pipelines.{verb}", *map(str, places), *VERBS[verb][1]]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    started, seen = time.monotonic(), 0
    subprocess.run(command, env=environment, check=True, capture_output=True)
    took = time.monotonic() - started
    for moment in range(12):
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and not (out / "_run" / "run.json").exists():
            time.sleep(0.002)
        time.sleep(took * moment / 14)
        removed = process.poll() is None
        shutil.rmtree(out, ignore_errors=True)
        said = process.communicate(timeout=300)[1].decode()
        if removed and process.returncode:
            seen += 1
            assert process.returncode == 2, said
            assert REASON in said.splitlines()[-1], said
    assert seen > 6
