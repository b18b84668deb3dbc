"""The token table, fitted to a teacher's vectors before the student."""

import numpy as np
import pytest

from beam_sts.scoring.tokens import TokenTable
from beam_sts.training.table import BagOfTokens, TableSettings, cosines, fit_table

WORDS, WIDTH, SPECIAL = 300, 12, 5


@pytest.fixture(scope="module")
def world():
    """Texts of tokens, a third of which have little meaning; a teacher; and a random table."""
    rng = np.random.default_rng(0)
    meaning = rng.standard_normal((WORDS, 8)) * np.where(np.arange(WORDS) % 3, 1.0, 0.1)[:, None]
    # Half of the texts are copies of others with two tokens replaced.
    texts = [rng.integers(SPECIAL, WORDS, rng.integers(4, 12)) for _ in range(1500)]
    texts += [np.concatenate([text[2:], rng.integers(SPECIAL, WORDS, 2)]) for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])])
    tokenised = TokenTable(np.concatenate(texts).astype(np.int64), starts)
    vectors = np.stack([meaning[text].sum(0) for text in texts])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = rng.standard_normal((WORDS, WIDTH)).astype(np.float32)
    table[0] = 0
    near = np.stack([np.arange(1500), np.arange(1500) + 1500], 1)
    pairs = np.concatenate([near, rng.integers(0, 3000, (1500, 2))])
    return tokenised, vectors.astype(np.float16), table, pairs


def fitted(world, **settings):
    tokenised, vectors, table, pairs = world
    how = TableSettings(**{"steps": 500, "pairs": 96, "learning_rate": 0.1} | settings)
    kept = pairs[(pairs % 1500 >= 200).all(1)]  # the first 200 texts and their copies are held out
    return fit_table(table, tokenised, vectors, kept, (8.0, -4.0), np.arange(WORDS) < SPECIAL, how)


@pytest.fixture(scope="module")
def table(world):
    return fitted(world)


def test_texts_it_never_saw_have_the_teachers_cosines(world, table):
    tokenised, vectors, first, _ = world
    left, right = np.repeat(np.arange(200), 200), np.tile(np.arange(1500, 1700), 200)
    taught = (vectors[left].astype(np.float32) * vectors[right].astype(np.float32)).sum(1)

    def agreement(values):
        return np.corrcoef(cosines(values, tokenised, left, right), taught)[0, 1]

    assert agreement(first) < 0.5
    assert agreement(table) > 0.95


def test_tokens_of_little_meaning_weigh_little(table):
    weights = table[SPECIAL:, -1]
    empty = np.arange(SPECIAL, WORDS) % 3 == 0
    assert weights[empty].max() < np.median(weights[~empty])
    assert abs(weights.mean()) < 1e-3


def test_directions_of_unit_variance_lead_and_special_rows_stay(world, table):
    np.testing.assert_array_equal(table[:SPECIAL], world[2][:SPECIAL])
    directions = table[SPECIAL:, :-1].astype(np.float64)
    np.testing.assert_allclose(directions.std(), 1, atol=1e-3)
    lengths = np.linalg.norm(directions, axis=1)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-4)
    told = (directions**2).sum(0)
    assert (np.diff(told) <= 1e-6 * told[0]).all()


def test_the_same_settings_give_the_same_table(world):
    first = fitted(world, steps=20)
    np.testing.assert_array_equal(first, fitted(world, steps=20))
    assert (first != fitted(world, steps=20, seed=1)).any()


def test_a_bag_is_the_weighted_sum_of_its_tokens(world):
    tokenised, _, table, _ = world
    rows = np.array([7, 2])
    own = BagOfTokens(table)(tokenised, rows).detach().numpy()
    for row, vector in zip(rows, own, strict=True):
        ids = tokenised.ids[tokenised.offsets[row] : tokenised.offsets[row + 1]]
        wanted = (np.exp(0.5 * table[ids, -1:]) * table[ids, :-1]).sum(0)
        np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), rtol=1e-4, atol=1e-6)
