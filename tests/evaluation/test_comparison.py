"""Paired comparisons: known values, coverage of the intervals, and samples that are too small."""

import numpy as np
import pytest
from scipy import stats

from beam_sts.evaluation import compare, group_means
from beam_sts.evaluation.comparison import compare_groups, holm


def answers(differences, base=None):
    """Two systems with one answer to each question and the given differences."""
    base = np.linspace(0.3, 0.7, len(differences)) if base is None else base
    scores = np.concatenate([base, base + differences])
    count = len(differences)
    return scores, ["a"] * count + ["b"] * count, [*range(count), *range(count)]


def test_the_figures_are_those_of_the_paired_t_test():
    d = np.random.default_rng(0).normal(-0.02, 0.1, 60)
    (found,) = compare(*answers(d), "a")
    wanted = stats.ttest_1samp(d, 0)
    low, high = wanted.confidence_interval()
    assert (found.group, found.baseline, found.n) == ("b", "a", 60)
    assert found.difference == pytest.approx(d.mean())
    assert found.p == found.p_holm == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.effect_size == pytest.approx(d.mean() / d.std(ddof=1))
    assert (found.wins, found.losses) == ((d > 0).sum(), (d < 0).sum())


def test_swapping_the_systems_changes_the_sign_alone():
    scores, groups, questions = answers(np.random.default_rng(1).normal(0.03, 0.1, 40))
    (b,) = compare(scores, groups, questions, "a")
    (a,) = compare(scores, groups, questions, "b")
    assert (a.difference, a.low, a.high) == (pytest.approx(-b.difference), -b.high, -b.low)
    assert (a.p, a.wins, a.losses) == (pytest.approx(b.p), b.losses, b.wins)


def test_with_several_answers_the_error_is_the_clustered_one():
    # The sandwich estimator, by hand, of a regression of all answers on the system, clustered by question.
    rng = np.random.default_rng(2)
    questions, each = 50, 4
    level, both = rng.normal(0.5, 0.2, questions), rng.normal(0, 0.05, (2, questions))
    scores = level + both[..., None].transpose(0, 2, 1) + rng.normal(0, 0.1, (2, each, questions))
    group = np.repeat([0, 1], each * questions)
    question = np.tile(np.arange(questions), 2 * each)
    (found,) = compare_groups(scores.ravel(), group, ["a", "b"], question, "a")
    x = np.stack([np.ones(len(group)), group], axis=1)
    bread = np.linalg.inv(x.T @ x)
    residual = scores.ravel() - x @ (bread @ x.T @ scores.ravel())
    sums = np.stack([x[question == q].T @ residual[question == q] for q in range(questions)])
    variance = bread @ sums.T @ sums @ bread * questions / (questions - 1)
    half = stats.t.ppf(0.975, questions - 1) * variance[1, 1] ** 0.5
    assert found.high - found.low == pytest.approx(2 * half)
    naive = stats.ttest_ind(scores[1].ravel(), scores[0].ravel()).confidence_interval()
    assert found.high - found.low < naive.high - naive.low


def test_each_question_counts_once_however_many_answers_it_has():
    scores = [0.5, 0.5, 0.9, 0.9, 0.9, 0.3]
    (found,) = compare(scores, list("aabbbb"), [1, 2, 1, 1, 1, 2], "a")
    assert found.difference == pytest.approx(((0.9 - 0.5) + (0.3 - 0.5)) / 2)
    b = next(group for group in group_means(scores, list("aabbbb"), [1, 2, 1, 1, 1, 2]) if group.group == "b")
    assert (b.mean, b.count, b.questions) == (pytest.approx(0.6), 4, 2)


def test_questions_that_one_lacks_are_counted_and_left_out():
    scores, groups, questions = [0.5, 0.6, 0.7, 0.1, 0.2], list("aaabb"), [1, 2, 3, 1, 9]
    (found,) = compare(scores, groups, questions, "a")
    assert (found.n, found.missing, found.extra) == (1, 2, 1)
    assert found.difference == pytest.approx(-0.4)
    assert (found.low, found.high, found.p, found.verdict) == (None, None, None, "unknown")
    (none,) = compare([0.5, 0.6], ["a", "b"], [1, 2], "a")
    assert (none.difference, none.n, none.note) == (None, 0, "no question was answered by both groups")


def test_holm_by_hand():
    assert holm([]) == []
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_several_systems_are_corrected_for_and_ordered():
    rng = np.random.default_rng(3)
    base = rng.normal(0.5, 0.1, 200)
    systems = {"a": base, "up": base + 0.1, "same": base.copy(), "down": base - rng.uniform(0, 0.1, 200)}
    scores = np.concatenate(list(systems.values()))
    groups = np.repeat(list(systems), 200)
    found = compare(scores, groups, np.tile(np.arange(200), 4), "a")
    assert [(one.group, one.verdict) for one in found] == [
        ("up", "better"),
        ("same", "no difference found"),
        ("down", "worse"),
    ]
    assert all(one.p_holm >= one.p for one in found)
    assert found[0].effect_size is None or found[0].effect_size > 10  # the differences hardly vary
    assert (found[1].difference, found[1].ties, found[1].p) == (0, 200, 1)
    assert "no question differs" in found[1].note


