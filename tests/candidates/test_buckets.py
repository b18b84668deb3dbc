from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.candidates.buckets import bucket_pairs, union_pairs
from beam_sts.candidates.keys import Keys


def make(rows):
    """Keys of (text, key) pairs; both words of the key depend on it."""
    rows = sorted(rows)
    key = np.array([[k // 2, k % 2] for _, k in rows], np.uint64).reshape(-1, 2)
    return Keys(np.array([t for t, _ in rows], np.int64), key, "test")


def members(rows):
    buckets = {}
    for text, key in sorted(set(rows)):
        buckets.setdefault(key, []).append(text)
    return buckets.values()


ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=120)
SIDES = st.lists(st.integers(0, 1), min_size=31, max_size=31)


@given(ROWS)
def test_under_the_cap_all_pairs_of_a_bucket_are_made(rows):
    expected = {pair for bucket in members(rows) for pair in combinations(bucket, 2)}
    a, b, report = bucket_pairs(make(rows), cap=40)
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == sorted(expected)
    assert (report.pairs, report.pairs_capped, report.hot) == (len(expected), 0, 0)
    assert report.buckets == sum(len(bucket) > 1 for bucket in members(rows))


@given(ROWS, st.integers(2, 12))
def test_a_hot_bucket_makes_linear_pairs_by_the_rule(rows, cap):
    expected, possible = set(), 0
    for bucket in members(rows):
        possible += len(bucket) * (len(bucket) - 1) // 2
        near = len(bucket) if len(bucket) <= cap else cap // 2
        places = [(i, j) for i, j in combinations(range(len(bucket)), 2) if j - i <= near or i == 0]
        assert len(places) <= len(bucket) * (cap // 2 + 1)
        expected |= {(bucket[i], bucket[j]) for i, j in places}
    a, b, report = bucket_pairs(make(rows), cap=cap)
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == expected
    assert report.pairs_possible == possible
    assert report.hot == sum(len(bucket) > cap for bucket in members(rows))
    assert report.hot_members == sum(len(bucket) for bucket in members(rows) if len(bucket) > cap)


@given(ROWS, SIDES, st.integers(2, 12))
def test_with_sides_pairs_cross_and_nobody_is_left_alone(rows, sides, cap):
    side = np.array(sides)
    a, b, report = bucket_pairs(make(rows), cap=cap, side=side)
    found = set(zip(a.tolist(), b.tolist(), strict=True))
    assert all(i < j and side[i] != side[j] for i, j in found)
    made = 0
    for bucket in members(rows):
        left, right = ([t for t in bucket if side[t] == s] for s in (0, 1))
        cross = {(min(i, j), max(i, j)) for i in left for j in right}
        if min(len(left), len(right)) <= cap // 2:
            assert cross <= found
            made += len(cross)
        else:
            made += max(len(left), len(right)) * (cap // 2)
            assert {t for pair in cross & found for t in pair} == set(bucket)
    assert report.pairs_possible - report.pairs_capped == made


@given(ROWS, SIDES, st.booleans(), st.randoms())
def test_order_of_keys_does_not_matter(rows, sides, sided, random):
    side = np.array(sides) if sided else None
    keys = make(rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = Keys(keys.text[order], keys.key[order], keys.source)
    one, other = bucket_pairs(keys, 4, side), bucket_pairs(shuffled, 4, side)
    assert all(np.array_equal(x, y) for x, y in zip(one[:2], other[:2], strict=True))
    assert one[2] == other[2]


def test_one_text_repeated_a_hundred_thousand_times_is_linear():
    n = 100_000
    keys = Keys(np.arange(n), np.full((n, 2), 7, np.uint64), "exact")
    a, b, report = bucket_pairs(keys, cap=50)
    assert len(a) == report.pairs < 27 * n
    assert (report.hot, report.hot_members, report.largest) == (1, n, n)
    assert report.pairs_possible == n * (n - 1) // 2 == report.pairs + report.pairs_capped
    assert np.array_equal(np.unique(np.concatenate([a, b])), np.arange(n))


def test_parts_with_apart_buckets_are_counted_together():
    rows = [(0, 2), (1, 2), (2, 5), (3, 5), (0, 5)]
    whole = bucket_pairs(make(rows))
    apart = bucket_pairs([make(rows[:2]), make(rows[2:])])
    assert np.array_equal(whole[0], apart[0])
    assert whole[2] == apart[2]


def test_no_keys_no_pairs():
    a, b, report = bucket_pairs(make([]))
    assert len(a) == len(b) == report.pairs == 0
    assert bucket_pairs([])[2].pairs == 0


def test_cap_must_leave_something_to_pair():
    with pytest.raises(ValueError, match="cap 1"):
        bucket_pairs(make([]), cap=1)


PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)), max_size=20)


@given(st.lists(st.tuples(PAIRS, st.sampled_from(["exact", "minhash", "given"])), max_size=5))
def test_union_joins_the_sources(parts):
    arrays = [
        (np.array([a for a, _ in p], np.int64), np.array([b for _, b in p], np.int64), s) for p, s in parts
    ]
    names = list(dict.fromkeys(s for _, s in parts))
    expected = {}
    for pairs, source in parts:
        for pair in pairs:
            expected.setdefault(pair, set()).add(source)
    a, b, source = union_pairs(arrays)
    found = list(zip(a.tolist(), b.tolist(), strict=True))
    assert found == sorted(expected)
    assert [set(s.split("+")) for s in source.to_pylist()] == [expected[pair] for pair in found]
    assert all(s.split("+") == sorted(s.split("+"), key=names.index) for s in source.to_pylist())
