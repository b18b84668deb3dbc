"""Scores rounded for comparison, so that every processor makes the same decision.

The last bits of a score depend on the processor's instructions. Without rounding, two workers could decide
differently on a score at the threshold, or rank two equal scores differently. So scores are rounded by
``decisive`` before they are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DECIMALS = 5


def decisive(scores: NDArray[Any]) -> NDArray[Any]:
    """Scores rounded to five decimals, of unchanged type, so that 0.9 equals a threshold of 0.9.

    Args:
        scores: floats of any shape; NaN stays NaN.

    >>> decisive(np.array([0.9000004, 0.899996], np.float32)) >= np.float32(0.9)
    array([ True,  True])
    """
    rounded: NDArray[Any] = np.asarray(scores, np.float64).round(DECIMALS).astype(scores.dtype)
    return rounded
