"""The nearest neighbours in Beam compared with the pure functions."""

import pickle

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_sts.candidates.beam_join import TextsSize
from beam_sts.candidates.beam_nearest import (
    MOST_BLOCKS,
    LexicalCandidates,
    StaticVectors,
    blocks_for,
)
from beam_sts.candidates.beam_shingles import ShingleFrequencies, _SumRange, whole_counts
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.neighbours import lexical_neighbours
from beam_sts.candidates.tf_idf import shingle_frequency
from beam_sts.candidates.vectors import static_embedding
from beam_sts.errors import UserError
from beam_sts.models.checkpoint import load_checkpoint

RNG = np.random.default_rng(5)
TEXTS = [f"{RNG.choice(['red', 'old'])} {' '.join(RNG.integers(0, 30, 5).astype(str))}" for _ in range(60)]
TEXTS += ["", "red 1 2 3 4 5", "RED 1 2 3 4  5"]
SIDE = RNG.integers(0, 2, 70)


def names(count, side=None):
    return [(f"{i:03}" if side is None else (int(side[i]), f"{i:03}")) for i in range(count)]


def expected(near, ids, source):
    pairs = (sorted((ids[a], ids[b])) for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True))
    return [(tuple(pair), source) for pair in pairs]


def run(build, wanted):
    with beam.Pipeline("FnApiRunner") as pipeline:
        assert_that(build(pipeline), equal_to(wanted))


@pytest.mark.parametrize(("blocks", "sided"), [(1, False), (3, False), (3, True)])
def test_texts_have_the_lexical_neighbours_of_the_pure_twin(blocks, sided):
    side = np.sort(SIDE[: len(TEXTS)]) if sided else None
    ids = names(len(TEXTS), side)
    wanted = expected(lexical_neighbours(pa.array(TEXTS), 2, side=side), ids, "lexical")
    assert len(wanted) > 40

    def build(pipeline):
        texts = list(zip(ids, TEXTS, strict=True))[::-1]
        return pipeline | beam.Create(texts) | LexicalCandidates(2, blocks, sided=sided)

    run(build, wanted)


def test_lexical_refuses_what_would_shuffle_too_much():
    assert blocks_for(1_000_000) <= MOST_BLOCKS
    with pytest.raises(UserError, match=r"lexical with a runner: 184 blocks .* --lexical 0"):
        LexicalCandidates(2, blocks_for(3_000_000))


def test_static_vectors_are_those_of_the_pure_twin():
    vectors = pack_points(static_embedding(pa.array(TEXTS), load_checkpoint("beam-sts-nano")))
    assert vectors.count(b"") == 1  # the empty text

    def build(pipeline):
        texts = pipeline | beam.Create(list(enumerate(TEXTS))[::-1])
        return texts | StaticVectors("beam-sts-nano")

    run(build, list(enumerate(vectors)))


def test_shingles_are_counted_as_by_the_pure_twin_whatever_the_bundles():
    texts = [f"{word} number {n}" for n in range(200) for word in ("some", "other", "any")]
    wanted = shingle_frequency(pa.array(texts, pa.large_string()), "char", 3)

    def build(pipeline):
        rows = pipeline | beam.Create(list(enumerate(texts)))
        ranges = rows | ShingleFrequencies("char", 3, rows | TextsSize()) | beam.combiners.ToList()
        return ranges | beam.Map(whole_counts) | beam.Map(lambda one: (one[0], (one[1] == wanted).all()))

    run(build, [(600, True)])


def test_ranges_of_counts_add_up_and_travel_small():
    fn, part = _SumRange(), (np.array([1, 5], np.int32), np.array([2, 3]))
    one = fn.add_input(fn.create_accumulator(), part)
    assert len(pickle.dumps(one)) < 1000
    several = fn.merge_accumulators([one, fn.create_accumulator(), fn.add_input(one, part)])
    assert [column.tolist() for column in fn.extract_output(several)] == [[1, 5], [6, 9]]
    assert whole_counts([])[0] == 0
