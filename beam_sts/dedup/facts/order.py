"""Whether a different order of the same words may change who does what to whom. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from beam_sts.dedup.facts import tables
from beam_sts.dedup.facts.align import AlignedRange, align_tokens, common_ends
from beam_sts.dedup.facts.tokens import (
    FIGURES,
    ITEM,
    LINE,
    NEGATION,
    QUANTITY,
    SENTENCE,
    Facts,
    Token,
)

Span = tuple[int, int]


def moved_region(
    left: Facts, right: Facts, blocks: Sequence[AlignedRange], extra: tuple[set[int], set[int]], guard: str
) -> tuple[Span, Span] | None:
    """The part of each text in which the same words have an order that may change the meaning, or None."""
    moved = [
        at
        for block in blocks
        for at in range(block.a, block.b)
        if at not in extra[0] and _matters(left.tokens[at])
    ]
    if not _enough(left, moved, guard) or 3 * len(moved) < max(map(len, extra)):
        return None  # nothing relevant moved, or so much differs that words recur by chance
    for level in (SENTENCE, ITEM, LINE):
        one, two = (_segments(text, level) for text in (left, right))
        common = Counter(one) & Counter(two)
        if sum(common.values()) < 1 and level == SENTENCE:
            continue
        rests = [_rest(parts, common) for parts in (one, two)]
        if not rests[0] or not rests[1]:
            return None
        moved_keys = _moved_keys(*rests)
        if not [key for key in moved_keys if key in {left.keys[at] for at in moved}]:
            return None
        if _exchanged(left, right):
            return None
    return _region(left, right)


def _matters(token: Token) -> bool:
    return token.key not in tables.MOVES_FREELY


def _enough(text: Facts, moved: Sequence[int], guard: str) -> bool:
    """Whether enough has moved. A single word is enough if it is a figure, a negation or a quantity."""
    kinds = {text.tokens[at].kind for at in moved}
    if guard == "numbers":
        return bool(kinds & FIGURES)
    return len({text.keys[at] for at in moved}) > 1 or bool(kinds & (FIGURES | {NEGATION, QUANTITY}))


def _segments(text: Facts, level: int) -> list[tuple[str, ...]]:
    parts: list[tuple[str, ...]] = []
    start = 0
    for at in range(1, len(text.tokens) + 1):
        if at == len(text.tokens) or text.tokens[at].parted >= level:
            parts.append(tuple(text.keys[start:at]))
            start = at
    return parts


def _rest(parts: Sequence[tuple[str, ...]], common: Counter[tuple[str, ...]]) -> list[str]:
    left = Counter(common)
    rest: list[str] = []
    for part in parts:
        if left[part] > 0:
            left[part] -= 1
        else:
            rest += part
    return rest


def _moved_keys(a: list[str], b: list[str]) -> set[str]:
    blocks = list(align_tokens(a, b))
    ours = Counter(key for block in blocks for key in a[block.a : block.b])
    theirs = Counter(key for block in blocks for key in b[block.c : block.d])
    return {key for key in ours & theirs if key not in tables.MOVES_FREELY}


def _region(left: Facts, right: Facts) -> tuple[tuple[int, int], tuple[int, int]]:
    """The parts between the common start and the common end of two texts."""
    a, b = left.keys, right.keys
    start, stop = common_ends(a, b)
    return (start, max(start + 1, len(a) - stop)), (start, max(start + 1, len(b) - stop))


def _exchanged(left: Facts, right: Facts) -> bool:
    """Whether only the items of a list have a different order, between the common start and end."""
    first, second = _region(left, right)
    return Counter(_items(left, *first)) == Counter(_items(right, *second))


def _items(text: Facts, start: int, stop: int) -> list[tuple[str, ...]]:
    items: list[list[str]] = [[]]
    for at in range(start, stop):
        word = text.keys[at] in tables.LIST_WORDS
        if (text.tokens[at].parted >= LINE and at > start) or word:
            items.append([])
        if not word:
            items[-1].append(text.keys[at])
    return [tuple(item) for item in items if item]
