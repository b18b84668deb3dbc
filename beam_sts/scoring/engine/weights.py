"""A model's weights as the engine needs them: all in float32, some joined or multiplied beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array
from beam_sts.models.tensors import classifier_shapes
from beam_sts.scoring.engine.shape import Shape

_EMBEDDINGS = "bert.embeddings"
_TABLE = f"{_EMBEDDINGS}.word_embeddings.embeddings.weight"


def padded(width: int) -> int:
    """The width of a row in memory: rounded up to whole vectors of the widest kind (16 numbers)."""
    return -(-width // 16) * 16


@dataclass(frozen=True)
class Linear:
    """A matrix of shape (outputs, inputs) and a bias of shape (outputs,)."""

    weight: Float32Array
    bias: Float32Array


@dataclass(frozen=True)
class Norm:
    """Weight and bias of a layer normalisation, of shape (hidden,) each."""

    weight: Float32Array
    bias: Float32Array


@dataclass(frozen=True)
class Layer:
    """A transformer layer. ``query`` includes the factor of attention, 1 / sqrt(size of a head)."""

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
        norm: normalisation of the embeddings.
        layers: transformer layers.
        pooler: dense layer on [CLS], followed by tanh.
        classifier: dense layer with one output, the logit.
    """

    table: Float32Array
    types: Float32Array | None
    positions: Float32Array | None
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
            ValueError: a tensor is missing or does not fit; the message names it. Nothing is copied before
                the check.
        """
        check_shapes(shape, tensors)

        def take(name: str) -> Float32Array:
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


def check_shapes(shape: Shape, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Check that a checkpoint's tensors have the shapes of its config and are finite floats.

    Args:
        shape: the model's sizes.
        tensors: arrays by their names in the checkpoint.

    Raises:
        ValueError: a tensor is missing or does not fit; the message names it.
    """
    for name, size in tensor_shapes(shape).items():
        if name not in tensors:
            raise ValueError(f"the tensor {name} is missing")
        found = tensors[name]
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.dtype.itemsize > 8:
            raise ValueError(f"{name} is not an array of floats")
        if found.shape != size:
            raise ValueError(f"{name} has the shape {list(found.shape)}, the config requires {list(size)}")
        if not np.isfinite(found).all() or (found.dtype.itemsize == 8 and np.abs(found).max() > 3.4e38):
            raise ValueError(f"{name} has numbers that are not finite in float32")


@dataclass(frozen=True)
class LastLayer:
    """The last layer for [CLS] alone, with two products of two matrices computed beforehand.

    [CLS] is at position 0, where the rotation is the identity, and belongs to no text, so its segment
    dimensions are 0. The other dimensions of its query that do not rotate are multiplied with the tokens
    through one matrix, query · key. The mean of the tokens, weighted by a head's attention, is multiplied by
    one matrix, value · output.

    Attributes:
        query: from hidden to ``padded(hidden)`` numbers for each head, which are multiplied with the tokens;
            then ``rotary`` numbers for each head, which are multiplied with those of the keys.
        key: from hidden to the rotary dimensions of each head's key.
        output: from ``padded(hidden)`` numbers for each head to hidden.
    """

    query: Linear
    key: Linear
    output: Linear

    @classmethod
    def of(cls, shape: Shape, layer: Layer) -> LastLayer:
        """Compute the products in float64 and round them once.

        Args:
            shape: the model's sizes.
            layer: the last layer.
        """
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

        def flat(*parts: NDArray[np.float64]) -> Float32Array:
            return np.concatenate([part.reshape(-1, hidden) for part in parts]).astype(np.float32)

        with np.errstate(over="ignore"):  # the scores of such a model are not finite, and it is refused
            return cls(
                Linear(
                    flat(through, query[:, turning]),
                    np.concatenate([through_bias.ravel(), query_bias[:, turning].ravel()]).astype(np.float32),
                ),
                Linear(flat(key[:, turning]), key_bias[:, turning].ravel().astype(np.float32)),
                Linear(output.reshape(hidden, -1).astype(np.float32), output_bias.astype(np.float32)),
            )
