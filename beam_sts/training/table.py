"""The fit of the token table, before the student: a bag of tokens with the teacher's cosines.

One pair teaches a student one number. A batch of n texts with vectors by the teacher teaches the table n * n
numbers at the cost of n sums of its rows. So the table represents the meaning of tokens, including rare ones,
before the student's first step.
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
"""Weight of two unrelated texts in the loss; that of two equal texts is higher by 1."""
_WEIGHT = 0.5
"""Logarithm of a token's weight per unit of the last column."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableSettings:
    """The settings of the fit of a token table.

    Attributes:
        steps: Steps of Adam; 0: the table is not fitted.
        pairs: Pairs per step, of which all texts are compared with each other.
        learning_rate: Peak rate, which decays along a half cosine to 0.
        seed: Seed of the draws.
    """

    steps: int = 3000
    pairs: int = 384
    learning_rate: float = 0.02
    seed: int = 0


class BagOfTokens(nn.Module):
    """A text's vector: the normalised sum of its tokens' directions, multiplied by their weights.

    Args:
        table: Initial values, float32[vocabulary, width]: directions, and in the last column the rarity of a
            token.
    """

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.from_numpy(table[:, :-1].copy()))
        self.log_weights = nn.Parameter(torch.from_numpy(_WEIGHT * table[:, -1]))

    def forward(self, texts: TokenTable, rows: np.ndarray) -> torch.Tensor:
        """The vectors of some texts, of shape (rows, width - 1)."""
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
    """The cosines of pairs by a table, fitted or not, float32[pairs]."""
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
    """Fit a token table to a teacher's scores of all pairs in batches of texts.

    Args:
        table: Initial values by :func:`beam_sts.training.vocabulary.token_table`, float32[vocabulary, width].
        texts: Tokens of the texts.
        vectors: The teacher's unit vectors of the texts, float[texts, dims].
        pairs: Pairs of texts of any similarity, int64[pairs, 2]; a batch has the texts of some of them.
        scale: Slope and bias that turn the teacher's cosine into the logit of its score.
        special: Rows of special tokens, which are not changed, bool[vocabulary].
        settings: The settings.

    Returns:
        The fitted table, of the same shape: directions of unit variance, rotated to their principal
            components,
        and in the last column twice the logarithm of the tokens' weights, with mean 0.

    Source: Model2Vec's tokenlearn distils sentence vectors into token vectors (Tulkens and van Dongen, 2024,
    github.com/MinishLab/tokenlearn); here the scores of pairs are fitted instead.
    """
    rng = np.random.default_rng(settings.seed)
    bags = BagOfTokens(table)
    # Divided by ten, so that one learning rate suits all parameters.
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
    """The table in the form of the student's first layer: directions, and weights in the last column."""
    directions = bags.directions.detach().numpy().astype(np.float64)
    length = np.linalg.norm(directions, axis=1)
    weights = bags.log_weights.detach().numpy() + np.log(np.maximum(length, 1e-6))
    directions = directions / np.maximum(length, 1e-6)[:, None]
    words = ~special
    _, basis = np.linalg.eigh(directions[words].T @ directions[words])
    directions = directions @ basis[:, ::-1]
    # Signs of eigenvectors are arbitrary. They are fixed, so that every machine starts from the same table.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])
    fitted = np.column_stack(
        [directions / directions[words].std(), (weights - weights[words].mean()) / _WEIGHT]
    )
    result: np.ndarray = first.copy()
    result[words] = fitted[words]
    return result
