import tracemalloc

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.dedup.components import components, largest_clusters

GRAPHS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60)
    )
)


def oracle(edges, nodes):
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(nodes))
    return {node: min(part) for part in nx.connected_components(graph) for node in part}


def columns(edges):
    return tuple(np.array([e[i] for e in edges], dtype=np.int64) for i in (0, 1))


@given(GRAPHS)
def test_components_are_those_of_networkx(graph):
    nodes, edges = graph
    found = components(*columns(edges), nodes)
    assert dict(enumerate(found.tolist())) == oracle(edges, nodes)


def test_a_chain_of_ten_thousand_and_a_star_in_any_order():
    rng = np.random.default_rng(2)
    for graph in (nx.path_graph(10_000), nx.star_graph(10_000)):
        nodes = len(graph)
        renamed = rng.permutation(nodes)
        edges = rng.permutation(renamed[np.array(graph.edges)])
        assert not components(edges[:, 0], edges[:, 1], nodes).any()


@pytest.mark.parametrize("kind", [nx.path_graph, nx.star_graph, nx.complete_graph, nx.cycle_graph])
def test_the_largest_clusters_are_described_as_networkx_does(kind):
    check_largest(kind(30))


@given(GRAPHS)
def test_any_cluster_is_described_as_networkx_does(drawn):
    graph = nx.Graph((a, b) for a, b in drawn[1] if a != b)
    check_largest(graph)


def check_largest(graph):
    """Compare every component of more than one node."""
    a, b = columns(list(graph.edges))
    scores = np.linspace(0.5, 1, len(a), dtype=np.float32)
    labels = components(a, b, 1 + max(graph, default=0))
    found = {cluster.name: cluster for cluster in largest_clusters(a, b, scores, labels, count=99)}
    parts = [graph.subgraph(part) for part in nx.connected_components(graph)]
    assert found.keys() == {min(part) for part in parts}
    for part in parts:
        cluster = found[min(part)]
        assert (cluster.nodes, cluster.edges) == (len(part), part.number_of_edges())
        assert (cluster.diameter, cluster.exact) == (nx.diameter(part), True)
        inner = [(min(e), max(e)) for e in nx.bridges(part) if min(part.degree[n] for n in e) > 1]
        assert cluster.bridges == sorted(inner)
        rows = labels[a] == cluster.name
        assert cluster.lowest == scores[rows].min()


def test_a_large_cluster_is_described_in_little_memory():
    """A chain of 100,000, two ends joined: networkx took 500 MB for 200,000 nodes."""
    nodes = 100_000
    a = np.arange(nodes - 1)
    b = a + 1
    a, b = np.append(a, 0), np.append(b, 9)
    tracemalloc.start()
    (cluster,) = largest_clusters(a, b, np.ones(len(a), np.float32), components(a, b, nodes))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50e6
    assert (cluster.edges, cluster.exact, len(cluster.bridges)) == (nodes, False, nodes - 1 - 9 - 1)
    assert cluster.diameter == nodes - 1 - 9 + 5
    assert cluster.bridges[0] == (9, 10)


def test_clusters_come_largest_first_and_lone_nodes_not_at_all():
    a, b = columns([(0, 1), (5, 6), (6, 7)])
    found = largest_clusters(a, b, np.ones(3, np.float32), components(a, b, 9))
    assert [(c.name, c.nodes) for c in found] == [(5, 3), (0, 2)]
