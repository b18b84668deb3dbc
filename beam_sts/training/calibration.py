"""Platt scaling: a slope and a bias before the Sigmoid, so that scores are on the scale of gold scores.

Source: Platt, "Probabilistic outputs for support vector machines" (1999); here with soft targets.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from beam_sts.models.bert_hash import BertHashForSequenceClassification


def slope_and_bias(
    values: np.ndarray, scores: np.ndarray, start: tuple[float, float] = (1.0, 0.0)
) -> tuple[float, float]:
    """Fit the slope and the bias that turn values into logits.

    Args:
        values: Logits or cosines of the pairs, float[n].
        scores: Targets between 0 and 1, float[n].
        start: Start of the search.

    Returns:
        The slope and the bias with the least cross-entropy. Values no better than chance may give a slope of
        0 or less, which would reverse the order; then the slope is 1, with the best bias for it.

    >>> logits = np.linspace(-3, 3, 50)
    >>> [round(value, 3) for value in slope_and_bias(logits, 1 / (1 + np.exp(-2 * logits + 1)))]
    [2.0, -1.0]
    """

    def loss(fitted: np.ndarray) -> float:
        logits = fitted[0] * values + fitted[1]
        return float(np.mean(np.logaddexp(0, logits) - scores * logits))

    slope, bias = minimize(loss, start).x.tolist()
    if slope > 0:
        return slope, bias
    return 1.0, minimize(lambda shift: loss(np.array([1.0, shift[0]])), 0.0).x.item()


@torch.no_grad()
def rescale(model: BertHashForSequenceClassification, slope: float, bias: float) -> None:
    """Replace a model's logits by ``slope`` * logits + ``bias``, through the weights of its last layer."""
    model.classifier.weight.mul_(slope)
    model.classifier.bias.mul_(slope).add_(bias)
