"""The commands ``evaluate --rule answer`` and ``evaluate --consistency``."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.cli import evaluate, evaluate_consistency
from beam_sts.evaluation import consistency_parts
from beam_sts.evaluation.consistency import consistency, sampled_answers
from beam_sts.evaluation.consistency_parts import ConsistencySettings, agree, pair_part, split
from beam_sts.io.slices import Slice, SliceData
from tests.evaluation.test_consistency import Letters

ROWS = [
    {"q": 1, "system": "knows", "answer": "It is Paris."},
    {"q": 1, "system": "knows", "answer": "The capital is Paris."},
    {"q": 2, "system": "knows", "answer": "Yes."},
    {"q": 1, "system": "guesses", "answer": "It is Rome, I think."},
    {"q": 1, "system": "guesses", "answer": "Nobody knows why it rains."},
    {"q": None, "system": "guesses", "answer": "Lost."},
    {"q": 2, "system": "guesses", "answer": None},
]


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_each_systems_answers_to_a_question_are_compared(tmp_path, capsys):
    file, out = lines(tmp_path / "in.jsonl", ROWS), tmp_path / "out.json"
    flags = ["--consistency", "--text_a", "answer", "--by", "q", "--group", "system", "--threshold", "0.5"]
    assert evaluate.main(["--input", file, *flags, "--json", str(out)]) == 0
    said = json.loads(out.read_text())
    assert (said["rows_read"], said["rows_scored"], said["rows_rejected"]) == (7, 5, 2)
    assert [group["group"] for group in said["groups"]] == ["knows", "guesses"]
    found = {(each["group"], each["question"]): each for each in said["questions"]}
    assert found["knows", "1"]["clusters"] == 1
    assert found["guesses", "1"]["clusters"] == 2
    assert (found["knows", "2"]["mean"], said["questions_alone"]) == (None, 1)
    assert "agreement" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--by", "q"], "--text_a"),
        (["--text_a", "answer"], "--by"),
        (["--text_a", "answer", "--by", "q", "--text_b", "answer"], "--text_b"),
        (["--text_a", "answer", "--by", "nothing"], "nothing"),
        (["--text_a", "q", "--by", "q"], "--text_a"),
        (["--text_a", "answer", "--by", "q", "--threshold", "2"], "threshold 2"),
        (["--text_a", "answer", "--by", "q", "--runner", "DirectRunner"], "--runner"),
        (["--text_a", "answer", "--by", "q", "--report", "page.html"], "--report"),
    ],
)
def test_mistakes_are_named(flags, says, tmp_path, capsys):
    file = lines(tmp_path / "in.jsonl", ROWS)
    assert evaluate.main(["--input", file, "--consistency", *flags]) == 2
    assert says in capsys.readouterr().err


def test_the_rule_for_answers_reads_passages_with_and_without_beam(tmp_path):
    right = "As far as I know, and I have looked it up, it was Marie Curie who was the first."
    rows = [
        {"answer": right, "reference": ["Somebody else.", "Marie Curie"], "system": "a"},
        {"answer": right.replace("Marie Curie", "Lise Meitner"), "reference": ["Marie Curie"], "system": "b"},
    ]
    file, found = lines(tmp_path / "in.jsonl", rows), []
    flags = ["--text_a", "answer", "--text_b", "reference", "--group", "system", "--rule", "answer"]
    for at, more in enumerate(([], ["--output", str(tmp_path / "out"), "--runner", "DirectRunner"])):
        out = tmp_path / f"{at}.json"
        assert evaluate.main(["--input", file, *flags, "--json", str(out), *more]) == 0
        found.append({each["group"]: each["mean"] for each in json.loads(out.read_text())["groups"]})
    assert found[0]["a"] > 0.9 > 0.3 > found[0]["b"]
    assert found[1] == pytest.approx(found[0], abs=2e-6)


FLAGS = ["--consistency", "--text_a", "answer", "--by", "q", "--group", "system"]


def many(count):
    """Answers in random order; one question has more answers than are compared, and one row has none."""
    said = ["It is Paris.", "The capital is Paris.", "Paris.", "It is Rome.", "Nobody knows."]
    rows = [
        {
            "q": at * 7 % 40,
            "system": "ab"[at % 2],
            "answer": f"{said[at * 3 % 5]} {at % 11}",
            "agreement": "mine",
        }
        for at in range(count)
    ]
    rows += [{"q": 41, "system": "a", "answer": f"{said[at % 5]} {at}", "agreement": ""} for at in range(60)]
    return [*rows, {"q": 1, "system": "a", "answer": None, "agreement": "none"}]


def whole(folder, name):
    files = sorted((folder / name).iterdir())
    return pa.concat_tables([pq.read_table(file) for file in files]), [file.read_bytes() for file in files]


def test_rows_get_what_was_found_of_them_with_and_without_beam(tmp_path, monkeypatch):
    for module in (evaluate_consistency, consistency_parts):
        monkeypatch.setattr(module, "ROWS_PER_SLICE", 64)  # so that there are several slices and parts
    rows = many(300)
    file, found, tables = lines(tmp_path / "in.jsonl", rows), [], []
    for name, more in (("alone", []), ("local", ["--output"]), ("beam", ["--output"])):
        out = tmp_path / name
        flags = (
            [*more, str(out), "--runner", "DirectRunner"]
            if name == "beam"
            else [*more, str(out)] * bool(more)
        )
        json_file = tmp_path / f"{name}.json"
        assert evaluate.main(["--input", file, *FLAGS, "--json", str(json_file), *flags]) == 0
        found.append(json.loads(json_file.read_text()))
        if more:
            tables.append({part: whole(out, part) for part in ("scores", "rejected", "questions")})
    assert found[0] == found[1] == found[2]
    assert {part: data for part, (_, data) in tables[0].items()} == {p: d for p, (_, d) in tables[1].items()}
    scores, questions = (tables[0][part][0] for part in ("scores", "questions"))
    assert scores.column("answer").to_pylist() == [row["answer"] for row in rows[:-1]]
    assert scores.column("agreement").to_pylist() == [row["agreement"] for row in rows[:-1]]
    assert (len(scores), len(tables[0]["rejected"][0])) == (360, 1)
    assert len(questions) == len(found[0]["questions"]) == found[0]["questions_asked"] > 40
    # The rows agree with the questions.
    agreed = scores.select(["q", "system", "beam_sts_agreement", "cluster"]).to_pylist()
    for one in questions.to_pylist():
        own = [row for row in agreed if (str(row["q"]), row["system"]) == (one["question"], one["group"])]
        compared = [row for row in own if row["cluster"] is not None]
        assert (len(own), len(compared)) == (one["answers"], one["compared"])
        assert len({row["cluster"] for row in compared}) == one["clusters"]
        assert sum(row["cluster"] == 0 for row in compared) == round(one["largest"] * len(compared))
        mean = np.mean([row["beam_sts_agreement"] for row in compared])
        assert one["mean"] == pytest.approx(mean, abs=1e-6)
    assert max(one["compared"] for one in found[0]["questions"]) == 20 < 60
    assert found[0]["questions_sampled"] == 1


def test_a_stopped_run_goes_on_and_a_damaged_part_is_made_again(tmp_path, monkeypatch):
    for module in (evaluate_consistency, consistency_parts):
        monkeypatch.setattr(module, "ROWS_PER_SLICE", 64)
    file, out = lines(tmp_path / "in.jsonl", many(300)), tmp_path / "out"
    command = ["--input", file, *FLAGS, "--output", str(out)]
    assert evaluate.main(command) == 0
    before = {path: path.read_bytes() for part in ("scores", "questions") for path in (out / part).iterdir()}
    summary = (out / "summary.json").read_text()
    (out / "questions" / "part-000001.parquet").write_bytes(b"cut")
    (out / "scores" / "part-000002.parquet").unlink()
    (out / "summary.json").unlink()
    scored = []
    real = evaluate_consistency.commit_part
    monkeypatch.setattr(
        evaluate_consistency, "commit_part", lambda p, *a: (scored.append(p.index), real(p, *a))
    )
    assert evaluate.main(command) == 0
    assert scored == [1]
    assert {path: path.read_bytes() for path in before} == before
    assert (out / "summary.json").read_text() == summary


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["aa", "ab", "bc", "c"])), max_size=60),
    st.integers(1, 4),
    st.integers(1, 20),
    st.integers(2, 6),
)
def test_parts_of_any_number_give_what_memory_gives(rows, parts, rows_per_slice, most):
    table = pa.table({"q": [q for q, _ in rows], "a": [f"{text}{at}" for at, (_, text) in enumerate(rows)]})
    kind = ConsistencySettings(table.schema, "a", "q", parts=parts, most_answers=most, seed=3)
    found = {part: [] for part in range(parts)}
    starts = range(0, len(rows), rows_per_slice)
    for index, start in enumerate(starts):
        cut = table.slice(start, rows_per_slice)
        data = SliceData(Slice(index, "in", start, len(cut)), cut, range(start, start + len(cut)), [])
        for part, answers in split(data, kind):
            found[part].append(answers)
    agreed = []
    for part, tables in found.items():
        pairs = pair_part(part, tables, kind)
        questions, rows_found = agree(pairs, Letters().run(*pairs.texts).scores, kind)
        agreed += rows_found.to_pylist()
        assert len(questions) == len(np.unique(pairs.question))
    ids = np.concatenate(
        [np.arange(min(rows_per_slice, len(rows) - s)) + (i << 32) for i, s in enumerate(starts)] or [[]]
    ).astype(int)
    kept = sampled_answers(np.array([q for q, _ in rows], int), ids, most, 3)
    memory = consistency(
        table["q"].filter(pa.array(kept)), table["a"].filter(pa.array(kept)), Letters(), most_answers=most
    )
    by_row = {one["row"]: one for one in agreed}
    assert sorted(by_row) == ids.tolist()
    clusters = [by_row[row]["cluster"] for row in ids[kept].tolist()]
    assert clusters == memory.cluster.tolist()
    assert all(by_row[row]["cluster"] is None for row in ids[~kept].tolist())
    expected = [None if np.isnan(value) else value for value in memory.agreement.tolist()]
    assert [by_row[row]["agreement"] for row in ids[kept].tolist()] == pytest.approx(expected)
