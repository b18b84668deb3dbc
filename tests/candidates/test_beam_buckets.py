from dataclasses import replace
from itertools import pairwise

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.beam_buckets import BucketCandidates, KeysAsSets, KeyTexts, _PackKeys, _PairBuckets
from beam_sts.candidates.beam_join import (
    MOST_CHARACTERS,
    MOST_PAIRS,
    JoinTexts,
    rows_of,
    shards_for,
)
from beam_sts.candidates.beam_pack import pieces, shard_of
from beam_sts.candidates.beam_union import MergeCandidates
from beam_sts.candidates.buckets import bucket_pairs, union_pairs
from beam_sts.candidates.keys import Keys, MinHash, exact_keys
from beam_sts.errors import UserError

TEXTS = [
    "A cat sat on the mat.",
    "a cat  sat on the mat.",
    "The cat sat on a mat.",
    "",
    "Rain fell.",
    "rain FELL.",
] * 3


def run(build, expected):
    with beam.Pipeline("FnApiRunner") as pipeline:
        assert_that(build(pipeline), equal_to(expected))


def test_beam_finds_what_the_pure_functions_find():
    minhash = MinHash(0.5, 0.9)
    array = pa.array(TEXTS)
    parts = [(*bucket_pairs(keys, 4)[:2], keys.source) for keys in (exact_keys(array), minhash.keys(array))]
    a, b, source = union_pairs(parts)
    assert len(a) > 20
    expected = [((f"{i:02}", f"{j:02}"), s) for i, j, s in zip(a, b, source.to_pylist(), strict=True)]

    def build(pipeline):
        texts = pipeline | beam.Create([(f"{number:02}", text) for number, text in enumerate(TEXTS)])
        exact = texts | "E" >> KeyTexts(exact_keys) | "EB" >> BucketCandidates("exact", 4)
        near = texts | "M" >> KeyTexts(minhash.keys) | "MB" >> BucketCandidates("minhash", 4)
        return (near.pairs, exact.pairs) | MergeCandidates(["exact", "minhash"])

    run(build, expected)


def by_buckets(rows, cap, sides=None, members=1 << 20):
    """The pairs that the DoFns make in three shards, without a runner."""
    shards = {}
    for part in (rows[::2], rows[1::2]):  # in two pieces
        pack = _PackKeys(3)
        pack.start_bundle()
        ids = [text if sides is None else (sides[text], text) for text, _ in part]
        keys = np.array([[key, key] for _, key in part], np.uint64).reshape(-1, 2)
        assert not [*pack.process((keys, ids))]
        for one in pack.finish_bundle():
            shards.setdefault(one.value[0], []).append(one.value[1])
    pair = _PairBuckets(cap, sides is not None, members)
    pair.start_bundle()
    made = [p for shard in shards.items() for p in pair.process(shard)]
    [report] = pair.finish_bundle()
    return set(made), report.value.value


ROWS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=90)


@settings(deadline=None)
@given(ROWS, st.integers(2, 9), st.none() | st.lists(st.integers(0, 1), min_size=41, max_size=41))
def test_buckets_make_the_pairs_of_the_pure_twin(rows, cap, sides):
    order = sorted(rows)
    key = np.array([[k, k] for _, k in order], np.uint64).reshape(-1, 2)
    keys = Keys(np.array([t for t, _ in order], np.int64), key, "")
    a, b, report = bucket_pairs(keys, cap, None if sides is None else np.array(sides))
    found, counted = by_buckets(rows, cap, sides)
    assert found == set(zip(a.tolist(), b.tolist(), strict=True))
    assert counted == replace(report, pairs=0)


