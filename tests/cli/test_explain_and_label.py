import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, explain, label
from beam_sts.dedup.runs import Run
from tests.cli.test_dedup import made_texts


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    texts = [*made_texts(30), "=1+1 \x1b[31mred words that attack", "=1+1 \x1b[31mred words that do attack"]
    ids = [f"=r{i}" for i in range(len(texts))]
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "in.parquet")
    args = ["--input", str(folder / "in.parquet"), "--text", "text", "--id", "id", "--threads", "1"]
    # Without the guard most candidates may be labelled.
    more = ["--threshold", "0.6", "--score_all", "--guard", "none"]
    assert dedup.main([*args, "--output", str(folder / "out"), *more]) == 0
    return folder / "out"


def test_a_removed_row_is_explained_with_its_survivor_score_and_difference(finished, capsys):
    removed = pq.read_table(finished / "removed").to_pylist()
    row = next(r for r in removed if "attack" in r["text"])
    assert explain.main(["--run", str(finished), row["id"]]) == 0
    printed = capsys.readouterr().out
    assert f"removed for {row['survivor']}, score {row['score']:.4f} >= 0.6 (blend" in printed
    assert "{+do+}" in printed or "[-do-]" in printed
    assert "\\x1b[31mred" in printed
    assert "\x1b" not in printed
    assert explain.main(["--run", str(finished), row["survivor"]]) == 0
    assert f"{row['survivor']}: kept" in capsys.readouterr().out


def test_colours_only_where_asked(finished):
    assert explain.coloured_difference("a b", "a c", colour=True) == "a \x1b[31mb\x1b[0m \x1b[32mc\x1b[0m"
    assert explain.coloured_difference("a b", "a c", colour=False) == "a [-b-] {+c+}"
    assert explain.safe("\u202eevil\u2028\r") == "\\u202eevil\\u2028\\r"
    assert explain.coloured_difference("x " * 3000, "x " * 3001, colour=False).endswith(
        "(the first 2,000 words)"
    )


def test_an_unknown_row_or_run_is_an_error(finished, tmp_path, capsys):
    assert explain.main(["--run", str(finished), "nobody"]) == 2
    assert "nobody: no kept or removed row has that id" in capsys.readouterr().err
    assert explain.main(["--run", str(tmp_path), "x"]) == 2
    assert "contains no run of beam-sts dedup" in capsys.readouterr().err


