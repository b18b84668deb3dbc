"""Rows of equal text, however many."""

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_sts import DeduplicateTexts, UserError
from beam_sts.candidates.beam_pack import in_list, pieces
from beam_sts.dedup import beam_texts
from beam_sts.dedup.beam_texts import Fields, ReadRows
from beam_sts.dedup.distinct import Grouping


def rows(texts, side=0):
    """((side, id), Row) of texts, their numbers as ids."""
    read = ReadRows(Fields("id", "text", "first"), side)
    return [row for at, text in enumerate(texts) for row in read.process({"id": at, "text": text})]


def test_the_text_of_several_fields_has_a_line_for_each():
    read = ReadRows(Fields("id", "name, zip,street", "first"))
    elements = [
        {"id": 1, "name": "Ann", "zip": 7, "street": None},
        {"id": 2, "name": None, "zip": None, "street": None},
        {"id": 3, "name": "Bob", "zip": 1.5, "street": "Old Road"},
        {"id": 4, "name": "Bob", "zip": True, "street": "Old Road"},
        {"id": 5, "name, zip,street": "whole", "name": "x", "zip": 1, "street": "y"},
    ]
    found = [one for element in elements for one in read.process(element)]
    texts = [one[1].text for one in found if isinstance(one, tuple)]
    reasons = [one.value.reason for one in found if not isinstance(one, tuple)]
    assert texts == ["Ann\n7", "whole"]
    named = "in field 'name, zip,street'"
    assert reasons == [f"null {named}", f"float, not a text, {named}", f"bool, not a text, {named}"]


@pytest.mark.parametrize("element", [dict, lambda **fields: beam.Row(**fields)], ids=["dicts", "rows"])
def test_the_transform_takes_several_fields(element):
    rows = [
        element(id=1, name="Ann Smith of the mill", address="1 Old Road, Ulm"),
        element(id=2, name="Ann Smith of the mill", address="1 Old Road, Ulm"),
        element(id=3, name="Ann Smith of the mill", address="77 High Street, Pau"),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        done = pipeline | beam.Create(rows) | DeduplicateTexts(text="name,address", candidates=["exact"])
        removed = done.removed | beam.Map(lambda row: row["id"] if isinstance(row, dict) else row.id)
        assert_that(removed, equal_to([2]))


def test_a_field_among_several_that_there_is_not_is_named():
    rows = [beam.Row(id=1, name="a")]
    pipeline = beam.Pipeline("FnApiRunner")
    with pytest.raises(UserError, match="adress"):
        _ = pipeline | beam.Create(rows) | DeduplicateTexts(text="name,adress")


def sent(texts, **settings):
    """What the rows of one bundle carry into the shuffle: keys and copies."""
    step = beam_texts._ByText(Grouping(**settings), 3)
    step.start_bundle()
    found = [pair for row in rows(texts) for pair in step.process(row)]
    return [group for _, group in found + [one.value for one in step.finish_bundle()]]


def carried(texts, **settings):
    return [copies[0] for _, copies in sent(texts, **settings)]


def test_a_hot_text_is_shuffled_once_for_each_bundle():
    assert carried(["hot"] * 1000 + ["cold", "hot", "warm"]) == ["hot", "cold", "warm"]


@pytest.mark.parametrize("settings", [{"by_text": False}, {"within": False}])
def test_rows_that_stay_alone_each_carry_their_text(settings):
    assert carried(["hot"] * 5, **settings) == ["hot"] * 5
    assert carried([" "] * 3) == [" "] * 3


@pytest.mark.parametrize(("bound", "size"), [("_ROWS_AT_ONCE", 4), ("_CHARACTERS_AT_ONCE", 3)])
def test_what_waits_in_a_bundle_is_bounded(bound, size, monkeypatch):
    monkeypatch.setattr(beam_texts, bound, size)
    assert carried(["a", "b", "a", "c", "a", "a"]) == ["a", "b", "c", "a"]


def test_the_copies_that_travel_together_are_bounded(monkeypatch):
    monkeypatch.setattr(beam_texts, "_COPIES_AT_ONCE", 100)
    assert [len(in_list(copies[5])) for _, copies in sent(["hot"] * 250)] == [100, 100, 50]


def test_a_distinct_text_is_the_same_whatever_bundles_its_rows_were_in():
    texts = ["hot"] * 7
    found = []
    for cuts in ([7], [3, 4], [1] * 7):
        parts, begin = [], 0
        for size in cuts:
            step = beam_texts._ByText(Grouping(), 1)
            step.start_bundle()
            parts += [p for row in rows(texts)[begin : begin + size] for p in step.process(row)]
            parts += [one.value for one in step.finish_bundle()]
            begin += size
        groups = [group for _, group in parts]
        for order in (groups, groups[::-1]):
            *members, made = beam_texts._JoinGroups(Grouping()).process((0, pieces(order)))
            found.append((made, sorted(row for one in members for row in one.value[1][0])))
    assert all(one == found[0] for one in found)
    (name, info), behind = found[0]
    assert (name, info.text, info.rows, behind) == ((0, 0), "hot", 7, [(0, at) for at in range(7)])


def test_short_texts_share_shards_and_a_long_one_has_its_own_key():
    step = beam_texts._ByText(Grouping(), 2)
    step.start_bundle()
    texts = [*map(str, range(50)), "a" * 3000, "a" * 3000, "b" * 3000]
    assert not [one for row in rows(texts) for one in step.process(row)]
    keys = [one.value[0] for one in step.finish_bundle()]
    assert set(keys[:50]) == {0, 1}
    assert len(keys) == 52
    assert len(set(keys[50:]) - {0, 1}) == 2


def test_only_what_an_element_carries_goes_on():
    (_, row), *_ = ReadRows(Fields(carried=("place",))).process({"id": 1, "text": "hot", "place": (0, 1)})
    assert (row.element, row.text) == ({"place": (0, 1)}, "hot")
