"""Queries against a corpus: the command on one machine and by a runner, and the library call."""

import json
import shutil

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import MinePairs, UserError, mine
from beam_sts.candidates import beam_nearest as nearest
from beam_sts.cli.mine import main
from beam_sts.mining import shards
from beam_sts.mining.core import SUBSETS

ANIMALS = ("cat", "dog", "cow", "hen", "owl", "fox")
PLACES = ("on the mat", "in the garden", "near the river", "under the old bridge")
CORPUS = [f"The {animal} slept {place} all day." for animal in ANIMALS for place in PLACES]
CORPUS += ["Stocks fell sharply on Monday.", "THE CAT  slept on the mat all day.", " ", None]
QUERIES = [f"A {animal} was asleep {place}." for animal in ANIMALS for place in PLACES]
ANSWERS = [f"The {animal} slept {place} all day." for animal in ANIMALS for place in PLACES]
# A second answer that is not in the corpus, a query that is in it, and rows that cannot be used.
QUERIES += [QUERIES[0], CORPUS[1], None, "No answer?"]
ANSWERS += ["On the mat a cat lay asleep.", CORPUS[2], "x", ""]
SMALL = {"neighbours": 6, "lexical": 2, "random": 3, "test_share": 0.3, "seed": 3, "threads": 1}
GIVEN = {"anchor_column_name": "question", "positive_column_name": "answer", "absolute_margin": 0.0}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("queries")
    pq.write_table(pa.table({"question": QUERIES, "answer": ANSWERS, "n": range(28)}), folder / "q.parquet")
    pq.write_table(pa.table({"body": CORPUS}), folder / "c.parquet")
    return folder


def run(inputs, output, settings, *more):
    options = [f"--{name}={value}" for name, value in settings.items() if value is not True]
    options += [f"--{name}" for name, value in settings.items() if value is True]
    places = ["--queries", str(inputs / "q.parquet"), "--output", str(output)]
    corpus = ["--corpus", str(inputs / "c.parquet"), "--text", "body"]
    return main([*places, *corpus, *options, "--quiet", *more])


def files_of(output):
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*.parquet"))}


def rows(output, subset):
    return [row for split in ("train", "test") for row in pq.read_table(output / subset / split).to_pylist()]


@pytest.fixture(scope="module")
def mined(inputs):
    assert run(inputs, inputs / "out", SMALL | GIVEN) == 0
    return inputs / "out"


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(shards, "PAIRS_PER_SHARD", 60)
    monkeypatch.setattr(shards, "TEXTS_PER_RANDOM_SHARD", 20)
    monkeypatch.setattr(nearest, "BLOCK", 20)


def test_anchors_are_queries_and_partners_texts_of_the_corpus(mined):
    texts = {*CORPUS, *ANSWERS}
    for subset in ("raw", "triplet", "triplet-hard"):
        found = rows(mined, subset)
        assert found
        assert {row["anchor"] for row in found} <= set(QUERIES)
        partners = {value for row in found for name, value in row.items() if name not in ("anchor", "origin")}
        assert partners <= texts
    origins = {name for row in rows(mined, "raw") for name in row["origin"].split("+")}
    assert origins == {"given", "neighbours", "lexical", "random"}
    assert all(row["anchor"] != row["text"] for row in rows(mined, "raw"))


def test_positives_are_those_of_the_input_and_no_negative_is_one(mined):
    given = {pair for pair in zip(QUERIES, ANSWERS, strict=True) if all(pair)}
    scores = {(row["sentence1"], row["sentence2"]): row["score"] for row in rows(mined, "pair-score")}
    assert given <= set(scores)
    for row in rows(mined, "triplet-hard"):
        assert (row["anchor"], row["positive"]) in given
        assert (row["anchor"], row["negative"]) not in given
        worst = min(scores[pair] for pair in given if pair[0] == row["anchor"])
        assert scores[row["anchor"], row["negative"]] <= worst
    two = {row["positive"] for row in rows(mined, "triplet-hard") if row["anchor"] == QUERIES[0]}
    assert two == {ANSWERS[0], "On the mat a cat lay asleep."}


