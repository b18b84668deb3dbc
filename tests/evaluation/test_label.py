import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.evaluation.label import BANDS, bands_of, estimate_quality, recommend, sample_pairs


@given(st.lists(st.floats(0, 1, width=32), max_size=200), st.integers(1, 60), st.integers(0, 3))
def test_a_sample_is_even_over_the_bands_and_repeats_by_its_seed(scores, count, seed):
    scores = np.array(scores, dtype=np.float32)
    chosen = sample_pairs(scores, count, seed)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(scores))
    assert chosen.tolist() == sample_pairs(scores, count, seed).tolist()
    drawn = np.bincount(bands_of(scores[chosen]), minlength=BANDS)
    there = np.bincount(bands_of(scores), minlength=BANDS)
    short = drawn < there  # these bands could have given more
    if short.any():
        assert drawn.max() - drawn[short].min() <= 1


def test_the_intervals_hold_the_truth_nineteen_times_of_twenty():
    rng = np.random.default_rng(0)
    scores = rng.beta(0.7, 0.7, 20_000).astype(np.float32)
    truth = rng.random(len(scores)) < scores**3
    population = np.bincount(bands_of(scores), minlength=BANDS)
    at, held = 14, {"precision": 0, "recall": 0}
    above = bands_of(scores) >= at
    exact = {"precision": truth[above].mean(), "recall": truth[above].sum() / truth.sum()}
    for seed in range(60):
        chosen = sample_pairs(scores, 300, seed)
        row = estimate_quality(population, bands_of(scores[chosen]), truth[chosen], seed)[at]
        assert row.threshold == 0.7
        assert row.pairs == above.sum()
        for name, value in exact.items():
            held[name] += getattr(row, f"{name}_low") <= value <= getattr(row, f"{name}_high")
    assert min(held.values()) >= 53  # 57 expected of 60


def test_a_recommendation_asks_for_a_sure_precision():
    population = np.full(BANDS, 100)
    bands = np.repeat(np.arange(BANDS), 40)
    table = estimate_quality(population, bands, bands >= 16)
    assert recommend(table, 0.95).threshold == 0.8
    assert recommend(estimate_quality(population, bands[:4], bands[:4] > 2), 0.95) is None
