"""Two texts by their facts: what they differ in, and what each says that the other lacks. Pure functions."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_sts.dedup.facts import tables
from beam_sts.dedup.facts.read import (
    ADDRESS,
    CODE,
    DATE,
    ITEM,
    LINE,
    NEGATION,
    NUMBER,
    PLAIN,
    QUANTITY,
    SENTENCE,
    SIGN,
    UNIT,
    Facts,
    Token,
)

GUARDS = ("facts", "numbers", "none")
_FIGURES = frozenset((NUMBER, UNIT, DATE, CODE))
_NAMES = {NUMBER: "number", UNIT: "unit", DATE: "date", CODE: "code"}
_CELLS = (
    4_000_000  # of the table that aligns two spans word by word; longer ones are cut at words they share once
)
_PART = 8  # words that make a part of its own of what one text has besides
_TAIL = 4  # the same at the end or the beginning of the text
_SHOWN = 80
_PASSAGE = 5  # words of both texts together, two of either at least
_NAMES_AT_ONCE = 64  # of a place, each compared with each


@dataclass(frozen=True)
class Difference:
    """What two texts differ in, as each of them writes it; empty where a text has nothing there.

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
    """What two texts differ in, the other one first.

    >>> turn("number: 3 million | 3 billion")
    'number: 3 billion | 3 million'
    """
    kind, _, both = shown.partition(": ")
    left, _, right = both.partition(" | ")
    return f"{kind}: {right} | {left}"


def in_words(shown: str) -> str:
    """What two texts differ in, for people.

    >>> in_words("number: 3 million | 3 billion")
    '3 million against 3 billion'
    """
    left, _, right = shown.partition(": ")[2].partition(" | ")
    return f"{left or 'nothing'} against {right or 'nothing'}"


@dataclass(frozen=True)
class Comparison:
    """What two texts differ in (None: nothing that counts), and the characters that only each has."""

    difference: Difference | None
    lost: tuple[int, int] = (0, 0)


_SAME = Comparison(None)


@dataclass(frozen=True)
class _Block:
    """Tokens ``a`` to ``b`` of one text in the place of ``c`` to ``d`` of the other."""

    a: int
    b: int
    c: int
    d: int


def compare(left: Facts, right: Facts, guard: str = "facts") -> Comparison:
    """Compare two texts.

    Args:
        left: one text.
        right: the other.
        guard: ``facts``; ``numbers``: numbers, dates, units, codes and addresses alone; ``none``: only
            what is lost.

    >>> from beam_sts.dedup.facts.read import read_facts
    >>> one, two = (read_facts(f"It cost {what} euros.") for what in ("3 million", "3 billion"))
    >>> str(compare(one, two).difference)
    'number: 3 million | 3 billion'
    """
    difference = None
    if guard != "none" and left.links and right.links and left.links != right.links:
        one, two = (next(iter(sorted(set(a) - set(b))), "") for a, b in _both(left.links, right.links))
        difference = Difference("address", one, two)
    if left.keys == right.keys:
        return Comparison(difference) if difference else _SAME
    blocks = list(_align(left.keys, right.keys))
    extra = _extra(left.keys, right.keys, blocks)
    lost = [0, 0]
    for block in blocks:
        mine = [at for at in range(block.a, block.b) if at in extra[0]]
        theirs = [at for at in range(block.c, block.d) if at in extra[1]]
        sizes = _size(left.tokens, mine), _size(right.tokens, theirs)
        lost[0] += max(0, sizes[0] - sizes[1])
        lost[1] += max(0, sizes[1] - sizes[0])
        if difference is None and guard != "none" and (mine or theirs):
            difference = _differ(left, right, block, mine, theirs, guard)
    if difference is None and guard == "facts":
        difference = _passages(left, right, blocks, extra)
    if difference is None and guard != "none":
        difference = _moved(left, right, blocks, extra, guard)
    return Comparison(difference, (lost[0], lost[1]))


