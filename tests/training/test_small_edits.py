"""Copies of sentences with a small edit."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training.data import DataError
from beam_sts.training.recipe import Recipe
from beam_sts.training.small_edits import small_edits
from beam_sts.training.stages import workspace

SENTENCES = [
    "A man plays the guitar in a bar.",
    "Many people live without water.",
    "The dogs are chasing a cat at night!",
    "He wants to buy a big house near the road.",
    "Tunisia",
    "",
]


@given(st.integers(0, len(SENTENCES)), st.integers(0, 2**32))
def test_a_copy_is_another_text_and_differs_by_a_few_words(gold, seed):
    for text, copy in small_edits(SENTENCES, gold, 20, seed):
        assert text in SENTENCES
        assert copy not in ("", text)
        before, after = (Counter(one.lower().rstrip(".!").split()) for one in (text, copy))
        assert (after - before).total() <= 2  # a word, and one that had the full stop
        assert (before - after).total() <= 5


def test_copies_repeat_by_seed_and_are_as_many_as_asked():
    pairs = small_edits(SENTENCES, 2, 500, seed=1)
    assert len(pairs) == 500
    assert pairs == small_edits(SENTENCES, 2, 500, seed=1)
    assert pairs != small_edits(SENTENCES, 2, 500, seed=2)
    gold = sum(text in SENTENCES[:2] for text, _ in pairs) / 500
    assert 0.6 < gold < 0.85, "mostly of gold sentences; two of the others are too short to edit"
    assert small_edits([], 0, 10, seed=1) == []
    assert small_edits(["Too short"], 1, 10, seed=1) == []
    assert small_edits(SENTENCES, 2, 0, seed=1) == []


def test_a_moved_phrase_takes_the_capital_and_leaves_the_full_stop():
    copies = {copy for _, copy in small_edits(SENTENCES, 3, 500, seed=3)}
    assert {"In a bar a man plays the guitar.", "At night the dogs are chasing a cat!"} <= copies


def test_a_word_is_replaced_by_a_known_one_of_similar_spelling():
    sentences = ["A witch sat in the old hall.", "The witch dug a ditch.", "They left the ditch behind."]
    copies = {copy for _, copy in small_edits(sentences, 3, 500, seed=1)}
    assert {"A ditch sat in the old hall.", "They left the witch behind."} <= copies


@pytest.mark.parametrize("option", ["changed", "forms", "start_pairs"])
def test_pairs_beside_the_scores_of_a_checkpoint_need_one(tmp_path, option):
    recipe = Recipe(stsb="{split}.parquet", **{option: 5})
    with pytest.raises(DataError, match=f"--{option} 5 .* set --start"):
        workspace(tmp_path, recipe)
    workspace(tmp_path, dataclasses.replace(recipe, start="checkpoint"))
