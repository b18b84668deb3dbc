"""Pairs that differ in a fact or only in form."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training import forms
from beam_sts.training.facts import FactTargets, fact_pairs
from beam_sts.training.forms import FormTargets, contracted, form_pairs, marked_up, misspelt, shortened
from beam_sts.training.grammars import read_words
from beam_sts.training.senses import sense_drawn
from beam_sts.training.values import altered, makers

SENTENCES = [
    "The man must not open the door.",
    "She is not here because of the doctor.",
    "Many people live without water.",
    "They were late for the meeting on Monday.",
    "He wants to buy a big house near the road.",
    "It rained.",
    "",
]
MAKERS = makers(["red", "blue", "green"], ["Smith", "Jones", "Brown"])


@given(st.integers(0, 2**32))
def test_a_changed_value_is_another_value_and_the_other_form_is_not_it(seed):
    for kind, make in MAKERS.items():
        value = make(random.Random(seed))
        assert value.other not in (value.text, value.same), (kind, value)


def test_each_part_of_a_date_often_changes_alone():
    changed: Counter[tuple[bool, ...]] = Counter()
    for seed in range(2000):
        date = MAKERS["date"](random.Random(seed))
        before, after = (re.findall(r"\w+", text) for text in (date.text, date.other))
        if len(before) == 3 and before[1].isalpha():  # 5 March 1999
            changed[tuple(one != other for one, other in zip(before, after, strict=True))] += 1
    for part in ((True, False, False), (False, True, False), (False, False, True)):
        assert changed[part] > 0.08 * changed.total(), changed


@given(st.text(st.sampled_from("aB1 2-9"), min_size=1), st.integers(0, 2**32))
def test_altered_text_keeps_its_length_and_kinds(text, seed):
    if not any(character.isalnum() for character in text):
        return
    changed = altered(text, random.Random(seed))
    assert changed != text
    assert [c.isdigit() for c in changed] == [c.isdigit() for c in text]
    assert [c.isalpha() for c in changed] == [c.isalpha() for c in text]


class _AlwaysExchanges(random.Random):
    def random(self):
        return 0.1


def test_text_of_equal_letters_is_altered_by_another_one():
    changed = altered("e-e", _AlwaysExchanges(0))
    assert changed != "e-e"
    assert changed[1] == "-"


def test_text_without_letters_or_digits_cannot_be_altered():
    with pytest.raises((ValueError, IndexError)):
        altered("--", random.Random(0))


@pytest.mark.parametrize("make", [fact_pairs, form_pairs])
def test_pairs_repeat_by_seed_and_have_scores(make):
    pairs = make(SENTENCES[:-1], 500, seed=2)
    assert len(pairs) == 500
    assert pairs == make(SENTENCES[:-1], 500, seed=2)
    assert pairs != make(SENTENCES[:-1], 500, seed=3)
    assert all(0 <= score <= 1 for _, _, score in pairs)
    assert make([], 10, seed=1) == []
    assert make(SENTENCES, 0, seed=1) == []
    assert make(["x"], 50, seed=1)


def test_equal_texts_score_1_and_changed_facts_never_high():
    low = max(FactTargets().changed, FactTargets().attached, FactTargets().swapped)
    for one, two, score in fact_pairs(SENTENCES, 3000, seed=4):
        assert score == 1 or one != two
        if sorted(one) == sorted(two) and one != two and one.split()[0] == two.split()[0]:
            assert score <= low or score >= FactTargets().program


def test_half_of_the_changed_codes_have_the_same_characters():
    changed = [
        (one, two)
        for one, two, score in fact_pairs(SENTENCES, 16_000, seed=5)
        if score == FactTargets().changed
    ]
    codes = [(one, two) for one, two in changed if one.startswith(("Order", "Ticket", "Flight"))]
    assert 0.3 < sum(sorted(one) == sorted(two) for one, two in codes) / len(codes) < 0.9


@pytest.mark.parametrize(
    ("change", "text", "wanted"),
    [
        (contracted, "We are not here.", {"We aren't here.", "We're not here."}),
        (contracted, "Cannot you see?", {"Can't you see?"}),
        (shortened, "The United States won.", {"The US won."}),
        (shortened, "Monday morning", {"Mon. morning"}),
        (shortened, "No words to shorten.", {"No words to shorten."}),
    ],
)
def test_words_are_shortened_and_joined(change, text, wanted):
    assert {change(text, random.Random(seed)) for seed in range(20)} <= wanted


@given(st.sampled_from(SENTENCES), st.integers(0, 2**32), st.integers(0, 3))
def test_typos_change_at_most_as_many_words(text, seed, count):
    copy = misspelt(text, random.Random(seed), count)
    changed = [a != b for a, b in zip(text.split(), copy.split(), strict=True)]
    assert sum(changed) <= count


@given(st.sampled_from(SENTENCES), st.integers(0, 2**32))
def test_mark_up_keeps_the_words(text, seed):
    copy = marked_up(text, random.Random(seed))
    letters = iter(copy)
    assert all(any(letter == other for other in letters) for letter in text.replace(" ", ""))


@given(st.integers(0, 2**32))
def test_another_sense_is_another_text(seed):
    anchor, same, other = sense_drawn(random.Random(seed))
    assert len({anchor, same, other}) == 3
    assert "{" not in anchor + same + other


def test_all_senses_are_drawn_and_each_has_the_wordings_of_its_opposites():
    for family in read_words("senses")["families"]:
        senses = family["senses"]
        against = dict(line.split(" | ") for line in family["against"])
        assert against.keys() == senses.keys()
        for sense, others in against.items():
            for other in others.split():
                assert len(senses[other]) == len(senses[sense]) > 1
                assert other != sense


@given(st.integers(0, 2**32))
def test_names_are_never_misspelt(seed):
    copy = misspelt("Yesterday the teachers met Alexander near Manchester.", random.Random(seed), 4)
    assert "Alexander" in copy
    assert "Manchester" in copy


def test_another_word_costs_less_in_a_longer_text():
    short = "The teacher must not open the door."
    long = "The teacher who lives near the lake must not open the door before all of his guests have left."

    def scores(pairs, text):
        return [score for one, _, score in pairs if one == text and 0.55 < score < 1 - 3 * FormTargets().typo]

    for make in (form_pairs, fact_pairs):
        few, many = (
            scores(make([text, "Yellow tomatoes never bounce."], 2000, seed=3), text)
            for text in (short, long)
        )
        assert max(few) < min(many)


def test_events_of_a_log_differ_in_a_word_or_in_identifiers():
    targets = FactTargets()
    pairs = fact_pairs(SENTENCES, 6000, seed=7)
    scores = {score for _, _, score in pairs}
    assert {targets.event, targets.others, targets.program} <= scores
    for one, two, score in pairs:
        if score == targets.others:
            assert one != two
            assert re.findall(r"\d{4}-\d\d-\d\d", one) == re.findall(r"\d{4}-\d\d-\d\d", two)


def test_misspelt_copies_score_above_copies_with_another_word():
    pairs = form_pairs(SENTENCES[:5], 400, seed=1)
    targets = FormTargets()
    assert {targets.word, targets.same, targets.identical, 1 - targets.typo} <= {score for *_, score in pairs}
    assert any(any(ord(letter) > 0x900 for letter in one) for one, two, score in pairs if one == two)
    assert forms.unreadable(random.Random(1))
