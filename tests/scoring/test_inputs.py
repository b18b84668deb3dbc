"""Accepted pairs and columns of texts, and refused ones with the place and the way out."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from beam_sts import CrossEncoderModelHandler, Rejected, ScoredPair, TextPair
from beam_sts.scoring.inputs import read_pairs, text_column

TEXTS = [("a cat", "a dog"), ("x", "")]
COLUMNS = {"a": ["a cat", "x"], "b": ["a dog", ""]}


@pytest.mark.parametrize(
    "pairs",
    [
        TEXTS,
        [list(pair) for pair in TEXTS],
        [TextPair(*pair) for pair in TEXTS],
        (pair for pair in TEXTS),
        zip(*COLUMNS.values(), strict=True),
        np.array(TEXTS),
        np.array(TEXTS, object),
        pd.Series(TEXTS),
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS, index=["r", "s"])[["a", "b"]],
        pl.DataFrame(COLUMNS),
        pa.table(COLUMNS),
        pa.record_batch(COLUMNS),
    ],
    ids=lambda pairs: type(pairs).__name__,
)
def test_pairs_in_every_form_are_the_same_pairs(pairs):
    assert read_pairs(pairs) == (COLUMNS["a"], COLUMNS["b"])


@pytest.mark.parametrize("none", [[], np.empty((0, 2)), pd.DataFrame({"a": [], "b": []}), iter(())])
def test_no_pairs_are_no_pairs(none):
    assert read_pairs(none) == ([], [])


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["ab"], r"pairs\[0\] is not a pair of strings but a str: 'ab'"),
        ([("a", "b"), "ab"], r"pairs\[1\].* a str: 'ab'"),
        (("a", "b"), r"pairs\[0\].* a str: 'a'"),
        ("ab", "pairs is a str"),
        (b"ab", "pairs is a bytes"),
        ([b"ab"], r"pairs\[0\].* a bytes: b'ab'"),
        ([("a",)], r"pairs\[0\].* 1 value:"),
        ([("a", "b", "c")], r"pairs\[0\].* 3 values"),
        ([ScoredPair("a", "b", 0.5)], r"pairs\[0\].* 3 values: a ScoredPair"),
        ([Rejected(("a", "b"), "why")], r"pairs\[0\].* first text is a tuple"),
        ([TextPair("a", None)], r"pairs\[0\].* second text is None"),
        ([("a", None)], r"pairs\[0\].* second text is None"),
        ([("a", b"b")], r"pairs\[0\].* second text is a bytes: b'b'"),
        ([(1.5, "b")], r"pairs\[0\].* first text is a float: 1.5"),
        ([None], r"pairs\[0\].* but None"),
        ([7], r"pairs\[0\].* a int: 7"),
        ([{"a": "x", "b": "y"}], r"pairs\[0\].* a dict.*scorer\.score\(\[\(a, b\)"),
        ([{"a", "b"}], r"pairs\[0\].* a set"),
        ({"a": "b"}, "pairs is a dict"),
        ({("a", "b")}, "pairs is a set"),
        (None, "pairs is None"),
        (np.array(["ab", "cd"]), r"pairs\[0\].* a str: 'ab'"),
        (np.array([["a", "b", "c"]]), r"shape \(1, 3\), not \(n, 2\)"),
        (np.array([["a", "b"]], "S1"), r"pairs\[0\].* a bytes"),
        (np.ones((3, 2)), r"pairs\[0\].* a float"),
        (pd.Series(["ab"]), r"pairs\[0\].* a str"),
        (pd.DataFrame({"ab": ["x"]}), r"1 column \(ab\), not two.*score\(table"),
        (pd.DataFrame({"a": ["x"], "b": ["y"], "c": [1]}), r"3 columns \(a, b, c\)"),
        (pd.DataFrame({"a": ["x", None], "b": ["y", "z"]}), r"pairs\[1\].* first text"),
        (pl.DataFrame({"a": ["x"], "b": [None]}), r"pairs\[0\].* second text is None"),
        (pl.DataFrame({"a": ["x"], "b": [3]}), r"pairs\[0\].* second text is a int: 3"),
        (pl.LazyFrame({"a": ["x"], "b": ["y"]}), "LazyFrame"),
        (pa.table({"a": ["x"]}), "1 column "),
    ],
    ids=str,
)
def test_what_is_no_pair_is_named_with_its_place(scorer, pairs, told):
    with pytest.raises(TypeError, match=told):
        scorer.score(pairs)


@pytest.mark.parametrize(
    ("texts", "error", "told"),
    [
        ("ab", TypeError, "text_a is a str: 'ab', not a column"),
        ({"a": 1}, TypeError, "text_a is a dict"),
        ({"a"}, TypeError, "text_a is a set"),
        (pd.DataFrame(COLUMNS), TypeError, "text_a is a DataFrame"),
        (["a", 1], TypeError, r"text_a\[1\] is a int: 1"),
        (["a", b"b"], TypeError, r"text_a\[1\] is a bytes"),
        (pa.array([1, 2]), TypeError, "text_a holds int64, not strings"),
        (pa.array([b"a"]), TypeError, "text_a holds binary"),
        (pl.Series([1, 2]), TypeError, "text_a holds int64"),
        (["a", None], ValueError, "null"),
        (pl.Series(["a", None]), ValueError, "null"),
        (pa.nulls(2), ValueError, "null"),
        (["a", "\ud800"], ValueError, r"text_a\[1\] has a lone surrogate"),
    ],
    ids=str,
)
def test_what_is_no_column_of_texts_is_named_with_its_place(texts, error, told):
    with pytest.raises(error, match=told):
        text_column("text_a", texts)


@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, pl.Series, pa.array])
def test_columns_in_every_form_are_the_same_column(make):
    assert text_column("text_a", make(["a", "b"])).to_pylist() == ["a", "b"]


def test_a_frame_is_scored_by_its_rows(scorer):
    assert scorer.score(pd.DataFrame(COLUMNS)).tobytes() == scorer.score(TEXTS).tobytes()


def test_the_handler_takes_no_string_for_a_pair(scorer):
    with pytest.raises(TypeError, match=r"pairs\[0\].* a str: 'ab'"):
        CrossEncoderModelHandler().run_inference(["ab"], scorer)
