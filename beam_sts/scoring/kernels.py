"""The steps of the BERT-hash backend compiled: one pass over memory each, and without Python's lock.

``kernels.c`` is compiled when the package is installed, if there is a C compiler; it picks the instructions
(AVX-512, AVX2, plain) when it runs. Without it the same steps run in torch. The build writes the library's
SHA-256 beside it, and a library that differs from it is not loaded: cut short, it would end the process.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.models.checksums import digest_file, verify_digest
from beam_sts.scoring.hash_steps import Pairs, TorchSteps
from beam_sts.scoring.plan import IntArray

log = logging.getLogger(__name__)

# Of kernels.c: an editable installation may have compiled an older one.
_VERSION = 1
_ROW_TYPES = (torch.float32, torch.bfloat16)
# From this length on torch's attention, which goes through long pairs block by block, is as fast or faster.
_LONGEST = 1024


class _Shape(ctypes.Structure):
    """``struct shape`` of kernels.c."""

    _names = ("pairs", "longest", "rows", "heads", "size", "turning", "rotary", "places", "cls_row", "half")
    _fields_ = tuple((name, ctypes.c_int64) for name in _names)


class CompiledSteps(TorchSteps):
    """The steps in C, but for attention within long pairs; see ``TorchSteps`` for what they take and give.

    Args:
        library: the loaded ``kernels.c``.

    Raises:
        ValueError: the library was compiled from another version of it.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        if library.beam_sts_version() != _VERSION:
            raise ValueError(f"version {library.beam_sts_version()}, not {_VERSION}")

    def __reduce__(self) -> tuple[Any, ...]:
        return fastest_steps, ()

    def gather(self, table: torch.Tensor, starts: IntArray, pairs: Pairs) -> torch.Tensor:
        """See TorchSteps."""
        shape = _checked(pairs, len(table) - 1, table.dtype)
        _check_starts(starts, pairs, len(table))
        out = torch.empty(pairs.rows, pairs.heads * pairs.size, dtype=table.dtype)
        self._run(
            "gather",
            ctypes.byref(shape),
            _at("table", table, (None, out.shape[1]), _ROW_TYPES),
            _at("starts", starts, (2, len(pairs)), np.int64),
            _at("out", out, tuple(out.shape), table.dtype),
            *_places(pairs),
        )
        return out

    def attend(self, qkv: torch.Tensor, starts: IntArray | None, pairs: Pairs) -> torch.Tensor:
        """See TorchSteps."""
        shape = _checked(pairs, len(qkv) - 1, qkv.dtype)
        if pairs.longest > _LONGEST:
            return super().attend(qkv, starts, pairs)
        hidden, count = pairs.heads * pairs.size, len(pairs)
        texts = None
        if starts is None:
            _check_rows("qkv", len(qkv), pairs.tokens)
        else:
            _check_starts(starts, pairs, len(qkv))
            texts = _at("starts", starts, (2, count), np.int64)
        out = torch.empty(pairs.rows, hidden, dtype=qkv.dtype)
        sharpness = pairs.sharpness
        self._run(
            "attend",
            ctypes.byref(shape),
            _at("qkv", qkv, (None, 3 * hidden), _ROW_TYPES),
            texts,
            _at("out", out, (pairs.rows, hidden), qkv.dtype),
            *_places(pairs),
            _at_turns(pairs),
            None if sharpness is None else _at("sharpness", sharpness, (count,), np.float32),
        )
        return out

    def first(
        self, hidden: torch.Tensor, keys: torch.Tensor, queries: torch.Tensor, pairs: Pairs
    ) -> torch.Tensor:
        """See TorchSteps."""
        shape = _checked(pairs, len(hidden) - 1, hidden.dtype)
        width, heads = pairs.heads * pairs.size, pairs.heads
        _check_rows("hidden", len(hidden), pairs.tokens)
        _check_rows("keys", len(keys), pairs.tokens)
        out = torch.empty(len(pairs), heads * width)
        self._run(
            "first",
            ctypes.byref(shape),
            _at("hidden", hidden, (None, width), _ROW_TYPES),
            _at("keys", keys, (None, heads * pairs.rotary), hidden.dtype),
            _at("queries", queries, (len(pairs), heads * (width + pairs.rotary)), torch.float32),
            _at("out", out, tuple(out.shape), torch.float32),
            *_places(pairs),
            _at_turns(pairs),
        )
        return out

    def norm(
        self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float, to: torch.Tensor
    ) -> None:
        """See TorchSteps."""
        if inputs.ndim != 2 or not 0 <= eps < math.inf:
            raise ValueError(
                f"norm of {tuple(inputs.shape)} with eps {eps}, not of (n, hidden) with one >= 0"
            )
        rows, width = inputs.shape
        self._run(
            "norm",
            _at("to", to, (rows, width), inputs.dtype),
            _at("inputs", inputs, (rows, width), _ROW_TYPES),
            ctypes.c_int64(rows),
            ctypes.c_int64(width),
            _at("weight", weight, (width,), torch.float32),
            _at("bias", bias, (width,), torch.float32),
            ctypes.c_float(eps),
            ctypes.c_int(inputs.dtype == torch.bfloat16),
        )

    def _run(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"beam_sts_{name}")(*arguments):
            raise MemoryError(f"no memory for the step {name} of a micro-batch")


