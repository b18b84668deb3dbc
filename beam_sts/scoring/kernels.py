"""The steps of the BERT-hash backend compiled: one pass over memory each, and without Python's lock.

``kernels.c`` is compiled when the package is installed, if there is a C compiler; it picks the instructions
(AVX-512, AVX2, plain) when it runs. Without it the same steps run in torch.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from beam_sts.scoring.hash_steps import Pairs, TorchSteps
from beam_sts.scoring.plan import IntArray

log = logging.getLogger(__name__)

# Of kernels.c: an editable installation may have compiled an older one.
_VERSION = 1
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
        out = torch.empty(pairs.rows, table.shape[1], dtype=table.dtype)
        shape = _shape(pairs, table)
        self._run("gather", shape, _at(table), _at(starts), _at(out), _at(pairs.kept), _at(pairs.lengths))
        return out

    def attend(self, qkv: torch.Tensor, starts: IntArray | None, pairs: Pairs) -> torch.Tensor:
        """See TorchSteps."""
        if pairs.longest > _LONGEST:
            return super().attend(qkv, starts, pairs)
        out = torch.empty(pairs.rows, qkv.shape[1] // 3, dtype=qkv.dtype)
        texts = None if starts is None else _at(starts)
        sharpness = None if pairs.sharpness is None else _at(pairs.sharpness)
        places = _at(pairs.kept), _at(pairs.lengths), _at(pairs.turns)
        self._run("attend", _shape(pairs, qkv), _at(qkv), texts, _at(out), *places, sharpness)
        return out

    def first(
        self, hidden: torch.Tensor, keys: torch.Tensor, queries: torch.Tensor, pairs: Pairs
    ) -> torch.Tensor:
        """See TorchSteps."""
        out = torch.empty(len(pairs), pairs.heads * hidden.shape[1])
        places = _at(pairs.kept), _at(pairs.lengths), _at(pairs.turns)
        self._run("first", _shape(pairs, hidden), _at(hidden), _at(keys), _at(queries), _at(out), *places)
        return out

    def norm(
        self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float, to: torch.Tensor
    ) -> None:
        """See TorchSteps."""
        sizes = (ctypes.c_int64(size) for size in inputs.shape)
        half = ctypes.c_int(inputs.dtype == torch.bfloat16)
        self._run("norm", _at(to), _at(inputs), *sizes, _at(weight), _at(bias), ctypes.c_float(eps), half)

    def _run(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"beam_sts_{name}")(*arguments):
            raise MemoryError(f"no memory for the step {name} of a micro-batch")


def _shape(pairs: Pairs, table: torch.Tensor) -> Any:
    turning, places = 2 * pairs.turns.shape[2], pairs.turns.shape[1]
    sizes = (pairs.longest, pairs.rows, pairs.heads, pairs.size, turning, pairs.rotary, places)
    return ctypes.byref(_Shape(len(pairs), *sizes, len(table) - 1, table.dtype == torch.bfloat16))


def _at(data: torch.Tensor | NDArray[np.int64] | NDArray[np.float32]) -> ctypes.c_void_p:
    """Where an array's numbers are; they stand end to end."""
    if isinstance(data, torch.Tensor):
        assert data.is_contiguous()
        return ctypes.c_void_p(data.data_ptr())
    assert data.flags.c_contiguous
    return ctypes.c_void_p(data.ctypes.data)


@functools.cache
def fastest_steps() -> TorchSteps:
    """The compiled steps, if this installation has them and they fit; or else torch's."""
    path = Path(__file__).with_suffix(".library")
    if path.exists():
        try:
            return CompiledSteps(ctypes.CDLL(str(path)))
        except (OSError, AttributeError, ValueError) as error:
            log.warning("%s is not used, which is slower: %s; install beam_sts again", path, error)
            return TorchSteps()
    log.info("beam_sts was installed without a C compiler; scoring is slower than it could be")
    return TorchSteps()
