"""Paraphrases are in one split, each split has some of them, and no text is in both."""

import random

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from beam_sts import mine
from beam_sts.mining.beam_split import SplitTexts, TextOccurrence, pack_unit_names
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.split import FEW, Lowest, near_keys, texts_in_test, unit_names

SYLLABLES = [one + two for one in "bdfgklmnprst" for two in "aeiou"]
WORDS = ["".join(random.Random(at).choices(SYLLABLES, k=3)) for at in range(3_000)]


def sentence(rng):
    return f"The {' '.join(rng.choices(WORDS, k=9))}."


def documents(count, seed):
    """Documents of three sentences; of every four, two have a sentence that differs in one word."""
    rng = random.Random(seed)
    found = [[sentence(rng) for _ in range(3)] for _ in range(count)]
    for at in range(0, count - 1, 4):
        found[at + 1][1] = found[at][1].replace("The", "That")
    order = rng.sample(range(count), count)
    pairs = [(order.index(at), order.index(at + 1)) for at in range(0, count - 1, 4)]
    return [" ".join(found[at]) for at in order], pairs


def split_of(docs, share, seed):
    """Whether each document is in the test split, as in a run with sentences."""
    texts = [f"{one.strip()}." for doc in docs for one in doc.rstrip(".").split(".")]
    unit = unit_names(docs).repeat(3)
    return texts_in_test(unit, near_keys(pa.array(texts, pa.large_string())), share, seed)[::3]


@pytest.mark.parametrize("count", [10, 50, 200, 1000, 5000])
@pytest.mark.parametrize("seed", range(3))
def test_paraphrases_are_in_one_split_and_both_splits_have_some(count, seed):
    docs, pairs = documents(count, seed)
    share = MineSettings().for_rows(count).share_of_test
    test = split_of(docs, share, seed)
    together = [test[a] for a, b in pairs if test[a] == test[b]]
    assert len(together) >= 0.8 * len(pairs)
    assert 0 < sum(together) < len(together)
    if count >= 200:
        assert sum(together) < 0.4 * len(together)
        assert share / 2 < test.mean() < 2 * share


@pytest.mark.parametrize("count", [10, 50, 200])
def test_both_splits_of_triplets_have_rows_and_no_text_is_in_both(count):
    docs, _ = documents(count, 7)
    mined = mine(docs, sentences="en", seed=3, threads=1)
    texts = {}
    for split in ("train", "test"):
        assert len(mined.rows("triplet", split)) > 0
        assert len(mined.rows("triplet-hard", split)) > 0
        rows = [*mined.rows("pair-score", split), *mined.rows("raw", split)]
        texts[split] = {
            row[name] for row in rows for name in ("sentence1", "sentence2", "anchor", "text") if name in row
        }
    assert not texts["train"] & texts["test"]


def test_no_chain_takes_the_corpus_to_one_split():
    """Each text is a near-duplicate of the next one, so all are one component."""
    rng = random.Random(0)
    words = sentence(rng).split()
    texts = []
    for _ in range(600):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
        texts.append(" ".join(words))
    unit = unit_names([str(at) for at in range(len(texts))])
    shares = [
        texts_in_test(unit, near_keys(pa.array(texts, pa.large_string())), 0.2, seed).mean()
        for seed in range(9)
    ]
    assert min(shares) > 0.05
    assert max(shares) < 0.5


def test_what_many_units_share_links_none():
    common = "All rights reserved by the company and its many partners."
    for units, alike in ((FEW, True), (FEW + 1, False)):
        unit = unit_names([str(at) for at in range(units)])
        texts = pa.array([common] * units, pa.large_string())
        found = [texts_in_test(unit, near_keys(texts), 0.5, seed) for seed in range(20)]
        assert all(test.all() or not test.any() for test in found) == alike


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=60), st.floats(0, 1), st.integers(1, 7))
def test_parts_of_the_groups_give_the_bar_of_all(names, share, parts):
    names = np.array(names, np.uint64)
    total = Lowest()
    for part in np.array_split(names, parts):
        total = total.plus(Lowest.of(part, 5))
    assert total == Lowest.of(names, 5)
    assert total.bar(share) == -1 or total.bar(share) in total.draws


@pytest.mark.parametrize(("share", "seed"), [(0.2, 0), (0.5, 1), (0, 0), (1, 0)])
def test_a_runner_splits_as_one_machine(share, seed):
    docs, _ = documents(60, seed)
    texts = [f"{one.strip()}." for doc in docs for one in doc.rstrip(".").split(".")]
    unit = unit_names(docs).repeat(3)
    expected = texts_in_test(unit, near_keys(pa.array(texts, pa.large_string())), share, seed)
    placed = [
        TextOccurrence(str(at).encode(), at, None, name, text)
        for at, (name, text) in enumerate(zip(pack_unit_names(unit), texts, strict=True))
    ]

    def check(found):
        assert [one.test for one in sorted(found, key=lambda one: one.order)] == expected.tolist()

    with beam.Pipeline("FnApiRunner") as pipeline:
        split = pipeline | beam.Create(placed) | SplitTexts(MineSettings(test_share=share, seed=seed))
        assert_that(split, check)
