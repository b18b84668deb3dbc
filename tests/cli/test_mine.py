import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.candidates import beam_nearest as nearest
from beam_sts.cli import train
from beam_sts.cli.mine import main
from beam_sts.mining import shards
from beam_sts.mining.core import SUBSETS
from beam_sts.models.registry import EMBEDDED
from beam_sts.training.smoke import smoke_recipe
from beam_sts.training.stages import workspace

COLUMNS = {
    "raw": ["anchor", "text", "origin"],
    "triplet": ["anchor", "positive", "negative"],
    "triplet-hard": ["anchor", "positive", "negative"],
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences of the smoke recipe, three per document, and rows that cannot be used."""
    folder = tmp_path_factory.mktemp("corpus")
    smoke_recipe(folder)
    table = pq.read_table(folder / "train.parquet")
    texts = list(dict.fromkeys(table["sentence1"].to_pylist() + table["sentence2"].to_pylist()))[:240]
    texts += [None, "", texts[0].upper(), "x"]
    rows = {"text": texts, "doc": [f"d{i // 3}" for i in range(len(texts))]}
    pq.write_table(pa.table(rows), folder / "corpus.parquet")
    return folder / "corpus.parquet"


def mine(corpus, output, *more):
    arguments = ["--input", str(corpus), "--output", str(output), "--text", "text", "--test_share", "0.25"]
    return main([*arguments, "--shortest", "5", *more])


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    output = tmp_path_factory.mktemp("mined") / "out"
    assert mine(corpus, output, "--doc_id", "doc") == 0
    return output


def read(output, subset, split):
    return pq.read_table(output / subset / split)


def test_every_subset_has_its_columns_in_both_splits(run):
    for subset in SUBSETS:
        for split in ("train", "test"):
            wanted = COLUMNS.get(subset, ["sentence1", "sentence2", "score"])
            assert read(run, subset, split).column_names == wanted
    assert all(len(read(run, subset, "train")) for subset in SUBSETS)


def test_no_text_is_in_both_splits(run):
    def texts(split):
        tables = [
            read(run, subset, split).drop_columns(["score"]) for subset in ("pair-score", "pair-score-hard")
        ]
        tables += [read(run, subset, split) for subset in ("triplet", "triplet-hard")]
        tables.append(read(run, "raw", split).drop_columns(["origin"]))
        return {
            text.casefold() for table in tables for column in table.columns for text in column.to_pylist()
        }

    assert texts("train")
    assert texts("test")
    assert not texts("train") & texts("test")


def test_counts_add_up_and_rejected_rows_have_reasons(run):
    summary = json.loads((run / "summary.json").read_text())
    assert summary["rows_read"] == 244 == summary["rows_used"] + summary["rows_rejected"]
    rejected = pq.read_table(run / "rejected")
    assert rejected["reason"].to_pylist() == ["null in column 'text'", "empty text in column 'text'"]
    assert rejected["row"].to_pylist() == [240, 241]
    kept = (
        summary["texts"] + summary["texts_repeated"] + summary["texts_too_short"] + summary["texts_too_long"]
    )
    assert kept == summary["rows_used"]
    assert summary["texts_repeated"] == 1
    assert summary["texts_too_short"] == 1
    assert sum(summary["pairs_by_band"]) == summary["pairs"] == sum(summary["rows_written"]["raw"].values())
    for subset, rows in summary["rows_written"].items():
        assert {split: len(read(run, subset, split)) for split in rows} == rows
    origins = set("+".join(summary["pairs_by_origin"]).split("+"))
    assert origins == {"adjacent", "neighbours", "lexical", "random"}


def test_result_does_not_depend_on_threads(run, corpus, tmp_path):
    assert mine(corpus, tmp_path / "one", "--doc_id", "doc", "--threads", "1") == 0
    files = sorted(path.relative_to(run) for path in run.rglob("*.parquet"))
    assert len(files) == 13
    assert all((run / file).read_bytes() == (tmp_path / "one" / file).read_bytes() for file in files)


def files_of(output):
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*.parquet"))}


@pytest.fixture
def small_parts(monkeypatch):
    """Small shards and blocks, so that there are many."""
    monkeypatch.setattr(shards, "PAIRS_PER_SHARD", 400)
    monkeypatch.setattr(shards, "TEXTS_PER_RANDOM_SHARD", 90)
    monkeypatch.setattr(nearest, "BLOCK", 70)


def test_a_runner_writes_the_bytes_of_one_machine(corpus, tmp_path, small_parts):
    more = ("--doc_id", "doc", "--threads", "1")
    assert mine(corpus, tmp_path / "one", *more) == 0
    assert mine(corpus, tmp_path / "two", *more, "--runner", "FnApiRunner") == 0
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert one == two
    assert len([name for name in one if name.startswith("pair-score/train")]) > 3
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two")]
    for summary in summaries:
        assert {summary.pop(name) and name for name in ("seconds", "path", "timeline")}
    assert summaries[0] == summaries[1]
    assert (tmp_path / "two" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "runner"])
def test_a_run_that_was_cut_short_takes_the_scores_that_are_there(corpus, tmp_path, small_parts, runner):
    more = ("--doc_id", "doc", "--threads", "1", *runner)
    assert mine(corpus, tmp_path / "whole", *more) == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    records = sorted((tmp_path / "cut" / "_run" / "records").iterdir())
    for path in (*records[1::2], *(tmp_path / "cut" / "triplet").rglob("*.parquet")):
        path.unlink()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut" / "pair-score").rglob("*.parquet")}
    assert mine(corpus, tmp_path / "cut", *more) == 0
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")
    assert 0 < sum(path.stat().st_mtime_ns == time for path, time in times.items()) < len(times)
    if not runner:
        summary = json.loads((tmp_path / "cut" / "summary.json").read_text())
        assert 0 < summary["pairs_reused"] < summary["pairs"]


def test_a_finished_run_is_not_repeated_and_a_foreign_folder_is_refused(run, corpus, capsys):
    before = (run / "summary.json").stat().st_mtime_ns
    assert mine(corpus, run, "--doc_id", "doc") == 0
    assert "was already finished" in capsys.readouterr().out
    assert (run / "summary.json").stat().st_mtime_ns == before
    assert mine(corpus, run, "--doc_id", "doc", "--seed", "5") == 2
    assert "settings: seed was 0, is 5" in capsys.readouterr().err


def test_an_empty_split_is_said(tmp_path, capsys):
    pq.write_table(
        pa.table({"text": ["one text", "another text"], "doc": ["d", "d"]}), tmp_path / "in.parquet"
    )
    assert mine(tmp_path / "in.parquet", tmp_path / "out", "--doc_id", "doc") == 0
    told = capsys.readouterr().out
    assert "triplet/test is empty: raise --test_share" in told
    assert "triplet/train has 0 rows; lower --positive" in told
    assert "dropped" not in told  # no adjacent texts are in different splits


def test_sentences_of_rows_are_mined_with_rows_as_documents(tmp_path):
    rows = {
        "text": [f"The cat number {i} sat down. Then it slept for {i} hours! It woke." for i in range(30)]
    }
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    assert mine(tmp_path / "in.parquet", tmp_path / "out", "--sentences", "en") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["sentences"] == 90
    assert summary["texts"] == 61
    assert summary["pairs_by_origin"]


def test_neighbours_by_a_column_of_vectors(tmp_path):
    rows = {
        "text": [f"text number {i}" for i in range(40)],
        "v": [[float(i // 2), 1.0 + i % 2] for i in range(40)],
    }
    pq.write_table(pa.table(rows), tmp_path / "in.parquet")
    few = ["--lexical", "0", "--random", "0", "--neighbours", "1", "--embedding", "v"]
    assert mine(tmp_path / "in.parquet", tmp_path / "out", *few) == 0
    assert set(pq.read_table(tmp_path / "out" / "raw")["origin"].to_pylist()) == {"neighbours"}


def test_datasets_and_sentence_transformers_take_the_files(run):
    from datasets import load_dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    files = {split: str(run / "pair-score-sampled" / split / "*.parquet") for split in ("train", "test")}
    data = load_dataset("parquet", data_files=files, cache_dir=str(run.parent / "cache"))
    assert data["train"].column_names == ["sentence1", "sentence2", "score"]
    model = CrossEncoder(str(EMBEDDED / "beam-sts-pico"), device="cpu")
    arguments = CrossEncoderTrainingArguments(
        str(run.parent / "st"), max_steps=2, per_device_train_batch_size=8, report_to="none", use_cpu=True
    )
    loss = BinaryCrossEntropyLoss(model)
    result = CrossEncoderTrainer(model, arguments, train_dataset=data["train"], loss=loss).train()
    assert result.global_step == 2


def test_pipelines_train_takes_the_sampled_pairs(run, corpus, tmp_path):
    scored = str(run / "pair-score-sampled" / "train" / "*.parquet")
    few = [
        "--pairs",
        "60",
        "--edits",
        "30",
        "--facts",
        "10",
        "--documents",
        "4",
        "--roles",
        "6",
        "--identical",
        "4",
    ]
    options = ["--stsb", str(corpus.parent / "{split}.parquet"), "--size", "tiny", "--scored", scored, *few]
    options += [
        "--teacher",
        str(EMBEDDED / "beam-sts-pico"),
        "--pretrain_epochs",
        "1",
        "--work_dir",
        str(tmp_path),
    ]
    work = workspace(tmp_path, train.recipe_of(train.parser().parse_args(["pretrain", *options])))
    work.run("pretrain")
    assert list(work.folder("pretrain").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "nope"], "--text nope: is not in the input"),
        (["--doc_id", "nope"], "--doc_id nope"),
        (["--embedding", "text"], "not lists of numbers"),
        (["--test_share", "2"], "--test_share 2.0"),
        (["--random", "-1"], "--random -1"),
        (["--device", "cuda"], "no CUDA device"),
        (["--neighbours", "0", "--lexical", "0", "--random", "0"], "no pairs would be proposed"),
        (
            ["--runner", "FnApiRunner", "--embedding_model", "m"],
            "--embedding_model: runs on one",
        ),
    ],
)
def test_mistakes_are_told_before_the_work(corpus, tmp_path, capsys, arguments, message):
    assert mine(corpus, tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
