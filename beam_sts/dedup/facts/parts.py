"""Detects which part or edition of a thing a text describes, rights holders and questions. Pure functions.

Additional words are mostly no difference, since a longer text may be a copy of a shorter one. They are one if
they say that the longer text describes another part: ``This package contains the documentation.``
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from beam_sts.dedup.facts import tables
from beam_sts.dedup.facts.tokens import CODE, LINE, PLAIN, SENTENCE, Facts

PARTS_IN = 400
"""Most words of a text in which a few words may name the part that it describes."""
SHORT = 150
"""Most words of a text in which one additional word may change the meaning."""
_CUT = 40  # most words of a text that may be truncated within a sentence
_BEGINNING = 8  # words at the beginning of a sentence
_SENTENCE = 30  # most words of a sentence on what a text describes
_OPENING = 6  # words at its beginning that have its verb
_SIGNS = frozenset(".!?\u3002")
_HOLDER = re.compile(r"copyright|\(c\)|\u00a9|all rights reserved", re.IGNORECASE)


def tells_part(left: Facts, right: Facts, mine: Sequence[int], theirs: Sequence[int], whole: bool) -> bool:
    """Whether the words name different parts of a thing, such as its manual and its headers.

    Args:
        left: the first text.
        right: the second text.
        mine: positions of the words that only the first text has.
        theirs: positions of the words that only the second text has.
        whole: whether these are sentences or passages of one text.

    Returns:
        True if they do.
    """
    if min(len(left.keys), len(right.keys)) > PARTS_IN:
        return False
    if whole:
        return _says_what_it_is(left, mine) or _says_what_it_is(right, theirs)
    ours, others = _parts(left, mine), _parts(right, theirs)
    if ours != others and not (ours and others and (ours <= others or others <= ours)):
        return True
    if mine and theirs:
        if _in_brackets(left, mine) and _in_brackets(right, theirs):
            return True
        one, two = _contents(left, mine), _contents(right, theirs)
        return bool(one and two) and one != two
    text, places = (left, mine) if mine else (right, theirs)
    return _in_brackets(text, places) or _asks(text, places)


def _parts(text: Facts, places: Sequence[int]) -> set[str]:
    return {tables.PARTS[key] for at in places if (key := text.keys[at]) in tables.PARTS}


def _in_brackets(text: Facts, places: Sequence[int]) -> bool:
    """Whether the words are one to three words in brackets within a sentence."""
    if not 1 <= len(places) <= 3 or places[-1] - places[0] != len(places) - 1:
        return False
    before = text.text[: text.tokens[places[0]].start].rstrip()
    after = text.text[text.tokens[places[-1]].end :].lstrip()
    return before.endswith("(") and after.startswith(")")


def _contents(text: Facts, places: Sequence[int]) -> set[str]:
    """The words that say what a thing contains: in the object of a verb, as in ``This package contains``.

    Names of parts are left out, and plurals are as singulars.
    """
    start = places[0]
    while start and text.tokens[start].parted != SENTENCE and places[0] - start < _SENTENCE:
        start -= 1
    opening = text.keys[start : start + _OPENING]
    verb = next((at for at, key in enumerate(opening) if at and key in tables.GIVES), 0)
    named = any(key in tables.PARTS or key in tables.THINGS for key in opening[1:verb])
    named |= opening[:verb] == ["it"] and opening[verb] in tables.HOLDS
    if not verb or not named or opening[0] not in tables.OPENS:
        return set()
    words = {text.keys[at] for at in places if at > start + verb} - tables.LITTLE - tables.PARTS.keys()
    return {key.removesuffix("s") for key in words if not _is_free(key)}


def _says_what_it_is(text: Facts, places: Sequence[int]) -> bool:
    """Whether the words are one or two sentences that begin like ``This package``, ``The documentation``."""
    if not places or len(places) > _SENTENCE:
        return False
    opens = [at for at in range(places[0], places[-1] + 1) if text.tokens[at].parted == SENTENCE]
    return 0 < len(opens) < 3 and any(
        _points(text.keys[at : min(at + _BEGINNING, places[-1] + 1)]) for at in opens
    )


def _points(keys: Sequence[str]) -> bool:
    """Whether a sentence begins with a phrase for what the text describes."""
    named = [key in tables.PARTS or key in tables.THINGS for key in keys]
    if keys[0] in tables.POINTING:
        return any(named[1:])
    if keys[0] == "the":
        return any(named[1:3]) and not tables.HOLDS.isdisjoint(keys)
    if keys[0] in tables.THINGS and not tables.HOLDS.isdisjoint(keys[1:3]):
        return True
    return keys[0] in tables.HOLDS - {"is", "are"} or (named[0] and (len(keys) <= 3 or "for" in keys[1:3]))


def _asks(text: Facts, places: Sequence[int]) -> bool:
    """Whether the words ask an additional question, such as ``and where``."""
    return len(places) <= 3 and any(text.keys[at] in tables.QUESTIONS for at in places)


def one_asks(left: Facts, right: Facts) -> bool:
    """Whether one of two sentences is a question and the other a statement, by the signs at their ends.

    Texts of several sentences, and those without a sign at the end, are not compared. A question may have the
    sign of a statement.
    """
    if any(token.parted == SENTENCE for text in (left, right) for token in text.tokens[1:]):
        return False
    ends = _end_signs(left), _end_signs(right)
    if not all(ends) or ("?" in ends[0]) == ("?" in ends[1]):
        return False
    statement = left if "?" in ends[1] else right
    return not statement.keys or statement.keys[0] not in tables.ASKING


def _end_signs(text: Facts) -> frozenset[str]:
    """The signs at the end of a sentence that follow the last letter or digit of a text."""
    after = takewhile(lambda one: not (one.isalnum() or one == "_"), reversed(text.text))
    return _SIGNS.intersection(after)


def adds_word(left: Facts, right: Facts, mine: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether one of two short texts has an additional meaningful word, within a sentence of both.

    A word that replaces another is not an additional one. A text may be truncated.
    """
    length = min(len(left.keys), len(right.keys))
    if length > SHORT:
        return False
    ours, others = _words(left, mine), _words(right, theirs)
    if len(ours) == len(others) or "".join(ours) == "".join(others):
        return False
    more, fewer = sorted((ours, others), key=len, reverse=True)
    if sum(not _is_free(key) for key in more) <= len(fewer):
        return False
    return length <= _CUT or not _cut_off(left, right, mine, theirs)


