"""A model in the native engine: the structures of model.h, filled only with checked values."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array
from beam_sts.scoring.engine import structs
from beam_sts.scoring.engine.batch import PairBatch, SharedTexts, TokenIds, address, check_array
from beam_sts.scoring.engine.library import LEVELS, supported_kinds
from beam_sts.scoring.engine.packing import FLOAT32, Packed, aligned, zero_padded
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.structs import I64, POINTER
from beam_sts.scoring.engine.weights import LastLayer, Layer, Linear, Norm, Weights, padded

_MOST_PROJECTED = 1 << 25  # bytes


class Native:
    """A model in the native engine. Safe to call from several threads.

    Args:
        library: the loaded engine.
        shape: the model's sizes.
        weights: its weights.
        special: token ids of [CLS], and of [SEP] after the first and after the second text.
        kind: type of the numbers that are multiplied: ``FLOAT32``, ``BFLOAT16`` or ``INT8``.
        level: instruction set, an index of ``LEVELS``; None: the best of this CPU.

    Raises:
        ValueError: this CPU lacks the instruction set or its instructions for the type, or a special token is
            not in the vocabulary.
    """

    def __init__(
        self,
        library: Any,
        shape: Shape,
        weights: Weights,
        special: tuple[int, int, int],
        kind: int = FLOAT32,
        level: int | None = None,
    ) -> None:
        best = library.beam_sts_level()
        level = best if level is None else level
        if not 0 <= level <= best:
            raise ValueError(f"instruction set {level} is not one of 0 to {best}, which this CPU has")
        if kind not in supported_kinds(library, level):
            raise ValueError(f"the instruction set {LEVELS[level]} cannot multiply numbers of type {kind}")
        if not all(0 <= token < shape.vocabulary for token in special):
            raise ValueError(
                f"special tokens {special} are not all in the vocabulary of {shape.vocabulary} tokens"
            )
        self._library, self._shape = library, shape
        self._kept: list[Any] = []  # keeps the arrays of all pointers alive
        self._panel = int(library.beam_sts_panel(level))
        self._model = self._build(weights, special, kind, level)

    def _build(
        self, weights: Weights, special: tuple[int, int, int], kind: int, level: int
    ) -> structs.CModel:
        shape, hidden = self._shape, padded(self._shape.hidden)
        last = LastLayer.of(shape, weights.layers[-1])
        layers = [self._layer(layer, kind) for layer in weights.layers[:-1]]
        model = structs.CModel(
            kind=kind,
            level=level,
            hidden=shape.hidden,
            heads=shape.heads,
            intermediate=shape.intermediate,
            projections=shape.projections,
            window=shape.window,
            rotary=shape.rotary,
            segment=shape.segment,
            cls=special[0],
            sep_a=special[1],
            sep_b=special[2],
            eps=shape.eps,
            table=self._keep(weights.table),
            token_types=None if weights.types is None else self._keep(zero_padded(weights.types, hidden)),
            positions=None
            if weights.positions is None
            else self._keep(zero_padded(weights.positions, hidden)),
            projected=self._projected(weights),
            projection=self._linear(weights.projection, kind),
            norm=self._norm(weights.norm),
            layers=len(layers),
            layer=(structs.CLayer * len(layers))(*layers),
            last_query=self._linear(last.query, FLOAT32),
            last_key=self._linear(last.key, kind),
            last_output=self._linear(last.output, FLOAT32),
            last=self._layer(weights.layers[-1], FLOAT32),
            pooler=self._linear(weights.pooler, FLOAT32),
            classifier=self._linear(weights.classifier, FLOAT32),
        )
        return model

    def _projected(self, weights: Weights) -> int | None:
        """The projection of each row of the table at each place of a window; None where that is large."""
        shape, width = self._shape, padded(self._shape.hidden)
        if 4 * shape.vocabulary * shape.window * width > _MOST_PROJECTED:
            return None
        table, matrix = weights.table, weights.projection.weight.reshape(shape.hidden, shape.window, -1)
        projected = np.zeros((shape.vocabulary, shape.window, width), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # the scores say so
            for place in range(shape.window):
                np.matmul(table, matrix[:, place].T, out=projected[:, place, : shape.hidden])
        return self._keep(projected)

    def _layer(self, layer: Layer, kind: int) -> structs.CLayer:
        return structs.CLayer(
            self._linear(layer.qkv, kind),
            self._linear(layer.output, kind),
            self._norm(layer.attention_norm),
            self._linear(layer.up, kind),
            self._linear(layer.down, kind),
            self._norm(layer.norm),
        )

    def _linear(self, linear: Linear, kind: int) -> structs.CLinear:
        packed = Packed.of(linear, kind, self._panel)
        scales = (None if array is None else self._keep(array) for array in (packed.scale, packed.sums))
        return structs.CLinear(
            packed.inner,
            packed.outer,
            packed.kind,
            self._keep(packed.panels),
            self._keep(packed.bias),
            *scales,
        )

    def _norm(self, norm: Norm) -> structs.CNorm:
        width = padded(self._shape.hidden)
        return structs.CNorm(
            *(self._keep(zero_padded(numbers, width)) for numbers in (norm.weight, norm.bias))
        )

    def _keep(self, array: NDArray[Any]) -> int:
        array = aligned(array)
        self._kept.append(array)
        return address(array)

    def logits(self, pairs: PairBatch) -> Float32Array:
        """Logits of a micro-batch, float32 of shape (pairs,).

        Raises:
            ValueError: an array does not fit; the check is before the native call.
            MemoryError: the engine cannot allocate its memory.
        """
        self.check(pairs)
        logits = np.empty(len(pairs), dtype=np.float32)
        texts = pairs.texts
        batch = structs.CBatch(
            pairs=len(pairs),
            longest=int(pairs.kept.sum(axis=0).max()) + 3,
            ids=address(pairs.ids.array),
            start=_two(pairs.starts),
            kept=_two(pairs.kept),
            temperature=None if pairs.temperature is None else address(pairs.temperature),
            rotary=address(pairs.rotary),
            text_hidden=None if texts is None else address(texts.hidden),
            text_qkv=None if texts is None else address(texts.qkv),
            text_row=(None, None) if pairs.rows is None else _two(pairs.rows),
            cls_row=0 if texts is None else len(texts.hidden) - 1,
            logits=address(logits),
        )
        if self._library.beam_sts_forward(ctypes.byref(self._model), ctypes.byref(batch)):
            raise MemoryError(f"the engine cannot allocate memory for a micro-batch of {len(pairs)} pairs")
        return logits

    def check(self, pairs: PairBatch) -> None:
        """Check that the arrays of a micro-batch fit each other and the model.

        Raises:
            ValueError: one does not; the message names it.
        """
        shape = self._shape
        check_array("kept", pairs.kept, (2, None), np.int64)
        count = len(pairs)
        if count < 1:
            raise ValueError("the micro-batch is empty")
        check_array("starts", pairs.starts, (2, count), np.int64)
        if not isinstance(pairs.ids, TokenIds) or pairs.ids.vocabulary > shape.vocabulary:
            raise ValueError(f"token ids are not checked against the vocabulary of {shape.vocabulary} tokens")
        most = int(pairs.kept.max())
        if pairs.kept.min() < 0 or most > len(pairs.ids):
            raise ValueError(f"texts keep from {pairs.kept.min()} to {most} of {len(pairs.ids)} tokens")
        # Each number is checked before the sum, which could overflow.
        if pairs.starts.min() < 0 or max(pairs.starts.max(), (pairs.starts + pairs.kept).max()) > len(
            pairs.ids
        ):
            raise ValueError(f"texts start at {pairs.starts.min()} or end beyond {len(pairs.ids)} tokens")
        longest = int(pairs.kept.sum(axis=0).max()) + 3
        if shape.positions and longest > shape.positions:
            raise ValueError(f"a pair has {longest} tokens, but the model has {shape.positions} positions")
        check_array("rotary", pairs.rotary, (None, shape.rotary), np.float32)
        if shape.rotary and most + 2 > len(pairs.rotary):
            raise ValueError(f"a text has {most} tokens, but rotary factors are for {len(pairs.rotary)}")
        if pairs.temperature is not None:
            check_array("temperature", pairs.temperature, (count,), np.float32)
        if pairs.texts is None:
            return
        if not shape.segment or pairs.rows is None or shape.layers < 2:
            raise ValueError("this model's first layer depends on the pair, so texts cannot be shared")
        rows = len(pairs.texts.hidden)
        check_array("hidden", pairs.texts.hidden, (rows, padded(shape.hidden)), np.float32)
        check_array("qkv", pairs.texts.qkv, (rows, padded(3 * shape.hidden)), np.float32)
        check_array("rows", pairs.rows, (2, count), np.int64)
        if pairs.rows.min() < 0 or max(pairs.rows.max(), (pairs.rows + pairs.kept).max() + 1) >= rows:
            raise ValueError(f"texts start at row {pairs.rows.min()} or end beyond {rows} rows")

    def embed(self, ids: TokenIds, owners: NDArray[np.int32], texts: SharedTexts, start: int) -> None:
        """Compute the first layer's inputs, queries, keys and values of texts, and write them to ``texts``.

        Args:
            ids: token ids of the texts, each with its [SEP].
            owners: int32 of shape (tokens,): equal for the tokens of a text, different for neighbouring
                texts.
            texts: the arrays to write to.
            start: the first row to write.

        Raises:
            ValueError: an array does not fit; the check is before the native call.
            MemoryError: the engine cannot allocate its memory.
        """
        shape, count = self._shape, len(ids)
        if not shape.segment or shape.layers < 2:
            raise ValueError("this model's first layer depends on the pair, so texts cannot be shared")
        if not isinstance(ids, TokenIds) or ids.vocabulary > shape.vocabulary or not count:
            raise ValueError(f"token ids are not checked against the vocabulary of {shape.vocabulary} tokens")
        check_array("owners", owners, (count,), np.int32)
        rows = len(texts.hidden)
        check_array("hidden", texts.hidden, (rows, padded(shape.hidden)), np.float32)
        check_array("qkv", texts.qkv, (rows, padded(3 * shape.hidden)), np.float32)
        if start < 0 or start + count > rows:
            raise ValueError(f"rows {start} to {start + count} do not fit the table of {rows} rows")
        if self._library.beam_sts_texts(
            ctypes.byref(self._model),
            I64(count),
            POINTER(address(ids.array)),
            POINTER(address(owners)),
            POINTER(address(texts.hidden[start:])),
            POINTER(address(texts.qkv[start:])),
        ):
            raise MemoryError(f"the engine cannot allocate memory for {count} tokens of texts")


def _two(rows: NDArray[np.int64]) -> Any:
    return (POINTER * 2)(address(rows[0]), address(rows[1]))
