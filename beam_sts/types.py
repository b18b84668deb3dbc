"""The elements that users pass in and receive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import numpy as np


class TextPair(NamedTuple):
    """Two texts to compare."""

    text_a: str
    text_b: str


class ScoredPair(NamedTuple):
    """Two texts and their similarity."""

    text_a: str
    text_b: str
    score: float


class Rejected(NamedTuple):
    """An element that was not scored, with the reason."""

    element: Any
    reason: str


# What ``PairScorer.score`` takes, besides arrays of shape (n, 2) and tables of two columns. Each pair is a
# sequence of two strings; a single string is not a pair.
Pairs: TypeAlias = Iterable[tuple[str, str] | TextPair | Sequence[str]]


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python value; NaN, NaT and pandas' NA to None.

    >>> plain(np.int32(3)), plain(np.str_("a")), plain(float("nan"))
    (3, 'a', None)
    """
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = None if np.isnat(value) else value.astype(f"{value.dtype.kind}8[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    return None if isinstance(value, float) and value != value else value
