"""Any corpus: columns of any name and type, chained verbs, ids of any type."""

import datetime
import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import deduplicate
from beam_sts.cli import dedup, evaluate, explain, label, mine, score
from beam_sts.dedup.receipts import RECEIPT
from beam_sts.errors import UserError

NOW = datetime.datetime(2024, 3, 5, 12, 0, tzinfo=datetime.UTC)
TEXTS = [
    "The river ran high over the old stone bridge this morning.",
    "The river ran high over the old  stone bridge this morning.",
    "A committee approved the new budget after a long debate.",
    "Red lanterns hung along the narrow street all summer.",
]


def read(folder, of):
    return pa.concat_tables(pq.read_table(file) for file in sorted((folder / of).glob("*.parquet")))


def dolma():
    return pa.table(
        {
            "id": [f"cc-{i}" for i in range(4)],
            "text": pa.array(TEXTS, pa.large_string()),
            "source": pa.array(["common-crawl"] * 4).dictionary_encode(),
            "added": ["2024-03-05T12:00:00Z"] * 4,
            "created": pa.array([NOW] * 4, pa.timestamp("ms", "UTC")),
            "metadata": [
                {"url": "https://a.example", "sha1": "x", "provenance": {"shard": i}} for i in range(4)
            ],
            "attributes": [[("gopher", [[0, 10, 0.5]])], [], None, [("c4", [])]],
        },
        schema=pa.schema(
            [
                ("id", pa.string()),
                ("text", pa.large_string()),
                ("source", pa.dictionary(pa.int32(), pa.string())),
                ("added", pa.string()),
                ("created", pa.timestamp("ms", "UTC")),
                (
                    "metadata",
                    pa.struct(
                        [
                            ("url", pa.string()),
                            ("provenance", pa.struct([("shard", pa.int32())])),
                        ]
                    ),
                ),
                ("attributes", pa.map_(pa.string(), pa.list_(pa.list_(pa.float64())))),
            ]
        ),
    )


def fineweb_edu():
    return pa.table(
        {
            "text": TEXTS,
            "id": [f"<urn:uuid:{i}>" for i in range(4)],
            "dump": ["CC-MAIN-2024-10"] * 4,
            "url": [f"https://a.example/{i}" for i in range(4)],
            "date": ["2024-03-05T12:00:00Z"] * 4,
            "file_path": ["s3://commoncrawl/x.warc.gz"] * 4,
            "language": ["en"] * 4,
            "language_score": [0.9] * 4,
            "token_count": [14, 14, 12, 10],
            "score": [2.5, 2.6, 3.1, 4.0],
            "int_score": [3, 3, 3, 4],
        }
    )


def c4():
    return pa.table({"text": TEXTS, "timestamp": pa.array([NOW] * 4), "url": list("abcd")})


def redpajama():
    return pa.table(
        {
            "raw_content": TEXTS,
            "doc_id": list("abcd"),
            "meta": [json.dumps({"partition": "head_middle"})] * 4,
            "quality_signals": [json.dumps({"ccnet_length": [[0, 10, 5]]})] * 4,
        }
    )


def wikipedia():
    return pa.table(
        {"id": ["12", "25", "39", "41"], "url": list("abcd"), "title": ["A", "A", "B", "C"], "text": TEXTS}
    )


def hugging_face():
    return pa.table(
        {
            "text": pa.array(TEXTS).cast(pa.string_view()),
            "label": pa.array([0, 0, 1, 1], pa.int8()),
            "tokens": [["the", "river"], [], None, ["red"]],
            "embedding": pa.array([[0.5, 0.5]] * 4, pa.list_(pa.float32(), 2)),
            "image": pa.array([{"bytes": b"\x89PNG", "path": None}] * 4),
            "answers": [{"text": ["x"], "answer_start": [3]}] * 4,
            "score": pa.array([None] * 4, pa.null()),
        }
    )


SHAPES = {
    "dolma": (dolma, "text", {"source": "beam_sts_source"}),
    "fineweb_edu": (fineweb_edu, "text", {"score": "beam_sts_score"}),
    "c4": (c4, "text", {}),
    "redpajama": (redpajama, "raw_content", {}),
    "wikipedia": (wikipedia, "text", {}),
    "hugging_face": (hugging_face, "text", {"score": "beam_sts_score"}),
}


