"""Pairs for the further training of a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training.further import NEAR_COPY, beside_own
from beam_sts.training.prefixes import prefix_pairs, spliced_pairs
from beam_sts.training.small_edits import edited_sides

SENTENCES = [
    "You should buy a new car.",
    "You should ask a friend.",
    "You should ask the people who live in this street about a new car.",
    "We saw the man with a new car.",
    "Tunisia",
    "",
]
scores = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(scores, scores), min_size=1), scores)
def test_near_copies_never_rise_and_paraphrases_never_fall_below_both_scores(pairs, weight):
    rules, own = (np.array(side) for side in zip(*pairs, strict=True))
    targets = beside_own(rules, own, weight)
    near = rules < NEAR_COPY
    assert (targets[near] == np.minimum(rules, own)[near]).all()
    assert (targets[~near] <= rules[~near] + 1e-6).all()
    assert (targets[~near] >= np.minimum(rules, own)[~near] - 1e-6).all()


@given(st.integers(0, 2**32))
def test_pairs_of_one_pattern_share_their_first_or_last_words(seed):
    found = prefix_pairs(SENTENCES, 50, seed)
    assert (SENTENCES[0], SENTENCES[1]) in found
    assert (SENTENCES[0], SENTENCES[3]) in found
    for one, two in found:
        assert one != two
        assert one.split()[:2] == two.split()[:2] or one.split()[-2:] == two.split()[-2:]
        assert abs(len(one.split()) - len(two.split())) <= 3


@given(st.integers(0, 2**32))
def test_a_spliced_copy_has_its_words_from_two_sentences(seed):
    for text, copy in spliced_pairs(SENTENCES, 20, seed):
        assert text in SENTENCES
        assert copy != text
        words = copy.split()
        assert text.split()[:2] == words[:2] or text.split()[-2:] == words[-2:]


@pytest.mark.parametrize("make", [prefix_pairs, spliced_pairs])
def test_pairs_repeat_by_seed_and_may_be_fewer_than_asked(make):
    assert make(SENTENCES, 5, 1) == make(SENTENCES, 5, 1)
    assert make([], 5, 1) == []
    assert make(["Tunisia"], 5, 1) == []
    assert make(SENTENCES, 0, 1) == []


def test_edited_sides_keep_the_scores_of_their_pairs():
    pairs = [(f"He will go home at {n}.", f"He may go home at {n}.", n / 100) for n in range(100)]
    copies = edited_sides(pairs, SENTENCES, 0.5, seed=3)
    assert 30 < len(copies) < 70
    for one, two, score in copies:
        [pair] = [pair for pair in pairs if pair[2] == score]
        assert (one == pair[0]) != (two == pair[1])
        assert one != two
        assert (one, two) != pair[:2]
    assert edited_sides([], [], 1.0, seed=3) == []
