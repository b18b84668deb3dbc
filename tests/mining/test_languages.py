"""Mining tells the languages of its texts, and scores texts in plain form, on every path."""

import json

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import MinePairs, mine
from beam_sts.cli.mine import main
from tests.cli.test_dedup import MARKED
from tests.dedup.test_learnt import GERMAN

FORMS = [
    "The committee met on Monday to look at the plans for the new bridge.",
    "<p>The <b>committee</b> met on Monday&nbsp;to look at the plans for the new bridge.</p>",
    "Ｔhe committee met\u200b on Monday to look at the plans  for the new bridge.",
    "Tomatoes need sun and water.",
    "Rain fell in the night, and the street was wet until noon.",
]
SETTINGS = {"neighbours": 4, "lexical": 4, "random": 0, "test_share": 0}


def mined(folder, texts, *more):
    """The summary of a run of the command, and its scored pairs."""
    pq.write_table(pa.table({"text": texts}), folder / "in.parquet")
    out = folder / f"out{len(more)}"
    args = ["--input", str(folder / "in.parquet"), "--output", str(out), "--model", "beam-sts-pico"]
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    assert main([*args, *settings, "--threads", "1", *more]) == 0
    return json.loads((out / "summary.json").read_text()), pq.read_table(out / "pair-score/train"), out


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_languages_that_the_model_does_not_know_are_told(tmp_path, runner, capsys):
    summary, _, out = mined(tmp_path, GERMAN, *runner)
    assert summary["languages"]["counts"] == {"de": 6}
    assert summary["languages"]["unknown"] == {"de": 6}
    said = capsys.readouterr()
    assert "does not know some languages of the texts (de)" in said.out + said.err
    assert summary["languages"]["warning"] in (out / "report.html").read_text()


def test_a_call_warns_and_is_silent_about_languages_that_the_model_knows(caplog):
    caplog.set_level("WARNING")
    known = mine(FORMS, model="beam-sts-pico", **SETTINGS)
    assert not known.counts["languages"]["unknown"]
    assert not caplog.text
    assert mine(GERMAN, model="beam-sts-pico", **SETTINGS).counts["languages"]["unknown"] == {"de": 6}
    assert "does not know some languages of the texts (de)" in caplog.text


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_form_does_not_count_and_texts_are_written_as_they_are(tmp_path, runner):
    _, pairs, _ = mined(tmp_path, FORMS, *runner)
    scores = {frozenset((row["sentence1"], row["sentence2"])): row["score"] for row in pairs.to_pylist()}
    same = [score for pair, score in scores.items() if pair <= set(FORMS[:3])]
    assert same == [1.0] * 3
    assert all(score < 1 for pair, score in scores.items() if not pair <= set(FORMS[:3]))
    assert set().union(*scores) == set(FORMS)


@pytest.mark.parametrize("search", ["neighbours", "lexical"])
@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_markup_does_not_hide_the_nearest_text(tmp_path, runner, search):
    one = {"--neighbours": 0, "--lexical": 0, f"--{search}": 1}
    more = [f"{name}={value}" for name, value in one.items()]
    summary, pairs, _ = mined(tmp_path, MARKED, *more, *runner)
    assert pairs["score"].to_pylist() == [1.0] * 3
    assert summary["pairs_by_origin"] == {search: 3}


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "Beam"])
def test_languages_of_queries_and_corpus_are_told(tmp_path, runner):
    pq.write_table(pa.table({"anchor": GERMAN[:3]}), tmp_path / "asked.parquet")
    pq.write_table(pa.table({"text": GERMAN[3:]}), tmp_path / "in.parquet")
    args = ["--queries", str(tmp_path / "asked.parquet"), "--corpus", str(tmp_path / "in.parquet")]
    out = tmp_path / "out"
    assert main([*args, "--output", str(out), "--model", "beam-sts-pico", "--threads", "1", *runner]) == 0
    languages = json.loads((out / "summary.json").read_text())["languages"]
    assert languages["counts"] == {"de": 6}
    assert languages["warning"]


def test_the_transform_scores_in_plain_form_too(tmp_path):
    with beam.Pipeline("FnApiRunner") as pipeline:
        rows = pipeline | beam.Create(FORMS) | MinePairs("beam-sts-pico", threads=1, **SETTINGS)
        _ = rows.pairs | beam.Map(json.dumps) | beam.io.WriteToText(str(tmp_path / "pairs"), num_shards=1)
    (file,) = tmp_path.glob("pairs*")
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"sentence1", "sentence2", "score", "origin", "split"} == set(pairs[0])
    same = [row["score"] for row in pairs if {row["sentence1"], row["sentence2"]} <= set(FORMS[:3])]
    assert same == [1.0] * 3
