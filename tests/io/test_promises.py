"""Every statement of docs/formats.md and docs/bad_input.md, for every format that it covers."""

import codecs
import csv
import io
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.errors import UserError
from beam_sts.io.column_paths import RAW, column_at
from beam_sts.io.delimited import sniff_delimiter
from beam_sts.io.encode import encode
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from beam_sts.io.streams import check_encoding, sniff_encoding
from beam_sts.scoring.columns import check_rows, text_schema
from tests.io.samples import CSV_NUL, ENDINGS, LINES, PACK, write

TYPED = [ending for ending in ENDINGS if ending not in LINES]
JSON = [ending for ending in LINES if "jsonl" in ending]
DELIMITED = [ending for ending in LINES if ending not in JSON]


def read(pattern, options=None, per_slice=3, texts=()):
    """The schema, the rows, and the bad rows of an input."""
    plan = plan_input(str(pattern), per_slice, options)
    schema = text_schema(plan.schema, texts)
    parts = [part for unit in plan.units for part in read_slices(unit, schema, texts, options)]
    assert sum(len(part.table) + len(part.bad) for part in parts) == plan.rows
    assert all(part.table.schema.equals(schema, check_metadata=True) for part in parts)
    table = pa.concat_tables([schema.empty_table(), *(part.table for part in parts)])
    return schema, table, [bad for part in parts for bad in part.bad]