def write(table, folder, form):
    if form == "parquet":
        pq.write_table(table, folder / "in.parquet")
    elif form == "arrow":
        with pa.ipc.new_file(folder / "in.arrow", table.schema) as file:
            file.write_table(table)
    else:
        rows = (json.dumps(row, default=str) for row in table.to_pylist())
        (folder / "in.jsonl").write_text("".join(f"{row}\n" for row in rows))
    return folder / f"in.{form}"


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_corpus_is_deduplicated_as_it_comes(tmp_path, tiny, shape, form, capsys):
    make, text, changed = SHAPES[shape]
    table = make()
    source, out = write(table, tmp_path, form), tmp_path / "out"
    options = ["--input", str(source), "--output", str(out), "--text", text, "--model", str(tiny)]
    assert dedup.main([*options, "--threshold", "0.5"]) == 0
    told = capsys.readouterr().out
    for name, ours in changed.items():
        assert f"{name} is {ours}" in told
    removed, kept = read(out, "removed"), read(out, "kept")
    assert removed.column_names[: len(table.column_names)] == table.column_names
    assert removed.column_names[-len(RECEIPT) :] == [changed.get(name, name) for name in RECEIPT]
    assert kept.column_names == [*table.column_names, "_id"]
    if form == "parquet":
        for name in table.column_names:
            assert kept[name].to_pylist() == [table[name][row].as_py() for row in (0, 2, 3)]
    assert removed[changed.get("source", "source")].to_pylist() == ["exact+minhash"]
    row = removed["_id"][0].as_py()
    assert explain.main(["--run", str(out), str(row)]) == 0
    assert "removed for 0" in capsys.readouterr().out


VERBS = {
    "dedup": (dedup, ["--text", "TEXT", "--threshold", "0.5"], "kept"),
    "score": (score, ["--text_a", "TEXT", "--text_b", "TEXT"], "scores"),
    "items": (
        dedup,
        ["--text", "TEXT", "--contains", "--against", "ITEMS", "--against_text", "TEXT"],
        "kept",
    ),
    "own": (dedup, ["--text", "TEXT", "--contains", "--unit", "sentence", "--remove", "passage"], "kept"),
    "unit": (dedup, ["--text", "TEXT", "--unit", "sentence"], "kept"),
    "mine": (mine, ["--text", "TEXT", "--test_share", "0"], "raw/train"),
    "evaluate": (evaluate, ["--text_a", "TEXT", "--text_b", "TEXT"], "scores"),
}


def every_verb(verb, shape, folder, model):
    """The input of a shape, its columns that change their names, and the options of a verb for it."""
    make, text, changed = SHAPES[shape]
    table = make()
    source = write(table, folder, "parquet")
    pq.write_table(pa.table({text: [TEXTS[0][:50], TEXTS[2]]}), folder / "items.parquet")
    named = {"TEXT": text, "ITEMS": str(folder / "items.parquet")}
    options = ["--input", str(source), *(named.get(word, word) for word in VERBS[verb][1])]
    return table, changed, options + ([] if verb in ("items", "own", "unit") else ["--model", str(model)])


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "dedup"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_verb_takes_a_corpus_as_it_comes(tmp_path, tiny, shape, verb):
    table, changed, options = every_verb(verb, shape, tmp_path, tiny)
    run, _, folder = VERBS[verb]
    assert run.main([*options, "--output", str(tmp_path / "out")]) == 0
    found = read(tmp_path / "out", folder)
    assert len(found) > 0
    if folder == "scores":
        assert found.column_names == [*table.column_names, changed.get("score", "score")]
    elif folder == "kept":
        assert found.column_names == [*table.column_names, "_id"]


@pytest.mark.slow  # three minutes; python -m pytest -m slow tests/cli/test_any_corpus.py
@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_verb_gives_the_same_rows_with_a_runner(tmp_path, tiny, shape, verb):
    _, _, options = every_verb(verb, shape, tmp_path, tiny)
    run, _, _ = VERBS[verb]
    ways = {"local": [], "beam": ["--runner", "FnApiRunner"]}
    for name, more in ways.items():
        assert run.main([*options, "--output", str(tmp_path / name), *more]) == 0
    results = [
        {
            str(file.parent.relative_to(tmp_path / name)): read(
                tmp_path / name, file.parent.relative_to(tmp_path / name)
            )
            for file in sorted((tmp_path / name).rglob("*.parquet"))
            if "_run" not in file.parts
        }
        for name in ways
    ]
    assert results[0]
    assert results[0] == results[1]


