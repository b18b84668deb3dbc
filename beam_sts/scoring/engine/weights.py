"""A model's weights as the engine multiplies them: some joined or multiplied beforehand, all in float32."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.models.tensors import classifier_shapes
from beam_sts.scoring.engine.shape import Shape

FloatArray = NDArray[np.float32]
_EMBEDDINGS = "bert.embeddings"
_TABLE = f"{_EMBEDDINGS}.word_embeddings.embeddings.weight"


def padded(width: int) -> int:
    """Numbers from one row to the next: up to a whole number of the widest vectors."""
    return -(-width // 16) * 16


@dataclass(frozen=True)
class Linear:
    """A matrix of shape (outputs, inputs) and a bias of shape (outputs,)."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Norm:
    """Weight and bias of a layer normalisation, of shape (hidden,) each."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Layer:
    """A transformer layer. Queries are scaled by one over the root of a head's size."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    norm: Norm

    @property
    def qkv(self) -> Linear:
        """Queries, keys and values end to end."""
        parts = (self.query, self.key, self.value)
        return Linear(
            np.concatenate([part.weight for part in parts]), np.concatenate([part.bias for part in parts])
        )


@dataclass(frozen=True)
class Weights:
    """A BERT-hash classifier's weights.

    Attributes:
        table: token table, (vocabulary, projections).
        types: embeddings of token types, (types, hidden), or None.
        positions: embeddings of absolute positions, (positions, hidden), or None.
        projection: from a window of the table's rows to a hidden vector.
        norm: of the embeddings.
        layers: transformer layers.
        pooler: of [CLS], followed by tanh.
        classifier: one output.
    """

    table: FloatArray
    types: FloatArray | None
    positions: FloatArray | None
    projection: Linear
    norm: Norm
    layers: tuple[Layer, ...]
    pooler: Linear
    classifier: Linear

    @classmethod
    def of(cls, shape: Shape, tensors: Mapping[str, NDArray[Any]]) -> Weights:
        """Read a checkpoint's tensors.

        Args:
            shape: the model's sizes.
            tensors: arrays of float32, float16 or float64 by their names in the checkpoint.

        Raises:
            ValueError: naming a tensor that is missing or does not fit, before anything is copied.
        """
        check_tensors(shape, tensors)

        def take(name: str) -> FloatArray:
            return np.ascontiguousarray(tensors[name], dtype=np.float32)

        def linear(name: str, factor: float = 1.0) -> Linear:
            factor32 = np.float32(factor)
            return Linear(take(f"{name}.weight") * factor32, take(f"{name}.bias") * factor32)

        def norm(name: str) -> Norm:
            return Norm(take(f"{name}.weight"), take(f"{name}.bias"))

        def layer(index: int) -> Layer:
            name = f"bert.encoder.layer.{index}"
            return Layer(
                linear(f"{name}.attention.self.query", 1 / math.sqrt(shape.head)),
                linear(f"{name}.attention.self.key"),
                linear(f"{name}.attention.self.value"),
                linear(f"{name}.attention.output.dense"),
                norm(f"{name}.attention.output.LayerNorm"),
                linear(f"{name}.intermediate.dense"),
                linear(f"{name}.output.dense"),
                norm(f"{name}.output.LayerNorm"),
            )

        return cls(
            take(_TABLE),
            take(f"{_EMBEDDINGS}.token_type_embeddings.weight") if shape.types else None,
            take(f"{_EMBEDDINGS}.position_embeddings.weight") if shape.positions else None,
            linear(f"{_EMBEDDINGS}.word_embeddings.projections"),
            norm(f"{_EMBEDDINGS}.LayerNorm"),
            tuple(layer(index) for index in range(shape.layers)),
            linear("bert.pooler.dense"),
            linear("classifier"),
        )


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Shapes of a classifier's tensors by name."""
    return classifier_shapes(
        vocabulary=shape.vocabulary,
        projections=shape.projections,
        window=shape.window,
        hidden=shape.hidden,
        intermediate=shape.intermediate,
        layers=shape.layers,
        positions=shape.positions,
        types=shape.types,
    )


def check_tensors(shape: Shape, tensors: Mapping[str, NDArray[Any]]) -> None:
    """See that a checkpoint's tensors are those of its config, all finite floats.

    Raises:
        ValueError: naming the tensor.
    """
    for name, size in tensor_shapes(shape).items():
        if name not in tensors:
            raise ValueError(f"the tensor {name} is missing")
        found = tensors[name]
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.dtype.itemsize > 8:
            raise ValueError(f"{name} is no array of floats")
        if found.shape != size:
            raise ValueError(f"{name} has the shape {list(found.shape)}, the config asks for {list(size)}")
        if not np.isfinite(found).all() or (found.dtype.itemsize == 8 and np.abs(found).max() > 3.4e38):
            raise ValueError(f"{name} holds numbers that are not finite in float32")


@dataclass(frozen=True)
class LastLayer:
    """The last layer as [CLS] alone goes through it, with two products of two matrices made beforehand.

    [CLS] is at place 0, where nothing turns, and belongs to no text. So of its query the numbers that do not
    rotate meet the tokens through one matrix, query · key, with nothing of the segment numbers; and the mean
    token that a head sees goes through one matrix, value · output.

    Attributes:
        query: hidden to, of each head, ``padded(hidden)`` numbers that meet the tokens; then, of each head,
            the ``rotary`` numbers that meet the keys'.
        key: hidden to the rotating numbers of each head's key.
        output: of each head ``padded(hidden)`` numbers, to hidden.
    """

    query: Linear
    key: Linear
    output: Linear

    @classmethod
    def of(cls, shape: Shape, layer: Layer) -> LastLayer:
        """Multiply in float64, round once."""
        heads, size, hidden = shape.heads, shape.head, shape.hidden

        def split(linear: Linear) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            weight, bias = (array.astype(np.float64) for array in (linear.weight, linear.bias))
            return weight.reshape(heads, size, hidden), bias.reshape(heads, size)

        (query, query_bias), (key, key_bias), (value, value_bias) = map(
            split, (layer.query, layer.key, layer.value)
        )
        still, turning = slice(0, size - shape.rotary - shape.segment), slice(size - shape.rotary, size)
        through = np.zeros((heads, padded(hidden), hidden))
        through_bias = np.zeros((heads, padded(hidden)))
        through[:, :hidden] = np.einsum("hdk,hdq->hkq", key[:, still], query[:, still])
        through_bias[:, :hidden] = np.einsum("hdk,hd->hk", key[:, still], query_bias[:, still])
        out = layer.output.weight.astype(np.float64).reshape(hidden, heads, size)
        output = np.zeros((hidden, heads, padded(hidden)))
        output[:, :, :hidden] = np.einsum("ohd,hdk->ohk", out, value)
        output_bias = layer.output.bias + np.einsum("ohd,hd->o", out, value_bias)

        def flat(*parts: NDArray[np.float64]) -> FloatArray:
            return np.concatenate([part.reshape(-1, hidden) for part in parts]).astype(np.float32)

        return cls(
            Linear(
                flat(through, query[:, turning]),
                np.concatenate([through_bias.ravel(), query_bias[:, turning].ravel()]).astype(np.float32),
            ),
            Linear(flat(key[:, turning]), key_bias[:, turning].ravel().astype(np.float32)),
            Linear(output.reshape(hidden, -1).astype(np.float32), output_bias.astype(np.float32)),
        )
