import json
from collections import defaultdict

import apache_beam as beam
import pyarrow as pa
import pytest

from beam_sts import MinePairs
from beam_sts.candidates.keys import normalise

TEXTS = [
    f"The {colour} {animal} sat on the mat." for colour in ("red", "old", "big") for animal in ("cat", "dog")
]
TEXTS += ["Rain fell all day.", "The rain fell all day.", "Stocks rose.", "THE RED CAT sat on the  mat."]
PLACED = [(f"d{i // 3}", i, text) for i, text in enumerate(TEXTS)]


def line(row):
    return json.dumps(row if isinstance(row, dict) else row.reason)


def mine(elements, folder, **settings):
    with beam.Pipeline("FnApiRunner") as pipeline:
        mined = pipeline | beam.Create(elements) | MinePairs(**settings)
        for name, rows in mined._asdict().items():
            lines = rows | f"Line {name}" >> beam.Map(
                lambda row: json.dumps(row if isinstance(row, dict) else row[1])
            )
            _ = lines | f"Write {name}" >> beam.io.WriteToText(str(folder / name), shard_name_template="")
    return {name: [json.loads(line) for line in (folder / name).open()] for name in mined._fields}


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    return mine(
        [*PLACED, ("d9", 0, None), ("d9", 1, " ")], tmp_path_factory.mktemp("mined"), test_share=0.4, seed=1
    )


def key(row):
    return (row["sentence1"], row["sentence2"])


def test_rows_are_scored_once_and_named(mined):
    rows = mined["pairs"]
    assert len({frozenset(key(row)) for row in rows}) == len(rows)
    assert all(0 <= row["score"] <= 1 for row in rows)
    origins = {name for row in rows for name in row["origin"].split("+")}
    assert origins == {"adjacent", "neighbours", "lexical", "random"}


def test_splits_share_no_text(mined):
    texts = defaultdict(set)
    for row in mined["pairs"]:
        texts[row["split"]] |= set(key(row))
    assert texts.keys() == {"train", "test"}
    assert not texts["train"] & texts["test"]


def test_texts_with_one_normal_form_are_one(mined):
    normal = {text for row in mined["pairs"] for text in key(row)}
    assert len(set(normalise(pa.array(list(normal))).to_pylist())) == len(normal)


def test_what_is_no_text_is_rejected_with_the_reason(mined):
    assert sorted(mined["rejected"]) == ["empty text", "null"]


def test_order_of_elements_does_not_matter(mined, tmp_path):
    again = mine(PLACED[::-1], tmp_path, test_share=0.4, seed=1)
    assert sorted(map(key, again["pairs"])) == sorted(map(key, mined["pairs"]))


def test_plain_texts_have_no_neighbours_in_a_document(tmp_path):
    rows = mine(TEXTS, tmp_path, test_share=0)["pairs"]
    assert {row["split"] for row in rows} == {"train"}
    assert not any("adjacent" in row["origin"] for row in rows)