def test_score_then_dedup_then_dedup_again_then_evaluate(tmp_path, tiny):
    pairs = pa.table({"sentence1": TEXTS, "sentence2": TEXTS[::-1], "score": [1.0, 2.0, 3.0, 4.0]})
    pq.write_table(pairs, tmp_path / "in.parquet")
    steps = [
        (score, "1", []),
        (dedup, "2", ["--text", "sentence1", "--threshold", "0.5"]),
        (dedup, "3", ["--text", "sentence1", "--threshold", "0.5"]),
        (score, "4", []),
        (evaluate, "5", []),
    ]
    place, folder = tmp_path / "in.parquet", "scores"
    for verb, name, more in steps:
        out = tmp_path / name
        assert verb.main(["--input", str(place), "--output", str(out), "--model", str(tiny), *more]) == 0
        folder = "kept" if verb is dedup else "scores"
        place = out / folder
    assert read(tmp_path / "5", "scores").column_names == [
        *("sentence1", "sentence2", "score", "beam_sts_score", "_id", "beam_sts__id"),
        *("beam_sts_2_score", "beam_sts_3_score"),
    ]
    assert read(tmp_path / "5", "scores")["score"].to_pylist() == [1.0, 3.0, 4.0]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_column_may_have_the_name_of_one_inside(tmp_path, tiny, form):
    names = ["beam_sts.raw", "beam_sts.type", "beam_sts_score", "score"]
    rows = [{"text": text, **dict.fromkeys(names, f"own {row}")} for row, text in enumerate(TEXTS)]
    place = tmp_path / f"in.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), place)
    elif form == "jsonl":
        place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        place.write_text(
            "\n".join(",".join(map(json.dumps, row)) for row in (rows[0], *map(dict.values, rows)))
        )
    options = ["--input", str(place), "--output", str(tmp_path / "out"), "--model", str(tiny)]
    more = [] if form == "csv" else ["--output_format", form]
    assert dedup.main([*options, "--text", "text", *more]) == 0
    kept = tmp_path / "out" / "kept"
    if form == "jsonl":
        found = [json.loads(line) for file in sorted(kept.iterdir()) for line in file.open()]
    else:
        found = read(tmp_path / "out", "kept").to_pylist()
    assert len(found) == 3
    assert all(row[name] == row["score"] for row in found for name in names)


