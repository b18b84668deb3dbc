"""JSON Lines in, JSON Lines out: values are not changed."""

import json
import tracemalloc
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io import jsonl
from beam_sts.io.column_paths import RAW
from beam_sts.io.encode import encode
from beam_sts.io.expressions import evaluate
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import ReadOptions
from beam_sts.scoring.columns import choose_columns

RAW_ROWS = ReadOptions(raw=True)


def read(path, options=RAW_ROWS, per_slice=1000):
    plan = plan_input(str(path), per_slice, options)
    parts = [part for unit in plan.units for part in read_slices(unit, plan.schema, (), options)]
    return plan, parts


def exactly(text):
    """Parse a JSON value to the last digit, with the order of keys and the literals that JSON lacks."""
    return json.loads(text, parse_int=Decimal, parse_float=str, parse_constant=str, object_pairs_hook=list)


def through(path, options=RAW_ROWS, per_slice=1000):
    """The lines of a table of the file's rows with a score."""
    _, parts = read(path, options, per_slice)
    assert not [bad for part in parts for bad in part.bad]
    tables = [part.table.append_column("score", pa.array([0.5] * len(part.table))) for part in parts]
    return [line for table in tables for line in encode(table, "jsonl").decode().splitlines()]


NUMBERS = (
    *("0", "-0", "-0.0", "1", "1.0", "1e2", "1E400", "-1e-400", "0.30000000000000004", "1.10"),
    *("9007199254740993", "9223372036854775808", "18446744073709551615", "-9223372036854775809"),
    *("0.1234567890123456789012345", "123456789012345678901234567890", "NaN", "Infinity", "-Infinity"),
)
LINES = [
    '{"a": 7, "b": null}',
    '{"a": "007"}',
    '{"b": [], "a": {}}',
    '{"a": [1, "x", null, {"y": []}], "c": {"z": 1}}',
    '{"c": {"w": [[]], "z": "\\u00e9\\n"}, "a": true}',
    '{  "d" :\t"sp\\/aced"  }',
    "{}",
    '{"": 1, "score ": 2, "\\u0000": 3}',
    *(f'{{"n": {number}, "l": [{number}], "o": {{"n": {number}}}}}' for number in NUMBERS),
]


@pytest.mark.parametrize("per_slice", [1, 5, 1000])
def test_each_line_comes_out_as_it_went_in(tmp_path, per_slice):
    path = tmp_path / "in.jsonl"
    path.write_text("\ufeff" + "\r\n".join(LINES), encoding="utf-8")
    for line, got in zip(LINES, through(path, per_slice=per_slice), strict=True):
        assert exactly(got) == [*exactly(line), ("score", "0.5")]


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=2), v, max_size=3)
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), values, max_size=4), max_size=20), st.integers(1, 7))
@pytest.mark.long
def test_any_objects_come_out_as_they_went_in(tmp_path, rows, per_slice):
    rows = [*rows, {"a": 1}]  # a file without columns is refused
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    got = [json.loads(line) for line in through(path, per_slice=per_slice)]
    assert got == [{**row, "score": 0.5} for row in rows]
    assert [list(row) for row in got] == [[*row, "score"] for row in rows]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=3), max_size=20))
@pytest.mark.long
def test_any_objects_keep_their_values_in_columns_of_types_too(tmp_path, rows):
    """As in Parquet output, a missing key is null, and a column of several types is JSON text."""
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"a": 1}]))
    _, parts = read(path, ReadOptions())
    (part,) = parts
    pq.write_table(part.table, tmp_path / "out.parquet")  # every type is one that Parquet has
    for at, row in enumerate(rows):
        for field in part.table.schema:
            cell = part.table.column(field.name)[at].as_py()
            assert same(cell, row.get(field.name), field)


