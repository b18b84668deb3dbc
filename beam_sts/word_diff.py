"""A word-level diff of two texts, for terminals and messages."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Marks = tuple[tuple[str, str], tuple[str, str]]
"""Before and after the words that only the first text has, and before and after those of the second."""
PLAIN: Marks = (("[-", "-]"), ("{+", "+}"))


def word_diff(first: Sequence[str], second: Sequence[str], marks: Marks = PLAIN) -> str:
    """Show two texts as one, with the words of only one of them marked. Takes time quadratic in the words.

    Args:
        first: the words of the first text.
        second: the words of the second text.
        marks: what surrounds the words that only one text has.

    >>> word_diff(["a", "red", "cat"], ["a", "blue", "cat"])
    'a [-red-] {+blue+} cat'
    """
    parts: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            parts += first[a:b]
            continue
        for (before, after), words in zip(marks, (first[a:b], second[c:d]), strict=True):
            parts += [f"{before}{' '.join(words)}{after}"] if words else []
    return " ".join(parts)
