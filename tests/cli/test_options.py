"""Invalid options end in one line with option, value and valid range, before anything is read."""

import pytest

from beam_sts.cli import dedup, label, mine, score

WRONG = [
    (score, ["--threshold", "2"], "--threshold 2.0: must be between 0 and 1."),
    (score, ["--threshold", "-1"], "--threshold -1.0: must be between 0 and 1."),
    (score, ["--threshold", "nan"], "--threshold nan: must be between 0 and 1."),
    (score, ["--threshold", "inf", "--raw_logits"], "--threshold inf: must be a finite number"),
    (dedup, ["--threshold", "2"], "--threshold 2.0: must be between 0 and 1."),
    (dedup, ["--threshold", "nan"], "--threshold nan: must be between 0 and 1."),
    (dedup, ["--minhash_similarity", "-1"], "--minhash_similarity -1.0: must be between 0 and 1."),
    (dedup, ["--minhash_recall", "nan"], "--minhash_recall nan: must be between 0 and 1."),
    (dedup, ["--minhash_similarity", "0"], "MinHash similarity 0.0: must be above 0 and at most 1."),
    (dedup, ["--bucket_cap", "1"], "--bucket_cap 1: must be at least 2."),
    (
        dedup,
        ["--cascade_model", "beam-sts-pico", "--cascade_band", "0.5,nan"],
        "--cascade_band 0.5,nan: must be between 0 and 1, the first not above the second.",
    ),
    (mine, ["--test_share", "2"], "--test_share 2.0: must be between 0 and 1."),
    (mine, ["--hard_gap", "nan"], "--hard_gap nan: must be between 0 and 1."),
    (mine, ["--positive", "-1"], "--positive -1.0: must be between 0 and 1."),
    (mine, ["--sampled_rows", "0"], "--sampled_rows 0: must be at least 1."),
    (label, ["--precision", "2"], "--precision 2.0: must be between 0 and 1, both excluded."),
    (label, ["--precision", "nan"], "--precision nan: must be between 0 and 1, both excluded."),
    (label, ["--pairs", "0"], "--pairs 0: must be at least 1."),
]


@pytest.mark.parametrize(("command", "more", "message"), WRONG, ids=lambda value: str(value)[-60:])
def test_an_option_out_of_bounds(command, more, message, tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "one", "text_a": "one", "text_b": "two"}\n')
    places = {
        label: ["--run", str(tmp_path / "none"), "--sheet", str(tmp_path / "sheet.csv")],
        score: ["--input", str(source), "--output", str(tmp_path / "out")],
    }
    args = places.get(command, [*places[score], "--text", "text"])
    assert command.main([*args, *more]) == 2
    printed = capsys.readouterr().err
    assert f"error: {message}" in printed
    assert len(printed.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_threshold_of_logits_may_be_any_number(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text_a": "one", "text_b": "two"}\n')
    args = ["--input", str(source), "--output", str(tmp_path / "out"), "--raw_logits", "--threshold=-9"]
    assert score.main(args) == 0


def test_one_column_that_is_not_there_is_named_beside_the_one_that_is_missing(tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text_a": "one", "text_b": "two"}\n')
    assert score.main(["--input", str(source), "--output", str(tmp_path / "out"), "--text_a", "nope"]) == 2
    printed = capsys.readouterr().err
    assert "--text_a nope: is not in the input" in printed
    assert "--text_b: is not given" in printed
