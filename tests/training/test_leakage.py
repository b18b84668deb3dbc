from __future__ import annotations

import pytest

from beam_sts.training.leakage import HeldOut, HeldOutTextError, check_leakage, drop_held_out, plain_words

HELD = HeldOut.of(
    [("A man plays a guitar.", "Someone plays the guitar!")], [("Café prices rose 12%.", "Stocks fell.")]
)


def test_same_text_in_other_dress_is_the_same():
    assert (
        plain_words("  Café — prices,\tROSE 12%!")
        == plain_words("cafe prices rose 12")
        == "cafe prices rose 12"
    )
    assert plain_words("rose 12") != plain_words("rose 21")
    assert plain_words("...") == ""


@pytest.mark.parametrize("swap", [False, True], ids=["as published", "swapped"])
@pytest.mark.parametrize("sentences", [False, True], ids=["pairs only", "sentences too"])
def test_held_out_pair_is_refused_in_either_order(swap, sentences):
    pair = ("a man plays a guitar", "SOMEONE plays the guitar")
    first, second = reversed(pair) if swap else pair
    with pytest.raises(HeldOutTextError, match="mined: row 1 is a held-out evaluation pair"):
        check_leakage(["x", first], ["y", second], HELD, "mined", sentences=sentences)


def test_held_out_sentence_is_refused_but_for_the_published_train_split():
    with pytest.raises(HeldOutTextError, match=r"extra: row 0 has .*Stocks fell"):
        check_leakage(["New text."], ["Stocks fell"], HELD, "extra")
    check_leakage(["New text."], ["Stocks fell"], HELD, "stsb/train", sentences=False)


def test_dropped_rows_leave_what_the_check_accepts():
    first = ["a man plays a guitar", "Stocks fell", "New", "Other"]
    second = ["someone plays the guitar", "New", "Text", "..."]
    assert drop_held_out(first, second, HELD) == [2, 3]
    kept = drop_held_out(first, second, HELD, sentences=False)
    assert kept == [1, 2, 3]
    check_leakage([first[i] for i in kept], [second[i] for i in kept], HELD, "kept", sentences=False)


def test_texts_without_words_are_never_held_out():
    held = HeldOut.of([("...", "Something.")])
    assert not held.has_sentence("!!!")
    assert held.has_sentence("something")
