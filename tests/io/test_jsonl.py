import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts import UserError
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.scoring.columns import text_schema

COLUMNS = ("text_a", "text_b")
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)
noise = st.sampled_from([b"{bad", b"5", b"[1]", b'"x"', b"\xff\xfe", b'{"text_a": "\\ud800"}', b"{", b"null"])


def _read(path, per_slice=1000, columns=COLUMNS):
    plan = plan_input(str(path), per_slice)
    schema = text_schema(plan.schema, [name for name in columns if name in plan.schema.names])
    parts = [p for unit in plan.units for p in read_slices(unit, schema, columns)]
    return plan, parts


def _write(path, *lines):
    path.write_bytes(b"\n".join(lines))
    return path


def _fits(value):
    """Whether a value fits an Arrow type without conversion."""
    return (
        value is None
        or isinstance(value, (bool, str, float))
        or (isinstance(value, int) and abs(value) < 2**31)
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.sampled_from("abc"), values, max_size=3) | noise, max_size=30),
    per_slice=st.integers(1, 40),
    blank=st.sampled_from([b"", b"  ", b"\r"]),
)
@pytest.mark.long
def test_good_and_bad_rows_together_are_every_row_once_in_order(tmp_path, rows, per_slice, blank):
    rows = [*rows, {"a": "x"}]  # a file without any column is refused, see below
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
    path = _write(tmp_path / "in.jsonl", *[x for line in lines for x in (line, blank)])
    plan, parts = _read(path, per_slice)
    seen = sorted([row for p in parts for row in p.rows] + [b.row for p in parts for b in p.bad])
    assert seen == list(range(len(rows)))
    assert plan.rows == len(rows)
    for part in parts:
        for number, record in zip(part.rows, part.table.to_pylist(), strict=True):
            for name, value in rows[number].items():
                got = record[name]
                if plan.schema.field(name).metadata:
                    got = None if got is None else json.loads(got)
                if _fits(value):
                    assert got == value


def test_what_looks_like_a_date_stays_a_string(tmp_path):
    path = _write(tmp_path / "in.jsonl", b'{"d": "2020-01-01", "t": "2020-01-01T00:00:00Z"}')
    _, (part,) = _read(path)
    assert part.table.to_pylist() == [{"d": "2020-01-01", "t": "2020-01-01T00:00:00Z"}]


def test_a_column_of_mixed_values_is_carried_as_json_text(tmp_path):
    path = _write(tmp_path / "in.jsonl", b'{"m": 1}', b'{"m": "x"}', b'{"m": [1, {"y": null}]}', b"{}")
    _, (part,) = _read(path)
    assert part.table["m"].to_pylist() == ["1", '"x"', '[1, {"y": null}]', None]


def test_integers_beside_floats_become_floats(tmp_path):
    _, (part,) = _read(_write(tmp_path / "in.jsonl", b'{"m": 1}', b'{"m": 1.5}'))
    assert part.table["m"].to_pylist() == [1.0, 1.5]


def test_bad_lines_are_named_by_line_and_kept(tmp_path):
    path = _write(
        tmp_path / "in.jsonl",
        b'\xef\xbb\xbf{"text_a": "x", "text_b": "y"}',
        b"",
        b"{bad}",
        b'{"text_a": 5, "text_b": "y"}',
        b'{"text_a": ["x"], "text_b": "y"}',
        b'{"text_a": "\xff"}',
        b"[" * 100_000,
    )
    _, (part,) = _read(path)
    assert part.table.to_pylist() == [{"text_a": "x", "text_b": "y"}]
    assert [(b.row, b.reason.split(": ")[0]) for b in part.bad] == [
        (1, "line 3"),
        (2, "line 4"),
        (3, "line 5"),
        (4, "line 6"),
        (5, "line 7"),
    ]
    assert part.bad[0].line == "{bad}"
    assert "no text in column 'text_a': it holds 5" in part.bad[1].reason
    assert "UTF-8" in part.bad[3].reason


def test_a_file_without_any_object_is_refused(tmp_path):
    with pytest.raises(UserError, match="none of its 2 lines is a JSON object"):
        plan_input(str(_write(tmp_path / "in.jsonl", b"1", b"2")), 10)


@pytest.mark.parametrize(
    "lines",
    [
        [b"[", b'{"a": 1},', b'{"a": 2}', b"]"],
        [b"\xef\xbb\xbf  [", b"", b'{"a": 1}', b',{"a": 2}', b"]"],
        [b'[{"a": 1},', b'{"a": 2}]'],
        [b'[{"a": 1}, {"a": 2}]'],
    ],
)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_json_array_is_refused_rather_than_read_in_part(tmp_path, lines, ending):
    with pytest.raises(UserError, match=r"is a JSON array; convert it to one object per line: jq"):
        plan_input(str(_write(tmp_path / f"in.{ending}", *lines)), 10)


def test_a_list_among_objects_is_a_bad_row(tmp_path):
    _, (part,) = _read(_write(tmp_path / "in.jsonl", b"[1, 2]", b'{"a": 1}'))
    assert part.table.to_pylist() == [{"a": 1}]
    assert [b.reason for b in part.bad] == ["line 1: a JSON list, not an object"]


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = _write(tmp_path / "in.jsonl", b'{"a": 1}', b'{"a": 2}')
    plan = plan_input(str(path), 10)
    _write(path, b'{"a": 10000000000}')
    with pytest.raises(UserError, match="changed while it was read"):
        list(read_slices(plan.units[0], plan.schema, ()))
