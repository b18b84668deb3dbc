"""Matrices packed for the native engine's products: panels of columns, groups of four bytes (product.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array
from beam_sts.scoring.engine.weights import Linear, padded

FLOAT32, BFLOAT16, INT8 = range(3)
_EACH = {FLOAT32: 1, BFLOAT16: 2, INT8: 4}  # numbers in a group
_LARGEST = {INT8: 127}


@dataclass(frozen=True)
class Packed:
    """``struct linear`` of model.h: a matrix and a bias as the engine multiplies them.

    Attributes:
        inner: count of inputs.
        outer: count of outputs.
        kind: type of the numbers.
        panels: the packed matrix, uint32 of shape (groups * padded(outer),).
        bias: float32 of shape (padded(outer),).
        scale: for int8, the quantisation step of each column; of the same shape.
        sums: for int8, the sum of each column's numbers, times its step; of the same shape.
    """

    inner: int
    outer: int
    kind: int
    panels: NDArray[np.uint32]
    bias: Float32Array
    scale: Float32Array | None = None
    sums: Float32Array | None = None

    @classmethod
    def of(cls, linear: Linear, kind: int, panel: int) -> Packed:
        """Pack a matrix.

        Args:
            linear: the matrix and its bias.
            kind: ``FLOAT32``, ``BFLOAT16`` or ``INT8``.
            panel: count of columns in a panel.
        """
        outer, inner = linear.weight.shape
        scale = sums = None
        if kind == BFLOAT16:
            numbers: NDArray[Any] = to_bfloat16(linear.weight)
        elif kind == INT8:
            step = np.abs(linear.weight).max(axis=1, initial=0) / _LARGEST[INT8]
            step = np.where(step > 0, step, 1).astype(np.float32)
            numbers = np.rint(linear.weight / step[:, None]).astype(np.int8)
            scale = zero_padded(step, padded(outer))
            sums = zero_padded(numbers.sum(axis=1, dtype=np.float32) * step, padded(outer))
        else:
            numbers = linear.weight
        panels = _panels(numbers, _EACH[kind], panel)
        return cls(inner, outer, kind, panels, zero_padded(linear.bias, padded(outer)), scale, sums)


def _panels(numbers: NDArray[Any], each: int, panel: int) -> NDArray[np.uint32]:
    """(outer, inner) numbers as groups: panel by panel, in each the groups of its columns side by side."""
    outer, inner = numbers.shape
    groups = -(-inner // each)
    grid = np.zeros((padded(outer), groups * each), dtype=numbers.dtype)
    grid[:outer, :inner] = numbers
    columns = grid.view(np.uint32)  # (padded(outer), groups)
    parts = [columns[start : start + panel].T.ravel() for start in range(0, len(columns), panel)]
    return aligned(np.concatenate([np.empty(0, np.uint32), *parts]))


def to_bfloat16(numbers: Float32Array) -> NDArray[np.uint16]:
    """The upper halves of float32 numbers, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(numbers).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def zero_padded(numbers: NDArray[Any], width: int) -> Float32Array:
    """Rows in float32, filled with zeros up to a width, aligned for vectors."""
    full = np.zeros((*numbers.shape[:-1], width), dtype=np.float32)
    full[..., : numbers.shape[-1]] = numbers
    return aligned(full)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy whose address is a multiple of 64 bytes."""
    raw = np.empty(array.nbytes + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    place = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    place[...] = array
    return place
