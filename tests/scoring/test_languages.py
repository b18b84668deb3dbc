"""Detected languages of texts, and whether the model knows them."""

import random

import numpy as np
import pytest

from beam_sts.candidates.keys import hash128
from beam_sts.models.checkpoint import card_languages, load_checkpoint
from beam_sts.scoring.languages import SAMPLE, Languages, languages_of, sampled

ENGLISH = [
    "The museum opens at nine on every day but Monday.",
    "She forgot her umbrella on the train to the coast.",
    "Three of the bridges were closed after the flood.",
    "Nobody knew why the engine had stopped so suddenly.",
    "They planted apple trees along the northern wall.",
]
OTHERS = {
    "de": ["Das Museum ist jeden Tag außer Montag geöffnet.", "Sie hat ihren Schirm im Zug vergessen."],
    "fr": ["Le musée est ouvert tous les jours sauf le lundi.", "Elle a oublié son parapluie dans le train."],
    "es": ["El museo abre todos los días menos los lunes.", "Ella olvidó su paraguas en el tren."],
    "pl": ["Muzeum jest otwarte codziennie oprócz poniedziałku.", "Zapomniała parasola w pociągu."],
    "ja": ["博物館は月曜日以外毎日開いています。", "彼女は電車に傘を忘れました。"],
}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_that_the_model_does_not_know_is_named_in_every_script(language):
    found = languages_of(OTHERS[language] * 3, load_checkpoint("beam-sts-nano").languages)
    assert list(found.unknown) == [language]
    assert found.description().startswith(f"{language} ")
    assert not languages_of(OTHERS[language] * 3).unknown  # the model card names no languages


def test_english_and_a_few_others_among_it_are_known():
    few = [*ENGLISH * 10, *OTHERS["de"][:1] * 4]
    assert not languages_of(few, ["en"]).unknown
    many = [*ENGLISH * 10, *OTHERS["de"] * 4]
    assert languages_of(many, ["en"]).unknown == {"de": 8}
    assert not languages_of(many, ["en", "de"]).unknown


def test_what_is_no_language_says_nothing():
    lines = [f"2026-03-0{n} 12:0{n}:17,55{n} 0x{n}f3a 10.0.0.{n} 443 tcp 8{n}/20{n}" for n in range(1, 9)]
    found = languages_of([*lines, "[ 0.000000] x86/fpu: xstate_offset[2]: 576, xstate_sizes[2]: 256"], ["en"])
    assert not found.unknown


def test_few_and_unsure_texts_say_nothing():
    assert not Languages({"en": 3, "la": 2}, 20, ("en",)).unknown
    assert Languages({"la": 2}, 1, ("en",)).unknown == {"la": 2}
    assert not languages_of([], ["en"]).unknown
    assert languages_of(["", "1234", "?!"], ["en"]).texts == 3
    assert languages_of([], ["en"]).description() == "none, of 0 texts in the sample"


def test_the_sample_follows_from_the_texts_not_from_their_order():
    texts = [f"text {n}" for n in range(4 * SAMPLE)]
    hashes = hash128(texts)[:, 0]

    def sample(order):
        return [texts[order[at]] for at in np.flatnonzero(sampled(hashes[order], len(texts), SAMPLE))]

    order = list(range(len(texts)))
    drawn = sample(order)
    assert 0.8 * SAMPLE < len(drawn) < 1.2 * SAMPLE
    random.Random(1).shuffle(order)
    assert sorted(sample(order)) == sorted(drawn)
    assert sampled(np.array([2**64 - 1], np.uint64), 10, 10).all()


@pytest.mark.parametrize(
    ("matter", "known"),
    [
        ("language: en", ("en",)),
        ("language:\n- en\n- pt-BR", ("en", "pt")),
        ("language: [de, fr]", ("de", "fr")),
        ("language: multilingual", ()),
        ("license: mit", ()),
    ],
)
def test_what_a_model_knows_is_in_its_card(matter, known):
    assert card_languages(f"---\n{matter}\nlicense: mit\n---\n\n# Model\nlanguage: xx\n") == known
    assert card_languages(matter) == ()
