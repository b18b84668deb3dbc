"""The fast forward pass against the model class it stands for."""

import random

import numpy as np
import pytest
import torch

from beam_sts import PairScorer
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring import hash_backend
from beam_sts.scoring.hash_backend import HashBackend
from beam_sts.scoring.hash_layers import PackedLinear
from beam_sts.scoring.hash_steps import LONG, TorchSteps
from beam_sts.scoring.torch_backend import TorchBackend
from tests import checkpoints
from tests.checkpoints import SENTENCES

WORDS = " ".join(SENTENCES).split()


@pytest.fixture(autouse=True, params=["compiled", "torch"])
def steps(request, monkeypatch):
    """Every test with the steps that are compiled, if they are, and with torch's."""
    if request.param == "torch":
        monkeypatch.setattr(hash_backend, "fastest_steps", TorchSteps)


def _pairs(count, longest, seed=0):
    rng = random.Random(seed)
    return [tuple(" ".join(rng.choices(WORDS, k=rng.randrange(longest))) for _ in "ab") for _ in range(count)]


def _both(checkpoint, precision="fp32", **settings):
    fast = PairScorer(checkpoint, precision=precision, **settings)
    assert isinstance(fast._backend, HashBackend)
    slow = PairScorer(checkpoint, **settings)
    slow._backend = TorchBackend(slow._checkpoint.model())
    return fast, slow


@pytest.fixture(scope="module", params=[(1, 5, 1), (2, 3, 2), (3, 1, 2)], ids=str)
def random_model(request, tmp_path_factory):
    """A checkpoint of some depth, window and number of heads."""
    layers, window, heads = request.param
    return checkpoints.bert_hash(
        tmp_path_factory.mktemp("hash"),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        window=window,
        rotary_dims=8,
        segment_dims=4,
        sharp_length=8,
    )


def test_every_shape_of_the_architecture_agrees_with_the_model_class(random_model):
    fast, slow = _both(random_model, token_budget=300)
    pairs = [*_pairs(150, 40), ("", ""), ("a", ""), ("", "a")]
    expected = slow.score(pairs, raw_logits=True)
    assert expected.std() > 0.1
    np.testing.assert_allclose(fast.score(pairs, raw_logits=True), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["beam-sts-nano", "beam-sts-pico"])
def test_the_embedded_models_agree_with_the_model_class(name):
    fast, slow = _both(name)
    pairs = _pairs(200, 60)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=2e-6)


def test_texts_longer_than_the_attention_is_held_for_agree():
    fast, slow = _both("beam-sts-nano")
    pairs = _pairs(3, 900, seed=1)
    assert max(len((a + b).split()) for a, b in pairs) > LONG
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_texts_computed_once_give_the_scores_of_texts_computed_for_each_pair(precision, monkeypatch):
    texts = [a for a, _ in _pairs(30, 20)]
    pairs = [(a, b) for a in texts for b in texts]
    shared = PairScorer(precision=precision)
    computed = []
    share = HashBackend.share
    monkeypatch.setattr(HashBackend, "share", lambda *args: computed.append(share(*args)) or computed[-1])
    scores = shared.score(pairs)
    assert len(computed[0].hidden) < 1000
    monkeypatch.setattr(HashBackend, "share", lambda *args: None)
    np.testing.assert_allclose(
        scores, shared.score(pairs), rtol=0, atol=2e-6 if precision == "fp32" else 4e-3
    )


def test_bfloat16_stays_near():
    fast, slow = _both("beam-sts-nano", precision="bf16")
    pairs = _pairs(400, 30)
    difference = np.abs(fast.score(pairs) - slow.score(pairs))
    assert 0 < difference.max() <= 0.01
    assert difference.mean() <= 0.002


def test_a_build_of_torch_without_onednn_scores_the_same(monkeypatch):
    pairs = _pairs(50, 30)
    expected = PairScorer().score(pairs)
    monkeypatch.setattr(PackedLinear, "of", classmethod(lambda cls, plain: plain))
    np.testing.assert_allclose(PairScorer().score(pairs), expected, rtol=0, atol=2e-6)


def test_truncated_texts_are_those_of_the_reference():
    fast, slow = _both("beam-sts-nano")
    fast._tokenizer.max_length = slow._tokenizer.max_length = 64
    pairs = _pairs(60, 120)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=2e-6)


def test_the_published_architecture_is_left_to_its_class(tiny):
    checkpoint = load_checkpoint(tiny)
    assert isinstance(PairScorer(checkpoint, backend="torch")._backend, TorchBackend)


def test_a_padding_row_that_is_not_zero_is_left_to_the_class(tmp_path):
    folder = checkpoints.bert_hash(tmp_path, rotary_dims=4, segment_dims=2, zero_padding=False)
    assert isinstance(PairScorer(folder, backend="torch")._backend, TorchBackend)


def test_texts_that_recur_may_be_longer_than_a_block():
    long = [" ".join(f"{word} {n}" for n in range(1500)) for word in ("dog", "fox", "cat")]
    assert all(len(text.split()) > hash_backend._TEXT_BLOCK for text in long)
    pairs = [(a, b) for a in long for b in long if a < b]
    fast, slow = _both(load_checkpoint("beam-sts-nano"))
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), atol=2e-6)


def test_bf16_on_a_cpu_without_its_instructions_is_float32_on_rounded_weights(monkeypatch):
    told = []
    monkeypatch.setattr(hash_backend.log, "warning", told.append)
    monkeypatch.setattr(hash_backend, "multiplies_bfloat16", lambda: False)
    pairs = [(a, b) for a in SENTENCES for b in SENTENCES]
    fast, exact = PairScorer(precision="bf16"), PairScorer()
    assert fast._backend._dtype is torch.float32  # torch's own bfloat16 takes seven times as long there
    assert ["no faster than --precision fp32" in message for message in told] == [True]
    assert 0 < np.abs(fast.score(pairs) - exact.score(pairs)).max() < 0.01