def test_no_query_is_in_both_splits_and_counts_add_up(mined):
    train, test = (
        {row["anchor"] for row in pq.read_table(mined / "raw" / split).to_pylist()}
        for split in ("train", "test")
    )
    assert train
    assert test
    assert not train & test
    summary = json.loads((mined / "summary.json").read_text())
    assert summary["rows_read"] == 56
    assert summary["rows_rejected"] == 4
    assert summary["queries"] == 25 == sum(summary["texts_by_split"].values())
    assert [row["row"] for row in pq.read_table(mined / "rejected_queries").to_pylist()] == [26, 27]
    assert [row["row"] for row in pq.read_table(mined / "rejected").to_pylist()] == [26, 27]
    assert "No query is in both splits." in (mined / "README.md").read_text()


@pytest.mark.parametrize(
    "more",
    [GIVEN, {**GIVEN, "output_format": "labeled-list"}, {"anchor_column_name": "question", "positive": 0.6}],
    ids=["given", "lists", "by score"],
)
def test_a_runner_writes_the_bytes_of_one_machine(inputs, tmp_path, small_parts, more):
    assert run(inputs, tmp_path / "one", SMALL | more) == 0
    assert run(inputs, tmp_path / "two", SMALL | more, "--runner", "FnApiRunner") == 0
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert one == two
    assert len([name for name in one if name.startswith("pair-score/train")]) > 2
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two")]
    for summary in summaries:
        for name in ("seconds", "path", "timeline"):
            del summary[name]
    assert summaries[0] == summaries[1]
    assert summaries[0]["rows_written"]["triplet-hard"]["train"] > 0


@pytest.mark.parametrize("runner", [(), ("--runner", "FnApiRunner")], ids=["one machine", "runner"])
def test_a_run_that_was_cut_short_goes_on(inputs, tmp_path, small_parts, runner):
    assert run(inputs, tmp_path / "whole", SMALL | GIVEN, *runner) == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "summary.json").unlink()
    records = sorted((tmp_path / "cut" / "_run" / "records").iterdir())
    for path in (*records[1::2], *(tmp_path / "cut" / "triplet-hard").rglob("*.parquet")):
        path.unlink()
    assert run(inputs, tmp_path / "cut", SMALL | GIVEN, *runner) == 0
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_the_call_gives_what_the_command_gives(inputs, mined):
    tables = pq.read_table(inputs / "q.parquet"), pq.read_table(inputs / "c.parquet")
    found = mine(queries=tables[0], corpus=tables[1], text="body", **SMALL, **GIVEN)
    for subset in SUBSETS:
        for split in ("train", "test"):
            assert found.rows(subset, split) == pq.read_table(mined / subset / split)
    assert found.rejected_queries["n"].to_pylist() == [26, 27]
    assert len(found.rejected) == 2


def test_without_a_corpus_the_positives_are_it(inputs, tmp_path):
    places = ["--queries", str(inputs / "q.parquet"), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*places, *[f"--{name}={value}" for name, value in (SMALL | GIVEN).items()]]) == 0
    found = mine(queries=pq.read_table(inputs / "q.parquet"), **SMALL, **GIVEN)
    assert (
        found.rows("triplet-hard").to_pylist()
        == pq.read_table(tmp_path / "out/triplet-hard/train").to_pylist()
    )
    assert {row["text"] for row in rows(tmp_path / "out", "raw")} <= set(ANSWERS)


def test_plain_texts_and_a_column_of_vectors():
    found = mine(queries=QUERIES[:4], corpus=CORPUS, test_share=0, threads=1)
    assert {row["sentence1"] for row in found.pairs} == set(QUERIES[:4])
    queries = pa.table({"anchor": ["a", "b"], "v": [[1.0, 0.0], [0.0, 1.0]]})
    corpus = pa.table({"text": ["east", "north", "both"], "v": [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]})
    few = {"neighbours": 1, "lexical": 0, "random": 0, "embedding": "v", "test_share": 0}
    pairs = mine(queries=queries, corpus=corpus, threads=1, **few).pairs.to_pylist()
    assert {(row["sentence1"], row["sentence2"]) for row in pairs} == {("a", "east"), ("b", "north")}