def _both(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    yield a, b
    yield b, a


def _size(tokens: Sequence[Token], places: Sequence[int]) -> int:
    """Characters of some tokens, each with a blank; two tokens of one word count once."""
    size = stop = 0
    for at in places:
        token = tokens[at]
        if token.end > stop:
            size += token.end - max(token.start, stop) + 1
            stop = token.end
    return size


def _align(a: Sequence[str], b: Sequence[str]) -> Iterator[_Block]:
    """Where two texts differ, in order."""
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    stop = 0
    while stop < most - start and a[-1 - stop] == b[-1 - stop]:
        stop += 1
    yield from _align_span(a, b, start, len(a) - stop, start, len(b) - stop)


def _align_span(
    a: Sequence[str], b: Sequence[str], a_start: int, a_stop: int, b_start: int, b_stop: int
) -> Iterator[_Block]:
    spans = [(a_start, a_stop, b_start, b_stop, True)]
    while spans:  # in order: the next one is last
        i, j, k, m, cut = spans.pop()
        if i == j and k == m:
            continue
        if i == j or k == m:
            yield _Block(i, j, k, m)
        elif (j - i) * (m - k) <= _CELLS:
            x, y = i, k
            for p, q in (*_common(a[i:j], b[k:m]), (j - i, m - k)):
                if x < i + p or y < k + q:
                    yield _Block(x, i + p, y, k + q)
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
            yield _Block(i, j, k, m)


def _common(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """A longest common subsequence, by rows of bits (Hyyro 2004): one row for each word of ``a``."""
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
    """Words that both have once, in the longest common order (patience sorting)."""
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


def _extra(a: Sequence[str], b: Sequence[str], blocks: Sequence[_Block]) -> tuple[set[int], set[int]]:
    """Places of what each text has and the other lacks; what only moved is not among them."""
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for block in blocks:
        ours.update(a[block.a : block.b])
        theirs.update(b[block.c : block.d])
    extra: tuple[set[int], set[int]] = (set(), set())
    for left, found, keys in ((ours - theirs, extra[0], a), (theirs - ours, extra[1], b)):
        for block in blocks:
            span = range(block.a, block.b) if keys is a else range(block.c, block.d)
            for at in span:
                if left[keys[at]] > 0:
                    left[keys[at]] -= 1
                    found.add(at)
    return extra


def _differ(
    left: Facts, right: Facts, block: _Block, mine: list[int], theirs: list[int], guard: str
) -> Difference | None:
    """What a place differs in."""
    mine, theirs = _without_misspelt(left, right, mine, theirs)
    if not mine and not theirs:
        return None
    figures = [
        [at for at in found if text.tokens[at].kind in _FIGURES]
        for text, found in _sides(left, right, mine, theirs)
    ]
    if figures[0] and figures[1]:
        return _figures(left, right, figures[0][0], figures[1][0])
    addresses = [
        [at for at in found if text.tokens[at].kind == ADDRESS]
        for text, found in _sides(left, right, mine, theirs)
    ]
    if addresses[0] and addresses[1]:
        return _shown("address", left, right, addresses[0][0], addresses[1][0])
    apart = (bool(mine) != bool(theirs) or max(len(mine), len(theirs)) >= _PART) and (
        _is_part(left, block.a, block.b, mine) or _is_part(right, block.c, block.d, theirs)
    )
    if not apart and (figures[0] or figures[1]):
        mine_first, theirs_first = (next(iter(found), None) for found in figures)
        kind = _NAMES[
            left.tokens[mine_first].kind if mine_first is not None else right.tokens[theirs_first or 0].kind
        ]
        return _shown(kind, left, right, mine_first, theirs_first, mine, theirs)
    if guard == "numbers":
        return None
    exclusive, place = tables.exclusive_words(), {right.keys[to]: to for to in reversed(theirs)}
    for at in mine:
        met = exclusive.get(left.keys[at], frozenset()) & place.keys()
        if met:
            return _shown("opposites", left, right, at, min(place[key] for key in met))
    if not apart:
        for turned, name in ((NEGATION, "negation"), (QUANTITY, "quantity"), (SIGN, "sign")):
            ours = next((at for at in mine if left.tokens[at].kind == turned), None)
            other = next((at for at in theirs if right.tokens[at].kind == turned), None)
            if (ours is None) and (other is None):
                continue
            if turned == SIGN and (ours is None or other is None):
                continue
            return _shown(name, left, right, ours, other, mine, theirs)
    if derived := _derived(left, right, mine, theirs):
        return derived
    return _names(left, right, block, mine, theirs)


def _without_misspelt(
    left: Facts, right: Facts, mine: list[int], theirs: list[int]
) -> tuple[list[int], list[int]]:
    """Without words that are next to a misspelling of theirs that is a word of its own nowhere."""
    if not mine or not theirs or len(mine) * len(theirs) > _NAMES_AT_ONCE:
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
    return (
        len(a) > 4 and a[0] == b[0] and a.isalpha() and b.isalpha() and _edits(a, b, 1 if len(b) < 10 else 2)
    )


def _sides(
    left: Facts, right: Facts, mine: list[int], theirs: list[int]
) -> tuple[tuple[Facts, list[int]], ...]:
    return (left, mine), (right, theirs)


def _is_part(text: Facts, start: int, stop: int, extra: Sequence[int]) -> bool:
    """Whether what only this text has is a part of its own: a sentence, a line, a longer passage."""
    if not extra:
        return False
    if len(extra) >= _PART:
        return True
    at_end = start == 0 or stop == len(text.tokens)
    if at_end and len(extra) >= _TAIL:
        return True
    opens = text.tokens[start].parted == SENTENCE
    closes = stop == len(text.tokens) or text.tokens[stop].parted == SENTENCE
    return opens and closes and len(extra) > 1


def _figures(left: Facts, right: Facts, at: int, to: int) -> Difference:
    """Two numbers with their units."""
    kind = _NAMES[left.tokens[at].kind]
    return Difference(kind, _with_unit(left, at), _with_unit(right, to))


def _with_unit(text: Facts, at: int) -> str:
    tokens = text.tokens
    start, stop = at, at + 1
    if (
        tokens[at].kind == UNIT
        and at
        and tokens[at - 1].kind == NUMBER
        and tokens[at - 1].end <= tokens[at].start
    ):
        start = at - 1
    return text.shown(start, stop)


def _shown(
    kind: str,
    left: Facts,
    right: Facts,
    at: int | None,
    to: int | None,
    mine: Sequence[int] = (),
    theirs: Sequence[int] = (),
) -> Difference:
    one = left.shown(at, at + 1) if at is not None else " ".join(left.shown(x, x + 1) for x in mine[:3])
    two = right.shown(to, to + 1) if to is not None else " ".join(right.shown(x, x + 1) for x in theirs[:3])
    return Difference(kind, one, two)


_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "mis", "anti")


def _derived(left: Facts, right: Facts, mine: list[int], theirs: list[int]) -> Difference | None:
    """A word beside the same with ``un-``, ``-less`` and the like."""
    ours, others = (
        {
            text.keys[at]: at
            for at in reversed(found)
            if text.tokens[at].kind == PLAIN and len(text.keys[at]) > 3
        }
        for text, found in _sides(left, right, mine, theirs)
    )
    for one, two in ((ours, others), (others, ours)):
        for key in one:
            forms = [prefix + key for prefix in _PREFIXES]
            if key.endswith("ful"):
                forms.append(key[:-3] + "less")
            found = next((form for form in forms if form in two), None)
            if found is not None:
                pair = (one[key], two[found]) if one is ours else (two[found], one[key])
                return _shown("opposites", left, right, *pair)
    return None


def _names(left: Facts, right: Facts, block: _Block, mine: list[int], theirs: list[int]) -> Difference | None:
    """A name in the place of another word that is no other spelling of it; a part put to a compound."""
    ours = [at for at in mine if _says(left.tokens[at])][:_NAMES_AT_ONCE]
    others = [to for to in theirs if _says(right.tokens[to])][:_NAMES_AT_ONCE]
    if not ours or not others:
        for text, found, begin, stop in ((left, ours, block.a, block.b), (right, others, block.c, block.d)):
            glued = next((at for at in found if _holds_on(text, at, begin, stop)), None)
            if glued is not None:
                shown = _compound(text, glued)
                return Difference("code", *((shown, "") if text is left else ("", shown)))
        return None
    for text, found, second, against in ((left, ours, right, others), (right, others, left, ours)):
        for at in found:
            token = text.tokens[at]
            if not (token.named or token.part):
                continue
            partners = [
                to for to in against if _spelt_alike(token, second.tokens[to], _at_end(text, at, second, to))
            ]
            if partners:
                continue
            free = [
                to
                for to in against
                if not any(_spelt_alike(text.tokens[x], second.tokens[to], False) for x in found)
                and (second.tokens[to].named or second.tokens[to].part or len(found) == len(against) == 1)
            ]
            if free:
                pair = (at, free[0]) if text is left else (free[0], at)
                return _shown("name", left, right, *pair)
    return None


def _passages(
    left: Facts, right: Facts, blocks: Sequence[_Block], extra: tuple[set[int], set[int]]
) -> Difference | None:
    """Several words in the place of several others: another request, another clause."""
    for run in _runs(left, blocks):
        spans = [
            [at for block in run for at in range(block.a, block.b)],
            [at for block in run for at in range(block.c, block.d)],
        ]
        mine, theirs = (
            [at for at in span if at in found and text.keys[at] not in tables.LITTLE]
            for text, found, span in zip((left, right), extra, spans, strict=True)
        )
        if min(len(mine), len(theirs)) >= 2 and len(mine) + len(theirs) >= _PASSAGE:
            one, two = left.shown(mine[0], mine[-1] + 1), right.shown(theirs[0], theirs[-1] + 1)
            return Difference("passage", one, two)
    return None


def _runs(left: Facts, blocks: Sequence[_Block]) -> Iterator[list[_Block]]:
    """Blocks with no more than a few little words between them."""
    run: list[_Block] = []
    for block in blocks:
        if run:
            between = left.keys[run[-1].b : block.a]
            if len(between) > 2 or any(key not in tables.LITTLE for key in between):
                yield run
                run = []
        run.append(block)
    if run:
        yield run


def _says(token: Token) -> bool:
    return token.kind not in (UNIT, SIGN) and token.key not in tables.LITTLE


def _holds_on(text: Facts, at: int, begin: int, stop: int) -> bool:
    """Whether a word only one text has is written together with one that both have."""
    tokens = text.tokens
    before = tokens[at].glued and at == begin
    behind = at + 1 == stop and stop < len(tokens) and tokens[stop].glued
    return before or behind


def _compound(text: Facts, at: int) -> str:
    start, stop = at, at + 1
    while text.tokens[start].glued and start:
        start -= 1
    while stop < len(text.tokens) and text.tokens[stop].glued:
        stop += 1
    return text.shown(start, stop)


def _at_end(text: Facts, at: int, other: Facts, to: int) -> bool:
    return at == len(text.tokens) - 1 or to == len(other.tokens) - 1


def _spelt_alike(one: Token, two: Token, cut: bool) -> bool:
    """Whether one word may be a misspelling of the other, or is cut off."""
    a, b = sorted((one.key, two.key), key=len)
    if CODE in (one.kind, two.kind) or one.part or two.part:
        return False
    if cut and len(a) > 2 and b.startswith(a):
        return True
    if len(a) < 5 or a[0] != b[0]:
        return False
    return _edits(a, b, 1 if len(b) < 10 else 2)


def _edits(a: str, b: str, most: int) -> bool:
    """Whether at most so many letters are to be changed, added, left out or exchanged with the next one."""
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


def _moved(
    left: Facts, right: Facts, blocks: Sequence[_Block], extra: tuple[set[int], set[int]], guard: str
) -> Difference | None:
    """Whether the same words are in another order that may tell who does what to whom."""
    moved = [
        at
        for block in blocks
        for at in range(block.a, block.b)
        if at not in extra[0] and _matters(left.tokens[at])
    ]
    if not _enough(left, moved, guard) or 3 * len(moved) < max(map(len, extra)):
        return None  # nothing that matters moved, or so much differs that words recur by chance
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
    first, second = _region(left, right)
    return Difference("order", left.shown(*first), right.shown(*second))


def _matters(token: Token) -> bool:
    return token.key not in tables.MOVES_FREELY


def _enough(text: Facts, moved: Sequence[int], guard: str) -> bool:
    """One word that moved alone matters if it is a figure or turns the meaning."""
    kinds = {text.tokens[at].kind for at in moved}
    if guard == "numbers":
        return bool(kinds & _FIGURES)
    return len({text.keys[at] for at in moved}) > 1 or bool(kinds & (_FIGURES | {NEGATION, QUANTITY}))


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
    blocks = list(_align(a, b))
    ours = Counter(key for block in blocks for key in a[block.a : block.b])
    theirs = Counter(key for block in blocks for key in b[block.c : block.d])
    return {key for key in ours & theirs if key not in tables.MOVES_FREELY}


def _region(left: Facts, right: Facts) -> tuple[tuple[int, int], tuple[int, int]]:
    """What is between the words that both texts begin and end with."""
    a, b = left.keys, right.keys
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    stop = 0
    while stop < most - start and a[-1 - stop] == b[-1 - stop]:
        stop += 1
    return (start, max(start + 1, len(a) - stop)), (start, max(start + 1, len(b) - stop))


def _exchanged(left: Facts, right: Facts) -> bool:
    """Whether only items of a list are in another order: between what both begin and end with."""
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
