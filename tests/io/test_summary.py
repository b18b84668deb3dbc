import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.io.summary import QUANTILES, add_records, quantiles, score_histogram

scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=300)


@given(scores, st.integers(0, 300))
def test_quantiles_of_added_histograms_are_exact_to_a_bin(values, cut):
    values = np.array(values, dtype=np.float32)
    parts = [{"h": score_histogram(part)} for part in (values[:cut], values[cut:])]
    found = quantiles(add_records(parts)["h"])
    expected = np.quantile(values, QUANTILES, method="inverted_cdf")
    np.testing.assert_allclose([found[str(q)] for q in QUANTILES], expected, atol=0.00101)


def test_quantiles_of_logits_are_logits():
    found = quantiles(
        score_histogram(np.linspace(-3, 3, 10_001).astype(np.float32), logits=True), logits=True
    )
    assert found["0.05"] == pytest.approx(-2.7, abs=0.03)
    assert found["0.5"] == pytest.approx(0, abs=0.03)


def test_no_scores_have_no_quantiles():
    assert quantiles(score_histogram(np.empty(0, np.float32))) == {}
