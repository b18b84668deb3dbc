"""The teacher: a sentence encoder fitted to gold scores, and optionally a cross-encoder.

The encoder reads each text alone, so a further pair of embedded texts costs only a product of two vectors; a
cross-encoder would read both texts again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from torch import nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from beam_sts.training.calibration import slope_and_bias
from beam_sts.training.drawing import Embedder, plain_tokenizer
from beam_sts.training.fit import PROGRESS, FitSettings, TrainingPairs, fit

SCALE = "similarity.json"


class TwinEncoder(nn.Module):
    """The logit of two texts' similarity: an affine function of the cosine of their mean-pooled vectors.

    Args:
        encoder: A transformers encoder.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        # Initially a cosine of 0.5 gives the score 0.5, and 1 gives 0.98. The values are divided by a
        # hundred, so that the encoder's learning rate suits them.
        self.scale = nn.Parameter(torch.tensor(0.08))
        self.bias = nn.Parameter(torch.tensor(-0.04))

    def forward(self, **texts: torch.Tensor) -> torch.Tensor:
        """Compare the first half of a batch's texts with the second half: logits of shape (texts / 2,)."""
        hidden = self.encoder(**texts).last_hidden_state.float()
        mask = texts["attention_mask"][..., None]
        first, second = ((hidden * mask).sum(1) / mask.sum(1)).chunk(2)
        logits: torch.Tensor = 100 * (self.scale * functional.cosine_similarity(first, second) + self.bias)
        return logits


def fit_teacher(
    source: Path,
    pairs: TrainingPairs,
    how: FitSettings,
    folder: Path,
    frozen_layers: int = 0,
    device: str = "cpu",
) -> None:
    """Fit a sentence encoder to scored pairs and save it.

    Args:
        source: Checkpoint folder of the encoder, such as all-mpnet-base-v2.
        pairs: The training pairs.
        how: The settings.
        folder: Folder of the fitted encoder.
        frozen_layers: How many of the lowest layers are not fitted, besides the embeddings. Some ten
            thousand pairs change few of thirty thousand word vectors; frozen, these need no optimiser step.
        device: The torch device.
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
    folder.mkdir(parents=True, exist_ok=True)
    fit(TwinEncoder(encoder).to(device), tokenizer, pairs, how, joined=False, keep=folder / PROGRESS)
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def fit_cross_encoder(
    source: Path, pairs: TrainingPairs, how: FitSettings, folder: Path, device: str = "cpu"
) -> None:
    """Fit a cross-encoder, an encoder with a head, to scored pairs, and save it.

    Args:
        source: Checkpoint folder of the encoder.
        pairs: The training pairs.
        how: The settings.
        folder: Folder of the fitted cross-encoder.
        device: The torch device.
    """
    torch.manual_seed(how.seed)
    tokenizer = plain_tokenizer(source)
    model = AutoModelForSequenceClassification.from_pretrained(
        source, dtype=torch.float32, use_safetensors=True, local_files_only=True, num_labels=1
    )
    folder.mkdir(parents=True, exist_ok=True)
    fit(model.to(device), tokenizer, pairs, how, keep=folder / PROGRESS)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def cross_encoder(source: Path, device: str = "cpu") -> tuple[Any, PreTrainedTokenizerBase]:
    """A fitted cross-encoder and its tokenizer, for :func:`beam_sts.training.fit.predict`."""
    model = AutoModelForSequenceClassification.from_pretrained(
        source, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    return model.to(device), plain_tokenizer(source)


def mean_of_logits(*scores: np.ndarray) -> np.ndarray:
    """Combine the scores of several teachers: the Sigmoid of the mean of their logits.

    >>> mean_of_logits(np.array([0.5, 0.9]), np.array([0.5, 0.5])).round(3).tolist()
    [0.5, 0.75]
    """
    clipped = np.clip(np.stack(scores).astype(np.float64), 1e-4, 1 - 1e-4)
    mean: np.ndarray = expit(logit(clipped).mean(axis=0))
    return mean.astype(np.float32)


def embedder(encoders: Sequence[Path], device: str = "cpu") -> Callable[[Sequence[str]], np.ndarray]:
    """Combine encoders: the cosine of their concatenated unit vectors is the mean of their cosines.

    Args:
        encoders: Checkpoint folders.
        device: The torch device.

    Returns:
        A function from texts to unit vectors, float16[texts, all dims].
    """
    each = [Embedder(encoder, device=device) for encoder in encoders]

    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = np.concatenate([one(texts) for one in each], axis=1) / len(each) ** 0.5
        return vectors.astype(np.float16)

    return embed


def scale_to(cosine: np.ndarray, gold: np.ndarray) -> tuple[float, float]:
    """The slope and the bias before the Sigmoid that turn cosines into scores, fitted to gold scores."""
    return slope_and_bias(cosine, gold, (8.0, -4.0))


def fit_scale(vectors: np.ndarray, pairs: TrainingPairs, folder: Path) -> None:
    """Fit and save the slope and the bias before the Sigmoid that turn a cosine into a score.

    Args:
        vectors: Unit vectors of the pairs' texts, float[texts, dims].
        pairs: Pairs with gold scores.
        folder: Folder to write to.
    """
    slope, bias = scale_to(cosines(vectors, pairs.left, pairs.right), pairs.scores)
    (folder / SCALE).write_text(json.dumps({"scale": slope, "bias": bias}), encoding="utf-8")


def scale_of(folder: Path) -> tuple[float, float]:
    """The slope and bias that :func:`fit_scale` saved."""
    fitted = json.loads((folder / SCALE).read_text(encoding="utf-8"))
    return float(fitted["scale"]), float(fitted["bias"])


def similarities(vectors: np.ndarray, left: np.ndarray, right: np.ndarray, folder: Path) -> np.ndarray:
    """Scores of pairs of embedded texts.

    Args:
        vectors: Unit vectors of the teacher, float[texts, dims].
        left: Index of each pair's first text.
        right: Index of each pair's second text.
        folder: Folder of :func:`fit_scale`.

    Returns:
        Scores between 0 and 1, float32[pairs].
    """
    slope, bias = scale_of(folder)
    logits = slope * cosines(vectors, left, right) + bias
    scores: np.ndarray = 1 / (1 + np.exp(-logits))
    return scores.astype(np.float32)


def cosines(vectors: np.ndarray, left: np.ndarray, right: np.ndarray, block: int = 65_536) -> np.ndarray:
    """Cosines of pairs of unit vectors, float32[pairs]; ``left`` and ``right`` are their rows."""
    cosines = np.empty(len(left), np.float32)
    for begin in range(0, len(left), block):
        some = slice(begin, begin + block)
        first, second = (vectors[rows[some]].astype(np.float32) for rows in (left, right))
        cosines[some] = np.einsum("ij,ij->i", first, second)
    return cosines