PAIR = ("sentence1", "sentence2", "origin", "split")
YAML = """
pipeline:
  transforms:
    - {{type: ReadFromParquet, name: Queries, config: {{path: "{queries}"}}}}
    - {{type: ReadFromParquet, name: Corpus, config: {{path: "{corpus}"}}}}
    - type: MinePairs
      input: {{queries: Queries, corpus: Corpus}}
      config:
        {{text: body, anchor_column_name: question, positive_column_name: {positive}, neighbours: 6,
         lexical: 2, random: 3, test_share: 0.3, seed: 3, threads: 1, error_handling: {{output: rejected}}}}
    - {{type: WriteToParquet, name: P, input: MinePairs.pairs, config: {{path: "{out}/pairs"}}}}
    - {{type: WriteToParquet, name: R, input: MinePairs.rejected, config: {{path: "{out}/rejected"}}}}
providers:
  - {{type: python, config: {{}}, transforms: {{MinePairs: beam_sts.transforms.yaml.MinePairs}}}}
"""


@pytest.mark.parametrize("given", [True, False])
def test_command_call_transform_and_yaml_give_the_same_pairs(inputs, tmp_path, given):
    """Of texts with one normal form the files have the first, elements without an order the smallest."""
    corpus = [text for text in CORPUS if text != CORPUS[25]]
    pq.write_table(pa.table({"body": corpus}), tmp_path / "c.parquet")
    more = {} if given else {"positive_column_name": None}
    settings = {name: value for name, value in (SMALL | GIVEN | more).items() if value is not None}
    del settings["absolute_margin"]
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "q.parquet").write_bytes((inputs / "q.parquet").read_bytes())
    (folder / "c.parquet").write_bytes((tmp_path / "c.parquet").read_bytes())
    assert run(folder, tmp_path / "out", settings) == 0
    scored, raw = rows(tmp_path / "out", "pair-score"), rows(tmp_path / "out", "raw")
    splits = ["train"] * pq.read_table(tmp_path / "out/raw/train").num_rows
    splits += ["test"] * (len(raw) - len(splits))
    parts = zip(scored, raw, splits, strict=True)
    every = ({**one, "origin": two["origin"], "split": split} for one, two, split in parts)
    command = sorted(every, key=by_pair)
    tables = pq.read_table(folder / "q.parquet"), pq.read_table(folder / "c.parquet")
    call = mine(queries=tables[0], corpus=tables[1], text="body", **settings).pairs.to_pylist()
    assert sorted(call, key=by_pair) == command
    asked = list(zip(QUERIES, ANSWERS, strict=True)) if given else QUERIES
    names = {name: value for name, value in settings.items() if not name.endswith("column_name")}
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = {
            "queries": pipeline | "Queries" >> beam.Create(asked),
            "corpus": pipeline | "Corpus" >> beam.Create(corpus),
        } | MinePairs(**names)
        for name, elements in found._asdict().items():
            lines = elements | f"Line {name}" >> beam.Map(lambda one: json.dumps(one))
            _ = lines | f"Write {name}" >> beam.io.WriteToText(str(tmp_path / name), shard_name_template="")
    transform = [json.loads(line) for line in (tmp_path / "pairs").open()]
    assert_same(transform, command)
    reasons = sorted(json.loads(line)[1] for line in (tmp_path / "rejected").open())
    assert reasons == ["empty text"] * (1 + given) + ["null", "null"]
    pytest.importorskip("jsonschema", reason="needs the extra 'yaml'")
    from apache_beam.yaml import main as yaml_main

    places = {"queries": folder / "q.parquet", "corpus": folder / "c.parquet", "out": tmp_path / "yaml"}
    text = YAML.format(positive="answer" if given else "null", **places)
    yaml_main.run(["--yaml_pipeline", text, "--runner=FnApiRunner"])
    shards = sorted((tmp_path / "yaml").glob("pairs*"))
    assert_same([row for shard in shards for row in pq.read_table(shard).to_pylist()], command)
    bad = [row for shard in (tmp_path / "yaml").glob("rejected*") for row in pq.read_table(shard).to_pylist()]
    assert len(bad) == len(reasons)


def by_pair(row):
    return [row[name] for name in PAIR]


def assert_same(found, command):
    found = sorted(found, key=by_pair)
    assert list(map(by_pair, found)) == list(map(by_pair, command))
    assert [row["score"] for row in found] == pytest.approx(
        [row["score"] for row in command], abs=6e-6
    )  # files have 5 digits


