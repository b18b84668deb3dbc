"""CoGroup and CoGroupInShards group like a dict, and no runner has to encode the elements again."""

from collections import defaultdict

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.candidates.beam_group import CoGroup, CoGroupInShards
from beam_sts.candidates.beam_pack import PackAll, unpacked_piece
from beam_sts.dedup.beam import DeduplicateTexts

KEYS = st.one_of(
    st.integers(-3, 3), st.text(max_size=2), st.tuples(st.integers(0, 1), st.sampled_from([1, "a", b"a"]))
)
ELEMENTS = st.lists(st.tuples(KEYS, st.none() | st.floats(0, 1) | st.text(max_size=5)), max_size=20)
KINDS = {"one key": CoGroup, "one shard": lambda: CoGroupInShards(1), "shards": lambda: CoGroupInShards(3)}


def in_order(grouped):
    """A key and its values, whatever order these have."""
    key, values = grouped
    return repr(key), {name: sorted(map(repr, some)) for name, some in values.items()}


@settings(deadline=None, max_examples=15)
@given(ELEMENTS, ELEMENTS, st.sampled_from([*KINDS]))
def test_the_values_of_a_key_are_together_by_name(first, second, kind):
    wanted = defaultdict(lambda: {"a": [], "b": []})
    for name, part in (("a", first), ("b", second)):
        for key, value in part:
            wanted[key][name].append(value)
    with beam.Pipeline("FnApiRunner") as pipeline:
        parts = {
            name: pipeline | name >> beam.Create(part, reshuffle=False)
            for name, part in (("a", first), ("b", second))
        }
        found = parts | KINDS[kind]() | beam.Map(in_order)
        assert_that(found, equal_to([*map(in_order, wanted.items())]))


def test_the_number_of_shards_may_be_a_side_input_and_elements_be_packed():
    with beam.Pipeline("FnApiRunner") as pipeline:
        shards = beam.pvalue.AsSingleton(pipeline | "Number" >> beam.Create([2]))
        packed = pipeline | "A" >> beam.Create([(1, "x"), (2, "y")]) | PackAll()
        plain = pipeline | "B" >> beam.Create([(2, "z")])
        found = {"a": packed, "b": plain} | CoGroupInShards(shards, a=unpacked_piece)
        assert_that(found, equal_to([(1, {"a": ["x"], "b": []}), (2, {"a": ["y"], "b": ["z"]})]))


@pytest.mark.parametrize("settings", [{}, {"component_rounds": 1, "keep_rows": 2}])
def test_the_inputs_of_a_flatten_before_a_shuffle_have_its_coder(settings):
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | beam.Create([{"id": 1, "text": "a"}], reshuffle=False) | DeduplicateTexts(**settings)
    parts = pipeline.to_runner_api().components
    steps = parts.transforms.values()
    coder = {name: collection.coder_id for name, collection in parts.pcollections.items()}
    shuffled = {
        name for step in steps if step.spec.urn.endswith("group_by_key:v1") for name in step.inputs.values()
    }
    flattened = [step for step in steps if step.spec.urn.endswith("flatten:v1")]
    before = [step for step in flattened if set(step.outputs.values()) & shuffled]
    assert len(before) >= 6
    for step in before:
        assert len({coder[name] for name in (*step.inputs.values(), *step.outputs.values())}) == 1, (
            step.unique_name
        )
