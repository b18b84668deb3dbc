"""NeoBERT compared with its authors' modeling code, whose logits for seeded weights are recorded here."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from beam_sts import PairScorer
from beam_sts.models.neobert import NeoBertConfig, NeoBertForSequenceClassification
from tests.architectures import neobert

# Logits of the authors' NeoBERTForSequenceClassification (github.com/chandar-lab/NeoBERT at ed75b68, with
# xformers' SwiGLU and attention written out, torch 2.15 on a CPU) for `_seeded` weights and `_batch` inputs.
EXPECTED = {
    (32, 3, 4, 48): [-1.039937, 1.10161, 0.796009, 0.804961, -0.635175, 0.782625],
    (24, 2, 2, 50): [0.732988, 0.871331, -0.4083, -0.319031, -0.179604, -0.811977],
}


def _seeded(shapes):
    """Weights from numpy's generator, whose stream is the same in every version."""
    rng = np.random.Generator(np.random.PCG64(7))
    weights = {}
    for name in sorted(shapes):
        values = rng.uniform(-1, 1, size=shapes[name])
        scale = (3 / shapes[name][-1]) ** 0.5 if len(shapes[name]) == 2 else 0.1
        if name.endswith("encoder.weight"):
            scale = 1.0
        ones = 1.0 if name.endswith("norm.weight") else 0.0
        weights[name] = torch.tensor(values * scale + ones, dtype=torch.float32)
    return weights


def _batch():
    ids = torch.zeros(6, 40, dtype=torch.long)
    for row, length in enumerate((40, 1, 2, 17, 33, 40)):
        ids[row, :length] = (torch.arange(length) * (7 + 2 * row) + 3 * row) % 99 + 1
    return ids, (ids > 0).long()


def _model(sizes):
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = dict(zip(names, sizes, strict=True))
    config = NeoBertConfig(**sizes, vocab_size=100, max_length=64, num_labels=1)
    model = NeoBertForSequenceClassification(config).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(_seeded(shapes))
    return model


@pytest.mark.parametrize("sizes", EXPECTED)
def test_logits_are_those_of_the_authors_code(sizes):
    with torch.no_grad():
        logits = _model(sizes)(*_batch()).logits[:, 0]
    np.testing.assert_allclose(logits, EXPECTED[sizes], rtol=0, atol=2e-6)


def test_padding_does_not_change_a_row():
    ids, mask = _batch()
    model = _model((32, 3, 4, 48))
    with torch.no_grad():
        alone = [model(ids[row : row + 1, :n]).logits[0, 0] for row, n in enumerate((40, 1, 2, 17, 33, 40))]
        np.testing.assert_allclose(alone, model(ids, mask).logits[:, 0], rtol=0, atol=2e-6)


def test_the_published_size_has_the_published_tensors():
    with torch.device("meta"):
        model = NeoBertForSequenceClassification(NeoBertConfig(num_labels=1))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(shapes) == 2 + 6 * 28 + 4
    layer = "model.transformer_encoder.27."
    assert shapes["model.encoder.weight"] == (30522, 768)
    assert shapes[layer + "qkv.weight"] == (2304, 768)
    assert shapes[layer + "ffn.w12.weight"] == (4096, 768)
    assert shapes[layer + "ffn.w3.weight"] == (768, 2048)
    encoder = sum(p.numel() for name, p in model.named_parameters() if name.startswith("model."))
    assert encoder == 245_136_954 - 30522 * 769  # the released language model without its decoder


def test_a_published_config_loads_natively_and_its_remote_code_is_not_run(tmp_path):
    folder = neobert(tmp_path)
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    assert PairScorer(folder).max_length == 128
    for model in (
        AutoModelForSequenceClassification.from_pretrained(folder),
        CrossEncoder(str(folder), device="cpu").model,
    ):
        assert isinstance(model, NeoBertForSequenceClassification)


def test_a_saved_checkpoint_has_the_published_names(tmp_path):
    model = _model((24, 2, 2, 50))
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert names == set(model.state_dict())
    assert json.loads((tmp_path / "config.json").read_text())["max_length"] == 64


def test_it_can_be_trained():
    model = _model((24, 2, 2, 50)).train()
    ids, mask = _batch()
    loss = model(ids, mask, labels=torch.linspace(0, 1, 6)).loss
    loss.backward()
    assert model.model.transformer_encoder[0].qkv.weight.grad.abs().sum() > 0
