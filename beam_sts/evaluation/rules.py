"""What the score of an answer is, given the model's score of it beside a reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rule = Callable[[pa.ChunkedArray, pa.ChunkedArray, NDArray[np.float32]], NDArray[np.float32]]
"""Answers, references (one for each answer, as large strings) and the model's scores -> scores."""

MODEL_RULE = "model"
RULES: dict[str, Rule] = {MODEL_RULE: lambda _, __, scores: scores}
"""By the name that ``--rule`` takes."""
