"""The counts of scoring: workers make them for each slice; the summary has their sum."""

from __future__ import annotations

from dataclasses import dataclass, field

from beam_sts.io.counts import Counts


@dataclass(frozen=True)
class TokenCounts(Counts):
    """Counts of the model's input; ``lengths`` is a ``length_histogram``."""

    real_tokens: int = 0
    padded_tokens: int = 0
    truncated: int = 0
    windowed: int = 0
    unknown: int = 0
    lengths: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredRows(TokenCounts):
    """Counts of rows; ``reasons`` counts the rejected rows by reason."""

    rows_read: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0
    pairs: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreCounts(ScoredRows):
    """Counts of scored rows; ``histogram`` is a ``score_histogram``."""

    matches: int = 0
    pairs_reused: int = 0
    windows: int = 0
    histogram: dict[str, int] = field(default_factory=dict)

    def check(self, rows: int) -> None:
        """Check that the counts add up to the rows of the plan.

        Raises:
            RuntimeError: they do not.
        """
        if self.rows_read != rows or self.rows_scored + self.rows_rejected != self.rows_read:
            raise RuntimeError(
                f"the counts do not add up: {rows} rows in the plan, {self.rows_read} read, "
                f"{self.rows_scored} "
                f"scored, {self.rows_rejected} rejected"
            )