def pack(path, data):
    """Write lines to a file, compressed by its extension."""
    ending = next((end for end in PACK if end and path.name.endswith(end)), "")
    path.write_bytes(PACK[ending](data))
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folders_columns_have_their_value_in_each_row(tmp_path, ending):
    for folder in ("dt=2024-01-01/lang=a%2Fb", "dt=2024-01-02/lang=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / f"p{ending}", pa.table({"t": [f"{folder} {row}" for row in range(7)]}))
    schema, table, _ = read(tmp_path)
    assert schema.names == ["t", "dt", "lang"]
    assert set(schema.types[1:]) == {pa.string()}
    for row in table.to_pylist():
        assert row["dt"] == row["t"][3:13]
        assert row["lang"] == ("a/b" if row["dt"].endswith("01") else None)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_files_own_column_wins_over_its_folders(tmp_path, ending):
    (tmp_path / "lang=folder").mkdir()
    write(tmp_path / "lang=folder" / f"p{ending}", pa.table({"t": ["x"], "lang": ["own"]}))
    assert read(tmp_path)[1].to_pylist() == [{"t": "x", "lang": "own"}]


@pytest.mark.parametrize("first", ENDINGS)
@pytest.mark.parametrize("second", [".parquet", ".arrows", ".jsonl", ".csv.gz"])
def test_columns_go_by_name_absent_ones_are_null_and_order_is_that_of_first_appearance(
    tmp_path, first, second
):
    write(tmp_path / f"0{first}", pa.table({"b": ["1"], "a": ["2"]}))
    write(tmp_path / f"1{second}", pa.table({"a": ["3"], "B": ["4"]}))
    schema, table, _ = read(tmp_path)
    assert schema.names == ["b", "a", "B"]  # names are exact: b is not B
    assert table.to_pylist() == [{"b": "1", "a": "2", "B": None}, {"b": None, "a": "3", "B": "4"}]


@pytest.mark.parametrize("ending", TYPED)
def test_types_widen_over_files_and_into_json(tmp_path, ending):
    write(tmp_path / f"0{ending}", pa.table({"n": pa.array([1], pa.int16()), "x": pa.array([2], pa.int8())}))
    (tmp_path / "1.jsonl").write_text('{"n": 70000, "x": 0.5}\n')
    schema, table, _ = read(tmp_path)
    assert schema.types == [pa.int64(), pa.float64()]
    assert table.to_pylist() == [{"n": 1, "x": 2.0}, {"n": 70000, "x": 0.5}]


@pytest.mark.parametrize("ending", [*TYPED, *JSON])
def test_a_text_in_a_struct_or_an_object_has_a_path_and_a_column_of_that_name_comes_first(tmp_path, ending):
    nested = pa.table({"a": [{"b": "x"}, {"b": None}, None]})
    assert column_at(read(write(tmp_path / f"in{ending}", nested), texts=["a.b"])[1], "a.b").to_pylist() == [
        "x",
        None,
        None,
    ]
    both = pa.table({"a": [{"b": "x"}], "a.b": ["own"]})
    table = read(write(tmp_path / f"in{ending}", both), texts=["a.b"])[1]
    assert column_at(table, "a.b").to_pylist() == ["own"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_twice_is_refused(tmp_path, ending):
    if ending in JSON:
        _, table, bad = read(
            pack(tmp_path / f"in{ending}", b'{"a": 1, "a": 2}\n{"a": 3}\n{"b": {"c": 1, "c": 2}}\n')
        )
        assert table["a"].to_pylist() == [3]
        assert ["'a' occurs twice" in bad[0].reason, "'c' occurs twice" in bad[1].reason] == [True, True]
        return
    twice = pa.table([pa.array(["x"]), pa.array(["y"])], ["a", "a"])
    if ending in DELIMITED:
        pack(tmp_path / f"in{ending}", b"a,a\nx,y\n" if "csv" in ending else b"a\ta\nx\ty\n")
    elif ending == ".feather":
        pytest.skip("feather.write_feather refuses it itself")
    else:
        write(tmp_path / f"in{ending}", twice)
    with pytest.raises(UserError, match="column 'a' occurs twice"):
        read(tmp_path / f"in{ending}")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_of_a_name_that_is_used_within_a_run_is_refused(tmp_path, ending):
    """Otherwise it would be read as the rows of JSON Lines, and be lost."""
    if ending in LINES:  # our encoding omits that column
        text = f'{{"a": "x", "{RAW}": "y"}}\n' if ending in JSON else f"a,{RAW}\nx,y\n"
        pack(tmp_path / f"in{ending}", (text if "tsv" not in ending else text.replace(",", "\t")).encode())
    else:
        write(tmp_path / f"in{ending}", pa.table({"a": ["x"], RAW: ["{}"]}))
    (tmp_path / f"{RAW}=x").mkdir()
    write(tmp_path / f"{RAW}=x" / f"in{ending}", pa.table({"a": ["x"]}))
    for path in (tmp_path / f"in{ending}", tmp_path / f"{RAW}=x"):
        with pytest.raises(UserError, match="ends in the noncharacter"):
            read(path)


@pytest.mark.parametrize("ending", LINES)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("last", [True, False])
def test_any_line_end_a_byte_order_mark_and_blank_lines(tmp_path, ending, end, mark, last):
    lines = [b'{"a": "x", "b": "1"}', b'{"a": "\xc3\xa9", "b": ""}']
    if ending in DELIMITED:
        lines = [b"a,b", b"x,1", b"\xc3\xa9,"]
        lines = [line.replace(b",", b"\t") for line in lines] if "tsv" in ending else lines
    pack(tmp_path / f"in{ending}", mark + end.join(lines) + (end if last else b""))
    _, table, bad = read(tmp_path / f"in{ending}")
    assert bad == []
    assert table.to_pylist() == [{"a": "x", "b": "1"}, {"a": "é", "b": ""}]


@pytest.mark.parametrize("ending", DELIMITED)
def test_fields_stay_exactly_as_they_stand(tmp_path, ending):
    fields = ["007", "NA", "1e5", "2024-01-02", "", " lead ", "true", "NULL", "a\0b", "é"]
    delimiter = "\t" if "tsv" in ending else ","
    quoted = ['"say ""hi"""', '"a,b\tc"', '"two\nlines\r"', '""']
    names = [f"c{at}" for at in range(len(fields) + len(quoted))]
    data = "\n".join(delimiter.join(row) for row in (names, [*fields, *quoted]))
    _, table, _ = read(pack(tmp_path / f"in{ending}", data.encode()))
    assert list(table.to_pylist()[0].values()) == [*fields, 'say "hi"', "a,b\tc", "two\nlines\r", ""]
    if ending == ".csv" and CSV_NUL:  # Python's csv module reads the output
        back = list(csv.reader(io.StringIO(encode(table, "csv").decode(), newline="")))
        assert back[1] == list(table.to_pylist()[0].values())


BAD_LINES = {
    b'{"a": "x"': "not valid JSON",
    b'{"a": "\xff"}': "not valid UTF-8",
    b'{"a": "\\ud800"}': "lone surrogate",
    b'{"a": 1, "a": 2}': "occurs twice",
    b"5": "a JSON int, not an object",
    b"[1]": "a JSON list, not an object",
    b"null": "a JSON NoneType, not an object",
    b'{"a": 5}': "no text in column 'a'",
    b'{"a": NaN}': "no text in column 'a'",
    b'{"a": ["x"]}': "no text in column 'a'",
}


@pytest.mark.parametrize("ending", JSON)
def test_bad_lines_of_json_are_rejected_with_line_and_reason(tmp_path, ending):
    lines = [b'{"a": "good"}', *BAD_LINES, b'{"a": "last"}']
    _, table, bad = read(pack(tmp_path / f"in{ending}", b"\n".join(lines)), texts=["a"])
    assert table["a"].to_pylist() == ["good", "last"]
    assert [row.row for row in bad] == list(range(1, 1 + len(BAD_LINES)))
    for row, (line, reason) in zip(bad, BAD_LINES.items(), strict=True):
        assert row.reason.startswith(f"line {row.row + 1}: ")
        assert reason in row.reason
        assert row.line == line.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("ending", DELIMITED)
def test_bad_lines_of_fields_are_rejected_with_line_and_reason(tmp_path, ending):
    lines = [b"a,b", b"x,1", b"alone", b"1,2,3", b"\xff,5", b'"p"q,6', b'"never closed,7', b"last,8"]
    data = b"\n".join(lines).replace(b",", b"\t" if "tsv" in ending else b",")
    _, table, bad = read(pack(tmp_path / f"in{ending}", data))
    assert table["a"].to_pylist() == ["x", "last"]
    reasons = ["wrong number of fields: 1", "wrong number of fields: 3", "not valid UTF-8", *["quote"] * 2]
    assert [(row.row, why in row.reason) for row, why in zip(bad, reasons, strict=True)] == [
        (at, True) for at in range(1, 6)
    ]


@pytest.mark.parametrize("ending", [*TYPED, *JSON])
def test_null_texts_and_bytes_that_are_no_utf8_are_rejected_rows(tmp_path, ending):
    texts = pa.array(["x", None, ""])
    _, table, _ = read(write(tmp_path / f"in{ending}", pa.table({"a": texts})), texts=["a"])
    checked = check_rows(table, ["a"])
    assert (checked.good.tolist(), checked.reasons) == ([0, 2], ["null in column 'a'"])
    assert check_rows(table, ["a"], empty="reject").good.tolist() == [0]
    if ending in TYPED:
        wrong = pa.array([b"x", b"\xff", b"y"]).view(pa.string())
        _, table, _ = read(write(tmp_path / f"in{ending}", pa.table({"a": wrong})), texts=["a"])
        assert check_rows(table, ["a"]).reasons == ["not valid UTF-8 in column 'a'"]


@pytest.mark.parametrize("ending", [*TYPED, *DELIMITED])
def test_a_schema_or_header_without_rows_is_columns_without_rows(tmp_path, ending):
    table = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.string())})
    schema, found, _ = read(write(tmp_path / f"in{ending}", table))
    assert (schema.names, len(found)) == (["a", "b"], 0)


