"""The counts of mining: workers make them, the driver adds them up, ``summary.json`` holds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from beam_sts.io.counts import Counts
from beam_sts.mining.core import SPLITS, SUBSETS

TOKENS = ("real_tokens", "padded_tokens", "truncated", "windowed", "unknown")


def _splits() -> dict[str, int]:
    return dict.fromkeys(SPLITS, 0)


def _sets() -> dict[str, dict[str, int]]:
    return {subset: _splits() for subset in SUBSETS}


def _tokens() -> dict[str, Any]:
    return {**dict.fromkeys(TOKENS, 0), "length_histogram": {}}


@dataclass(frozen=True)
class MineCounts(Counts):
    """Counts of rows, texts, pairs and training sets.

    ``pairs_differing``: pairs that score as positives but differ in a fact.
    ``queries`` are included in the texts; ``texts_by_split`` then counts queries only. ``places``:
    occurrences of texts, repeated ones included. ``shards``: number of pairs by shard. ``rows_written``: by
    set and split. ``tokens``: the counts of ``TOKENS``, and ``length_histogram``. ``neighbours``: the counts
    of each search (``cells_report`` of ``beam_sts.candidates.cells``), by split, or of ``queries``.
    ``languages``: from ``count_languages``.
    """

    rows_read: int = 0
    rows_rejected: int = 0
    rows_used: int = 0
    sentences: int = 0
    texts: int = 0
    queries: int = 0
    texts_too_short: int = 0
    texts_too_long: int = 0
    places: int = 0
    pairs: int = 0
    pairs_straddling: int = 0
    pairs_differing: int = 0
    pairs_reused: int = 0
    shards_damaged: int = 0
    rejected_reasons: dict[str, int] = field(default_factory=dict)
    pairs_by_origin: dict[str, int] = field(default_factory=dict)
    pairs_failed: dict[str, int] = field(default_factory=dict)
    score_histogram: dict[str, int] = field(default_factory=dict)
    texts_by_split: dict[str, int] = field(default_factory=_splits)
    rows_written: dict[str, dict[str, int]] = field(default_factory=_sets)
    neighbours: dict[str, dict[str, int]] = field(default_factory=dict)
    languages: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=_tokens)
    shards: dict[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Check that the counts add up.

        Raises:
            RuntimeError: they do not.
        """
        written, failed = sum(self.rows_written["raw"].values()), sum(self.pairs_failed.values())
        if (
            self.rows_used + self.rows_rejected != self.rows_read
            or written + failed != self.pairs
            or self.pairs != sum(self.shards.values())
        ):
            raise RuntimeError(f"the counts do not add up: {self}")
