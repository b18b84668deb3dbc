"""Bad values in a corpus: one machine and a Beam runner treat them equally."""

import json
import re

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from beam_sts.cli import dedup
from beam_sts.cli.console import user_error
from beam_sts.dedup.beam import DeduplicateTexts
from tests.cli.test_dedup import error, read, run

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


RUNNER = ("--runner", "FnApiRunner")
LOCAL = pytest.param((), id="one machine")
both_drivers = pytest.mark.parametrize("driver", [LOCAL, pytest.param(RUNNER, id="runner")])
slow_runner = pytest.mark.parametrize(
    "driver", [LOCAL, pytest.param(RUNNER, id="runner", marks=pytest.mark.slow)]
)


def written(tmp_path, **columns):
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def outcomes(tmp_path, source, model, *options):
    """The results to compare: exit status, tables without scores (which differ in last bits), and counts."""
    found = []
    args = ["--input", str(source), "--text", "text", "--id", "id", "--threads", "1", "--model", str(model)]
    for name, more in (("one", ()), ("two", RUNNER)):
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


@slow_runner
def test_empty_texts_are_kept_unless_asked(tmp_path, tiny, driver):
    source = written(tmp_path, id=list("abcde"), text=["", "  ", "", TEXT, None])
    _, summary = run(source, tmp_path / "keep", "--id", "id", *driver, model=tiny)
    assert (summary["rows_kept"], summary["rows_rejected"], summary["empty_texts_kept"]) == (4, 1, 3)
    assert summary["rejected_reasons"] == {"null in column 'text'": 1}
    _, summary = run(source, tmp_path / "score", "--id", "id", "--empty", "score", *driver, model=tiny)
    assert [r["id"] for r in read(tmp_path / "score", "removed").to_pylist()] == ["c"]
    _, summary = run(source, tmp_path / "reject", "--id", "id", "--empty", "reject", *driver, model=tiny)
    assert (summary["rows_kept"], summary["rows_rejected"]) == (1, 4)


@both_drivers
def test_null_ids_are_rejected_and_ids_that_recur_are_an_error(tmp_path, tiny, capsys, driver):
    source = written(tmp_path, id=["a", None, "b"], text=[TEXT, TEXT, TEXT])
    _, summary = run(source, tmp_path / "out", "--id", "id", *driver, model=tiny)
    assert summary["rejected_reasons"] == {"null in column 'id'": 1}
    assert summary["rows_removed"] == 1
    source = written(tmp_path, id=["a", "b", "a", "b"], text=[TEXT, OTHER, OTHER, TEXT])
    assert run(source, tmp_path / "twice", "--id", "id", *driver, model=tiny)[0] == 2
    message = error(capsys)
    if driver:
        assert re.search("id '[ab]': several texts have it", message)
    else:
        assert "--id: 'a' is the id of the good rows 0 and 2, and 1 more id recurs" in message
    source = written(tmp_path, key=["a"], text=[TEXT])
    assert run(source, tmp_path / "missing", "--id", "id", *driver, model=tiny)[0] == 2
    assert "--id id: is not in the input; its columns are 'key', 'text'" in error(capsys)


@slow_runner
def test_ids_keep_their_type_and_look(tmp_path, tiny, driver):
    (tmp_path / "in.csv").write_text(f"id,text\n007,{TEXT}\n7,{TEXT}\n1e3,{OTHER}\n1000,\n")
    run(tmp_path / "in.csv", tmp_path / "csv", "--id", "id", "--keep", "first", *driver, model=tiny)
    assert read(tmp_path / "csv", "removed").select(["id", "survivor"]).to_pylist() == [
        {"id": "7", "survivor": "007"}
    ]
    source = written(tmp_path, id=pa.array([10, 9], pa.uint64()), text=[TEXT, TEXT])
    run(source, tmp_path / "int", "--id", "id", "--keep", "longest", *driver, model=tiny)
    # Ids are compared as numbers, not as texts.
    assert read(tmp_path / "int", "removed")["survivor"].to_pylist() == [9]
    rows = [{"id": 7, "text": TEXT}, {"id": "7", "text": TEXT}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(tmp_path / "in.jsonl", tmp_path / "mixed", "--id", "id", *driver, model=tiny)
    assert read(tmp_path / "mixed", "clusters")["cluster"].to_pylist() == ['"7"', '"7"']


@slow_runner
def test_a_text_that_recurs_a_hundred_thousand_times_costs_no_pairs(tmp_path, tiny, driver):
    source = written(tmp_path, id=range(100_000, 0, -1), text=[TEXT] * 99_999 + ["something else entirely"])
    _, summary = run(source, tmp_path / "out", "--id", "id", "--keep", "highest:id", *driver, model=tiny)
    assert (summary["rows_kept"], summary["rows_removed"]) == (2, 99_998)
    assert summary["pairs_scored"] == 0
    assert summary["cluster_sizes"] == {"1": 1, "99999": 1}
    removed = read(tmp_path / "out", "removed")
    assert set(removed["survivor"].to_pylist()) == {100_000}
    assert set(removed["rule"].to_pylist()) == {"identical"}
    assert read(tmp_path / "out", "pairs").num_rows == 99_998
    assert driver or sum(summary["seconds"].values()) < 60


@pytest.mark.slow
def test_a_text_that_recurs_and_a_near_copy_are_the_same_by_a_runner(tmp_path, tiny):
    texts = [TEXT] * 99_998 + [f"{TEXT} today", OTHER]
    source = written(tmp_path, id=range(100_000), text=texts)
    one, two = outcomes(tmp_path, source, tiny, "--threshold", "0.1")
    assert one == two
    assert one[2]["rows_removed"] >= 99_997


@slow_runner
def test_texts_of_ten_megabytes(tmp_path, tiny, driver):
    words = TEXT.split()
    long = " ".join(words[i * i % 13] + str(i % 97) for i in range(1_500_000))
    assert len(long) > 10_000_000
    source = written(tmp_path, text=[long, f"{long} end", TEXT])
    options = ("--threshold", "0.0", "--long_text", "truncate")
    _, summary = run(source, tmp_path / "out", *options, *driver, model=tiny)
    assert summary["rows_removed"] == 1
    assert summary["verify"]["truncated"] == 1


def test_ids_of_two_types_in_one_collection_are_an_error(tmp_path):
    rows = [{"id": 7, "text": TEXT}, {"id": "7", "text": TEXT}]
    with pytest.raises(Exception, match="of one type") as caught, beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(rows) | DeduplicateTexts()
    assert "id '7': is str, an id before it int; ids must be of one type" in (user_error(caught.value) or "")
