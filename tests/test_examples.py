"""The examples run as README shows them, with the embedded model."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
ROWS = [json.loads(line) for line in (EXAMPLES / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]


def run(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=EXAMPLES.parent, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_files_hold_the_same_pairs():
    assert pq.read_table(EXAMPLES / "pairs.parquet").to_pylist() == ROWS


def test_every_row_is_whole():
    assert [row["id"] for row in ROWS] == list(range(1, len(ROWS) + 1))
    for row in ROWS:
        assert set(row) == {"id", "sentence1", "sentence2", "gold"}
        assert 0 <= row["gold"] <= 1
    assert len({(row["sentence1"], row["sentence2"]) for row in ROWS}) == len(ROWS)


@pytest.mark.slow
def test_score_in_pipeline():
    lines = run(EXAMPLES / "score_in_pipeline.py").splitlines()
    assert all(0.8 <= float(line.split()[0]) <= 1 for line in lines)
    assert len(lines) >= 5


@pytest.mark.slow
def test_run_inference():
    scores = dict(line.split() for line in run(EXAMPLES / "run_inference.py").splitlines())
    assert scores.keys() == {"same", "near", "far"}
    assert float(scores["same"]) > float(scores["far"])


@pytest.mark.slow
def test_dedup_in_etl():
    lines = run(EXAMPLES / "dedup_in_etl.py").splitlines()
    assert {" ".join(line.split()[:2]) for line in lines} == {
        "kept b/7",  # longer than a/1 by a comma
        "kept b/8",
        "removed a/1",
        "removed c/2",
        "rejected c/3:",
    }


@pytest.mark.slow
def test_mine_pairs():
    lines = run(EXAMPLES / "mine_pairs.py").splitlines()
    assert len(lines) >= 8
    best = max(lines, key=lambda line: float(line.split()[1]))
    assert "Repairs take six weeks." in best
    assert "Its repairs will take six weeks." in best


@pytest.mark.slow
def test_evaluate_answers():
    lines = run(EXAMPLES / "evaluate_answers.py").splitlines()
    assert [line.split()[0] for line in lines] == ["short", "wrong"]


@pytest.mark.slow
def test_evaluate_finds_the_gold_scores_and_the_model_in_agreement(tmp_path):
    flags = ["--input", EXAMPLES / "pairs.parquet", "--score", "gold", "--json", tmp_path / "out.json"]
    run("-m", "pipelines.evaluate", *flags)
    said = json.loads((tmp_path / "out.json").read_text())
    assert (said["rows_scored"], said["rows_rejected"]) == (len(ROWS), 0)
    assert said["pearson"] > 0.5