ENCODINGS = ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "cp437", "utf-7"]


@pytest.mark.parametrize("ending", LINES)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("per_slice", [1, 100])
def test_another_encoding_is_read_when_it_is_named(tmp_path, ending, encoding, per_slice):
    rows = [("é à ü", "1"), ('"q"', "ñ,;"), ("plain", "")]
    if ending in JSON:
        text = "".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) + "\r\n" for a, b in rows)
    else:
        stream = io.StringIO(newline="")
        csv.writer(stream, "excel-tab" if "tsv" in ending else "excel").writerows([("a", "b"), *rows])
        text = stream.getvalue()
    pack(tmp_path / f"in{ending}", text.encode(encoding))
    _, table, bad = read(
        tmp_path / f"in{ending}", ReadOptions.of({"encoding": encoding}), per_slice=per_slice
    )
    assert (table.to_pylist(), bad) == ([{"a": a, "b": b} for a, b in rows], [])


@pytest.mark.parametrize("ending", LINES)
def test_bytes_that_are_not_of_the_encoding_are_a_rejected_row(tmp_path, ending):
    good, wrong = "é".encode("cp1252"), b"\x81"
    if ending in JSON:
        data = b'{"a": "%s"}\n{"a": "%s"}\n{"a": "x"}\n' % (good, wrong)
    else:
        data = b"a\n%s\n%s\nx\n" % (good, wrong)
    _, table, bad = read(pack(tmp_path / f"in{ending}", data), ReadOptions(encoding="cp1252"))
    assert table["a"].to_pylist() == ["é", "x"]
    assert [(row.row, row.reason.partition(": ")[2]) for row in bad] == [(1, "not valid cp1252")]


