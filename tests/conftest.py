import os
import random

import hypothesis
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test must not use the network
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # runs GPU kernels in Python; Triton reads it at import

import beam_sts
from tests import checkpoints

hypothesis.settings.register_profile("unhurried", deadline=None)  # machines differ, and may be busy
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A small BERT-hash checkpoint, which scores thousands of pairs per second."""
    return checkpoints.bert_hash(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def full_size(tmp_path_factory):
    """A random checkpoint of the nano's size."""
    return checkpoints.bert_hash(
        tmp_path_factory.mktemp("full"), projections=16, hidden_size=128, vocab_size=30522
    )


@pytest.fixture(scope="session")
def scorer(tiny):
    return beam_sts.PairScorer(tiny, threads=2, backend="native")


@pytest.fixture(scope="session")
def texts():
    """Texts of every length and kind."""
    rng = random.Random(0)
    words = " ".join(checkpoints.SENTENCES).split()
    odd = ["", " ", "\t \n", "🙂", "今天天气", "a" * 300, " lead", "trail ", "[SEP] [CLS]", "\x00", "é", "é"]
    drawn = [" ".join(rng.choices(words, k=int(rng.lognormvariate(2.5, 1)))) for _ in range(300)]
    return [*odd, *checkpoints.SENTENCES, *drawn, " ".join(rng.choices(words, k=10_000))]


@pytest.fixture(scope="session")
def pairs(texts):
    rng = random.Random(1)
    long = texts[-1]
    drawn = [(rng.choice(texts), rng.choice(texts)) for _ in range(300)]
    return [*drawn, (long, long), ("", long), (long, "🙂"), ("", ""), *[(t, t) for t in texts[:20]]]
