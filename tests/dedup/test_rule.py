import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.dedup.components import components
from beam_sts.dedup.representatives import PairScores
from beam_sts.dedup.rule import Rule, count_removals, rows_by_text, threshold_table
from beam_sts.dedup.show import best_entries, nearest_pairs, removals
from beam_sts.io.summary import add_records

CUTS = (0.5, 0.7, 0.9)
SCORES = st.sampled_from([0.1, 0.5, 0.6, 0.70001, 0.70002, 0.8, 0.9, 1.0, float("nan")])


@st.composite
def graphs(draw):
    """A rule over nodes, some fixed, and scored pairs of them."""
    n = draw(st.integers(0, 14))
    upper = [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = draw(st.lists(st.sampled_from(upper), unique=True)) if upper else []
    a, b = (np.array([pair[at] for pair in chosen], np.int64) for at in (0, 1))
    scores = np.array([draw(SCORES) for _ in chosen], np.float32)
    own = draw(st.integers(0, n))
    fixed = np.arange(n) >= own
    rank = np.array([*draw(st.permutations(range(own))), *range(own, n)], np.int64)
    rows = np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)), np.int64)
    return Rule(rank, rows, fixed, central=draw(st.booleans())), PairScores(a, b, scores)


def show(names):
    """Examples whose values are their names."""

    def made(left, right, scores):
        ends = list(zip(names[left].tolist(), names[right].tolist(), strict=True))
        return [(pair, {"pair": pair}) for pair in ends]

    return made


def groups(rule, pairs):
    """The components at the lowest threshold as separate problems, with the nodes' names."""
    linked = pairs.accepted(CUTS[0])
    labels = components(linked.a, linked.b, len(rule.rank))
    for name in np.unique(labels):
        nodes = np.flatnonzero(labels == name)
        place = np.full(len(labels), -1)
        place[nodes] = np.arange(len(nodes))
        inside = (place[pairs.a] >= 0) & (place[pairs.b] >= 0)
        part = PairScores(place[pairs.a[inside]], place[pairs.b[inside]], pairs.scores[inside])
        yield Rule(rule.rank[nodes], rule.rows[nodes], rule.fixed[nodes], rule.central), part, nodes


@given(graphs())
def test_counts_of_groups_add_up_to_those_of_the_whole(graph):
    rule, pairs = graph
    whole = count_removals(rule, pairs, CUTS)
    parts = [count_removals(one, part, CUTS) for one, part, _ in groups(rule, pairs) if len(one.rank) > 1]
    sizes = rows_by_text(rule.own_rows)
    table = threshold_table(CUTS, sizes, whole)
    assert threshold_table(CUTS, sizes, add_records(parts)) == table
    for row in table:
        found = rule.choose(pairs, row["threshold"])
        gone = found.representative != np.arange(len(rule.rank))
        assert not gone[rule.fixed].any()
        kept_rows = (~gone & ~rule.fixed).sum()  # one row is kept of each kept node
        assert row["removed"] == rule.own_rows.sum() - kept_rows


@given(graphs(), st.integers(1, 3))
def test_the_best_of_parts_are_the_best_of_the_whole(graph, each):
    rule, pairs = graph
    names = np.arange(len(rule.rank))
    found = rule.choose(pairs, CUTS[1])
    whole = [*nearest_pairs(pairs, CUTS[1], each, show(names)), *removals(rule, found, each, show(names))]
    entries = []
    for start in range(0, len(pairs.a), 4):
        part = PairScores(*(column[start : start + 4] for column in (pairs.a, pairs.b, pairs.scores)))
        entries += best_entries(nearest_pairs(part, CUTS[1], each, show(names)), each)
    for one, part, nodes in groups(rule, pairs):
        chosen = one.choose(part, CUTS[1])
        entries += best_entries(removals(one, chosen, each, show(nodes)), each)
    assert best_entries(entries, each) == best_entries(whole, each)
    below = [key[0] for kind, key, _ in best_entries(whole, each) if kind == "below"]
    assert below == sorted(set(below))
