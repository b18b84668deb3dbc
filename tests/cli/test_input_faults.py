"""Changing inputs, types and values, encodings and delimiters, through the commands."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, evaluate, label, mine, score
from beam_sts.errors import UserError
from beam_sts.io.output import OutputFolder
from beam_sts.io.slices import ReadOptions

ROOT = Path(__file__).parents[2]
TEXTS = [f"A man number {at} plays in town {at % 97} and sings for {at % 13} hours." for at in range(600)]
PAIRS = pa.table({"id": range(600), "sentence1": TEXTS, "sentence2": TEXTS[::-1]})


def flags(source, output, model, *more):
    return ["--input", str(source), "--output", str(output), "--model", str(model), "--threads", "1", *more]


def lines(folder):
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.open()]


_SLOW = [pytest.param(ending, marks=pytest.mark.slow) for ending in ("jsonl", "csv")]


@pytest.mark.parametrize("ending", ["parquet", *_SLOW])
def test_an_input_replaced_while_it_is_read_is_an_error(tmp_path, tiny, ending):
    def write(table):
        path = tmp_path / f"new.{ending}"
        if ending == "parquet":
            pq.write_table(table, path, row_group_size=70)
        elif ending == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        else:
            with path.open("w", newline="") as stream:
                rows = zip(*table.to_pydict().values(), strict=True)
                csv.writer(stream).writerows([table.column_names, *rows])
        path.replace(tmp_path / f"in.{ending}")

    write(PAIRS)
    out = tmp_path / "out"
    command = flags(tmp_path / f"in.{ending}", out, tiny, "--rows_per_shard", "4")
    with subprocess.Popen(
        [sys.executable, "-m", "pipelines.score", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 240
        while len(list(out.glob("scores/part-*"))) < 5:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        write(PAIRS.take(pa.array(range(599, -1, -1))))
        error = process.stderr.read()
    assert process.returncode == 2, error
    assert f"in.{ending}: changed while it was read" in error
    assert not (out / "summary.json").exists()


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("command", "options"),
    [
        (dedup, ["--text=sentence1", "--id=id", "--guard=none"]),
        (dedup, ["--text=sentence1", "--id=id", "--contains"]),
        (dedup, ["--text=sentence1", "--unit=sentence"]),
        (mine, ["--text=sentence1"]),
        (evaluate, ["--text_a=sentence1", "--by=id", "--consistency"]),
    ],
)
def test_an_input_replaced_while_another_verb_reads_it_is_an_error(
    tmp_path, tiny, monkeypatch, capsys, command, options, ending
):
    """It is replaced when the command has planned the run, before it writes its first file."""
    source, publish = tmp_path / f"in.{ending}", OutputFolder._publish

    def write(table):
        if ending == "parquet":
            pq.write_table(table, tmp_path / "new")
        else:
            (tmp_path / "new").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
        (tmp_path / "new").replace(source)

    def replacing(*args):
        write(PAIRS.take(pa.array(range(len(PAIRS) - 1, -1, -1))))
        publish(*args)

    write(PAIRS)
    monkeypatch.setattr(OutputFolder, "_publish", replacing)
    given = [f"--input={source}", f"--output={tmp_path / 'out'}", *options]
    scored = {"--contains", "--unit=sentence"}.isdisjoint(options)
    assert command.main([*given, *([f"--model={tiny}", "--threads=1"] if scored else [])]) == 2
    assert "in." + ending + ": changed while it was read" in capsys.readouterr().err
    assert not (tmp_path / "out" / "summary.json").exists()


def test_one_bit_of_the_input_flipped_before_a_run_resumes_is_another_input(tmp_path, tiny, capsys):
    path = tmp_path / "in.parquet"
    pq.write_table(PAIRS.slice(0, 30), path, compression="none", use_dictionary=False)
    command = flags(path, tmp_path / "out", tiny, "--rows_per_shard", "10", "--quiet")
    assert score.main(command) == 0
    before, data = path.stat(), bytearray(path.read_bytes())
    data[data.index(b"number 25")] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "out" / "scores" / "part-000002.parquet").unlink()
    (tmp_path / "out" / "summary.json").unlink()
    assert score.main(command) == 2
    assert "input" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_extension_types_pass_through_every_pipeline(tmp_path, tiny, form):
    uuids = pa.array([bytes([at]) * 16 for at in range(40)], pa.binary(16))
    table = PAIRS.slice(0, 40).append_column("u", pa.ExtensionArray.from_storage(pa.uuid(), uuids))
    nulls = pa.array([None, *TEXTS[1:40]], pa.string())  # a rejected row has the column too
    pq.write_table(table.set_column(1, "sentence1", nulls), tmp_path / "in.parquet")
    common = ("--quiet", "--output_format", form)
    assert score.main(flags(tmp_path / "in.parquet", tmp_path / "s", tiny, *common)) == 0
    text = ("--text", "sentence1")
    assert dedup.main(flags(tmp_path / "in.parquet", tmp_path / "d", tiny, *text, "--id", "id", *common)) == 0
    if form == "parquet":
        assert mine.main(flags(tmp_path / "in.parquet", tmp_path / "m", tiny, *text, "--quiet")) == 0
        for folder in ("s/scores", "d/kept"):
            assert pq.read_table(tmp_path / folder).schema.field("u").type == pa.uuid()
        (record,) = pq.read_table(tmp_path / "s" / "rejected").column("record").combine_chunks().field("u")
        assert record.as_py() == table["u"][0].as_py()
    if form == "jsonl":
        for folder in ("s/scores", "d/kept"):
            assert lines(tmp_path / folder)[0]["u"] == str(table["u"][1].as_py())


def test_a_type_that_cannot_be_carried_is_refused_by_name_before_the_run(tmp_path, tiny, capsys):
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])])
    table = PAIRS.slice(0, 2).append_column("odd", union)
    with pa.ipc.new_file(str(tmp_path / "in.arrow"), table.schema) as writer:
        writer.write_table(table)
    text = ("--text", "sentence1")
    for main, more in ((score.main, ()), (dedup.main, text), (mine.main, text)):
        assert main(flags(tmp_path / "in.arrow", tmp_path / "out", tiny, *more)) == 2
        assert "column 'odd' holds sparse_union" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_ids_of_an_extension_type_are_refused_by_name(tmp_path, tiny, capsys):
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(4, 2))
    table = PAIRS.slice(0, 4).append_column("u", tensors)
    pq.write_table(table, tmp_path / "in.parquet")
    more = ("--text", "sentence1", "--id", "u")
    assert dedup.main(flags(tmp_path / "in.parquet", tmp_path / "out", tiny, *more)) == 2
    assert "--id u: holds" in capsys.readouterr().err


ROWS = [
    '{"id": 18446744073709551615, "sentence1": "A cat.", "sentence2": "A dog.", "code": "007", "x": 1.10}',
    '{"sentence2": "B", "id": 7, "sentence1": "A cat.", "code": 7, "ner": [], "n": null, "x": 1E400}',
    '{"id": 9223372036854775808, "sentence1": "Two cats.", "sentence2": "", "code": {"a": []}}',
    '{"id": 8, "sentence1": null, "sentence2": "C", "code": 0.10}',
]


def test_json_lines_in_and_out_keep_every_value(tmp_path, tiny):
    (tmp_path / "in.jsonl").write_text("\n".join(ROWS))
    common = ("--quiet", "--output_format", "jsonl")
    assert score.main(flags(tmp_path / "in.jsonl", tmp_path / "s", tiny, *common)) == 0
    scored = [line for file in (tmp_path / "s/scores").iterdir() for line in file.read_text().splitlines()]
    for line, row in zip(scored, ROWS[:3], strict=True):
        assert line.startswith(row[:-1] + ', "score": ')
    (rejected,) = (tmp_path / "s/rejected").iterdir()
    assert f'"record": {ROWS[3]}' in rejected.read_text()
    more = ("--text", "sentence1", "--id", "id", *common)
    assert dedup.main(flags(tmp_path / "in.jsonl", tmp_path / "d", tiny, *more)) == 0
    kept, removed = lines(tmp_path / "d/kept"), lines(tmp_path / "d/removed")
    rows = {row["id"]: row for row in map(json.loads, ROWS)}
    assert {row["id"] for row in (*kept, *removed)} == rows.keys() - {8}
    assert all(row == rows[row["id"]] for row in kept)
    for row in removed:
        assert rows[row["id"]].items() <= row.items()
        assert row["survivor"] in rows


def european(rows, delimiter=";"):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


HEAD = ("sentence1", "sentence2", "gold")
ACCENTED = [HEAD, *[(f"Où est le café {at} ?", "Là-bas.", at) for at in range(8)]]


def test_a_windows_1252_file_of_semicolons_is_read_by_every_pipeline_with_two_options(tmp_path, tiny, capsys):
    source = tmp_path / "in.csv"
    source.write_bytes(european(ACCENTED).encode("cp1252"))
    text = ("--text", "sentence1")
    runs = {"s": (score.main, ()), "d": (dedup.main, text), "m": (mine.main, text)}
    for name, (main, more) in runs.items():
        options = ("--delimiter", ";", "--encoding", "cp1252", "--quiet")
        assert main(flags(source, tmp_path / name, tiny, *more)) == 2
        assert "give --delimiter ';'" in capsys.readouterr().err
        assert main(flags(source, tmp_path / name, tiny, *more, *options)) == 0
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        assert (summary["rows_read"], summary["rows_rejected"]) == (8, 0)
    assert pq.read_table(tmp_path / "s/scores")["sentence1"][0].as_py() == "Où est le café 0 ?"
    asked = ["--input", str(source), "--model", str(tiny), "--score", "gold", "--threads", "1"]
    assert evaluate.main(asked) == 2
    assert "give --delimiter ';'" in capsys.readouterr().err
    assert evaluate.main([*asked, "--delimiter", ";", "--encoding", "cp1252"]) == 0
    assert "8 read: 8 scored" in capsys.readouterr().out


def test_rows_rejected_for_their_encoding_name_the_option(tmp_path, tiny, capsys):
    rows = [ACCENTED[0], ("plain", "text", 1), *ACCENTED[1:]]
    (tmp_path / "in.csv").write_bytes(european(rows, ",").encode("cp1252"))
    assert score.main(flags(tmp_path / "in.csv", tmp_path / "out", tiny)) == 0
    printed = capsys.readouterr().out
    assert "8 not valid UTF-8 (if the file is Windows-1252, give --encoding cp1252)" in printed
    assert score.main(flags(tmp_path / "in.csv", tmp_path / "x", tiny, "--encoding", "klingon")) == 2
    assert "--encoding klingon: is not known" in capsys.readouterr().err


SHEET = [
    ("label", "score", "id_a", "id_b", "text_a"),
    ("1", "0,97", "1", "a", "Où ?"),
    ("", "0,1", "2", "b", 'a;b, "c"'),
    ("0", "0,5", "3", "c", "é"),
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "mac-roman", "utf-16", "utf-16-le"])
def test_a_label_sheet_is_read_as_any_spreadsheet_saves_it(tmp_path, delimiter, encoding):
    (tmp_path / "sheet.csv").write_bytes(european(SHEET, delimiter).encode(encoding))
    marked = label.read_sheet(str(tmp_path / "sheet.csv"))
    assert [(row.ids, row.score, row.duplicate) for row in marked] == [
        (("1", "a"), 0.97, True),
        (("3", "c"), 0.5, False),
    ]
    asked = ReadOptions(delimiter, encoding=None if encoding.startswith("utf-8") else encoding)
    assert label.read_sheet(str(tmp_path / "sheet.csv"), asked) == marked


def test_a_label_sheet_that_cannot_be_told_names_the_options(tmp_path):
    (tmp_path / "sheet.csv").write_text("label:score\n1:5\n")
    with pytest.raises(UserError, match=r"its columns are 'label:score'.*--delimiter.*--encoding"):
        label.read_sheet(str(tmp_path / "sheet.csv"))
    (tmp_path / "sheet.csv").write_text("label,score,id_a,id_b\n1,0.5,1,2\n1,2,3\n")
    with pytest.raises(UserError, match="row 2: line 3: wrong number of fields"):
        label.read_sheet(str(tmp_path / "sheet.csv"))
