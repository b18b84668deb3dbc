"""References of every form: one, lists, several columns, JSON of mixed types; systems as rows or columns."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import UserError
from beam_sts.evaluation.local import evaluate_slices
from beam_sts.evaluation.rules import RULES
from beam_sts.evaluation.settings import choose_settings
from beam_sts.io.reading import plan_input
from tests.checkpoints import SENTENCES

A, B, C, D = SENTENCES[:4]


def parts(path, scorer, **options):
    plan = plan_input(str(path), 8192)
    settings = choose_settings(plan.schema, **options)
    ((part, _),) = evaluate_slices(plan.units, scorer, settings)
    assert len(part.scored) + len(part.rejected) == plan.rows
    return part


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


COLUMNS = {"text_a": "answer", "text_b": "reference"}


def scores(part, name="score"):
    return part.scored.column(name).to_pylist()


@pytest.mark.parametrize(("several", "take"), [("best", max), ("mean", np.mean)])
def test_a_list_of_references_gives_the_best_or_the_mean(tmp_path, scorer, several, take):
    file = lines(
        tmp_path / "in.jsonl", {"answer": A, "reference": [B, C, D]}, {"answer": B, "reference": [C]}
    )
    part = parts(file, scorer, several=several, **COLUMNS)
    wanted = [take(scorer.score([(A, B), (A, C), (A, D)])), scorer.score([(B, C)])[0]]
    assert scores(part) == pytest.approx(wanted, abs=2e-6)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.binary()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_(pa.string(), 2),
    ],
    ids=str,
)
def test_lists_of_every_kind_are_read(tmp_path, scorer, kind):
    values = [[B, C], [C, D]]
    if pa.types.is_binary(kind.value_type):
        values = [[text.encode() for text in row] for row in values]
    pq.write_table(pa.table({"answer": [A, B], "reference": pa.array(values, kind)}), tmp_path / "in.parquet")
    part = parts(tmp_path / "in.parquet", scorer, **COLUMNS)
    wanted = [max(scorer.score([(A, B), (A, C)])), max(scorer.score([(B, C), (B, D)]))]
    assert scores(part) == pytest.approx(wanted, abs=2e-6)


def test_texts_and_lists_may_be_mixed_and_what_is_neither_is_rejected(tmp_path, scorer):
    rows = [B, [C, D], [C, None], None, [], [None], 7, ["x", 7], {"text": B}]
    file = lines(tmp_path / "in.jsonl", *({"answer": A, "reference": reference} for reference in rows))
    part = parts(file, scorer, **COLUMNS)
    wanted = [scorer.score([(A, B)])[0], max(scorer.score([(A, C), (A, D)])), scorer.score([(A, C)])[0]]
    assert scores(part) == pytest.approx(wanted, abs=2e-6)
    assert part.rejected.column("row").to_pylist() == [3, 4, 5, 6, 7, 8]
    reasons = part.rejected.column("reason").to_pylist()
    assert reasons[:3] == [
        "null in column 'reference'",
        "no text in column 'reference'",
        "no text in column 'reference'",
    ]
    assert "it holds 7" in reasons[3]


def test_references_nested_as_squad_has_them(tmp_path, scorer):
    file = lines(tmp_path / "in.jsonl", {"answer": A, "answers": {"text": [B, C], "answer_start": [1, 2]}})
    part = parts(file, scorer, text_a="answer", text_b="answers.text")
    assert scores(part) == pytest.approx([max(scorer.score([(A, B), (A, C)]))], abs=2e-6)


def test_several_columns_and_lists_together(tmp_path, scorer):
    rows = [
        {"answer": A, "r1": B, "r2": [C, D]},
        {"answer": A, "r1": None, "r2": [C]},
        {"answer": A, "r1": None},
    ]
    part = parts(lines(tmp_path / "in.jsonl", *rows), scorer, text_a="answer", text_b="r1,r2")
    wanted = [max(scorer.score([(A, B), (A, C), (A, D)])), scorer.score([(A, C)])[0]]
    assert scores(part) == pytest.approx(wanted, abs=2e-6)
    assert part.rejected.column("reason").to_pylist() == ["null in columns 'r1', 'r2'"]


def test_a_column_whose_name_has_a_comma_is_one_column(tmp_path, scorer):
    file = lines(tmp_path / "in.jsonl", {"answer": A, "ref,old": B})
    assert scores(parts(file, scorer, text_a="answer", text_b="ref,old")) == pytest.approx(
        [scorer.score([(A, B)])[0]], abs=2e-6
    )


def test_wide_systems_have_a_score_each_and_may_lack_an_answer(tmp_path, scorer):
    rows = [
        {"old": A, "new": B, "reference": C},
        {"old": None, "new": B, "reference": C},
        {"old": None, "new": None, "reference": C},
        {"old": A, "new": B, "reference": None},
    ]
    part = parts(lines(tmp_path / "in.jsonl", *rows), scorer, systems="old,new", text_b="reference")
    old, new = scorer.score([(A, C), (B, C)])
    assert scores(part, "old_score") == [pytest.approx(old, abs=2e-6), None]
    assert scores(part, "new_score") == pytest.approx([new, new], abs=2e-6)
    assert part.rejected.column("reason").to_pylist() == [
        "null in columns 'old', 'new'",
        "null in column 'reference'",
    ]
    assert part.entries.column("group").to_pylist() == ["old", "new", "new"]
    assert len(set(part.entries.column("question").to_pylist())) == 2


def test_our_column_gives_way_to_the_input_s(tmp_path, scorer):
    file = lines(tmp_path / "in.jsonl", {"answer": A, "reference": B, "score": "mine", "beam_sts_score": 7})
    part = parts(file, scorer, **COLUMNS)
    assert part.scored.column_names == [
        "answer",
        "reference",
        "score",
        "beam_sts_score",
        "beam_sts_2_score",
    ]
    assert scores(part) == ["mine"]


@pytest.mark.parametrize(
    "values", [[True, False, None], ["true", "False", "maybe"], ["1", "0.0", ""], [1, 0, None]]
)
def test_marks_of_every_kind(tmp_path, scorer, values):
    rows = [{"answer": A, "reference": B, "mark": value} for value in values]
    part = parts(lines(tmp_path / "in.jsonl", *rows), scorer, gold="mark", **COLUMNS)
    assert part.entries.column("gold").to_pylist() == [1, 0]
    assert len(part.rejected) == 1


def test_groups_and_questions_must_be_there(tmp_path, scorer):
    rows = [{"system": "a", "q": 1}, {"system": None, "q": 1}, {"system": "b", "q": None}]
    rows = [{"answer": A, "reference": B, **row} for row in rows]
    part = parts(lines(tmp_path / "in.jsonl", *rows), scorer, group="system", by="q", **COLUMNS)
    assert part.rejected.column("reason").to_pylist() == ["null in column 'system'", "null in column 'q'"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"systems": "old", "text_b": "reference"}, "names 1 column"),
        ({"systems": "old,old", "text_b": "reference"}, "names 1 column"),
        (
            {"systems": "old,nwe", "text_b": "reference"},
            "--systems nwe: is not in the input; did you mean 'new'",
        ),
        ({"systems": "old,new"}, "needs the column of the references"),
        (
            {"systems": "old,new", "text_a": "old", "text_b": "reference"},
            "--text_a: cannot be used with --systems",
        ),
        (
            {"systems": "old,new", "text_b": "reference", "group": "n"},
            "--group: cannot be used with --systems",
        ),
        ({"systems": "old,n", "text_b": "reference"}, "column 'n' holds int64, not texts"),
        ({"text_a": "old", "text_b": "n"}, "column 'n' holds int64, not texts or lists"),
        ({"text_a": "old", "text_b": "reference,refs"}, "--text_b refs: is not in the input"),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path, options, said):
    file = lines(tmp_path / "in.jsonl", {"old": A, "new": B, "reference": C, "n": 1})
    with pytest.raises(UserError, match=said):
        choose_settings(plan_input(str(file), 10).schema, **options)


def halved(scores):
    first, second = scores.reshape(2, -1)
    return (first + second) / 2


def both_orders(answers, references):
    """A rule that has the model score each pair twice."""
    first = pa.chunked_array([*answers.chunks, *references.chunks])
    return first, pa.chunked_array([*references.chunks, *answers.chunks]), halved


def test_a_rule_chooses_the_pairs_and_blends_their_scores(tmp_path, scorer, monkeypatch):
    monkeypatch.setitem(RULES, "both", both_orders)
    file = lines(tmp_path / "in.jsonl", {"answer": A, "reference": [B, C]}, {"answer": B, "reference": D})
    part = parts(file, scorer, rule="both", **COLUMNS)
    wanted = scorer.score([(A, B), (A, C), (B, D)], symmetric=True)
    assert scores(part) == pytest.approx([max(wanted[:2]), wanted[2]], abs=2e-6)
