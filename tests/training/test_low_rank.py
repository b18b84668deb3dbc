"""Fits that change the matrices of the layers by a low rank."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import beam_sts.models.bert_hash  # noqa: F401  registers the architecture
from beam_sts.models.registry import EMBEDDED
from beam_sts.training.fit import FitSettings, TrainingPairs, fit, predict
from beam_sts.training.student import merge_changes, restrict_to_rank

PAIRS = TrainingPairs.of(
    ["A man plays a guitar.", "It costs 3 dollars.", "The cat sleeps."],
    ["Someone plays the guitar.", "It costs 4 dollars.", "Stocks fell."],
    [0.9, 0.2, 0.0],
)


def test_a_fit_changes_each_matrix_by_the_rank_and_nothing_else():
    folder = EMBEDDED / "beam-sts-pico"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    scores = predict(model, tokenizer, PAIRS, precision="fp32")
    restrict_to_rank(model, 3, seed=1)
    np.testing.assert_array_equal(predict(model, tokenizer, PAIRS, precision="fp32"), scores)

    how = FitSettings(epochs=4, batch_size=3, learning_rate=1e-2, weight_decay=0.0)
    fit(model, tokenizer, PAIRS, how)
    fitted = predict(model, tokenizer, PAIRS, precision="fp32")
    merge_changes(model)
    np.testing.assert_allclose(predict(model, tokenizer, PAIRS, precision="fp32"), fitted, atol=1e-6)
    assert np.abs(fitted - scores).max() > 0.01
    assert model.state_dict().keys() == before.keys()
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, values in model.state_dict().items():
        if "encoder.layer" in name and values.ndim == 2:
            change = torch.linalg.svdvals((values - before[name]).double())
            assert change[0] > 1e-3
            assert change[3] < 1e-4 * change[0], name
        else:
            assert torch.equal(values, before[name]), name
