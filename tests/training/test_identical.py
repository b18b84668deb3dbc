from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training.identical import with_another_word, with_other_digits

_DIGIT = re.compile(r"[0-9]")
_texts = st.lists(st.text(alphabet="ab 0123456789.,/é٣", max_size=30), max_size=8)


@given(_texts, st.integers(0, 5))
def test_copies_differ_in_digits_alone_and_keep_what_may_be_nought(texts, copies):
    made = with_other_digits(texts, copies, seed=0)
    several = [text for text in texts if len(re.findall(r"\d+(?:[.,]\d+)*", text)) > 1]
    for copy, text in zip(made, [text for text in several for _ in range(copies)], strict=True):
        assert _DIGIT.sub("#", copy) == _DIGIT.sub("#", text)
        assert all(new != "0" for new, old in zip(copy, text, strict=True) if old in "123456789")
    assert made == with_other_digits(texts, copies, seed=0)


def test_share_prices_get_other_prices():
    text = "Shares rose $6.21, or 42 percent, to $20.90."
    made = with_other_digits([text, "In 1998 it rained."], 50, seed=1)
    assert len(made) == 50
    assert len(set(made)) > 45


@given(_texts, st.integers(0, 9))
def test_a_copy_has_one_word_of_another_text_in_the_place_of_its_own(texts, seed):
    word = re.compile(r"[^\W\d_]{2,}")
    known = {word for text in texts for word in re.findall(r"[^\W\d_]{2,}", text)}
    frames = {word.sub("#", text) for text in texts}
    made = with_another_word(texts, seed)
    assert len(made) <= sum(bool(word.search(text)) for text in texts)
    for copy in made:
        assert set(word.findall(copy)) <= known
        assert word.sub("#", copy) in frames
    assert made == with_another_word(texts, seed)


def test_most_texts_get_a_word_that_was_not_theirs():
    texts = ["A chef is slicing carrots.", "Rain fell in Oslo.", "Nobody reads manuals."] * 20
    made = with_another_word(texts, seed=2)
    assert len(made) == len(texts)
    assert sum(copy not in texts for copy in made) > 40
