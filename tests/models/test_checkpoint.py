import json
import shutil

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder

from beam_sts import PairScorer, UserError
from beam_sts.models.checkpoint import load_checkpoint
from tests import checkpoints

PAIRS = [("a man", "a guitar"), ("the fox", "the dog"), ("", "oil")]
EMBEDDINGS = "bert.embeddings.word_embeddings."


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "copy")


def _change_config(folder, **changes):
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def _change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _first_error(folder):
    with pytest.raises(UserError) as caught:
        PairScorer(folder)
    return str(caught.value)


@pytest.mark.parametrize("name", ["projections", "projection", "proj", "dense.linear"])
def test_a_projection_of_any_name_loads(copy, tiny, name):
    def rename(weights):
        for kind in ("weight", "bias"):
            weights[f"{EMBEDDINGS}{name}.{kind}"] = weights.pop(f"{EMBEDDINGS}projections.{kind}")

    _change_weights(copy, rename)
    assert PairScorer(copy).score(PAIRS).tobytes() == PairScorer(tiny).score(PAIRS).tobytes()


def test_a_projection_without_bias_loads(copy):
    _change_weights(copy, lambda weights: weights[f"{EMBEDDINGS}projections.bias"].zero_())
    expected = PairScorer(copy).score(PAIRS)
    _change_weights(copy, lambda weights: weights.pop(f"{EMBEDDINGS}projections.bias"))
    assert PairScorer(copy).score(PAIRS).tobytes() == expected.tobytes()


def test_two_candidates_for_the_projection_are_refused(copy):
    def add(weights):
        weights[f"{EMBEDDINGS}other.weight"] = weights[f"{EMBEDDINGS}projections.weight"].clone()

    _change_weights(copy, add)
    assert "expected one projection" in _first_error(copy)


def test_a_missing_key_is_an_error_not_a_random_tensor(copy):
    _change_weights(copy, lambda weights: weights.pop("bert.pooler.dense.bias"))
    assert "1 missing keys, such as bert.pooler.dense.bias" in _first_error(copy)


def test_an_unexpected_key_is_an_error(copy):
    _change_weights(copy, lambda weights: weights.update({"bert.extra": torch.zeros(1)}))
    assert "unexpected keys, such as bert.extra" in _first_error(copy)


def test_weights_of_another_shape_are_an_error(copy):
    _change_config(copy, intermediate_size=32)
    assert "do not fit config.json" in _first_error(copy)


def test_two_labels_are_refused(tmp_path):
    assert "2 labels" in _first_error(checkpoints.bert_hash(tmp_path, num_labels=2))


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    assert "do not belong together" in _first_error(checkpoints.bert_hash(tmp_path, vocab_size=100))


def test_a_half_written_weight_file_is_named(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    assert "not a complete safetensors file" in _first_error(copy)


def test_a_pickled_checkpoint_is_refused_with_the_reason(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    message = _first_error(copy)
    assert "pytorch_model.bin is a pickle, which can run code" in message


def test_a_missing_tokenizer_is_named(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    assert "tokenizer" in _first_error(copy)


def test_a_folder_without_config_is_no_checkpoint(tmp_path):
    assert "no config.json" in _first_error(tmp_path)


def test_an_unknown_name_lists_what_is_embedded():
    message = _first_error("beam-sts-nanoo")
    assert "did you mean 'beam-sts-nano'" in message


def test_a_hub_id_without_a_network_names_the_ways_out():
    message = _first_error("nobody/no-such-model")
    assert "cannot be downloaded" in message
    assert "local folder" in message


def test_the_form_that_sentence_transformers_saves_loads(tiny, tmp_path):
    reference = CrossEncoder(str(tiny), device="cpu")
    reference.save_pretrained(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "modules.json").is_file()
    ours = PairScorer(tmp_path / "saved").score(PAIRS)
    np.testing.assert_allclose(ours, reference.predict(PAIRS), rtol=0, atol=1e-6)


@pytest.mark.parametrize("place", ["sentence_transformers", "sbert_ce_default_activation_function"])
def test_the_configs_activation_is_followed_as_the_reference_does(copy, place):
    identity = "torch.nn.modules.linear.Identity"
    entry = {"activation_fn": identity} if place == "sentence_transformers" else identity
    _change_config(copy, **{place: entry})
    ours = PairScorer(copy).score(PAIRS)
    np.testing.assert_allclose(
        ours, CrossEncoder(str(copy), device="cpu").predict(PAIRS), rtol=1e-5, atol=1e-5
    )
    assert ours.min() < 0 or ours.max() > 1


def test_an_activation_from_elsewhere_is_refused(copy):
    _change_config(copy, sentence_transformers={"activation_fn": "os.system"})
    assert "os.system" in _first_error(copy)


def test_a_url_is_copied_once_and_loads(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    fs = fsspec.filesystem("memory")
    fs.put(str(tiny), "/models/tiny", recursive=True)
    ours = PairScorer("memory://models/tiny")
    assert ours.score(PAIRS).tobytes() == PairScorer(tiny).score(PAIRS).tobytes()
    assert ours.checkpoint == PairScorer("memory://models/tiny").checkpoint


def test_the_fingerprint_follows_the_weights(copy, tiny):
    before = load_checkpoint(copy).fingerprint
    assert before == load_checkpoint(tiny).fingerprint
    _change_weights(copy, lambda weights: weights["classifier.bias"].add_(1))
    assert load_checkpoint(copy).fingerprint != before


def test_the_architecture_of_a_published_size_has_its_parameter_count():
    nano = checkpoints.bert_hash_model(projections=16, hidden_size=128, vocab_size=30522)
    assert sum(p.numel() for p in nano.parameters()) == 969_761