@pytest.mark.parametrize(
    ("names", "message"),
    [(("corpus",), "none of the inputs is named 'queries'"), (("queries", "texts"), "'texts'")],
)
def test_inputs_of_the_transform_are_checked(names, message):
    pipeline = beam.Pipeline("FnApiRunner")
    with pytest.raises(UserError, match=message):
        _ = {name: pipeline | name >> beam.Create(["a"]) for name in names} | MinePairs()


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("triplet", ["anchor", "positive", "negative"]),
        ("n-tuple", ["anchor", "positive", "negative_1", "negative_2", "negative_3"]),
        ("labeled-pair", ["anchor", "document", "label"]),
        ("labeled-list", ["anchor", "documents", "labels"]),
        ("n-tuple-scores", ["anchor", "positive", "negative_1", "negative_2", "negative_3", "scores"]),
    ],
)
def test_forms_of_triplets_hold_the_same(inputs, form, columns, tmp_path):
    datasets = pytest.importorskip("datasets")
    settings = SMALL | GIVEN | {"num_negatives": 3}
    assert run(inputs, tmp_path / "plain", settings) == 0
    assert run(inputs, tmp_path / "form", settings | {"output_format": form}) == 0
    plain: dict[tuple[str, str], list[str]] = {}
    for row in rows(tmp_path / "plain", "triplet-hard"):
        plain.setdefault((row["anchor"], row["positive"]), []).append(row["negative"])
    loaded = datasets.load_dataset(str(tmp_path / "form"), "triplet-hard", cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].column_names == columns
    found = [row for split in loaded.values() for row in split]
    if form == "labeled-list":
        assert {(row["anchor"], row["documents"][0]): row["documents"][1:] for row in found} == plain
        assert all(row["labels"] == [1] + [0] * (len(row["documents"]) - 1) for row in found)
    elif form == "labeled-pair":
        labels = {(row["anchor"], row["document"]): row["label"] for row in found}
        assert len(labels) == len(found)
        assert {pair for pair, label in labels.items() if label} == set(plain)
        negatives = {(anchor, text) for (anchor, _), texts in plain.items() for text in texts}
        assert {pair for pair, label in labels.items() if not label} == negatives
    elif form.startswith("n-tuple"):
        whole = {pair: texts for pair, texts in plain.items() if len(texts) == 3}
        assert len(whole) > 0
        assert {(r["anchor"], r["positive"]): [r[f"negative_{n}"] for n in (1, 2, 3)] for r in found} == whole
        if form.endswith("scores"):
            assert all(len(row["scores"]) == 4 and row["scores"][0] >= row["scores"][1] for row in found)
    else:
        assert found == rows(tmp_path / "plain", "triplet-hard")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--queries", "{q}"], "--queries: needs --corpus, or --positive_column_name"),
        (["--queries", "{q}", "--input", "{c}"], "give either --input, or --queries"),
        (["--input", "{c}", "--corpus", "{c}"], "--corpus: needs --queries"),
        (["--input", "{c}", "--anchor_column_name", "body"], "--anchor_column_name: needs --queries"),
        (["--queries", "{q}", "--corpus", "{c}", "--text", "body"], "--anchor_column_name anchor: is not in"),
        (
            [
                *("--queries", "{q}", "--corpus", "{c}", "--text", "body"),
                *("--anchor_column_name", "question", "--doc_id", "body"),
            ],
            "--doc_id: cannot be combined with queries",
        ),
        (
            [*("--queries", "{q}", "--anchor_column_name", "question", "--positive_column_name", "question")],
            "--positive_column_name question: is the query column too",
        ),
    ],
)
def test_mistakes_are_told_before_the_work(inputs, tmp_path, capsys, options, message):
    places = {"q": str(inputs / "q.parquet"), "c": str(inputs / "c.parquet")}
    assert main(["--output", str(tmp_path / "out"), *(one.format(**places) for one in options)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either data, or queries"),
        ({"data": ["x"], "corpus": ["y"]}, "corpus: needs queries"),
        ({"data": ["x"], "positive_column_name": "y"}, "need queries"),
        ({"queries": ["x"]}, "queries: needs corpus"),
        (
            {"queries": pa.table({"q": ["x"]}), "corpus": ["y"]},
            "anchor_column_name anchor: is not in the input",
        ),
    ],
)
def test_mistakes_of_the_call(given, message):
    with pytest.raises(UserError, match=message):
        mine(**given)
