"""Elements of every form: dicts, rows, named tuples; NumPy ids; fields with names of output fields."""

import datetime
import decimal
import json
import typing
import uuid

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.row_type import RowTypeConstraint
from hypothesis import given
from hypothesis import strategies as st

from beam_sts import DeduplicateTexts, MinePairs, ScorePairs, UserError
from beam_sts.dedup.beam_texts import RECEIPT, Fields, ReadRows
from beam_sts.dedup.keep import priority_key, ranks, sortable
from beam_sts.transforms import yaml as in_yaml

TEXT = "The bridge over the river is closed today."
HERE = datetime.datetime(2020, 1, 1)
UTC = HERE.replace(tzinfo=datetime.timezone.utc)


class Doc(typing.NamedTuple):
    id: int
    text: str


def deduplicate(collections, folder, model):
    """The elements of each output, as type and fields."""
    with beam.Pipeline(FnApiRunner()) as pipeline:
        for name, elements in collections.items():
            dedup = DeduplicateTexts(str(model), rule="model", thresholds=(), candidates=["exact"])
            done = pipeline | f"in {name}" >> beam.Create(elements) | f"of {name}" >> dedup
            for output in ("kept", "removed", "rejected"):
                listed = getattr(done, output) | f"{output} {name}" >> beam.combiners.ToList()
                _ = listed | f"write {output} {name}" >> beam.Map(_write, folder / f"{name} {output}")
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def _write(values, path):
    found = [[type(v).__name__.partition("_")[0], v if isinstance(v, dict) else v._asdict()] for v in values]
    path.write_text(json.dumps(found, default=str))


def test_every_kind_of_element_and_of_id(tiny, tmp_path):
    kinds = (int, np.int32, np.int64, np.uint8, lambda i: 2**80 + i)
    numbered = [
        {"id": kind(10 * at + i), "text": f"{TEXT} {at}"} for at, kind in enumerate(kinds) for i in (1, 2)
    ]
    theirs = {"id": 99, "text": TEXT, "source": "cms"}
    rows = [beam.Row(id="a", text=TEXT), beam.Row(id=np.str_("b"), text=TEXT)]
    named = [Doc(np.int64(1), TEXT), Doc(2, np.str_(TEXT))]
    collections = {"ints": [*numbered, theirs], "rows": rows, "tuples": named}
    found = deduplicate(collections, tmp_path, tiny)
    receipts = {int(row["id"]): row["survivor"] for _, row in found["ints removed"]}
    assert receipts == {
        int(even["id"]): int(odd["id"]) for odd, even in zip(*[iter(numbered)] * 2, strict=True)
    }
    assert len(found["ints kept"]) == len(kinds) + 1
    assert found["ints kept"][-1][1] == theirs
    assert found["ints rejected"] == []
    assert [(kind, row["id"]) for kind, row in found["rows kept"]] == [("BeamSchema", "a")]
    assert [(kind, str(row["id"])) for kind, row in found["tuples kept"]] == [("Doc", "1")]
    for name in ("rows", "tuples"):
        ((kind, row),) = found[f"{name} removed"]
        assert kind == "BeamSchema"
        assert list(row) == ["id", "text", *RECEIPT]


def read(element, side=0, **fields):
    """A node's row, or the reason of a rejection."""
    (out,) = ReadRows(Fields(**fields), side).process(element)
    return out.value.reason if isinstance(out, beam.pvalue.TaggedOutput) else out


NO_IDS = [True, np.bool_(0), 1.5, uuid.uuid4(), HERE, HERE.date(), decimal.Decimal(1), ("a", 1), [1], {}]


@pytest.mark.parametrize("ident", NO_IDS, ids=repr)
def test_ids_of_other_types_are_refused_by_field_and_type(ident):
    with pytest.raises(
        UserError, match=r"id 'key': .* is (\w+); ids must be integers, texts or bytes"
    ) as error:
        read({"key": ident, "text": TEXT}, id="key")
    assert type(ident).__name__.strip("_") in str(error.value)


@pytest.mark.parametrize(
    "ident", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, np.datetime64("NaT")]
)
def test_ids_that_are_missing_are_rejected(ident):
    assert read({"id": ident, "text": TEXT}) == "null in field 'id'"


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({"id": 1, "text": None}, "null in field 'text'"),
        ({"id": 1, "text": 5}, "int, not a text, in field 'text'"),
        ({"id": 1, "text": b"x"}, "bytes, not a text, in field 'text'"),
        ({"id": 1, "text": "x\ud800"}, "lone surrogate (not valid Unicode) in field 'text'"),
        ({"id": "x\ud800", "text": "x"}, "lone surrogate (not valid Unicode) in field 'id'"),
    ],
)
def test_elements_that_cannot_be_compared_are_rejected(element, reason):
    assert read(element).startswith(reason)


