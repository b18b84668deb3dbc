"""Words that many texts share around different contents are boilerplate; words that copies share are not."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.keys import hash128
from beam_sts.dedup.boilerplate import LEAST_WORDS, TEXTS, Boilerplate, boilerplate_sample

SYLLABLES = ("ba", "co", "di", "fu", "ge", "ha", "ki", "lo", "mu", "ne", "po", "ra", "si", "tu", "ve", "zo")


def words(rng, count):
    """Random words of a vocabulary of some thousands."""
    return ["".join(rng.choices(SYLLABLES, k=3)) for _ in range(count)]


def framed(rng, texts, *, frame, content, after=0):
    """Texts with the same frame before, and perhaps after, different contents; and these contents."""
    head, tail = " ".join(words(rng, frame)), " ".join(words(rng, after))
    contents = [" ".join(words(rng, content)) for _ in range(texts)]
    return [f"{head} {own} {tail}".strip() for own in contents], contents


def edited(rng, text, share):
    """A copy with a share of its words replaced."""
    return " ".join(rng.choice(words(rng, 1)) if rng.random() < share else word for word in text.split())


@pytest.mark.parametrize("content", [1, 3, 10, 30])
@pytest.mark.parametrize(("frame", "after"), [(190, 0), (0, 60), (40, 25), (9, 9)])
def test_contents_are_left_of_texts_behind_a_frame(frame, after, content):
    texts, contents = framed(random.Random(1), TEXTS + 4, frame=frame, content=content, after=after)
    assert Boilerplate.of(texts).own(texts) == contents


def test_a_template_of_several_slots():
    rng = random.Random(2)
    parts = [" ".join(words(rng, 10)) for _ in range(3)]
    slots = [words(rng, 2) for _ in range(40)]
    texts = [f"{parts[0]} {a} {parts[1]}: {b} {parts[2]}" for a, b in slots]
    assert Boilerplate.of(texts).own(texts) == ["\n".join(pair) for pair in slots]


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05, 0.1])
@pytest.mark.parametrize("copies", [TEXTS, 50, 400])
def test_a_text_of_many_edited_copies_is_none(copies, share):
    rng = random.Random(3)
    text = " ".join(words(rng, 80))
    texts = [text, *(edited(rng, text, share) for _ in range(copies))]
    others = [" ".join(words(rng, 80)) for _ in range(100)]
    found = Boilerplate.of([*texts, *others])
    assert found.own(texts) == texts


def test_copies_and_longer_versions_of_a_text_are_none():
    rng = random.Random(4)
    text = words(rng, 120)
    texts = [" ".join(text[: 20 + 5 * at]) for at in range(21)]
    assert Boilerplate.of(texts).own(texts) == texts


def test_an_edit_of_the_frame_is_left():
    rng = random.Random(5)
    texts, contents = framed(rng, 40, frame=60, content=8)
    head = texts[0].split()
    other = " ".join([*head[:20], "changed", *head[21:]])
    assert Boilerplate.of([*texts, other]).own([other]) == [f"changed\n{contents[0]}"]


def test_many_copies_behind_one_frame_leave_their_contents():
    rng = random.Random(6)
    texts, _ = framed(rng, 30, frame=60, content=12)
    head = texts[0].split()[:60]
    texts += [" ".join([*head, *edited(rng, " ".join(text.split()[60:]), 0.05).split()]) for text in texts]
    owned = Boilerplate.of(sorted(set(texts))).own(texts)
    assert all(len(own.split()) == 12 for own in owned)


def test_few_texts_short_frames_and_texts_of_nothing_else():
    rng = random.Random(7)
    few, _ = framed(rng, TEXTS - 1, frame=30, content=5)
    assert not Boilerplate.of(few)
    short, _ = framed(rng, 40, frame=LEAST_WORDS - 1, content=20)
    assert Boilerplate.of(short).own(short) == short
    texts, _ = framed(rng, 40, frame=30, content=5)
    found = Boilerplate.of(texts)
    alone = " ".join(texts[0].split()[:30])
    assert found.own([alone, "", "?!"]) == [alone, "", "?!"]


def test_it_is_found_in_texts_without_spaces_and_whatever_the_case():
    signs = [chr(0x4E00 + 7 * at) for at in range(600)]
    rng = random.Random(8)
    frame = "".join(rng.sample(signs, 30))
    contents = ["".join(rng.sample(signs, 6)) for _ in range(20)]
    texts = [f"{frame}。{own}" for own in contents]
    assert Boilerplate.of(texts).own(texts) == contents
    letters, contents = framed(rng, 20, frame=30, content=5)
    mixed = [text.upper() if at % 2 else text for at, text in enumerate(letters)]
    assert Boilerplate.of(mixed).own(letters) == contents


@given(
    st.lists(st.text(alphabet="ab \n.,Éß1中", max_size=60), min_size=0, max_size=40, unique=True),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_it_follows_from_the_texts_alone(texts, rng):
    found = Boilerplate.of(texts)
    order = list(texts)
    rng.shuffle(order)
    assert np.array_equal(Boilerplate.of(order).hashes, found.hashes)
    owned = found.own(texts)
    assert owned == [found.own([text])[0] for text in texts]
    for own, text in zip(owned, texts, strict=True):
        assert all(part in text for part in own.split("\n"))
        assert any(map(str.isalnum, own)) == any(map(str.isalnum, text))


def test_a_large_corpus_is_sampled_and_its_frames_are_found(monkeypatch):
    monkeypatch.setattr("beam_sts.dedup.boilerplate.SAMPLE_TEXTS", 300)
    rng = random.Random(9)
    texts, contents = framed(rng, 2000, frame=40, content=6)
    hashes = hash128(texts)[:, 0]
    chosen = np.flatnonzero(boilerplate_sample(hashes, len(texts), sum(map(len, texts))))
    assert 200 < len(chosen) < 400
    assert Boilerplate.of([texts[at] for at in chosen]).own(texts) == contents
    assert boilerplate_sample(hashes[:5], 5, 10**9).sum() <= 5


def test_columns():
    texts, contents = framed(random.Random(10), 12, frame=30, content=4)
    column = pa.array(texts, pa.large_string())
    assert Boilerplate.of(texts).own_texts(column).to_pylist() == contents
    assert Boilerplate.none().own_texts(column) is column
