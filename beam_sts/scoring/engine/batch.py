"""What the native engine computes on: token ids and micro-batches, in arrays whose form is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import padded


class TokenIds:
    """Token ids of all texts, end to end: checked against a vocabulary once, then read-only.

    Args:
        ids: integers of shape (tokens,).
        vocabulary: count of tokens in the vocabulary.

    Raises:
        ValueError: ``ids`` has another type or shape, or an id is not from 0 to below ``vocabulary``.
    """

    def __init__(self, ids: NDArray[Any], vocabulary: int) -> None:
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(f"token ids are {ids.dtype} of shape {ids.shape}, not a row of integers")
        if len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary:
            raise ValueError(
                f"token ids are from {ids.min()} to {ids.max()}, but the vocabulary has {vocabulary} tokens"
            )
        self.array: NDArray[np.int32] = np.array(ids, dtype=np.int32, order="C")
        self.array.flags.writeable = False
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True)
class SharedTexts:
    """Tokens of texts that are in several pairs; the last row is [CLS].

    Attributes:
        hidden: inputs of the first layer, float32 of shape (tokens + 1, padded(hidden)).
        qkv: queries, keys and values of the first layer, float32 of shape (tokens + 1, padded(3 * hidden)).
    """

    hidden: Float32Array
    qkv: Float32Array

    @classmethod
    def empty(cls, shape: Shape, tokens: int) -> SharedTexts:
        """Uninitialised arrays for ``tokens`` tokens and [CLS]."""
        return cls(
            np.empty((tokens + 1, padded(shape.hidden)), dtype=np.float32),
            np.empty((tokens + 1, padded(3 * shape.hidden)), dtype=np.float32),
        )


@dataclass(frozen=True)
class PairBatch:
    """A micro-batch.

    Attributes:
        ids: token ids of all texts.
        starts: indexes in ``ids`` at which the first and second texts start, int64 of shape (2, pairs).
        kept: how many tokens of each are kept, of the same shape.
        temperature: factor of each pair's queries, float32 of shape (pairs,); None if all are 1.
        rotary: cosines, then sines, by position, float32 of shape (positions, rotary).
        texts: the tokens of texts that are in several pairs, or None.
        rows: rows of ``texts`` at which the first and second texts start, int64 of shape (2, pairs).
    """

    ids: TokenIds
    starts: NDArray[np.int64]
    kept: NDArray[np.int64]
    temperature: Float32Array | None
    rotary: Float32Array
    texts: SharedTexts | None = None
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.kept.shape[1])


def check_array(name: str, array: NDArray[Any], shape: Sequence[int | None], dtype: Any) -> None:
    """Check an array's type and shape, and that it is contiguous and aligned in memory.

    Args:
        name: the array's name in messages.
        array: what is checked.
        shape: the expected shape; None: any size.
        dtype: the expected type.

    Raises:
        ValueError: the array differs; the message names it.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype) or not array.dtype.isnative:
        raise ValueError(f"{name} is {getattr(array, 'dtype', type(array))}, not {np.dtype(dtype)}")
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} has the shape {array.shape}, not {tuple(shape)}")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} is not contiguous in memory, or not aligned")


def address(array: NDArray[Any]) -> int:
    """The address of an array's first number."""
    return int(array.ctypes.data)
