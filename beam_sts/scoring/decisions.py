"""Scores as decisions compare them: rounded, so that every processor decides alike.

The last bits of a score depend on the processor's instructions. A score at a threshold, or two that are equal
in a ranking, would then be decided one way on one worker and another way on the next. So scores go through
``decisive`` before they are compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DECIMALS = 5


def decisive(scores: NDArray[Any]) -> NDArray[Any]:
    """Scores to five decimals, in their own type: 0.9 is the number that a threshold of 0.9 is.

    Args:
        scores: floats of any shape; NaN stays NaN.

    >>> decisive(np.array([0.9000004, 0.899996], np.float32)) >= np.float32(0.9)
    array([ True,  True])
    """
    rounded: NDArray[Any] = np.asarray(scores, np.float64).round(DECIMALS).astype(scores.dtype)
    return rounded
