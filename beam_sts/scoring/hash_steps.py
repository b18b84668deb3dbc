"""The steps of the BERT-hash backend between its products: as torch does them, and what they are told.

``kernels.py`` has the same steps compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from beam_sts.scoring.plan import IntArray

# Rows of a micro-batch are rounded up to a multiple of this: oneDNN compiles a kernel for each new number
# (2 ms, four times the product itself in bfloat16), and few serve all.
_ROWS = 128
# From this length on the attention's weights are not held in memory whole.
LONG = 512
_CLS, _FIRST, _SECOND, _PADDING = range(4)
SIGNS = (0, 1, -1, 1)  # of the signed dimensions, by kind


class Layout(NamedTuple):
    """Where the tokens of a micro-batch stand; arrays of shape (pairs, longest)."""

    kinds: IntArray
    places: IntArray  # counted from the start of each text, [CLS] and padding at 0


@dataclass(frozen=True)
class Pairs:
    """A micro-batch: pairs end to end, each in ``longest`` rows, and some rows more.

    Args:
        heads: attention heads.
        size: numbers of a head.
        rotary: those, at the end of a head's, that turn with the place.
        kept: tokens of each first text, shape (pairs,).
        lengths: tokens of each pair, special tokens included, shape (pairs,).
        turns: complex64 of shape (kinds, places, turning numbers / 2).
        sharpness: the queries' factor of each pair, float32 of shape (pairs,); None where all are 1.
    """

    heads: int
    size: int
    rotary: int
    kept: IntArray
    lengths: IntArray
    turns: torch.Tensor
    sharpness: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.kept)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest pair."""
        return int(self.lengths.max())

    @property
    def tokens(self) -> int:
        """Rows of tokens, padding included."""
        return len(self) * self.longest

    @property
    def rows(self) -> int:
        """Rows in all."""
        return round_up(self.tokens)

    @cached_property
    def layout(self) -> Layout:
        """What stands in each row of tokens."""
        column = np.arange(self.longest)
        end_a, end_b = self.kept[:, None] + 2, self.lengths[:, None]
        kinds = np.full((len(self), self.longest), _SECOND)
        kinds[column < end_a] = _FIRST
        kinds[:, 0] = _CLS
        places = np.where(column < end_a, column, column - end_a + 1)
        kinds[column >= end_b], places[column >= end_b] = _PADDING, 0
        return Layout(kinds, places)

    def rows_of(self, starts: IntArray, cls_row: int) -> torch.Tensor:
        """Which row of the texts' table each row is, shape (rows,); padding is [CLS]."""
        kinds, places = self.layout
        rows = np.where(kinds == _FIRST, starts[0, :, None], starts[1, :, None]) + places - 1
        rows[(kinds == _CLS) | (kinds == _PADDING)] = cls_row
        flat = np.full(self.rows, cls_row)
        flat[: rows.size] = rows.reshape(-1)
        return torch.from_numpy(flat)

    @cached_property
    def turned(self) -> torch.Tensor:
        """The turns of each row of tokens, (tokens, turning numbers / 2)."""
        kinds, places = self.layout
        rows = torch.from_numpy((kinds * self.turns.shape[1] + places).reshape(-1))
        return self.turns.flatten(0, 1).index_select(0, rows)

    @cached_property
    def mask(self) -> torch.Tensor | None:
        """What is added to attention's weights, (pairs, 1, longest), if any row of tokens is padding."""
        if (self.lengths == self.longest).all():
            return None
        padding = torch.from_numpy(self.layout.kinds == _PADDING)
        return torch.zeros(padding.shape).masked_fill_(padding, -torch.inf)[:, None]


class TorchSteps:
    """What runs between the products, in torch alone.

    Hidden states and queries, keys and values are of one dtype.
    """

    def gather(self, table: torch.Tensor, starts: IntArray, pairs: Pairs) -> torch.Tensor:
        """Rows of a table of texts, whose last row is [CLS], to (rows, hidden).

        ``starts`` are the rows where the pairs' first and second texts begin, shape (2, pairs).
        """
        return table.index_select(0, pairs.rows_of(starts, len(table) - 1))

    def attend(self, qkv: torch.Tensor, starts: IntArray | None, pairs: Pairs) -> torch.Tensor:
        """Attention of all tokens to all of their pair: (n, 3 * hidden) to (rows, hidden).

        The n rows are the micro-batch's, or, with ``starts``, a table's.
        """
        if starts is not None:
            qkv = qkv.index_select(0, pairs.rows_of(starts, len(qkv) - 1))
        count, longest, heads, size = len(pairs), pairs.longest, pairs.heads, pairs.size
        apart = torch.empty(3, count, heads, longest, size)
        apart.copy_(qkv[: pairs.tokens].view(count, longest, 3, heads, size).permute(2, 0, 3, 1, 4))
        turning = _as_complex(apart[:2, ..., size - 2 * pairs.turns.shape[2] :])
        turning.mul_(pairs.turned.view(count, 1, longest, -1))
        query, key, value = apart
        if pairs.sharpness is not None:
            query = query * torch.from_numpy(pairs.sharpness)[:, None, None, None]
        mask = None if pairs.mask is None else pairs.mask[:, None]
        if longest > LONG:
            attended = functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)
        else:
            weights = torch.matmul(query, key.transpose(2, 3))
            if mask is not None:
                weights += mask
            attended = torch.matmul(torch.softmax(weights, -1), value)
        result = torch.zeros(pairs.rows, heads * size, dtype=qkv.dtype)
        result[: pairs.tokens].view(count, longest, heads, size).copy_(attended.transpose(1, 2))
        return result

    def first(
        self, hidden: torch.Tensor, keys: torch.Tensor, queries: torch.Tensor, pairs: Pairs
    ) -> torch.Tensor:
        """Attention of [CLS] alone: the mean token that each head sees, (pairs, heads * hidden), float32.

        Args:
            hidden: the tokens, (rows, hidden).
            keys: their keys' turning numbers, not yet turned, (rows, heads * rotary).
            queries: float32 of shape (pairs, heads * (hidden + rotary)): of each head what meets the tokens,
                then of each head what meets the keys.
            pairs: the micro-batch.
        """
        count, heads, rotary, width = len(pairs), pairs.heads, pairs.rotary, hidden.shape[1]
        tokens = hidden[: pairs.tokens].view(count, -1, width).float()
        through, turned = queries[:, : heads * width], queries[:, heads * width :]
        weights = torch.matmul(through.reshape(count, heads, -1), tokens.transpose(1, 2))
        keys = keys[: pairs.tokens].view(count, -1, heads, rotary).float()
        _as_complex(keys).mul_(pairs.turned[:, -rotary // 2 :].view(count, -1, 1, rotary // 2))
        weights += torch.matmul(turned.reshape(count, heads, 1, -1), keys.permute(0, 2, 3, 1)).squeeze(2)
        if pairs.mask is not None:
            weights += pairs.mask
        return torch.matmul(torch.softmax(weights, -1), tokens).flatten(1)

    def norm(
        self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float, to: torch.Tensor
    ) -> None:
        """Layer normalisation of (n, hidden), computed in float32, written to ``to``."""
        to.copy_(functional.layer_norm(inputs, weight.shape, weight, bias, eps))


def round_up(tokens: int) -> int:
    """Rows for so many tokens."""
    return -(-tokens // _ROWS) * _ROWS


def _as_complex(numbers: torch.Tensor) -> torch.Tensor:
    """A view of neighbouring pairs of real numbers as complex ones."""
    return torch.view_as_complex(numbers.view(*numbers.shape[:-1], -1, 2))
