"""Consistency of answers to one question: means, clusters, samples; compared with a simple computation."""

import itertools

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts import PairScorer, UserError
from beam_sts.evaluation import consistency as module
from beam_sts.evaluation.consistency import consistency


class Letters:
    """A scorer by common letters, with known values and without a model."""

    def __init__(self):
        self.pairs = 0

    def run(self, text_a, text_b):
        self.pairs += len(text_a)
        values = [
            len(set(a) & set(b)) / max(1, len(set(a) | set(b)))
            for a, b in zip(text_a.to_pylist(), text_b.to_pylist(), strict=True)
        ]
        return type("Result", (), {"scores": np.array(values, np.float32)})


answers_of = st.lists(st.tuples(st.integers(0, 3), st.text("abc", max_size=3)), min_size=1, max_size=25)


@settings(deadline=None)
@given(answers_of, st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.sampled_from([1, 65_536]))
def test_it_is_what_a_plain_computation_gives(rows, threshold, block):
    questions, texts = [q for q, _ in rows], [t for _, t in rows]
    score = Letters().run
    module._ANSWERS_AT_ONCE, kept = block, module._ANSWERS_AT_ONCE
    try:
        result = consistency(questions, texts, Letters(), threshold, most_answers=25)
    finally:
        module._ANSWERS_AT_ONCE = kept
    assert [each.question for each in result.questions] == list(dict.fromkeys(map(str, questions)))
    for each in result.questions:
        at = [row for row, name in enumerate(questions) if str(name) == each.question]
        graph, scores = nx.Graph(), []
        graph.add_nodes_from(at)
        for a, b in itertools.combinations(at, 2):
            one = 1.0 if texts[a] == texts[b] else score(pa.array([texts[a]]), pa.array([texts[b]])).scores[0]
            scores.append(one)
            if one >= threshold:
                graph.add_edge(a, b)
        assert each.answers == each.compared == len(at)
        assert each.mean == pytest.approx(np.mean(scores)) if scores else each.mean is None
        found = {frozenset(r for r in at if result.cluster[r] == c) for c in set(result.cluster[at].tolist())}
        assert found == set(map(frozenset, nx.connected_components(graph)))
        sizes = np.bincount(result.cluster[at])
        assert each.clusters == len(sizes)
        assert sizes.tolist() == sorted(sizes, reverse=True)
        assert each.largest == sizes[0] / len(at)
        if scores:
            assert result.agreement[each.typical] == max(result.agreement[at])


def test_of_many_answers_a_sample_is_compared_the_same_each_time():
    scorer = Letters()
    questions = ["many"] * 1_000 + ["few"] * 3
    texts = [f"{'abcdefgh'[row % 8]}{row}" for row in range(1_003)]
    first = consistency(questions, texts, scorer, most_answers=20, seed=1)
    again = consistency(questions, texts, Letters(), most_answers=20, seed=1)
    other = consistency(questions, texts, Letters(), most_answers=20, seed=2)
    assert scorer.pairs <= 190 + 3
    assert first.sampled == 1
    assert (first.questions[0].answers, first.questions[0].compared) == (1_000, 20)
    assert (first.cluster >= 0).sum() == 23
    assert np.isnan(first.agreement[first.cluster < 0]).all()
    assert first.questions == again.questions
    assert first.questions != other.questions
    np.testing.assert_array_equal(first.cluster, again.cluster)


def test_answers_of_a_system_that_knows_agree_and_those_of_one_that_guesses_do_not():
    knows = ["The capital is Paris.", "Paris is the capital.", "The capital is Paris."]
    guesses = ["The capital is Paris.", "I like trains.", "Nobody can tell how it rains."]
    questions = pa.chunked_array([["a"] * 3, ["b"] * 3])
    result = consistency(questions, pa.chunked_array([knows, guesses]), PairScorer())
    one, two = result.questions
    assert one.mean > 0.8 > 0.3 > two.mean
    assert (one.clusters, one.largest, two.clusters) == (1, 1.0, 3)
    assert result.mean == pytest.approx((one.mean + two.mean) / 2)


def test_a_single_answer_has_no_mean_and_no_rows_no_questions():
    alone = consistency(["a"], ["Yes."], Letters())
    assert (alone.questions[0].mean, alone.questions[0].clusters, alone.mean) == (None, 1, None)
    assert consistency([], [], Letters()).questions == []


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="2 question ids and 1 answer"):
        consistency([1, 2], ["a"], Letters())
    with pytest.raises(ValueError, match="question id is null"):
        consistency([1, None], ["a", "b"], Letters())
    with pytest.raises(ValueError, match="answer is null"):
        consistency([1, 1], ["a", None], Letters())
    with pytest.raises(UserError, match=r"threshold 1\.5"):
        consistency([1, 1], ["a", "b"], Letters(), 1.5)
    with pytest.raises(UserError, match="most_answers 1"):
        consistency([1, 1], ["a", "b"], Letters(), most_answers=1)
