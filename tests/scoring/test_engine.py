"""The engine as a backend, compared with the model class."""

import random

import numpy as np
import pytest
import torch

from beam_sts import PairScorer
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.decisions import decisive
from beam_sts.scoring.engine import Engine, backend
from beam_sts.scoring.engine.library import LEVELS, installed_library
from beam_sts.scoring.engine.reference import Reference
from beam_sts.scoring.engine.weights import Weights
from beam_sts.scoring.torch_backend import TorchBackend
from tests import checkpoints
from tests.checkpoints import SENTENCES

WORDS = " ".join(SENTENCES).split()
BEST = installed_library().beam_sts_level() if installed_library() else -1


@pytest.fixture(autouse=True, params=[*LEVELS[: BEST + 1], "reference"])
def level(request, monkeypatch):
    """Run every test with every instruction set of this CPU, and with the NumPy reference."""
    if request.param == "reference":
        monkeypatch.setattr(backend, "installed_library", lambda: None)
    else:
        monkeypatch.setattr(backend, "LEVEL", LEVELS.index(request.param))
    return request.param


def _pairs(count, longest, seed=0):
    rng = random.Random(seed)
    return [tuple(" ".join(rng.choices(WORDS, k=rng.randrange(longest))) for _ in "ab") for _ in range(count)]


def _both(checkpoint, precision="fp32", **settings):
    fast = PairScorer(checkpoint, precision=precision, **settings)
    assert isinstance(fast._backend, Engine)
    slow = PairScorer(checkpoint, **settings)
    slow._backend = TorchBackend(slow._checkpoint.model())
    return fast, slow


OURS = {"hidden_size": 32, "rotary_dims": 8, "segment_dims": 4, "sharp_length": 8}
KINDS = {
    "one layer, window 5": {**OURS, "num_hidden_layers": 1, "window": 5, "num_attention_heads": 1},
    "two layers, window 3": {**OURS, "num_hidden_layers": 2, "window": 3},
    "three layers, odd segment numbers": {**OURS, "num_hidden_layers": 3, "segment_dims": 3},
    "rotary positions, token types": {**OURS, "segment_dims": 0, "window": 3},
    "absolute positions, window 3": {"hidden_size": 48, "num_attention_heads": 3, "window": 3},
    "femto": {"projections": 5, "hidden_size": 50},
    "pico": {"projections": 8, "hidden_size": 80},
    "nano": {"projections": 16, "hidden_size": 128},
}


@pytest.fixture(scope="module", params=KINDS)
def random_model(request, tmp_path_factory):
    """A checkpoint of the given kind."""
    return checkpoints.bert_hash(tmp_path_factory.mktemp("hash"), **KINDS[request.param])


def test_every_kind_of_the_architecture_agrees_with_the_model_class(random_model):
    fast, slow = _both(random_model, token_budget=300)
    pairs = [*_pairs(80, 40), ("", ""), ("a", ""), ("", "a")]
    expected = slow.score(pairs, raw_logits=True)
    assert expected.std() > 0.1
    np.testing.assert_allclose(fast.score(pairs, raw_logits=True), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["beam-sts-nano", "beam-sts-pico"])
def test_the_embedded_models_agree_with_the_model_class(name):
    fast, slow = _both(name)
    pairs = _pairs(100, 60)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=1e-6)


def test_float32_is_as_near_to_float64_as_the_model_class_is(full_size, level):
    """Scores are within 1e-6 of the exact score, and of the class's by that plus the class's error."""
    pairs = [(a, b) for a in SENTENCES for b in SENTENCES]
    fast, slow = _both(full_size)
    exact = PairScorer(full_size)
    checkpoint, template = exact._checkpoint, exact._tokenizer.template
    shape = exact._backend.shape
    weights = Weights.of(shape, checkpoint.weights())
    special = tuple(part[0] for part in template.parts)
    exact._backend._native = None
    exact._backend._reference = Reference(shape, weights, special, np.float64)
    scores, expected, class_scores = (scorer.score(pairs) for scorer in (fast, exact, slow))
    assert np.abs(scores - expected).max() <= (1e-6 if level != "reference" else 2e-6)
    assert np.abs(scores - expected).mean() <= 1.2 * np.abs(class_scores - expected).mean()


