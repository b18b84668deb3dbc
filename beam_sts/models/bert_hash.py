"""BERT-hash: BERT whose word embeddings are a narrow table followed by a linear projection.

Importing this module registers the architecture with transformers' Auto classes, so that
``AutoModelForSequenceClassification`` and ``sentence_transformers.CrossEncoder`` load its checkpoints without
remote code.

Three extensions of the published architecture, off unless the config asks for them, suit small models:
rotary positions (no position table, so 8,192 tokens need no further parameters), a window of neighbouring
tokens as input of the projection (local word order before the first attention layer), and attention that
distinguishes "same text" and "other text" instead of "first" and "second", so that a pair has the same
score in both orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification
from transformers.models.bert.modeling_bert import (
    ALL_ATTENTION_FUNCTIONS,
    BertForSequenceClassification,
    BertModel,
    BertSelfAttention,
    eager_attention_forward,
)

from beam_sts.models.configs import BertHashConfig


class BertHashWordEmbeddings(nn.Module):
    """Token ids (batch, length) -> hidden vectors (batch, length, hidden_size) through a narrow table."""

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__()
        self.reach = config.window // 2
        self.embeddings = nn.Embedding(config.vocab_size, config.projections, padding_idx=config.pad_token_id)
        self.projections = nn.Linear(config.projections * config.window, config.hidden_size)

    def forward(self, input_ids: torch.Tensor, texts: torch.Tensor | None = None) -> torch.Tensor:
        """Look up the tokens and project each together with its neighbours in the window.

        Args:
            input_ids: Token ids of shape (batch, length).
            texts: A number for the text of each token, of the same shape. A neighbour in another text
                counts as padding. None: all tokens are in one text.
        """
        codes = self.embeddings(input_ids)
        if self.reach:
            # The padding row of the table is zero, so the end of the input looks like padding.
            length = codes.shape[1]
            padded = functional.pad(codes, (0, 0, self.reach, self.reach))
            shifted = [padded[:, at : at + length] for at in range(2 * self.reach + 1)]
            if texts is not None:
                around = functional.pad(texts, (self.reach, self.reach), value=-1)
                shifted = [
                    neighbour * (around[:, at : at + length] == texts)[..., None]
                    for at, neighbour in enumerate(shifted)
                ]
            codes = torch.cat(shifted, dim=-1)
        projected: torch.Tensor = self.projections(codes)
        return projected


class RotaryEmbeddings(nn.Module):
    """Word and token-type embeddings, normalised. Positions are encoded by the rotation in the attention."""

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__()
        self.word_embeddings = BertHashWordEmbeddings(config)
        self.symmetric = config.segment_dims > 0
        if not self.symmetric:
            self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Embed tokens (batch, length) as hidden vectors (batch, length, hidden_size)."""
        if token_type_ids is None:
            given = input_ids if inputs_embeds is None else inputs_embeds
            token_type_ids = torch.zeros(given.shape[:2], dtype=torch.long, device=given.device)  # type: ignore[union-attr]
        if inputs_embeds is not None:
            hidden = inputs_embeds
        elif self.symmetric:
            hidden = self.word_embeddings(input_ids, text_signs(token_type_ids))
        else:
            hidden = self.word_embeddings(input_ids)
        if not self.symmetric:
            hidden = hidden + self.token_type_embeddings(token_type_ids)
        normalised: torch.Tensor = self.dropout(self.LayerNorm(hidden))
        return normalised


class Rotation(NamedTuple):
    """The positions and texts of a batch in the form that attention needs.

    Attributes:
        cosine: Of shape (batch, 1, length, rotary_dims / 2).
        sine: Of the same shape.
        sharpness: The attention temperature: the factor of the queries, of shape (batch, 1, 1, 1).
        signs: Of shape (batch, 1, length, segment_dims).
    """

    cosine: torch.Tensor
    sine: torch.Tensor
    sharpness: torch.Tensor
    signs: torch.Tensor


class RotarySelfAttention(BertSelfAttention):
    """BERT's self-attention; the last ``rotary_dims`` dimensions of queries and keys rotate by position."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        rotation: Rotation | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute self-attention.

        Args:
            hidden_states: Vectors of shape (batch, length, hidden_size).
            attention_mask: The mask for the attention function that the config selects.
            rotation: The result of :func:`rotation_of` for the batch.
            **kwargs: Passed to the attention function.
        """
        if rotation is None:
            raise ValueError("rotary attention needs the model's rotation: call the model, not its encoder")
        shape = (*hidden_states.shape[:-1], self.num_attention_heads, self.attention_head_size)
        query = rotate(self.query(hidden_states).view(shape).transpose(1, 2), rotation) * rotation.sharpness
        key = rotate(self.key(hidden_states).view(shape).transpose(1, 2), rotation)
        value = self.value(hidden_states).view(shape).transpose(1, 2)
        attend: Callable[..., tuple[torch.Tensor, torch.Tensor | None]] = (
            ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        )
        for unused in ("encoder_hidden_states", "past_key_values", "position_ids"):
            kwargs.pop(unused, None)
        attended, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.dropout.p if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return attended.reshape(*hidden_states.shape[:-1], -1).contiguous(), weights


