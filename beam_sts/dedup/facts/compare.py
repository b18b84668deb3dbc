"""Comparison of two texts by their facts: how they differ, and what only one states. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_sts.dedup.facts import tables
from beam_sts.dedup.facts.align import AlignedRange, align_tokens, extra_places
from beam_sts.dedup.facts.difference import Difference
from beam_sts.dedup.facts.order import moved_region
from beam_sts.dedup.facts.parts import adds_word, inside_sentence, one_asks, tells_holder, tells_part
from beam_sts.dedup.facts.programs import other_program
from beam_sts.dedup.facts.spelling import NAMES_AT_ONCE, at_end, spelt_alike, without_misspelt
from beam_sts.dedup.facts.tokens import (
    ADDRESS,
    CODE,
    DATE,
    FIGURES,
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
PARAPHRASES = "paraphrases"
"""As ``facts``, but an additional word is no difference. Mining uses it; ``--guard`` does not offer it."""
_NAMES = {NUMBER: "number", UNIT: "unit", DATE: "date", CODE: "code"}
_PART = 8  # additional words of one text that count as a separate part
_TAIL = 4  # the same at the start or the end of a text
_SENTENCE_END = 30  # characters to show
_PASSAGE = 5  # words of both texts together that make a different passage, with at least two from each


@dataclass(frozen=True)
class FactComparison:
    """The difference of two texts (None if they state the same), and the characters that only each has."""

    difference: Difference | None
    lost: tuple[int, int] = (0, 0)


_SAME = FactComparison(None)


def compare_facts(left: Facts, right: Facts, guard: str = "facts") -> FactComparison:
    """Compare two texts.

    Args:
        left: one text.
        right: the other.
        guard: ``facts``; or ``numbers``: only numbers, dates, units, codes and addresses; or ``none``: only
            the lost characters; or ``paraphrases``: as ``facts``, but an additional word is no difference.

    Returns:
        The difference and the lost characters.

    >>> from beam_sts.dedup.facts.read import read_facts
    >>> one, two = (read_facts(f"It cost {what} euros.") for what in ("3 million", "3 billion"))
    >>> str(compare_facts(one, two).difference)
    'number: 3 million | 3 billion'
    """
    words = guard == "facts"
    guard = "facts" if guard == PARAPHRASES else guard
    difference = None
    if guard != "none" and left.links and right.links and left.links != right.links:
        one, two = (next(iter(sorted(set(a) - set(b))), "") for a, b in _both(left.links, right.links))
        difference = Difference("address", one, two)
    if guard == "facts" and difference is None and left.program and right.program:
        if done := other_program(left.program, right.program):
            difference = Difference("statement", *done)
        else:
            guard = "numbers"  # what comments say does not change what a program does
    if guard == "facts" and difference is None and one_asks(left, right):
        difference = Difference(
            "question", left.text.strip()[-_SENTENCE_END:], right.text.strip()[-_SENTENCE_END:]
        )
    if left.keys == right.keys:
        return FactComparison(difference) if difference else _SAME
    blocks = list(align_tokens(left.keys, right.keys))
    extra = extra_places(left.keys, right.keys, blocks)
    lost = [0, 0]
    for block in blocks:
        mine = [at for at in range(block.a, block.b) if at in extra[0]]
        theirs = [at for at in range(block.c, block.d) if at in extra[1]]
        lost[0] += _size(left.tokens, mine[len(theirs) :])  # a replaced word is not lost
        lost[1] += _size(right.tokens, theirs[len(mine) :])
        if difference is None and guard != "none" and (mine or theirs):
            difference = _differ(left, right, block, mine, theirs, guard, words=words)
    if difference is None and guard == "facts":
        difference = _passages(left, right, blocks, extra) or _named_apart(left, right, blocks, extra)
    if difference is None and guard != "none":
        moved = moved_region(left, right, blocks, extra, guard)
        if moved:
            difference = Difference("order", left.shown(*moved[0]), right.shown(*moved[1]))
    return FactComparison(difference, (lost[0], lost[1]))


def _both(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    yield a, b
    yield b, a


def _size(tokens: Sequence[Token], places: Sequence[int]) -> int:
    """The characters of some tokens, with a space for each. Two tokens of one word count once."""
    size = stop = 0
    for at in places:
        token = tokens[at]
        if token.end > stop:
            size += token.end - max(token.start, stop) + 1
            stop = token.end
    return size


def _differ(
    left: Facts,
    right: Facts,
    block: AlignedRange,
    mine: list[int],
    theirs: list[int],
    guard: str,
    *,
    words: bool,
) -> Difference | None:
    """The difference at one place; ``words``: whether an additional word is one."""
    mine, theirs = without_misspelt(left, right, mine, theirs)
    if not mine and not theirs:
        return None
    figures = [
        [at for at in found if text.tokens[at].kind in FIGURES]
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
    apart = apart and not inside_sentence(left, right, mine, theirs)
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
    if tells_part(left, right, mine, theirs, apart and not (mine and theirs)):
        return _shown("part", left, right, None, None, mine, theirs)
    if not apart and (tells_holder(left, mine) or tells_holder(right, theirs)):
        return _shown("holder", left, right, None, None, mine, theirs)
    if named := _names(left, right, block, mine, theirs):
        return named
    if words and not apart and adds_word(left, right, mine, theirs):
        return _shown("word", left, right, None, None, mine, theirs)
    return None


def _sides(
    left: Facts, right: Facts, mine: list[int], theirs: list[int]
) -> tuple[tuple[Facts, list[int]], ...]:
    return (left, mine), (right, theirs)


def _is_part(text: Facts, start: int, stop: int, extra: Sequence[int]) -> bool:
    """Whether the words that only this text has are a separate part: a sentence, a line, a longer passage."""
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
    """The difference of two numbers, with their units."""
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
    """A word whose counterpart is derived from it with ``un-``, ``-less`` or similar."""
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


def _names(
    left: Facts, right: Facts, block: AlignedRange, mine: list[int], theirs: list[int]
) -> Difference | None:
    """A name in the place of a word that is not a variant spelling of it, or an extended compound."""
    ours = [at for at in mine if _says(left.tokens[at])][:NAMES_AT_ONCE]
    others = [to for to in theirs if _says(right.tokens[to])][:NAMES_AT_ONCE]
    little = [left.keys[at] for at in mine if not ours] + [right.keys[to] for to in theirs if not others]
    if (ours or others) and not tables.PERSONS.isdisjoint(little):
        return _shown("name", left, right, None, None, mine, theirs)
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
                to for to in against if spelt_alike(token, second.tokens[to], at_end(text, at, second, to))
            ]
            if partners:
                continue
            free = [
                to
                for to in against
                if not any(spelt_alike(text.tokens[x], second.tokens[to], False) for x in found)
                and (
                    second.tokens[to].named
                    or second.tokens[to].part
                    or (token.named and token.part)
                    or len(found) == len(against) == 1
                )
            ]
            if free:
                pair = (at, free[0]) if text is left else (free[0], at)
                return _shown("name", left, right, *pair)
    return None


def _named_apart(
    left: Facts, right: Facts, blocks: Sequence[AlignedRange], extra: tuple[set[int], set[int]]
) -> Difference | None:
    """Names that only one text has, at different places in both, such as lists with different members."""
    ours: list[int] = []
    others: list[int] = []
    for block in blocks:
        mine, theirs = without_misspelt(
            left,
            right,
            [at for at in range(block.a, block.b) if at in extra[0]],
            [at for at in range(block.c, block.d) if at in extra[1]],
        )
        ours += [at for at in mine if _is_name(left, at)]
        others += [at for at in theirs if _is_name(right, at)]
    pairs = [(at, to) for at in ours[:NAMES_AT_ONCE] for to in others[:NAMES_AT_ONCE]]
    if not pairs or any(spelt_alike(left.tokens[at], right.tokens[to], False) for at, to in pairs):
        return None
    return _shown("name", left, right, ours[0], others[0])


def _is_name(text: Facts, at: int) -> bool:
    token = text.tokens[at]
    return token.named and token.kind in (PLAIN, CODE) and _says(token)


def _passages(
    left: Facts, right: Facts, blocks: Sequence[AlignedRange], extra: tuple[set[int], set[int]]
) -> Difference | None:
    """Several words in the place of several others, such as another request or clause."""
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


def _runs(left: Facts, blocks: Sequence[AlignedRange]) -> Iterator[list[AlignedRange]]:
    """Groups of blocks that are separated by at most two function words."""
    run: list[AlignedRange] = []
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
    """Whether a word that only one text has is attached to a word that both have."""
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
