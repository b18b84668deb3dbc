"""The parts that Beam passes to the functions for given pairs and for unions make the result of the whole."""

from collections import Counter, defaultdict

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.candidates.beam_given import _find_first, _Pair, _texts
from beam_sts.candidates.beam_pack import pieces, shard_of, unpacked
from beam_sts.candidates.beam_union import _MergeShard
from beam_sts.candidates.buckets import joined_names, union_pairs
from beam_sts.candidates.given import find_ids, known_pairs
from beam_sts.errors import UserError

IDS = st.sampled_from([*"abcdefgh", None])


def shards(ids, pairs):
    """What a runner groups: the packed ids and pairs of each of three shards."""
    found = defaultdict(lambda: {"ids": [], "pairs": []})
    for name, part in (("ids", ids), ("pairs", pairs)):
        for one in part:
            found[shard_of(one[0], 3)][name] += pieces([one])
    return found.items()


def by_shards(ids, pairs):
    """The pairs and counts of all shards, without a runner."""
    pairs = [one for pair in pairs for one in _texts(pair)]
    second = [one for number, part in shards(ids, pairs) for one in _find_first(number, part)]
    made = [one for shard in shards(ids, second) for one in _Pair().process(shard)]
    counts = sum((one.value for one in made if isinstance(one, beam.pvalue.TaggedOutput)), Counter())
    return {one[0] for one in made if not isinstance(one, beam.pvalue.TaggedOutput)}, counts


@given(st.lists(st.tuples(IDS, IDS), max_size=30), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_given_pairs_are_those_of_one_machine(pairs, texts):
    ids = [(ident, (0, text)) for ident, text in zip("abcdef", texts, strict=True)]
    known = pa.array([ident for ident, _ in ids])
    ends = (
        find_ids(pa.array(column, pa.string()), known, np.array(texts)) for column in zip(*pairs, strict=True)
    )
    whole = known_pairs(*ends) if pairs else known_pairs(*np.empty((2, 0), np.int64))
    found, counts = by_shards(ids, pairs)
    assert found == {((0, a), (0, b)) for a, b in zip(whole.a.tolist(), whole.b.tolist(), strict=True)}
    assert {name: counts[name] for name in whole.counts} == whole.counts


@pytest.mark.parametrize("ident", [7, "\ud800"])
def test_a_given_id_that_is_no_text_is_an_error(ident):
    with pytest.raises(UserError, match="given: an id is not a text"):
        by_shards([("a", (0, 1))], [("a", ident)])


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(6, 9)), max_size=12)


@given(st.lists(PAIRS, min_size=1, max_size=4))
def test_unions_of_shards_are_the_union_of_all(parts):
    names = [f"s{at}" for at in range(len(parts))]
    arrays = [(*np.array(p, np.int64).reshape(-1, 2).T, name) for p, name in zip(parts, names, strict=True)]
    a, b, source = union_pairs(arrays)
    whole = dict(zip(zip(a.tolist(), b.tolist(), strict=True), source.to_pylist(), strict=True))
    grouped = defaultdict(list)
    for at, pairs in enumerate(parts):
        for pair in pairs:
            grouped[sum(pair) % 3] += pieces([(pair, 1 << at)])
    made = [one for shard in grouped.items() for one in _MergeShard(names).process(shard)]
    pairs = list(unpacked(one for one in made if not isinstance(one, beam.pvalue.TaggedOutput)))
    counts = sum((one.value for one in made if isinstance(one, beam.pvalue.TaggedOutput)), Counter())
    assert len(pairs) == len(whole)
    assert dict(pairs) == whole
    assert Counter({joined_names(bits, names): count for bits, count in counts.items()}) == Counter(
        source for _, source in pairs
    )
