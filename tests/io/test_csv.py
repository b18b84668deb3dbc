import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io import lines, streams
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from tests.io.samples import CSV_NUL

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path, per_slice=1000, options=None):
    """The good rows, their numbers, and the bad rows of a file, read slice by slice in reverse."""
    plan = plan_input(str(path), per_slice, options)
    parts = [part for unit in reversed(plan.units) for part in read_slices(unit, plan.schema, (), options)]
    parts.sort(key=lambda part: part.slice.index)
    rows = [row for part in parts for row in part.table.to_pylist()]
    numbers = [number for part in parts for number in part.rows]
    bad = [row for part in parts for row in part.bad]
    assert sorted([*numbers, *(row.row for row in bad)]) == list(range(plan.rows))
    return rows, numbers, bad


def write(path, data):
    path.write_bytes(data)
    return path


def test_texts_stay_as_they_are_in_the_file(tmp_path):
    fields = ["007", "NA", "1e5", "2024-01-02", "", " lead", "true", "null", "NaN", "a\0b", '5" pipe', "é"]
    data = ",".join(f"c{i}" for i in range(len(fields))) + "\n" + ",".join(fields) + "\n"
    rows, _, bad = read(write(tmp_path / "in.csv", data.encode()))
    assert list(rows[0].values()) == fields
    assert bad == []


def test_byte_order_mark_mixed_line_ends_and_blank_lines(tmp_path):
    data = b'\xef\xbb\xbf\r\nid,t\n1,a\r\n2,b\r3,"c\r\nd"\r\n\r\n\n4,e'
    rows, numbers, bad = read(write(tmp_path / "in.csv", data))
    assert [(row["id"], row["t"]) for row in rows] == [("1", "a"), ("2", "b"), ("3", "c\r\nd"), ("4", "e")]
    assert (numbers, bad) == ([0, 1, 2, 3], [])


def test_bad_rows_are_named_by_line_and_kept(tmp_path):
    data = b'a,b\n1,2\nalone\n"x\ny",4\n1,2,3\n\xff,5\n"p"q,6\n7,8\n'
    rows, numbers, bad = read(write(tmp_path / "in.csv", data))
    assert [row["a"] for row in rows] == ["1", "x\ny", "7"]
    assert numbers == [0, 2, 6]
    assert [(row.row, row.reason.partition(":")[0], row.line) for row in bad] == [
        (1, "line 3", "alone"),
        (3, "line 6", "1,2,3"),
        (4, "line 7", "\\xff,5"),
        (5, "line 8", '"p"q,6'),
    ]
    assert "1, the header has 2" in bad[0].reason
    assert "UTF-8" in bad[2].reason
    assert "quote not closed" in bad[3].reason


@pytest.mark.parametrize("rest", [b"2,b\n3,c\n", b'2,b\n"3",c\n', b'2,"b"\n3,c\n', b'2,b ""\n3,c\n'])
@pytest.mark.parametrize("per_slice", [1, 100])
def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_after_it(tmp_path, rest, per_slice):
    rows, _, bad = read(write(tmp_path / "in.csv", b'id,t\n1,"oops\n' + rest), per_slice)
    assert [row["id"] for row in rows] == ["2", "3"]
    assert [(row.row, row.line) for row in bad] == [(0, '1,"oops')]


def test_quotes_are_plain_characters_on_request(tmp_path):
    path = write(tmp_path / "in.tsv", b'a\tb\n"It rains," he said.\t"x\n')
    assert read(path, options=ReadOptions(quotes=False))[0] == [{"a": '"It rains," he said.', "b": '"x'}]
    assert len(read(path)[2]) == 1


def test_the_delimiter_can_be_another(tmp_path):
    path = write(tmp_path / "in.csv", b'a;b\n1,5;"x;y"\n')
    assert read(path, options=ReadOptions(";"))[0] == [{"a": "1,5", "b": "x;y"}]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"a,b,a\n1,2,3\n", "column 'a' occurs twice"),
        (b'"a,b\n1,2\n', "header with the column names: quote not closed"),
        (b"\xff\xfea\0,\0b\0\n\0", "UTF-16"),
        (b"PAR1....PAR1", "Parquet"),
        (b"\x1f\x8b....", "gzip"),
        (b'{"a": 1}\n', "JSON Lines"),
        (b"\xe9,b\n", "not valid UTF-8"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(tmp_path, data, why):
    with pytest.raises(UserError, match=why):
        read(write(tmp_path / "in.csv", data))


def test_a_line_over_the_limit_is_a_bad_row_and_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "LINE_LIMIT", 3 << 20)
    data = b"a,b\n1," + b"x" * (5 << 20) + b"\r\n2,y\n"
    rows, _, bad = read(write(tmp_path / "in.csv", data))
    assert rows == [{"a": "2", "b": "y"}]
    assert "too long" in bad[0].reason
    assert len(bad[0].line) <= 1000


def test_large_rows_make_slices_of_fewer_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "SLICE_BYTES", 1000)
    path = write(tmp_path / "in.csv", b"a,b\n" + b"".join(b"%d,%s\n" % (i, b"x" * 300) for i in range(20)))
    plan = plan_input(str(path), 100)
    assert [part.rows for part in plan.slices] == [4] * 5
    assert len(read(path)[0]) == 20


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = write(tmp_path / "in.csv", b"a\n1\n2\n")
    plan = plan_input(str(path), 10)
    for data in (b"a\n1111\n", b"a\n1\n\n", b"a\n\n\n\n"):
        write(path, data)
        with pytest.raises(UserError, match="changed while it was read"):
            list(read_slices(plan.units[0], plan.schema))


fields = st.text(st.sampled_from("ab\",;\n\r\t é'=" + "\0" * CSV_NUL), max_size=5)


@quick
@given(st.lists(st.lists(fields, min_size=2, max_size=2), max_size=12), st.integers(1, 5), st.booleans())
def test_what_pythons_writer_writes_is_read_as_pythons_reader_reads_it(tmp_path, rows, per_slice, every):
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=quoting).writerows([["x", "y"], *rows])
    path = write(tmp_path / "in.csv", text.getvalue().encode())
    got, _, bad = read(path, per_slice)
    text.seek(0)
    assert [[row["x"], row["y"]] for row in got] == list(csv.reader(text))[1:] == rows
    assert bad == []


@quick
@given(
    st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"\xff", b"bc"]), max_size=60),
    st.integers(1, 4),
)
def test_any_mutilation_is_read_alike_whatever_the_slices(tmp_path, pieces, per_slice):
    path = write(tmp_path / "in.csv", b"x,y\n" + b"".join(pieces))
    assert read(path, per_slice) == read(path, 1000)  # read() checks that good + bad = rows
