"""Training data in every format, and what remains after a refused training."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import train
from beam_sts.errors import UserError
from beam_sts.io.slices import ReadOptions
from beam_sts.training.data import DataError, read_columns, read_scored_pairs
from beam_sts.training.recipe import Recipe, values_of
from beam_sts.training.stages import workspace

SEMICOLONS = "sentence1;sentence2;score\nun café;1984;0.5\n007;a;1\n"


def test_fields_of_a_csv_file_are_texts_and_scores_numbers(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(SEMICOLONS.replace(";", ","))
    pairs = read_scored_pairs(str(path))
    assert [(pairs.texts[a], pairs.texts[b]) for a, b in zip(pairs.left, pairs.right, strict=True)] == [
        ("un café", "1984"),
        ("007", "a"),
    ]
    assert pairs.scores.tolist() == [0.5, 1.0]
    path.write_text("sentence1,sentence2,score\na,b,much\n")
    with pytest.raises(DataError, match="row 0 has score 'much'"):
        read_scored_pairs(str(path))


def test_another_delimiter_and_encoding_are_named_and_taken(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text(SEMICOLONS)
    with pytest.raises(UserError, match="give --delimiter ';'"):
        read_scored_pairs(str(path))
    assert len(read_scored_pairs(str(path), options=ReadOptions(delimiter=";"))) == 2
    path.write_bytes(SEMICOLONS.replace(";", ",").encode("cp1252"))
    with pytest.raises(DataError, match=r"row 0: .*give --encoding cp1252"):
        read_scored_pairs(str(path))
    assert "un café" in read_scored_pairs(str(path), options=ReadOptions(encoding="cp1252")).texts


def test_a_column_of_several_types_is_no_column_of_texts(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "a"}\n{"text": 1}\n')
    with pytest.raises(DataError, match="column 'text' has values of several types"):
        read_columns(str(path), ("text",))


def test_packed_files_are_read(tmp_path):
    import gzip

    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n'))
    assert read_columns(str(tmp_path / "*.jsonl.gz"), ("text",)) == {"text": ["a"]}


@pytest.fixture
def stsb(tmp_path):
    for split in ("train", "dev", "test"):
        rows = {"sentence1": [split], "sentence2": ["b"], "score": [0.5]}
        pq.write_table(pa.table(rows), tmp_path / f"{split}.parquet")
    return str(tmp_path / "{split}.parquet")


@pytest.mark.parametrize("stage", ["all", "vocabulary"])
def test_a_refused_training_leaves_nothing(stsb, tmp_path, stage, capsys):
    folder = tmp_path / "deep" / "work"
    assert train.main([stage, f"--stsb={stsb}", "--gold", "/nowhere/*.csv", f"--work_dir={folder}"]) == 2
    assert "/nowhere/*.csv: no file matches" in capsys.readouterr().err
    assert not (tmp_path / "deep").exists()


def test_a_stage_that_is_refused_stays_finished_with_its_earlier_settings(stsb, tmp_path):
    folder = tmp_path / "work" / "vocabulary-nano"
    folder.mkdir(parents=True)
    marker = folder / "done.json"
    marker.write_text('{"fingerprint": "of before"}')
    (folder / "table.npy").write_text("hours of work")
    command = ["vocabulary", f"--stsb={stsb}", "--gold", "/nowhere", f"--work_dir={tmp_path / 'work'}"]
    assert train.main(command) == 2
    assert marker.read_text() == '{"fingerprint": "of before"}'
    assert (folder / "table.npy").read_text() == "hours of work"


def test_a_damaged_marker_is_of_no_finished_stage(stsb, tmp_path):
    work = workspace(tmp_path, Recipe(stsb))
    marker = work.folder("teacher") / "done.json"
    marker.parent.mkdir()
    whole = json.dumps({"fingerprint": work.fingerprint("teacher")})
    marker.write_text(whole)
    assert work.result("teacher")
    for damaged in (whole[:20], "", "[]"[:1], "\ud800".encode("utf-8", "surrogatepass")):
        marker.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
        assert work.result("teacher") is None


def test_reading_as_usual_changes_no_fingerprint(stsb, tmp_path):
    usual, other = (
        workspace(tmp_path, Recipe(stsb, read=read)) for read in (ReadOptions(), ReadOptions(delimiter=";"))
    )
    assert "read" not in values_of(usual.recipe)
    assert usual.fingerprint("labels") != other.fingerprint("labels")
