"""Counts of scoring, deduplication and evaluation: sums, and reading from records."""

import pytest

from beam_sts.dedup.counts import DedupCounts, RowCounts
from beam_sts.scoring.counts import ScoreCounts


def test_counts_of_slices_add_up_and_leave_out_what_is_no_count():
    record = {
        "rows_read": 3,
        "rows_scored": 2,
        "rows_rejected": 1,
        "reasons": {"null": 1},
        "read_seconds": 0.5,
    }
    total = ScoreCounts.total(ScoreCounts.read(one, some=True) for one in (record, record))
    assert (total.rows_read, total.reasons, total.histogram) == (6, {"null": 2}, {})
    total.check(6)
    with pytest.raises(RuntimeError, match="7 rows in the plan, 6 read"):
        total.check(7)


def test_rows_of_a_deduplication_are_kept_removed_or_rejected():
    rows = RowCounts(rows_read=5, rows_kept=2, rows_removed=2, rows_rejected=1, reasons={"null": 1})
    rows.check(5)
    assert rows.summary()["rejected_reasons"] == {"null": 1}
    with pytest.raises(RuntimeError, match="do not add up"):
        (rows + RowCounts(rows_kept=1)).check(5)


def test_rows_that_are_in_no_cluster_are_clusters_of_one():
    counts = DedupCounts(rows={"0": 10, "1": 2}, texts_compared=11, cluster_sizes={"2": 2, "3": 1})
    summary = counts.summary([], [], [], {}, keeps_blank=False)
    assert (summary["clusters"], summary["cluster_sizes"]) == (3, {"1": 3, "2": 2, "3": 1})
    assert (summary["rows_against"], summary["identical_rows"]) == (2, 1)
    assert summary["verify"]["scored"] == 0
    assert "seconds" not in summary["verify"]