def test_a_label_sheet_is_written_safely_and_gives_a_threshold_when_filled_in(finished, tmp_path, capsys):
    sheet = tmp_path / "sheet.csv"
    assert label.main(["--run", str(finished), "--sheet", str(sheet), "--pairs", "40"]) == 0
    rows = list(csv.DictReader(sheet.open()))
    assert len(rows) == min(40, len(label.judged_pairs(Run.at(str(finished)))))
    assert all(row["id_a"].startswith("'=") for row in rows)
    assert all(row["text_a"] and row["text_b"] for row in rows)
    assert label.main(["--run", str(finished), "--sheet", str(sheet)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert label.main(["--run", str(finished), "--read", str(sheet)]) == 2
    assert "has no labels" in capsys.readouterr().err
    for row in rows:
        row["label"] = "yes" if float(row["score"]) > 0.5 else "0"
    _write(sheet, rows)
    read = ["--run", str(finished), "--read", str(sheet), "--precision", "0.5"]
    assert label.main(read) == 0
    printed = capsys.readouterr().out
    assert f"{len(rows)} labels" in printed
    assert "recommended: --threshold" in printed
    rows[3]["label"] = "perhaps"
    _write(sheet, rows)
    assert label.main(read) == 2
    assert "row 4: label 'perhaps' is neither 1 nor 0" in capsys.readouterr().err
    rows[3] |= {"label": "1", "score": "=2+2"}
    _write(sheet, rows)
    assert label.main(read) == 2
    assert "row 4: score '=2+2' is not a number from 0 to 1" in capsys.readouterr().err


def test_earlier_labels_are_kept_and_a_second_sheet_has_other_pairs(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(label, "_TWO_SHEETS", 10)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    assert label.main(["--run", str(finished), "--sheet", str(first), "--pairs", "15"]) == 0
    assert "two sheets of half the size" in capsys.readouterr().out
    rows = list(csv.DictReader(first.open()))
    for row in rows:
        row["label"] = str(int(float(row["score"]) > 0.7))
        row["score"] = row["score"].replace(".", ",")  # a spreadsheet may save it so
    _write(first, rows)
    both = ["--run", str(finished), "--read", str(first), "--sheet", str(second), "--pairs", "10"]
    assert label.main(both) == 0
    more = list(csv.DictReader(second.open()))
    ids = {(row["id_a"], row["id_b"]) for row in rows}
    assert more
    assert not ids & {(row["id_a"], row["id_b"]) for row in more}
    assert {row["kind"] for row in more} <= {"numbers", "facts", "lost text", "script", "wording"}
    more[0]["label"] = "1"
    _write(second, [*more, rows[0] | {"label": "1"}])  # labelled again: the last label counts
    capsys.readouterr()
    assert label.main(["--run", str(finished), "--read", str(first), str(second), "--width", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert f"{len(rows) + 1} labels" in printed
    assert "duplicates among labels by what differs: " in printed
    assert "more labels would narrow it to 0.1" in printed or "no threshold has a precision" in printed
    rows[1] |= {"id_a": "nobody"}
    _write(first, rows)
    assert label.main(["--run", str(finished), "--read", str(first)]) == 0
    assert "1 label of pairs that this run did not score" in capsys.readouterr().out
    assert label.main(["--run", str(finished)]) == 2
    assert "give --sheet FILE" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_pairs_that_only_a_bound_decided_are_labelled_by_it(tmp_path, tiny, capsys, form):
    """By default the model scores no pair that cannot reach the threshold, and here none can."""
    texts = [f"The {word} kettle boils the water very quickly." for word in ("blue", "red", "green", "old")]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    run, sheet = tmp_path / "run", tmp_path / "sheet.csv"
    args = ["--input", tmp_path / "in.parquet", "--output", run, "--model", tiny, "--threads", "1"]
    assert dedup.main([*map(str, args), "--threshold", "0.99", "--output_format", form]) == 0
    pairs = [row for table in Run.at(str(run)).tables("pairs") for row in table.to_pylist()]
    assert pairs
    assert not any(row["score"] for row in pairs)
    assert label.main(["--run", str(run), "--sheet", str(sheet), "--pairs", "6"]) == 0
    rows = list(csv.DictReader(sheet.open()))
    bounds = {(str(row["id_a"]), str(row["id_b"])): float(row["bound"]) for row in pairs}
    for row in rows:
        assert float(row["score"]) == pytest.approx(bounds[row["id_a"], row["id_b"]], abs=1e-6)
        row["label"] = "1"
    _write(sheet, rows)
    capsys.readouterr()
    assert label.main(["--run", str(run), "--read", str(sheet), "--precision", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert "the highest score that a pair can have is used" in printed
    assert f"--from_pairs {run}" in printed


def test_a_run_without_a_pair_has_nothing_to_label(finished, tmp_path, tiny, capsys):
    pq.write_table(pa.table({"text": ["A cat sat on the mat.", "Prices fell."]}), tmp_path / "in.parquet")
    args = [
        "--input",
        tmp_path / "in.parquet",
        "--output",
        tmp_path / "run",
        "--model",
        tiny,
        "--threads",
        "1",
    ]
    assert dedup.main([*map(str, args)]) == 0
    sheet = tmp_path / "sheet.csv"
    assert label.main(["--run", str(finished), "--sheet", str(sheet), "--pairs", "5"]) == 0
    rows = list(csv.DictReader(sheet.open()))
    _write(sheet, [row | {"label": "1"} for row in rows])
    for more in (["--sheet", str(tmp_path / "other.csv")], ["--read", str(sheet)]):
        capsys.readouterr()
        assert label.main(["--run", str(tmp_path / "run"), *more]) == 2
        assert (
            "there is nothing to label: the run has no pairs of similar texts. Run" in capsys.readouterr().err
        )


@pytest.mark.parametrize(
    ("texts", "reason", "way"),
    [
        (
            [f"The train to Berlin leaves at {hour} o'clock from platform {hour}." for hour in (7, 8, 9)],
            "3 pairs --guard or --max_lost rules out at any threshold.",
            "Run beam-sts dedup with --guard none --max_lost none",
        ),
        (["A cat sat on the mat."] * 2, "1 pair is identical.", ""),
    ],
)
def test_why_no_pair_can_be_labelled(texts, reason, way, tmp_path, tiny, capsys):
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    run = tmp_path / "run"
    args = ["--input", tmp_path / "in.parquet", "--output", run, "--model", tiny, "--threads", "1"]
    assert dedup.main([*map(str, args)]) == 0
    capsys.readouterr()
    assert label.main(["--run", str(run), "--sheet", str(tmp_path / "sheet.csv")]) == 2
    said = capsys.readouterr().err
    assert f"there is nothing to label: no pair depends on the threshold: {reason}" in said
    assert way in said
    assert not (tmp_path / "sheet.csv").exists()


def _write(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
