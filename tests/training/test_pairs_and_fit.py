from __future__ import annotations

import importlib
import inspect
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from beam_sts import PairScorer
from beam_sts.training.fit import (
    FitSettings,
    TrainingPairs,
    fit,
    predict,
    random_batches,
    rate_at,
    shifted_places,
)
from beam_sts.training.long_texts import long_pairs, planted_pair, report_on_length
from beam_sts.training.pairs import PairTensors, length_grouped
from beam_sts.training.student import StudentSize, logits_for_training, matching_start
from beam_sts.training.vocabulary import (
    leading_components,
    piece_counts,
    save_tokenizer,
    token_table,
    train_vocabulary,
)  # fmt: skip

ROOT = Path(__file__).parents[2]
TEXTS = [
    "A man is playing a guitar.",
    "A woman slices an onion.",
    "Two dogs run in the snow.",
    "The bank raised rates.",
    "A cat sleeps on the sofa.",
    "Children play football outside.",
    "The plane landed in Paris.",
    "It rains today.",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return save_tokenizer(train_vocabulary(TEXTS * 4, 200), tmp_path_factory.mktemp("vocabulary"), 256)


def test_own_vocabulary_loads_with_equal_ids_for_any_case_and_width(tokenizer):
    assert tokenizer.model_max_length == 256
    assert tokenizer.pad_token_id == 0
    encoded = tokenizer("A man", "two DOGS")
    assert encoded["token_type_ids"][0] == 0
    assert encoded["token_type_ids"][-1] == 1
    assert encoded["input_ids"] == tokenizer("a man", "TWO dogs")["input_ids"]
    assert encoded["input_ids"] == tokenizer("Ａ ｍａｎ", "ｔｗｏ ｄｏｇｓ")["input_ids"]


@pytest.mark.parametrize("max_length", [128, 12, 9, 8])
def test_joined_pairs_are_the_tokenizers_own(tokenizer, max_length):
    texts = PairTensors.of(TEXTS, tokenizer)
    left, right = np.array([0, 1, 7, 3]), np.array([1, 6, 2, 0])
    joined = texts.joined(left, right, max_length)
    first, second = ([TEXTS[i] for i in side] for side in (left, right))
    own = tokenizer(
        first, second, truncation="longest_first", max_length=max_length, padding=True, return_tensors="pt"
    )
    assert joined.keys() == own.keys()
    for name in own:
        assert torch.equal(joined[name], own[name]), name


@pytest.mark.parametrize("max_length", [128, 5])
def test_texts_alone_are_the_tokenizers_own(tokenizer, max_length):
    alone = PairTensors.of(TEXTS, tokenizer).alone(np.array([7, 0, 3]), max_length)
    asked = [TEXTS[i] for i in (7, 0, 3)]
    own = tokenizer(asked, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
    for name in own:
        assert torch.equal(alone[name], own[name]), name


def test_length_grouping_yields_each_pair_once_within_the_token_budget():
    lengths = np.random.default_rng(0).integers(1, 300, 1000)
    batches = list(length_grouped(lengths, 32, np.random.default_rng(1), max_tokens=2000))
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert all(
        len(batch) <= 32 and (len(batch) * lengths[batch].max() <= 2000 or len(batch) == 1)
        for batch in batches
    )


def test_rate_rises_then_falls_to_nothing():
    assert rate_at(0.0, 0.1) < rate_at(0.05, 0.1) < rate_at(0.1, 0.1) == 1.0
    assert rate_at(1.0, 0.1) == pytest.approx(0.0, abs=1e-9)


def test_table_has_zero_padding_and_repeats(tokenizer):
    raw = tokenizer.backend_tokenizer
    vectors = np.random.default_rng(0).standard_normal((raw.get_vocab_size(), 32))
    vectors[:5] = 0
    table = token_table(vectors, piece_counts(raw, TEXTS), 16, seed=0)
    assert table.shape == (raw.get_vocab_size(), 16)
    assert not table[0].any()
    assert np.array_equal(table, token_table(vectors, piece_counts(raw, TEXTS), 16, seed=0))
    assert not leading_components(vectors, 4)[0].any()


def test_student_learns_a_dozen_pairs_and_predicts_in_order(tokenizer):
    size = StudentSize(len(tokenizer), 16, 32, 64, rotary_dims=4, max_length=256)
    table = np.random.default_rng(0).standard_normal((len(tokenizer), 16)).astype(np.float32)
    table[0] = 0
    pairs = TrainingPairs.of(TEXTS + TEXTS, TEXTS + TEXTS[::-1], [1.0] * 8 + [0.0] * 8)
    model = matching_start(size.config(), table, seed=0)
    fit(model, tokenizer, pairs, FitSettings(epochs=60, batch_size=8, learning_rate=3e-3, max_length=64))
    scores = predict(model, tokenizer, pairs, precision="fp32")
    assert scores.dtype == np.float32
    assert scores[:8].min() > 0.8
    assert scores[8:].max() < 0.4
    one = TrainingPairs.of(["It rains today."], ["It rains today."], [1.0])
    assert predict(model, tokenizer, one, precision="fp32")[0] == pytest.approx(scores[7], abs=2e-6)


def test_fit_repeats_by_seed(tokenizer):
    size = StudentSize(len(tokenizer), 8, 16, 16, rotary_dims=2, max_length=64)
    table = np.ones((len(tokenizer), 8), np.float32)
    pairs = TrainingPairs.of(TEXTS, TEXTS[::-1], [0.2] * 8)
    states = []
    for seed in (0, 0, 1):
        model = matching_start(size.config(), table, seed=0)
        fit(model, tokenizer, pairs, FitSettings(epochs=2, batch_size=4, seed=seed, average=0.9))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert any(not torch.equal(states[0][key], states[2][key]) for key in states[0])


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.test_pairs_and_fit import kept_fit

def die(model):
    os.kill(os.getpid(), signal.SIGKILL)

kept_fit(Path(sys.argv[1]), Path(sys.argv[2]), evaluate=die)
"""


def kept_fit(vocabulary, keep, evaluate=None, **changes):
    """A fit of 14 steps with all random features and progress saved at every step, and its weights."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    size = StudentSize(vocabulary=len(tokenizer), projections=8, hidden=32, intermediate=32, rotary_dims=4)
    table = np.random.default_rng(0).standard_normal((len(tokenizer), 8)).astype(np.float32)
    table[0] = 0
    pairs = [(a, b) for a in TEXTS for b in TEXTS if a < b]
    scored = TrainingPairs.of(*zip(*pairs, strict=True), [len(a) / 40 for a, _ in pairs])
    how = FitSettings(**{"epochs": 2, "batch_size": 4, "shift": 50, "average": 0.9} | changes)
    model = matching_start(size.config(), table, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("beam_sts.training.fit.KEEP_SECONDS", 0.0)
        done = fit(model, tokenizer, scored, how, evaluate, 9, keep=keep)
    return model.state_dict(), done


def test_a_fit_that_is_killed_goes_on_to_the_same_weights(tokenizer, tmp_path, caplog):
    vocabulary, keep = tmp_path / "vocabulary", tmp_path / "progress.safetensors"
    tokenizer.save_pretrained(vocabulary)
    whole, done = kept_fit(vocabulary, tmp_path / "other")
    assert (done.step, done.seen) == (14, 56)
    killed = subprocess.run([sys.executable, "-c", KILLED, vocabulary, keep], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert keep.is_file()
    left = keep.read_bytes()
    with caplog.at_level("INFO"):
        resumed, again = kept_fit(vocabulary, keep)
    assert "continues after 32 of 56 pairs" in caplog.text
    assert not keep.exists()
    assert (again.step, again.seen) == (14, 56)
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())

    for useless, changes in ((left, {"learning_rate": 2e-3}), (left[: len(left) // 2], {})):
        caplog.clear()
        keep.write_bytes(useless)
        _, anew = kept_fit(vocabulary, keep, **changes)
        assert "continues" not in caplog.text
        assert anew.step == 14


def test_planted_edits_stand_where_they_are_asked_for():
    sentences = [f"Sentence {index}." for index in range(60)]
    document, copy = planted_pair(sentences, 20, 5, random.Random(0), at=1.0)
    assert copy.split(". ")[:15] == document.split(". ")[:15]
    assert copy != document
    with pytest.raises(ValueError, match="between 0 and the document's 3"):
        planted_pair(sentences, 3, 4, random.Random(0))
    with pytest.raises(ValueError, match="found 60"):
        planted_pair(sentences, 50, 20, random.Random(0))


def test_long_pairs_score_the_share_left():
    pairs = long_pairs([f"Sentence {index}." for index in range(60)], 30, seed=0)
    assert pairs == long_pairs([f"Sentence {index}." for index in range(60)], 30, seed=0)
    assert all((score == 1.0) == (first == second) and 0 <= score <= 1 for first, second, score in pairs)
    sentences = [f"Sentence {index}." for index in range(60)]
    assert {a.count(".") for a, _, _ in long_pairs(sentences, 9, seed=0, longest=30, longest_share=1)} == {30}


def test_length_report_has_a_row_for_each_size_and_share():
    sentences = [f"Sentence number {index}." for index in range(200)]

    def kept(pairs):
        return np.array([len(set(a.split(". ")) & set(b.split(". "))) / len(a.split(". ")) for a, b in pairs])

    rows = report_on_length(kept, sentences, sizes=(10, 50), shares=(0.0, 0.5, 1.0))
    assert [(row["sentences"], row["share"]) for row in rows] == [
        (10, 0.0), (10, 0.5), (10, 1.0), (50, 0.0), (50, 0.5), (50, 1.0)
    ]  # fmt: skip
    assert [row["score"] for row in rows] == pytest.approx([1, 0.5, 0] * 2, abs=0.15)
    assert all(row["spread"] < 0.15 for row in rows)


def _docstring_sentences():
    """Sentences of the standard library's docstrings, which every machine has, in random order."""
    modules = (
        "argparse ast asyncio calendar collections csv datetime decimal difflib email fractions functools "
        "heapq html inspect io ipaddress json logging math mimetypes os pathlib random re shutil socket "
        "sqlite3 statistics string subprocess tarfile tempfile textwrap threading unittest uuid zipfile"
    )
    found = set()
    for module in map(importlib.import_module, modules.split()):
        for thing in vars(module).values():
            for owner in (thing, *(vars(thing).values() if inspect.isclass(thing) else ())):
                doc = inspect.getdoc(owner) or "" if callable(owner) else ""
                found |= {" ".join(part.split()) for part in re.split(r"(?<=\.)\s+|\n\n", doc)}
    sentences = sorted(text for text in found if re.fullmatch(r"[A-Z][\w ,'-]{30,160}\.", text))
    return random.Random(0).sample(sentences, len(sentences))


@pytest.mark.slow
def test_embedded_nano_reads_8192_tokens_in_one_pass():
    """The score falls with the replaced share of a long document, wherever the edits are."""
    scorer = PairScorer("beam-sts-nano")
    assert scorer.max_length == 8192
    sentences, size = _docstring_sentences(), 230
    document, copy = planted_pair(sentences, size, 23, random.Random(0), 0.5)
    tokens = len(AutoTokenizer.from_pretrained(scorer.checkpoint)(document, copy, verbose=False)["input_ids"])
    assert 6000 < tokens <= 8192
    rows = report_on_length(scorer.score, sentences, sizes=(size,), shares=(0.0, 0.25, 0.5, 1.0), repeats=2)
    print([(row["share"], row["score"], row["spread"]) for row in rows])
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.97
    assert scores[0] - scores[-1] > 0.2
    assert all(row["spread"] < 0.05 for row in rows)


def test_shifted_places_leave_the_first_token_and_move_each_pair_as_one():
    types = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
    places = shifted_places(types, np.array([7, 900]))
    still = torch.tensor([[0, 1, 2, 1, 2, 3], [0, 1, 2, 3, 1, 2]])
    moved = places - still
    assert (moved[:, 0] == 0).all()
    assert (moved[:, 1:] == moved[:, 1:2]).all()
    assert moved[:, 1].tolist() == [7, 900]


def test_batches_show_each_pair_once_an_epoch_and_move_half_of_them_anywhere():
    how = FitSettings(batch_size=4, shift=1000)
    batches = list(random_batches(np.full(400, 10), how, 800, np.random.default_rng(0)))
    for epoch in (batches[:100], batches[100:]):
        assert sorted(np.concatenate([batch.pairs for batch in epoch])) == list(range(400))
    moves = np.array([batch.moves for batch in batches if batch.moves is not None])
    assert 80 < len(moves) < 120
    assert ((moves >= 1) & (moves < 1000)).all()
    assert (moves < 10).any()
    assert (moves > 300).any()
    assert (moves[:, 0] != moves[:, 1]).any()
    assert 300 < sum(batch.swap.sum() for batch in batches) < 500


@pytest.mark.parametrize("shift", [0, 300], ids=["from the start", "moved"])
def test_the_short_way_to_logits_gives_the_models_own_and_its_gradients(shift):
    torch.manual_seed(1)
    size = StudentSize(vocabulary=50, projections=8, hidden=32, intermediate=48, layers=3, rotary_dims=4)
    config = size.config()
    config.classifier_dropout = 0.0
    table = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    table[0] = 0
    model = matching_start(config, table, seed=0)
    ids = torch.randint(5, 50, (6, 20))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    types[:, 9:] = 1
    mask[:2, 15:] = ids[:2, 15:] = types[:2, 15:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if shift:
        batch["position_ids"] = shifted_places(types, np.full(len(types), shift))

    def gradients(logits):
        model.zero_grad()
        logits.square().sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    own, short = model(**batch).logits, logits_for_training(model, **batch)
    torch.testing.assert_close(short, own, rtol=1e-5, atol=1e-6)
    wanted, found = gradients(own), gradients(short)
    assert wanted.keys() == found.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
