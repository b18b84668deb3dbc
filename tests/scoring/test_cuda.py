"""Scoring on a GPU, if there is one."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from beam_sts import PairScorer
from beam_sts.cli import score
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.backends import default_threads
from beam_sts.scoring.modernbert import ModernBertBackend
from beam_sts.scoring.modernbert_steps import TorchSteps
from beam_sts.scoring.torch_backend import round_matrices
from tests.architectures import BUILDERS

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


@needs_gpu
@pytest.mark.parametrize(("precision", "largest"), [("fp32", 1e-4), ("bf16", 0.01), ("fp16", 0.01)])
def test_scores_agree_with_the_cpus(pairs, precision, largest):
    ours = PairScorer(device="cuda", precision=precision).score(pairs)
    np.testing.assert_allclose(ours, PairScorer(threads=1).score(pairs), rtol=0, atol=largest)


def test_few_threads_stand_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert [default_threads("cpu"), default_threads("cpu", 4), default_threads("cpu", 32)] == [16, 4, 1]
    assert [default_threads("cuda"), default_threads("cuda:1", 8), default_threads("cuda", 32)] == [3, 2, 1]


@needs_gpu
@pytest.mark.parametrize("kind", ["modernbert-cls", "modernbert-mean"])
@pytest.mark.parametrize(("precision", "largest"), [("bf16", 0.03), ("fp16", 0.004)])
def test_modernberts_scores_agree_with_the_cpus(tmp_path, pairs, kind, precision, largest):
    folder = BUILDERS[kind](tmp_path)
    scorer = PairScorer(folder, device="cuda", precision=precision)
    assert type(scorer._backend) is ModernBertBackend
    assert type(scorer._backend._steps) is not TorchSteps
    expected = PairScorer(folder, threads=1, backend="torch").score(pairs)
    found = scorer.score(pairs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=largest)
    scorer._backend._steps = TorchSteps()
    np.testing.assert_allclose(scorer.score(pairs), found, rtol=0, atol=largest)


@needs_gpu
def test_two_threads_get_the_scores_of_one(pairs):
    scorer = PairScorer(device="cuda", macro_batch=64, token_budget=1024)
    alone = scorer.score(pairs)
    with ThreadPoolExecutor(2) as two:
        for scores in two.map(scorer.score, [pairs] * 8):
            np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-6)


@needs_gpu
def test_the_command_runs_on_a_gpu(tmp_path):
    assert not score.main(
        ["--input", "examples/pairs.jsonl", "--output", str(tmp_path / "out"), "--device", "cuda"]
    )
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows_scored"] == 62


def test_rounded_matrices_give_what_autocast_gives(pairs):
    checkpoint = load_checkpoint("beam-sts-nano")
    rounded, plain = checkpoint.model(), checkpoint.model()
    round_matrices(rounded, torch.bfloat16)
    assert rounded.classifier.weight.dtype is torch.bfloat16
    assert rounded.bert.embeddings.LayerNorm.weight.dtype is torch.float32
    a, b = zip(*pairs[:8], strict=True)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.path)
    encoded = tokenizer(a, b, padding=True, truncation=True, max_length=64)
    tensors = {name: torch.tensor(rows) for name, rows in encoded.items()}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rounded(**tensors).logits, plain(**tensors).logits)


def test_shared_matrices_stay_as_they_are():
    table, head = torch.nn.Embedding(4, 2), torch.nn.Linear(2, 4)
    head.weight = table.weight
    round_matrices(torch.nn.Sequential(table, head), torch.float16)
    assert (table.weight.dtype, head.bias.dtype) == (torch.float32, torch.float16)


def test_macro_batches_under_way_at_once_change_nothing(pairs):
    """The code path of a GPU, tested on the CPU."""
    usual = PairScorer(threads=2, macro_batch=50, backend="torch")
    expected = usual.run(*zip(*pairs, strict=True), symmetric=True)
    usual._map = ThreadPoolExecutor(2).map
    found = usual.run(*zip(*pairs, strict=True), symmetric=True)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.stats == expected.stats
