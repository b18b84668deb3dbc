"""Two texts in one, word by word, as terminals and messages show them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

Marks = tuple[tuple[str, str], tuple[str, str]]
"""What is before and after words of the first text alone, and of the second alone."""
PLAIN: Marks = (("[-", "-]"), ("{+", "+}"))


def word_diff(first: Sequence[str], second: Sequence[str], marks: Marks = PLAIN) -> str:
    """Two texts in one: what only the first has, what only the second has. The time grows with their square.

    Args:
        first: words, which appear as they are.
        second: words of the other text.
        marks: around the words of one text alone.

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
