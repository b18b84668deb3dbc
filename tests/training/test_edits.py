from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training.edits import (
    change_name,
    change_number,
    edited_pairs,
    grammar_pairs,
    keep_meaning,
    negate,
    swap_nouns,
)
from beam_sts.training.grammars import read_grammars
from beam_sts.training.leakage import plain_words
from beam_sts.training.probes import (
    SAME_TOPIC,
    probe_triples,
    ranking_accuracy,
    unrelated_pairs,
)

SWAPS = read_grammars("deeds") + read_grammars("swaps")
TRAINED = read_grammars("training") + read_grammars("roles") + SWAPS
PROBES = read_grammars("probes")
SENTENCES = [
    "The train covers 12 km in 7 minutes.",
    "We met Maria and Tom in Boston.",
    "The man is carrying a box to the river.",
    "She does not like the plan.",
    "Two dogs run.",
]


@given(st.integers(0, 10**6), st.integers(0, 2**32))
def test_a_changed_number_is_another_number(value, seed):
    text = f"It is {value} km away."
    edited = change_number(text, random.Random(seed))
    assert edited is None or (edited != text and edited.startswith("It is ") and edited.endswith(" km away."))
    if edited is not None:
        assert int(edited[6:-9]) != value


def test_number_words_change_too():
    assert change_number("Two dogs run.", random.Random(0)) == "five dogs run."
    assert change_number("No numbers here.", random.Random(0)) is None


def test_names_inside_the_sentence_change():
    edited = change_name("We met Maria today.", random.Random(0), ["Olga"])
    assert edited == "We met Olga today."
    assert change_name("Nothing to change.", random.Random(0), ["Olga"]) is None


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("She does not care.", "She does care."),
        ("He isn't old.", "He is old."),
        ("It has been done.", "It has not been done."),
    ],
)
def test_negation_comes_and_goes(text, edited):
    assert negate(text, random.Random(0)) == edited


def test_nouns_swap_places():
    assert swap_nouns("The dog bit the man.", random.Random(0)) == "The man bit the dog."
    assert swap_nouns("The dog slept.", random.Random(0)) is None


def test_surface_edits_keep_words():
    assert keep_meaning("It is late.", random.Random(0)) == "It's late."
    assert keep_meaning("three cats", random.Random(0)) == "3 cats"


def test_edited_pairs_differ_and_repeat_by_seed():
    pairs = edited_pairs(SENTENCES, seed=3)
    assert pairs == edited_pairs(SENTENCES, seed=3)
    assert all(
        (first != second or kind == "surface") and 0 <= score <= 1 for first, second, score, kind in pairs
    )


def test_every_grammar_class_makes_facts_apart():
    pairs = grammar_pairs(80, seed=0)
    assert {kind for *_, kind in pairs} == {"paraphrase", "order", "number", "name", "negation"}
    assert all(first != second for first, second, _, _ in pairs)


def test_probes_ask_what_training_never_said():
    trained = {plain_words(wording) for grammar in TRAINED for wording in grammar.wordings + grammar.opposite}
    asked = {plain_words(wording) for grammar in PROBES for wording in grammar.wordings + grammar.opposite}
    assert not trained & asked
    trained_words = {word for grammar in TRAINED for words in grammar.slots.values() for word in words}
    asked_words = {word for grammar in PROBES for words in grammar.slots.values() for word in words}
    assert not trained_words & asked_words


def test_exchanged_parties_change_the_sentence_and_its_rewording_keeps_them():
    rng = random.Random(0)
    for grammar in SWAPS:
        anchor, paraphrase, other = grammar.fill(rng)
        assert other not in (anchor, paraphrase)
        assert not {*"{["} & {*anchor, *paraphrase, *other}
        first, second = grammar.changed
        for wording in grammar.wordings:
            assert wording.count(f"{{{first}}}") == wording.count(f"{{{second}}}") == 1, wording


def test_probes_are_the_same_everywhere_and_cover_all_classes():
    triples = probe_triples(50)
    assert triples == probe_triples(50)
    kinds = [triple.kind for triple in triples]
    assert set(kinds) == {"order", "number", "name", "negation", "topic"}
    assert kinds.count("topic") == len(SAME_TOPIC)
    assert all(len({t.anchor, t.paraphrase, t.other}) == 3 for t in triples)


def test_ranking_accuracy_counts_ties_as_wrong():
    triples = [t for t in probe_triples(2) if t.kind == "name"]
    assert ranking_accuracy(triples, [0.9, 0.5], [0.1, 0.5]) == {"name": 0.5}


def test_unrelated_pairs_need_two_texts():
    assert all(a != b for a, b in unrelated_pairs(["a", "b", "b"], 20))
    with pytest.raises(ValueError, match="at least 2"):
        unrelated_pairs(["a", "a"], 1)
