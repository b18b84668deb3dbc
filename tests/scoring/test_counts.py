"""The work for a fixed input, in counts: a test of efficiency that needs no clock.

Limits are slightly above the measured counts. Lower them when the scorer improves; raise one only with a
reason.
"""

import random
import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from beam_sts import PairScorer
from beam_sts.scoring.tokens import PairTokenizer
from tests.checkpoints import SENTENCES

MACRO_BATCH = 2048
WORDS = " ".join(SENTENCES).split()


def _texts(count, *, median=9, spread=0.8, seed=0):
    """Distinct texts of log-normal length."""
    rng = random.Random(seed)
    return [
        f"{index} " + " ".join(rng.choices(WORDS, k=max(1, int(median * rng.lognormvariate(0, spread)))))
        for index in range(count)
    ]


@dataclass
class Seen:
    """The actual inputs of the tokenizer and the backend, independent of the statistics."""

    calls: list = field(default_factory=list)  # texts of each call of the tokenizer
    batches: list = field(default_factory=list)  # (padded, real) tokens of each call of the backend

    @property
    def texts(self):
        return [text for call in self.calls for text in call]


@pytest.fixture
def watched(tiny, monkeypatch):
    scorer, seen = PairScorer(tiny, threads=2, macro_batch=MACRO_BATCH), Seen()
    encode, logits = PairTokenizer.encode, scorer._backend.logits

    def watched_encode(self, texts, *args, **kwargs):
        seen.calls.append(texts.to_pylist())
        return encode(self, texts, *args, **kwargs)

    def watched_logits(batch):
        padded = batch.padded
        real = int(padded.attention_mask.sum())
        seen.batches.append((real if scorer._backend.packs else padded.input_ids.size, real))
        return logits(batch)

    monkeypatch.setattr(PairTokenizer, "encode", watched_encode)
    monkeypatch.setattr(scorer._backend, "logits", watched_logits)
    return scorer, seen


def _check_stats(stats, seen):
    """The statistics for users are those of the actual work."""
    assert stats.texts_tokenised == len(seen.texts)
    assert stats.backend_calls == len(seen.batches)
    assert (stats.padded_tokens, stats.real_tokens) == tuple(np.sum(seen.batches, axis=0))


def test_all_texts_distinct(watched):
    scorer, seen = watched
    texts = _texts(12_000)
    result = scorer.run(texts[:6000], texts[6000:])
    _check_stats(result.stats, seen)
    assert len(seen.calls) == 3  # one for each macro-batch
    assert sorted(seen.texts) == sorted(texts)
    assert result.stats.real_tokens == 261_774
    assert result.stats.padded_tokens <= 1.05 * 261_774
    assert len(seen.batches) <= 110
    assert max(padded for padded, _ in seen.batches) <= scorer._token_budget
    assert result.stats.pairs_reused == 0


def test_mining_each_text_in_ten_pairs(watched):
    scorer, seen = watched
    texts = _texts(400)
    pairs = [(texts[i], texts[(i + step) % 400]) for i in range(400) for step in range(1, 6)]
    result = scorer.run(*zip(*pairs, strict=True))
    _check_stats(result.stats, seen)
    assert len(pairs) <= MACRO_BATCH
    assert sorted(seen.texts) == sorted(texts)  # each once, although each is in ten pairs
    assert len(seen.calls) == 1


def test_equal_pairs_and_turned_ones(watched):
    scorer, seen = watched
    texts = _texts(200)
    once = scorer.run(texts[:100], texts[100:])
    calls, batches = len(seen.calls), list(seen.batches)
    often = scorer.run(texts[:100] * 50, texts[100:] * 50)
    assert len(seen.calls) == 2 * calls
    assert sorted(seen.batches) == sorted(batches * 2)
    assert often.stats.pairs_reused == 49 * 100
    seen.batches.clear()
    both = scorer.run(texts[:100] + texts[100:], texts[100:] + texts[:100], symmetric=True)
    assert both.stats.pairs_reused == 100
    assert sum(real for _, real in seen.batches) == 2 * once.stats.real_tokens


def test_one_long_text_does_not_pad_the_others(watched):
    scorer, seen = watched
    texts = [*_texts(2_000, median=5, spread=0.3), " ".join(WORDS * 40)]
    result = scorer.run(texts, texts[1:] + texts[:1])
    _check_stats(result.stats, seen)
    assert result.stats.padding_ratio <= 1.05
    assert result.stats.truncated == 2


@pytest.mark.parametrize(("texts_of_a_pair", "copies"), [(2, 3.0), (0.2, 1.4)], ids=["distinct", "mining"])
def test_copies_of_the_texts(tiny, texts_of_a_pair, copies):
    """Memory besides the input: few copies of all texts (Arrow's), some bytes per byte of a block."""
    count, macro_batch = 5_000, 250
    long_word = "x" * 150  # one unknown token, so it is cheap to tokenise
    texts = [f"{index} " + " ".join([long_word] * 13) for index in range(int(count * texts_of_a_pair))]
    a = pa.array([texts[i % len(texts)] for i in range(count)], pa.large_string())
    b = pa.array([texts[(i + 1 + i // len(texts)) % len(texts)] for i in range(count)], pa.large_string())
    scorer = PairScorer(tiny, threads=1, macro_batch=macro_batch)
    scorer._backend.logits = lambda batch: np.zeros(len(batch), np.float32)  # excludes the model's memory
    scorer.run(a[:macro_batch], b[:macro_batch])
    usual, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        stats = scorer.run(a, b).stats
        python = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    size = a.nbytes + b.nbytes
    assert stats.pairs_reused == 0
    assert pool.max_memory() <= copies * size
    assert python <= 8 * size * macro_batch / count
