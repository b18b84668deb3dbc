"""A student that compares its two texts from the first step: sizes, and the matching start of the weights.

With ordinary random weights a cross-encoder this small needs hundreds of thousands of pairs to discover that
it has to compare the texts at all. The matching start puts the comparison there and leaves everything
trainable: the first head of the first layer attends from each token to similar tokens of the *other* text
    and writes what it finds beside
the token, and the feed-forward layer measures the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.models.configs import BertHashConfig

SIGMOID = "torch.nn.modules.activation.Sigmoid"


@dataclass(frozen=True)
class StudentSize:
    """What decides the number of parameters of a student.

    Attributes:
        vocabulary: Entries of the vocabulary.
        projections: Width of the token table.
        hidden: Hidden size.
        intermediate: Width of the feed-forward layers.
        layers: Number of layers.
        heads: Attention heads a layer.
        window: Tokens under the projection.
        rotary_dims: Rotating dimensions of each head; 0 for a learned position table.
        segment_dims: Signed dimensions of each head; 0 for token-type embeddings.
        max_length: Tokens a pair may have.
    """

    vocabulary: int
    projections: int
    hidden: int
    intermediate: int
    layers: int = 2
    heads: int = 2
    window: int = 5
    rotary_dims: int = 16
    segment_dims: int = 4
    max_length: int = 8192

    def config(self) -> BertHashConfig:
        """The checkpoint's config; CrossEncoder applies the Sigmoid named in it."""
        return BertHashConfig(
            vocab_size=self.vocabulary,
            projections=self.projections,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            window=self.window,
            rotary_dims=self.rotary_dims,
            segment_dims=self.segment_dims,
            max_position_embeddings=self.max_length,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            classifier_dropout=0.1,
            num_labels=1,
            sentence_transformers={"activation_fn": SIGMOID},
        )


def parameter_count(model: torch.nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in model.parameters())


def matching_start(config: BertHashConfig, table: np.ndarray, seed: int) -> BertHashForSequenceClassification:
    """Build a student whose first head compares the two texts.

    Args:
        config: The student's config.
        table: First values of the token table, float32[vocabulary, projections], about unit variance; row 0
            (padding) is zero.
        seed: Of the basis and of everything that starts at random.

    Returns:
        The model, in training mode.

    Raises:
        ValueError: If the table's shape is not the config's.
    """
    if table.shape != (config.vocab_size, config.projections):
        raise ValueError(
            f"token table of shape {table.shape}, config wants {(config.vocab_size, config.projections)}"
        )
    torch.manual_seed(seed)
    model = BertHashForSequenceClassification(config)
    hidden, width, reach = config.hidden_size, config.projections, config.window // 2
    head_size = hidden // config.num_attention_heads
    apart = config.segment_dims or 1
    matched = min(width, head_size - config.rotary_dims - apart, (hidden - width - 2))
    basis = torch.linalg.qr(torch.randn(hidden, hidden))[0]
    tokens, kind, mismatch = basis[:, :width], basis[:, width], basis[:, width + 1]
    found = basis[:, width + 2 : width + 2 + matched]

    with torch.no_grad():
        embeddings: Any = model.bert.embeddings
        embeddings.word_embeddings.embeddings.weight.copy_(torch.from_numpy(table))
        projection = embeddings.word_embeddings.projections
        projection.weight.normal_(std=0.2 / hidden**0.5)
        projection.weight[:, reach * width : (reach + 1) * width] = tokens
        projection.bias.zero_()
        norm = float(np.linalg.norm(table, axis=1).mean())
        if not config.segment_dims:
            embeddings.token_type_embeddings.weight[0] = 0.3 * norm * kind
            embeddings.token_type_embeddings.weight[1] = -0.3 * norm * kind
        if not config.rotary_dims:
            embeddings.position_embeddings.weight.mul_(0.1 * norm / hidden**0.5)

        first: Any = model.bert.encoder.layer[0]
        query, key, value = (getattr(first.attention.self, name) for name in ("query", "key", "value"))
        for linear, sign in ((query, 1.0), (key, -1.0)):
            linear.weight[:matched] = 0.7 * tokens[:, :matched].T
            if config.segment_dims:
                end = head_size - config.rotary_dims
                linear.bias[end - apart : end] = sign * 4.0 / apart**0.5
            else:
                linear.weight[matched] = sign * 1.2 * kind
        value.weight[:matched] = tokens[:, :matched].T
        first.attention.output.dense.weight[:, :matched] = found
        units = min(matched, config.intermediate_size // 2)
        difference = 0.7 * (tokens[:, :units] - found[:, :units]).T
        first.intermediate.dense.weight[:units] = difference
        first.intermediate.dense.weight[units : 2 * units] = -difference
        first.output.dense.weight[:, : 2 * units] += mismatch[:, None] / units**0.5
    model.train()
    return model
