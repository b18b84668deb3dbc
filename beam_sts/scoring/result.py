"""The result of scoring: scores in row order, and counts of the work."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray


@dataclass(frozen=True)
class ScoreStats:
    """Counts of one call, or the sum of several.

    Attributes:
        pairs: scored rows.
        pairs_reused: rows that took the score of an equal pair.
        texts_tokenised: texts that were tokenised.
        real_tokens: tokens of the backend's input, special tokens included, without padding.
        padded_tokens: the same with padding.
        truncated: pairs that lost tokens.
        backend_calls: micro-batches.
        windowed: pairs that were scored by windows.
        windows: pairs of windows that were scored for them.
        unknown: pairs with a text of which more than half of the tokens are unreadable to the model (unknown
            tokens, or single letters of scripts in which the vocabulary has no words); their scores mean
            little.

    >>> total = ScoreStats(pairs=2, real_tokens=20, padded_tokens=24) + ScoreStats(pairs=1)
    >>> total.pairs, total.padding_ratio
    (3, 1.2)
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
    """The result of one call for n pairs.

    Attributes:
        scores: float32 of shape (n,), NaN exactly at the keys of ``failures``.
        failures: reasons by row.
        stats: counts of the work.
        seconds: duration of the call.
        tokens: how many tokens the model read for each row's pair, shape (n,); 0 if the pair was refused.
        marked: the rows behind the counts ``truncated``, ``windowed`` and ``unknown``, by name.

    >>> from beam_sts import PairScorer
    >>> result = PairScorer().run(["A cat sits.", "A dog."], ["A cat is sitting.", "Stocks fell."])
    >>> result.scores.round(1), result.failures
    (array([1., 0.], dtype=float32), {})
    """

    scores: NDArray[np.float32]
    failures: dict[int, str] = field(default_factory=dict)
    stats: ScoreStats = field(default_factory=ScoreStats)
    seconds: float = 0.0
    tokens: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    marked: dict[str, IntArray] = field(default_factory=dict)
