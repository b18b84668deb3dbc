"""Every architecture has the scores of the reference, ``CrossEncoder`` of sentence-transformers."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder

from beam_sts import PairScorer
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.tokens import PairTokenizer
from tests import checkpoints
from tests.architectures import BUILDERS
from tests.checkpoints import SENTENCES

KINDS = [*BUILDERS, "bert-hash"]


def _pairs():
    """Pairs of every length and kind, many of them too long for the model."""
    rng = random.Random(0)
    words = " ".join(SENTENCES).split()
    odd = ["", " ", "\t \n", "🙂", "今天天气", "a" * 150, " lead", "trail ", "[SEP] <s>", "é", "a  b   c"]
    drawn = [" ".join(rng.choices(words, k=int(rng.lognormvariate(2.2, 0.8)))) for _ in range(40)]
    texts = [*odd, *SENTENCES, *drawn, " ".join(rng.choices(words, k=400))]
    pairs = [(rng.choice(texts), rng.choice(texts)) for _ in range(90)]
    return [*pairs, (texts[-1], texts[-1]), ("", texts[-1]), (texts[-1], "🙂"), ("", ""), (" ", "\t")]


PAIRS = _pairs()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Checkpoint folders by name, each built at its first use."""
    built = {}

    def folder(kind):
        if kind not in built:
            target = tmp_path_factory.mktemp(kind)
            built[kind] = checkpoints.bert_hash(target) if kind == "bert-hash" else BUILDERS[kind](target)
        return built[kind]

    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_logits_agree_with_the_reference_whatever_the_batching(kind, folders):
    reference = CrossEncoder(str(folders(kind)), device="cpu")
    expected = reference.predict(PAIRS, batch_size=32)
    assert expected.std() > 0.1
    for budget in (1, 600, 100_000):
        scorer = PairScorer(folders(kind), token_budget=budget, threads=1, backend="native")
        np.testing.assert_allclose(scorer.score(PAIRS), expected, rtol=0, atol=2e-6)
    logits = reference.predict(PAIRS, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(scorer.score(PAIRS, raw_logits=True), logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_agree_to_a_millionth_on_the_same_micro_batch(kind, folders):
    expected = CrossEncoder(str(folders(kind)), device="cpu").predict(PAIRS, batch_size=len(PAIRS))
    assert expected.std() > 0.1
    ours = PairScorer(folders(kind), token_budget=10**6, threads=1, backend="native").score(PAIRS)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ids_are_the_reference_tokenizers(kind, folders):
    """Template, truncation and padding, compared at the input of the reference's model."""
    reference = CrossEncoder(str(folders(kind)), device="cpu")
    expected = reference.preprocess(PAIRS)
    ours = PairTokenizer.of(load_checkpoint(folders(kind)))
    table = ours.encode([text for pair in PAIRS for text in pair])
    a, b = np.arange(0, 2 * len(PAIRS), 2), np.arange(1, 2 * len(PAIRS), 2)
    batch = ours.assemble(table, a, b, *ours.truncate(table.lengths[a], table.lengths[b]))
    assert batch.input_ids.tolist() == expected["input_ids"].tolist()
    assert batch.attention_mask.tolist() == expected["attention_mask"].tolist()
    assert (batch.token_type_ids is None) == ("token_type_ids" not in expected)


@pytest.mark.parametrize("kind", ["roberta", "gemma3-causal-left"])
def test_symmetric_scores_are_the_mean_of_the_references_two_orders(kind, folders):
    reference = CrossEncoder(str(folders(kind)), device="cpu")
    turned = [(b, a) for a, b in PAIRS]
    expected = (reference.predict(PAIRS) + reference.predict(turned)) / 2
    ours = PairScorer(folders(kind), threads=1, backend="native").score(PAIRS, symmetric=True)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-6)
    assert np.abs(ours - reference.predict(PAIRS)).max() > 0.01


def test_roberta_without_a_limit_of_its_tokenizer_takes_its_positions_less_two(folders, tmp_path):
    import json
    import shutil

    folder = shutil.copytree(folders("roberta"), tmp_path / "copy")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    del settings["model_max_length"]
    file.write_text(json.dumps(settings))
    scorer = PairScorer(folder, threads=1)
    assert scorer.max_length == 64
    expected = CrossEncoder(str(folder), device="cpu", max_length=64).predict(PAIRS)
    np.testing.assert_allclose(scorer.score(PAIRS), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("kind", ["bert-hash", "bert"])
def test_a_tokenizer_of_no_known_class_gives_no_token_types(kind, backend, folders, tmp_path):
    """The reference then passes no token types to the model, whatever tokenizer.json has."""
    folder = shutil.copytree(folders(kind), tmp_path / "copy")
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(settings))
    expected = CrossEncoder(str(folder), device="cpu").predict(PAIRS, batch_size=32)
    typed = CrossEncoder(str(folders(kind)), device="cpu").predict(PAIRS, batch_size=32)
    assert np.abs(expected - typed).max() > 1e-3
    scorer = PairScorer(folder, threads=1, backend=backend)
    np.testing.assert_allclose(scorer.score(PAIRS), expected, rtol=0, atol=2e-6)
