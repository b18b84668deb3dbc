import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.mining.core import (
    MinedPairs,
    adjacent_pairs,
    draw_sample,
    draws,
    in_test,
    pack_names,
    random_pairs,
    sample_shares,
    score_bands,
    shard_of,
    split_sentences,
    triplets,
    unpack_names,
    word_overlap,
)


def mined(rows):
    """Pairs from (a, b, score) with a != b, each once."""
    distinct = {(min(a, b), max(a, b)): s for a, b, s in rows if a != b}
    a = np.array([a for a, _ in distinct], np.int64)
    b = np.array([b for _, b in distinct], np.int64)
    draw = draws([a.astype(np.uint64), b.astype(np.uint64)], 3)
    return MinedPairs(a, b, np.array(list(distinct.values()), np.float32), draw)


def sample_evenly(pairs, rows, shards=1):
    """The sample of shards that are drawn one by one, as a driver does; places in the order of the draws."""
    order = np.lexsort((pairs.b, pairs.a, pairs.draw))
    shard, band = shard_of(pairs.draw, shards), score_bands(pairs.score)
    counts = np.zeros((shards, 10), np.int64)
    np.add.at(counts, (shard, band), 1)
    shares = sample_shares(counts, rows)
    found = [np.empty(0, np.int64)]
    for number in range(shards):
        here = order[shard[order] == number]
        found.append(here[draw_sample(pairs.take(here), shares[number])])
    return np.concatenate(found)


SCORES = st.integers(0, 100).map(lambda n: n / 100)
PAIRS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), SCORES), max_size=60).map(mined)


@given(PAIRS, st.integers(0, 70))
def test_sample_is_as_even_as_bands_allow(pairs, rows):
    chosen = sample_evenly(pairs, rows)
    assert len(chosen) == min(rows, len(pairs.a)) == len(set(chosen.tolist()))
    there = np.bincount(score_bands(pairs.score), minlength=10)
    drawn = np.bincount(score_bands(pairs.score[chosen]), minlength=10)
    whole = drawn == there  # a band gives less than another only if it gives all it has
    assert drawn[~whole].max(initial=0) - drawn[~whole].min(initial=100) <= 1
    if (~whole).any():
        assert drawn[whole].max(initial=0) <= drawn[~whole].max() + 1


@given(PAIRS, st.integers(0, 70), st.integers(2, 9))
def test_sample_does_not_depend_on_the_shards(pairs, rows, shards):
    assert sample_evenly(pairs, rows, shards).tolist() == sample_evenly(pairs, rows).tolist()


@given(PAIRS, st.booleans(), st.integers(1, 5))
def test_triplets_of_some_anchors_are_theirs_in_the_whole(pairs, hard, parts):
    """Of the pairs that have an end in a range of texts, as a worker gets them."""
    rule = {"positive": 0.7, "negative": 0.3, "margin": 0.2, "hard": hard}
    whole = triplets(pairs, **rule)
    found = []
    for part in range(parts):
        anchors = np.arange(16) % parts == part
        here = np.flatnonzero(anchors[pairs.a] | anchors[pairs.b])
        found += zip(
            *map(np.ndarray.tolist, triplets(pairs.take(here), **rule, anchors=anchors)), strict=True
        )
    assert sorted(found) == sorted(zip(*map(np.ndarray.tolist, whole), strict=True))


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 4))
def test_documents_and_shards_one_by_one_give_the_pairs_of_all(texts, parts):
    text = np.array(texts, np.int64)
    document = np.arange(len(text)) % parts
    whole = set(zip(*map(np.ndarray.tolist, adjacent_pairs(text, document)), strict=True))
    alone = [adjacent_pairs(text[document == one], document[document == one]) for one in range(parts)]
    assert whole == {pair for ab in alone for pair in zip(*map(np.ndarray.tolist, ab), strict=True)}
    every = names(40)
    shard = shard_of(draws([every], 3), parts)
    random = set(zip(*map(np.ndarray.tolist, random_pairs(every, 2, 3, parts)), strict=True))
    found = set()
    for number in range(parts):
        here = np.flatnonzero(shard == number)
        a, b = random_pairs(every[here], 2, 3, parts)
        found |= set(zip(here[a].tolist(), here[b].tolist(), strict=True))
    assert random == found


@given(PAIRS, st.integers(0, 30), st.randoms())
def test_sample_does_not_depend_on_the_order_of_pairs(pairs, rows, random):
    order = list(range(len(pairs.a)))
    random.shuffle(order)
    moved = MinedPairs(*(column[order] for column in pairs))
    one, other = sample_evenly(pairs, rows), sample_evenly(moved, rows)
    drawn = {(int(pairs.a[i]), int(pairs.b[i])) for i in one}
    again = {(int(moved.a[i]), int(moved.b[i])) for i in other}
    if len(one):
        counts = np.bincount(score_bands(pairs.score[one]), minlength=10)
        assert (counts == np.bincount(score_bands(moved.score[other]), minlength=10)).all()
    assert drawn == again


