"""What scoring counts: made by workers for each slice, added up for the summary."""

from __future__ import annotations

from dataclasses import dataclass, field

from beam_sts.io.counts import Counts


@dataclass(frozen=True)
class TokenCounts(Counts):
    """Of what the model was given; ``lengths`` as of ``length_histogram``."""

    real_tokens: int = 0
    padded_tokens: int = 0
    truncated: int = 0
    windowed: int = 0
    unknown: int = 0
    lengths: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredRows(TokenCounts):
    """Of rows; ``reasons`` of rejections."""

    rows_read: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0
    pairs: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreCounts(ScoredRows):
    """Of scores; ``histogram`` as of ``score_histogram``."""

    matches: int = 0
    pairs_reused: int = 0
    windows: int = 0
    histogram: dict[str, int] = field(default_factory=dict)

    def check(self, rows: int) -> None:
        """Check that they add up to the rows that were planned.

        Raises:
            RuntimeError: they do not.
        """
        if self.rows_read != rows or self.rows_scored + self.rows_rejected != self.rows_read:
            raise RuntimeError(
                f"the counts do not add up: {rows} rows planned, {self.rows_read} read, {self.rows_scored} "
                f"scored, {self.rows_rejected} rejected"
            )
