"""The kind of difference of two texts, in one word, for people who label pairs. Pure functions."""

from __future__ import annotations

import unicodedata
from collections import Counter

from beam_sts.dedup.facts.compare import compare_facts
from beam_sts.dedup.facts.read import read_facts

KINDS = ("numbers", "facts", "lost text", "script", "wording")
_LOST = 0.2  # fraction of the longer text's characters that the other lacks


def kind_of_difference(one: str, two: str) -> str:
    """The kind of difference of two texts, one of ``KINDS``.

    ``numbers`` includes dates, units, codes and addresses. ``facts`` are other facts. ``lost text``: one text
    has much that the other lacks. ``script``: different alphabets. Everything else is ``wording``.

    >>> kind_of_difference("It cost 3 euros.", "It cost 5 euros.")
    'numbers'
    >>> kind_of_difference("A big cat.", "A big cat!")
    'wording'
    """
    first, second = sorted((one, two))
    if _script(first) != _script(second):
        return "script"
    left, right = read_facts(first), read_facts(second)
    if compare_facts(left, right, "numbers").difference is not None:
        return "numbers"
    found = compare_facts(left, right, "facts")
    if found.difference is not None:
        return "facts"
    return "lost text" if max(found.lost) >= _LOST * max(len(first), len(second), 1) else "wording"


def _script(text: str) -> str:
    """The script of most letters, such as LATIN."""
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            counts["LATIN" if char.isascii() else unicodedata.name(char, "?").partition(" ")[0]] += count
    return max(sorted(counts), key=counts.__getitem__, default="")
