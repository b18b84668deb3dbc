"""A match of which words are missing is an item with replaced words, not a phrase of everyday language."""

import random

import numpy as np
import pytest

from beam_sts.passages.evidence import context_bits
from beam_sts.passages.index import ItemIndex
from beam_sts.passages.settings import CONTAINED
from beam_sts.passages.words import words_of
from tests.passages.test_index import sentence

PHRASES = [
    (
        "Do you have a specific restaurant in mind?",
        "You read it since you have a specific goal in mind for it.",
    ),
    (
        "You can try the Museum of Natural History.",
        "It is on a floor of the Museum of Natural History in London.",
    ),
    (
        "What are you going to do, arrest me?",
        "As long as I count the votes, what are you going to do about it?",
    ),
]


def test_phrases_of_everyday_language_are_not_items():
    index = ItemIndex.of([item for item, _ in PHRASES])
    assert len(index.find([page for _, page in PHRASES], CONTAINED)) == 0


def test_a_phrase_of_many_items_is_none_of_them():
    item, page = "When was the last time you were in Kosovo?", "When was the last time you were with a group?"
    places = ["Paris", "Vienna", "Lagos", "Lima", "Quito", "Hanoi"]
    others = [f"When was the last time you were seen near {place} by somebody?" for place in places]
    assert len(ItemIndex.of([item]).find([page], CONTAINED)) == 1
    assert len(ItemIndex.of([item, *others]).find([page], CONTAINED)) == 0
    assert len(ItemIndex.of([item, *others]).find([item], CONTAINED)) == 1


def test_items_with_replaced_words_are_found_in_a_sentence_of_their_own():
    items = [
        "Do you have a specific restaurant in mind?",
        "The committee rejected every proposal of the union.",
    ]
    pages = [
        "We met at noon. Do you want a specific restaurant in mind? Nobody knew.",
        "News of the day\nThe committee rejected each proposal of the union.\nMore news",
    ]
    found = ItemIndex.of(items).find(pages, CONTAINED)
    assert list(zip(found.page.tolist(), found.item.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_words_that_follow_from_others_say_less_and_repeated_items_count_once():
    rng = random.Random(1)
    items = [f"what are you going to {sentence(rng, 5)}" for _ in range(50)]
    words = words_of(items)
    bits = context_bits(words, np.ones(len(items), bool))
    going = 3  # the fourth word of the first item
    assert bits[2, going] == bits[1, going] < bits[0, going]
    repeated = context_bits(words_of(items[:1] * 5), np.arange(5) == 0)
    assert (repeated[:, : len(items[0].split())] == context_bits(words_of(items[:1]), np.ones(1, bool))).all()


@pytest.mark.parametrize("copies", [2, 5])
def test_long_items_that_differ_in_little_are_still_found(copies):
    """The questions about one text have the text in common; its words do follow from each other."""
    rng = random.Random(copies)
    items = []
    for _ in range(20):
        shared = sentence(rng, 40)
        items += [f"{shared} {sentence(rng, 8)}" for _ in range(copies)]
    pages, wanted = [], []
    for number in range(0, len(items), copies):
        words = items[number].split()
        for at in rng.sample(range(len(words)), round(0.2 * len(words))):
            words[at] = sentence(rng, 1)
        pages.append(f"{sentence(rng, 30)}.\n{' '.join(words)}\n{sentence(rng, 30)}")
        wanted.append(number // copies)
    found = ItemIndex.of(items).find(pages, CONTAINED)
    assert {(page, item // copies) for page, item in zip(found.page, found.item, strict=True)} >= {
        (page, group) for page, group in enumerate(wanted)
    }


@pytest.mark.parametrize(
    ("text", "breaks"),
    [
        ("one two", [True, False, True]),
        ("one, two-three don\u2019t", [True, False, False, False, False, True]),
        ("one. two\nthree: four (five)", [True, True, True, True, True, True]),
        ("\u4eca\u5929\u3002\u597d", [True, False, True, True]),
        ("\u0e27\u0e31 \u0e19", [True, False, True, True]),
    ],
)
def test_a_sentence_may_start_after_more_than_a_space_or_a_comma(text, breaks):
    found = words_of([text])
    assert found.breaks.tolist() == breaks
