"""RemovePassages and remove_passages find the same passages in elements, tables and files."""

import random

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_sts import RemovePassages, UserError, remove_passages
from beam_sts.passages import within
from tests.passages.test_index import page_with, sentence

LINE = "This message was sent to everyone on the list."


def made():
    rng = random.Random(7)
    items = [sentence(rng, rng.randint(8, 15)) for _ in range(4)]
    texts = [page_with(items[number % 4], rng)[0] if number % 2 else sentence(rng, 40) for number in range(8)]
    texts = [f"{text}\n{LINE}" if number % 3 == 0 else text for number, text in enumerate(texts)]
    rows = [{"id": f"p{number}", "text": text} for number, text in enumerate(texts)]
    return rows, [{"id": f"q{number}", "text": text} for number, text in enumerate(items)]


SETTINGS = [
    {"contains": True},
    {"contains": True, "remove": "passage"},
    {"unit": "line"},
    {"unit": "line", "within": True, "remove": "nothing"},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("row", [dict, lambda **fields: beam.Row(**fields)], ids=["dicts", "rows"])
def test_elements_and_a_table_have_the_same_passages(settings, row):
    rows, items = made()
    in_memory = remove_passages(
        pa.Table.from_pylist(rows), id="id", against=pa.Table.from_pylist(items), **settings
    )
    with beam.Pipeline("FnApiRunner") as pipeline:
        inputs = {
            "rows": pipeline | "Rows" >> beam.Create([row(**one) for one in rows]),
            "against": pipeline | "Items" >> beam.Create(items),
        }
        done = inputs | RemovePassages(**settings)
        for name in ("kept", "removed", "passages"):
            found = getattr(done, name) | f"Dicts of {name}" >> beam.Map(
                lambda one: one if isinstance(one, dict) else one._asdict()
            )
            assert_that(found, equal_to(getattr(in_memory, name).to_pylist()), f"Check {name}")
    assert len(in_memory.passages) >= 4 - 4 * (settings == {"unit": "line"})


def test_without_another_input_lines_are_compared_among_themselves():
    rows, _ = made()
    found = remove_passages([row["text"] for row in rows], unit="line")
    assert sum(LINE in text for text in found.kept) == 1
    lines = [one for one in found.passages if one["passage"] == LINE]
    assert [(one["id"], one["survivor"]) for one in lines] == [(3, 0), (6, 0)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        done = pipeline | beam.Create(rows) | RemovePassages(unit="line")
        lines = done.passages | beam.Filter(lambda one: one.passage == LINE)
        assert_that(
            lines | beam.Map(lambda one: (one.id, one.survivor)), equal_to([("p3", "p0"), ("p6", "p0")])
        )


@pytest.mark.parametrize("settings", [{}, {"unit": "line", "remove": "passage"}, {"remove": "nothing"}])
def test_rows_in_longer_rows_are_the_same_in_elements_and_tables(settings):
    rows, items = made()
    rows += [{**one, "id": f"r{number}"} for number, one in enumerate(items)]
    rows += [{"id": "again", "text": items[0]["text"].upper()}, {"id": "line", "text": LINE}]
    in_memory = remove_passages(
        pa.Table.from_pylist(sorted(rows, key=lambda one: one["id"])), id="id", contains=True, **settings
    )
    with beam.Pipeline("FnApiRunner") as pipeline:
        done = pipeline | beam.Create(rows) | RemovePassages(contains=True, **settings)
        for name in ("kept", "removed", "passages"):
            found = getattr(done, name) | f"Dicts of {name}" >> beam.Map(
                lambda one: one if isinstance(one, dict) else one._asdict()
            )
            assert_that(found, equal_to(getattr(in_memory, name).to_pylist()), f"Check {name}")
    assert len(in_memory.passages) >= 4


def test_no_copy_is_lost_with_the_other():
    """A text in a longer one, which is in the longest: both go in favour of what stays."""
    rng = random.Random(3)
    short = sentence(rng, 15)
    longer = f"{sentence(rng, 10)} {short} {sentence(rng, 10)}"
    longest = f"{sentence(rng, 20)} {longer}"
    found = remove_passages([short, longer, longest], contains=True)
    assert found.kept == [longest]
    assert [(one["id"], one["survivor"]) for one in found.passages] == [(0, 2), (1, 2)]
    other = longest.replace(short.split()[4], "instead")  # a word differs, so the rows are not contained
    assert remove_passages([short, longer, other], contains=True).kept == [longer, other]
    assert remove_passages([short, longer, other], contains=True, contained=0.7).kept == [other]


@pytest.mark.parametrize("unit", ["document", "sentence"])
@pytest.mark.parametrize("remove", ["row", "passage"])
@pytest.mark.parametrize("seed", range(3))
def test_what_contains_a_passage_stays(unit, remove, seed):
    rng = random.Random(seed)
    few = [f"{sentence(rng, 12).capitalize()}." for _ in range(6)]
    texts = [" ".join(rng.choice(few) for _ in range(rng.randint(1, 6))) for _ in range(40)]
    found = remove_passages(texts, contains=True, unit=unit, remove=remove, contained=0.7)
    cut = {}
    for one in found.passages:
        cut.setdefault(one["id"], []).append((one["start"], one["end"]))
    assert len(cut) > 15
    for one in found.passages:
        spans = cut.get(one["survivor"], [])
        if remove == "row":
            assert not spans
        assert all(one["survivor_end"] <= start or stop <= one["survivor_start"] for start, stop in spans)
        there = texts[one["survivor"]][one["survivor_start"] : one["survivor_end"]]
        assert there == one["passage"] or (unit == "document" and one["score"] < 1)


def test_equal_texts_leave_one():
    rng = random.Random(5)
    text = sentence(rng, 12)
    found = remove_passages([text, text.upper(), f"{text} ", sentence(rng, 12)], contains=True)
    assert len(found.kept) == 2
    assert len({one["survivor"] for one in found.passages}) == 1


def test_nothing_in_nothing_out():
    found = remove_passages([], unit="sentence")
    assert (found.kept, found.removed, found.passages, found.rejected) == ([], [], [], [])
    found = remove_passages([None, "A text."], against=[], contains=True)
    assert (found.kept, found.rejected) == (["A text."], [None])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give contains or a unit"),
        ({"unit": "line", "repeats": 1}, "repeats 1: must be at least 2"),
        ({"unit": "line", "remove": "all"}, "remove 'all': is not one of row, passage, nothing"),
        ({"units": "line"}, "remove_passages has no 'units'; did you mean 'unit'?"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(UserError) as error:
        remove_passages(["a"], **settings)
    assert message in str(error.value)


def test_distinct_ids_are_needed():
    pipeline = beam.Pipeline("FnApiRunner")
    rows = [{"id": 1, "text": "one two three four five"}, {"id": 1, "text": "six"}]
    _ = pipeline | beam.Create(rows) | RemovePassages(unit="line")
    with pytest.raises(Exception, match="several elements have it"):
        pipeline.run()


@pytest.mark.parametrize("seed", range(3))
def test_a_row_goes_exactly_if_a_longer_one_has_its_words_in_a_row(seed):
    rng = random.Random(seed)
    few = [sentence(rng, 6) for _ in range(8)]
    texts = [" ".join(rng.choices(few, k=rng.randint(1, 7))) for _ in range(80)]
    texts += [sentence(rng, 7) for _ in range(20)]
    order = sorted(range(len(texts)), key=lambda at: (-len(texts[at]), at))
    inside, kept = set(), []
    for at in order:
        if any(f" {texts[at]} " in f" {longer} " for longer in kept):
            inside.add(at)
        else:
            kept.append(texts[at])
    found = remove_passages(texts, contains=True)
    assert {one["id"] for one in found.passages} == inside
    assert len(inside) > 20


def test_rows_that_do_not_fit_into_memory_are_refused(monkeypatch):
    monkeypatch.setattr(within, "_memory", lambda: 5_000)
    rows, _ = made()
    with pytest.raises(UserError, match=r"[\d,]+ characters needs about .* GiB in each process"):
        remove_passages([row["text"] for row in rows], contains=True)
    remove_passages([row["text"] for row in rows], unit="line")