@pytest.mark.parametrize("ending", LINES)
@pytest.mark.parametrize("word", ["caf\u00e9", "\u00c9cole", "na\u00efve", "don\u2019t", "S\u00e3o"])
def test_rows_of_windows_1252_name_the_option(tmp_path, ending, word):
    row = f'{{"a": "{word}"}}' if ending in JSON else word
    data = f'{{"a": "x"}}\n{row}\n' if ending in JSON else f"a\nx\n{row}\n"
    _, _, (bad,) = read(pack(tmp_path / f"in{ending}", data.encode("cp1252")))
    assert "if the file is Windows-1252, give --encoding cp1252" in bad.reason
    assert "Windows" not in read_bad(tmp_path, ending, b"\xff\xfe\xfd")  # bytes that are not between letters


def read_bad(folder, ending, text):
    line = b'{"a": "%s"}' % text if ending in JSON else text
    first = b'{"a": "x"}' if ending in JSON else b"a\nx"
    return read(pack(folder / f"in{ending}", first + b"\n" + line + b"\n"))[2][0].reason


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".csv", ".tsv.gz", ".jsonl"])
def test_utf_16_is_told_by_the_first_bytes(tmp_path, encoding, ending):
    text = '{"alpha": "x"}\n' if ending == ".jsonl" else "alpha\nx\n"
    path = pack(tmp_path / f"in{ending}", text.encode(encoding))
    assert sniff_encoding(str(path)) == encoding
    with pytest.raises(UserError, match=f"UTF-16 text; give --encoding {encoding}"):
        read(path)


def test_an_encoding_that_is_none_is_refused():
    for name in ("nonsense", "rot13", "base64", "zlib", "idna\0", ""):
        with pytest.raises(UserError, match=r"--encoding .*is not known"):
            check_encoding(name)
    assert check_encoding("UTF-8") is check_encoding("utf-8-sig") is None


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@pytest.mark.parametrize("encoding", [None, "utf-16"])
def test_another_delimiter_is_told_by_the_first_lines(tmp_path, delimiter, ending, encoding):
    lines = ["a;b;c", '"x; y";1,5;3', 'q;"";z', ";;"]
    text = "\r\n".join(lines).replace(";", delimiter)
    path = pack(tmp_path / f"in{ending}", text.encode(encoding or "utf-8"))
    shown = "tab" if delimiter == "\t" else f"'{delimiter}'"
    options = ReadOptions(encoding=encoding)
    with pytest.raises(UserError, match=f"Set the delimiter: give --delimiter {re.escape(shown)}"):
        read(path, options)
    given = ReadOptions(delimiter, encoding=encoding)
    assert read(path, given)[1].to_pylist()[0] == {"a": f"x{delimiter} y", "b": "1,5", "c": "3"}
    assert read(path, ReadOptions(",", encoding=encoding))[0].names == ["a;b;c".replace(";", delimiter)]


@pytest.mark.parametrize(
    "text",
    ["text\none; two\n", "a;b\n1\n", "text\n", "", "a,b;c\n1,2;3\n", '"a;b"\n1;2\n', "a\n1;2;3\n"],
)
def test_one_column_of_texts_is_no_other_delimiter(tmp_path, text):
    (tmp_path / "in.csv").write_text(text)
    assert sniff_delimiter(str(tmp_path / "in.csv")) == ","


def test_a_parquet_file_of_one_row_far_larger_than_the_mean_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("beam_sts.io.ranges.LARGEST_SLICE", 1 << 20)
    for texts in (["x" * 5000] * 1000, pa.array(["x" * 5000] * 1000).dictionary_encode()):
        pq.write_table(pa.table({"a": texts}), tmp_path / "in.parquet")
        with pytest.raises(UserError, match=r"take more than 1 MiB. Give a --rows_per_shard of less than"):
            read(tmp_path / "in.parquet", per_slice=1000)
        assert len(read(tmp_path / "in.parquet", per_slice=100)[1]) == 1000
