"""Products, norms and layers of the BERT-hash backend; products packed for oneDNN."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from beam_sts.scoring.hash_steps import TorchSteps

# Tokens that go through the feed-forward layer, the widest there is, together. In float32 all of a
# micro-batch at once take 30 MB a thread more, and are no faster; in bfloat16, whose products cost little,
# calls weigh more.
_BLOCKS = {torch.float32: 1024, torch.bfloat16: 4096}


class Linear(NamedTuple):
    """A product with a matrix, in the matrix's dtype."""

    weight: torch.Tensor  # (out, in)
    bias: torch.Tensor  # (out,)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """(n, in) to (n, out)."""
        return functional.linear(inputs.to(self.weight.dtype), self.weight, self.bias)

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """The same through GELU."""
        return functional.gelu(self(inputs))

    def plus(self, inputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """The same with others of shape (n, out) added."""
        return self(inputs) + others


class PackedLinear(NamedTuple):
    """A product with a matrix laid out for oneDNN, which adds or applies GELU without another pass."""

    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, plain: Linear) -> Linear | PackedLinear:
        """Pack a matrix; as it is where this build of torch cannot."""
        try:
            packed = cls(torch.ops.mkldnn._reorder_linear_weight(plain.weight, 2048), plain.bias)
            probe = torch.ones(1, plain.weight.shape[1])
            packed.plus(probe, packed.gelu(probe))
        except (AttributeError, NotImplementedError, RuntimeError):
            return plain
        return packed

    def __call__(self, inputs: torch.Tensor, then: str = "none", kind: str = "") -> torch.Tensor:
        """(n, in) to (n, out), and on through a function of oneDNN's."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs.to(self.bias.dtype), self.weight, self.bias, then, [], kind
        )
        return product

    def gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """The same through GELU."""
        return self(inputs, "gelu", "none")

    def plus(self, inputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """The same with others of shape (n, out) added."""
        total: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
            inputs.to(self.bias.dtype), others, self.weight, self.bias, "add"
        )
        return total


def multiplies_bfloat16() -> bool:
    """Whether this CPU, and oneDNN in this build of torch, multiply matrices in bfloat16."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


class Norm(NamedTuple):
    """Layer normalisation, computed in float32."""

    weight: torch.Tensor
    bias: torch.Tensor
    eps: float
    steps: TorchSteps

    def __call__(self, inputs: torch.Tensor, to: torch.Tensor | None = None) -> torch.Tensor:
        """(n, hidden) to (n, hidden), written to ``to`` if that is given."""
        to = torch.empty_like(inputs) if to is None else to
        self.steps.norm(inputs, self.weight, self.bias, self.eps, to)
        return to


class Layer(NamedTuple):
    """A transformer layer; ``qkv`` gives scaled queries, keys and values end to end."""

    qkv: Linear | PackedLinear
    output: Linear | PackedLinear
    norm: Norm
    up: Linear | PackedLinear
    down: Linear | PackedLinear
    last_norm: Norm

    def after_attention(self, hidden: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """The layer's result of shape (n, hidden) from its inputs and what they attended to."""
        hidden = self.norm(self.output.plus(attended, hidden))
        for rows in torch.split(hidden, _BLOCKS[hidden.dtype]):
            self.last_norm(self.down.plus(self.up.gelu(rows), rows), to=rows)
        return hidden
