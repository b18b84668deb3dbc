"""ModernBERT on a GPU: pairs end to end, without padding, in few passes over memory.

A GPU multiplies matrices so fast that a forward pass in torch spends most of its time between the products:
the rotation alone reads or writes memory some twenty times. Here these steps are three kernels
(``modernbert_kernels.py``; ``modernbert_steps.py`` has them in torch). The product adds the residual, and
attention takes the bounds of the pairs, so there is neither padding nor a mask.

Products and attention are in bfloat16 or float16; residuals, norms and the head in float32.

Source: Warner et al., Smarter, Better, Faster, Longer (2024), https://arxiv.org/abs/2412.13663.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from beam_sts.scoring.long_text import Work
from beam_sts.scoring.modernbert_steps import TorchNorm, TorchSteps
from beam_sts.scoring.tokens import MicroBatch
from beam_sts.scoring.torch_backend import DTYPES, GPU_TOKEN_BUDGET, CudaStreams

log = logging.getLogger(__name__)

# Arguments: queries, keys and values (n, 3, heads, size); bounds of the pairs (pairs + 1,); tokens of the
# longest pair; tokens that attention reaches to each side, -1: the whole pair. Result: (n, heads, size).
Attend = Callable[[torch.Tensor, torch.Tensor, int, int], torch.Tensor]


class TorchLayer(NamedTuple):
    """A layer; matrices are (out, in), as in torch."""

    attention_norm: TorchNorm | None
    qkv: torch.Tensor
    output: torch.Tensor
    norm: TorchNorm
    up: torch.Tensor
    down: torch.Tensor
    window: int
    turns: tuple[torch.Tensor, torch.Tensor]  # cosine and sine, float32 of shape (positions, size / 2)


class ModernBertBackend:
    """Runs a ModernBERT classifier on a GPU in ``bf16`` or ``fp16``.

    Args:
        model: a model that ``takes`` accepts.
        device: a GPU, such as ``cuda``.
        precision: type of products and attention.
        attend: computes attention within pairs; default: torch's flash attention.

    Raises:
        Exception: this GPU, or this build of torch, cannot run it.
    """

    packs = True
    token_budget = GPU_TOKEN_BUDGET

    @staticmethod
    def takes(model: Any, device: str, precision: str) -> bool:
        """Whether this backend can run a model on a device in a precision."""
        if precision not in ("bf16", "fp16") or not device.startswith("cuda"):
            return False
        from transformers import ModernBertForSequenceClassification  # slow to import

        if type(model) is not ModernBertForSequenceClassification:
            return False
        config = model.config
        return (
            config.hidden_activation == "gelu"
            and not config.attention_bias
            and not config.mlp_bias
            and set(model.model.rotary_emb.rope_type.values()) == {"default"}
        )

    def __init__(self, model: Any, device: str, precision: str, attend: Attend | None = None) -> None:
        self._device, self._dtype = torch.device(device), DTYPES[precision]
        self._heads = model.config.num_attention_heads
        self._mean = model.config.classifier_pooling == "mean"
        self._attend = attend or _flash_attention()
        encoder = model.model
        self._table = self._placed(encoder.embeddings.tok_embeddings.weight)
        self._norm = self._norm_of(encoder.embeddings.norm)
        self._last_norm = self._norm_of(encoder.final_norm)
        turns = {kind: self._turns(encoder.rotary_emb, kind) for kind in set(model.config.layer_types)}
        self._layers = [self._layer(layer, model.config, turns) for layer in encoder.layers]
        self._head = torch.nn.Sequential(model.head, model.classifier).to(self._device)
        self._steps = TorchSteps()
        self._streams = CudaStreams(self._device)
        self._try()

    def _try(self) -> None:
        """Run two small pairs, with the kernels if they can be compiled, to fail early."""
        ids = torch.zeros(5, dtype=torch.int64, device=self._device)
        lengths = torch.tensor([2, 3], device=self._device)
        with self._streams.one(), torch.inference_mode():  # Triton launches on the current stream's GPU
            self._forward(ids, lengths, 3)
            try:
                from beam_sts.scoring.modernbert_kernels import FusedSteps

                self._steps = FusedSteps()
                self._forward(ids, lengths, 3)
            except Exception as error:  # no Triton, no C compiler, or an unknown GPU
                self._steps = TorchSteps()
                reason = str(error).partition("\n")[0]
                log.warning("The steps between products run in torch, which is slower: %s", reason)

    def _placed(self, weight: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return weight.detach().to(self._device, dtype)

    def _norm_of(self, module: Any) -> TorchNorm:
        bias = None if module.bias is None else self._placed(module.bias)
        return TorchNorm(self._placed(module.weight), bias, module.eps)

    def _turns(self, rotary: Any, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(rotary.max_seq_len_cached)[None]
        cosine, sine = (table[0].chunk(2, dim=1)[0] for table in rotary(torch.zeros(1), places, kind))
        return self._placed(cosine.contiguous()), self._placed(sine.contiguous())

    def _layer(self, layer: Any, config: Any, turns: dict[str, Any]) -> TorchLayer:
        weights = (layer.attn.Wqkv, layer.attn.Wo, layer.mlp.Wi, layer.mlp.Wo)
        qkv, output, up, down = (self._placed(module.weight, self._dtype) for module in weights)
        plain = isinstance(layer.attn_norm, torch.nn.Identity)  # the first layer has no norm
        return TorchLayer(
            None if plain else self._norm_of(layer.attn_norm),
            qkv,
            output,
            self._norm_of(layer.mlp_norm),
            up,
            down,
            config.sliding_window if layer.attention_type == "sliding_attention" else -1,
            turns[layer.attention_type],
        )

    def share(self, work: Work, run: Callable[..., Iterable[Any]]) -> None:
        """Nothing is shared: a token's activations depend on its pair."""

    def logits(self, batch: MicroBatch) -> NDArray[np.float32]:
        """Logits of the rows, shape (rows,)."""
        with self._streams.one(), torch.inference_mode():
            ids, lengths = self._streams.moved(batch.packed), self._streams.moved(batch.lengths)
            values: NDArray[np.float32] = self._forward(ids, lengths, batch.width).cpu().numpy()
        return values

    def _forward(self, ids: torch.Tensor, lengths: torch.Tensor, longest: int) -> torch.Tensor:
        """Logits of pairs that are end to end in ``ids``."""
        steps, dtype = self._steps, self._dtype
        bounds = functional.pad(lengths.cumsum(0), (1, 0))
        starts = bounds[:-1].repeat_interleave(lengths, output_size=len(ids))
        places = torch.arange(len(ids), device=self._device) - starts
        within = bounds.to(torch.int32)
        hidden = steps.norm(self._table.index_select(0, ids), self._norm, torch.float32)
        for layer in self._layers:
            norm = layer.attention_norm
            inputs = hidden.to(dtype) if norm is None else steps.norm(hidden, norm, dtype)
            qkv = functional.linear(inputs, layer.qkv).view(len(ids), 3, self._heads, -1)
            steps.rotate(qkv, places, layer.turns)
            attended = self._attend(qkv, within, longest, layer.window)
            _add_product(hidden, attended.reshape(len(ids), -1), layer.output)
            up = functional.linear(steps.norm(hidden, layer.norm, dtype), layer.up)
            _add_product(hidden, steps.gate(up), layer.down)
        if self._mean:
            hidden = steps.norm(hidden, self._last_norm, torch.float32)
            pooled = torch.segment_reduce(hidden, "mean", lengths=lengths, unsafe=True)
        else:
            pooled = steps.norm(hidden.index_select(0, bounds[:-1]), self._last_norm, torch.float32)
        logits: torch.Tensor = self._head(pooled).squeeze(-1)
        return logits


def _add_product(to: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor) -> None:
    """Add the product of inputs (n, in) and a matrix to ``to``, (n, out), in float32."""
    if inputs.dtype == to.dtype:
        to.addmm_(inputs, weight.T)
    else:
        torch.addmm(to, inputs, weight.T, out_dtype=to.dtype, out=to)


def _flash_attention() -> Attend:
    from torch.nn.attention import varlen  # since torch 2.10

    flash: Any = varlen.varlen_attn

    def attend(qkv: torch.Tensor, bounds: torch.Tensor, longest: int, window: int) -> torch.Tensor:
        query, key, value = qkv.unbind(1)
        around = (window, window)
        attended: torch.Tensor = flash(
            query, key, value, bounds, bounds, longest, longest, window_size=around
        )
        return attended

    return attend
