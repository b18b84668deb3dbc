"""NeoBERT: a deep, narrow encoder with rotary positions, SwiGLU and RMS norms before each block.

Its checkpoints are published with their own modeling code, which this module replaces. Importing it registers
the architecture with transformers' Auto classes, so that ``AutoModelForSequenceClassification`` and
``sentence_transformers.CrossEncoder`` load the checkpoints without remote code. Parameter names are the
published ones.

Source: "NeoBERT: A Next-Generation BERT" (arXiv 2502.19587); agreement with the authors' code is recorded in
``tests/models/test_neobert.py``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertTokenizerFast,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput

from beam_sts.models.configs import NeoBertConfig

_ROPE_THETA = 10_000.0


class SwiGLU(nn.Module):
    """Feed-forward block: (silu(x W1) * (x W2)) W3; W1 and W2 are packed in one matrix."""

    def __init__(self, hidden_size: int, ffn_size: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(hidden_size, 2 * ffn_size, bias=False)
        self.w3 = nn.Linear(ffn_size, hidden_size, bias=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map (batch, length, hidden_size) to the same shape."""
        gate, value = self.w12(hidden).chunk(2, dim=-1)
        mapped: torch.Tensor = self.w3(functional.silu(gate) * value)
        return mapped


class NeoBertBlock(nn.Module):
    """A layer: attention, then the feed-forward block, each on normalised input and with a residual."""

    def __init__(self, config: NeoBertConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.wo = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.ffn = SwiGLU(config.hidden_size, config.ffn_size)
        self.attention_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.ffn_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, rotation: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Run the layer.

        Args:
            hidden: activations of shape (batch, length, hidden_size).
            mask: the keys that are not padding, bool of shape (batch, 1, 1, length); None: all.
            rotation: cosines and sines, each of shape (length, head_size / 2).
        """
        batch, length, width = hidden.shape
        # The fused projection has each head's query, key and value side by side.
        fused = self.qkv(self.attention_norm(hidden)).view(batch, length, self.heads, -1)
        query, key, value = (part.transpose(1, 2) for part in fused.chunk(3, dim=-1))
        attended = functional.scaled_dot_product_attention(
            _rotate(query, *rotation), _rotate(key, *rotation), value, attn_mask=mask
        )
        hidden = hidden + self.wo(attended.transpose(1, 2).reshape(batch, length, width))
        after: torch.Tensor = hidden + self.ffn(self.ffn_norm(hidden))
        return after


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate components 2i and 2i + 1 of (batch, heads, length, head_size) by their angles."""
    even, odd = heads[..., 0::2].float(), heads[..., 1::2].float()
    rotated = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return rotated.flatten(-2).type_as(heads)


class NeoBertPreTrainedModel(PreTrainedModel):
    """The base class of the encoder and the classifier."""

    config_class = NeoBertConfig
    base_model_prefix = "model"
    _supports_sdpa = True


class NeoBertModel(NeoBertPreTrainedModel):
    """The encoder."""

    def __init__(self, config: NeoBertConfig) -> None:
        super().__init__(config)
        self.encoder = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.transformer_encoder = nn.ModuleList(
            NeoBertBlock(config) for _ in range(config.num_hidden_layers)
        )
        self.layer_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The token table."""
        return self.encoder

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token table."""
        self.encoder = value

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any
    ) -> BaseModelOutput:
        """Encode token ids of shape (batch, length). Token types are accepted and ignored."""
        # Computed here and not kept in a buffer: transformers 5 builds on the meta device, and would leave a
        # buffer without values, because no checkpoint has it.
        head_size = self.config.hidden_size // self.config.num_attention_heads
        device = input_ids.device
        rates = 1.0 / _ROPE_THETA ** (torch.arange(0, head_size, 2, device=device).float() / head_size)
        angles = torch.outer(torch.arange(input_ids.shape[1], device=device).float(), rates)
        rotation = (angles.cos(), angles.sin())
        mask = None if attention_mask is None else attention_mask[:, None, None, :].bool()
        hidden = self.encoder(input_ids)
        for block in self.transformer_encoder:
            hidden = block(hidden, mask, rotation)
        return BaseModelOutput(last_hidden_state=self.layer_norm(hidden))


class NeoBertForSequenceClassification(NeoBertPreTrainedModel):
    """The cross-encoder: encoder, then [CLS] -> dropout -> dense -> tanh -> dropout -> classifier."""

    def __init__(self, config: NeoBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = NeoBertModel(config)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Compute logits of shape (batch, num_labels) from token ids of shape (batch, length)."""
        first = self.model(input_ids, attention_mask).last_hidden_state[:, 0]
        logits = self.classifier(self.dropout(torch.tanh(self.dense(self.dropout(first)))))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)


AutoModel.register(NeoBertConfig, NeoBertModel, exist_ok=True)
AutoModelForSequenceClassification.register(NeoBertConfig, NeoBertForSequenceClassification, exist_ok=True)
AutoTokenizer.register(NeoBertConfig, fast_tokenizer_class=BertTokenizerFast, exist_ok=True)
