"""The structures of model.h. ``native.py`` checks every number and size before it makes one."""

from __future__ import annotations

import ctypes

I64, POINTER = ctypes.c_int64, ctypes.c_void_p


class CLinear(ctypes.Structure):
    """A linear layer: ``struct linear``."""

    _fields_ = (
        *((name, I64) for name in ("inner", "outer", "kind")),
        *((name, POINTER) for name in ("panels", "bias", "scale", "sums")),
    )


class CNorm(ctypes.Structure):
    """A layer normalisation: ``struct norm``."""

    _fields_ = (("weight", POINTER), ("bias", POINTER))


class CLayer(ctypes.Structure):
    """A transformer layer: ``struct layer``."""

    _fields_ = (
        ("qkv", CLinear),
        ("output", CLinear),
        ("attention_norm", CNorm),
        ("up", CLinear),
        ("down", CLinear),
        ("norm", CNorm),
    )


class CModel(ctypes.Structure):
    """A model: ``struct model``."""

    _sizes = (
        "kind",
        "level",
        "hidden",
        "heads",
        "intermediate",
        "projections",
        "window",
        "rotary",
        "segment",
    )
    _fields_ = (
        *((name, I64) for name in (*_sizes, "cls", "sep_a", "sep_b")),
        ("eps", ctypes.c_float),
        *((name, POINTER) for name in ("table", "token_types", "positions", "projected")),
        ("projection", CLinear),
        ("norm", CNorm),
        ("layers", I64),
        ("layer", ctypes.POINTER(CLayer)),
        ("last_query", CLinear),
        ("last_key", CLinear),
        ("last_output", CLinear),
        ("last", CLayer),
        ("pooler", CLinear),
        ("classifier", CLinear),
    )


class CBatch(ctypes.Structure):
    """A micro-batch: ``struct batch``."""

    _fields_ = (
        ("pairs", I64),
        ("longest", I64),
        ("ids", POINTER),
        ("start", POINTER * 2),
        ("kept", POINTER * 2),
        ("temperature", POINTER),
        ("rotary", POINTER),
        ("text_hidden", POINTER),
        ("text_qkv", POINTER),
        ("text_row", POINTER * 2),
        ("cls_row", I64),
        ("logits", POINTER),
    )
