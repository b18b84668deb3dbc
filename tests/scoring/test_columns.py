import numpy as np
import pyarrow as pa
import pytest

from beam_sts import UserError
from beam_sts.scoring.columns import (
    KNOWN_COLUMNS,
    attach,
    check_rows,
    check_texts,
    choose_columns,
    text_arrays,
)
from beam_sts.scoring.result import ScoreResult


@pytest.mark.parametrize("pair", KNOWN_COLUMNS)
def test_known_columns_are_found_in_any_order(pair):
    assert choose_columns(["id", pair[1], "x", pair[0]], None, None) == pair


def test_named_columns_win():
    assert choose_columns(["sentence1", "sentence2", "q", "a"], "q", "a") == ("q", "a")


def test_nothing_recognised_lists_the_columns():
    with pytest.raises(UserError, match=r"among 'question', 'answer'.*--text_a"):
        choose_columns(["question", "answer"], None, None)


def test_a_missing_column_lists_the_columns():
    with pytest.raises(UserError, match=r"--text_a q: is not in the input; its columns are 'a', 'b'"):
        choose_columns(["a", "b"], "q", "b")


def test_one_column_alone_is_refused():
    with pytest.raises(UserError, match=r"^--text_b: is not given\. Name both columns"):
        choose_columns(["a", "b"], "a", None)


def test_all_that_is_wrong_with_the_columns_is_said_at_once():
    with pytest.raises(UserError, match=r"--text_a q: is not.*'a', 'b'\. --text_b: is not given"):
        choose_columns(["a", "b"], "q", None)
    with pytest.raises(UserError, match=r"--text_a q: is not.*--text_b r: is not"):
        choose_columns(["a", "b"], "q", "r")


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.list_(pa.string()), pa.date32(), pa.dictionary(pa.int8(), pa.int8())]
)
def test_columns_of_other_things_than_texts_are_refused(kind):
    with pytest.raises(UserError, match="column 'a' holds"):
        check_texts(pa.schema([("a", kind), ("b", pa.string())]), ("a", "b"))


def test_every_row_is_scored_or_rejected_with_its_first_reason():
    texts = {"a": ["x", None, "", "y", None, "\x1c\u3000"], "b": ["z", "z", "z", None, None, None]}
    table = pa.table({"id": range(6), **texts})
    checked = check_rows(table, ("a", "b"), empty="reject")
    assert checked.good.tolist() == [0]
    assert dict(zip(checked.bad.tolist(), checked.reasons, strict=True)) == {
        1: "null in column 'a'",
        2: "empty text in column 'a'",
        3: "null in column 'b'",
        4: "null in column 'a'",
        5: "empty text in column 'a'",
    }
    assert check_rows(table, ("a", "b")).good.tolist() == [0, 2]


def test_a_blank_text_among_bytes_that_are_no_text():
    column = pa.array([b"\xff", b" ", None, b"a"])
    table = pa.table({"a": column, "b": pa.array(["x"] * 4)})
    checked = check_rows(table, ("a", "b"), empty="reject")
    assert checked.good.tolist() == [3]
    assert checked.reasons == [
        f"{reason} in column 'a'" for reason in ("not valid UTF-8", "empty text", "null")
    ]


def test_scores_stand_beside_their_rows_and_failures_join_the_rejected():
    table = pa.table({"id": range(5), "a": ["x", None, "y", "z", "w"], "b": ["x"] * 5})
    checked = check_rows(table, ("a", "b"))
    assert text_arrays(table, ("a", "b"), checked.good)[0].to_pylist() == ["x", "y", "z", "w"]
    result = ScoreResult(np.array([0.1, np.nan, 0.3, 0.4], np.float32), {1: "poisoned"})
    scored, bad, reasons = attach(table, checked, result, "s")
    assert scored.select(["id", "s"]).to_pydict() == {"id": [0, 3, 4], "s": pytest.approx([0.1, 0.3, 0.4])}
    assert (bad.tolist(), reasons) == ([1, 2], ["null in column 'a'", "poisoned"])
