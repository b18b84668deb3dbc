"""BERT-hash without waste: the scores of the model class from about half of its arithmetic.

What is left out changes no score beyond rounding:

- The last layer's result is read at [CLS] alone. So only that token's query is formed and only that token
  goes through the feed-forward layer; the query goes through the key matrix once, and the attention's mean of
  the layer's inputs through the value matrix once, instead of every token through both.
- Positions count from the start of each text and the window ends at it, so a token's first-layer query, key
  and value depend on its own text alone. Where texts recur among the pairs of a macro-batch, they are
  computed once for each text.
- Micro-batches of one length need no mask.

Products run on oneDNN, which compiles a kernel for each new number of rows (2 ms, four times the product
itself in bfloat16). So that number is rounded up, and few kernels serve all micro-batches.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from beam_sts.models.configs import BertHashConfig
from beam_sts.scoring.hash_layers import Layer, Linear, Norm, PackedLinear, multiplies_bfloat16
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import IntArray
from beam_sts.scoring.tokens import MicroBatch, PairTemplate

log = logging.getLogger(__name__)

# A table of texts pays when their tokens recur this often; it takes 2 kB a token.
_LEAST_REUSE, _MOST_TOKENS = 1.3, 1 << 16
_TEXT_BLOCK = 2048
# Token counts are rounded up to a multiple of this.
_ROWS = 128
# From this length on the attention's weights are not held in memory whole.
_LONG = 512
_CLS, _FIRST, _SECOND, _PADDING = range(4)
_TABLE = "embeddings.word_embeddings.embeddings.weight"
_SIGNS = (0, 1, -1, 1)  # by kind


class Texts(NamedTuple):
    """First-layer inputs and queries, keys and values of texts' tokens; the last row is [CLS]."""

    hidden: torch.Tensor  # (tokens + 1, hidden), float32
    qkv: torch.Tensor  # (tokens + 1, 3 * hidden)
    first: IntArray  # the first row of each item's text a and of its text b, shape (2, items)


class Layout(NamedTuple):
    """Where the tokens of a micro-batch stand; arrays of shape (pairs, longest)."""

    kinds: IntArray
    places: IntArray  # counted from the start of each text, [CLS] at 0


class Batch(NamedTuple):
    """What attention needs to know of a micro-batch of n tokens."""

    pairs: int
    turns: torch.Tensor  # (n, (signed + rotated dimensions) / 2), complex
    sharpness: torch.Tensor | None  # the queries' factor, (pairs, 1, 1), if any is not 1
    mask: torch.Tensor | None  # what is added to weights, (pairs, 1, longest), if any is padding


