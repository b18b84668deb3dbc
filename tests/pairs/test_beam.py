import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream as streams
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows

from beam_sts import Rejected, ScoredPair, ScorePairs, TextPair, UserError
from tests.checkpoints import SENTENCES
from tests.pairs.test_beam_handler import poison  # noqa: F401  a fixture

PAIRS = [TextPair(a, b) for a in SENTENCES for b in SENTENCES]


def _collect(elements, transform, check):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        scored, rejected = pipeline | beam.Create(elements) | transform
        assert_that(
            (
                scored | "s" >> beam.Map(lambda e: ("scored", e)),
                rejected | "r" >> beam.Map(lambda e: ("rejected", e)),
            )
            | beam.Flatten(),
            lambda actual: check(
                [e for kind, e in actual if kind == "scored"], [e for kind, e in actual if kind == "rejected"]
            ),
        )


def test_text_pairs_become_scored_pairs_and_bad_ones_are_rejected(tiny, scorer):
    bad = [TextPair(None, "x"), TextPair("x", 5), TextPair("\ud800", "x")]
    expected = dict(zip(map(tuple, PAIRS), scorer.score(PAIRS).tolist(), strict=True))

    def check(scored, rejected):
        assert len(scored) == len(PAIRS)
        for pair in scored:
            assert isinstance(pair, ScoredPair)
            assert pair.score == pytest.approx(expected[pair[:2]], abs=2e-6)
        reasons = {r.element: r.reason for r in rejected}
        assert reasons == {
            bad[0]: "null in column 'text_a'",
            bad[1]: "int, not a text, in column 'text_b'",
            bad[2]: "lone surrogate (not valid Unicode) in column 'text_a'",
        }

    _collect([*PAIRS, *bad], ScorePairs(str(tiny)), check)


def test_dicts_keep_their_fields_and_may_name_the_texts(tiny, scorer):
    rows = [{"id": i, "q": a, "a": b, "more": [i]} for i, (a, b) in enumerate(PAIRS)]

    def check(scored, rejected):
        assert sorted(r["id"] for r in scored) == list(range(len(PAIRS)))
        assert all(r["more"] == [r["id"]] and set(r) == {"id", "q", "a", "more", "s"} for r in scored)
        assert rejected == [Rejected({"id": -1, "q": "", "a": "x"}, "empty text in column 'q'")]

    transform = ScorePairs(str(tiny), text_a="q", text_b="a", score_column="s", empty="reject")
    _collect([*rows, {"id": -1, "q": "", "a": "x"}], transform, check)


def test_rows_with_a_schema_give_rows_with_a_schema(tiny):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        rows = (
            pipeline
            | beam.Create([("a man", "a dog", 7)])
            | beam.Select(
                sentence1=lambda r: str(r[0]), sentence2=lambda r: str(r[1]), id=lambda r: int(r[2])
            )
        )
        scored, _ = rows | ScorePairs(str(tiny))
        assert dict(scored.element_type._fields)["score"] is float
        # SQL-like use proves the schema: Select and GroupBy read fields by name.
        best = scored | beam.GroupBy("id").aggregate_field("score", max, "best")
        assert_that(best | beam.Map(lambda r: (r.id, 0 < r.best < 1)), equal_to([(7, True)]))


def test_tables_keep_their_row_order(tiny, scorer):
    table = pa.table(
        {
            "id": range(len(PAIRS) + 2),
            "text_a": [*(p.text_a for p in PAIRS), None, "x"],
            "text_b": [*(p.text_b for p in PAIRS), "x", None],
        }
    )

    expected = scorer.score(PAIRS).tolist()

    def check(scored, rejected):
        (good,), (bad,) = scored, rejected
        assert good["id"].to_pylist() == list(range(len(PAIRS)))
        assert good["score"].to_pylist() == pytest.approx(expected, abs=2e-6)
        assert bad.select(["id", "reject_reason"]).to_pylist() == [
            {"id": len(PAIRS), "reject_reason": "null in column 'text_a'"},
            {"id": len(PAIRS) + 1, "reject_reason": "null in column 'text_b'"},
        ]

    _collect([table], ScorePairs(str(tiny), tables=True), check)


@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.usefixtures("poison")
def test_a_poisoned_pair_alone_is_a_dead_letter_on_rows_and_on_tables(tiny, tables):
    rows = [{"id": i, "text_a": a, "text_b": b} for i, (a, b) in enumerate(PAIRS)]
    poisoned = [r["id"] for r in rows if "guitar" in r["text_a"] + r["text_b"]]

    def check(scored, rejected):
        if tables:
            scored, rejected = (t[0]["id"].to_pylist() for t in (scored, rejected))
        else:
            scored, rejected = [r["id"] for r in scored], [r.element["id"] for r in rejected]
        assert sorted(rejected) == poisoned
        assert sorted([*scored, *rejected]) == list(range(len(PAIRS)))

    elements = [pa.Table.from_pylist(rows)] if tables else rows
    _collect(elements, ScorePairs(str(tiny), tables=tables), check)


def test_streams_keep_their_windows(tiny):
    stream = streams.TestStream().advance_watermark_to(0)
    for second in range(0, 40, 10):
        stream = stream.add_elements(
            [beam.window.TimestampedValue(TextPair(f"a man {second}", "a dog"), second + i) for i in range(3)]
        ).advance_watermark_to(second + 9)
    stream = stream.advance_watermark_to_infinity()
    # FnApiRunner does not support test streams, but this runner does.
    options = PipelineOptions(["--streaming"])
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        scored, _ = pipeline | stream | beam.WindowInto(FixedWindows(10)) | ScorePairs(str(tiny))
        counts = (
            scored
            | beam.Map(lambda pair: (pair.text_a, 1))
            | beam.CombinePerKey(sum)
            | beam.Map(lambda kv, window=beam.DoFn.WindowParam: (*kv, int(window.start)))
        )
        assert_that(counts, equal_to([(f"a man {s}", 3, s) for s in range(0, 40, 10)]))


def test_a_score_that_is_there_already_stays(tiny):
    def check(scored, rejected):
        (row,) = scored
        assert (row["score"], sorted(row), rejected) == (7.0, ["my_score", "score", "text_a", "text_b"], [])

    row = {"text_a": "x", "text_b": "y", "score": 7.0}
    _collect([row], ScorePairs(str(tiny), output_prefix="my_"), check)


def test_one_text_name_alone_is_refused():
    with pytest.raises(UserError, match="Name both text fields or neither"):
        ScorePairs(text_a="x")


def test_elements_of_another_kind_say_what_to_bring(tiny):
    with pytest.raises(Exception, match="cannot read a int"):
        _collect([5], ScorePairs(str(tiny)), lambda scored, rejected: None)
