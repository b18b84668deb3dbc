"""The elements that users bring and get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias


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