def same(cell, value, field):
    if field.metadata:
        return (value is None and cell is None) or json.loads(cell) == value
    if pa.types.is_struct(field.type) and isinstance(value, dict):
        return all(same(cell[child.name], value.get(child.name), child) for child in field.type)
    if pa.types.is_list(field.type) and isinstance(value, list):
        children = field.type.value_field
        return all(same(one, other, children) for one, other in zip(cell, value, strict=True))
    return cell == value and type(cell) in (type(value), float)


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        ([17, 2**63 + 5, 2**64 - 1], pa.uint64()),
        ([0, 2**64], pa.string()),
        ([-1, 2**63], pa.string()),
        ([-1, 2**63 - 1], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([2**53 + 1, 0.5], pa.string()),
        ([2**53, 0.5], pa.float64()),
        ([[1], [2**64 - 1]], pa.list_(pa.uint64())),
        ([[-1], [2**64 - 1]], pa.string()),
        ([{"x": 1}, {"x": 2**63}], pa.struct([("x", pa.uint64())])),
    ],
)
@pytest.mark.parametrize("block", [1, 8192])
def test_integers_have_the_type_that_holds_them_all(tmp_path, monkeypatch, numbers, kind, block):
    monkeypatch.setattr(jsonl, "_BLOCK_ROWS", block)
    for order in (numbers, numbers[::-1]):
        path = tmp_path / "in.jsonl"
        path.write_text("".join(f'{{"v": {json.dumps(number)}}}\n' for number in order))
        plan, parts = read(path, ReadOptions())
        assert plan.schema.field("v").type == kind
        read_back = parts[0].table["v"].to_pylist()
        assert [json.loads(v) for v in read_back] == order if kind == pa.string() else read_back == order


@pytest.mark.parametrize("values", [[1, "two"], [True, ["l"]], [{"k": 1}, {"k": "x"}, 2.5], ["a", None, 7]])
def test_a_column_of_several_types_is_the_same_in_one_file_or_many(tmp_path, values):
    lines = [json.dumps({"t": "text", "v": value}) + "\n" for value in values]
    (tmp_path / "one.jsonl").write_text("".join(lines))
    (tmp_path / "many").mkdir()
    for number, line in enumerate(lines):
        (tmp_path / "many" / f"{number}.jsonl").write_text(line)
    found = []
    for name in ("one.jsonl", "many"):
        plan, parts = read(tmp_path / name, ReadOptions())
        found.append((plan.schema, [row for part in parts for row in part.table.to_pylist()]))
    assert found[0] == found[1]


def test_types_of_a_file_that_states_them_are_no_json_text(tmp_path):
    (tmp_path / "0.jsonl").write_text('{"v": "two"}\n')
    pq.write_table(pa.table({"v": [1]}), tmp_path / "1.parquet")
    with pytest.raises(UserError, match="column 'v' is int64 here and string in the files before it"):
        plan_input(str(tmp_path), 10)


def test_rows_of_other_files_have_their_own_values_beside(tmp_path):
    (tmp_path / "lang=en").mkdir()
    (tmp_path / "lang=en" / "1.jsonl").write_text('{"x": "07", "n": 1}\n{"n": 2.50, "lang": null}\n')
    (tmp_path / "2.jsonl").write_text('{"x": "\\u0037"}\n')
    pq.write_table(pa.table({"n": [3.5], "p": ["only here"]}), tmp_path / "0.parquet")
    got = through(tmp_path)
    assert got == [
        '{"n": 3.5, "p": "only here", "x": null, "lang": null, "score": 0.5}',
        '{"x": "\\u0037", "score": 0.5}',
        '{"x": "07", "n": 1, "score": 0.5}',
        '{"n": 2.50, "lang": null, "score": 0.5}',
    ]


def test_a_folders_column_joins_the_row(tmp_path):
    (tmp_path / "lang=en").mkdir()
    (tmp_path / "lang=en" / "1.jsonl").write_text('{"x": 1.0}\n{}\n')
    assert through(tmp_path) == [
        '{"x": 1.0, "lang": "en", "score": 0.5}',
        '{"lang": "en", "score": 0.5}',
    ]


