"""Bad input from the command line: in every format, each row is in the output or rejected with a reason."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import score
from beam_sts.io.reading import plan_input, read_slices
from tests.checkpoints import SENTENCES

ROOT = Path(__file__).parents[2]
GOOD = b"sentence1,sentence2\nA cat sits.,A cat sat.\n"


def _args(source, output, model, *more):
    return ["--input", str(source), "--output", str(output), "--model", str(model), "--threads", "1", *more]


def _run(source, output, model, *more):
    """The summary of a run that succeeds in this process."""
    assert score.main(_args(source, output, model, *more)) == 0
    summary = json.loads((output / "summary.json").read_text())
    assert summary["rows_scored"] + summary["rows_rejected"] == summary["rows_read"]
    return summary


def _rows(folder):
    """Every row of a shard folder, read by this package."""
    plan = plan_input(str(folder), 10_000)
    return [
        row
        for unit in plan.units
        for part in read_slices(unit, plan.schema)
        for row in part.table.to_pylist()
    ]


def _shards(output):
    names = ("scores", "matches", "rejected")
    return {str(p.relative_to(output)): p.read_bytes() for name in names for p in (output / name).glob("*")}


def _mess(folder, rows):
    """A folder of files in every format, each with good and bad rows; returns the counts of both."""
    folder.mkdir()
    texts = [(f"{SENTENCES[i % 7]} {i}", SENTENCES[i % 5]) for i in range(rows)]
    csv = b"sentence1,sentence2\n" + b"".join(
        b'"%s","multi\nline"\n' % a.encode() + b"alone\n" * (i % 5 == 0) for i, (a, _) in enumerate(texts)
    )
    jsonl = b"".join(
        json.dumps({"sentence1": a, "sentence2": b if i % 5 else 5}).encode() + b"\n" + b"{\n" * (i % 5 == 1)
        for i, (a, b) in enumerate(texts)
    )
    table = pa.table(
        {
            "sentence1": [a for a, _ in texts],
            "sentence2": [b if i % 5 else None for i, (_, b) in enumerate(texts)],
        }
    )
    (folder / "0.csv").write_bytes(csv)
    (folder / "1.csv.gz").write_bytes(gzip.compress(csv))
    (folder / "2.tsv").write_bytes(csv.replace(b'","', b'"\t"').replace(b"sentence1,", b"sentence1\t"))
    (folder / "3.jsonl").write_bytes(jsonl)
    (folder / "4.jsonl.zst").write_bytes(pa.Codec("zstd").compress(jsonl, asbytes=True))
    pq.write_table(table, folder / "5.parquet", row_group_size=7)
    feather.write_feather(table, folder / "6.feather", chunksize=7)
    fifths = len(range(0, rows, 5))
    ends = len(range(1, rows, 5))
    return 3 * rows + 2 * (rows - fifths) + 2 * (rows - fifths), 3 * fifths + 2 * (fifths + ends) + 2 * fifths


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_folder_of_every_format_is_scored_or_rejected_row_by_row(tmp_path, tiny, form):
    good, bad = _mess(tmp_path / "in", 20)
    summary = _run(tmp_path / "in", tmp_path / "out", tiny, "--output_format", form, "--rows_per_shard", "9")
    assert (summary["rows_scored"], summary["rows_rejected"]) == (good, bad)
    assert all(path.suffix == f".{form}" for path in (tmp_path / "out" / "scores").iterdir())
    rows, rejected = _rows(tmp_path / "out" / "scores"), _rows(tmp_path / "out" / "rejected")
    assert (len(rows), len(rejected)) == (good, bad)
    assert list(rows[0]) == ["sentence1", "sentence2", "score"]
    assert rows[0]["sentence1"].endswith(" 0")
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    first = rejected[0]
    assert (first["file"], int(first["row"]), first["line"]) == (str(tmp_path / "in" / "0.csv"), 1, "alone")
    assert first["reason"] == "line 4: wrong number of fields: 1, the header has 2"
    assert sum(summary["rejected_reasons"].values()) == bad


def test_a_run_that_dies_amid_any_format_resumes_to_the_bytes_of_an_unbroken_one(tmp_path, tiny):
    _mess(tmp_path / "in", 60)
    more = ("--rows_per_shard", "5", "--output_format", "jsonl")
    whole = _run(tmp_path / "in", tmp_path / "whole", tiny, *more)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.score", *_args(tmp_path / "in", out, tiny, *more)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(list(out.glob("scores/part-*"))) < 10:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert not (out / "summary.json").exists()
    for index in (0, 3, 8):  # with gaps, which parallel workers may leave
        (out / "scores" / f"part-{index:06d}.jsonl").unlink(missing_ok=True)
    summary = _run(tmp_path / "in", out, tiny, *more)
    assert summary["shards_skipped"] > 0
    assert _shards(out) == _shards(tmp_path / "whole")
    for count in ("rows_read", "rows_scored", "rows_rejected", "rejected_reasons"):
        assert summary[count] == whole[count]


def test_columns_of_every_type_pass_by_nested_and_encoded_texts(tmp_path, tiny):
    table = pa.table(
        {
            "score": pa.array([1.5, None, float("nan")]),
            "a": [{"b": "x one", "n": 1}, {"b": None, "n": 2}, {"b": "z", "n": None}],
            "c": pa.array([b"y", b"z", b"\xff"]).dictionary_encode(),
            "t": pa.array([1, 2, None], pa.timestamp("ns", "UTC")),
            "l": [[1, 2], None, []],
            "view": pa.array(["-1", "+2", None], pa.string_view()),
            "bytes": [b"\xff", None, b"a"],
        }
    )
    feather.write_feather(table, tmp_path / "in.feather")
    columns = ("--text_a", "a.b", "--text_b", "c", "--score_column", "ours")
    summary = _run(tmp_path / "in.feather", tmp_path / "out", tiny, *columns)
    assert summary["rejected_reasons"] == {"null in column 'a.b'": 1, "not valid UTF-8 in column 'c'": 1}
    scored, rejected = _rows(tmp_path / "out" / "scores"), _rows(tmp_path / "out" / "rejected")
    assert 0 <= scored[0].pop("ours") <= 1
    assert scored == table.slice(0, 1).to_pylist()
    assert str([row["record"] for row in rejected]) == str(table.slice(1).to_pylist())


@pytest.mark.parametrize("name", ["in.csv", "in.tsv.gz", "in.parquet", "in.arrow"])
def test_an_input_without_rows_gives_the_columns_and_says_so(tmp_path, tiny, name, capsys):
    header = pa.schema([("sentence1", pa.string()), ("sentence2", pa.string())])
    if name == "in.parquet":
        pq.write_table(header.empty_table(), tmp_path / name)
    elif name == "in.arrow":
        pa.ipc.new_stream(str(tmp_path / name), header).close()
    elif name == "in.csv":
        (tmp_path / name).write_bytes(b"sentence1,sentence2")
    else:
        (tmp_path / name).write_bytes(gzip.compress(b"sentence1\tsentence2\n"))
    for skipped in (0, 0):
        summary = _run(tmp_path / name, tmp_path / "out", tiny, "--output_format", "csv")
        assert (summary["rows_read"], summary["shards_skipped"]) == (0, skipped)
        assert "the input has no rows" in capsys.readouterr().out
    assert (tmp_path / "out" / "scores" / "part-000000.csv").read_text() == "sentence1,sentence2,score\n"


@pytest.mark.parametrize(
    ("name", "data", "more", "message"),
    [
        ("in.csv", b"", (), "in.csv is empty"),
        ("in.csv", b"a,b,a\n", (), "column 'a' occurs twice"),
        ("in.csv", b"a;b\n1;2\n", (), "Set the delimiter: give --delimiter"),
        ("in.csv", GOOD, ("--delimiter", ";;"), "--delimiter ';;': must be one ASCII character"),
        ("in.csv", GOOD, ("--csv_safe",), "--csv_safe: needs --output_format csv"),
        ("in.csv", b"PAR1" + b"\0" * 99, (), "by its first bytes it is Parquet"),
        ("in.parquet", GOOD, (), "text that begins with 'sentence1,sentence2'"),
        ("in.csv.gz", gzip.compress(GOOD)[:-9], (), "in.csv.gz: cannot be read"),
        ("in.jsonl", b"[\n{}\n]", (), "a JSON array; convert it to one object per line: jq"),
        ("in.jsonl", b'{"sentence1": 1, "sentence2": "x"}\n', (), "column 'sentence1' holds int64"),
        ("in.jsonl", b'{"a": {"b": "x"}}\n', ("--text_a", "a.c", "--text_b", "a.b"), "--text_a a.c: is not"),
        ("in.csv", b",".join(b"c%d" % i for i in range(9999)), (), "and 9,979 more"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_screen_before_the_long_work(tmp_path, tiny, name, data, more, message, capsys):
    (tmp_path / name).write_bytes(data)
    assert score.main(_args(tmp_path / name, tmp_path / "out", tiny, *more)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 3
    assert len(error) < 1000
    assert not (tmp_path / "out").exists()


def test_output_where_input_is_looked_for_is_refused(tmp_path, tiny, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(GOOD)
    for source in (tmp_path / "in", tmp_path / "in" / "**" / "*.csv"):
        assert score.main(_args(source, tmp_path / "in" / "out", tiny)) == 2
        assert "is inside a folder that --input" in capsys.readouterr().err
    assert score.main(_args(tmp_path / "in" / "a.csv", tmp_path / "in", tiny)) == 2
    assert "is inside it" in capsys.readouterr().err
    _run(tmp_path / "in" / "*.csv", tmp_path / "in" / "out", tiny)


def test_an_output_that_is_a_file_is_refused(tmp_path, tiny, capsys):
    (tmp_path / "a.csv").write_bytes(GOOD)
    (tmp_path / "out").write_bytes(b"precious")
    assert score.main(_args(tmp_path / "a.csv", tmp_path / "out", tiny)) == 2
    assert "is a file, not a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_bytes() == b"precious"


def test_special_files_and_dangling_links_are_refused(tmp_path, tiny, capsys):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    for name, message in (("pipe.csv", "is a pipe, a device or a socket"), ("*.csv", "link.csv")):
        assert score.main(_args(tmp_path / name, tmp_path / "out", tiny)) == 2
        assert message in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(tmp_path, tiny, capsys):
    _mess(tmp_path / "in", 200)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        args = (tmp_path / "in", disk / "out", tiny, "--rows_per_shard", "20")
        assert score.main(_args(*args)) == 1
        error = capsys.readouterr().err
        assert f"No space left on device: '{disk}/out/" in error
        assert "run the same command again to continue" in error
        assert not list(disk.rglob("scores/.*"))
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert _run(*args)["shards_skipped"] > 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_estimate_reads_every_format(tmp_path, tiny, capsys):
    good, bad = _mess(tmp_path / "in", 10)
    assert score.main(_args(tmp_path / "in", tmp_path / "out", tiny, "--estimate")) == 0
    assert f"rows       {good + bad} in 7 files" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
