"""``evaluate --rule answer`` and ``evaluate --consistency``: the commands."""

import json

import pytest

from beam_sts.cli import evaluate

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