@settings(deadline=None)
@given(ROWS, st.booleans())
def test_members_beyond_those_held_are_paired_with_the_first(rows, sided):
    sides = [number % 2 for number in range(41)] if sided else None
    found, _ = by_buckets(rows, 4, sides, members=6)
    for key in {k for _, k in rows}:
        bucket = sorted({t for t, k in rows if k == key})
        groups = [bucket] if not sided else [[t for t in bucket if t % 2 == s] for s in (0, 1)]
        if not all(groups):
            continue
        for own, other in zip(groups, groups[::-1], strict=True):
            for late in own[6:]:
                assert (min(other[0], late), max(other[0], late)) in found
    if sided:
        assert all(a % 2 != b % 2 for a, b in found)


def test_a_large_bucket_travels_in_small_pieces():
    pack = _PackKeys(shards=1)
    pack.start_bundle()
    members = [f"https://example.org/{number:080}" for number in range(10_000)]
    assert not [*pack.process((np.zeros((len(members), 2), np.uint64), members))]
    found = [one.value[1] for one in pack.finish_bundle()]
    assert max(len(raw) + len(ids) for raw, ids in found) < 1 << 18
    pair = _PairBuckets(cap=2, sided=False)
    pair.start_bundle()
    made = {*pair.process((0, found))}
    assert made == {*pairwise(members), *((members[0], other) for other in members[2:])}


K = b"a bucket key of "


def test_sides_in_a_pipeline():
    def build(pipeline):
        keyed = pipeline | beam.Create([(K, (0, "a1")), (K, (0, "a2")), (K, (1, "b1")), (K[::-1], (1, "b2"))])
        return (keyed | KeysAsSets() | BucketCandidates("block", sided=True)).pairs

    run(build, [(("a1", "b1"), "block"), (("a2", "b1"), "block")])


def join(texts, pairs):
    def build(pipeline):
        return {
            "texts": pipeline | "T" >> beam.Create(texts),
            "pairs": pipeline | "P" >> beam.Create(pairs),
        } | JoinTexts()

    return build


def test_texts_are_joined_to_pairs():
    texts = [("a", "one"), ("b", "two"), ("c", "three"), ("d", "alone")]
    pairs = [(("a", "b"), "exact"), (("a", "c"), "minhash"), (("b", "c"), "exact+given")]
    rows = [
        ("a", "b", "one", "two", "exact"),
        ("a", "c", "one", "three", "minhash"),
        ("b", "c", "two", "three", "exact+given"),
    ]
    run(join(texts, pairs), rows)


@pytest.mark.parametrize(
    ("texts", "message"),
    [([("a", "1"), ("a", "2"), ("b", "3")], "several texts"), ([("a", "1")], "no text has it")],
)
def test_ids_without_one_text_are_errors(texts, message):
    with pytest.raises(Exception, match=message):
        run(join(texts, [(("a", "b"), "exact")]), [])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30, unique=True), st.integers(1, 4))
def test_shards_hold_every_pair_once_with_both_texts(pairs, shards):
    halves = [(b, (a, f"text {a}", "exact")) for a, b in pairs]
    rows = []
    for number in range(shards):
        texts = [(i, f"text {i}") for i in range(10) if shard_of(i, shards) == number]
        some = [half for half in halves if shard_of(half[0], shards) == number]
        found = rows_of({"pairs": pieces(some), "texts": pieces(texts)})
        assert found == sorted(found)
        rows += found
    assert sorted(rows) == sorted((a, b, f"text {a}", f"text {b}", "exact") for a, b in pairs)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([("b", "1"), ("b", "2")], "id 'b': several texts"),
        ([("a", "1")], "id 'b': a candidate pair has it"),
    ],
)
def test_a_shard_without_one_text_for_an_id_is_an_error(texts, message):
    with pytest.raises(UserError, match=message):
        rows_of({"pairs": pieces([("b", ("a", "text", "exact"))]), "texts": pieces(texts)})


def test_a_shard_is_bounded_however_many_there_are():
    for pairs in (0, 1, 10**4, 10**7, 10**10):
        for characters in (0, 500 * pairs, 10**5 * pairs):
            shards = shards_for(pairs, characters)
            assert pairs / shards <= MOST_PAIRS
            assert characters / shards <= MOST_CHARACTERS
