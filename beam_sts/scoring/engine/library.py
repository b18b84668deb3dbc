"""Loads the native engine's library.

It is compiled when the package is built, if there is a C compiler. The build writes its SHA-256 next to it. A
library with another digest is not loaded: a truncated one would crash the process.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path
from typing import Any

from beam_sts.models.checksums import digest_file, verify_digest
from beam_sts.scoring.engine.packing import BFLOAT16, FLOAT32, INT8
from beam_sts.scoring.engine.structs import I64

log = logging.getLogger(__name__)
_VERSION = 4  # of engine.c; the library of an editable installation may be older than this file
LEVELS = ("plain", "avx2", "avx512", "amx")


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
    path = Path(__file__).with_name("native.library")
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
