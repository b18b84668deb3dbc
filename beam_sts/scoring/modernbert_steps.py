"""The steps between ModernBERT's products, in torch. ``modernbert_kernels.py`` has fused kernels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class TorchNorm(NamedTuple):
    """Layer normalisation; weights in float32."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    eps: float


class TorchSteps:
    """The steps between the products, in torch."""

    def norm(self, inputs: torch.Tensor, norm: TorchNorm, to: torch.dtype) -> torch.Tensor:
        """Layer normalisation of (n, hidden), in float32, to another dtype."""
        return functional.layer_norm(inputs.float(), norm.weight.shape, *norm).to(to)

    def rotate(
        self, qkv: torch.Tensor, places: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """Rotate the queries and keys of (n, 3, heads, size) by their positions, (n,), in place."""
        turning = qkv[:, :2].view(len(qkv), 2, qkv.shape[2], 2, -1)
        first, second = turning.float().unbind(3)
        cosine, sine = (table.index_select(0, places)[:, None, None] for table in turns)
        turning.copy_(torch.stack([first * cosine - second * sine, second * cosine + first * sine], dim=3))

    def gate(self, inputs: torch.Tensor) -> torch.Tensor:
        """GELU of the first half of (n, 2 * width), times the second half."""
        value, gate = inputs.chunk(2, dim=1)
        return functional.gelu(value).mul_(gate)
