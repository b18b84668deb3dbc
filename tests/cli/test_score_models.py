"""pipelines.score with the options of the model: long texts, logits, pickles, architectures."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from beam_sts import PairScorer
from beam_sts.cli import score
from tests.architectures import BUILDERS

ROWS = [
    ("a man", "a guitar"),
    ("fox " * 600, "fox " * 500),
    ("the fox", "the dog"),
    ("guitar " * 700, "a dog"),
]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    first, second = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"text_a": first, "text_b": second}), path)
    return path


def _run(source, output, model, *more):
    args = ["--input", str(source), "--output", str(output), "--model", str(model), "--threads", "1", *more]
    status = score.main(args)
    return status, json.loads((output / "summary.json").read_text()) if status == 0 else None


def _scores(output):
    return pq.read_table(output / "scores")["score"].to_numpy()


def test_long_pairs_are_truncated_and_counted(source, tmp_path, tiny):
    _, summary = _run(source, tmp_path / "out", tiny)
    assert (summary["truncated"], summary["windowed"], summary["windows"]) == (2, 0, 0)
    np.testing.assert_allclose(_scores(tmp_path / "out"), PairScorer(tiny).score(ROWS), atol=2e-6)


def test_long_pairs_are_scored_by_windows_and_counted(source, tmp_path, tiny, capsys):
    _, summary = _run(source, tmp_path / "out", tiny, "--long_text", "windows")
    expected = PairScorer(tiny, long_text="windows").run(*zip(*ROWS, strict=True))
    np.testing.assert_allclose(_scores(tmp_path / "out"), expected.scores, atol=2e-6)
    assert (summary["truncated"], summary["windowed"]) == (0, 2)
    assert summary["windows"] == expected.stats.windows > 4
    assert summary["settings"]["long_text"] == "windows"
    assert "windowed" in capsys.readouterr().out


def test_long_pairs_are_rejected_with_their_length(source, tmp_path, tiny):
    _, summary = _run(source, tmp_path / "out", tiny, "--long_text", "error")
    assert (summary["rows_read"], summary["rows_scored"], summary["rows_rejected"]) == (4, 2, 2)
    assert summary["rejected_reasons"] == {"too long": 2}
    rejected = pq.read_table(tmp_path / "out" / "rejected")
    assert rejected["row"].to_pylist() == [1, 3]
    assert rejected["reason"].to_pylist()[0] == "too long: 1,103 tokens, the model takes 512"
    assert rejected["record"].to_pylist()[1]["text_b"] == "a dog"


def test_raw_logits_are_written_and_summarised(source, tmp_path, tiny):
    _, summary = _run(source, tmp_path / "out", tiny, "--raw_logits")
    expected = PairScorer(tiny).score(ROWS, raw_logits=True)
    np.testing.assert_allclose(_scores(tmp_path / "out"), expected, rtol=1e-5, atol=1e-5)
    median = np.sort(expected)[1]
    assert summary["score_quantiles"]["0.5"] == pytest.approx(median, abs=0.02)


@pytest.mark.parametrize(
    "change", [["--long_text", "windows"], ["--raw_logits"], ["--long_text", "error"]], ids=" ".join
)
def test_another_policy_is_another_run(source, tmp_path, tiny, change, capsys):
    assert _run(source, tmp_path / "out", tiny)[0] == 0
    assert _run(source, tmp_path / "out", tiny, *change)[0] == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_pickled_model_needs_the_flag(source, tmp_path, tiny, capsys):
    model = shutil.copytree(tiny, tmp_path / "model")
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    assert _run(source, tmp_path / "out", model)[0] != 0
    assert "--allow_pickle" in capsys.readouterr().err
    status, _ = _run(source, tmp_path / "out", model, "--allow_pickle")
    assert status == 0
    np.testing.assert_allclose(_scores(tmp_path / "out"), PairScorer(tiny).score(ROWS), atol=2e-6)


@pytest.mark.parametrize("kind", ["modernbert-mean", "gemma3-causal-left", "neobert", "roberta"])
def test_every_architecture_goes_through_the_command(source, tmp_path, kind):
    model = BUILDERS[kind](tmp_path / "model")
    status, _ = _run(source, tmp_path / "out", model)
    assert status == 0
    np.testing.assert_allclose(_scores(tmp_path / "out"), PairScorer(model).score(ROWS), atol=2e-6)


def test_an_unknown_model_is_one_error_with_a_hint(source, tmp_path, capsys):
    assert _run(source, tmp_path / "out", "ModernCE-base-sts")[0] == 2
    assert "did you mean 'dleemiller/ModernCE-base-sts'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
