import random

import apache_beam as beam
import networkx as nx
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from beam_sts.cli.console import user_error
from beam_sts.dedup.beam_components import Components


def oracle(edges):
    graph = nx.Graph(edges)
    return [(node, min(part)) for part in nx.connected_components(graph) for node in part]


def run(edges, **args):
    with beam.Pipeline(FnApiRunner()) as pipeline:
        found = pipeline | beam.Create(edges) | Components(**args)
        assert_that(found, equal_to(oracle(edges)))


def shuffled(edges, seed=0):
    rng = random.Random(seed)
    edges = [e if rng.random() < 0.5 else e[::-1] for e in edges]
    rng.shuffle(edges)
    return edges


@pytest.mark.parametrize("seed", range(3))
def test_random_graphs(seed):
    graph = nx.gnm_random_graph(300, 200, seed=seed)
    run(shuffled([*graph.edges, (5, 5), (900, 900)], seed), rounds=8)


def test_stars_and_text_nodes():
    run(shuffled([("hub", f"n{i}") for i in range(500)] + [("a", "b"), ("b", "c")]), rounds=4)


@pytest.mark.parametrize(("length", "rounds"), [(1000, 10), pytest.param(10_000, 14, marks=pytest.mark.slow)])
def test_a_chain_in_order_takes_the_logarithm_of_its_length(length, rounds):
    run([(i, i + 1) for i in range(length)], rounds=rounds)


@pytest.mark.parametrize("length", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_chain_in_any_order_takes_no_more_than_the_default_rounds(length):
    names = list(range(length))
    random.Random(1).shuffle(names)
    run(shuffled([(names[i], names[i + 1]) for i in range(length - 1)]))


def test_too_few_rounds_are_an_error_that_names_the_flag():
    with pytest.raises(Exception, match="Give more with --component_rounds") as caught:
        run([(i, i + 1) for i in range(100)], rounds=3)
    assert "3 rounds do not suffice" in (user_error(caught.value) or "")
