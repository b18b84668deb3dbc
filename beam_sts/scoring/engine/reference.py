"""The forward pass in plain NumPy: the reference of the native engine's tests, and its fallback."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import Layer, Linear, Norm, Weights

Numbers = NDArray[Any]


class Reference:
    """A BERT-hash classifier that computes one pair at a time, in the steps of the model class.

    Args:
        shape: the model's sizes.
        weights: its weights.
        special: token ids of [CLS], and of [SEP] after the first and after the second text.
        dtype: type of the activations.
    """

    def __init__(
        self, shape: Shape, weights: Weights, special: tuple[int, int, int], dtype: Any = np.float32
    ) -> None:
        self._shape, self._weights, self._special, self._dtype = shape, weights, special, dtype

    def logit(self, first: NDArray[Any], second: NDArray[Any]) -> float:
        """The logit of a pair.

        Args:
            first: token ids of the first text.
            second: token ids of the second text.
        """
        shape, weights = self._shape, self._weights
        cls, sep_a, sep_b = self._special
        ids = np.array([cls, *first, sep_a, *second, sep_b])
        types = np.repeat([0, 1], [len(first) + 2, len(second) + 1])
        places = np.concatenate([np.arange(len(first) + 2), np.arange(1, len(second) + 2)])
        signs = 1 - 2 * types
        signs[0] = 0  # [CLS] belongs to no text
        hidden = _linear(weights.projection, self._windows(ids, signs))
        if weights.types is not None:
            hidden = hidden + weights.types[types]
        if weights.positions is not None:
            hidden = hidden + weights.positions[: len(ids)]
        hidden = self._norm(weights.norm, hidden)
        factors = rotary_factors(shape, len(ids))[places].astype(self._dtype)
        temperature = float(attention_temperature(shape, np.array([len(ids)]))[0])
        for layer in weights.layers:
            hidden = self._layer(layer, hidden, factors, signs, temperature)
        pooled = np.tanh(_linear(weights.pooler, hidden[:1]))
        return float(_linear(weights.classifier, pooled)[0, 0])

    def _windows(self, ids: NDArray[Any], signs: NDArray[Any]) -> Numbers:
        """Each token's row of the table and its neighbours' rows, side by side; zeros outside its text."""
        reach, count = self._shape.window // 2, len(ids)
        owners = signs if self._shape.segment else np.zeros(count)
        windows = np.zeros((count, self._shape.window, self._shape.projections), dtype=self._dtype)
        for step in range(-reach, reach + 1):
            here = np.arange(max(0, -step), min(count, count - step))
            here = here[owners[here] == owners[here + step]]
            windows[here, reach + step] = self._weights.table[ids[here + step]]
        return windows.reshape(count, -1)

    def _layer(
        self, layer: Layer, hidden: Numbers, factors: Numbers, signs: NDArray[Any], temperature: float
    ) -> Numbers:
        shape, count = self._shape, len(hidden)
        query, key, value = (
            _linear(linear, hidden).reshape(count, shape.heads, shape.head).transpose(1, 0, 2)
            for linear in (layer.query, layer.key, layer.value)
        )
        query, key = (self._placed(rows, factors, signs) for rows in (query * temperature, key))
        weights = query @ key.transpose(0, 2, 1)
        weights = np.exp(weights - weights.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        attended = (weights @ value).transpose(1, 0, 2).reshape(count, shape.hidden)
        hidden = self._norm(layer.attention_norm, hidden + _linear(layer.output, attended))
        inner: Numbers = gelu(_linear(layer.up, hidden))
        return self._norm(layer.norm, hidden + _linear(layer.down, inner))

    def _placed(self, heads: Numbers, factors: Numbers, signs: NDArray[Any]) -> Numbers:
        """Encode position and text in queries or keys, (heads, tokens, dimensions).

        The last dimensions are rotated by position; the ones before them are multiplied by the text's sign.
        """
        rotary, segment = self._shape.rotary, self._shape.segment
        heads, half = heads.copy(), rotary // 2
        start = heads.shape[2] - rotary
        heads[:, :, start - segment : start] *= signs[:, None]
        cosine, sine = factors[:, :half], factors[:, half:]
        first, second = heads[:, :, start : start + half].copy(), heads[:, :, start + half :].copy()
        heads[:, :, start : start + half] = first * cosine - second * sine
        heads[:, :, start + half :] = second * cosine + first * sine
        return heads

    def _norm(self, norm: Norm, rows: Numbers) -> Numbers:
        apart = rows - rows.mean(axis=1, keepdims=True)
        variance = (apart * apart).mean(axis=1, keepdims=True)
        result: Numbers = apart / np.sqrt(variance + self._shape.eps) * norm.weight + norm.bias
        return result.astype(self._dtype)


def rotary_factors(shape: Shape, places: int) -> NDArray[np.float32]:
    """Cosines, then sines, of the rotary angles of each position, (places, rotary).

    Angles are computed in float32, as in training. The method is RoFormer's (https://arxiv.org/abs/2104.09864).
    """
    half = shape.rotary // 2
    exponents = -np.arange(half, dtype=np.float32) / np.float32(max(half, 1))
    frequencies = (shape.rotary_base**exponents).astype(np.float32)
    angles = np.arange(places, dtype=np.float32)[:, None] * frequencies
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def attention_temperature(shape: Shape, lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """The factor of the queries of pairs, by length in tokens: it grows with the logarithm of the length."""
    if not shape.rotary:
        return np.ones(len(lengths), dtype=np.float32)
    return np.maximum(np.log(lengths) / math.log(shape.sharp_length), 1).astype(np.float32)


def gelu(x: Numbers) -> Numbers:
    """The Gaussian error linear unit: x times the standard normal distribution function of x."""
    result: Numbers = 0.5 * x * (1 + erf(x * math.sqrt(0.5)))
    return result


_GRID = np.linspace(-6, 6, 8193)
_ERF = np.array([math.erf(x) for x in _GRID])
_SLOPE = 2 / math.sqrt(math.pi) * np.exp(-_GRID * _GRID)


def erf(x: Numbers) -> Numbers:
    """The error function, to 1e-12, by cubic interpolation of its values and slopes."""
    step = _GRID[1] - _GRID[0]
    at = (np.clip(x, -6, 6).astype(np.float64) + 6) / step
    index = np.minimum(at.astype(np.int64), len(_GRID) - 2)
    t = at - index
    low, high = _ERF[index], _ERF[index + 1]
    start, end = _SLOPE[index] * step, _SLOPE[index + 1] * step
    square = 3 * (high - low) - 2 * start - end
    cube = 2 * (low - high) + start + end
    value: Numbers = low + t * (start + t * (square + t * cube))
    return value.astype(x.dtype)


def _linear(linear: Linear, rows: Numbers) -> Numbers:
    product: Numbers = rows @ linear.weight.T.astype(rows.dtype) + linear.bias.astype(rows.dtype)
    return product