def test_the_prefix_can_be_another(tmp_path, tiny):
    pq.write_table(dolma(), tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--model", str(tiny)]
    more = ["--output", str(tmp_path / "out"), "--output_prefix", "dup_", "--id", "id"]
    assert dedup.main([*options, *more]) == 0
    assert "dup_source" in read(tmp_path / "out", "removed").column_names
    result = deduplicate(dolma(), output_prefix="dup_", model=str(tiny), threshold=0.5)
    assert "dup_source" in result.removed.column_names


def test_a_beam_run_gives_the_same_rows(tmp_path, tiny):
    pq.write_table(dolma(), tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--text", "metadata.url, text", "--model", str(tiny)]
    for name, runner in (("local", []), ("beam", ["--runner", "FnApiRunner"])):
        assert dedup.main([*options, "--output", str(tmp_path / name), *runner]) == 0
    for of in ("kept", "removed", "clusters"):
        assert read(tmp_path / "local", of).equals(read(tmp_path / "beam", of))


def test_texts_of_several_columns_and_of_an_expression(tmp_path, tiny):
    table = pa.table(
        {
            "name": ["Ann Smith", "ann smith", None, None],
            "address": ["1 Old Road", "1 Old Road", "9 High Street", None],
            "zip": [1234, 1234, 77, None],
        }
    )
    result = deduplicate(table, text="name, address,zip", model=str(tiny), threshold=0.5)
    assert [result.counts[name] for name in ("kept", "removed", "rejected")] == [2, 1, 1]
    assert result.rejected["reject_reason"].to_pylist() == ["null in column 'name, address,zip'"]
    pytest.importorskip("duckdb")
    pq.write_table(table, tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out")]
    text = "lower(name) || ' ' || address"
    assert dedup.main([*options, "--text", text, "--model", str(tiny), "--threshold", "1"]) == 0
    removed = read(tmp_path / "out", "removed")
    assert (removed["name"].to_pylist(), removed["rule"].to_pylist()) == (["ann smith"], ["identical"])
    options = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "mined")]
    assert mine.main([*options, "--text", "name,address", "--model", str(tiny), "--test_share", "0"]) == 0


def test_a_misspelt_column_among_several_is_named(tiny):
    with pytest.raises(UserError, match=r"text nme: is not in the input; did you mean 'name'"):
        deduplicate(pa.table({"name": ["a"], "address": ["b"]}), text="nme,address", model=str(tiny))


IDS = {
    "uuid": pa.array([uuid.UUID(int=i + 1).bytes for i in range(4)], pa.uuid()),
    "fixed": pa.array([bytes([255, i]) for i in range(4)], pa.binary(2)),
    "binary": pa.array([bytes([255, i]) for i in range(4)], pa.binary()),
    "view": pa.array(list("abcd")).cast(pa.string_view()),
    "dictionary": pa.array(list("abcd")).dictionary_encode(),
}
SHOWN = {"uuid": str(uuid.UUID(int=2)), "fixed": "ff01", "binary": "ff01", "view": "b", "dictionary": "b"}


@pytest.mark.parametrize("kind", list(IDS))
def test_ids_of_every_type(tmp_path, tiny, kind, capsys):
    table = pa.table({"key": IDS[kind], "text": TEXTS})
    pq.write_table(table, tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--id", "key", "--model", str(tiny)]
    found = []
    ways = {"local": [], "beam": ["--runner", "FnApiRunner"]}
    for name in ways if kind in ("uuid", "binary") else ["local"]:  # the other types are handled like these
        runner = ways[name]
        assert dedup.main([*options, "--output", str(tmp_path / name), "--threshold", "0.5", *runner]) == 0
        removed = read(tmp_path / name, "removed")
        assert (
            removed["key"].type == pq.read_schema(tmp_path / "in.parquet").field("key").type or kind == "view"
        )
        found.append(removed["survivor"].to_pylist())
    assert found[0] == found[-1]
    assert len(found[0]) == 1
    capsys.readouterr()
    assert explain.main(["--run", str(tmp_path / "local"), SHOWN[kind]]) == 0
    assert "removed for" in capsys.readouterr().out
    sheet = tmp_path / "sheet.csv"
    assert label.main(["--run", str(tmp_path / "local"), "--sheet", str(sheet)]) == 0
    assert SHOWN[kind] in sheet.read_text()


def near_texts():
    """Ten groups of five texts with increasingly different copies."""
    words = [f"{stem}{number}" for stem in ("river", "stone", "green", "table") for number in range(60)]
    groups = [[*words[at * 20 : at * 20 + 20]] for at in range(10)]
    return [
        " ".join([*group[copy:], *(f"new{at}word{copy}{one}" for one in range(copy))])
        for at, group in enumerate(groups)
        for copy in range(5)
    ]


@pytest.mark.parametrize("wanted", [12, 25, 40, 0.5, 0.9, 50])
def test_as_many_rows_stay_as_are_wanted(tiny, wanted):
    texts = near_texts()
    settings = {"model": str(tiny), "guard": "none", "threshold": 0.3, "model_share": 0.0}
    found = deduplicate(texts, keep_rows=wanted, **settings)
    least = wanted if wanted >= 1 else -(-wanted * len(texts) // 1)
    assert found.counts["kept"] >= least
    plain = deduplicate(texts, **settings)
    assert plain.at(found.threshold).counts["kept"] == found.counts["kept"]
    scores = {round(pair["score"], 5) for pair in plain.pairs if pair["score"] is not None}
    lower = [score for score in scores if 0.3 <= score < found.threshold]
    if lower:
        assert plain.at(max(lower)).counts["kept"] < least


def test_rows_wanted_by_the_command(tmp_path, tiny, capsys):
    texts = near_texts()
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    options = ["--input", str(tmp_path / "in.parquet"), "--text", "text", "--model", str(tiny)]
    options += ["--guard", "none", "--threshold", "0.3", "--model_share", "0"]
    assert dedup.main([*options, "--output", str(tmp_path / "out"), "--keep_rows", "60%"]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    same = deduplicate(texts, keep_rows=0.6, model=str(tiny), guard="none", threshold=0.3, model_share=0.0)
    assert summary["rows_kept"] == len(read(tmp_path / "out", "kept")) == same.counts["kept"] >= 30
    assert summary["threshold"] == same.threshold > 0.3
    assert set(read(tmp_path / "out", "removed")["threshold"].to_pylist()) == {summary["threshold"]}
    again = [*options, "--output", str(tmp_path / "more"), "--from_pairs", str(tmp_path / "out")]
    assert dedup.main([*again, "--keep_rows", "60%"]) == 0
    assert read(tmp_path / "more", "kept").equals(read(tmp_path / "out", "kept"))
    assert dedup.main([*options, "--output", str(tmp_path / "no"), "--keep_rows", "1.5"]) == 2
    assert "--keep_rows 1.5: must be a whole number of rows" in capsys.readouterr().err
    beam = ["--output", str(tmp_path / "beam"), "--keep_rows", "60%", "--runner=FnApiRunner"]
    assert dedup.main([*options, *beam]) == 0
    again = json.loads((tmp_path / "beam" / "summary.json").read_text())
    for name in ("kept", "removed", "clusters"):
        assert read(tmp_path / "beam", name).equals(read(tmp_path / "out", name))
    same = ("threshold", "pairs_accepted", "pairs_guard", "thresholds", "cluster_sizes", "largest_clusters")
    assert {name: again[name] for name in same} == {name: summary[name] for name in same}
