"""A difference of two texts, and its form in outputs and messages."""

from __future__ import annotations

from dataclasses import dataclass

_SHOWN = 80


@dataclass(frozen=True)
class Difference:
    """A difference of two texts, in the words of each; empty where a text has nothing.

    >>> str(Difference("number", "3 million", "3 billion"))
    'number: 3 million | 3 billion'
    """

    kind: str
    left: str
    right: str

    def __str__(self) -> str:
        left, right = (text.replace("|", "/")[:_SHOWN] for text in (self.left, self.right))
        return f"{self.kind}: {left} | {right}"


def turn(shown: str) -> str:
    """Swap the two sides of a difference.

    >>> turn("number: 3 million | 3 billion")
    'number: 3 billion | 3 million'
    """
    kind, _, both = shown.partition(": ")
    left, _, right = both.partition(" | ")
    return f"{kind}: {right} | {left}"


def in_words(shown: str) -> str:
    """A difference in words.

    >>> in_words("number: 3 million | 3 billion")
    '3 million against 3 billion'
    """
    left, _, right = shown.partition(": ")[2].partition(" | ")
    return f"{left or 'nothing'} against {right or 'nothing'}"
