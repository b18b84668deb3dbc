"""Alignment of two lists of words: where they differ, and what only one of them has. Pure functions."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CELLS = (
    4_000_000  # most cells of a table that aligns two spans; longer ones are cut at words that both have once
)
_PASSAGE = 8  # words in one text only, from which a block is a passage
_FEW = 3  # most words of each text in a replacement


@dataclass(frozen=True)
class AlignedRange:
    """Tokens ``a`` to ``b`` of one text correspond to tokens ``c`` to ``d`` of the other."""

    a: int
    b: int
    c: int
    d: int


def common_ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """The length of the common start of two lists, and of the common end of the rest.

    >>> common_ends("a b c d".split(), "a x d".split())
    (1, 1)
    """
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    stop = 0
    while stop < most - start and a[-1 - stop] == b[-1 - stop]:
        stop += 1
    return start, stop


def align_tokens(a: Sequence[str], b: Sequence[str]) -> Iterator[AlignedRange]:
    """The differences of two texts, in order."""
    start, stop = common_ends(a, b)
    yield from _align_span(a, b, start, len(a) - stop, start, len(b) - stop)


def _align_span(
    a: Sequence[str], b: Sequence[str], a_start: int, a_stop: int, b_start: int, b_stop: int
) -> Iterator[AlignedRange]:
    spans = [(a_start, a_stop, b_start, b_stop, True)]
    while spans:  # a stack in reverse order: the next span is last
        i, j, k, m, cut = spans.pop()
        if i == j and k == m:
            continue
        if i == j or k == m:
            yield AlignedRange(i, j, k, m)
        elif (j - i) * (m - k) <= _CELLS:
            x, y = i, k
            for p, q in (*_common(a[i:j], b[k:m]), (j - i, m - k)):
                if x < i + p or y < k + q:
                    yield AlignedRange(x, i + p, y, k + q)
                x, y = i + p + 1, k + q + 1
        elif cut:
            anchors = _anchors(a[i:j], b[k:m])
            parts, x, y = [], i, k
            for p, q in anchors:
                parts.append((x, i + p, y, k + q, False))
                x, y = i + p + 1, k + q + 1
            parts.append((x, j, y, m, False))
            spans += parts[::-1]
        else:
            yield AlignedRange(i, j, k, m)


def _common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """A longest common subsequence, by bit vectors (Hyyrö 2004), one for each word of ``a``."""
    places: dict[str, int] = {}
    for at, key in enumerate(b):
        places[key] = places.get(key, 0) | 1 << at
    full = (1 << len(b)) - 1
    row, rows = full, []
    for key in a:
        met = row & places.get(key, 0)
        row = ((row + met) | (row - met)) & full
        rows.append(row)
    found = []
    i, j = len(a), len(b)
    while i and j:
        if rows[i - 1] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1
            if not i or rows[i - 1] >> (j - 1) & 1:
                j -= 1
                found.append((i, j))
    return found[::-1]


def _anchors(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Words that both have exactly once, in the longest common order (patience sorting)."""
    once_a, once_b = Counter(a), Counter(b)
    place = {key: at for at, key in enumerate(b) if once_b[key] == 1}
    pairs = [(at, place[key]) for at, key in enumerate(a) if once_a[key] == 1 and key in place]
    ends: list[int] = []
    tops: list[int] = []
    back: list[int] = []
    for number, (_, q) in enumerate(pairs):
        at = bisect_left(ends, q)
        back.append(tops[at - 1] if at else -1)
        ends[at : at + 1] = [q]
        tops[at : at + 1] = [number]
    chain, number = [], tops[-1] if tops else -1
    while number >= 0:
        chain.append(pairs[number])
        number = back[number]
    return chain[::-1]


def extra_places(
    a: Sequence[str], b: Sequence[str], blocks: Sequence[AlignedRange]
) -> tuple[set[int], set[int]]:
    """Positions of words that only one text has. Words that only moved are not among them.

    Words of a short replacement count as moved only from or to another one, not from or to a passage that
    only one text has: a long passage contains almost every word.
    """
    extra: tuple[set[int], set[int]] = (set(), set())
    near = [block for block in blocks if not _is_passage(block)]
    if len(near) < len(blocks):
        found = _not_in_other(a, b, near)
        put = [
            {at for block in near if _is_put(block) for at in range(*span(block))} & places
            for span, places in ((_first, found[0]), (_second, found[1]))
        ]
        extra = (put[0], put[1])
    rest = _not_in_other(a, b, blocks, extra)
    return extra[0] | rest[0], extra[1] | rest[1]


def _first(block: AlignedRange) -> tuple[int, int]:
    return block.a, block.b


def _second(block: AlignedRange) -> tuple[int, int]:
    return block.c, block.d


def _is_passage(block: AlignedRange) -> bool:
    return (
        min(block.b - block.a, block.d - block.c) == 0 and block.b - block.a + block.d - block.c >= _PASSAGE
    )


def _is_put(block: AlignedRange) -> bool:
    """Whether a block replaces a few words by a few others."""
    return 0 < block.b - block.a <= _FEW and 0 < block.d - block.c <= _FEW


def _not_in_other(
    a: Sequence[str],
    b: Sequence[str],
    blocks: Sequence[AlignedRange],
    but: tuple[set[int], set[int]] = (set(), set()),
) -> tuple[set[int], set[int]]:
    """Positions of words that are more frequent in the blocks of their text than in those of the other."""
    places = [[at for block in blocks for at in range(*span(block))] for span in (_first, _second)]
    places = [[at for at in found if at not in out] for found, out in zip(places, but, strict=True)]
    ours, theirs = Counter(a[at] for at in places[0]), Counter(b[at] for at in places[1])
    extra: tuple[set[int], set[int]] = (set(), set())
    for left, found, keys, there in (
        (ours - theirs, extra[0], a, places[0]),
        (theirs - ours, extra[1], b, places[1]),
    ):
        for at in there:
            if left[keys[at]] > 0:
                left[keys[at]] -= 1
                found.add(at)
    return extra