@given(PAIRS, st.booleans())
def test_triplets_keep_their_promises(pairs, hard):
    found = triplets(pairs, positive=0.7, negative=0.3, margin=0.2, hard=hard)
    score = {(a, b): s for a, b, s in zip(*map(np.ndarray.tolist, pairs[:3]), strict=True)}
    score |= {(b, a): s for (a, b), s in score.items()}
    anchors = found.anchor.tolist()
    assert len(anchors) == len(set(anchors))
    expected = 0
    for text in range(16):
        partners = {other: s for (one, other), s in score.items() if one == text}
        best = max(partners.values(), default=0)
        limit = np.float32(best) - np.float32(0.2)
        worse = [s for s in partners.values() if s <= (limit if hard else min(0.3, limit)) + 1e-9]
        expected += best >= np.float32(0.7) and bool(worse)
    assert abs(len(anchors) - expected) <= 1  # rounding at the margin
    for anchor, good, bad in zip(*map(np.ndarray.tolist, found[:3]), strict=True):
        of_anchor = [s for (one, _), s in score.items() if one == anchor]
        assert score[anchor, good] == max(of_anchor) >= np.float32(0.7)
        assert score[anchor, bad] <= score[anchor, good] - 0.2 + 1e-6
        if not hard:
            assert score[anchor, bad] <= 0.3 + 1e-6


def test_adjacent_texts_are_neighbours_in_one_document_only():
    place = np.array([0, 1, 2, 3, 1, 4, 4])
    document = np.array([5, 5, 6, 6, 5, -1, -1])
    a, b = adjacent_pairs(place, document)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (2, 3)]


def names(texts):
    return np.sort(np.random.default_rng(texts).integers(0, 2**63, texts).astype(np.uint64))


@given(st.integers(0, 50), st.integers(0, 3), st.integers(0, 99))
def test_random_pairs_are_distinct_and_never_a_text_with_itself(texts, each, seed):
    a, b = random_pairs(names(texts), each, seed)
    assert (a < b).all()
    assert (b < texts).all()
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(a)
    if texts > 1 and each:
        assert set(a.tolist()) | set(b.tolist()) == set(range(texts))


@given(st.integers(0, 60), st.integers(1, 9), st.integers(0, 99))
def test_random_pairs_lie_within_a_shard(texts, shards, seed):
    shard = shard_of(draws([names(texts)], seed), shards)
    a, b = random_pairs(names(texts), 2, seed, shards)
    assert (shard[a] == shard[b]).all()
    assert shard.max(initial=0) < shards


def test_packed_names_sort_as_the_names():
    some = np.array([[1, 0], [0, 1 << 63], [0, 256]], np.uint64)
    packed = pack_names(some)
    assert sorted(packed) == [packed[2], packed[1], packed[0]]
    assert (unpack_names(packed) == some).all()
    assert unpack_names([]).shape == (0, 2)


def test_split_takes_the_share_and_stays_when_texts_come():
    keys = [f"text {i}" for i in range(5000)]
    test = in_test(keys, 0.1, 7)
    assert 0.08 < test.mean() < 0.12
    assert (in_test(keys[::-1], 0.1, 7)[::-1] == test).all()
    assert not (in_test(keys, 0.1, 8) == test).all()
    assert in_test(keys, 0, 7).sum() == 0
    assert in_test(keys, 1, 7).all()


def test_word_overlap_is_jaccard():
    texts = pa.array(["a cat sat", "A cat, a mat!", "", "dogs"])
    found = word_overlap(texts.take(pa.array([0, 0, 2, 0])), texts.take(pa.array([1, 0, 2, 3])))
    assert found.tolist() == pytest.approx([2 / 4, 1, 0, 0])


def test_sentences_keep_their_text():
    owner, sentences = split_sentences(pa.array(["Dr. Smith left. He ran!\n\n", "", "One"]), "en")
    assert owner.tolist() == [0, 0, 2]
    assert sentences.to_pylist() == ["Dr. Smith left.", "He ran!", "One"]


@given(PAIRS, st.randoms())
def test_triplets_do_not_depend_on_the_order_of_pairs(pairs, random):
    order = list(range(len(pairs.a)))
    random.shuffle(order)
    moved = MinedPairs(*(column[order] for column in pairs))
    one, other = (triplets(p, positive=0.7, negative=0.3, margin=0.2, hard=False) for p in (pairs, moved))
    assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))
