"""The native engine's library, and the structures of model.h, filled only with checked values.

The library is compiled when the package is built, if there is a C compiler. The build writes its SHA-256
next to it. A library with another digest is not loaded: a truncated one would crash the process.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.models.checksums import digest_file, verify_digest
from beam_sts.scoring.engine import structs
from beam_sts.scoring.engine.packing import BFLOAT16, FLOAT32, INT8, Packed, aligned, filled
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.structs import I64, POINTER
from beam_sts.scoring.engine.weights import FloatArray, LastLayer, Layer, Linear, Norm, Weights, padded

log = logging.getLogger(__name__)

_VERSION = 4  # of engine.c; the library of an editable installation may be older than this file
_MOST_PROJECTED = 1 << 25  # bytes
LEVELS = ("plain", "avx2", "avx512", "amx")


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
class Texts:
    """Tokens of texts that are in several pairs; the last row is [CLS].

    Attributes:
        hidden: inputs of the first layer, float32 of shape (tokens + 1, padded(hidden)).
        qkv: queries, keys and values of the first layer, float32 of shape (tokens + 1, padded(3 * hidden)).
    """

    hidden: FloatArray
    qkv: FloatArray

    @classmethod
    def empty(cls, shape: Shape, tokens: int) -> Texts:
        """Uninitialised arrays for ``tokens`` tokens and [CLS]."""
        return cls(
            np.empty((tokens + 1, padded(shape.hidden)), dtype=np.float32),
            np.empty((tokens + 1, padded(3 * shape.hidden)), dtype=np.float32),
        )


@dataclass(frozen=True)
class Pairs:
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
    temperature: FloatArray | None
    rotary: FloatArray
    texts: Texts | None = None
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.kept.shape[1])


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

    def _build(self, weights: Weights, special: tuple[int, int, int], kind: int, level: int) -> structs.Model:
        shape, hidden = self._shape, padded(self._shape.hidden)
        last = LastLayer.of(shape, weights.layers[-1])
        layers = [self._layer(layer, kind) for layer in weights.layers[:-1]]
        model = structs.Model(
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
            token_types=None if weights.types is None else self._keep(filled(weights.types, hidden)),
            positions=None if weights.positions is None else self._keep(filled(weights.positions, hidden)),
            projected=self._projected(weights),
            projection=self._linear(weights.projection, kind),
            norm=self._norm(weights.norm),
            layers=len(layers),
            layer=(structs.Layer * len(layers))(*layers),
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

    def _layer(self, layer: Layer, kind: int) -> structs.Layer:
        return structs.Layer(
            self._linear(layer.qkv, kind),
            self._linear(layer.output, kind),
            self._norm(layer.attention_norm),
            self._linear(layer.up, kind),
            self._linear(layer.down, kind),
            self._norm(layer.norm),
        )

    def _linear(self, linear: Linear, kind: int) -> structs.Linear:
        packed = Packed.of(linear, kind, self._panel)
        scales = (None if array is None else self._keep(array) for array in (packed.scale, packed.sums))
        return structs.Linear(
            packed.inner,
            packed.outer,
            packed.kind,
            self._keep(packed.panels),
            self._keep(packed.bias),
            *scales,
        )

    def _norm(self, norm: Norm) -> structs.Norm:
        width = padded(self._shape.hidden)
        return structs.Norm(*(self._keep(filled(numbers, width)) for numbers in (norm.weight, norm.bias)))

    def _keep(self, array: NDArray[Any]) -> int:
        array = aligned(array)
        self._kept.append(array)
        return address(array)

    def logits(self, pairs: Pairs) -> FloatArray:
        """Logits of a micro-batch, float32 of shape (pairs,).

        Raises:
            ValueError: an array does not fit; the check is before the native call.
            MemoryError: the engine cannot allocate its memory.
        """
        self.check(pairs)
        logits = np.empty(len(pairs), dtype=np.float32)
        texts = pairs.texts
        batch = structs.Batch(
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

    def check(self, pairs: Pairs) -> None:
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

    def embed(self, ids: TokenIds, owners: NDArray[np.int32], texts: Texts, start: int) -> None:
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


def _two(rows: NDArray[np.int64]) -> Any:
    return (POINTER * 2)(address(rows[0]), address(rows[1]))


def supported_kinds(library: Any, level: int) -> set[int]:
    """The types of numbers that an instruction set can multiply on this CPU."""
    mask = int(library.beam_sts_kinds(I64(level)))
    return {kind for kind in (FLOAT32, BFLOAT16, INT8) if mask >> kind & 1}


def open_library(path: Path) -> Any:
    """Load the library of an engine.

    Raises:
        OSError: the file cannot be read or loaded.
        ValueError: the library has another version.
        AttributeError: the library is not an engine.
    """
    library = ctypes.CDLL(str(path))
    for name in ("version", "level", "panel", "kinds"):
        getattr(library, f"beam_sts_{name}").restype = I64
    if library.beam_sts_version() != _VERSION:
        raise ValueError(f"it has version {library.beam_sts_version()}, not {_VERSION}")
    library.beam_sts_panel.argtypes = library.beam_sts_kinds.argtypes = (I64,)
    return library


@functools.cache
def installed_library() -> Any | None:
    """This installation's engine; None, with a warning, if there is none or it is damaged."""
    path = Path(__file__).with_suffix(".library")
    if not path.exists() and not digest_file(path).exists():
        log.warning(
            "beam_sts was installed without a C compiler: scoring runs in NumPy, which is much slower. "
            "Install a C compiler, then beam_sts again."
        )
        return None
    try:
        verify_digest(path)
        return open_library(path)
    except (OSError, AttributeError, ValueError) as error:
        log.warning(
            "The engine %s cannot be used: %s. Scoring runs in NumPy, which is much slower. "
            "Install beam_sts again.",
            path,
            error,
        )
        return None
