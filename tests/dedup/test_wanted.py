"""A required number of rows: the search for the threshold, and the same threshold and rows with Beam."""

import math

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from beam_sts import DeduplicateTexts, deduplicate
from beam_sts.dedup.wanted import ROUNDS, ThresholdSearch
from beam_sts.errors import UserError
from tests.cli.test_any_corpus import near_texts
from tests.dedup.test_beam import run

SETTINGS = {"guard": "none", "threshold": 0.3, "model_share": 0.0}


@given(st.floats(0, 1), st.floats(0, 1.01))
def test_the_search_finds_the_lowest_threshold(start, least):
    search, rounds = ThresholdSearch.over(start), 0
    while asked := search.asked:
        assert asked == sorted(asked)
        search = search.narrowed(lambda number, asked=asked: asked[number] >= least)
        rounds += 1
    assert rounds <= ROUNDS
    if start >= least:
        assert search.found == start
    else:
        assert search.found == min(math.ceil(least * 1e5) / 1e5, 1.0)


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        (25, {}),
        (0.8, {"keep": "central"}),
        (40, {"linkage": "average"}),
        (50, {}),
        pytest.param(1, {}, marks=pytest.mark.slow),
        pytest.param(0.6, {"score_all": True}, marks=pytest.mark.slow),
        pytest.param(30, {"model_share": 0.5}, marks=pytest.mark.slow),
    ],
)
def test_beam_finds_the_threshold_of_one_machine(tmp_path, wanted, more):
    texts = [*near_texts(), "", " ", near_texts()[3]]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    settings = {**SETTINGS, **more}
    local = deduplicate(pa.Table.from_pylist(rows), id="id", keep_rows=wanted, **settings)
    done = run(rows[::-1], tmp_path, keep_rows=wanted, **settings)
    (told,) = done["report"]
    assert told["threshold"] == local.threshold
    assert sorted(row["id"] for row in done["kept"]) == local.kept["id"].to_pylist()
    names = ("id", "survivor", "score", "threshold")
    gone = [[row[name] for name in names] for row in local.removed.to_pylist()]
    assert sorted([row[name] for name in names] for row in done["removed"]) == gone
    assert told["thresholds"] == local.thresholds


def test_rows_of_another_input_are_not_counted(tmp_path):
    texts, others = near_texts(), near_texts()[::5]
    against = [{"id": number, "text": text} for number, text in enumerate(others)]
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    local = deduplicate(texts, against=others, keep_rows=35, **SETTINGS)
    assert local.counts["kept"] >= 35
    with beam.Pipeline("FnApiRunner") as pipeline:
        inputs = {
            "rows": pipeline | "Rows" >> beam.Create(rows),
            "against": pipeline | "Others" >> beam.Create(against),
        }
        done = inputs | DeduplicateTexts(keep_rows=35, **SETTINGS)
        kept = done.kept | beam.Map(lambda row: row["text"]) | beam.combiners.ToList() | beam.Map(sorted)
        assert_that(kept, equal_to([sorted(local.kept)]))


@pytest.mark.parametrize("wanted", [0, 1.5, "many", True])
def test_no_number_of_rows(wanted):
    with pytest.raises(UserError, match="must be a whole number of rows"):
        deduplicate(["a", "b"], keep_rows=wanted)
