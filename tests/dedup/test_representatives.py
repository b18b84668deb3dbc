import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.dedup.keep import ranks
from beam_sts.dedup.representatives import PairScores, central_ranks, pick_representatives

SCORES = st.sampled_from([0.1, 0.4, 0.7, 0.8, 0.9, 1.0])


@st.composite
def corpora(draw):
    """A full matrix of scores, and which of its pairs are candidates."""
    n = draw(st.integers(1, 12))
    upper = [(i, j) for i in range(n) for j in range(i + 1, n)]
    scores = {pair: draw(SCORES) for pair in upper}
    chosen = draw(st.lists(st.sampled_from(upper), unique=True)) if upper else []
    rank = draw(st.permutations(range(n)))
    return n, scores, chosen, np.array(rank)


def pairs_of(chosen, scores):
    a, b = (np.array([p[i] for p in chosen], dtype=np.int64) for i in (0, 1))
    return PairScores(a, b, np.array([scores[p] for p in chosen], dtype=np.float32))


def comparer(scores, asked=None):
    def compare(a, b):
        keys = [(min(p), max(p)) for p in zip(a.tolist(), b.tolist(), strict=True)]
        if asked is not None:
            asked.extend(keys)
        return np.array([scores[k] for k in keys], dtype=np.float32), np.zeros(len(keys), np.uint8)

    return compare


def oracle(n, scores, chosen, rank, threshold):
    """The rule of the docstring, applied to one component after the other."""
    import networkx as nx

    graph = nx.Graph([p for p in chosen if scores[p] >= np.float32(threshold)])
    representative = {i: i for i in range(n)}
    for part in nx.connected_components(graph):
        left = sorted(part, key=lambda i: rank[i])
        while left:
            best, *left = left
            gone = [m for m in left if scores[min(best, m), max(best, m)] >= threshold]
            representative.update(dict.fromkeys(gone, best))
            left = [m for m in left if m not in gone]
    return [representative[i] for i in range(n)]


@given(corpora(), st.sampled_from([0.4, 0.75, 0.9]))
def test_survivors_follow_the_rule(corpus, threshold):
    n, scores, chosen, rank = corpus
    asked = []
    found = pick_representatives(
        pairs_of(chosen, scores), threshold, rank, compare=comparer(scores, asked), rounds=20
    )
    assert found.representative.tolist() == oracle(n, scores, chosen, rank, threshold)
    assert found.unverified == 0
    assert not set(asked) & set(chosen), "a candidate was scored again"
    assert len(set(asked)) == len(asked) == len(found.guard.a)


@given(corpora(), st.sampled_from([0.4, 0.75, 0.9]), st.integers(0, 3), st.booleans())
def test_no_row_goes_without_its_own_score_and_no_survivor_goes(corpus, threshold, rounds, scoring):
    _, scores, chosen, rank = corpus
    compare = comparer(scores) if scoring else None
    found = pick_representatives(pairs_of(chosen, scores), threshold, rank, compare=compare, rounds=rounds)
    for node, representative in enumerate(found.representative.tolist()):
        assert found.representative[representative] == representative
        if node != representative:
            pair = min(node, representative), max(node, representative)
            assert found.scores[node] == np.float32(scores[pair]) >= threshold
            assert rank[representative] < rank[node]
            assert scoring or pair in chosen
        else:
            assert np.isnan(found.scores[node])


@given(corpora(), st.sampled_from([0.4, 0.75]))
def test_fixed_rows_stay_and_take_the_rows_that_match_them(corpus, threshold):
    n, scores, chosen, rank = corpus
    fixed = np.arange(n) % 2 == 0
    found = pick_representatives(
        pairs_of(chosen, scores), threshold, rank, fixed=fixed, compare=comparer(scores), rounds=20
    )
    assert (found.representative[fixed] == np.flatnonzero(fixed)).all()
    for node in np.flatnonzero(~fixed).tolist():
        best = max(
            (scores[p] for p in chosen if node in p and fixed[p[0]] != fixed[p[1]]),
            default=-1,
        )
        assert fixed[found.representative[node]] == (best >= threshold)
        if best >= threshold:
            assert found.scores[node] == np.float32(best)


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_costs_scores_in_proportion_and_says_what_was_not_looked_at(order):
    n = 10_000
    chain = PairScores(np.arange(n - 1), np.arange(1, n), np.full(n - 1, 0.95, np.float32))
    asked = []

    def far(a, b):
        asked.append(len(a))
        return np.zeros(len(a), np.float32), np.zeros(len(a), np.uint8)

    found = pick_representatives(chain, 0.9, np.arange(n)[::order], compare=far)
    assert sum(asked) <= 8 * n
    # Every other node is removed in favour of a kept neighbour.
    assert (found.representative != np.arange(n)).sum() == n // 2
    assert found.unverified == n // 2 - 8
    assert (np.abs(found.representative - np.arange(n)) <= 1).all()


def test_ranks_go_by_value_then_id_and_nulls_last():
    ids = pa.array(["10", "9", "b", "a"])
    assert ranks(ids).tolist() == [0, 1, 3, 2]
    assert ranks(pa.array([10, 9, 2, 1])).tolist() == [3, 2, 1, 0]
    assert ranks(ids, pa.array([1.0, None, float("nan"), 1.0])).tolist() == [0, 2, 3, 1]
    assert ranks(ids, pa.array(["x", "y", "y", None])).tolist() == [2, 0, 1, 3]


def test_the_most_central_row_counts_the_rows_behind_each_node():
    star = PairScores(np.array([0, 0, 1]), np.array([1, 2, 3]), np.array([0.9, 0.9, 0.9], np.float32))
    assert central_ranks(star, 0.9, np.arange(4)).argmin() == 0
    assert central_ranks(star, 0.9, np.arange(4), np.array([1, 1, 1, 5])).argmin() == 1
    assert central_ranks(star, 0.95, np.arange(4)[::-1]).tolist() == [3, 2, 1, 0]


def test_a_bar_keeps_a_row_in_one_direction_or_both():
    ends = np.array([0, 0]), np.array([1, 2])
    scores = np.full(2, 0.95, np.float32)

    def representatives(bars, rank=(0, 1, 2)):
        pairs = PairScores(*ends, scores, np.array(bars, np.uint8))
        return pick_representatives(pairs, 0.9, np.array(rank)).representative.tolist()

    assert representatives([0, 0]) == [0, 0, 0]
    assert representatives([1, 1]) == [0, 0, 0]  # the first must not be removed
    assert representatives([2, 0]) == [0, 1, 0]
    assert representatives([3, 0]) == [0, 1, 0]
    assert representatives([1, 3], rank=(2, 0, 1)) == [0, 1, 2]  # the best row must not replace the other
    fixed = np.array([True, False, False])
    pairs = PairScores(*ends, scores, np.array([2, 0], np.uint8))
    assert pick_representatives(pairs, 0.9, np.arange(3), fixed=fixed).representative.tolist() == [0, 1, 0]
