"""The elements that users bring and get."""

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
    """An element that was not scored, and why."""

    element: Any
    reason: str


# Pairs as ``PairScorer.score`` takes them; arrays of shape (n, 2) and tables of two columns too. Each pair is
# a sequence of two strings, and a string is none.
Pairs: TypeAlias = Iterable[tuple[str, str] | TextPair | Sequence[str]]


def plain(value: Any) -> Any:
    """A NumPy scalar as Python's own; NaN, NaT and pandas' NA as None.

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
