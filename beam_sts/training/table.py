"""The token table fitted to the teacher before the student is: a bag of tokens with the teacher's cosines.

One pair teaches a student one number. A batch of n texts whose vectors the teacher has made teaches the
table n * n of them at the price of n sums of its rows, so that what tokens mean, rare ones too, is known
before the first pair is read.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from beam_sts.scoring.tokens import TokenTable
from beam_sts.training.fit import rate_at

_REST = 0.02
"""Weight in the loss of two texts with nothing in common; of two equal ones it is 1 more."""
_WEIGHT = 0.5
"""Logarithm of a token's weight for 1 in the last column."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableSettings:
    """How to fit a token table.

    Attributes:
        steps: Steps of Adam; 0 leaves the table as it is.
        pairs: Pairs a step, whose texts are compared each with each.
        learning_rate: Peak rate, which decays along a half cosine to 0.
        seed: Of the draws.
    """

    steps: int = 3000
    pairs: int = 384
    learning_rate: float = 0.02
    seed: int = 0


class BagOfTokens(nn.Module):
    """A text's vector: the sum of its tokens' directions by their weights, at unit length.

    Args:
        table: First values, float32[vocabulary, width]: directions, and in the last column how rare a token
            is.
    """

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.from_numpy(table[:, :-1].copy()))
        self.log_weights = nn.Parameter(torch.from_numpy(_WEIGHT * table[:, -1]))

    def forward(self, texts: TokenTable, rows: np.ndarray) -> torch.Tensor:
        """Vectors of some texts, of shape (rows, width - 1)."""
        lengths = texts.lengths_of(rows)
        starts = np.cumsum(lengths) - lengths
        tokens = torch.from_numpy(texts.take(rows, lengths))
        bags = functional.embedding_bag(
            tokens,
            self.directions,
            torch.from_numpy(starts),
            mode="sum",
            per_sample_weights=self.log_weights[tokens].exp(),
        )
        return functional.normalize(bags, dim=1)


@torch.inference_mode()
def cosines(table: np.ndarray, texts: TokenTable, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosines of pairs by a table alone, whether fitted or not, float32[pairs]."""
    vectors = BagOfTokens(table)(texts, np.arange(len(texts.lengths))).numpy()
    products: np.ndarray = np.einsum("ij,ij->i", vectors[left], vectors[right])
    return products


def fit_table(
    table: np.ndarray,
    texts: TokenTable,
    vectors: np.ndarray,
    pairs: np.ndarray,
    scale: tuple[float, float],
    special: np.ndarray,
    settings: TableSettings,
) -> np.ndarray:
    """Fit a token table to a teacher's scores of all pairs within batches of texts.

    Args:
        table: First values, as :func:`beam_sts.training.vocabulary.token_table` makes them,
            float32[vocabulary, width].
        texts: Tokens of the texts.
        vectors: The teacher's unit vectors of them, float[texts, dims].
        pairs: Pairs of texts of any nearness; batches are their texts, int64[pairs, 2].
        scale: Slope and bias that turn the teacher's cosine into the logit of its score.
        special: Rows that are no words and stay as they are, bool[vocabulary].
        settings: How.

    Returns:
        The fitted table, of the same shape: directions of unit variance, turned so that the leading columns
        tell most, and in the last column twice the logarithm of the tokens' weights, about 0.

    Source: sentence vectors distilled into tokens', as Model2Vec's tokenlearn does (Tulkens and van Dongen,
    2024, github.com/MinishLab/tokenlearn); here by the scores of pairs.
    """
    rng = np.random.default_rng(settings.seed)
    bags = BagOfTokens(table)
    # In tens, so that one rate fits all.
    slope = nn.Parameter(torch.tensor(scale[0] / 10))
    bias = nn.Parameter(torch.tensor(scale[1] / 10))
    optimizer = torch.optim.Adam([*bags.parameters(), slope, bias], lr=settings.learning_rate, fused=True)
    losses: list[float] = []
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_at(step / settings.steps, 0.01)
        rows = np.unique(pairs[rng.integers(0, len(pairs), settings.pairs)])
        rows = rows[texts.lengths_of(rows) > 0]
        taught = torch.from_numpy(vectors[rows].astype(np.float32))
        scores = torch.sigmoid(scale[0] * (taught @ taught.T) + scale[1])
        own = bags(texts, rows)
        logits = 10 * (slope * (own @ own.T) + bias)
        weights = (scores + _REST).fill_diagonal_(0)
        loss = functional.binary_cross_entropy_with_logits(logits, scores, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 500 == 0:
            logger.info("table: %d of %d steps, loss %.5f", step + 1, settings.steps, np.mean(losses[-100:]))
    return _as_table(bags, table, special)


def _as_table(bags: BagOfTokens, first: np.ndarray, special: np.ndarray) -> np.ndarray:
    """Directions and weights apart, as the student's first layer reads them."""
    directions = bags.directions.detach().numpy().astype(np.float64)
    length = np.linalg.norm(directions, axis=1)
    weights = bags.log_weights.detach().numpy() + np.log(np.maximum(length, 1e-6))
    directions = directions / np.maximum(length, 1e-6)[:, None]
    words = ~special
    _, basis = np.linalg.eigh(directions[words].T @ directions[words])
    directions = directions @ basis[:, ::-1]
    # Signs of eigenvectors are arbitrary: fixed, so that every machine starts from the same table.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    fitted = np.column_stack(
        [directions / directions[words].std(), (weights - weights[words].mean()) / _WEIGHT]
    )
    result: np.ndarray = first.copy()
    result[words] = fitted[words]
    return result
