import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.dedup.components import components
from beam_sts.dedup.linkage import average_clusters
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import PairScores, pick_representatives


def oracle(n, scores, threshold, rows, rank):
    """The definition of the linkage, with a search through all pairs of clusters in each step."""
    clusters = [[i] for i in np.argsort(rank).tolist()]

    def mean(one, other):
        total = sum(scores.get((min(i, j), max(i, j)), 0) * rows[i] * rows[j] for i in one for j in other)
        return round(total / sum(rows[i] for i in one) / sum(rows[j] for j in other), 9)

    while True:
        pairs = [
            (mean(one, other), -x, -y)
            for y, other in enumerate(clusters)
            for x, one in enumerate(clusters[:y])
        ]
        best, x, y = max(pairs, default=(-1, 0, 0))
        if best < round(float(np.float32(threshold)), 9):
            break
        clusters[-x] += clusters.pop(-y)
    return {frozenset(cluster) for cluster in clusters}


@given(st.integers(2, 9), st.data())
def test_average_linkage_is_what_its_definition_says(n, data):
    upper = [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = data.draw(st.lists(st.sampled_from(upper), unique=True))
    # Scores differ by more than the error of sums in another order, so rounding decides no tie.
    values = data.draw(st.permutations(range(40, 40 + len(chosen))))
    scores = {pair: float(np.float32(v / 100 + v * v / 1e6)) for pair, v in zip(chosen, values, strict=True)}
    rows = data.draw(st.lists(st.sampled_from([1, 3]), min_size=n, max_size=n))
    rank = np.array(data.draw(st.permutations(range(n))))
    a, b = (np.array([p[i] for p in chosen], dtype=np.int64) for i in (0, 1))
    s = np.array([scores[p] for p in chosen], np.float32)
    labels = average_clusters(a, b, s, 0.45, rank, np.array(rows))
    found = {frozenset(np.flatnonzero(labels == name).tolist()) for name in np.unique(labels)}
    assert found == oracle(n, scores, 0.45, rows, rank)
    # The accepted pairs within a cluster connect it, which pick_representatives relies on.
    links = PairScores(a, b, s).accepted(0.45).within(labels)
    assert components(links.a, links.b, n).tolist() == labels.tolist()


def test_the_order_of_the_input_does_not_matter():
    rng = np.random.default_rng(0)
    a, b = np.triu_indices(60, 1)
    some = rng.random(len(a)) < 0.3
    a, b, s = a[some], b[some], rng.choice([0.2, 0.5, 0.8], some.sum()).astype(np.float32)
    first = average_clusters(a, b, s, 0.5, np.arange(60))
    assert 1 < len(np.unique(first)) < 60
    shuffle = rng.permutation(60)  # node i is now shuffle[i]; its id, so its rank, is the same
    rank = np.empty(60, np.int64)
    rank[shuffle] = np.arange(60)
    order = rng.permutation(len(a))
    again = average_clusters(shuffle[a][order], shuffle[b][order], s[order], 0.5, rank)
    assert (first[:, None] == first).tolist() == (again[shuffle][:, None] == again[shuffle]).tolist()


def test_no_row_goes_for_one_of_another_cluster():
    a, b = np.array([0, 1, 2]), np.array([1, 2, 3])
    pairs = PairScores(a, b, np.array([0.9, 0.6, 0.9], np.float32))
    rank = np.arange(4)
    clusters = average_clusters(a, b, pairs.scores, 0.5, rank)
    assert pick_representatives(pairs, 0.5, rank, clusters=clusters).representative.tolist() == [0, 0, 2, 2]
    assert pick_representatives(pairs, 0.5, np.array([1, 0, 2, 3])).representative.tolist() == [1, 1, 1, 3]


def test_one_to_one_matches_are_the_best_both_ways():
    # 0 and 1 are new, 2 and 3 the other input: 2 is the best match of both new rows, and 1 is its best match.
    pairs = PairScores(np.array([0, 0, 1]), np.array([2, 3, 2]), np.array([0.8, 0.7, 0.9], np.float32))
    fixed, rank = np.array([False, False, True, True]), np.arange(4)
    assert pick_representatives(pairs, 0.5, rank, fixed=fixed).representative.tolist() == [2, 2, 2, 3]
    only = pick_representatives(pairs, 0.5, rank, fixed=fixed, one_to_one=True)
    assert only.representative.tolist() == [0, 2, 2, 3]


def test_overlap_is_by_the_formula_and_sees_codes():
    texts = pa.array(
        ["Sony PSLX350H", "sony ps-lx350h belt drive", "Sony belt drive", "", "shoe"], pa.large_string()
    )
    overlap = Overlap.learn(texts)
    pairs = pa.array([0, 0, 1, 0, 3, 4]), pa.array([0, 1, 0, 2, 0, 0])
    same, code, back, brand, empty, other = overlap.scores(*(texts.take(rows) for rows in pairs))
    assert same == pytest.approx(1)
    assert code == back  # in either order
    assert code > 2 * brand > 0
    assert empty == other == 0
    # abcde has three shingles, and shares two with abcd, which has two.
    plain = Overlap(np.ones_like(overlap.weights))
    assert plain.scores(pa.array(["abcd"]), pa.array(["abcde"]))[0] == pytest.approx(2 / (2**0.6 * 3**0.4))
