import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.evaluation.label import (
    STEPS,
    Labels,
    draw_kinds,
    draw_steps,
    estimate_quality,
    labels_needed,
    steps_of,
    wanted_steps,
)


def _sheet(scores, truth, count, rng, labels=None, done=None, precision=0.95):
    """Labels and indices after a further sheet."""
    steps = steps_of(scores)
    population = np.bincount(steps, minlength=STEPS)
    estimate = None if labels is None else estimate_quality(population, labels)
    chosen = draw_steps(steps, wanted_steps(population, 0.9, estimate, precision), count, rng, done)
    chosen = chosen if done is None else np.concatenate([done, chosen])
    return Labels(scores[chosen].astype(float), truth[chosen], np.ones(len(chosen))), chosen


@given(st.lists(st.floats(0, 1, width=32), max_size=200), st.integers(1, 60), st.integers(0, 3))
def test_a_draw_gives_distinct_pairs_as_many_as_there_are_and_repeats_by_its_seed(scores, count, seed):
    steps = steps_of(np.array(scores, dtype=np.float32))
    population = np.bincount(steps, minlength=STEPS)
    worth = wanted_steps(population, 0.9) if scores else np.zeros(STEPS)
    left_out = np.arange(len(steps))[:3]
    draws = [draw_steps(steps, worth, count, np.random.default_rng(seed), left_out) for _ in range(2)]
    assert draws[0].tolist() == draws[1].tolist()
    assert len(set(draws[0].tolist())) == len(draws[0]) == min(count, max(0, len(scores) - 3))
    assert not set(draws[0].tolist()) & set(left_out.tolist())


def test_the_first_sheet_has_most_pairs_around_the_threshold_and_some_everywhere():
    scores = np.linspace(0, 1, 20_000, endpoint=False)
    chosen = draw_steps(
        steps_of(scores), wanted_steps(np.full(STEPS, 200), 0.7), 400, np.random.default_rng(0)
    )
    near, far = (np.abs(scores[chosen] - 0.7) < 0.1).mean(), scores[chosen] < 0.2
    assert near > 0.3  # 0.2 with an even sample
    assert far.sum() > 20


def test_the_next_sheet_asks_where_the_threshold_may_lie():
    rng = np.random.default_rng(1)
    scores = rng.random(20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-20 * (scores - 0.5)))
    labels, done = _sheet(scores, truth, 100, rng)
    _, both = _sheet(scores, truth, 100, rng, labels, done)
    assert len(set(both.tolist())) == 200
    more = scores[both[100:]]
    assert np.median(more) > 0.4
    assert ((more > 0.3) & (more < 0.7)).mean() > 0.5


def test_the_intervals_hold_the_truth_nineteen_times_of_twenty():
    rng = np.random.default_rng(0)
    scores = rng.beta(0.7, 0.7, 20_000).astype(np.float32)
    truth = rng.random(len(scores)) < scores**3
    population = np.bincount(steps_of(scores), minlength=STEPS)
    above = scores >= 0.7
    exact = {"precision": truth[above].mean(), "recall": truth[above].sum() / truth.sum()}
    held = {"precision": 0, "recall": 0}
    for seed in range(60):
        labels, _ = _sheet(scores, truth, 300, np.random.default_rng(seed))
        row = estimate_quality(population, labels, seed).at(0.7)
        assert row.threshold == 0.7
        assert row.pairs == above.sum()
        for name, value in exact.items():
            held[name] += getattr(row, f"{name}_low") <= value <= getattr(row, f"{name}_high")
    assert min(held.values()) >= 53  # 57 expected of 60


@pytest.mark.parametrize("sheets", [(200,), (100, 100)])
@pytest.mark.parametrize(("a", "b", "share"), [(8, 2, 0.03), (12, 2, 0.3), (6, 2, 0.8)])
def test_200_labels_lead_near_the_best_threshold(a, b, share, sheets):
    rng = np.random.default_rng(5)
    truth = np.arange(20_000) < 20_000 * share
    scores = np.where(truth, rng.beta(a, b, 20_000), rng.beta(3, 7, 20_000))
    steps = steps_of(scores)
    population = np.bincount(steps, minlength=STEPS)
    right = np.bincount(steps, truth, STEPS)[::-1].cumsum()[::-1]
    precision = right / np.maximum(population[::-1].cumsum()[::-1], 1)
    best = precision[np.flatnonzero(precision >= 0.95)[0]]
    gaps = []
    for seed in range(20):
        labels = done = None
        for count in sheets:
            labels, done = _sheet(scores, truth, count, np.random.default_rng(seed), labels, done)
        found = estimate_quality(population, labels).recommend(0.95)
        gaps.append(abs(precision[round(found.threshold * STEPS)] - best) if found else 1)
    assert np.median(gaps) <= 0.03


def test_a_recommendation_asks_for_a_sure_precision():
    population = np.full(STEPS, 100)
    scores = np.repeat((np.arange(STEPS) + 0.5) / STEPS, 40)
    estimate = estimate_quality(population, Labels(scores, scores >= 0.8, np.ones(len(scores))))
    # 0.79 is where 20 of 21 pairs are right, 0.95238.
    assert 0.78 <= estimate.recommend(0.95).threshold <= 0.8
    assert estimate.recommend(0.95, 0.999).threshold >= estimate.recommend(0.95, 0.5).threshold
    few = estimate_quality(population, Labels(scores[:40], scores[:40] > 1, np.ones(40)))
    assert few.recommend(0.95) is None
    assert few.most_certain()[1] < 0.5


def test_rare_kinds_are_drawn_more_often_and_weigh_less():
    kinds = np.array(["wording"] * 900 + ["numbers"] * 100)
    found, weigh = [], []
    for seed in range(40):
        chosen, weights = draw_kinds(kinds, 100, np.random.default_rng(seed))
        assert len(set(chosen.tolist())) == len(chosen) == 100
        rare = kinds[chosen] == "numbers"
        found.append(rare.sum())
        weigh.append(weights[rare].sum() / weights.sum())
    assert np.mean(found) > 18  # 10 if kinds had no effect
    assert abs(np.mean(weigh) - 0.1) < 0.02  # but their total weight is their share
    chosen, weights = draw_kinds(kinds[-5:], 9, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4]
    assert set(weights.tolist()) == {1.0}


def test_weights_count_in_an_estimate():
    population = np.zeros(STEPS, dtype=int)
    population[50] = 1000
    truth = np.repeat([True, False], [50, 50])
    labels = Labels(np.full(100, 0.505), truth, np.where(truth, 1.0, 9.0))
    assert abs(estimate_quality(population, labels).at(0.5).precision - 0.1) < 0.03


def test_as_many_more_labels_as_said_narrow_the_interval_to_about_that_width():
    rng = np.random.default_rng(3)
    scores = rng.random(50_000)
    truth = rng.random(50_000) < np.where(scores > 0.5, 0.9, 0.1)
    population = np.bincount(steps_of(scores), minlength=STEPS)

    def width(count):
        widths = []
        for seed in range(10):
            labels, _ = _sheet(scores, truth, count, np.random.default_rng(seed))
            row = estimate_quality(population, labels).at(0.5)
            widths.append(row.precision_high - row.precision_low)
        return float(np.mean(widths))

    now = width(100)
    more = labels_needed(100, now, now / 2)
    assert more == 300
    assert abs(width(100 + more) - now / 2) < now / 8
