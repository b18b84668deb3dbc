"""The native engine's library, and the structures of model.h with every number in them checked.

The library is compiled when the package is installed, if there is a C compiler. The build writes its SHA-256
beside it, and a library that differs from it is not loaded: cut short, it would end the process.
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
from beam_sts.scoring.engine.packing import BFLOAT16, FLOAT32, INT8, Packed, aligned, filled
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import FloatArray, LastLayer, Layer, Linear, Norm, Weights, padded

log = logging.getLogger(__name__)

_VERSION = 3  # of engine.c: an editable installation may have compiled an older one
LEVELS = ("plain", "avx2", "avx512", "amx")
_I64, _POINTER = ctypes.c_int64, ctypes.c_void_p


class _Linear(ctypes.Structure):
    _fields_ = (
        *((name, _I64) for name in ("inner", "outer", "kind")),
        *((name, _POINTER) for name in ("panels", "bias", "scale", "sums")),
    )


class _Norm(ctypes.Structure):
    _fields_ = (("weight", _POINTER), ("bias", _POINTER))


class _Layer(ctypes.Structure):
    _fields_ = (
        ("qkv", _Linear),
        ("output", _Linear),
        ("attention_norm", _Norm),
        ("up", _Linear),
        ("down", _Linear),
        ("norm", _Norm),
    )


class _Model(ctypes.Structure):
    _sizes = ("level", "hidden", "heads", "intermediate", "projections", "window", "rotary", "segment")
    _fields_ = (
        *((name, _I64) for name in (*_sizes, "cls", "sep_a", "sep_b")),
        ("eps", ctypes.c_float),
        *((name, _POINTER) for name in ("table", "token_types", "positions")),
        ("projection", _Linear),
        ("norm", _Norm),
        ("layers", _I64),
        ("layer", ctypes.POINTER(_Layer)),
        ("last_query", _Linear),
        ("last_key", _Linear),
        ("last_output", _Linear),
        ("last", _Layer),
        ("pooler", _Linear),
        ("classifier", _Linear),
    )


class _Batch(ctypes.Structure):
    _fields_ = (
        ("pairs", _I64),
        ("longest", _I64),
        ("ids", _POINTER),
        ("start", _POINTER * 2),
        ("kept", _POINTER * 2),
        ("temperature", _POINTER),
        ("rotary", _POINTER),
        ("text_hidden", _POINTER),
        ("text_qkv", _POINTER),
        ("text_row", _POINTER * 2),
        ("cls_row", _I64),
        ("logits", _POINTER),
    )


class TokenIds:
    """Token ids of all texts, end to end, each within a vocabulary; checked once, then not to be changed.

    Args:
        ids: whole numbers of shape (tokens,).
        vocabulary: what they are below.

    Raises:
        ValueError: one is not.
    """

    def __init__(self, ids: NDArray[Any], vocabulary: int) -> None:
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(f"token ids hold {ids.dtype} of shape {ids.shape}, not whole numbers in a row")
        if len(ids) and not 0 <= ids.min() <= ids.max() < vocabulary:
            raise ValueError(f"token ids {ids.min()} to {ids.max()}, the model has {vocabulary}")
        self.array: NDArray[np.int32] = np.array(ids, dtype=np.int32, order="C")
        self.array.flags.writeable = False
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True)
class Texts:
    """Tokens of texts that recur, after the embedding and the first layer's product; the last row is [CLS].

    Attributes:
        hidden: float32 of shape (tokens + 1, padded(hidden)).
        qkv: float32 of shape (tokens + 1, padded(3 * hidden)).
    """

    hidden: FloatArray
    qkv: FloatArray

    @classmethod
    def empty(cls, shape: Shape, tokens: int) -> Texts:
        """Room for so many tokens and [CLS]."""
        return cls(
            np.empty((tokens + 1, padded(shape.hidden)), dtype=np.float32),
            np.empty((tokens + 1, padded(3 * shape.hidden)), dtype=np.float32),
        )


@dataclass(frozen=True)
class Pairs:
    """A micro-batch.

    Attributes:
        ids: token ids of all texts.
        starts: where in ``ids`` the pairs' first and second texts start, int64 of shape (2, pairs).
        kept: how many tokens of each are kept, of the same shape.
        temperature: factor of each pair's queries, float32 of shape (pairs,); None where all are 1.
        rotary: cosines, then sines, by place, float32 of shape (places, rotary).
        texts: the tokens of texts that recur, or None.
        rows: where in ``texts`` the pairs' first and second texts start, int64 of shape (2, pairs).
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
        kind: type of the numbers that are multiplied.
        level: an index of ``LEVELS``; default: the best one of this CPU.
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
            raise ValueError(f"type {kind} cannot be multiplied by the instruction set {LEVELS[level]}")
        if not all(0 <= token < shape.vocabulary for token in special):
            raise ValueError(
                f"special tokens {special} are not all within a vocabulary of {shape.vocabulary}"
            )
        self._library, self._shape = library, shape
        self._kept: list[Any] = []  # what the pointers point at
        self._panel = int(library.beam_sts_panel(level))
        self._model = self._build(weights, special, kind, level)

    def _build(self, weights: Weights, special: tuple[int, int, int], kind: int, level: int) -> _Model:
        shape, hidden = self._shape, padded(self._shape.hidden)
        last = LastLayer.of(shape, weights.layers[-1])
        layers = [self._layer(layer, kind) for layer in weights.layers[:-1]]
        model = _Model(
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
            projection=self._linear(weights.projection, kind),
            norm=self._norm(weights.norm),
            layers=len(layers),
            layer=(_Layer * len(layers))(*layers),
            last_query=self._linear(last.query, FLOAT32),
            last_key=self._linear(last.key, kind),
            last_output=self._linear(last.output, FLOAT32),
            last=self._layer(weights.layers[-1], FLOAT32),
            pooler=self._linear(weights.pooler, FLOAT32),
            classifier=self._linear(weights.classifier, FLOAT32),
        )
        return model

    def _layer(self, layer: Layer, kind: int) -> _Layer:
        return _Layer(
            self._linear(layer.qkv, kind),
            self._linear(layer.output, kind),
            self._norm(layer.attention_norm),
            self._linear(layer.up, kind),
            self._linear(layer.down, kind),
            self._norm(layer.norm),
        )

    def _linear(self, linear: Linear, kind: int) -> _Linear:
        packed = Packed.of(linear, kind, self._panel)
        scales = (None if array is None else self._keep(array) for array in (packed.scale, packed.sums))
        return _Linear(
            packed.inner,
            packed.outer,
            packed.kind,
            self._keep(packed.panels),
            self._keep(packed.bias),
            *scales,
        )

    def _norm(self, norm: Norm) -> _Norm:
        width = padded(self._shape.hidden)
        return _Norm(*(self._keep(filled(numbers, width)) for numbers in (norm.weight, norm.bias)))

    def _keep(self, array: NDArray[Any]) -> int:
        array = aligned(array)
        self._kept.append(array)
        return address(array)

    def logits(self, pairs: Pairs) -> FloatArray:
        """Logits of a micro-batch, float32 of shape (pairs,).

        Raises:
            ValueError: something in it does not fit; no pointer has been passed then.
            MemoryError: there is no memory.
        """
        self.check(pairs)
        logits = np.empty(len(pairs), dtype=np.float32)
        texts = pairs.texts
        batch = _Batch(
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
            raise MemoryError("no memory for a micro-batch")
        return logits

    def check(self, pairs: Pairs) -> None:
        """See that a micro-batch fits itself and the model.

        Raises:
            ValueError: naming what does not.
        """
        shape = self._shape
        check_array("kept", pairs.kept, (2, None), np.int64)
        count = len(pairs)
        if count < 1:
            raise ValueError("a micro-batch of no pairs")
        check_array("starts", pairs.starts, (2, count), np.int64)
        if not isinstance(pairs.ids, TokenIds) or pairs.ids.vocabulary > shape.vocabulary:
            raise ValueError(f"token ids are not checked against a vocabulary of {shape.vocabulary}")
        most = int(pairs.kept.max())
        if pairs.kept.min() < 0 or most > len(pairs.ids):
            raise ValueError(f"pairs keep {pairs.kept.min()} to {most} of {len(pairs.ids)} tokens")
        # Numbers are known to be small before they are added up.
        if pairs.starts.min() < 0 or max(pairs.starts.max(), (pairs.starts + pairs.kept).max()) > len(
            pairs.ids
        ):
            raise ValueError(f"texts start at {pairs.starts.min()} or end beyond {len(pairs.ids)} tokens")
        longest = int(pairs.kept.sum(axis=0).max()) + 3
        if shape.positions and longest > shape.positions:
            raise ValueError(f"a pair of {longest} tokens, the model has {shape.positions} positions")
        check_array("rotary", pairs.rotary, (None, shape.rotary), np.float32)
        if shape.rotary and most + 2 > len(pairs.rotary):
            raise ValueError(f"a text of {most} tokens, rotary factors of {len(pairs.rotary)} places")
        if pairs.temperature is not None:
            check_array("temperature", pairs.temperature, (count,), np.float32)
        if pairs.texts is None:
            return
        if not shape.segment or pairs.rows is None or shape.layers < 2:
            raise ValueError("texts of a model whose first layer depends on the pair")
        rows = len(pairs.texts.hidden)
        check_array("hidden", pairs.texts.hidden, (rows, padded(shape.hidden)), np.float32)
        check_array("qkv", pairs.texts.qkv, (rows, padded(3 * shape.hidden)), np.float32)
        check_array("rows", pairs.rows, (2, count), np.int64)
        if pairs.rows.min() < 0 or max(pairs.rows.max(), (pairs.rows + pairs.kept).max() + 1) >= rows:
            raise ValueError(f"texts start at row {pairs.rows.min()} or end beyond {rows} rows")

    def embed(self, ids: TokenIds, owners: NDArray[np.int32], texts: Texts, start: int) -> None:
        """Write tokens of texts that recur to rows of ``texts``.

        Args:
            ids: token ids of the texts, each with its [SEP].
            owners: the same number for all tokens of a text and another for its neighbours', (tokens,).
            texts: where to write.
            start: the first row.

        Raises:
            ValueError: something does not fit; no pointer has been passed then.
            MemoryError: there is no memory.
        """
        shape, count = self._shape, len(ids)
        if not shape.segment or shape.layers < 2:
            raise ValueError("texts of a model whose first layer depends on the pair")
        if not isinstance(ids, TokenIds) or ids.vocabulary > shape.vocabulary or not count:
            raise ValueError(f"token ids are not checked against a vocabulary of {shape.vocabulary}")
        check_array("owners", owners, (count,), np.int32)
        rows = len(texts.hidden)
        check_array("hidden", texts.hidden, (rows, padded(shape.hidden)), np.float32)
        check_array("qkv", texts.qkv, (rows, padded(3 * shape.hidden)), np.float32)
        if start < 0 or start + count > rows:
            raise ValueError(f"rows {start} to {start + count} of {rows}")
        if self._library.beam_sts_texts(
            ctypes.byref(self._model),
            _I64(count),
            _POINTER(address(ids.array)),
            _POINTER(address(owners)),
            _POINTER(address(texts.hidden[start:])),
            _POINTER(address(texts.qkv[start:])),
        ):
            raise MemoryError("no memory for a block of texts")


def check_array(name: str, array: NDArray[Any], shape: Sequence[int | None], dtype: Any) -> None:
    """See that an array is of a type and shape, and its numbers end to end in memory, aligned.

    Raises:
        ValueError: naming the array.
    """
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype) or not array.dtype.isnative:
        raise ValueError(f"{name} holds {getattr(array, 'dtype', type(array))}, not {np.dtype(dtype)}")
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} has the shape {array.shape}, not {tuple(shape)}")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"the numbers of {name} are not end to end in memory, or not aligned")


