"""What the score of an answer is: which pairs the model scores for it, and what is made of their scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Blend = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""The model's scores -> the scores of the pairs given; it travels to workers, so it is no closure."""
Rule = Callable[[pa.ChunkedArray, pa.ChunkedArray], tuple[pa.ChunkedArray, pa.ChunkedArray, Blend]]
"""n answers and their n references -> the pairs to score and the blend.

The pairs are n, or n several times over in the same order, such as the pairs given and then their passages.
"""


def _as_it_is(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores


MODEL_RULE = "similarity"
RULES: dict[str, Rule] = {MODEL_RULE: lambda answers, references: (answers, references, _as_it_is)}
"""By the name that ``--rule`` takes."""
