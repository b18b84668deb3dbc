"""The rounding of scores for decisions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.scoring.decisions import decisive


@given(st.integers(-1000, 100_000), st.floats(-2e-6, 2e-6))
def test_a_score_at_a_threshold_reaches_it_whatever_its_last_bits(number, noise):
    threshold = number / 100_000
    score = np.array([threshold + noise], np.float32)
    assert decisive(score)[0] == np.float32(threshold)
    assert decisive(score.astype(np.float64))[0] == threshold


def test_what_is_no_number_stays_so_and_types_stay():
    scores = np.array([np.nan, 0.5, np.inf], np.float32)
    np.testing.assert_array_equal(decisive(scores), scores)
    assert decisive(scores).dtype == np.float32
    assert decisive(np.empty(0, np.float32)).shape == (0,)