class HashBackend:
    """Runs the embedded kind of BERT-hash (rotary positions, signed texts) on the CPU.

    Args:
        config: one that ``takes`` accepts.
        weights: the checkpoint's tensors by name, complete.
        template: the special tokens around a pair.
        precision: ``fp32``; or ``bf16``, the products with matrices in bfloat16 and sums, norms and the head
            in float32.
    """

    @staticmethod
    def takes(config: Any, weights: dict[str, torch.Tensor], template: PairTemplate) -> bool:
        """Whether this backend runs such a model.

        Where the table's padding row is not zero, as training leaves it, the model class looks at padding.
        """
        return (
            isinstance(config, BertHashConfig)
            and config.segment_dims > 0
            and config.segment_dims % 2 == 0
            and config.rotary_dims > 0
            and config.hidden_act == "gelu"
            and [len(part) for part in template.parts] == [1, 1, 1]
            and template.parts[1] == template.parts[2]
            and template.types == ((0,), 0, (0,), 1, (1,))
            and not weights[f"bert.{_TABLE}"][config.pad_token_id].any()
        )

    def __init__(
        self,
        config: BertHashConfig,
        weights: dict[str, torch.Tensor],
        template: PairTemplate,
        precision: str = "fp32",
    ) -> None:
        self._config = config
        self._cls, self._sep = template.parts[0][0], template.parts[1][0]
        self._heads = config.num_attention_heads
        self._size = config.hidden_size // self._heads
        self._still = self._size - config.rotary_dims - config.segment_dims
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        if precision == "bf16" and not multiplies_bfloat16():
            # torch would take seven times as long as in float32.
            log.warning(
                "This CPU has no instructions for bfloat16: products run in float32, on weights rounded to "
                "bfloat16. That is no faster than --precision fp32."
            )
            weights = {name: tensor.bfloat16() for name, tensor in weights.items()}
            self._dtype = torch.float32
        self._signed = config.segment_dims // 2
        self._turns = torch.empty(
            len(_SIGNS), 0, self._signed + config.rotary_dims // 2, dtype=torch.complex64
        )
        with torch.inference_mode():
            self._load({name.removeprefix("bert."): tensor.float() for name, tensor in weights.items()})
            self._cls_hidden, self._cls_qkv = self._embed(np.array([self._cls]), np.zeros(1, dtype=np.int64))

    def _load(self, weights: dict[str, torch.Tensor]) -> None:
        config = self._config

        def linear(name: str, dtype: torch.dtype, factor: float = 1.0) -> Linear:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return Linear((weight * factor).to(dtype), (bias * factor).to(dtype))

        def norm(name: str) -> Norm:
            return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], config.layer_norm_eps)

        def layer(index: int, pack: Callable[[Linear], Linear | PackedLinear], dtype: torch.dtype) -> Layer:
            name = f"encoder.layer.{index}"
            return Layer(
                pack(qkv(index, dtype)),
                pack(linear(f"{name}.attention.output.dense", dtype)),
                norm(f"{name}.attention.output.LayerNorm"),
                pack(linear(f"{name}.intermediate.dense", dtype)),
                pack(linear(f"{name}.output.dense", dtype)),
                norm(f"{name}.output.LayerNorm"),
            )

        def qkv(index: int, dtype: torch.dtype) -> Linear:
            own = f"encoder.layer.{index}.attention.self"
            query = linear(f"{own}.query", dtype, 1 / math.sqrt(self._size))
            parts = (query, linear(f"{own}.key", dtype), linear(f"{own}.value", dtype))
            weight, bias = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            return Linear(weight[interleaved], bias[interleaved])

        # The two halves of the rotated dimensions, which turn together, side by side: complex numbers.
        within = torch.arange(self._size)
        within[-config.rotary_dims :] = within[-config.rotary_dims :].view(2, -1).T.flatten()
        heads = torch.arange(2 * self._heads)[:, None] * self._size
        values = torch.arange(2 * config.hidden_size, 3 * config.hidden_size)
        interleaved = torch.cat([(heads + within).flatten(), values])

        table = weights[_TABLE]
        # One more row, of zeros, for what lies outside of a text.
        self._outside = len(table)
        self._table = torch.cat([table, torch.zeros_like(table[:1])]).to(self._dtype)
        self._projection = PackedLinear.of(linear("embeddings.word_embeddings.projections", self._dtype))
        self._norm = norm("embeddings.LayerNorm")
        last = config.num_hidden_layers - 1
        self._layers = [layer(index, PackedLinear.of, self._dtype) for index in range(last)]
        # One token a pair: in float32 it costs nothing.
        self._last = layer(last, lambda plain: plain, torch.float32)
        query, key, value = self._last.qkv.weight.view(3, self._heads, self._size, -1)
        biases = self._last.qkv.bias.view(3, self._heads, self._size)
        turning = slice(self._size - config.rotary_dims, None)
        self._last_query = Linear(query.flatten(0, 1), biases[0].flatten())
        self._last_key_still = key[:, : self._still].contiguous()
        self._last_key_turning = Linear(key[:, turning].flatten(0, 1), biases[1][:, turning].flatten())
        self._last_value, self._last_value_bias = value.transpose(1, 2).contiguous(), biases[2]
        self._pooler = linear("pooler.dense", torch.float32)
        self._classifier = linear("classifier", torch.float32)

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> Texts | None:
        """Compute what depends on single texts once for each, where texts recur among the items.

        Args:
            work: the pairs of a macro-batch.
            run: ``map`` over the scorer's threads.
        """
        rows, kept = np.concatenate([work.a, work.b]), np.concatenate([work.kept_a, work.kept_b])
        longest = int(kept.max(initial=0)) + 1
        entries, inverse = np.unique(rows * longest + kept, return_inverse=True)
        rows, kept = np.divmod(entries, longest)
        ends = np.cumsum(kept + 1)
        starts = ends - (kept + 1)
        tokens = int(ends[-1]) if len(ends) else 0
        paired = int((work.kept_a + work.kept_b + 2).sum())
        if not self._layers or not 0 < tokens <= _MOST_TOKENS or paired < _LEAST_REUSE * tokens:
            return None
        hidden = torch.empty(tokens + 1, self._config.hidden_size)
        qkv = torch.empty(tokens + 1, 3 * self._config.hidden_size, dtype=self._dtype)
        hidden[-1], qkv[-1] = self._cls_hidden[0], self._cls_qkv[0]
        # Of a last text that is longer than a block, only the start is a place to cut.
        cuts = np.unique(np.searchsorted(starts, np.arange(0, int(starts[-1]) + 1, _TEXT_BLOCK)))

        def block(bounds: tuple[int, int]) -> None:
            some = slice(*bounds)
            start, stop = int(starts[bounds[0]]), int(ends[bounds[1] - 1])
            ids = np.full(stop - start, self._sep)
            owners = np.repeat(np.arange(len(kept[some])), kept[some] + 1)
            is_end = np.zeros(len(ids), dtype=bool)
            is_end[ends[some] - 1 - start] = True
            ids[~is_end] = work.table.take(rows[some], kept[some])
            with torch.inference_mode():
                block_hidden, block_qkv = self._embed(ids, owners)
                hidden[start:stop], qkv[start:stop] = block_hidden[: len(ids)], block_qkv[: len(ids)]

        for _ in run(block, zip(cuts, [*cuts[1:], len(kept)], strict=True)):
            pass
        return Texts(hidden, qkv, starts[inverse].reshape(2, -1))

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        layout = _layout(batch)
        tokens = layout.kinds.size
        with torch.inference_mode():
            if isinstance(batch.shared, Texts):
                rows = torch.from_numpy(_text_rows(batch, layout, len(batch.shared.hidden) - 1))
                hidden = batch.shared.hidden.index_select(0, rows)
                qkv = batch.shared.qkv.index_select(0, rows[:tokens])
            else:
                owners = layout.kinds + np.arange(len(batch))[:, None] * len(_SIGNS)
                hidden, qkv = self._embed(batch.padded.input_ids.reshape(-1), owners.reshape(-1))
            pairs = self._pairs(batch, layout)
            for index, layer in enumerate(self._layers):
                if index:
                    qkv = layer.qkv(hidden)
                attended = self._attend(qkv[:tokens], pairs, len(hidden))
                del qkv
                hidden = layer.after_attention(hidden, attended)
            first = self._attend_from_first(hidden[:tokens], pairs)
            values: NDArray[np.float32] = (
                self._classifier(torch.tanh(self._pooler(first))).squeeze(-1).numpy()
            )
        return values

    def _pairs(self, batch: MicroBatch, layout: Layout) -> Batch:
        needed = int(layout.places.max()) + 1
        turns = self._turns
        if turns.shape[1] < needed:
            half = self._config.rotary_dims // 2
            frequencies = self._config.rotary_base ** (-torch.arange(half, dtype=torch.float32) / half)
            angles = torch.arange(max(needed, 512), dtype=torch.float32)[:, None] * frequencies
            turned = torch.polar(torch.ones_like(angles), angles).expand(len(_SIGNS), -1, -1)
            signs = torch.tensor(_SIGNS, dtype=turned.dtype)[:, None, None].expand(
                -1, len(angles), self._signed
            )
            self._turns = turns = torch.cat([signs, turned], dim=-1)
        rows = torch.from_numpy((layout.kinds * turns.shape[1] + layout.places).reshape(-1))
        sharpness = mask = None
        if batch.width > self._config.sharp_length:
            lengths = torch.from_numpy(batch.lengths).float()
            sharpness = (lengths.log() / math.log(self._config.sharp_length)).clamp(min=1.0)[:, None, None]
        if (batch.lengths < batch.width).any():
            padding = torch.from_numpy(layout.kinds == _PADDING)
            mask = torch.zeros(padding.shape).masked_fill_(padding, -torch.inf)[:, None]
        return Batch(len(batch), turns.flatten(0, 1).index_select(0, rows), sharpness, mask)

    def _embed(self, ids: IntArray, owners: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """First-layer inputs, and queries, keys and values, of tokens of shape (n,), and of some more rows.

        ``owners`` tells tokens of different texts apart: the window ends where it changes.
        """
        reach = self._config.window // 2
        around = np.full((_round_up(len(ids)), 2 * reach + 1), self._outside)
        around[: len(ids), reach] = ids
        for step in range(1, reach + 1):
            same = np.flatnonzero(owners[step:] == owners[:-step])
            around[same, reach + step] = ids[same + step]
            around[same + step, reach - step] = ids[same]
        codes = self._table.index_select(0, torch.from_numpy(around.reshape(-1)))
        hidden = self._norm(self._projection(codes.view(len(around), -1)).float())
        return hidden, self._layers[0].qkv(hidden) if self._layers else hidden

    def _attend(self, qkv: torch.Tensor, pairs: Batch, rows: int) -> torch.Tensor:
        """Attention of all tokens to all of their pair: (n, 3 * hidden) to (rows, hidden), rows >= n."""
        longest = len(qkv) // pairs.pairs
        apart = torch.empty(3, pairs.pairs, self._heads, longest, self._size)
        apart.copy_(qkv.view(pairs.pairs, longest, 3, self._heads, self._size).permute(2, 0, 3, 1, 4))
        turning = _as_complex(apart[:2, ..., self._still :])
        turning.mul_(pairs.turns.view(pairs.pairs, 1, longest, -1))
        query, key, value = apart
        if pairs.sharpness is not None:
            query = query * pairs.sharpness[..., None]
        mask = None if pairs.mask is None else pairs.mask[:, None]
        if longest > _LONG:
            attended = functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)
        else:
            weights = torch.matmul(query, key.transpose(2, 3))
            if mask is not None:
                weights += mask
            attended = torch.matmul(torch.softmax(weights, -1), value)
        result = torch.zeros(rows, self._config.hidden_size, dtype=self._dtype)
        result[: len(qkv)].view(pairs.pairs, longest, self._heads, self._size).copy_(attended.transpose(1, 2))
        return result

    def _attend_from_first(self, hidden: torch.Tensor, pairs: Batch) -> torch.Tensor:
        """The last layer for [CLS] alone: (n, hidden) to (pairs, hidden).

        [CLS] stands at place 0 and belongs to no text: its query is not turned, its signed dimensions are 0.
        """
        dims = self._config.rotary_dims
        tokens = hidden.view(pairs.pairs, -1, hidden.shape[-1])
        first = tokens[:, 0]
        query = self._last_query(first).view(pairs.pairs, self._heads, self._size)
        if pairs.sharpness is not None:
            query = query * pairs.sharpness
        through_keys = torch.einsum("bhd,hdk->bhk", query[..., : self._still], self._last_key_still)
        weights = torch.matmul(through_keys, tokens.transpose(1, 2))
        keys = self._last_key_turning(hidden).view(pairs.pairs, -1, self._heads, dims)
        turns = pairs.turns[:, self._signed :].view(pairs.pairs, -1, 1, dims // 2)
        _as_complex(keys).mul_(turns)
        weights += torch.matmul(query[:, :, None, -dims:], keys.permute(0, 2, 3, 1)).squeeze(2)
        if pairs.mask is not None:
            weights += pairs.mask
        mean = torch.matmul(torch.softmax(weights, -1), tokens)
        value = torch.einsum("bhk,hkd->bhd", mean, self._last_value) + self._last_value_bias
        return self._last.after_attention(first, value.flatten(1))


def _as_complex(numbers: torch.Tensor) -> torch.Tensor:
    """A view of neighbouring pairs of real numbers as complex ones."""
    return torch.view_as_complex(numbers.view(*numbers.shape[:-1], -1, 2))


def _round_up(tokens: int) -> int:
    return -(-tokens // _ROWS) * _ROWS


def _layout(batch: MicroBatch) -> Layout:
    column = np.arange(batch.width)
    end_a, end_b = batch.kept_a[:, None] + 2, batch.lengths[:, None]
    kinds = np.full((len(batch), batch.width), _SECOND)
    kinds[column < end_a] = _FIRST
    kinds[:, 0] = _CLS
    kinds[column >= end_b] = _PADDING
    places = np.where(column < end_a, column, column - end_a + 1)
    return Layout(kinds, places)


def _text_rows(batch: MicroBatch, layout: Layout, cls_row: int) -> IntArray:
    """The row of the texts' table for each place of the micro-batch, and some more; padding takes [CLS]'s."""
    first_a, first_b = batch.shared.first[:, batch.items]
    rows = np.where(layout.kinds == _FIRST, first_a[:, None], first_b[:, None]) + layout.places - 1
    rows[(layout.kinds == _CLS) | (layout.kinds == _PADDING)] = cls_row
    flat = np.full(_round_up(rows.size), cls_row)
    flat[: rows.size] = rows.reshape(-1)
    return flat
