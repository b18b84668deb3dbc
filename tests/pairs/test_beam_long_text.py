"""The options of the model, through the handler and ScorePairs."""

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that

from beam_sts import CrossEncoderModelHandler, PairScorer, ScorePairs, UserError
from tests.architectures import BUILDERS

PAIRS = [("a man", "a guitar"), ("fox " * 600, "fox " * 500), ("the fox", "the dog")]


def _rows():
    return [{"id": i, "text_a": a, "text_b": b} for i, (a, b) in enumerate(PAIRS)]


def test_a_pair_that_is_too_long_is_rejected_and_the_others_are_scored(tiny):
    expected = PairScorer(tiny).score([PAIRS[0], PAIRS[2]])

    def check_scored(rows):
        assert sorted(row["id"] for row in rows) == [0, 2]
        scores = [row["score"] for row in sorted(rows, key=lambda row: row["id"])]
        np.testing.assert_allclose(scores, expected, atol=2e-6)

    def check_rejected(rows):
        (row,) = rows
        assert row.element["id"] == 1
        assert row.reason.startswith("too long: ")

    with beam.Pipeline("FnApiRunner") as pipeline:
        scored, rejected = (
            pipeline | beam.Create(_rows()) | ScorePairs(str(tiny), threads=1, long_text="error")
        )
        assert_that(scored, check_scored, label="scored")
        assert_that(rejected, check_rejected, label="rejected")


@pytest.mark.parametrize("kind", ["modernbert-cls", "gemma3-bidirectional-right"])
def test_other_architectures_and_raw_logits_go_through_score_pairs(kind, tmp_path):
    model = BUILDERS[kind](tmp_path)
    expected = PairScorer(model).score(PAIRS, raw_logits=True)

    def check(rows):
        scores = [row["score"] for row in sorted(rows, key=lambda row: row["id"])]
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)

    with beam.Pipeline("FnApiRunner") as pipeline:
        scored, _ = pipeline | beam.Create(_rows()) | ScorePairs(str(model), threads=1, raw_logits=True)
        assert_that(scored, check)


def test_an_unknown_policy_is_refused_where_the_pipeline_is_built(tiny):
    with pytest.raises(UserError, match="long_text 'cut'"):
        CrossEncoderModelHandler(str(tiny), long_text="cut")
