import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.training.replacements import replaced_pairs

SENTENCES = [
    f"the {one} of the {two} is near the {three} by the old {two}"
    for one in ("harbour", "mill", "tower", "garden")
    for two in ("river", "abbey", "village", "castle")
    for three in ("road", "forest", "quarry")
]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_only_words_change(seed):
    pairs = replaced_pairs(SENTENCES, 30, seed)
    assert 10 < len(pairs) <= 30
    for text, copy, score in pairs:
        before, after = words(text), words(copy)
        assert len(before) == len(after)
        assert (text == copy) == (score == 1)
        assert 0.6 <= score <= 1


def test_rare_words_weigh_more_than_frequent_ones():
    rng = random.Random(0)
    common = [
        f"{a}{b}" for a in ("ma", "ne", "to", "ri", "su") for b in ("lo", "ki", "ta", "ven", "dor", "pel")
    ]
    names = ["zyxa", "zyxb", "zyxc", "zyxd"]
    sentences = [" ".join([*rng.sample(common, 20), rng.choice(names)]) for _ in range(200)]
    rare, frequent = [], []
    for text, copy, score in replaced_pairs(sentences, 400, 0):
        gone = [a for a, b in zip(words(text), words(copy), strict=True) if a != b]
        if len(gone) == 1 and len(words(text)) == 21:
            (rare if gone[0] in names else frequent).append(score)
    assert rare
    assert frequent
    assert max(rare) < min(frequent)


def test_the_same_seed_gives_the_same_pairs():
    assert replaced_pairs(SENTENCES, 20, 1) == replaced_pairs(SENTENCES, 20, 1)
    assert replaced_pairs(SENTENCES, 20, 1) != replaced_pairs(SENTENCES, 20, 2)


@pytest.mark.parametrize("sentences", [[], ["12 34"], ["one"]])
def test_where_nothing_can_be_replaced_texts_stand_beside_themselves(sentences):
    assert all(text == copy for text, copy, _ in replaced_pairs(sentences, 5, 0))
