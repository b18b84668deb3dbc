"""Neighbours by cells: exact where there are few vectors, a measured recall where there are many."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.cells import (
    CellRule,
    Cells,
    Sampled,
    cells_report,
    cut_cells,
    describe_search,
    draw_vectors,
    recall_of,
    split_crowded,
    train_centroids,
)
from beam_sts.candidates.dense import nearest_points, pack_points, unpack_points, whole_points
from beam_sts.candidates.neighbours import neighbours
from beam_sts.errors import UserError
from tests.engines import ROOT

FEW = CellRule(exact=0, width=4, queries=200)
"""Cells of some dozens of vectors."""


def clustered(n, seed=0, dimensions=16, centres=40):
    """Vectors around centres, some of them far from every centre."""
    rng = np.random.default_rng(seed)
    around = rng.standard_normal((centres, dimensions))[rng.integers(0, centres, n)]
    return around + rng.standard_normal((n, dimensions)) * rng.choice([0.1, 0.4, 3], n)[:, None]


def planted(n, copies, seed=0):
    """Vectors, the last of which are near copies of the first."""
    vectors = clustered(n - copies, seed)
    rng = np.random.default_rng(seed + 1)
    near = vectors[:copies] + 0.05 * rng.standard_normal((copies, vectors.shape[1]))
    return np.concatenate([vectors, near])


def pairs(near):
    return list(zip(near.a.tolist(), near.b.tolist(), strict=True))


def test_few_vectors_are_compared_all_with_all():
    vectors = clustered(300)
    near = neighbours(vectors, 4)
    assert near.report == {
        **{"cells": 1, "cells_joined": 1, "cells_split": 0},
        **{"largest_cell": 300, "queries": 0, "nearest": 0, "found": 0},
    }
    assert pairs(neighbours(vectors, 4, rule=CellRule(exact=299, width=1e9))) == pairs(near)


@pytest.mark.parametrize("sided", [False, True])
def test_the_recall_of_the_report_is_that_of_the_result(sided):
    vectors = clustered(3000)
    side = np.arange(3000) % 3 // 2 if sided else None
    rule = CellRule(exact=0, width=2, joined=2, most=2, queries=10**6)  # half of the vectors are queries
    near, exact = neighbours(vectors, 3, side=side, rule=rule), neighbours(vectors, 3, side=side)
    recall = recall_of(near.report)
    assert 0.5 < recall < 0.99
    assert near.report["queries"] > (900 if sided else 1400)
    share = len(set(pairs(near)) & set(pairs(exact))) / len(exact.a)
    # A pair is found if either end finds the other, so the share of pairs is a little higher than the recall.
    assert recall - 0.02 < share < recall + 0.08


def test_planted_copies_are_found():
    near = neighbours(planted(8000, 400), 3, rule=CellRule(exact=1000, width=20))
    assert near.report["cells"] > 60
    assert recall_of(near.report) >= 0.95
    found = {(a, b - 7600) for a, b in pairs(near) if b >= 7600}
    assert sum((at, at) in found for at in range(400)) >= 0.99 * 400


def test_more_cells_are_joined_where_recall_is_low():
    vectors = np.random.default_rng(0).standard_normal((3000, 8))
    few, more = (
        neighbours(vectors, 3, rule=CellRule(exact=0, width=8, joined=1, recall=recall, queries=500))
        for recall in (0.3, 0.9)
    )
    assert few.report["cells_joined"] < more.report["cells_joined"]
    assert 0.3 <= recall_of(few.report) < 0.9 <= recall_of(more.report)


def test_work_grows_as_the_power_of_1_2():
    rule = CellRule()
    compared = [n * (rule.joined * n / rule.cells(n)) * rule.joined for n in (10**5, 10**6, 10**7)]
    for less, more in pairwise(compared):
        assert more / less == pytest.approx(10**1.2, rel=0.03)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(2, 200), st.integers(1, 5), st.booleans())
def test_every_neighbour_shares_a_cell_and_none_nearer_there_is_left_out(seed, n, k, sided):
    rng = np.random.default_rng(seed)
    vectors = np.round(rng.standard_normal((n, 4)), 1)
    side = rng.integers(0, 2, n) if sided else None
    near = neighbours(vectors, k, side=side, rule=FEW)
    assert pairs(near) == sorted(set(pairs(near)))
    assert all(a < b and (side is None or side[a] != side[b]) for a, b in pairs(near))
    points = whole_points(vectors).astype(np.int64)
    product = points @ points.T
    of = {row: [b if a == row else a for a, b in pairs(near) if row in (a, b)] for row in range(n)}
    assert all(points[row].any() or not of[row] for row in range(n))
    if near.report["cells"] == 1 and not near.report["cells_split"]:
        exact = neighbours(vectors, k, side=side)
        assert pairs(near) == pairs(exact)
    for row, others in of.items():
        assert len(others) == len(set(others))
        assert all(product[row, other] <= points[row] @ points[row] * 1.5 + 1e6 for other in others)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.integers(30, 300), st.booleans())
def test_the_order_of_the_vectors_does_not_matter(seed, n, sided):
    rng = np.random.default_rng(seed)
    # Of 6 dimensions and real numbers: no two products of a vector are equal, so no tie goes by the number.
    vectors, side = rng.standard_normal((n, 6)), rng.integers(0, 2, n) if sided else None
    order = rng.permutation(n)
    one = neighbours(vectors, 2, side=side, rule=FEW)
    other = neighbours(
        vectors[order],
        2,
        side=None if side is None else side[order],
        rule=FEW,
        names=lambda rows: order[rows].tolist(),
    )
    assert one.report == other.report
    points = whole_points(vectors).astype(np.int64)
    product = points @ points.T
    unique = {
        row
        for row in range(n)
        if len(np.unique(product[row])) == n  # equal products would be ordered by number, which differs
    }
    back = {tuple(sorted((order[a].item(), order[b].item()))) for a, b in pairs(other)}
    assert {pair for pair in set(pairs(one)) ^ back if unique.issuperset(pair)} == set()


@pytest.mark.parametrize("equal", [1.0, 0.5])
def test_a_crowded_cell_is_split_and_counted(equal):
    vectors = clustered(2000, dimensions=6)
    vectors[: int(2000 * equal)] = vectors[0]
    rule = CellRule(exact=500, width=6)
    near = neighbours(vectors, 2, rule=rule)
    assert near.report["cells_split"] > 0
    assert near.report["largest_cell"] >= 2000 * equal
    found = np.unique(np.concatenate([near.a, near.b]))
    assert len(found) == 2000  # none is without a neighbour
    assert (near.cosine[near.b < 2000 * equal] > 0.99).all()


def test_no_part_of_a_crowded_cell_is_much_larger_than_the_rule_says():
    cells = Cells(parts=split_crowded(CellRule(exact=0, width=4), 5000, {0: 5000}))
    codes = cells.codes(np.zeros((5000, 1), np.int64), lambda rows: rows.tolist())
    parts = np.bincount(codes[:, 0])
    assert len(parts) == cells.parts[0] > 5
    assert parts.max() < 1.5 * 4 * 5000 / CellRule(exact=0, width=4).cells(5000)


def test_samples_are_drawn_by_the_vectors_alone():
    points = whole_points(clustered(5000))
    side, sizes = np.zeros(5000, np.int8), {0: 10_000}
    rule = CellRule(exact=0, queries=500)
    train, query = draw_vectors(rule, points, side, sizes)
    assert not (train & query).any()
    assert 200 < query.sum() < 300
    order = np.random.default_rng(1).permutation(5000)
    for mask, again in zip((train, query), draw_vectors(rule, points[order], side, sizes), strict=True):
        assert (mask[order] == again).all()
    assert not draw_vectors(CellRule(exact=10_000), points, side, sizes).train.any()
    assert not draw_vectors(rule, points, np.ones(5000, np.int8), {0: 9, 1: 5000}).query.any()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 80), st.integers(1, 20))
def test_centroids_do_not_depend_on_the_order_of_the_sample(seed, n, cells):
    rng = np.random.default_rng(seed)
    points = whole_points(np.round(rng.standard_normal((n, 3)), 1))
    points = points[points.any(axis=1)]
    if not len(points):
        return
    centroids = train_centroids(points, cells)
    again = train_centroids(np.repeat(points, 2, axis=0)[rng.permutation(2 * len(points))], cells)
    assert np.array_equal(centroids, again)
    assert len(centroids) == min(cells, len(np.unique(points, axis=0)))
    assert np.array_equal(centroids, np.rint(centroids))
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(2363, rel=0.01)


def test_few_different_vectors_make_few_cells():
    vectors = np.repeat(np.eye(4), 500, axis=0)
    near = neighbours(vectors, 3, rule=CellRule(exact=100, width=10))
    assert near.report["cells"] <= 4
    assert (near.cosine > 0.99).all()
    assert len(np.unique(np.concatenate([near.a, near.b]))) == 2000


def test_a_sample_without_queries_has_no_recall():
    empty = np.empty((0, 0), np.int16)
    sampled = Sampled(empty, [], empty, np.empty(0, np.int64), [])
    cells = cut_cells(CellRule(exact=0, width=1), 500, whole_points(clustered(500)), sampled)
    assert cells.count > 1
    report = cells_report(cells, {0: 500}, sampled)
    assert recall_of(report) is None
    assert describe_search(report).startswith("recall unknown; ")


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 90), st.integers(1, 7))
def test_nearest_points_are_those_of_a_sort(seed, n, p, count):
    rng = np.random.default_rng(seed)
    queries, points = (rng.integers(-3, 4, (size, 3)).astype(np.float32) for size in (n, p))
    count = min(count, p)
    product, place = nearest_points(queries, points, count)
    every = queries @ points.T
    wanted = np.argsort(-every, axis=1, kind="stable")[:, :count]
    assert np.array_equal(place, wanted)
    assert np.array_equal(product, np.take_along_axis(every, wanted, axis=1))


def test_vectors_that_differ_in_length_are_refused():
    packed = [*pack_points(np.ones((2, 3))), *pack_points(np.ones((1, 4)))]
    with pytest.raises(UserError, match="vectors have 3 and 4 numbers"):
        unpack_points(packed)
    with pytest.raises(UserError, match="vectors have 3 and 4 numbers"):
        nearest_points(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32), 1)


def test_points_survive_packing():
    vectors = clustered(50)
    vectors[7] = 0
    packed = pack_points(vectors)
    assert packed[7] == b""
    rest = [vector for vector in packed if vector]
    assert np.array_equal(unpack_points(rest), np.delete(whole_points(vectors), 7, axis=0))


@pytest.mark.slow
def test_a_worker_stays_small_and_work_grows_slowly():
    measured = {}
    for n in (60_000, 180_000):
        script = (
            "import resource, numpy as np\n"
            "from tests.candidates.test_cells import clustered\n"
            "from beam_sts.candidates.cells import recall_of\n"
            "from beam_sts.candidates.neighbours import neighbours\n"
            f"report = neighbours(clustered({n}, dimensions=64, centres=3000).astype(np.float32), 5).report\n"
            "used = resource.getrusage(resource.RUSAGE_SELF)\n"
            "print(recall_of(report), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
        )
        measured[n] = list(map(float, done.stdout.split()))
    assert all(recall >= 0.95 and memory < 1000 for recall, _, memory in measured.values())
    assert measured[180_000][1] < 3**1.3 * measured[60_000][1]
