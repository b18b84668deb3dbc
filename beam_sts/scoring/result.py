"""What scoring gives: scores in the order of the rows, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray


@dataclass(frozen=True)
class ScoreStats:
    """Counts of one call, or of several added up.

    ``real_tokens`` and ``padded_tokens`` count what the backend was given, special tokens included;
    ``pairs_reused`` took the score of an equal pair; ``truncated`` pairs lost tokens; ``windowed`` pairs were
    scored by ``windows`` pairs of windows; ``unknown`` pairs have a text that consists, for more than half
    of its tokens, of what the vocabulary lacks (their scores mean little): unknown tokens, and single letters
    of scripts in which it has no words.
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
        """Padded tokens per real token; 1.0 is no waste."""
        return self.padded_tokens / self.real_tokens if self.real_tokens else 1.0


@dataclass(frozen=True)
class ScoreResult:
    """Scores of one call: float32 of shape (n,), NaN exactly at the keys of ``failures``.

    ``tokens`` says of each row how many tokens the model was given for its pair, shape (n,), 0 where it was
    given none; ``marked`` lists the rows behind the counts ``truncated``, ``windowed`` and ``unknown``.
    """

    scores: NDArray[np.float32]
    failures: dict[int, str] = field(default_factory=dict)
    stats: ScoreStats = field(default_factory=ScoreStats)
    seconds: float = 0.0
    tokens: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    marked: dict[str, IntArray] = field(default_factory=dict)
