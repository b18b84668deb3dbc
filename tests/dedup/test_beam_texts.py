"""Rows of equal text, however many."""

import pytest

from beam_sts.dedup import beam_texts as nodes
from beam_sts.dedup.beam_texts import Fields, ReadRows


def rows(texts, side=0):
    """((side, id), Row) of texts, their numbers as ids."""
    read = ReadRows(Fields("id", "text", "first"), side)
    return [row for at, text in enumerate(texts) for row in read.process({"id": at, "text": text})]


def sent(texts, **settings):
    """The texts that the rows of one bundle carry into the shuffle."""
    step = nodes._ByText(**{"merge": True, "compare_blank": False, "apart": False, **settings})
    step.start_bundle()
    return [value[1] for row in rows(texts) for _, value in step.process(row)]


def test_a_hot_text_is_shuffled_once_for_each_bundle():
    texts = ["hot"] * 1000 + ["cold", "hot", "warm"]
    assert [text for text in sent(texts) if text is not None] == ["hot", "cold", "warm"]


@pytest.mark.parametrize("settings", [{"merge": False}, {"apart": True}])
def test_rows_that_stay_alone_each_carry_their_text(settings):
    assert sent(["hot"] * 5, **settings) == ["hot"] * 5
    assert sent([" "] * 3) == [" "] * 3


def test_texts_that_are_forgotten_are_sent_again(monkeypatch):
    monkeypatch.setattr(nodes, "_SENT", 2)
    assert sent(["a", "b", "c", "a", "a"]) == ["a", "b", "c", "a", None]


def test_a_node_has_its_text_wherever_the_shuffle_put_the_row_that_carries_it():
    step = nodes._ByText(merge=True, compare_blank=False, apart=False)
    step.start_bundle()
    keyed = [pair for row in rows(["hot"] * 4) for pair in step.process(row)]
    key = keyed[0][0]
    found = [
        list(nodes._MakeDistinctText(compare_blank=False).process((key, order)))
        for order in ([value for _, value in keyed], [value for _, value in reversed(keyed)])
    ]
    for made in found:
        name, info = made[-1]
        assert (name, info.text, info.rows) == ((0, 0), "hot", 4)


def test_only_what_an_element_carries_goes_on():
    (_, row), *_ = ReadRows(Fields(carried=("place",))).process({"id": 1, "text": "hot", "place": (0, 1)})
    assert (row.element, row.text) == ({"place": (0, 1)}, "hot")
