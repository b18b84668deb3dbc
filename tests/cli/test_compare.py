"""The command that compares systems: differences, gates, and one result on every path."""

import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from beam_sts import PairScorer
from beam_sts.cli.evaluate import main
from beam_sts.evaluation import compare
from beam_sts.io.reading import plan_input, read_slices

WHO = ("A man", "The woman", "A young boy", "Her uncle", "The old teacher", "A nurse", "The baker", "A girl")
WHAT = ("opens", "carries", "repairs", "paints", "sells", "cleans", "finds")
WHICH = (
    "a red door",
    "the small boat",
    "an old bicycle",
    "a heavy table",
    "the kitchen clock",
    "a wooden box",
)


def sentences(count=300):
    return [f"{who} {what} {which}." for who in WHO for what in WHAT for which in WHICH][:count]


def question(number, text):
    """Answers of two systems to questions; those of the second miss a word in every other one."""
    words = text.split()
    answer = " ".join([*words[:-1], "old", *words[-1:]])
    lost = words[:2] + words[3:]
    second = " ".join([*lost[:-1], "old", *lost[-1:]]) if number % 2 else answer
    base = {"question_id": f"q{number}", "reference": text, "score": "not ours"}
    return [{**base, "system": "a", "answer": answer}, {**base, "system": "b", "answer": second}]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


