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
    graph = kind(30)
    a, b = columns(list(graph.edges))
    (cluster,) = largest_clusters(a, b, np.linspace(0.5, 1, len(a), dtype=np.float32), components(a, b, 31))
    assert (cluster.nodes, cluster.edges, cluster.diameter) == (
        len(graph),
        graph.number_of_edges(),
        nx.diameter(graph),
    )
    inner = [e for e in nx.bridges(graph) if min(graph.degree[n] for n in e) > 1]
    assert cluster.bridges == sorted(inner)
    assert cluster.lowest == 0.5


def test_clusters_come_largest_first_and_lone_nodes_not_at_all():
    a, b = columns([(0, 1), (5, 6), (6, 7)])
    found = largest_clusters(a, b, np.ones(3, np.float32), components(a, b, 9))
    assert [(c.name, c.nodes) for c in found] == [(5, 3), (0, 2)]
