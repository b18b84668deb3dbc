import random

import apache_beam as beam
import networkx as nx
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.cli.console import user_error
from beam_sts.dedup import beam_components
from beam_sts.dedup.beam_components import Components
from beam_sts.dedup.forest import Forest, text_code


def oracle(edges):
    """For each node its component, named by the smallest code, and the nodes of that component."""
    graph = nx.Graph(edges)
    for part in nx.connected_components(graph):
        name = min(map(text_code, part))
        yield from ((text_code(node), (name, len(part))) for node in part)


def run(edges, rounds=0):
    with beam.Pipeline(FnApiRunner()) as pipeline:
        found = pipeline | beam.Create(edges) | Components(rounds)
        if rounds:  # the size of a cluster is then only a lower bound
            found |= beam.MapTuple(lambda node, of: (node, of[0]))
            assert_that(found, equal_to([(node, of[0]) for node, of in oracle(edges)]))
        else:
            assert_that(found, equal_to(list(oracle(edges))))


def shuffled(edges, seed=0):
    rng = random.Random(seed)
    edges = [e if rng.random() < 0.5 else e[::-1] for e in edges]
    rng.shuffle(edges)
    return edges


@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_random_graphs(seed, rounds):
    graph = nx.gnm_random_graph(300, 200, seed=seed)
    run(shuffled([*graph.edges, (5, 5), (900, 900)], seed), rounds)


@pytest.mark.parametrize("rounds", [0, 2])
def test_stars_and_text_nodes(rounds):
    run(shuffled([("hub", f"n{i}") for i in range(500)] + [("a", "b"), ("b", "c")]), rounds)


@pytest.mark.parametrize("length", [300, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rounds", [0, 2])
@pytest.mark.parametrize("shape", ["chain", "star"])
def test_long_chains_and_large_stars(length, rounds, shape):
    names = list(range(length))
    random.Random(1).shuffle(names)
    run(shuffled([(names[i if shape == "chain" else 0], names[i + 1]) for i in range(length - 1)]), rounds)


@pytest.mark.parametrize("rounds", [0, 1])
def test_more_nodes_than_one_worker_joins_are_an_error_that_names_the_flag(rounds, monkeypatch):
    monkeypatch.setattr(beam_components, "MOST_NODES", 30)
    with pytest.raises(Exception, match="Give more, such as --component_rounds") as caught:
        run([(i, i + 1) for i in range(1000)], rounds)
    assert f"--component_rounds {rounds}: more than 30 texts" in (user_error(caught.value) or "")


def test_rounds_leave_little_to_the_one_worker(monkeypatch):
    monkeypatch.setattr(beam_components, "MOST_NODES", 30)
    run(shuffled([(10 * i, 10 * i + j) for i in range(50) for j in range(1, 4)]), rounds=1)


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), max_size=60), st.integers(1, 5))
def test_forests_merge_to_the_components_of_all_edges(edges, parts):
    forests = [Forest.of(np.array(edges[at::parts], np.int64).reshape(-1, 2)) for at in range(parts)]
    merged = Forest.merged(forests)
    graph = nx.Graph(edges)
    wanted = {node: (min(part), len(part)) for part in nx.connected_components(graph) for node in part}
    columns = merged.nodes.tolist(), merged.names.tolist(), merged.sizes.tolist()
    assert {node: (name, size) for node, name, size in zip(*columns, strict=True)} == wanted