def test_fields_of_theirs_that_have_a_name_of_ours_stay_as_they_are():
    theirs = dict.fromkeys(RECEIPT, "theirs")
    rows = [{"id": at, "text": TEXT, **theirs} for at in range(2)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        removed = (pipeline | beam.Create(rows) | DeduplicateTexts()).removed
        assert_that(
            removed | beam.Map(lambda row: [row[name] for name in RECEIPT] + [row["beam_sts_survivor"]]),
            equal_to([["theirs"] * len(RECEIPT) + [0]]),
        )


@pytest.mark.parametrize(
    "element", [(1, TEXT), TEXT, None, 5, pa.table({"id": [1], "text": [TEXT]})], ids=type
)
def test_elements_without_fields_say_what_to_bring(element):
    with pytest.raises(UserError, match=r"cannot read a \w+: pass dicts, beam.Row or named tuples"):
        read(element)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "idd"}, "no field 'idd'; its fields are id, text, stars. Did you mean 'id'?"),
        ({"text": "txt"}, "Did you mean 'text'?"),
        ({"keep": "highest:star"}, "no field 'star'.*Did you mean 'stars'?"),
        ({"blocks": ("zip",)}, "no field 'zip'"),
        ({"vector": "v"}, "no field 'v'"),
        ({"keep": "highest:text"}, "keep highest:text: id 1: 'a' is str, not a number or a date"),
        ({"blocks": ("stars",)}, "block:stars: id 1 has a list; name a field with a single value"),
        ({"vector": "text"}, "id 1: has no vector of finite numbers in field 'text'"),
    ],
)
def test_fields_that_are_not_there_or_hold_something_else(fields, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        read({"id": 1, "text": "a", "stars": [1]}, **fields)


ORDERED = [  # the lowest first, which is kept last
    [None, float("-inf"), decimal.Decimal("-1e999999"), -(2**80), -0.5, False, True, 1.5, 2**62, 2**62 + 1],
    [float("nan"), decimal.Decimal("1.00000000000000000000000000000000001"), 1.5, float("inf")],
    [pd.NA, np.int64(2**62), np.uint64(2**62 + 1), np.float32(1e30), 10**40, decimal.Decimal("Infinity")],
    [pd.NaT, HERE, pd.Timestamp(HERE) + pd.Timedelta("1us"), np.datetime64("2021-01-01")],
    [np.datetime64("NaT"), UTC, UTC.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-1)))],
    [None, HERE.date(), datetime.date(2021, 1, 1)],
    [datetime.timedelta(-1), datetime.timedelta(0), np.timedelta64(1, "us")],
    [datetime.time(1), datetime.time(1, 0, 0, 1)],
    [decimal.Decimal("sNaN"), decimal.Decimal("-Infinity"), 0],
]


@pytest.mark.parametrize("values", ORDERED)
def test_what_is_highest(values):
    kinds, keys = zip(*(priority_key(value, "keep") for value in values), strict=True)
    assert sorted(keys) == list(keys[::-1])
    assert len(set(kinds) - {""}) == 1


@pytest.mark.parametrize("value", ["9", b"9", [1], {}, 1j, Doc(1, "")])
def test_what_has_no_order(value):
    with pytest.raises(UserError, match=r"keep: .* is \w+, not a number or a date"):
        priority_key(value, "keep")


def test_values_of_two_kinds_are_refused_by_name():
    reads = ReadRows(Fields(keep="highest:s"))
    assert len(list(reads.process({"id": 1, "text": "a", "s": 1}))) == 1
    with pytest.raises(
        UserError, match="id 2: is date, a value before it number; values must be of one type"
    ):
        list(reads.process({"id": 2, "text": "a", "s": HERE.date()}))


COLUMNS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.decimal128(38, 5): st.decimals(-(10**32), 10**32, places=5),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(datetime.timezone.utc)),
    pa.time64("us"): st.times(),
    pa.duration("us"): st.timedeltas(datetime.timedelta(-9999), datetime.timedelta(9999)),
}


@given(st.data(), st.sampled_from(list(COLUMNS)))
def test_a_column_and_its_values_have_one_order(data, kind):
    values = data.draw(st.lists(st.none() | COLUMNS[kind], min_size=1, max_size=8))
    column = pa.chunked_array([pa.array(values, kind)])
    place = ranks(pa.array(range(len(values))), sortable(column, "keep"))
    keys = [(priority_key(value, "keep")[1], at) for at, value in enumerate(values)]
    assert np.argsort(place).tolist() == sorted(range(len(values)), key=keys.__getitem__)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.list_(pa.int8()), pa.struct([])]
)
def test_a_column_without_an_order_is_refused_by_its_type(kind):
    with pytest.raises(UserError, match=r"--keep highest:x: holds .*, which has no highest value"):
        sortable(pa.chunked_array([], kind), "--keep highest:x")


