import json

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from beam_sts.errors import UserError
from beam_sts.io.column_paths import column_at, find_path
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.schema import unite
from beam_sts.scoring.columns import text_schema


def read(folder, texts=()):
    plan = plan_input(str(folder), 100)
    parts = [part for unit in plan.units for part in read_slices(unit, plan.schema, texts)]
    return plan.schema, pa.concat_tables([part.table for part in parts])


def united(first, second):
    return unite(pa.schema([("x", first)]), pa.schema([("x", second)]), "f").field("x").type


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.null(), pa.string(), pa.string()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.list_(pa.int8()), pa.list_(pa.int64()), pa.list_(pa.int64())),
    ],
)
def test_types_widen(first, second, both):
    assert united(first, second) == united(second, first) == both


def test_structs_have_the_fields_of_both():
    first, second = pa.struct([("a", pa.int8())]), pa.struct([("a", pa.int16()), ("b", pa.string())])
    assert united(first, second) == second


@pytest.mark.parametrize("second", [pa.int64(), pa.list_(pa.string()), pa.timestamp("s"), pa.bool_()])
def test_types_that_do_not_go_together_are_refused(second):
    with pytest.raises(UserError, match=r"f: column 'x' is .* here and string in the files before it"):
        united(pa.string(), second)


def test_absent_columns_are_null_and_order_is_that_of_first_appearance(tmp_path):
    required = pa.schema([pa.field("b", pa.int64(), nullable=False), pa.field("a", pa.string())])
    pq.write_table(pa.table({"b": [1], "a": ["x"]}, schema=required), tmp_path / "0.parquet")
    (tmp_path / "1.csv").write_text("c,a\n07,y\n")
    feather.write_feather(pa.table({"a": pa.array(["z"]).dictionary_encode()}), tmp_path / "2.feather")
    schema, table = read(tmp_path)
    assert schema.names == ["b", "a", "c"]
    assert table.to_pylist() == [
        {"b": 1, "a": "x", "c": None},
        {"b": None, "a": "y", "c": "07"},
        {"b": None, "a": "z", "c": None},
    ]


def test_a_value_that_does_not_fit_the_wider_type_is_named(tmp_path):
    pq.write_table(pa.table({"n": [2**60 + 1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"n": [0.5]}), tmp_path / "1.parquet")
    with pytest.raises(UserError, match=r"0\.parquet: column 'n' is int64 here and does not fit double"):
        read(tmp_path)


def test_json_text_beside_another_files_strings_is_json_text_for_both(tmp_path):
    pq.write_table(pa.table({"m": ["x", None]}), tmp_path / "0.parquet")
    (tmp_path / "1.jsonl").write_text('{"m": 1}\n{"m": "y"}\n')
    (tmp_path / "2.jsonl").write_text('{"m": "z"}\n')
    assert read(tmp_path)[1]["m"].to_pylist() == ['"x"', None, "1", '"y"', '"z"']


def test_types_without_kernels_become_their_plain_twins(tmp_path):
    views = pa.table(
        {
            "v": pa.array(["x", None], pa.string_view()),
            "s": pa.array([{"w": b"1"}, None], pa.struct([("w", pa.binary_view())])),
            "l": pa.array([["a"], None], pa.list_(pa.string_view())),
            "r": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["q"])),
        }
    )
    with pa.ipc.new_file(str(tmp_path / "0.arrow"), views.schema) as writer:
        writer.write_table(views)
    schema, table = read(tmp_path)
    assert [str(kind) for kind in schema.types] == [
        "large_string", "struct<w: large_binary>", "list<item: large_string>", "string",
    ]  # fmt: skip
    assert table.take([1, 0]).to_pylist() == list(reversed(views.to_pylist()))


def test_paths_reach_into_structs():
    inner = pa.struct([("b", pa.string()), ("c.d", pa.struct([("e", pa.string())]))])
    table = pa.table({"a": pa.array([{"b": "x", "c.d": {"e": "y"}}, None], inner), "a.b": ["own", "own"]})
    assert column_at(table, "a.b").to_pylist() == ["own", "own"]
    assert column_at(table.drop_columns("a.b"), "a.b").to_pylist() == ["x", None]
    assert column_at(table, "a.c.d.e").to_pylist() == ["y", None]
    assert [find_path(table.schema, name) for name in ("a.x", "b", "a.b.c", "", ".")] == [None] * 5


def test_a_nested_text_of_json_lines_that_is_no_text_is_a_bad_row(tmp_path):
    rows = [{"a": {"b": "x"}}, {"a": {"b": 5}}, {"a": None}, {"a": {}}, {}]
    (tmp_path / "0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = plan_input(str(tmp_path), 100)
    schema = text_schema(plan.schema, ["a.b"])
    (part,) = read_slices(plan.units[0], schema, ["a.b"])
    assert column_at(part.table, "a.b").to_pylist() == ["x", None, None, None]
    assert [(row.row, row.reason) for row in part.bad] == [(1, "line 2: no text in column 'a.b': it holds 5")]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.long
def test_a_file_of_very_many_columns_is_planned_and_read(tmp_path, suffix):
    names = [f"c{i}" for i in range(20_000)]
    if suffix == "csv":
        (tmp_path / "0.csv").write_text(",".join(names) + "\n" + ",".join(names) + "\n")
    else:
        pq.write_table(pa.table({name: [name] for name in names}), tmp_path / "0.parquet")
    (tmp_path / "1.csv").write_text("more\nx\n")
    schema, table = read(tmp_path)
    assert schema.names == [*names, "more"]
    assert table["c19999"].to_pylist() == ["c19999", None]
