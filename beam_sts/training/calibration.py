"""Platt scaling: a slope and a bias before the Sigmoid, so that scores mean what people's scores mean.

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
    """Fit the slope and the bias that make logits of values.

    Args:
        values: What orders the pairs, float[n]: logits, or cosines.
        scores: Targets between 0 and 1, float[n].
        start: Where the search for them starts.

    Returns:
        The slope and the bias of least cross-entropy. A slope of 0 or less, which values no better than
        chance may ask for, would reverse the order: then it is 1, and the bias the best one for that.

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
    """Make a model's logits ``slope`` times what they were plus ``bias``, by its last layer's weights."""
    model.classifier.weight.mul_(slope)
    model.classifier.bias.mul_(slope).add_(bias)