@pytest.mark.parametrize(
    ("differences", "note"),
    [
        ([-0.1, -0.1, -0.1], "3 questions are too few"),
        ([-0.1, -0.1001, -0.0999, -0.1, -0.1], "5 questions are too few"),
        ([0.0] * 96 + [-0.2, -0.2, -0.2, -0.2], "only 4 of 100 questions differ"),
    ],
)
def test_a_sample_that_is_too_small_says_so_and_raises_no_alarm(differences, note):
    """With fewer than six different questions no sign test gives p below 0.05."""
    (found,) = compare(*answers(np.array(differences)), "a")
    assert note in found.note
    assert found.p >= 0.05
    assert found.verdict == "no difference found"


def test_noise_of_another_batch_is_a_tie():
    (found,) = compare(*answers(np.full(50, 2e-6)), "a")
    assert (found.ties, found.difference, found.p, found.detectable) == (50, 0, 1, None)


def test_the_bootstrap_has_a_seed_and_agrees_with_the_t_interval():
    scores, groups, questions = answers(np.random.default_rng(4).normal(0.01, 0.1, 300))
    (one,), (same,), (other,) = (compare(scores, groups, questions, "a", seed=seed) for seed in (5, 5, 6))
    assert one == same
    assert (one.bootstrap_low, one.bootstrap_high) != (other.bootstrap_low, other.bootstrap_high)
    assert one.bootstrap_low == pytest.approx(one.low, abs=0.002)
    assert one.bootstrap_high == pytest.approx(one.high, abs=0.002)


def test_a_baseline_that_is_no_group_is_named():
    with pytest.raises(ValueError, match="baseline 'c' is not one of the groups a, b"):
        compare([0.1, 0.2], ["a", "b"], [1, 1], "c")


def simulated(rng, questions, answers, shift=0.0, *, unequal=False, ties=0.0):
    """Two systems that differ by ``shift``, with an effect of each shared question, and noise."""
    level, parts = rng.beta(4, 2, questions), []
    for number in (0, 1):
        ability = rng.normal(shift * number, 0.05, questions)
        count = rng.integers(1, answers + 1, questions) if unequal else np.full(questions, answers)
        question = np.repeat(np.arange(questions), count)
        scores = (level + ability)[question] + rng.normal(0, 0.1, len(question))
        tied = rng.random(questions)[question] < ties
        scores = np.where(tied, level[question] + shift * number, scores)
        parts.append((scores, np.full(len(question), number), question))
    return (np.concatenate(columns) for columns in zip(*parts, strict=True))


def rates(runs, monkeypatch, shift=0.0, **design):
    monkeypatch.setattr("beam_sts.evaluation.comparison._RESAMPLES", 10)
    rng = np.random.default_rng(7)
    alarms = covered = 0
    for _ in range(runs):
        scores, group, question = simulated(rng, shift=shift, **design)
        (found,) = compare_groups(scores, group, ["a", "b"], question, "a")
        alarms += found.verdict in ("better", "worse")
        covered += found.low <= shift <= found.high
    return alarms / runs, covered / runs


def test_equal_systems_seldom_alarm(monkeypatch):
    alarms, covered = rates(200, monkeypatch, questions=100, answers=2)
    assert alarms <= 0.1
    assert covered >= 0.9


def test_the_smallest_difference_that_is_found_is_found_as_often_as_said(monkeypatch):
    rng = np.random.default_rng(8)
    sizes = []
    for _ in range(20):
        scores, group, question = simulated(rng, questions=100, answers=1)
        sizes += [one.detectable for one in compare_groups(scores, group, ["a", "b"], question, "a")]
    power, _ = rates(300, monkeypatch, shift=float(np.mean(sizes)), questions=100, answers=1)
    assert 0.72 <= power <= 0.88


DESIGNS = [
    *({"questions": 300, "answers": answers} for answers in (1, 2, 3, 4, 5)),
    {"questions": 100, "answers": 5, "unequal": True},
    {"questions": 20, "answers": 3, "unequal": True},
    {"questions": 300, "answers": 1, "ties": 0.8},
    {"questions": 10, "answers": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_a_thousand_equal_pairs_of_systems(monkeypatch, design):
    """Alarms 5% +- 1.5, coverage 93 to 97%: pytest -m slow tests/evaluation/test_comparison.py (2 min)."""
    alarms, _ = rates(1000, monkeypatch, **design)
    assert 0.035 <= alarms <= 0.065
    _, covered = rates(1000, monkeypatch, shift=0.03, **design)
    assert 0.93 <= covered <= 0.97


@pytest.mark.slow
def test_a_thousand_times_four_equal_systems_alarm_no_more_often(monkeypatch):
    """Holm keeps the probability of any alarm among three comparisons below 5%: pytest -m slow, as above."""
    monkeypatch.setattr("beam_sts.evaluation.comparison._RESAMPLES", 10)
    rng, alarms = np.random.default_rng(9), 0
    for _ in range(1000):
        scores = rng.normal(0.5, 0.1, 100) + rng.normal(0, 0.1, (4, 100))
        found = compare_groups(
            scores.ravel(), np.repeat(np.arange(4), 100), list("abcd"), np.tile(np.arange(100), 4), "a"
        )
        alarms += any(one.verdict != "no difference found" for one in found)
    assert 0.02 <= alarms / 1000 <= 0.065