def address(array: NDArray[Any]) -> int:
    """Where an array's first number is."""
    return int(array.ctypes.data)


def _two(rows: NDArray[np.int64]) -> Any:
    return (_POINTER * 2)(address(rows[0]), address(rows[1]))


def supported_kinds(library: Any, level: int) -> set[int]:
    """The types of numbers that an instruction set multiplies on this CPU."""
    mask = int(library.beam_sts_kinds(_I64(level)))
    return {kind for kind in (FLOAT32, BFLOAT16, INT8) if mask >> kind & 1}


def open_library(path: Path) -> Any:
    """Load an engine.

    Raises:
        OSError: it cannot be read or loaded.
        ValueError: it is of another version.
        AttributeError: it is something else.
    """
    library = ctypes.CDLL(str(path))
    for name in ("version", "level", "panel", "kinds"):
        getattr(library, f"beam_sts_{name}").restype = _I64
    if library.beam_sts_version() != _VERSION:
        raise ValueError(f"version {library.beam_sts_version()}, not {_VERSION}")
    library.beam_sts_panel.argtypes = library.beam_sts_kinds.argtypes = (_I64,)
    return library


@functools.cache
def installed_library() -> Any | None:
    """This installation's engine; None, with a warning, where there is none or it is damaged."""
    path = Path(__file__).with_suffix(".library")
    if not path.exists() and not digest_file(path).exists():
        log.warning("beam_sts was installed without a C compiler: scoring runs in NumPy, which is far slower")
        return None
    try:
        verify_digest(path)
        return open_library(path)
    except (OSError, AttributeError, ValueError) as error:
        log.warning("%s is not used, which is far slower: %s; install beam_sts again", path, error)
        return None
