"""BERT-hash: BERT whose word embeddings are a narrow table followed by a linear projection.

Importing this module registers the architecture with transformers' Auto classes, so that
``AutoModelForSequenceClassification`` and ``sentence_transformers.CrossEncoder`` load its checkpoints without
remote code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, BertConfig
from transformers.models.bert.modeling_bert import BertForSequenceClassification, BertModel

from beam_sts.errors import UserError

_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings."


class BertHashConfig(BertConfig):
    """A ``BertConfig`` with the width of the narrow token table.

    Published sizes (2 layers, 2 heads, vocabulary 30,522, one label):

    ======  ===========  ===========  =================  ==========
    name    projections  hidden_size  intermediate_size  parameters
    ======  ===========  ===========  =================  ==========
    femto   5            50           200                242,611
    pico    8            80           320                448,417
    nano    16           128          512                969,761
    ======  ===========  ===========  =================  ==========
    """

    model_type = "bert_hash"
    projections: int = 5


class BertHashWordEmbeddings(nn.Module):
    """Token ids (batch, length) -> hidden vectors (batch, length, hidden_size) through a narrow table."""

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab_size, config.projections, padding_idx=config.pad_token_id)
        self.projections = nn.Linear(config.projections, config.hidden_size)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Look the tokens up and project them."""
        projected: torch.Tensor = self.projections(self.embeddings(input_ids))
        return projected


class BertHashModel(BertModel):
    """The encoder: BERT's own but for the word embeddings."""

    config_class = BertHashConfig

    def __init__(self, config: BertHashConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        self.embeddings.word_embeddings = BertHashWordEmbeddings(config)
        self.post_init()


class BertHashForSequenceClassification(BertForSequenceClassification):
    """The cross-encoder: encoder, BERT's pooler, dropout and a linear head."""

    config_class = BertHashConfig

    def __init__(self, config: BertHashConfig) -> None:
        super().__init__(config)
        self.bert = BertHashModel(config)
        self.post_init()


def rename_projection(weights: dict[str, torch.Tensor], place: Path) -> dict[str, torch.Tensor]:
    """Give the projection of a published checkpoint the name it has here.

    Whatever its author called it, it is the one other matrix under the word embeddings; its bias is optional.

    Args:
        weights: tensors by name.
        place: the checkpoint, for the error.

    Raises:
        UserError: there is not exactly one candidate.
    """
    others = [
        name
        for name in weights
        if name.startswith(_WORD_EMBEDDINGS) and not name.startswith(f"{_WORD_EMBEDDINGS}embeddings.")
    ]
    matrices = [name for name in others if weights[name].ndim == 2]
    biases = [name for name in others if weights[name].ndim == 1]
    if len(matrices) != 1 or len(biases) > 1 or len(others) != len(matrices) + len(biases):
        raise UserError(
            f"{place}: expected one projection under {_WORD_EMBEDDINGS}*, found {sorted(others) or 'none'}. "
            "Take a complete BERT-hash checkpoint."
        )
    renamed = dict(weights)
    matrix = renamed.pop(matrices[0])
    bias = renamed.pop(biases[0]) if biases else torch.zeros(matrix.shape[0], dtype=matrix.dtype)
    renamed[f"{_WORD_EMBEDDINGS}projections.weight"] = matrix
    renamed[f"{_WORD_EMBEDDINGS}projections.bias"] = bias
    return renamed


AutoConfig.register(BertHashConfig.model_type, BertHashConfig, exist_ok=True)
AutoModel.register(BertHashConfig, BertHashModel, exist_ok=True)
AutoModelForSequenceClassification.register(BertHashConfig, BertHashForSequenceClassification, exist_ok=True)
