from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.training.identical import doubted, with_other_digits

_DIGIT = re.compile(r"[0-9]")


@given(st.lists(st.text(alphabet="ab 0123456789.,/é٣", max_size=30), max_size=8), st.integers(0, 5))
def test_copies_differ_in_digits_alone_and_keep_what_may_be_nought(texts, copies):
    made = with_other_digits(texts, copies, np.random.default_rng(0))
    assert len(made) % max(1, copies) == 0
    several = [text for text in texts if len(re.findall(r"\d+(?:[.,]\d+)*", text)) > 1]
    assert len(made) == copies * len(several)
    for copy, text in zip(made, [text for text in several for _ in range(copies)], strict=True):
        assert _DIGIT.sub("#", copy) == _DIGIT.sub("#", text)
        assert all(new != "0" for new, old in zip(copy, text, strict=True) if old in "123456789")


def test_share_prices_get_other_prices():
    text = "Shares rose $6.21, or 42 percent, to $20.90."
    made = with_other_digits([text, "In 1998 it rained."], 50, np.random.default_rng(1))
    assert len(made) == 50
    assert len(set(made)) > 45


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 50), st.integers(0, 9))
def test_as_many_are_drawn_as_asked_for_whatever_the_scores(scores, count, seed):
    drawn = doubted(np.array(scores), count, np.random.default_rng(seed))
    assert len(drawn) == count
    assert set(drawn) <= set(range(len(scores)))
    assert drawn == doubted(np.array(scores), count, np.random.default_rng(seed))


def test_texts_are_drawn_in_proportion_to_the_doubt():
    drawn = doubted(np.array([1.0, 0.9, 0.6, 1.0]), 5_000, np.random.default_rng(0))
    assert set(drawn) == {1, 2}
    assert 0.17 < drawn.count(1) / 5_000 < 0.23
