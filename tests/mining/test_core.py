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
    pack_names,
    random_pairs,
    sample_shares,
    score_bands,
    shard_of_draw,
    split_sentences,
    unpack_names,
    word_overlap,
)
from beam_sts.mining.split import in_test, split_key, unit_names
from beam_sts.mining.triplets import (
    TripletRule,
    count_scores,
    positives_from,
    triplets,
)


def mined(rows):
    """Distinct pairs from (a, b, score) with a != b."""
    distinct = {(min(a, b), max(a, b)): s for a, b, s in rows if a != b}
    a = np.array([a for a, _ in distinct], np.int64)
    b = np.array([b for _, b in distinct], np.int64)
    draw = draws([a.astype(np.uint64), b.astype(np.uint64)], 3)
    differs, given = (a * 7 + b) % 4 == 0, (a * 5 + b) % 3 == 0
    return MinedPairs(a, b, np.array(list(distinct.values()), np.float32), draw, differs, given)


def sample_evenly(pairs, rows, shards=1):
    """The sample of shards drawn one after the other, as in a driver; indices in the order of draws."""
    order = np.lexsort((pairs.b, pairs.a, pairs.draw))
    shard, band = shard_of_draw(pairs.draw, shards), score_bands(pairs.score)
    counts = np.zeros((shards, 10), np.int64)
    np.add.at(counts, (shard, band), 1)
    shares = sample_shares(counts, rows)
    found = [np.empty(0, np.int64)]
    for number in range(shards):
        here = order[shard[order] == number]
        found.append(here[draw_sample(pairs.take(here), shares[number])])
    return np.concatenate(found)


SCORES = st.integers(0, 100).map(lambda n: n / 100)
RULE = TripletRule(positive=0.7, negative=0.3, num_negatives=2)
PAIRS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), SCORES), max_size=60).map(mined)


@given(PAIRS, st.integers(0, 70))
def test_sample_is_as_even_as_bands_allow(pairs, rows):
    chosen = sample_evenly(pairs, rows)
    assert len(chosen) == min(rows, len(pairs.a)) == len(set(chosen.tolist()))
    there = np.bincount(score_bands(pairs.score), minlength=10)
    drawn = np.bincount(score_bands(pairs.score[chosen]), minlength=10)
    whole = drawn == there  # a band has fewer pairs than another only if all of its pairs are chosen
    assert drawn[~whole].max(initial=0) - drawn[~whole].min(initial=100) <= 1
    if (~whole).any():
        assert drawn[whole].max(initial=0) <= drawn[~whole].max() + 1


@given(PAIRS, st.integers(0, 70), st.integers(2, 9))
def test_sample_does_not_depend_on_the_shards(pairs, rows, shards):
    assert sample_evenly(pairs, rows, shards).tolist() == sample_evenly(pairs, rows).tolist()


@given(PAIRS, st.booleans(), st.integers(1, 5))
def test_triplets_of_some_anchors_are_theirs_in_the_whole(pairs, hard, parts):
    """The result for the pairs with an end in a range of texts, as a worker gets them."""
    rule = {"rule": RULE, "hard": hard}
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
    shard = shard_of_draw(draws([every], 3), parts)
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


RULES = st.builds(
    TripletRule,
    positive=SCORES,
    negative=SCORES,
    absolute_margin=st.sampled_from([0.0, 0.2]),
    relative_margin=st.sampled_from([0.0, 0.1]),
    num_negatives=st.integers(1, 3),
    range_min=st.integers(0, 2),
    range_max=st.none() | st.integers(3, 5),
    min_score=st.none() | SCORES,
    max_score=st.none() | SCORES,
    sampling_strategy=st.sampled_from(["top", "random"]),
    given=st.booleans(),
)


def plain_triplets(pairs, rule, hard):
    """The same, anchor by anchor, in plain Python."""
    found = set()
    ends, more = (map(np.ndarray.tolist, some) for some in (pairs[:2], pairs[3:]))
    rows = list(zip(*ends, pairs.score, *more, strict=True))  # score, draw, differs, given
    for anchor in range(16):
        partners = [(b if a == anchor else a, *more) for a, b, *more in rows if anchor in (a, b)]
        partners.sort(key=lambda one: (-one[1], one[0]))
        good = [one for one in partners if one[1] >= np.float32(rule.positive) and not one[3]]
        if rule.given:
            good = [one for one in partners if one[4]]
        if not good:
            continue
        positives = good if rule.given else good[:1]
        others = [one for one in partners if one not in positives]
        if hard:
            others = others[: rule.range_max]
            others = [one for one in others if one[1] >= np.float32(rule.min_score or 0)]
            others = [one for one in others if rule.max_score is None or one[1] <= np.float32(rule.max_score)]
        worst = positives[-1][1]
        limit = min(worst - np.float32(rule.absolute_margin), worst * np.float32(1 - rule.relative_margin))
        worse = [
            one
            for one in others
            if one not in good
            and (one[1] <= limit or (hard and one[3]))
            and (hard or one[1] <= np.float32(rule.negative))
        ]
        if hard:
            worse = worse[rule.range_min :]
        if not hard or rule.sampling_strategy == "random":
            worse.sort(key=lambda one: (one[2], one[0]))
        chosen = worse[: rule.num_negatives]
        found |= {(anchor, best[0], one[0]) for best in positives for one in chosen}
    return found


@given(PAIRS, RULES, st.booleans())
def test_triplets_are_those_of_the_rule(pairs, rule, hard):
    found = triplets(pairs, rule, hard=hard)
    rows = list(zip(*map(np.ndarray.tolist, found[:3]), strict=True))
    assert len(rows) == len(set(rows))
    assert set(rows) == plain_triplets(pairs, rule, hard)


@given(st.lists(SCORES, min_size=1), st.integers(0, 100))
def test_the_best_scoring_share_are_positives(scores, percent):
    scores = np.array(scores, np.float32)
    least = positives_from(count_scores(scores), percent / 100)
    taken = int((scores >= np.float32(least)).sum())
    assert 0 < taken <= max(percent * len(scores) / 100, int((scores == scores.max()).sum()))


def test_near_duplicates_are_mostly_of_one_split():
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(0, 5_000, 60))) for _ in range(300)]
    copies = [" ".join([*text.split()[:30], "new", *text.split()[31:]]) for text in texts]
    test = [in_test(unit_names(list(map(split_key, some))), 0.3, 0) for some in (texts, copies)]
    assert 0.2 < test[0].mean() < 0.4
    assert (test[0] == test[1]).mean() > 0.9


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
    shard = shard_of_draw(draws([names(texts)], seed), shards)
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
    keys = unit_names([f"text {i}" for i in range(5000)])
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
    one, other = (triplets(p, RULE, hard=False) for p in (pairs, moved))
    assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))
