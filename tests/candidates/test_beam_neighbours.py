"""Neighbours in Beam compared with the pure function."""

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from beam_sts.candidates.beam_neighbours import MergeRanked, NeighbourCandidates
from beam_sts.candidates.cells import CellRule
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.neighbours import neighbours
from scripts.flink import FlinkCluster
from tests import engines

RULE = CellRule(exact=200, width=8, joined=3, queries=80, crowded=2)


def corpus(seed=5, n=700):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((30, 6))[rng.integers(0, 30, n)] + rng.standard_normal((n, 6)) / 3
    vectors[[3, 40]] = 0
    vectors[50:250] = vectors[10]  # a crowded cell, with more equal vectors than k
    return vectors


def expected(vectors, k, side, rule, asks):
    ids = [(f"{i:03}" if side is None else (int(side[i]), f"{i:03}")) for i in range(len(vectors))]
    near = neighbours(
        vectors,
        k,
        side=side,
        asks=asks,
        rule=rule,
        names=lambda rows: [ids[row] for row in rows.tolist()],
    )
    return ids, [(ids[a], ids[b]) for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)], near.report


def check(vectors, side, rule, k=3, asks=(0, 1), options=("--runner=FnApiRunner",)):
    """Compare Beam with the pure function. Ids sort like numbers within a side, so ties are equal."""
    ids, pairs, report = expected(vectors, k, side, rule, asks)
    with beam.Pipeline(options=PipelineOptions([*options])) as pipeline:
        elements = pipeline | beam.Create(list(zip(ids, pack_points(vectors), strict=True))[::-1])
        found = elements | NeighbourCandidates(k, sided=side is not None, asks=asks, rule=rule)
        assert_that(found.pairs | beam.Distinct(), equal_to([(pair, "neighbours") for pair in pairs]))
        assert_that(found.report, equal_to([report]), label="report")
    return pairs, report


@pytest.mark.parametrize("sided", [False, True])
@pytest.mark.parametrize("rule", [RULE, None], ids=["cells", "exact"])
def test_vectors_have_the_neighbours_of_the_pure_twin(rule, sided):
    vectors = corpus()
    side = np.sort(np.random.default_rng(1).integers(0, 2, len(vectors))) if sided else None
    pairs, report = check(vectors, side, rule)
    assert len(pairs) > 900
    if rule is None:
        assert report["cells"] == 1
    else:
        assert report["cells"] > 10
        assert report["cells_split"] > 0
        assert 0 < report["queries"] < 200


def test_only_the_sides_that_ask_look_for_neighbours():
    vectors = corpus()
    side = np.sort(np.random.default_rng(1).integers(0, 2, len(vectors)))
    one, _ = check(vectors, side, RULE, k=1, asks=(0,))
    assert len({a for a, _ in one}) == len(one) == (side == 0).sum() - 2  # two vectors are zeros


@pytest.mark.slow
def test_prism_finds_the_same():
    prism = f"--prism_location={engines.go_program(engines.PRISM)}"
    check(corpus(), None, RULE, options=("--runner=PrismRunner", "--environment_type=LOOPBACK", prism))


@pytest.mark.slow
def test_flink_finds_the_same():
    engines.need("java", "mvn")
    with FlinkCluster(engines.HOME / "flink") as cluster:
        options = [option for option in cluster.options if "environment" not in option]
        check(corpus(), None, RULE, options=(*options, "--environment_type=LOOPBACK"))


@pytest.mark.parametrize("vectors", [np.zeros((1, 2)), np.ones((1, 2)), np.ones((700, 2))])
def test_no_vector_one_and_equal_ones(vectors):
    pairs, _ = check(vectors, None, RULE)
    assert bool(pairs) == (len(vectors) > 1)


def test_no_neighbours_are_refused():
    with pytest.raises(ValueError, match="k 0 must be at least 1"):
        NeighbourCandidates(0)


def test_merged_are_the_nearest_each_once():
    merge = MergeRanked(2)
    ranked = [(-5, "b", b""), (-7, "c", b""), (-5, "a", b"")]
    best = merge.add_input(merge.add_input(merge.create_accumulator(), ranked[:2]), ranked)
    assert merge.extract_output(merge.merge_accumulators([best, ranked])) == [(-7, "c", b""), (-5, "a", b"")]
