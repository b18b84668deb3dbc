"""Calibration: it rises, a file restores it, and an invalid file is refused."""

import json

import numpy as np
import pytest

from beam_sts import UserError
from beam_sts.evaluation import fit_calibration, load_calibration
from beam_sts.evaluation.calibration import METHODS


def marks(count=400, seed=0):
    """Marks of 1 to 5 that rise with the score along a curve, with noise."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, count)
    return scores, np.clip(1 + 4 * scores**3 + rng.normal(0, 0.3, count), 1, 5)


@pytest.mark.parametrize("method", METHODS)
def test_it_brings_scores_nearer_to_marks_it_has_not_seen(method):
    curve = fit_calibration(*marks(), method)
    scores, gold = marks(seed=1)
    linear = np.polyval(np.polyfit(*marks(), 1), scores)
    off = np.abs(curve.apply(scores) - gold).mean()
    assert off < np.abs(linear - gold).mean()
    assert curve.error == pytest.approx(off, abs=0.05)
    grid = curve.apply(np.linspace(0, 1, 1001))
    assert (np.diff(grid) >= 0).all()
    assert curve.scale[0] <= grid[0] < grid[-1] <= curve.scale[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_one_is_the_same(method):
    curve = fit_calibration(*marks(), method, name="mark", made_with={"model": "m"})
    again = load_calibration(curve.dump(), "cal.json")
    assert again == curve
    scores = np.linspace(0, 1, 100)
    assert (again.apply(scores) == curve.apply(scores)).all()


def test_isotonic_regression_by_hand():
    # The marks 2 and 1 fall, so both become 1.5; two marks of one score are averaged.
    curve = fit_calibration([0.1, 0.2, 0.4, 0.6, 0.6], [1, 2, 1, 3, 5])
    assert curve.apply([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0]).tolist() == pytest.approx(
        [1, 1, 1.5, 1.5, 1.5, 2.75, 4, 4]
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("scores", "gold", "said"),
    [
        ([0.1, 0.5, 0.9], [3, 2, 1], "do not rise"),
        ([0.1, 0.5, 3.2], [1, 2, 3], "logits"),
        ([0.5, 0.5], [1, 2], "model scores are 0.5"),
        ([0.1, 0.5], [2, 2], "gold scores are 2"),
    ],
)
def test_what_has_no_curve_is_said(method, scores, gold, said):
    with pytest.raises(ValueError, match=said):
        fit_calibration(scores, gold, method)


def test_two_answers_that_people_part_cleanly_have_a_finite_slope():
    curve = fit_calibration([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], "platt")
    assert 0 < curve.curve[0] < 50


GOOD = json.loads(fit_calibration(*marks(60)).dump())
PLATT = json.loads(fit_calibration(*marks(60), "platt").dump())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        json.dumps({**GOOD, "kind": "other"}),
        json.dumps({name: value for name, value in GOOD.items() if name != "points"}),
        json.dumps({**GOOD, "method": "cubic"}),
        json.dumps({**GOOD, "scale": [5, 1]}),
        json.dumps({**GOOD, "scale": [1]}),
        json.dumps({**GOOD, "points": []}),
        json.dumps({**GOOD, "points": "no"}),
        json.dumps({**GOOD, "points": [[0.1, 1], [0.1, 2]]}),
        json.dumps({**GOOD, "points": [[0.1, 2], [0.2, 1]]}),
        json.dumps({**GOOD, "points": [[0.1, 1], [0.2, 99]]}),
        json.dumps({**GOOD, "points": [[0.1, 1], [0.2, float("nan")]]}),
        json.dumps({**GOOD, "points": [[0.1, 1], [0.2, 10**400]]}),
        json.dumps({**GOOD, "points": [[0.1, True], [0.2, "2"]]}),
        json.dumps({**GOOD, "made_with": 7}),
        json.dumps({**PLATT, "curve": None}),
        json.dumps({**PLATT, "curve": [-1, 0]}),
        json.dumps({**PLATT, "curve": [float("inf"), 0]}),
    ],
)
def test_a_file_that_is_none_is_refused(text):
    with pytest.raises(UserError, match=r"--calibration c.json: is not a calibration .*--score"):
        load_calibration(text, "c.json")


def test_it_is_for_scores_made_as_those_it_was_fitted_on():
    curve = fit_calibration(*marks(), made_with={"model": "one", "rule": "similarity"})
    curve.check_made_with({"model": "one", "rule": "similarity"}, "c.json")
    with pytest.raises(UserError, match="fitted with model 'one', but here it is 'two'"):
        curve.check_made_with({"model": "two", "rule": "similarity"}, "c.json")
