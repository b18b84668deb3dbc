"""BERT-hash without waste: the scores of the model class from about half of its arithmetic.

What is left out changes no score beyond rounding:

- The last layer's result is read at [CLS] alone. So only that token's query is formed and only that token
  goes through the feed-forward layer; the query goes through the key matrix once, and the attention's mean of
  the layer's inputs through the value matrix once, instead of every token through both. Both are products of
  two matrices, multiplied beforehand.
- Positions count from the start of each text and the window ends at it, so a token's first-layer query, key
  and value depend on its own text alone. Where texts recur among the pairs of a macro-batch, they are
  computed once for each text.
- Micro-batches of one length need no mask.

Products run on oneDNN; what is between them is in ``hash_steps.py`` and, compiled, in ``kernels.py``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.models.sizes import BertHashSizes
from beam_sts.scoring.hash_layers import Layer, Linear, Norm, PackedLinear, multiplies_bfloat16
from beam_sts.scoring.hash_steps import SIGNS, Pairs, round_up
from beam_sts.scoring.kernels import fastest_steps
from beam_sts.scoring.long_text import Work
from beam_sts.scoring.plan import TOKEN_BUDGET, IntArray
from beam_sts.scoring.tokens import MicroBatch, PairTemplate

log = logging.getLogger(__name__)

# A table of texts pays when their tokens recur this often; it takes 2 kB a token.
_LEAST_REUSE, _MOST_TOKENS = 1.3, 1 << 16
_TEXT_BLOCK = 2048
_TABLE = "embeddings.word_embeddings.embeddings.weight"


class Texts(NamedTuple):
    """First-layer inputs and queries, keys and values of texts' tokens; the last row is [CLS]."""

    hidden: torch.Tensor  # (tokens + 1, hidden)
    qkv: torch.Tensor  # (tokens + 1, 3 * hidden)
    first: IntArray  # the first row of each item's text a and of its text b, shape (2, items)


