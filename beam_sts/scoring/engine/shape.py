"""The sizes of a BERT-hash classifier, validated: the engine derives all sizes of arrays from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LARGEST = 1 << 15


@dataclass(frozen=True)
class Shape:
    """Sizes and constants of a model.

    Attributes:
        vocabulary: rows of the token table.
        projections: columns of the token table.
        window: tokens that the projection covers; odd.
        hidden: width of a token between layers.
        heads: attention heads; each has ``hidden // heads`` dimensions.
        layers: transformer layers.
        intermediate: width of the feed-forward network.
        positions: rows of the table of absolute positions; 0 if positions are rotary.
        types: rows of the table of token types; 0 if segment dimensions separate the texts.
        rotary: the last dimensions of a head, which rotate with the token's position in its text; even.
        segment: the dimensions of a head before those, which are multiplied by the sign of the token's text.
        rotary_base: base of the rotation's wavelengths.
        sharp_length: length of a pair, in tokens, above which the attention temperature exceeds 1.
        eps: what layer normalisation adds to the variance.
    """

    vocabulary: int
    projections: int
    window: int
    hidden: int
    heads: int
    layers: int
    intermediate: int
    positions: int
    types: int
    rotary: int
    segment: int
    rotary_base: float
    sharp_length: int
    eps: float

    @classmethod
    def of(cls, config: Any) -> Shape:
        """The shape that a config describes.

        Args:
            config: an object with the keys of a BERT-hash config.json as attributes.

        Raises:
            ValueError: a value is out of range; the message names the key, the value and the range.
        """
        rotary = _whole(config, "rotary_dims", 0, 1 << 12)
        segment = _whole(config, "segment_dims", 0, 1 << 12)
        shape = cls(
            vocabulary=_whole(config, "vocab_size", 1, 1 << 22),
            projections=_whole(config, "projections", 1, _LARGEST),
            window=_whole(config, "window", 1, 255),
            hidden=_whole(config, "hidden_size", 1, _LARGEST),
            heads=_whole(config, "num_attention_heads", 1, 1024),
            layers=_whole(config, "num_hidden_layers", 1, 512),
            intermediate=_whole(config, "intermediate_size", 1, 1 << 18),
            positions=0 if rotary else _whole(config, "max_position_embeddings", 1, 1 << 24),
            types=0 if segment else _whole(config, "type_vocab_size", 1, 1 << 10),
            rotary=rotary,
            segment=segment,
            rotary_base=_number(config, "rotary_base", 1.0, 1e12),
            sharp_length=_whole(config, "sharp_length", 2, 1 << 24),
            eps=_number(config, "layer_norm_eps", 0.0, 1.0),
        )
        for problem in shape._problems():
            raise ValueError(problem)
        return shape

    @property
    def head(self) -> int:
        """Dimensions of a head."""
        return self.hidden // self.heads

    def _problems(self) -> Iterator[str]:
        if self.hidden % self.heads:
            yield f"hidden_size {self.hidden} is not a multiple of num_attention_heads {self.heads}"
        if self.window % 2 == 0:
            yield f"window {self.window} is even; it must be odd"
        if self.rotary % 2:
            yield f"rotary_dims {self.rotary} is odd; it must be even"
        if self.rotary + self.segment > self.head:
            yield f"rotary_dims {self.rotary} and segment_dims {self.segment} exceed a head of {self.head}"
        if self.segment and not self.rotary:
            yield f"segment_dims {self.segment} needs rotary positions, but rotary_dims is 0"


def _whole(config: Any, key: str, low: int, high: int) -> int:
    value = getattr(config, key)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{key} {value!r} is not a whole number from {low:,} to {high:,}")
    return value


def _number(config: Any, key: str, low: float, high: float) -> float:
    value = getattr(config, key)
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{key} {value!r} is not a number from {low:,} to {high:,}")
    return float(value)
