"""ModernBERT without padding has the model class's scores; on a CPU, without the GPU's attention."""

import logging
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from beam_sts import PairScorer
from beam_sts.scoring import backends
from beam_sts.scoring.modernbert import ModernBertBackend
from beam_sts.scoring.modernbert_steps import TorchNorm, TorchSteps
from beam_sts.scoring.torch_backend import TorchBackend
from tests.architectures import BUILDERS

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
POOLINGS = ["modernbert-cls", "modernbert-mean"]


def attend(qkv, bounds, longest, window):
    """Attention like flash attention's, pair by pair."""
    out = torch.empty(len(qkv), *qkv.shape[2:], dtype=qkv.dtype)
    assert longest == int(bounds.diff().max())
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        query, key, value = (part.transpose(0, 1)[None] for part in qkv[start:end].unbind(1))
        place = torch.arange(end - start)
        mask = None if window < 0 else (place[:, None] - place).abs() <= window
        attended = functional.scaled_dot_product_attention(query, key, value, mask)
        out[start:end] = attended[0].transpose(0, 1)
    return out


@pytest.fixture(scope="module", params=POOLINGS)
def checkpoint(request, tmp_path_factory):
    return BUILDERS[request.param](tmp_path_factory.mktemp(request.param))


def _packed(checkpoint, **settings):
    scorer = PairScorer(checkpoint, backend="torch", threads=1, **settings)
    scorer._backend = ModernBertBackend(scorer._checkpoint.model(), "cpu", "fp32", attend)
    scorer._backend._steps = TorchSteps()  # interpreted kernels take minutes
    return scorer


@pytest.mark.parametrize("budget", [64, 4096])
def test_scores_are_those_of_the_model_class(checkpoint, pairs, budget):
    ours = _packed(checkpoint, token_budget=budget).run(*zip(*pairs, strict=True))
    expected = PairScorer(checkpoint, backend="torch", threads=1).run(*zip(*pairs, strict=True))
    np.testing.assert_allclose(ours.scores, expected.scores, rtol=0, atol=2e-6)
    assert ours.stats.real_tokens == expected.stats.real_tokens
    assert ours.stats.padded_tokens == ours.stats.real_tokens < expected.stats.padded_tokens


def test_a_pair_that_fails_does_not_fail_the_others(checkpoint, pairs, monkeypatch):
    expected = PairScorer(checkpoint, backend="torch", threads=1).score(pairs)
    scorer = _packed(checkpoint)
    real = ModernBertBackend._forward
    bad = np.argmax([len(a) for a, _ in pairs])

    def forward(self, ids, lengths, longest):
        if longest >= 256:  # like a GPU without enough memory
            raise torch.OutOfMemoryError("no memory")
        return real(self, ids, lengths, longest)

    monkeypatch.setattr(ModernBertBackend, "_forward", forward)
    result = scorer.run(*zip(*pairs, strict=True))
    good = ~np.isnan(result.scores)
    assert bad in result.failures
    assert set(result.failures) == set(np.flatnonzero(~good))
    np.testing.assert_allclose(result.scores[good], expected[good], rtol=0, atol=2e-6)


def test_it_is_for_modernbert_on_a_gpu_in_few_bits(checkpoint, tiny):
    model = PairScorer(checkpoint, backend="torch")._checkpoint.model()
    assert ModernBertBackend.takes(model, "cuda:1", "bf16")
    assert ModernBertBackend.takes(model, "cuda", "fp16")
    assert not ModernBertBackend.takes(model, "cpu", "bf16")
    assert not ModernBertBackend.takes(model, "cuda", "fp32")
    assert not ModernBertBackend.takes(PairScorer(tiny)._checkpoint.model(), "cuda", "bf16")
    model.config.mlp_bias = True
    assert not ModernBertBackend.takes(model, "cuda", "bf16")


def test_where_it_cannot_run_torch_runs_the_model(checkpoint, pairs, monkeypatch, caplog):
    monkeypatch.setattr(ModernBertBackend, "takes", staticmethod(lambda *_: True))  # flash needs a GPU
    with caplog.at_level(logging.WARNING, backends.__name__):
        scorer = PairScorer(checkpoint, precision="bf16", threads=1)
    assert isinstance(scorer._backend, TorchBackend)
    assert "runs in the model class of transformers, which is slower: " in caplog.text
    expected = PairScorer(checkpoint, threads=1, backend="torch").score(pairs)
    np.testing.assert_allclose(scorer.score(pairs), expected, rtol=0, atol=0.05)


def test_without_triton_the_steps_are_torchs(checkpoint, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "beam_sts.scoring.modernbert_kernels", raising=False)
    with caplog.at_level(logging.WARNING, "beam_sts"):
        backend = ModernBertBackend(PairScorer(checkpoint)._checkpoint.model(), "cpu", "fp32", attend)
    assert type(backend._steps) is TorchSteps
    assert "run in torch, which is slower: " in caplog.text


@pytest.fixture(scope="module")
def fused():
    pytest.importorskip("triton", reason="this build of torch has no Triton")
    from beam_sts.scoring.modernbert_kernels import FusedSteps

    return FusedSteps()


TYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float16])
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
SIZES = st.integers(1, 70)


def _drawn(data, *shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def _same(ours, expected, dtype):
    assert ours.dtype == expected.dtype == dtype
    torch.testing.assert_close(ours, expected, atol=CLOSE[dtype], rtol=CLOSE[dtype])


@given(st.data())
def test_norms_agree(fused, data):
    rows, width, dtype, to = (data.draw(kind) for kind in (SIZES, st.integers(16, 300), TYPES, TYPES))
    inputs, weight = 1 + 3 * _drawn(data, rows, width, dtype=dtype), _drawn(data, width)
    norm = TorchNorm(weight, data.draw(st.sampled_from([None, weight + 1])), 1e-5)
    _same(fused.norm(inputs, norm, to), TorchSteps().norm(inputs, norm, to), to)


@given(st.data())
def test_rotations_agree(fused, data):
    rows, heads, dtype = data.draw(SIZES), data.draw(st.integers(1, 5)), data.draw(TYPES)
    half, places = data.draw(st.sampled_from([1, 4, 32])), data.draw(SIZES)
    qkv = _drawn(data, rows, 3, heads, 2 * half, dtype=dtype)
    where = torch.tensor(data.draw(st.lists(st.integers(0, places - 1), min_size=rows, max_size=rows))).to(
        DEVICE
    )
    turns = _drawn(data, places, half), _drawn(data, places, half)
    ours, expected = qkv.clone(), qkv.clone()
    fused.rotate(ours, where, turns)
    TorchSteps().rotate(expected, where, turns)
    _same(ours, expected, dtype)
    assert torch.equal(ours[:, 2], qkv[:, 2])


@given(st.data())
def test_gates_agree(fused, data):
    rows, width, dtype = data.draw(SIZES), data.draw(st.integers(1, 1500)), data.draw(TYPES)
    inputs = _drawn(data, rows, 2 * width, dtype=dtype)
    _same(fused.gate(inputs), TorchSteps().gate(inputs), dtype)