def inside_sentence(left: Facts, right: Facts, mine: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether one of two short texts continues a sentence that ends in the other: ``for the bindings``."""
    if bool(mine) == bool(theirs) or min(len(left.keys), len(right.keys)) > SHORT:
        return False
    text, places = (left, mine) if mine else (right, theirs)
    if len(places) > _SENTENCE or text.tokens[places[0]].parted >= SENTENCE:
        return False
    return text.tokens[places[0]].parted != LINE and not _cut_off(left, right, mine, theirs)


def _cut_off(left: Facts, right: Facts, mine: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether a text is truncated within a sentence that the other completes."""
    if mine[-1:] == [len(left.keys) - 1]:
        return not _end_signs(right)
    return theirs[-1:] == [len(right.keys) - 1] and not _end_signs(left)


def _words(text: Facts, places: Sequence[int]) -> list[str]:
    found = (text.tokens[at].key for at in places if text.tokens[at].kind in (PLAIN, CODE))
    return [key for key in found if key not in tables.LITTLE]


def _is_free(key: str) -> bool:
    return key in tables.FREE or (len(key) > 4 and key.endswith("ly"))


def tells_holder(text: Facts, places: Sequence[int]) -> bool:
    """Whether words that the other text lacks follow ``Copyright`` in a line."""
    for at in places:
        token = text.tokens[at]
        start = text.text.rfind("\n", 0, token.start) + 1
        if token.key not in tables.LITTLE and _HOLDER.search(text.text, start, token.start):
            return True
    return False
