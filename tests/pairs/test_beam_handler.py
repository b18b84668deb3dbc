import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from beam_sts import CrossEncoderModelHandler, PairScorer, TextPair
from beam_sts.pairs.beam_handler import METRICS_NAMESPACE, PairFailure
from beam_sts.scoring.engine import Engine
from tests.checkpoints import SENTENCES

PAIRS = [TextPair(a, b) for a in SENTENCES for b in SENTENCES]


@pytest.fixture
def poison(monkeypatch, scorer):
    """Make the real backend raise on every batch that contains "guitar"."""
    token = scorer._tokenizer.encode(["guitar"]).ids[0]
    real = Engine.logits

    def logits(self, batch):
        if (batch.padded.input_ids == token).any():
            raise FloatingPointError("poisoned")
        return real(self, batch)

    monkeypatch.setattr(Engine, "logits", logits)


def _near(expected):
    def check(actual):
        assert sorted(actual) == [(key, pytest.approx(score, abs=2e-6)) for key, score in sorted(expected)]

    return check


def _counters(result):
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(METRICS_NAMESPACE))
    return {c.key.metric.name: c.committed for c in found["counters"]} | {
        d.key.metric.name: d.committed for d in found["distributions"]
    }


def test_run_inference_scores_every_pair_and_counts(tiny, scorer):
    pipeline = beam.Pipeline(runner=FnApiRunner())
    scored = pipeline | beam.Create(PAIRS) | RunInference(CrossEncoderModelHandler(str(tiny), batch_size=16))
    pairs = scored | beam.Map(lambda result: (tuple(result.example), result.inference))
    expected = zip(map(tuple, PAIRS), scorer.score(PAIRS).tolist(), strict=True)
    assert_that(pairs, _near(list(expected)))
    result = pipeline.run()
    result.wait_until_finish()
    counters = _counters(result)
    assert counters["pairs_scored"] == counters["num_inferences"] == len(PAIRS)
    assert counters["real_tokens"] == scorer.run(*zip(*PAIRS, strict=True)).stats.real_tokens
    assert counters["padded_tokens"] >= counters["real_tokens"]
    assert counters["truncated"] == counters["rejected"] == counters["pairs_reused"] == 0
    assert counters["inference_request_batch_size"].max <= 16
    assert counters["load_model_latency_milli_secs"].count >= 1


def test_a_keyed_handler_keeps_every_key_with_its_score(tiny, scorer):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        handler = KeyedModelHandler(CrossEncoderModelHandler(str(tiny)))
        keyed = pipeline | beam.Create(list(enumerate(PAIRS))) | RunInference(handler)
        scores = keyed | beam.MapTuple(lambda key, result: (key, result.inference))
        assert_that(scores, _near(list(enumerate(scorer.score(PAIRS).tolist()))))


def test_symmetric_and_raw_logits_are_inference_arguments(tiny, scorer):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        for name in ("symmetric", "raw_logits"):
            run = RunInference(CrossEncoderModelHandler(str(tiny)), inference_args={name: True})
            scores = pipeline | f"in {name}" >> beam.Create(PAIRS[1:2]) | name >> run
            expected = scorer.score(PAIRS[1:2], **{name: True}).tolist()
            values = scores | f"v {name}" >> beam.Map(lambda r: (0, r.inference))
            assert_that(values, _near([(0, expected[0])]), f"check {name}")


@pytest.mark.parametrize("arguments", [{"temperature": 1.0}, {"symmetric": "yes"}])
def test_other_inference_arguments_are_refused_at_construction(tiny, arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        CrossEncoderModelHandler(str(tiny)).validate_inference_args(arguments)


@pytest.mark.usefixtures("poison")
def test_a_poisoned_pair_fails_alone_or_raises_by_name(tiny, scorer):
    batch = PAIRS[:14]  # the first seven contain "guitar"
    returned = CrossEncoderModelHandler(str(tiny), failures="return").run_inference(batch, scorer)
    failed = [isinstance(result.inference, PairFailure) for result in returned]
    assert failed == ["guitar" in a + b for a, b in batch]
    with pytest.raises(RuntimeError, match=r"pair 0 of a batch of 14 .*poisoned"):
        CrossEncoderModelHandler(str(tiny)).run_inference(batch, scorer)


@pytest.mark.usefixtures("poison")
def test_run_inferences_own_exception_handling_gets_the_batch(tiny):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        handler = CrossEncoderModelHandler(str(tiny), batch_size=7)
        good, dead = pipeline | beam.Create(PAIRS) | RunInference(handler).with_exception_handling()
        sizes = dead.failed_inferences | beam.Map(lambda failed: len(failed[0]))
        counts = good | beam.combiners.Count.Globally()
        total = (sizes, counts) | beam.Flatten() | "total" >> beam.CombineGlobally(sum)
        assert_that(total, equal_to([len(PAIRS)]))


def test_one_model_serves_all_processes_when_it_is_large(tiny, scorer):
    handler = CrossEncoderModelHandler(str(tiny), large_model=True, model_copies=1)
    assert handler.share_model_across_processes()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        scored = pipeline | beam.Create(PAIRS[:9]) | RunInference(handler)
        pairs = scored | beam.Map(lambda result: (tuple(result.example), result.inference))
        expected = zip(map(tuple, PAIRS[:9]), scorer.score(PAIRS[:9]).tolist(), strict=True)
        assert_that(pairs, _near(list(expected)))


def test_the_models_path_can_be_updated(tiny, full_size):
    handler = CrossEncoderModelHandler(str(tiny))
    handler.update_model_path(str(full_size))
    pair = [TextPair("a man", "a dog")]
    (result,) = handler.run_inference(pair, handler.load_model())
    assert result.inference == pytest.approx(PairScorer(full_size).score(pair)[0], abs=2e-6)


def test_bytes_are_counted_without_pickling(tiny):
    assert CrossEncoderModelHandler(str(tiny)).get_num_bytes([TextPair("ab", "cde"), TextPair("", "f")]) == 6


def test_scores_are_plain_floats(tiny, scorer):
    (result,) = CrossEncoderModelHandler(str(tiny)).run_inference(PAIRS[:1], scorer)
    assert type(result.inference) is float
    assert np.float32(result.inference) == scorer.score(PAIRS[:1])[0]
