from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.training.calibration import rescale, slope_and_bias
from beam_sts.training.student import StudentSize, matching_start


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 4), st.floats(-2, 2), st.integers(0, 1000))
def test_slope_and_bias_are_found(slope, bias, seed):
    logits = np.random.default_rng(seed).normal(0, 1.5, 500)
    found = slope_and_bias(logits, 1 / (1 + np.exp(-(slope * logits + bias))))
    assert found == pytest.approx((slope, bias), abs=1e-2)


def test_a_rescaled_model_gives_rescaled_logits():
    size = StudentSize(vocabulary=50, projections=8, hidden=32, intermediate=48, rotary_dims=4)
    table = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    table[0] = 0
    model = matching_start(size.config(), table, seed=0).eval()
    ids = torch.randint(5, 50, (6, 20))
    types = torch.zeros_like(ids)
    types[:, 9:] = 1
    with torch.inference_mode():
        before = model(input_ids=ids, token_type_ids=types).logits
        rescale(model, 1.3, -0.2)
        after = model(input_ids=ids, token_type_ids=types).logits
    torch.testing.assert_close(after, 1.3 * before - 0.2)


def test_a_scale_never_reverses_the_order():
    logits = np.linspace(-1, 1, 40)
    gold = np.linspace(0.9, 0.3, 40)
    slope, bias = slope_and_bias(logits, gold)
    assert slope == 1.0
    assert (1 / (1 + np.exp(-(logits + bias)))).mean() == pytest.approx(gold.mean(), abs=1e-4)