def test_texts_longer_than_a_block_of_attention_agree():
    fast, slow = _both("beam-sts-nano")
    pairs = _pairs(3, 900, seed=1)
    assert max(len((a + b).split()) for a, b in pairs) > 1024
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_texts_computed_once_give_the_bits_of_texts_computed_for_each_pair(precision, monkeypatch, level):
    if level == "reference":
        pytest.skip("plain NumPy computes nothing once")
    texts = [a for a, _ in _pairs(30, 20)]
    pairs = [(a, b) for a in texts for b in texts]
    shared = PairScorer(precision=precision)
    computed = []
    share = Engine.share
    monkeypatch.setattr(Engine, "share", lambda *args: computed.append(share(*args)) or computed[-1])
    scores = shared.score(pairs)
    assert len(computed[0].texts.hidden) < 1000
    monkeypatch.setattr(Engine, "share", lambda *args: None)
    np.testing.assert_array_equal(scores, shared.score(pairs))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_short_types_stay_near(precision, level):
    fast, slow = _both("beam-sts-nano", precision=precision)
    pairs = _pairs(400 if level != "reference" else 50, 30)
    difference = np.abs(fast.score(pairs) - slow.score(pairs))
    assert difference.max() <= 0.01
    assert difference.mean() <= 0.002
    kind = backend.PRECISIONS[precision]
    rounded = level != "reference" and kind in backend.supported_kinds(
        installed_library(), LEVELS.index(level)
    )
    assert (difference.max() > 1e-5) == rounded


def test_truncated_texts_are_those_of_the_reference():
    fast, slow = _both("beam-sts-nano")
    fast._tokenizer.max_length = slow._tokenizer.max_length = 64
    pairs = _pairs(60, 120)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=1e-6)


def test_texts_truncated_on_the_left_are_those_of_the_reference(tmp_path):
    fast, slow = _both(checkpoints.bert_hash(tmp_path, **KINDS["two layers, window 3"]))
    for scorer in (fast, slow):
        scorer._tokenizer.max_length, scorer._tokenizer._truncate_left = 20, True
    pairs = _pairs(60, 60)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=5e-6)


def test_a_padding_row_that_is_not_zero_matters_to_a_window_alone(tmp_path):
    settings = {"rotary_dims": 4, "segment_dims": 2, "zero_padding": False}
    within = checkpoints.bert_hash(tmp_path / "within", window=1, **settings)
    fast, slow = _both(within)
    pairs = _pairs(40, 20)
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), rtol=0, atol=5e-6)
    beyond = checkpoints.bert_hash(tmp_path / "beyond", window=3, **settings)
    assert isinstance(PairScorer(beyond, backend="native")._backend, TorchBackend)


def test_texts_that_recur_may_be_longer_than_a_block():
    long = [" ".join(f"{word} {n}" for n in range(1500)) for word in ("dog", "fox", "cat")]
    assert all(len(text.split()) > backend._TEXT_BLOCK for text in long)
    pairs = [(a, b) for a in long for b in long if a < b]
    fast, slow = _both(load_checkpoint("beam-sts-nano"))
    np.testing.assert_allclose(fast.score(pairs), slow.score(pairs), atol=2e-6)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_cpu_without_the_instructions_runs_float32_and_says_so(monkeypatch, precision, level):
    if level == "reference":
        pytest.skip("plain NumPy has float32 alone")
    told = []
    monkeypatch.setattr(backend.log, "warning", lambda *args: told.append(args))
    monkeypatch.setattr(backend, "supported_kinds", lambda library, level: {0})
    pairs = [(a, b) for a in SENTENCES for b in SENTENCES]
    fast, exact = PairScorer(precision=precision), PairScorer()
    assert ["no faster than --precision fp32" in args[0] and precision in args for args in told] == [True]
    np.testing.assert_array_equal(fast.score(pairs), exact.score(pairs))


def test_scores_are_the_same_to_the_last_bit_in_any_company(level):
    if level == "reference":
        pytest.skip("plain NumPy goes pair by pair")
    pairs = _pairs(60, 60)
    for precision in ("fp32", "bf16", "int8"):
        scorers = [PairScorer(precision=precision, token_budget=size) for size in (1, 700, 50_000)]
        alone, few, all_ = (scorer.score(pairs) for scorer in scorers)
        np.testing.assert_array_equal(alone, few)
        np.testing.assert_array_equal(alone, all_)


def test_the_sigmoid_of_torch_is_ours():
    scorer = PairScorer()
    logits = np.linspace(-30, 30, 101, dtype=np.float32)
    expected = torch.sigmoid(torch.from_numpy(logits)).numpy()
    np.testing.assert_allclose(scorer._checkpoint.activate(logits), expected, rtol=0, atol=1e-7)


def test_every_instruction_set_decides_alike(level):
    """Decisions are equal at thresholds that are scores, to the five compared digits."""
    pairs = _pairs(120, 30, seed=5)
    scores = PairScorer().score(pairs)
    other = PairScorer()
    shape, checkpoint = other._backend.shape, other._checkpoint
    special = tuple(part[0] for part in other._tokenizer.template.parts)
    other._backend._native = None
    other._backend._reference = Reference(shape, Weights.of(shape, checkpoint.weights()), special, np.float64)
    exact = other.score(pairs).astype(np.float64)
    near = np.abs(exact - exact.round(5)) < 4e-6  # the others are half-way between two numbers of five digits
    assert near.sum() > 80
    thresholds = exact[near].round(5).astype(np.float32)
    assert (decisive(scores[near]) >= thresholds).all()
    assert not (decisive(scores[near]) >= thresholds + np.float32(1e-5)).any()
