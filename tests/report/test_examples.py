import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.examples import LONGEST_BYTES, LONGEST_TEXT, choose_rows, merge_examples, shorten, shorten_pair

SCORES = st.lists(st.floats(0, 1, width=32) | st.just(float("nan")), max_size=60)


@given(SCORES, st.floats(0, 1), st.integers(0, 4))
def test_chosen_rows_are_scored_rows_of_their_kind(scores, threshold, each):
    values = np.array(scores, np.float32)
    marked = {"truncated": np.arange(0, len(values), 2)}
    chosen = choose_rows(values, marked, threshold=threshold, each=each)
    cut = np.float32(threshold)
    for kind, rows in chosen.items():
        assert 0 < len(rows) <= each
        assert np.isfinite(values[rows]).all()
        if kind.startswith("tenth-"):
            (row,) = rows
            assert min(int(float(values[row]) * 10), 9) == int(kind[-1])
    assert all(values[row] < cut for row in chosen.get("below", []))
    assert all(values[row] >= cut for row in chosen.get("above", []))
    good = values[np.isfinite(values)]
    assert bool(each and (good >= cut).any()) == ("above" in chosen)
    if "above" in chosen:
        assert values[chosen["above"][0]] == good[good >= cut].min()
    if "below" in chosen:
        assert values[chosen["below"][0]] == good[good < cut].max()


@given(st.text() | st.binary() | st.none())
def test_a_shortened_text_is_short_unicode_and_the_beginning(text):
    short = shorten(text)
    if text is None:
        assert short is None
        return
    assert len(short) <= LONGEST_TEXT
    short.encode()
    if isinstance(text, str) and len(text) <= LONGEST_TEXT and text.isprintable():
        assert short == text


def test_marks_that_would_turn_or_hide_a_text_are_spelled_out():
    assert shorten("a\u202eb\x1b[31m\x00\n\t") == "a\\u202eb\\x1b[31m\\x00\n\t"


def test_a_long_text_is_cut_the_same_from_a_few_of_its_bytes():
    text = "🙂é" * 10_000
    assert shorten(text.encode()[:LONGEST_BYTES]) == shorten(text)
    assert shorten(text).endswith("…")


def test_the_examples_of_slices_become_few_and_do_not_repeat():
    def example(kind, row, **more):
        return {"kind": kind, "file": "f", "row": row, "text_a": f"a{row}", "text_b": "b", **more}

    slices = [
        [example("above", 1, score=0.7), example("above", 2, score=0.6), example("tenth-6", 2, score=0.6)],
        [example("above", 3, score=0.51), example("below", 4, score=0.3), example("tenth-6", 5, score=0.61)],
        [example("below", 6, score=0.49), example("below", 6, score=0.49), example("below", 7, score=0.1)],
        [example("rejected", row, reason=f"line {row}: not valid JSON: at {row}") for row in range(9)],
        [example("rejected", 10, reason="null in column 'a'")],
    ]
    merged = merge_examples(slices, each=2)
    assert [one["row"] for one in merged["above"]] == [3, 2]
    assert [one["row"] for one in merged["below"]] == [6, 4]
    assert [one["row"] for one in merged["tenth-6"]] == [2]
    assert [one["row"] for one in merged["rejected"]] == [0, 1, 10]


@given(st.text("ab \n", max_size=500), st.text("cd", max_size=300), st.text("ce", max_size=300))
def test_what_tells_two_texts_apart_is_shown(same, one, other):
    first, second = shorten_pair(same + one, (same + other).encode())
    assert max(len(first), len(second)) <= LONGEST_TEXT
    if same + one != same + other:
        assert first != second


def test_texts_that_differ_early_are_shown_from_their_beginnings():
    assert shorten_pair("red " + "x" * 500, "blue " + "x" * 500) == (
        shorten("red " + "x" * 500),
        shorten("blue " + "x" * 500),
    )
    assert shorten_pair(None, "a") == (None, "a")