def test_a_rejected_row_is_shown_as_it_stood(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"t": null, "n": 1.10}\n{bad\n{"t": "x", "n": "7"}\n')
    plan, (part,) = read(tmp_path / "in.jsonl")
    lines = encode(rejected_table(part, [0], ["null text"], rejected_schema(plan.schema)), "jsonl").decode()
    first, second = lines.splitlines()
    assert '"record": {"t": null, "n": 1.10}' in first
    assert json.loads(second)["record"] is None
    assert json.loads(second)["line"] == "{bad"


def test_the_rows_as_they_stand_are_in_no_other_output(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n')
    _, (part,) = read(tmp_path / "in.jsonl")
    assert pq.read_table(pa.BufferReader(encode(part.table, "parquet"))).column_names == ["a"]
    assert encode(part.table, "csv") == b"a\n1\n"


def test_the_column_of_rows_as_they_stand_can_be_neither_named_nor_seen(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": 1, "s": {"b": 2}}\n')
    plan, (part,) = read(tmp_path / "in.jsonl")
    assert part.table.column_names == ["a", "s", RAW]
    for wrong in (RAW, f"lower({RAW})", "a + nothing", "strptime(a, 1)", "a ||"):
        with pytest.raises(UserError) as caught:
            evaluate(part.table, wrong, "--keep highest:")
        assert RAW not in str(caught.value).replace(wrong, "").replace(f"column {RAW!r}", "")
    with pytest.raises(UserError, match=r"among 'a', 's'\. Name"):
        choose_columns(plan.schema, None, None)
    with pytest.raises(UserError, match="is not in the input; its columns are 'a', 's'"):
        choose_columns(plan.schema, RAW, "a")


def nested(kind, depth):
    opening, closing = {"object": ('{"a":', "}"), "list": ("[", "]"), "both": ('[{"a":', "}]")}[kind]
    depth = depth // 2 if kind == "both" else depth
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("kind", ["object", "list", "both"])
@pytest.mark.parametrize("raw", [True, False])
def test_a_value_nested_deep_is_json_text_or_its_row_is_rejected(tmp_path, kind, raw):
    lines = [f'{{"t": "x", "z": {nested(kind, depth)}}}' for depth in (34, 200, 254)]
    deep = [f'{{"t": "x", "z": {nested(kind, depth)}}}' for depth in (258, 900, 5000, 100_000)]
    unclosed = ['{"t": "x", "z": ' + "[" * 100_000, "[" * 300, '{"z":' * 300]
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join([*lines, *deep, *unclosed]))
    plan, (part,) = read(path, ReadOptions(raw=raw))
    assert plan.schema.field("z").type == pa.string()
    assert part.table["z"].to_pylist() == [json.dumps(json.loads(line)["z"]) for line in lines]
    assert len(part.bad) == len(deep) + len(unclosed)
    assert all("nested too deep: over the limit of 256 levels" in bad.reason for bad in part.bad)
    assert [json.loads(line)["t"] for line in encode(part.table, "jsonl").splitlines()] == ["x"] * len(lines)
    assert encode(rejected_table(part, [2], ["r"], rejected_schema(plan.schema)), "jsonl")


def test_brackets_in_texts_are_no_nesting(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [{"t": '["\\' * 1000 + "[{" * 1000}, {"t": [[1]] * 1000}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [json.loads(line)["t"] for line in through(path)] == [row["t"] for row in rows]


@pytest.mark.parametrize("part", ["[],", "{},", "1.5,", '"ab",'])
@pytest.mark.long
def test_a_row_of_very_many_values_is_rejected_before_it_fills_the_memory(tmp_path, part):
    path = tmp_path / "in.jsonl"
    path.write_text('{"t": "x"}\n{"t": [' + part * 4_000_001 + "1]}\n")
    tracemalloc.start()
    _, (found,) = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too many values: over the limit of 4,000,000" in found.bad[0].reason
    assert peak < 20 * path.stat().st_size


@pytest.mark.long
def test_more_columns_than_the_limit_are_refused_and_maps_are_json_text(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"m": {{"k{row}": 1}}, "t": "x"}}\n' for row in range(10_001)))
    plan, _ = read(path, ReadOptions())
    assert plan.schema.field("m").type == pa.string()
    path.write_text("{" + ", ".join(f'"k{at}": 1' for at in range(200_001)) + "}\n")
    with pytest.raises(UserError, match=r"has 200,001 columns, over the limit of 200,000"):
        read(path)
    (tmp_path / "in.csv").write_text("," * 200_000)
    with pytest.raises(UserError, match=r"has 200,001 columns, over the limit of 200,000"):
        plan_input(str(tmp_path / "in.csv"), 5)
