import csv
import datetime as dt
import decimal
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io.encode import FORMULA_STARTS, check_encodable, encode

ROWS = pa.table(
    {
        "text": pa.array(['a "q", b\r', None, ""]),
        "score": pa.array([0.1, float("nan"), None], pa.float32()),
        "n": pa.array([1, None, -(2**63)], pa.int64()),
        "ok": [True, False, None],
        "d": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("1E+2")], pa.decimal128(9, 2)),
        "t": pa.array([1, None, 2], pa.timestamp("ns", "UTC")),
        "day": [dt.date(2024, 1, 2), None, dt.date(1, 1, 1)],
        "l": [[1.5, float("inf")], None, []],
        "s": [{"b": b"\xff", "t": "x"}, None, {"b": None, "t": None}],
        "c": pa.array(["x", None, "x"]).dictionary_encode(),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    }
)


def test_json_lines_hold_every_type():
    first, nulls, last = map(json.loads, encode(ROWS, "jsonl").decode().splitlines())
    assert first == {
        "text": 'a "q", b\r',
        "score": 0.1,
        "n": 1,
        "ok": True,
        "d": "1.50",
        "t": "1970-01-01T00:00:00.000000001Z",
        "day": "2024-01-02",
        "l": [1.5, None],
        "s": {"b": "/w==", "t": "x"},
        "c": "x",
        "m": [["k", 1]],
    }
    assert set(nulls.values()) == {None, False}
    assert (last["n"], last["d"], last["day"]) == (-(2**63), "100.00", "0001-01-01")


def test_csv_holds_every_type():
    header, first, nulls, last = csv.reader(io.StringIO(encode(ROWS, "csv").decode(), newline=""))
    assert header == ROWS.column_names
    assert first == [
        'a "q", b\r', "0.1", "1", "true", "1.50", "1970-01-01T00:00:00.000000001Z", "2024-01-02",
        "[1.5, null]", '{"b": "/w==", "t": "x"}', "x", '[["k", 1]]',
    ]  # fmt: skip
    assert nulls == ["", "", "", "false", *[""] * 7]
    assert last[:3] == ["", "", str(-(2**63))]


def test_parquet_holds_every_type_unchanged():
    read = pq.read_table(pa.BufferReader(encode(ROWS, "parquet")))
    assert read.schema.types == ROWS.schema.types
    assert str(read.to_pylist()) == str(ROWS.to_pylist())  # NaN is not equal to itself


def test_undecodable_bytes_of_a_carried_column_are_shown():
    offsets = pa.array([0, 1, 3], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xffb")])
    assert json.loads(encode(pa.table({"x": bad}), "jsonl").splitlines()[1]) == {"x": "\\xffb"}


def test_a_type_that_the_format_cannot_hold_is_refused_before_the_work():
    union = pa.field("u", pa.dense_union([pa.field("a", pa.int8())]))
    with pytest.raises(UserError, match=r"column 'u' holds dense_union.*--output_format"):
        check_encodable(pa.schema([pa.field("a", pa.string()), union]), "parquet")
    check_encodable(ROWS.schema, "csv")


def test_formulas_are_defused_on_request_only():
    texts = [f"{start}cmd|' /C calc'!A0" for start in FORMULA_STARTS] + ["plain", "", " =1", "'=1"]
    table = pa.table({"=head": texts, "n": range(-5, 5)})
    plain = list(csv.reader(io.StringIO(encode(table, "csv").decode(), newline="")))
    safe = list(csv.reader(io.StringIO(encode(table, "csv", csv_safe=True).decode(), newline="")))
    assert [row[0] for row in plain] == ["=head", *texts]
    assert [row[0] for row in safe] == [
        "'=head",
        *(f"'{t}" for t in texts[: len(FORMULA_STARTS)]),
        *texts[-4:],
    ]
    assert [row[1] for row in safe] == ["n", *map(str, range(-5, 5))]  # numbers are not formulas


@settings(max_examples=50)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_scores_read_back_as_the_same_floats(values):
    table = pa.table({"score": pa.array(values, pa.float32())})
    read = [json.loads(line)["score"] for line in encode(table, "jsonl").splitlines()]
    assert np.array(read, np.float32).tolist() == values
    rows = list(csv.reader(io.StringIO(encode(table, "csv").decode())))[1:]
    assert np.array([float(row[0]) for row in rows], np.float32).tolist() == values


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_texts_that_are_not_utf8_and_dates_that_python_lacks_are_shown_inside_of_other_values_too(form):
    bad = pa.array([b"\xffA", b"fine", None], pa.binary()).view(pa.string())
    far = pa.array([2**40, 0, None], pa.int64()).cast(pa.timestamp("s"))
    record = pa.StructArray.from_arrays(
        [
            bad,
            bad.dictionary_encode(),
            far,
            pa.ListArray.from_arrays(pa.array([0, 2, 3, 3], pa.int32()), bad),
            pa.StructArray.from_arrays([bad], ["inner"]),
        ],
        ["text", "coded", "far", "list", "nested"],
    )
    text = encode(pa.table({"record": record}), form).decode()
    rows = [json.loads(line)["record"] for line in text.splitlines()] if form == "jsonl" else None
    if rows is None:
        rows = [json.loads(line[0]) for line in list(csv.reader(io.StringIO(text)))[1:]]
    assert rows[0]["text"] == rows[0]["coded"] == rows[0]["nested"]["inner"] == "\\xffA"
    assert rows[0]["list"] == ["\\xffA", "fine"]
    assert "1099511627776" in rows[0]["far"]
    assert rows[1]["text"] == "fine"
    assert rows[2]["text"] is rows[2]["far"] is None


def test_durations_to_the_nanosecond():
    """Values for which Python has no type and pandas, if it is installed, has another text."""
    day = 86_400 * 10**9
    counts = pa.array([0, 1, 1_000, 61 * 10**9, day, 2 * day + 5, -1, None], pa.duration("ns"))
    nested = pa.StructArray.from_arrays([counts], ["d"])
    rows = [json.loads(line) for line in encode(pa.table({"d": counts, "s": nested}), "jsonl").splitlines()]
    told = ["0:00:00", "0:00:00.000000001", "0:00:00.000001", "0:01:01", "1 day, 0:00:00"]
    told += ["2 days, 0:00:00.000000005", "-1 day, 23:59:59.999999999", None]
    assert [row["d"] for row in rows] == told
    assert [row["s"]["d"] for row in rows] == told
    coarse = pa.chunked_array([pa.array([1, -90_000], pa.duration("s"))])
    expected = [str(dt.timedelta(seconds=seconds)) for seconds in (1, -90_000)]
    assert encode(pa.table({"d": coarse}), "jsonl").decode().split('"')[3::4] == expected
