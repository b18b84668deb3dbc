"""The counts of a deduplication, on one machine or with Beam. The summary is made from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from beam_sts.dedup.verify import VerifyStats
from beam_sts.io.counts import Counts
from beam_sts.io.summary import quantiles


@dataclass(frozen=True)
class RowCounts(Counts):
    """The numbers of rows by outcome. ``reasons`` counts the rejections."""

    rows_read: int = 0
    rows_kept: int = 0
    rows_removed: int = 0
    rows_rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def check(self, rows: int) -> None:
        """Check that the counts add up to the planned rows.

        Raises:
            RuntimeError: they do not.
        """
        if self.rows_read != rows or self.rows_kept + self.rows_removed + self.rows_rejected != rows:
            raise RuntimeError(f"the counts do not add up: {rows} rows planned, {self}")

    def summary(self) -> dict[str, Any]:
        """The counts as in ``summary.json``."""
        counts = self.dump()
        reasons = counts.pop("reasons")
        return {**counts, "rejected_reasons": reasons}


@dataclass(frozen=True)
class DedupCounts(Counts):
    """The numbers of texts, pairs and clusters.

    ``rows`` counts rows by side: ``0`` is the input, ``1`` another input to compare against. ``verify`` has
    the fields of ``VerifyStats`` without seconds. ``cluster_sizes`` counts clusters with several rows of the
    input.
    """

    rows: dict[str, int] = field(default_factory=dict)
    texts_compared: int = 0
    rows_blank: int = 0
    pairs: int = 0
    pairs_accepted: int = 0
    pairs_reused: int = 0
    pairs_guard: int = 0
    pairs_bounded: int = 0
    pairs_failed: int = 0
    pairs_guarded: int = 0
    pairs_parted: int = 0
    verify: dict[str, Any] = field(default_factory=dict)
    unverified: int = 0
    cluster_sizes: dict[str, int] = field(default_factory=dict)
    score_histogram: dict[str, int] = field(default_factory=dict)
    shards_damaged: int = 0

    def summary(
        self,
        candidates: list[dict[str, Any]],
        clusters: list[dict[str, Any]],
        thresholds: list[dict[str, Any]],
        learnt: dict[str, Any],
        *,
        keeps_blank: bool,
    ) -> dict[str, Any]:
        """The counts as in ``summary.json``.

        Args:
            candidates: the report of each source.
            clusters: the largest clusters.
            thresholds: the table of thresholds.
            learnt: from ``Learnt.record``.
            keeps_blank: whether empty texts are kept.
        """
        rows = {side: self.rows.get(side, 0) for side in "01"}
        sizes = {int(size): count for size, count in self.cluster_sizes.items()}
        sizes[1] = rows["0"] - sum(size * count for size, count in sizes.items() if size > 1)
        verify = {**asdict(VerifyStats()), **self.verify}
        verify.pop("seconds")
        return {
            **learnt,
            "rows_against": rows["1"],
            "texts_compared": self.texts_compared,
            "identical_rows": sum(rows.values()) - self.texts_compared,
            "empty_texts_kept": self.rows_blank if keeps_blank else 0,
            "candidates": candidates,
            "pairs": self.pairs,
            "pairs_accepted": self.pairs_accepted,
            "pairs_scored": verify["pairs"],
            "pairs_reused": self.pairs_reused,
            "pairs_guard": self.pairs_guard,
            "pairs_bounded": self.pairs_bounded,
            "pairs_failed": self.pairs_failed,
            "pairs_guarded": self.pairs_guarded,
            "pairs_parted": self.pairs_parted,
            "verify": verify,
            "unverified": self.unverified,
            "clusters": sum(count for size, count in sizes.items() if size > 1),
            "cluster_sizes": {str(size): count for size, count in sorted(sizes.items()) if count},
            "largest_clusters": clusters,
            "thresholds": thresholds,
            "score_quantiles": quantiles(self.score_histogram),
            "score_histogram": self.score_histogram,
            "shards_damaged": self.shards_damaged,
        }
