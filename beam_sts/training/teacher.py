"""The teacher: a sentence encoder fitted to people's scores.

It reads each text alone, so that scoring one more pair of known texts costs a product of two vectors, where a
cross-encoder of the same size reads both texts again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from beam_sts.training.fit import FitSettings, ScoredPairs, fit
from beam_sts.training.mining import Embedder

SCALE = "similarity.json"


class TwinEncoder(nn.Module):
    """Logit of two texts' similarity: an affine function of the cosine of their mean-pooled vectors.

    Args:
        encoder: A transformers encoder.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        # A cosine of 0.5 starts as the score 0.5, 1 as 0.98. In hundreds, so that a rate fit for the encoder
        # moves them.
        self.scale = nn.Parameter(torch.tensor(0.08))
        self.bias = nn.Parameter(torch.tensor(-0.04))

    def forward(self, **texts: torch.Tensor) -> torch.Tensor:
        """Compare the first half of a batch's texts with the second: logits of shape (texts / 2,)."""
        hidden = self.encoder(**texts).last_hidden_state.float()
        mask = texts["attention_mask"][..., None]
        first, second = ((hidden * mask).sum(1) / mask.sum(1)).chunk(2)
        logits: torch.Tensor = 100 * (self.scale * functional.cosine_similarity(first, second) + self.bias)
        return logits


def fit_teacher(
    source: Path, pairs: ScoredPairs, how: FitSettings, folder: Path, frozen_layers: int = 0
) -> None:
    """Fit a sentence encoder to scored pairs and save it with its scale.

    Args:
        source: Checkpoint folder of the encoder, such as all-mpnet-base-v2.
        pairs: What to learn.
        how: How.
        folder: Where the fitted encoder goes.
        frozen_layers: Lowest layers that are left as they are, beside the embeddings. Some ten thousand pairs
            move few of thirty thousand word vectors; frozen they cost no optimiser step.
    """
    torch.manual_seed(how.seed)
    tokenizer = plain_tokenizer(source)
    encoder = AutoModel.from_pretrained(
        source,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    frozen = ("embeddings.", *(f"encoder.layer.{index}." for index in range(frozen_layers)))
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad = not name.startswith(frozen)
    model = TwinEncoder(encoder)
    fit(model, tokenizer, pairs, how, joined=False)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    scale = {"scale": 100 * model.scale.item(), "bias": 100 * model.bias.item()}
    (folder / SCALE).write_text(json.dumps(scale), encoding="utf-8")


def plain_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """A checkpoint's tokenizer that neither pads nor cuts."""
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    # Some packages bake padding and truncation into tokenizer.json.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


def similarities(vectors: np.ndarray, left: np.ndarray, right: np.ndarray, teacher: Path) -> np.ndarray:
    """Scores of pairs of embedded texts.

    Args:
        vectors: Unit vectors, float[texts, dims], of :class:`beam_sts.training.mining.Embedder` with the
            teacher.
        left: Index of each pair's first text.
        right: Index of each pair's second text.
        teacher: Folder of the fitted teacher; its scale is read.

    Returns:
        Scores between 0 and 1, float32[pairs].
    """
    fitted = json.loads((teacher / SCALE).read_text(encoding="utf-8"))
    cosines = np.concatenate(
        [
            np.einsum("ij,ij->i", vectors[a].astype(np.float32), vectors[b].astype(np.float32))
            for a, b in zip(_blocks(left), _blocks(right), strict=True)
        ]
    )
    scores: np.ndarray = 1 / (1 + np.exp(-(fitted["scale"] * cosines + fitted["bias"])))
    return scores.astype(np.float32)


def _blocks(rows: np.ndarray, size: int = 65_536) -> list[np.ndarray]:
    return [rows[begin : begin + size] for begin in range(0, max(1, len(rows)), size)]


def teacher_scores(teacher: Path, pairs: ScoredPairs) -> np.ndarray:
    """Embed the texts of some pairs and score them, float32[pairs]."""
    return similarities(Embedder(teacher)(pairs.texts), pairs.left, pairs.right, teacher)
