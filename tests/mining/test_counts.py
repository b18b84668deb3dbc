"""Counts of mining: sums, checks, and JSON."""

import json

import pytest

from beam_sts.mining.counts import MineCounts


def counts(**more):
    raw = {"raw": {"train": 3, "test": 1}}
    whole = {"rows_read": 7, "rows_used": 6, "rows_rejected": 1, "pairs": 5, "shards": {"0": 5}}
    return MineCounts(**{**whole, "pairs_failed": {"too long": 1}, "rows_written": raw, **more})


def test_they_add_up_in_any_order_and_grouping():
    parts = [
        counts(),
        MineCounts(),
        counts(texts_by_split={"test": 2}),
        MineCounts(rejected_reasons={"null": 4}),
    ]
    whole = MineCounts.total(parts)
    assert whole == MineCounts.total(parts[::-1]) == parts[0] + (parts[1] + parts[2]) + parts[3]
    assert (whole.rows_read, whole.rejected_reasons) == (14, {"null": 4})
    assert whole.rows_written["raw"]["train"] == 6
    assert whole.rows_written["triplet"] == {"train": 0, "test": 0}
    assert MineCounts.total([]) == MineCounts()
    assert parts[0] == counts()  # addition does not change its operands


def test_they_come_back_from_json():
    assert MineCounts.read(json.loads(json.dumps(counts().dump()))) == counts()
    assert MineCounts.read({"texts": 3, "other": "x"}, some=True) == MineCounts(texts=3)


@pytest.mark.parametrize(
    "record",
    [
        {"txets": 1},
        {"texts": "1"},
        {"texts": -1},
        {"texts": True},
        {"texts": {}},
        {"shards": 1},
        {"shards": {"0": "x"}},
    ],
)
def test_what_is_no_count_is_refused(record):
    with pytest.raises(ValueError, match="MineCounts: "):
        MineCounts.read(record)


@pytest.mark.parametrize(
    "wrong", [{"rows_used": 5}, {"pairs": 4}, {"shards": {"0": 4}}, {"pairs_failed": {}}]
)
def test_what_does_not_add_up_is_an_error(wrong):
    counts().check()
    with pytest.raises(RuntimeError, match="do not add up"):
        counts(**wrong).check()
