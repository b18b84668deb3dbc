"""The elements that users bring and get."""

from __future__ import annotations

from typing import Any, NamedTuple


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