def _checked(pairs: Pairs, cls_row: int, dtype: torch.dtype) -> _Shape:
    """A micro-batch's sizes, with all that the C code derives from them known to lie within its arrays.

    Raises:
        ValueError: naming the size or the place that does not fit.
    """
    heads, size, rotary, kept, lengths = pairs.heads, pairs.size, pairs.rotary, pairs.kept, pairs.lengths
    if pairs.turns.ndim != 3 or len(pairs.turns) < 3:
        raise ValueError(f"turns have the shape {tuple(pairs.turns.shape)}, not (kinds, places, numbers)")
    turning, places = 2 * pairs.turns.shape[2], pairs.turns.shape[1]
    if heads < 1 or rotary < 0 or rotary % 2 or not rotary <= turning <= size:
        raise ValueError(f"{heads} heads of {size} numbers, of which {turning} turn, {rotary} by place")
    if len(kept) < 1 or kept.shape != lengths.shape or kept.ndim != 1:
        raise ValueError(f"kept {kept.shape} and lengths {lengths.shape} are not of the same pairs")
    rest = lengths - kept
    if kept.min() < 0 or rest.min() < 2 or max(int(kept.max()) + 2, int(rest.max()) - 1) > places:
        raise ValueError(
            f"pairs keep {kept.min()} to {kept.max()} tokens of their first texts and {rest.min()} to "
            f"{rest.max()} more, of {places} places"
        )
    if cls_row < 0:
        raise ValueError("a table of no rows")
    sizes = (pairs.longest, pairs.rows, heads, size, turning, rotary, places)
    return _Shape(len(pairs), *sizes, cls_row, dtype == torch.bfloat16)


def _check_starts(starts: IntArray, pairs: Pairs, rows: int) -> None:
    """See that the texts of the pairs lie within their table.

    Raises:
        ValueError: one does not.
    """
    if starts.shape != (2, len(pairs)):
        raise ValueError(f"starts have the shape {starts.shape}, not (2, {len(pairs)})")
    ends = starts + np.stack([pairs.kept + 1, pairs.lengths - pairs.kept - 2])
    if starts.min() < 0 or ends.max() > rows:
        raise ValueError(f"texts stand in rows {starts.min()} to {ends.max()} of a table of {rows}")


def _check_rows(name: str, rows: int, needed: int) -> None:
    if rows < needed:
        raise ValueError(f"{name} has {rows} rows, the pairs have {needed}")


def _places(pairs: Pairs) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    count = (len(pairs),)
    return _at("kept", pairs.kept, count, np.int64), _at("lengths", pairs.lengths, count, np.int64)


def _at_turns(pairs: Pairs) -> ctypes.c_void_p:
    return _at("turns", pairs.turns, tuple(pairs.turns.shape), torch.complex64)


def _at(
    name: str, data: torch.Tensor | NDArray[Any], shape: tuple[int | None, ...], dtypes: Any
) -> ctypes.c_void_p:
    """Where an array's numbers are: end to end in memory, aligned, of one of the types and of the shape.

    Every pointer that the C code gets is made here.

    Args:
        name: of the array, for errors.
        data: the array.
        shape: its sizes; None where any will do.
        dtypes: one type, or several.

    Raises:
        ValueError: the array is something else.
    """
    found = tuple(data.shape)
    if len(found) != len(shape) or any(n is not None and n != f for n, f in zip(shape, found, strict=True)):
        raise ValueError(f"{name} has the shape {found}, not {shape}")
    if data.dtype not in (dtypes if isinstance(dtypes, tuple) else (dtypes,)):
        raise ValueError(f"{name} holds {data.dtype}, not {dtypes}")
    if isinstance(data, torch.Tensor):
        plain = data.layout is torch.strided and data.device.type == "cpu" and not data.is_conj()
        whole = plain and data.is_contiguous() and not data.is_neg()
        address, size = (data.data_ptr() if whole else 0), data.element_size()
    else:
        whole, address, size = data.flags.c_contiguous, data.ctypes.data, data.itemsize
    if not whole:
        raise ValueError(f"the numbers of {name} do not stand end to end in memory")
    if address % min(size, 8):
        raise ValueError(f"{name} is not aligned")
    return ctypes.c_void_p(address)


@functools.cache
def fastest_steps() -> TorchSteps:
    """The compiled steps, if this installation has them, whole, and they fit; or else torch's."""
    path = Path(__file__).with_suffix(".library")
    if not path.exists() and not digest_file(path).exists():
        log.info("beam_sts was installed without a C compiler; scoring is slower than it could be")
        return TorchSteps()
    try:
        verify_digest(path)
        return CompiledSteps(ctypes.CDLL(str(path)))
    except (OSError, AttributeError, ValueError) as error:
        log.warning("%s is not used, which is slower: %s; install beam_sts again", path, error)
        return TorchSteps()