def text_signs(token_type_ids: torch.Tensor) -> torch.Tensor:
    """1 for tokens of the first text, -1 for the second, 0 for the leading [CLS]; (batch, length)."""
    signs = 1 - 2 * token_type_ids
    return torch.cat([torch.zeros_like(signs[:, :1]), signs[:, 1:]], dim=1)


def rotate(heads: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Rotate the last dimensions of (batch, heads, length, size) by position; sign those before by text."""
    half = rotation.cosine.shape[-1]
    signed = rotation.signs.shape[-1]
    rest = heads.shape[-1] - 2 * half - signed
    still, own, first, second = torch.split(heads, [rest, signed, half, half], dim=-1)
    turned = (
        still,
        own * rotation.signs,
        first * rotation.cosine - second * rotation.sine,
        second * rotation.cosine + first * rotation.sine,
    )
    return torch.cat([part.to(heads.dtype) for part in turned], dim=-1)


def rotation_of(
    config: BertHashConfig,
    token_type_ids: torch.Tensor,
    tokens: torch.Tensor,
    position_ids: torch.Tensor | None = None,
) -> Rotation:
    """The input of :class:`RotarySelfAttention`, from a batch's token types and lengths.

    Positions count from the start of each text, not of the pair. So words at the same position of two texts
    are at distance zero, however long the texts are.

    Args:
        config: The model's config: counts of rotary and segment dimensions, base and sharpening length.
        token_type_ids: 0 in the first text, 1 in the second, of shape (batch, length).
        tokens: Count of tokens of each pair without padding, of shape (batch,).
        position_ids: Positions to use instead, of shape (batch or 1, length).
    """
    half = config.rotary_dims // 2
    device = token_type_ids.device
    if position_ids is None:
        first = torch.arange(token_type_ids.shape[1], device=device).expand_as(token_type_ids)
        position_ids = torch.where(token_type_ids > 0, token_type_ids.cumsum(1), first)
    frequencies = config.rotary_base ** (-torch.arange(half, device=device, dtype=torch.float32) / half)
    angles = position_ids[:, None, :, None].float() * frequencies
    sharpness = (tokens.float().clamp(min=1).log() / math.log(config.sharp_length)).clamp(min=1.0)
    signs = text_signs(token_type_ids)[:, None, :, None].float().expand(-1, -1, -1, config.segment_dims)
    return Rotation(angles.cos(), angles.sin(), sharpness[:, None, None, None], signs)


class BertHashModel(BertModel):
    """The encoder: BERT's, except for the word embeddings and, if configured, rotary positions."""

    config_class = BertHashConfig

    def __init__(self, config: BertHashConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        if config.rotary_dims:
            self.embeddings = RotaryEmbeddings(config)
            for index, layer in enumerate(self.encoder.layer):
                layer.attention.self = RotarySelfAttention(config, layer_idx=index)
        else:
            self.embeddings.word_embeddings = BertHashWordEmbeddings(config)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Encode tokens (batch, length). Arguments and result are those of ``BertModel``."""
        if self.config.rotary_dims:
            given = input_ids if input_ids is not None else inputs_embeds
            if given is None:
                raise ValueError("pass either input_ids or inputs_embeds")
            shape, device = given.shape[:2], given.device
            if token_type_ids is None:
                token_type_ids = torch.zeros(shape, dtype=torch.long, device=device)
            tokens = (
                torch.full(shape[:1], shape[1], device=device)
                if attention_mask is None
                else attention_mask.sum(1)
            )
            kwargs["rotation"] = rotation_of(self.config, token_type_ids, tokens, position_ids)
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )


class BertHashForSequenceClassification(BertForSequenceClassification):
    """The cross-encoder: encoder, BERT's pooler, dropout and a linear head."""

    config_class = BertHashConfig

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__(config)
        self.bert = BertHashModel(config)
        self.post_init()


AutoModel.register(BertHashConfig, BertHashModel, exist_ok=True)
AutoModelForSequenceClassification.register(BertHashConfig, BertHashForSequenceClassification, exist_ok=True)