class HashBackend:
    """Runs the embedded kind of BERT-hash (rotary positions, signed texts) on the CPU.

    Args:
        config: one that ``takes`` accepts.
        weights: the checkpoint's tensors by name, complete.
        template: the special tokens around a pair.
        precision: ``fp32``; or ``bf16``, matrices and hidden states in bfloat16, and sums, attention and the
            last token's path in float32.
    """

    packs = False

    @staticmethod
    def takes(config: BertHashSizes, weights: dict[str, NDArray[Any]], template: PairTemplate) -> bool:
        """Whether this backend runs such a model.

        Where the table's padding row is not zero, as training leaves it, the model class looks at padding.
        """
        return (
            config.segment_dims > 0
            and config.segment_dims % 2 == 0
            and config.rotary_dims > 0
            and config.hidden_act == "gelu"
            and not config.is_decoder
            and not config.add_cross_attention
            and [len(part) for part in template.parts] == [1, 1, 1]
            and template.parts[1] == template.parts[2]
            and template.types == ((0,), 0, (0,), 1, (1,))
            and not weights[f"bert.{_TABLE}"][config.pad_token_id].any()
        )

    def __init__(
        self,
        config: BertHashSizes,
        weights: dict[str, NDArray[Any]],
        template: PairTemplate,
        precision: str = "fp32",
    ) -> None:
        self._config = config
        self._cls, self._sep = template.parts[0][0], template.parts[1][0]
        self._heads = config.num_attention_heads
        self._size = config.hidden_size // self._heads
        self._steps = fastest_steps()
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        tensors = {name: torch.tensor(array) for name, array in weights.items()}
        if precision == "bf16" and not multiplies_bfloat16():
            # torch would take seven times as long as in float32.
            log.warning(
                "This CPU has no instructions for bfloat16: products run in float32, on weights rounded to "
                "bfloat16. That is no faster than --precision fp32."
            )
            tensors = {name: tensor.bfloat16() for name, tensor in tensors.items()}
            self._dtype = torch.float32
        # Where products cost little, the calls between them weigh more.
        self.token_budget = TOKEN_BUDGET if self._dtype is torch.float32 else 2 * TOKEN_BUDGET
        self._sharp_length = config.sharp_length  # a configuration is slow to read
        self._rotary = config.rotary_dims
        self._signed = config.segment_dims // 2
        self._turns = torch.empty(
            len(SIGNS), 0, self._signed + config.rotary_dims // 2, dtype=torch.complex64
        )
        with torch.inference_mode():
            self._load({name.removeprefix("bert."): tensor.float() for name, tensor in tensors.items()})
            self._cls_hidden, self._cls_qkv = self._embed(np.array([self._cls]), np.zeros(1, dtype=np.int64))

    def _load(self, weights: dict[str, torch.Tensor]) -> None:
        config = self._config

        def linear(name: str, dtype: torch.dtype, factor: float = 1.0) -> Linear:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return Linear((weight * factor).to(dtype), (bias * factor).to(dtype))

        def norm(name: str) -> Norm:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return Norm(weight, bias, config.layer_norm_eps, self._steps)

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
        self._load_last(layer(last, lambda plain: plain, torch.float32))
        self._pooler = linear("pooler.dense", torch.float32)
        self._classifier = linear("classifier", torch.float32)

    def _load_last(self, plain: Layer) -> None:
        """The last layer, which only [CLS] goes through: one token a pair, so all of it in float32.

        [CLS] stands at place 0 and belongs to no text: its query is not turned, its signed dimensions are 0.
        """
        turning = slice(self._size - self._rotary, None)
        still = slice(0, turning.start - self._config.segment_dims)
        weights = plain.qkv.weight.double().view(3, self._heads, self._size, -1)
        biases = plain.qkv.bias.double().view(3, self._heads, self._size)
        query, key, value = weights

        def joined(*products: tuple[torch.Tensor, torch.Tensor]) -> Linear:
            parts = (torch.cat(tensors).float() for tensors in zip(*products, strict=True))
            return Linear(*parts)

        self._last_query = joined(
            (
                torch.einsum("hdk,hdq->hkq", key[:, still], query[:, still]).flatten(0, 1),
                torch.einsum("hdk,hd->hk", key[:, still], biases[0][:, still]).flatten(),
            ),
            (query[:, turning].flatten(0, 1), biases[0][:, turning].flatten()),
        )
        keys = Linear(key[:, turning].flatten(0, 1), biases[1][:, turning].flatten())
        self._last_key = PackedLinear.of(Linear(*(tensor.to(self._dtype) for tensor in keys)))
        out = plain.output.weight.double().view(-1, self._heads, self._size)
        self._last = plain._replace(
            output=joined(
                (
                    torch.einsum("ohd,hdk->ohk", out, value).flatten(1),
                    plain.output.bias + torch.einsum("ohd,hd->o", out, biases[2]),
                )
            )
        )

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
        hidden = torch.empty(tokens + 1, self._config.hidden_size, dtype=self._dtype)
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
        pairs = self._pairs(batch)
        steps = self._steps
        with torch.inference_mode():
            starts = None
            if isinstance(batch.shared, Texts):
                starts = np.ascontiguousarray(batch.shared.first[:, batch.items])
                hidden, qkv = steps.gather(batch.shared.hidden, starts, pairs), batch.shared.qkv
            else:
                owners = pairs.layout.kinds + np.arange(len(batch))[:, None] * len(SIGNS)
                hidden, qkv = self._embed(batch.padded.input_ids.reshape(-1), owners.reshape(-1))
            for index, layer in enumerate(self._layers):
                if index:
                    qkv, starts = layer.qkv(hidden), None
                hidden = layer.after_attention(hidden, steps.attend(qkv, starts, pairs))
            first = hidden[: pairs.tokens].view(len(pairs), -1, hidden.shape[1])[:, 0].float()
            queries = self._last_query(first)
            if pairs.sharpness is not None:
                queries *= torch.from_numpy(pairs.sharpness)[:, None]
            mean = steps.first(hidden, self._last_key(hidden), queries, pairs)
            first = self._last.after_attention(first, mean)
            values: NDArray[np.float32] = (
                self._classifier(torch.tanh(self._pooler(first))).squeeze(-1).numpy()
            )
        return values

    def _pairs(self, batch: MicroBatch) -> Pairs:
        """A micro-batch as the steps take it."""
        needed = int(np.maximum(batch.kept_a, batch.kept_b).max()) + 2
        turns = self._turns
        if turns.shape[1] < needed:
            half = self._rotary // 2
            frequencies = self._config.rotary_base ** (-torch.arange(half, dtype=torch.float32) / half)
            angles = torch.arange(max(needed, 512), dtype=torch.float32)[:, None] * frequencies
            turned = torch.polar(torch.ones_like(angles), angles).expand(len(SIGNS), -1, -1)
            signs = torch.tensor(SIGNS, dtype=turned.dtype)[:, None, None]
            signs = signs.expand(-1, len(angles), self._signed)
            self._turns = turns = torch.cat([signs, turned], dim=-1)
        sharpness = None
        if batch.width > self._sharp_length:
            ratio = np.log(batch.lengths) / math.log(self._sharp_length)
            sharpness = np.maximum(ratio, 1).astype(np.float32)
        return Pairs(
            self._heads,
            self._size,
            self._rotary,
            np.ascontiguousarray(batch.kept_a),
            np.ascontiguousarray(batch.lengths),
            turns,
            sharpness,
        )

    def _embed(self, ids: IntArray, owners: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """First-layer inputs, and queries, keys and values, of tokens of shape (n,), and of some more rows.

        ``owners`` tells tokens of different texts apart: the window ends where it changes.
        """
        reach = self._config.window // 2
        around = np.full((round_up(len(ids)), 2 * reach + 1), self._outside)
        around[: len(ids), reach] = ids
        for step in range(1, reach + 1):
            same = np.flatnonzero(owners[step:] == owners[:-step])
            around[same, reach + step] = ids[same + step]
            around[same + step, reach - step] = ids[same]
        codes = self._table.index_select(0, torch.from_numpy(around.reshape(-1)))
        hidden = self._norm(self._projection(codes.view(len(around), -1)))
        return hidden, self._layers[0].qkv(hidden) if self._layers else hidden
