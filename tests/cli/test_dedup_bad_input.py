"""Bad values in a corpus, and options that cannot be satisfied."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup
from tests.cli.test_dedup import error, made_texts, read, run

TEXT = "the river walks slowly over seven old wooden bridges in the morning light"


def written(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--text", "body"],
            "--text body: is not in the input; its columns are 'id', 'text', 'x'",
        ),
        (["--id", "key"], "--id key: is not in the input"),
        (["--id", "x"], "--id x: holds double; ids must be integers, texts, bytes or UUIDs"),
        (["--text", "x"], "--text x: holds double, not texts"),
        (["--keep", "best"], "--keep best: is not one of first, longest"),
        (["--candidates", "exact,minhsh"], "--candidates 'minhsh': is not one of exact, minhash"),
        (["--cascade_band", "0.1,0.2"], "--cascade_band: needs --cascade_model"),
        (["--cascade_model", "beam-sts-pico", "--cascade_band", "0.9,0.1"], "the first not above the second"),
        (["--within"], "--within: needs --against"),
        (["--minhash_similarity", "2"], "--minhash_similarity 2.0: must be between 0 and 1"),
        (["--max_pairs", "0"], "--max_pairs 0: must be at least 1"),
        (["--threshold", "2"], "--threshold 2.0: must be between 0 and 1"),
        (["--model_share", "-0.5"], "--model_share -0.5: must be between 0 and 1"),
    ],
)
def test_what_cannot_be_is_said_before_the_long_work(tmp_path, tiny, capsys, options, message):
    source = written(tmp_path, id=["a"], text=[TEXT], x=[0.5])
    args = ["--input", str(source), "--output", str(tmp_path / "out"), "--text", "text"]
    assert dedup.main([*args, "--model", str(tiny), *options]) == 2
    assert message in error(capsys)
    assert not (tmp_path / "out").exists()


def test_the_column_text_is_the_default(tmp_path, tiny, capsys):
    (tmp_path / "in.jsonl").write_text('{"text": "a b c"}\n{"text": "a b c"}\n')
    (tmp_path / "other.jsonl").write_text('{"body": "a b c"}\n')
    assert dedup.main(["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows_removed"] == 1
    assert dedup.main(["--input", str(tmp_path / "other.jsonl"), "--output", str(tmp_path / "no")]) == 2
    assert "--text text: is not in the input; its columns are 'body'." in capsys.readouterr().err


def test_a_wrong_expression_and_too_many_pairs_are_errors(tmp_path, tiny, capsys):
    source = written(tmp_path, text=made_texts(12))
    assert run(source, tmp_path / "keep", "--keep", "highest:stars + 1", model=tiny)[0] == 2
    assert "--keep highest: 'stars + 1': column 'stars' is not in the input" in error(capsys)
    assert run(source, tmp_path / "many", "--max_pairs", "3", model=tiny)[0] == 2
    assert "--max_pairs 3: there are" in error(capsys)


def test_the_pairs_of_no_run_are_an_error(tmp_path, tiny, capsys):
    source = written(tmp_path, text=[TEXT])
    assert run(source, tmp_path / "out", "--from_pairs", "/nowhere", model=tiny)[0] == 2
    assert "--from_pairs /nowhere: contains no run of beam-sts dedup" in error(capsys)


def test_an_input_without_rows_gives_empty_shards(tmp_path, tiny):
    source = written(tmp_path, text=pa.array([], pa.string()))
    _, summary = run(source, tmp_path / "out", model=tiny)
    assert summary["rows_read"] == 0
    assert read(tmp_path / "out", "kept").column_names == ["text", "_id"]


def test_blocking_alone_compares_only_rows_of_one_block(tmp_path):
    source = written(tmp_path, id=[1, 2, 3, 4], text=[TEXT] * 4, land=["de", "fr", "DE", None])
    run(source, tmp_path / "out", "--id", "id", "--candidates", "block:lower(land)")
    removed = read(tmp_path / "out", "removed").to_pylist()
    assert [(r["id"], r["survivor"], r["source"], r["rule"]) for r in removed] == [
        (3, 1, "block", "identical")
    ]


def test_the_other_formats_come_out_as_they_went_in(tmp_path, tiny):
    rows = [{"id": i, "text": text, "tags": [i]} for i, text in enumerate([*made_texts(6), TEXT, TEXT])]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    args = ["--input", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out"), "--text", "text"]
    args += ["--id", "id", "--model", str(tiny), "--output_format", "jsonl", "--threshold", "0.999"]
    assert dedup.main(args) == 0
    lines = [json.loads(x) for p in (tmp_path / "out" / "kept").iterdir() for x in p.read_text().splitlines()]
    removed = next((tmp_path / "out" / "removed").iterdir()).read_text()
    gone = {json.loads(line)["id"] for line in removed.splitlines()}
    assert len(rows) - 1 in gone
    assert lines == [row for row in rows if row["id"] not in gone]
    (tmp_path / "out" / "summary.json").unlink()
    assert dedup.main(args) == 0  # reads the scores from the shards
