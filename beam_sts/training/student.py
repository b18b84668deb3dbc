"""The student: its sizes, and initial weights with which it compares its two texts from the first step.

With random initial weights, so small a cross-encoder needs hundreds of thousands of pairs to discover that it
has to compare the texts. The matching start initialises the comparison, and all weights remain trainable: the
first head of the first layer attends from each token to similar tokens of the *other* text and copies them
next to the token, and the feed-forward layer measures the difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from beam_sts.models.bert_hash import (
    BertHashForSequenceClassification,
    Rotation,
    rotate,
    rotation_of,
)
from beam_sts.models.configs import BertHashConfig

SIGMOID = "torch.nn.modules.activation.Sigmoid"


@dataclass(frozen=True)
class StudentSize:
    """The sizes that determine the number of parameters of a student.

    Attributes:
        vocabulary: Entries of the vocabulary.
        projections: Width of the token table.
        hidden: Hidden size.
        intermediate: Width of the feed-forward layers.
        layers: Number of layers.
        heads: Attention heads per layer.
        window: Tokens that the projection covers.
        rotary_dims: Rotary dimensions of each head; 0 for a learned position table.
        segment_dims: Segment dimensions of each head; 0 for token-type embeddings.
        max_length: Limit for a pair, in tokens.
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
        """The checkpoint's config; it names the Sigmoid that CrossEncoder applies."""
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
        table: Initial token table, float32[vocabulary, projections], of about unit variance; row 0 (padding)
            is zero.
        seed: Seed of the basis and of all random initial weights.

    Returns:
        The model, in training mode.

    Raises:
        ValueError: If the table's shape is not the config's.
    """
    if table.shape != (config.vocab_size, config.projections):
        raise ValueError(
            f"token table of shape {table.shape}, but the config requires "
            f"{(config.vocab_size, config.projections)}"
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


def logits_for_training(
    model: BertHashForSequenceClassification,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_type_ids: torch.Tensor,
    position_ids: torch.Tensor | None = None,
) -> torch.Tensor:
    """The model's logits, in two thirds of the time: the last layer is computed for [CLS] only.

    Attention is not fused: on a CPU the backward pass of fused attention takes a third of a step on short
    texts.

    Args:
        model: A student with rotary positions, and without dropout except before its classifier.
        input_ids: Token ids of shape (batch, length), which is the shape of the others too.
        attention_mask: 1 for tokens, 0 for padding.
        token_type_ids: 0 in the first text, 1 in the second.
        position_ids: Positions to use instead of those from the start of each text.

    Returns:
        Logits of shape (batch, 1).
    """
    bert: Any = model.bert
    rotation = rotation_of(model.config, token_type_ids, attention_mask.sum(1), position_ids)
    # On a GPU, a check for padding takes longer than an unnecessary mask.
    full = attention_mask.device.type == "cpu" and bool(attention_mask.all())
    padding = None if full else (attention_mask == 0)[:, None, None]
    hidden = bert.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
    *layers, last = bert.encoder.layer
    for layer in layers:
        hidden = _layer(layer, hidden, hidden, rotation, rotation, padding)
    first = Rotation(
        rotation.cosine[:, :, :1], rotation.sine[:, :, :1], rotation.sharpness, rotation.signs[:, :, :1]
    )
    hidden = _layer(last, hidden[:, :1], hidden, first, rotation, padding)
    pooled = bert.pooler(hidden)
    logits: torch.Tensor = model.classifier(model.dropout(pooled))
    return logits


def _layer(
    layer: Any,
    reading: torch.Tensor,
    read: torch.Tensor,
    at: Rotation,
    places: Rotation,
    padding: torch.Tensor | None,
) -> torch.Tensor:
    """One layer for the tokens ``reading``, (batch, some, hidden), which attend to all tokens ``read``."""
    own = layer.attention.self

    def heads(linear: torch.nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        split: torch.Tensor = linear(hidden).view(*hidden.shape[:2], own.num_attention_heads, -1)
        return split.transpose(1, 2)

    query = rotate(heads(own.query, reading), at) * (at.sharpness / math.sqrt(own.attention_head_size))
    weights = query @ rotate(heads(own.key, read), places).transpose(2, 3)
    if padding is not None:
        weights = weights.masked_fill(padding, torch.finfo(weights.dtype).min)
    attended = torch.softmax(weights, -1) @ heads(own.value, read)
    hidden = layer.attention.output(attended.transpose(1, 2).flatten(2), reading)
    result: torch.Tensor = layer.output(layer.intermediate(hidden), hidden)
    return result
