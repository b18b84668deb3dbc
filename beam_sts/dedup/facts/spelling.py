"""Words that may be misspellings of each other. Pure functions."""

from __future__ import annotations

from beam_sts.dedup.facts.tokens import CODE, PLAIN, Facts, Token

NAMES_AT_ONCE = 64
"""The most words at one place that are compared with each other."""


def without_misspelt(
    left: Facts, right: Facts, mine: list[int], theirs: list[int]
) -> tuple[list[int], list[int]]:
    """Leave out words whose counterpart in the other text is a misspelling that is not itself a word."""
    if not mine or not theirs or len(mine) * len(theirs) > NAMES_AT_ONCE:
        return mine, theirs
    ours, others = list(mine), list(theirs)
    for at in mine:
        for to in others:
            one, two = left.tokens[at], right.tokens[to]
            if (one.kind == PLAIN and one.named) != (two.kind == PLAIN and two.named) and _written_alike(
                left, at, right, to
            ):
                ours.remove(at)
                others.remove(to)
                break
    return ours, others


def _written_alike(left: Facts, at: int, right: Facts, to: int) -> bool:
    a, b = sorted((left.shown(at, at + 1).casefold(), right.shown(to, to + 1).casefold()), key=len)
    if len(a) < 4 or len(b) < 5 or a[0] != b[0] or not (a.isalpha() and b.isalpha()):
        return False
    return _edits(a, b, 1 if len(b) < 10 else 2)


def at_end(text: Facts, at: int, other: Facts, to: int) -> bool:
    """Whether either word is the last of its text."""
    return at == len(text.tokens) - 1 or to == len(other.tokens) - 1


def spelt_alike(one: Token, two: Token, cut: bool) -> bool:
    """Whether one word may be a misspelling of the other or, with ``cut``, its truncated form."""
    a, b = sorted((one.key, two.key), key=len)
    if CODE in (one.kind, two.kind) or one.part or two.part:
        return False
    if cut and len(a) > 2 and b.startswith(a):
        return True
    if len(a) < 5 or a[0] != b[0]:
        return False
    return _edits(a, b, 1 if len(b) < 10 else 2)


def _edits(a: str, b: str, most: int) -> bool:
    """Whether at most ``most`` letters are changed, added, left out or swapped with the next one."""
    if len(b) - len(a) > most or len(b) > 60:
        return False
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            value = min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                value = min(value, earlier[j - 2] + 1)
            row.append(value)
    return row[-1] <= most
