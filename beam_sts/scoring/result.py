"""The result of scoring: scores in row order, and counts of the work."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray


@dataclass(frozen=True)
class ScoreStats:
    """Counts of one call, or the sum of several.

    ``real_tokens`` and ``padded_tokens`` count the backend's input, special tokens included, without and
    with padding. ``pairs_reused`` counts rows that took the score of an equal pair, ``truncated`` those
    that lost tokens. ``windowed`` pairs were scored by ``windows`` pairs of windows. An ``unknown`` pair
    has a text of which more than half of the tokens are unreadable to the model (unknown tokens, or single
    letters of scripts in which the vocabulary has no words), so its score means little.
    """

    pairs: int = 0
    pairs_reused: int = 0
    texts_tokenised: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    truncated: int = 0
    backend_calls: int = 0
    windowed: int = 0
    windows: int = 0
    unknown: int = 0

    def __add__(self, other: ScoreStats) -> ScoreStats:
        return ScoreStats(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def padding_ratio(self) -> float:
        """Tokens with padding per token without; 1.0 means no padding."""
        return self.padded_tokens / self.real_tokens if self.real_tokens else 1.0


@dataclass(frozen=True)
class ScoreResult:
    """The scores of one call: float32 of shape (n,), NaN exactly at the keys of ``failures``.

    ``tokens``, shape (n,), counts the tokens that the model read for each row's pair; 0 if it was refused.
    ``marked`` has the rows behind the counts ``truncated``, ``windowed`` and ``unknown``.
    """

    scores: NDArray[np.float32]
    failures: dict[int, str] = field(default_factory=dict)
    stats: ScoreStats = field(default_factory=ScoreStats)
    seconds: float = 0.0
    tokens: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    marked: dict[str, IntArray] = field(default_factory=dict)
