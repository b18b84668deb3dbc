from __future__ import annotations

import numpy as np

from beam_sts.training.drawing import bags_of_words, drawn_pairs, neighbour_pairs, octaves


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_neighbours_are_near_distinct_and_never_oneself():
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((30, 8)), 3, axis=0) + 0.01 * rng.standard_normal((90, 8))
    pairs = neighbour_pairs(_unit(vectors), seed=0, ranks=((0, 2, 1.0),), random_share=0.0, block=16)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert (pairs[:, 0] // 3 == pairs[:, 1] // 3).all()


def test_only_the_texts_that_ask_get_partners_and_these_come_from_all():
    rng = np.random.default_rng(1)
    vectors = _unit(rng.standard_normal((50, 8)))
    pairs = neighbour_pairs(vectors, seed=0, ranks=octaves(5), random_share=1.0, asking=7, block=4)
    assert (pairs[:, 0] < 7).all()
    assert pairs[:, 1].max() >= 7
    assert set(pairs[pairs[:, 1] >= 7, 0]) == set(range(7))


def test_bags_of_words_tell_the_words_in_common():
    texts = [
        "Does anyone know this?",
        "does anyone know THIS",
        "this, does... know anyone",
        "a b c",
        "...",
        "",
    ]
    bags = bags_of_words(texts)
    assert np.allclose(bags[0], bags[1], atol=1e-6)
    assert np.allclose(bags[0], bags[2], atol=1e-6)
    assert abs(float(bags[0] @ bags[3])) < 0.3
    assert not bags[4:].any()


def test_drawn_pairs_hold_those_with_the_same_words_whatever_they_mean():
    rng = np.random.default_rng(2)
    # Text 0 has the words of text 1 and, by the teacher, the meaning of text 2.
    texts = ["is it that one over there", "is it one that is over there", "yonder?"]
    texts += [f"sentence {index} of word{index} and word{index + 1}" for index in range(60)]
    vectors = _unit(rng.standard_normal((len(texts), 8)))
    vectors[2] = vectors[0]
    vectors[1] = -vectors[0]
    pairs = drawn_pairs(texts, 40, vectors.astype(np.float16))
    found = set(map(tuple, pairs.tolist()))
    assert len(found) == len(pairs)
    assert all(first < second for first, second in found)
    assert {(0, 1), (0, 2)} <= found
    assert (pairs < 40).any(axis=1).mean() > 0.5
    assert (pairs >= 40).all(axis=1).any()
    np.testing.assert_array_equal(pairs, drawn_pairs(texts, 40, vectors.astype(np.float16)))
