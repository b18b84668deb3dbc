import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts import UserError
from beam_sts.io.reading import plan_input, read_slices


def _read(plan):
    for unit in plan.units:
        yield from read_slices(unit, plan.schema, ("text_a", "text_b"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 50), group=st.integers(1, 20), per_slice=st.integers(1, 60))
def test_slices_give_every_row_once_in_order_whatever_the_row_groups(tmp_path, rows, group, per_slice):
    table = pa.table({"id": pa.array(range(rows), pa.int64()), "text_a": [f"{i}" for i in range(rows)]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=group)
    plan = plan_input(str(tmp_path / "in.parquet"), per_slice)
    parts = list(_read(plan))
    assert all(len(p.table) == p.slice.rows <= per_slice for p in parts)
    assert [i for p in parts for i in p.table["id"].to_pylist()] == list(range(rows))
    assert [row for p in parts for row in p.rows] == list(range(rows))
    assert [p.slice.index for p in parts] == list(range(len(parts)))


def test_some_slices_of_a_unit_can_be_left_out(tmp_path):
    pq.write_table(pa.table({"id": list(range(100))}), tmp_path / "in.parquet", row_group_size=7)
    plan = plan_input(str(tmp_path / "in.parquet"), 10)
    unit = [plan.slices[i] for i in (1, 4, 7)]
    parts = list(read_slices(unit, plan.schema, ()))
    assert [p.table["id"].to_pylist() for p in parts] == [list(range(i, i + 10)) for i in (10, 40, 70)]


def test_every_type_is_carried_through_unchanged(tmp_path):
    import datetime as dt
    import decimal

    table = pa.table(
        {
            "text_a": pa.array(["x"]).dictionary_encode(),
            "when": pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us", tz="UTC")),
            "money": pa.array([decimal.Decimal("1.50")]),
            "list": [[1, 2]],
            "struct": [{"a": 1, "b": "x"}],
            "bytes": [b"\x00\xff"],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    (part,) = _read(plan_input(str(tmp_path / "in.parquet"), 10))
    assert part.table.equals(table)
    assert part.table.schema.equals(table.schema)


def test_files_of_different_columns_are_united(tmp_path):
    pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "x": ["a"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"y": [1.5], "id": pa.array([2], pa.int64())}), tmp_path / "2.parquet")
    plan = plan_input(str(tmp_path), 10)
    assert plan.schema.names == ["id", "x", "y"]
    rows = [row for part in _read(plan) for row in part.table.to_pylist()]
    assert rows == [{"id": 1, "x": "a", "y": None}, {"id": 2, "x": None, "y": 1.5}]


def test_columns_that_cannot_be_united_name_file_and_column(tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "2.parquet")
    with pytest.raises(UserError, match=r"2\.parquet: column 'id' is string here and int64"):
        plan_input(str(tmp_path), 10)


def test_a_truncated_file_is_named(tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "in.parquet")
    data = (tmp_path / "in.parquet").read_bytes()
    (tmp_path / "in.parquet").write_bytes(data[:-20])
    with pytest.raises(UserError, match=r"in\.parquet: not a readable Parquet file"):
        plan_input(str(tmp_path / "in.parquet"), 10)


def test_a_changed_file_has_another_content(tmp_path):
    def content(value):
        pq.write_table(pa.table({"id": [value]}), tmp_path / "in.parquet")
        return plan_input(str(tmp_path / "in.parquet"), 10).contents

    assert content("aa") != content("ab")
    assert content("aa") == content("aa")
