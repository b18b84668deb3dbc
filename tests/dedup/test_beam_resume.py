"""A deduplication by Beam that stops half way: no pair is scored twice, and the result is the same."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.candidates import beam_join
from beam_sts.cli import dedup
from beam_sts.dedup import beam_scored
from beam_sts.io.output import SCORED, OutputFolder
from beam_sts.scoring.scorer import PairScorer

FOLDERS = ("kept", "removed", "pairs", "clusters")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Texts in groups of near-duplicates, with pairs in some ten shards."""
    texts = [f"A {what} of number {n // 3} {'!' * (n % 3)}" for n in range(60) for what in ("man", "dog")]
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path)
    monkeypatch.setattr(beam_join, "PAIRS_PER_SHARD", 100)
    return str(path)


def _run(source, output, *more):
    args = ["--input", source, "--output", str(output), "--text", "text", "--id", "id", "--threshold", "0.7"]
    return dedup.main([*args, "--candidates", "exact,lexical", "--quiet", "--runner", "FnApiRunner", *more])


def _files(output):
    return {
        str(path.relative_to(output)): path.read_bytes()
        for name in FOLDERS
        for path in sorted((output / name).iterdir())
    }


def test_what_was_scored_is_not_scored_again(source, tmp_path, monkeypatch):
    assert _run(source, tmp_path / "whole") == 0
    whole, output = json.loads((tmp_path / "whole/summary.json").read_text()), tmp_path / "out"
    assert whole["pairs_reused"] == 0
    assert whole["rows_removed"] > 10
    commit, committed = OutputFolder.commit, []

    def stops(self, number, shards, *args, **more):
        if SCORED in shards and len(committed) == 4:
            raise RuntimeError("the machine is gone")
        committed.append(number)
        commit(self, number, shards, *args, **more)

    monkeypatch.setattr(OutputFolder, "commit", stops)
    assert _run(source, output) != 0
    assert len(list((output / SCORED).iterdir())) == 4
    monkeypatch.setattr(OutputFolder, "commit", commit)
    run, scored = PairScorer.run, []

    def counted(self, a, b, **more):
        scored.append(len(a))
        return run(self, a, b, **more)

    monkeypatch.setattr(PairScorer, "run", counted)
    assert _run(source, output) == 0
    again = json.loads((output / "summary.json").read_text())
    assert 0 < again["pairs_reused"] < again["pairs"]
    assert again["verify"]["scored"] < whole["verify"]["scored"]
    assert sum(scored) < whole["verify"]["scored"] + whole["pairs_guard"]
    assert _files(output) == _files(tmp_path / "whole")
    assert not (output / SCORED).exists()
    differ = {"verify", "pairs_reused", "pairs_scored", "seconds", "peak_memory_mib", "timeline"}
    assert {key: whole[key] for key in whole.keys() - differ} == {
        key: again[key] for key in again.keys() - differ
    }


def test_a_damaged_shard_is_scored_again(source, tmp_path, monkeypatch):
    drop = beam_scored.KeptScores.drop
    monkeypatch.setattr(beam_scored.KeptScores, "drop", lambda self: None)
    assert _run(source, tmp_path / "out") == 0
    before = _files(tmp_path / "out")
    first, *_ = sorted((tmp_path / "out" / SCORED).iterdir())
    first.write_bytes(first.read_bytes()[:-100])
    monkeypatch.setattr(beam_scored.KeptScores, "drop", drop)
    assert _run(source, tmp_path / "out") == 0
    again = json.loads((tmp_path / "out/summary.json").read_text())
    assert 0 < again["pairs_reused"] < again["pairs"]
    assert _files(tmp_path / "out") == before