COLUMNS = ["--text_a", "answer", "--text_b", "reference"]
LONG = [*COLUMNS, "--group", "system", "--by", "question_id"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    rows = [row for number, text in enumerate(sentences()) for row in question(number, text)]
    return write(tmp_path_factory.mktemp("answers") / "answers.jsonl", rows)


def result(file, *flags, status=0):
    path = Path(file).with_name("result.json")
    assert main(["--input", file, "--json", str(path), *flags]) == status
    return json.loads(path.read_text(encoding="utf-8"))


def read(file):
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def test_a_word_lost_in_every_other_answer_is_found(answers, capsys):
    said = result(answers, *LONG, "--baseline", "a")
    (found,) = said["comparisons"]
    rows = read(answers)
    scores = PairScorer().score([(row["answer"], row["reference"]) for row in rows])
    (wanted,) = compare(scores, [r["system"] for r in rows], [r["question_id"] for r in rows], "a")
    for name in ("difference", "low", "high"):
        assert found[name] == pytest.approx(getattr(wanted, name), abs=1e-5)
    assert found["p"] == pytest.approx(wanted.p, rel=1e-2)
    assert (found["group"], found["baseline"], found["n"], found["ties"]) == ("b", "a", 300, 150)
    assert found["difference"] < found["high"] < 0
    assert found["verdict"] == "worse"
    screen = capsys.readouterr().out
    assert re.search(r"b against a: -0\.\d+ \(95% confidence -0\.\d+ to -0\.\d+\), p \S+: worse", screen)
    differences = [one["difference"] for one in said["lost"]]
    assert len(differences) == 5
    assert differences == sorted(differences)
    for one in said["lost"]:
        number = int(one["question"][1:])
        first, second = question(number, sentences()[number])
        assert (one["baseline_answer"], one["answer"]) == (first["answer"], second["answer"])
        assert one["references"] == [sentences()[number]]


def test_without_a_baseline_it_is_the_first_by_name(answers):
    assert result(answers, *LONG)["baseline"] == "a"


def test_gates_end_the_command_with_3_and_say_why(answers, tmp_path, capsys):
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    flags = [*LONG, "--baseline", "a", "--junit", str(junit), "--markdown", str(summary)]
    said = result(answers, *flags, "--max_regression", "0.001", "--fail_under", "0.1", status=3)
    assert [gate["passed"] for gate in said["gates"]] == [True, True, False]
    assert re.search(
        r"failed: max_regression: b: estimated loss against a 0\.\d+ is above 0.001", capsys.readouterr().err
    )
    assert ElementTree.parse(junit).getroot().get("failures") == "1"
    assert "1 of 3 gates failed" in summary.read_text()
    result(answers, *flags, "--max_regression", "0.9", "--fail_under", "0.1")
    assert ElementTree.parse(junit).getroot().get("failures") == "0"
    assert "All gates passed" in summary.read_text()
    result(answers, *COLUMNS, "--fail_under", "0.99", status=3)


def test_the_exit_status_of_a_gate_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "3 a gate failed" in capsys.readouterr().out


def test_systems_as_columns_give_the_same_numbers_as_rows(answers, tmp_path):
    long = result(answers, *LONG, "--baseline", "a")
    rows = []
    for number, text in enumerate(sentences()):
        first, second = question(number, text)
        rows.append({"a": first["answer"], "b": second["answer"], "reference": text})
    wide = result(
        write(tmp_path / "wide.jsonl", rows), "--systems", "a,b", "--text_b", "reference", "--baseline", "a"
    )
    assert (wide["rows_read"], wide["answers"]) == (300, 600)
    for name in ("difference", "low", "high", "p"):
        assert wide["comparisons"][0][name] == pytest.approx(long["comparisons"][0][name], abs=1e-5)
    assert wide["lost"][0]["difference"] == pytest.approx(long["lost"][0]["difference"], abs=1e-5)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Answers of three systems, some questions with several or no answers, and rows that cannot be used."""
    rows = [row for number, text in enumerate(sentences(40)) for row in question(number, text)]
    rows += [{**row, "answer": row["reference"]} for row in rows[:20]]
    rows += [{**row, "system": "c"} for row in rows[::2]]
    rows = [row for row in rows if not (row["system"] == "c" and row["question_id"] in ("q3", "q5"))]
    rows += [{**rows[0], "answer": None}, {**rows[0], "question_id": None}]
    return write(tmp_path_factory.mktemp("small") / "answers.jsonl", rows), len(rows)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_row_scores_are_joined_to_the_input_in_its_order(small, tmp_path, tiny, form):
    file, count = small
    out = tmp_path / "out"
    flags = [*LONG, "--model", str(tiny), "--output", str(out), "--output_format", form]
    said = result(file, *flags)
    assert (said["rows_read"], said["rows_scored"], said["rows_rejected"]) == (count, count - 2, 2)
    plan = plan_input(str(out / "scores"), 10_000)
    rows = [
        row
        for unit in plan.units
        for data in read_slices(unit, plan.schema)
        for row in data.table.to_pylist()
    ]
    sent = read(file)[:-2]
    assert [row["answer"] for row in rows] == [row["answer"] for row in sent]
    assert {row["score"] for row in rows} == {"not ours"}
    wanted = PairScorer(tiny).score([(row["answer"], row["reference"]) for row in sent])
    assert np.array([float(row["beam_sts_score"]) for row in rows]) == pytest.approx(wanted, abs=2e-6)
    assert json.loads((out / "summary.json").read_text())["comparisons"] == said["comparisons"]
    assert "<h1>Evaluated" in (out / "report.html").read_text()


def test_beam_and_this_process_give_the_same_numbers(small, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("beam_sts.cli.evaluate.ROWS_PER_SLICE", 16)
    file, _ = small
    flags = [*LONG, "--model", str(tiny), "--baseline", "a"]
    here = result(file, *flags)
    with_output = result(file, *flags, "--output", str(tmp_path / "here"))
    beam = result(file, *flags, "--output", str(tmp_path / "beam"), "--direct_running_mode=in_memory")
    for other in (with_output, beam):
        for name in set(here) - {"seconds", "pairs_per_second"}:
            assert other[name] == here[name], name
    shards = sorted((tmp_path / "here" / "scores").iterdir())
    assert len(shards) > 3
    for shard in shards:
        assert shard.read_bytes() == (tmp_path / "beam" / "scores" / shard.name).read_bytes()


def test_a_run_that_was_stopped_goes_on_and_gives_the_same(small, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("beam_sts.cli.evaluate.ROWS_PER_SLICE", 16)
    file, _ = small
    flags = [*LONG, "--model", str(tiny), "--output", str(tmp_path / "out")]
    whole = result(file, *flags)
    kept, gone = sorted((tmp_path / "out" / "scores").iterdir())[:2]
    before = kept.stat().st_mtime_ns
    gone.unlink()
    again = result(file, *flags)
    assert again["comparisons"] == whole["comparisons"]
    assert gone.exists()
    assert kept.stat().st_mtime_ns == before


def test_what_a_system_did_not_answer_is_counted(small, tiny, capsys):
    said = result(small[0], *LONG, "--model", str(tiny), "--baseline", "a")
    assert said["missing"] == {"a": 0, "b": 0, "c": 2}
    c = next(one for one in said["comparisons"] if one["group"] == "c")
    assert (c["n"], c["missing"], c["extra"]) == (38, 2, 0)
    assert "left out: 2 of a alone" in capsys.readouterr().out


def test_marks_of_systems_are_correlated_by_group(tmp_path, tiny):
    rows = [
        {**row, "mark": len(row["answer"]) % 5, "constant": 1}
        for number, text in enumerate(sentences(30))
        for row in question(number, text)
    ]
    file = write(tmp_path / "in.jsonl", rows)
    said = result(file, *LONG, "--score", "mark", "--model", str(tiny))
    assert [one["group"] for one in said["agreement"]] == ["a", "b"]
    for one in said["agreement"]:
        marks = [row["mark"] for row in rows if row["system"] == one["group"]]
        pairs = [(row["answer"], row["reference"]) for row in rows if row["system"] == one["group"]]
        wanted = np.corrcoef(PairScorer(tiny).score(pairs), marks)[0, 1]
        assert one["pearson"] == pytest.approx(wanted, abs=1e-4)
        assert one["low"] < one["pearson"] < one["high"]
    assert said["comparisons"]


GOLD = ["--text_a", "answer", "--text_b", "reference", "--score", "mark"]


@pytest.fixture
def marked(tmp_path, tiny):
    pairs = [(a, b) for a in sentences(12) for b in sentences(12)[::2]]
    scores = PairScorer(tiny).score(pairs)
    rows = [
        {"answer": a, "reference": b, "mark": round(1 + 4 * float(score) ** 2, 2)}
        for (a, b), score in zip(pairs, scores, strict=True)
    ]
    return write(tmp_path / "marked.jsonl", rows)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_calibration_is_fitted_saved_and_used(marked, tmp_path, tiny, method):
    curve = str(tmp_path / "curve.json")
    model = ["--model", str(tiny), "--calibration", curve]
    fitted = result(marked, *GOLD, *model, "--calibrate", method)
    assert fitted["calibration"]["fitted"]
    used = result(marked, *GOLD, *model, "--output", str(tmp_path / "out"))
    assert not used["calibration"]["fitted"]
    marks = [row["mark"] for row in read(marked)]
    assert used["mean"]["mean"] == pytest.approx(np.mean(marks), abs=0.05)
    (shard,) = (tmp_path / "out" / "scores").iterdir()
    assert pq.read_table(shard).column("calibrated").to_numpy().mean() == pytest.approx(used["mean"]["mean"])
    without_marks = result(marked, *COLUMNS, *model)
    assert without_marks["mean"] == used["mean"]


def test_a_calibration_of_another_model_or_rule_or_none_is_refused(marked, tmp_path, tiny, capsys):
    curve = str(tmp_path / "curve.json")
    flags = ["--input", marked, *COLUMNS, "--calibration", curve]
    assert main([*flags, "--model", str(tiny)]) == 2
    assert "does not exist. Fit it" in capsys.readouterr().err
    result(marked, *GOLD, "--model", str(tiny), "--calibration", curve)
    assert main(flags) == 2
    assert "was fitted with model" in capsys.readouterr().err
    assert main([*flags, "--model", str(tiny), "--symmetric"]) == 2
    assert "was fitted with symmetric False, but here it is True" in capsys.readouterr().err
    (tmp_path / "curve.json").write_text("{}")
    assert main([*flags, "--model", str(tiny)]) == 2
    assert "is not a calibration" in capsys.readouterr().err


@pytest.mark.parametrize("gold", [True, False])
def test_a_sheet_of_disagreements_is_an_input_once_it_is_filled_in(marked, tmp_path, tiny, gold):
    sheet = tmp_path / "sheet.csv"
    flags = GOLD if gold else COLUMNS
    result(marked, *flags, "--model", str(tiny), "--sheet", str(sheet), "--sheet_rows", "20")
    with sheet.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    assert all(row["label"] == "" for row in rows)
    for number, row in enumerate(rows[:10]):
        row["label"] = str(number)
    with sheet.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    said = result(str(sheet), *COLUMNS, "--score", "label", "--model", str(tiny))
    assert (said["rows_scored"], said["rows_rejected"]) == (10, 10)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([*LONG, "--baseline", "z"], "--baseline z: is not one of the groups 'a', 'b', 'c'"),
        ([*COLUMNS, "--baseline", "a"], "--baseline: needs groups to compare"),
        ([*COLUMNS, "--group", "system", "--baseline", "a"], "question by question. Name the column .* --by"),
        ([*LONG, "--max_regression", "0.1"], "--max_regression: needs the group to compare with"),
        ([*LONG, "--baseline", "a", "--max_regression", "-1"], "--max_regression -1.0: must be at least 0"),
        ([*LONG, "--fail_under", "nan"], "--fail_under nan: must be a finite number"),
        ([*LONG, "--calibrate", "platt"], "--calibrate: needs --score"),
        ([*LONG, "--output", "rows.jsonl"], "--output rows --output_format jsonl"),
        ([*LONG, "--direct_running_mode=in_memory"], "--direct_running_mode: workers write"),
        ([*COLUMNS, "--group", "system", "--by", "question"], "--by: column 'question' .* 'question_id'"),
        (
            ["--systems", "answer,system", "--text_b", "reference", "--baseline", "a"],
            "--baseline a: is not one of",
        ),
        ([*LONG, "--sheet_rows", "0"], "--sheet_rows 0: must be at least 1"),
    ],
)
def test_mistakes_are_named_before_the_work(small, capsys, flags, said):
    assert main(["--input", small[0], "--model", "nobody/no-such-model", *flags]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_the_page_of_systems_says_which_is_better_and_where_it_lost(answers, tmp_path):
    page = tmp_path / "page.html"
    said = result(
        answers, *LONG, "--baseline", "a", "--report", str(page), "--max_regression", "0.001", status=3
    )
    html = page.read_text()
    (found,) = said["comparisons"]
    assert f"b is worse than a by {-found['difference']:.3f} over 300 questions" in html
    assert f"{found['low']:+.4f} to {found['high']:+.4f}" in html
    for part in (
        "Which system is better?",
        "Where did each system lose?",
        "How good is each system?",
        "1 gate of 1 failed",
    ):
        assert part in html
    assert said["lost"][0]["question"] in html


def test_the_page_and_the_summaries_run_nothing_that_names_hold(tmp_path, tiny, capsys):
    hostile = "<script>alert(1)</script>\x1b[31m"
    rows = [
        {
            "q": f"{hostile}{number}",
            "s": f"{hostile}{system}",
            "answer": f"{text} {hostile}",
            "reference": text,
        }
        for number, text in enumerate(sentences(10))
        for system in "ab"
    ]
    rows[0]["answer"] = "other words"
    file = write(tmp_path / "in.jsonl", rows)
    page, summary = tmp_path / "page.html", tmp_path / "summary.md"
    flags = [*COLUMNS, "--group", "s", "--by", "q", "--fail_under", "0", "--markdown", str(summary)]
    result(file, *flags, "--report", str(page), "--model", str(tiny))
    for text in (page.read_text(), summary.read_text()):
        assert "<script" not in text
        assert "\x1b" not in text
    assert "\x1b" not in capsys.readouterr().out