def typed(pipeline, label, fields):
    return pipeline | label >> beam.Create([]).with_output_types(RowTypeConstraint.from_fields(fields))


PLAIN = [("id", int), ("text", str), ("text_a", str), ("text_b", str), ("stars", float)]


@pytest.mark.parametrize(
    ("transform", "more", "message"),
    [
        (
            ScorePairs(text_a="text_c", text_b="text"),
            [],
            "text_a 'text_c': is not in the input; did you mean",
        ),
        (
            in_yaml.ScorePairs(error_handling={"output": "good"}),
            [],
            "'good': is already the name of another output",
        ),
        (in_yaml.DeduplicateTexts(id="idd"), [], "id 'idd': is not in the input; did you mean 'id'"),
        (DeduplicateTexts(text="txt"), [], "text 'txt': is not in the input; did you mean 'text'"),
        (DeduplicateTexts(keep="highest:star"), [], "keep highest: 'star': is not in the input"),
        (DeduplicateTexts(candidates=["block:zip"]), [], "block: 'zip': is not in the input"),
        (in_yaml.DeduplicateTexts(error_handling={"output": "kept"}), [], "name of another output"),
    ],
)
def test_a_schema_is_looked_at_when_the_pipeline_is_built(transform, more, message):
    rows = typed(beam.Pipeline(), "rows", [*PLAIN, *more])
    with pytest.raises(UserError, match=message):
        _ = rows | transform


def field_names(rows):
    return [name for name, _ in rows.element_type._fields]


def test_names_of_ours_that_a_schema_has_get_a_prefix():
    rows = typed(beam.Pipeline(), "rows", [*PLAIN, ("score", float), ("reject_reason", str)])
    assert field_names((rows | ScorePairs()).scored)[-1] == "beam_sts_score"
    assert field_names((rows | "mine" >> ScorePairs(output_prefix="my_")).scored)[-1] == "my_score"
    done = rows | "yaml" >> in_yaml.ScorePairs(error_handling={"output": "bad"})
    assert field_names(done["bad"])[-1] == "beam_sts_reject_reason"
    removed = (rows | DeduplicateTexts()).removed
    assert field_names(removed)[-len(RECEIPT) :] == ["survivor", "beam_sts_score", *RECEIPT[2:]]


def test_a_field_of_rows_to_compare_against_may_have_a_name_of_ours():
    pipeline = beam.Pipeline()
    inputs = {"rows": typed(pipeline, "r", PLAIN), "against": typed(pipeline, "a", [*PLAIN, ("source", str)])}
    removed = (inputs | DeduplicateTexts()).removed
    assert field_names(removed)[-len(RECEIPT) - 1 :] == [*RECEIPT, "survivor_in"]
    rows = typed(pipeline, "s", [*PLAIN, ("survivor_in", str)])
    assert field_names(({**inputs, "rows": rows} | "named" >> DeduplicateTexts()).removed)[-1] == (
        "beam_sts_survivor_in"
    )


def test_documents_of_any_kind_of_name_are_mined(tmp_path, tiny):
    texts = [f"The {word} cat sat on the mat." for word in ("old", "red", "big", "wet")]
    elements = [(np.int64(7), np.int32(i), np.str_(text)) for i, text in enumerate(texts[:2])]
    elements += [(7, 2.5, texts[2]), (b"d", 0, texts[3])]
    wrong = [(HERE, 0, "a"), ([1], 0, "b"), ("d", "first", "c"), ("d", None, "e"), 5]
    out = tmp_path / "out"
    with beam.Pipeline(FnApiRunner()) as pipeline:
        mined = (
            pipeline
            | beam.Create([*elements, *wrong])
            | MinePairs(str(tiny), neighbours=0, random=0, lexical=0)
        )
        pairs = mined.pairs | beam.Map(lambda row: f"{row['sentence1'][4:7]} {row['sentence2'][4:7]}")
        lines = (pairs, mined.rejected | beam.Map(lambda bad: bad.reason)) | beam.Flatten()
        _ = lines | beam.io.WriteToText(str(out), shard_name_template="")
    found = sorted(out.read_text().splitlines())
    reasons = [line for line in found if len(line) > 7]
    assert {frozenset(line.split()) for line in found if len(line) == 7} == {
        frozenset({"old", "red"}),
        frozenset({"red", "big"}),
    }
    assert reasons == [
        "int, not a text",
        "the document is datetime; give an integer or a text",
        "the document is list; give an integer or a text",
        "the place is NoneType; give a number",
        "the place is str; give a number",
    ]
