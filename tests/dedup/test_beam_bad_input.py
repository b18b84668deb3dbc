"""Bad values in a corpus: one machine and a Beam runner treat them equally."""

import json

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_sts.cli import dedup
from beam_sts.cli.console import user_error
from beam_sts.dedup.beam import DeduplicateTexts

TEXT = "the river walks slowly over seven old wooden bridges in the morning light"
OTHER = "seven lamps hang from the ceiling of the station hall"
ODD = [  # numbers and texts as ids, ids that look like numbers, empty texts, nulls, equal texts
    {"id": 7, "text": TEXT},
    {"id": "7", "text": f"{TEXT}."},
    {"id": "007", "text": TEXT},
    {"id": "1e3", "text": OTHER},
    {"id": 1000, "text": f"{OTHER} now"},
    {"id": None, "text": TEXT},
    {"id": "null text", "text": None},
    {"id": "no text"},
    *({"id": f"blank {at}", "text": blank} for at, blank in enumerate(("", "", " ", "\x1c\u3000"))),
]


def outcomes(tmp_path, source, model, *options):
    """The results to compare: exit status, tables without scores (which differ in last bits), and counts."""
    found = []
    args = ["--input", str(source), "--text", "text", "--id", "id", "--threads", "1", "--model", str(model)]
    for name, more in (("one", ()), ("two", ("--runner", "FnApiRunner"))):
        out = tmp_path / name
        status = dedup.main([*args, *options, "--output", str(out), *more])
        if status:
            found.append((status, {}, {}))
            continue
        names = ("kept", "removed", "rejected", "clusters")
        tables = {part: pq.read_table(out / part) for part in names}
        tables["removed"] = tables["removed"].drop_columns(["score"])
        summary = json.loads((out / "summary.json").read_text())
        counts = {key: value for key, value in summary.items() if key.startswith("rows_")}
        assert counts["rows_read"] == sum(counts[f"rows_{part}"] for part in ("kept", "removed", "rejected"))
        counts |= {key: summary[key] for key in ("rejected_reasons", "empty_texts_kept", "cluster_sizes")}
        found.append((status, {part: table.to_pylist() for part, table in tables.items()}, counts))
    return found


@pytest.mark.parametrize(
    "empty", ["keep", *(pytest.param(e, marks=pytest.mark.slow) for e in ("score", "reject"))]
)
def test_odd_ids_and_texts(tmp_path, tiny, empty):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ODD))
    one, two = outcomes(tmp_path, source, tiny, "--empty", empty, "--keep", "first")
    assert one == two
    _, tables, counts = one
    assert counts["rows_read"] == len(ODD)
    assert counts["rows_rejected"] == {"keep": 3, "score": 3, "reject": 7}[empty]
    assert counts["empty_texts_kept"] == {"keep": 4, "score": 0, "reject": 0}[empty]
    gone = {row["id"]: row["survivor"] for row in tables["removed"]}
    assert gone['"007"'] == "7"  # the number, which came first; the text that looks the same is another id
    assert ('"blank 1"' in gone) == (empty == "score")


@pytest.mark.slow
def test_ids_of_a_csv_keep_their_look(tmp_path, tiny):
    (tmp_path / "in.csv").write_text(f"id,text\n007,{TEXT}\n7,{TEXT}\n1e3,{OTHER}\n1000,\n")
    one, two = outcomes(tmp_path, tmp_path / "in.csv", tiny, "--keep", "first")
    assert one == two
    assert [(row["id"], row["survivor"]) for row in one[1]["removed"]] == [("7", "007")]


def test_ids_that_recur_and_columns_that_are_missing(tmp_path, tiny, capsys):
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "a"], "text": [TEXT, OTHER, OTHER]}), source)
    assert [status for status, *_ in outcomes(tmp_path, source, tiny)] == [2, 2]
    said = " ".join(capsys.readouterr().err.split())
    assert "--id: 'a' is the id of the good rows 0 and 2" in said
    assert "id 'a': several texts have it" in said
    pq.write_table(pa.table({"key": ["a"], "text": [TEXT]}), source)
    assert [status for status, *_ in outcomes(tmp_path, source, tiny)] == [2, 2]
    assert capsys.readouterr().err.count("--id id: is not in the input; its columns are 'key', 'text'") == 2


@pytest.mark.slow
def test_a_text_that_recurs_a_hundred_thousand_times(tmp_path, tiny):
    texts = [TEXT] * 99_998 + [f"{TEXT} today", OTHER]
    pq.write_table(pa.table({"id": range(100_000), "text": texts}), tmp_path / "in.parquet")
    one, two = outcomes(tmp_path, tmp_path / "in.parquet", tiny, "--threshold", "0.1")
    assert one == two
    assert one[2]["rows_removed"] >= 99_997


@pytest.mark.slow
def test_texts_of_ten_megabytes(tmp_path, tiny):
    words = TEXT.split()
    long = " ".join(words[i * i % 13] + str(i % 97) for i in range(1_500_000))
    assert len(long) > 10_000_000
    texts = [long, f"{long} end", TEXT]
    pq.write_table(pa.table({"id": list("abc"), "text": texts}), tmp_path / "in.parquet")
    one, two = outcomes(
        tmp_path, tmp_path / "in.parquet", tiny, "--long_text", "truncate", "--threshold", "0"
    )
    assert one == two
    assert one[2]["rows_removed"] == 1


def test_ids_of_two_types_in_one_collection_are_an_error(tmp_path):
    rows = [{"id": 7, "text": TEXT}, {"id": "7", "text": TEXT}]
    with pytest.raises(Exception, match="of one type") as caught, beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(rows) | DeduplicateTexts()
    assert "id '7': is str, an id before it int; ids must be of one type" in (user_error(caught.value) or "")
