"""The steps between ModernBERT's products, each in one pass over a GPU's memory: kernels in Triton.

Builds of torch for CUDA include Triton, which needs a C compiler.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from beam_sts.scoring.modernbert_steps import TorchNorm, TorchSteps

# Numbers of a row that one Triton program processes at a time.
_BLOCK = 1024


@triton.jit
def _norm_kernel(to, inputs, weight, bias, width, eps, has_bias: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, block)
    within = at < width
    values = tl.load(inputs + row * width + at, mask=within, other=0.0).to(tl.float32)
    centred = tl.where(within, values - tl.sum(values, 0) / width, 0.0)
    scale = 1 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
    result = centred * scale * tl.load(weight + at, mask=within, other=0.0)
    if has_bias:
        result += tl.load(bias + at, mask=within, other=0.0)
    tl.store(to + row * width + at, result.to(to.dtype.element_ty), mask=within)


@triton.jit
def _rotate_kernel(qkv, places, cosine, sine, heads, stride, half: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    place = tl.load(places + row)
    number = tl.arange(0, half)
    head = tl.arange(0, block)[:, None]
    cos = tl.load(cosine + place * half + number)[None, :]
    sin = tl.load(sine + place * half + number)[None, :]
    at = qkv + row * stride + head * (2 * half) + number[None, :]
    within = head < heads
    first = tl.load(at, mask=within, other=0.0).to(tl.float32)
    second = tl.load(at + half, mask=within, other=0.0).to(tl.float32)
    tl.store(at, (first * cos - second * sin).to(qkv.dtype.element_ty), mask=within)
    tl.store(at + half, (second * cos + first * sin).to(qkv.dtype.element_ty), mask=within)


@triton.jit
def _gate_kernel(to, inputs, width, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * block + tl.arange(0, block)
    within = at < width
    value = tl.load(inputs + 2 * row * width + at, mask=within, other=0.0).to(tl.float32)
    gate = tl.load(inputs + (2 * row + 1) * width + at, mask=within, other=0.0).to(tl.float32)
    result = 0.5 * value * (1 + tl.erf(value * 0.7071067811865476)) * gate
    tl.store(to + row * width + at, result.to(to.dtype.element_ty), mask=within)


class FusedSteps(TorchSteps):
    """The steps as kernels; ``TorchSteps`` describes the arguments."""

    def norm(self, inputs: torch.Tensor, norm: TorchNorm, to: torch.dtype) -> torch.Tensor:
        """See ``TorchSteps``."""
        rows, width = inputs.shape
        out = torch.empty(rows, width, dtype=to, device=inputs.device)
        bias = norm.weight if norm.bias is None else norm.bias
        block = triton.next_power_of_2(width)
        _norm_kernel[(rows,)](out, inputs, norm.weight, bias, width, norm.eps, norm.bias is not None, block)
        return out

    def rotate(
        self, qkv: torch.Tensor, places: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        """See ``TorchSteps``."""
        rows, _, heads, size = qkv.shape
        block = triton.next_power_of_2(2 * heads)
        _rotate_kernel[(rows,)](qkv, places, *turns, 2 * heads, qkv.stride(0), size // 2, block)

    def gate(self, inputs: torch.Tensor) -> torch.Tensor:
        """See ``TorchSteps``."""
        rows, width = len(inputs), inputs.shape[1] // 2
        out = torch.empty(rows, width, dtype=inputs.dtype, device=inputs.device)
        _gate_kernel[(rows, triton.cdiv(width, _BLOCK))](out, inputs, width, _BLOCK)
        return out
