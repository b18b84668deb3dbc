"""ONNX Runtime and OpenVINO give equal scores, or torch runs with a logged reason."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from beam_sts import PairScorer, UserError
from beam_sts.cli import score
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring import backends, exported
from beam_sts.scoring.exported import ExportedBackend
from beam_sts.scoring.torch_backend import TorchBackend
from tests.architectures import BUILDERS
from tests.checkpoints import SENTENCES

PAIRS = [(a, b) for a in SENTENCES for b in SENTENCES[:6]]
# The exporter of torch 2.15 fails on the mask of the first and on the norm of the second.
NOT_EXPORTED = {"gemma3-bidirectional-left", "gemma3-bidirectional-right", "neobert"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_architecture_agrees_or_falls_back_with_a_reason(kind, tmp_path, caplog):
    BUILDERS[kind](tmp_path / "model")
    checkpoint = load_checkpoint(tmp_path / "model")
    expected = PairScorer(checkpoint, backend="torch").score(PAIRS)
    for engine in ("onnx", "openvino"):
        with caplog.at_level(logging.WARNING, "beam_sts"):
            scorer = PairScorer(checkpoint, backend=engine, token_budget=300, threads=2)
        if kind in NOT_EXPORTED:
            assert isinstance(scorer._backend, TorchBackend)
            assert f"cannot be exported for {engine}" in caplog.text
        else:
            assert isinstance(scorer._backend, ExportedBackend)
        np.testing.assert_allclose(scorer.score(PAIRS), expected, rtol=0, atol=1e-5)


def test_auto_takes_an_engine_that_agrees_and_torch_for_the_embedded_models(tmp_path, monkeypatch):
    BUILDERS["bert"](tmp_path / "model")
    assert isinstance(PairScorer(tmp_path / "model")._backend, ExportedBackend)
    assert not isinstance(PairScorer()._backend, ExportedBackend)
    monkeypatch.setattr(backends, "_AGREE", 0.0)
    assert isinstance(PairScorer(tmp_path / "model")._backend, TorchBackend)
    monkeypatch.undo()
    monkeypatch.setattr(backends, "installed", lambda name: False)
    assert isinstance(PairScorer(tmp_path / "model")._backend, TorchBackend)


def test_eight_bit_weights_stay_near(tmp_path):
    BUILDERS["bert"](tmp_path / "model")
    exact, rough = (
        PairScorer(tmp_path / "model", backend="torch"),
        PairScorer(tmp_path / "model", precision="int8"),
    )
    difference = np.abs(exact.score(PAIRS) - rough.score(PAIRS))
    assert 0 < difference.mean() < 0.04  # random weights were not trained to tolerate rounding


def test_an_export_is_made_once_and_leaves_nothing_else_behind(tmp_path, monkeypatch):
    BUILDERS["bert"](tmp_path / "model")
    made = []
    export = exported._export
    monkeypatch.setattr(exported, "_export", lambda *args: made.append(1) or export(*args))
    for _ in range(2):
        PairScorer(tmp_path / "model", backend="onnx")
    assert made == [1]
    files = [file for file in (tmp_path / "hf").rglob("*") if file.is_file()]
    assert sorted(file.name for file in files) == ["model.onnx", "model.onnx.sha256"]


@pytest.mark.slow
def test_processes_that_start_at_once_share_one_export(tmp_path):
    BUILDERS["bert"](tmp_path / "model")
    code = (
        "import sys; from beam_sts import PairScorer; "
        "print(PairScorer(sys.argv[1], backend='onnx').score([('a man', 'a dog')])[0])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model")]
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf")}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)]
    assert len({process.communicate(timeout=120)[0] for process in running}) == 1
    assert [process.returncode for process in running] == [0] * 3
    assert len(list((tmp_path / "hf" / "beam_sts" / "onnx").iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "onnx", "precision": "bf16"}, "bf16 is not one of backend onnx"),
        ({"backend": "openvino", "precision": "int8"}, "int8 needs --backend onnx"),
        ({"precision": "fp16"}, "fp16 needs --device cuda"),
        ({"backend": "onnx", "device": "cuda"}, "needs --backend torch"),
        ({"backend": "native", "device": "cuda"}, "needs --backend torch"),
        ({"backend": "torch", "precision": "int8"}, "int8 is not one of backend torch"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        PairScorer(**settings)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("beam_sts.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'beam_sts\[openvino\]'"):
        PairScorer(backend="openvino")


def test_a_run_records_the_backend_that_auto_stood_for(tmp_path, monkeypatch):
    BUILDERS["bert"](tmp_path / "model")
    pq.write_table(
        pa.table({"text_a": ["a man", "a dog"], "text_b": ["a man", "a fox"]}), tmp_path / "in.parquet"
    )
    command = ["--input", str(tmp_path / "in.parquet"), "--model", str(tmp_path / "model"), "--output"]
    assert score.main([*command, str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["settings"]["backend"] == "openvino"
    ours = pq.read_table(tmp_path / "out" / "scores")["score"].to_numpy()
    expected = PairScorer(tmp_path / "model", backend="torch").score([("a man", "a man"), ("a dog", "a fox")])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5)
