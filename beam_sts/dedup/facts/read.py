"""Reads the facts of a text: tokens in a normal form, each with the kind of fact it states."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from beam_sts.candidates.form import lines_of_form, links
from beam_sts.dedup.facts import tables, units
from beam_sts.dedup.facts.numbers import GROUPED, join_numbers, number_key, plain_numbers
from beam_sts.dedup.facts.programs import program_of
from beam_sts.dedup.facts.tokens import (
    ADDRESS,
    CODE,
    DATE,
    ITEM,
    LINE,
    NEGATION,
    NOTHING,
    NUMBER,
    PLAIN,
    QUANTITY,
    SENTENCE,
    SIGN,
    UNIT,
    Facts,
    Token,
)

_CJK = "\u3007\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_CJK += "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = "\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f"
_SIGNS += "\u20a0-\u20cf\u2190-\u2bff\u3000-\u3006\u3008-\u303f\ufe30-\ufe6f"
_IN_WORD = rf"[^\s!-/:-@\[-^`{{-~{_SIGNS}{_CJK}\U0001f000-\U0001fbff]"
# Each part of the pattern can match in only one way, so the time is linear in the text.
_PIECES = re.compile(
    r"(?P<address>(?:https?|ftp|file)://[^\s<>\"]+|www\.[^\s<>\"]+)"
    rf"|(?P<chunk>{_IN_WORD}+(?:(?:[-.,:/'@+#&]|::){_IN_WORD}+)*(?:\+\+|#)?)"
    rf"|(?P<cjk>[{_CJK}])"
    r"|(?P<line>\n\s*)|(?P<end>[.!?。！？…;；]+)|(?P<item>[,、，/|•·:：])"
    r"|(?P<currency>[$€£¥₹₽₩])|(?P<percent>[%‰])|(?P<degree>°[CF]?)"
    r"|(?P<sign>[<>=!]=|[<>=≤≥≠±×÷+*^-])"
    r"|(?P<symbol>[\u2190-\u21ff\u2600-\u27bf\U0001f000-\U0001fbff])"
)
_SPLIT = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^0-9]+")
_ISO = re.compile(r"([12][0-9]{3})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[tT]([0-9:.]+)[zZ]?)?")
_DMY = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?")
_VERSION = re.compile(r"[vV]?[0-9]+(?:\.[0-9]+){2,}")
_LONGEST_CHUNK = 400


def read_facts(text: str) -> Facts:
    """Read the facts of a text.

    >>> [token.key for token in read_facts("It isn't 3 million km, it's two thousand.").tokens]
    ['it', 'is', 'not', '#3000000', '~km', 'it', 'is', '#2000']
    >>> read_facts("5 March 2024").keys == read_facts("5 Mar 2024").keys
    True
    """
    clean = _plain_digits(lines_of_form(text))
    tokens = _name(join_numbers(list(_pieces(clean))), clean)
    return Facts(clean, tokens, [token.key for token in tokens], links(text), program_of(clean))


def _plain_digits(text: str) -> str:
    """Convert the digits of all scripts to ASCII."""
    if text.isascii():
        return text
    text = re.sub(r"[^\W\x00-\x7f]", _digit, text)
    return text.replace("\u066b", ".").replace("\u066c", ",").replace("\u066a", "%")


def _digit(found: re.Match[str]) -> str:
    value = unicodedata.decimal(found.group(), None)
    return found.group() if value is None else str(value)


def _pieces(text: str) -> Iterator[Token]:
    """The tokens before numbers are combined. The key of a number has its digits only."""
    parted, last = SENTENCE, ""
    for found in _PIECES.finditer(text):
        group, piece, start = found.lastgroup or "", found.group(), found.start()
        before, last = last, piece
        if group in ("line", "end", "item"):
            if piece == "." and before in tables.ABBREVIATIONS:
                continue
            level = ITEM if group == "item" else SENTENCE if group == "end" or piece.count("\n") > 1 else LINE
            parted = max(parted, level)
            continue
        if group == "chunk" and piece.isalpha() and piece.isascii():  # the most common case
            key, kind = _spelling(piece)
            if key not in tables.CONTRACTIONS:
                yield Token(key, kind, start, found.end(), parted)
                parted = NOTHING
                continue
        first = True
        for token in _tokens_of(group, piece, start):
            yield token._replace(parted=parted) if first else token
            first = False
        if not first:
            parted = NOTHING


def _tokens_of(group: str, piece: str, start: int) -> Iterator[Token]:
    end = start + len(piece)
    if group == "chunk":
        yield from _chunk(piece, start)
    elif group == "address":
        address = piece.rstrip(".,;:!?)'\"")
        bare = re.sub(r"^(?:\w+://)?(?:www\.)?", "", address).rstrip("/")
        yield Token("!" + bare, ADDRESS, start, start + len(address))
    elif group == "cjk":
        yield _word(piece, start, end)
    elif group == "currency":
        yield Token("~" + units.CURRENCIES[piece], UNIT, start, end)
    elif group in ("percent", "degree"):
        unit = piece if piece == "‰" else units.UNITS.get(piece.lower(), piece)
        yield Token("~" + unit, UNIT, start, end)
    elif group == "sign":
        yield Token(piece, SIGN, start, end)
    elif group == "symbol":
        yield Token(piece, PLAIN, start, end, named=True)


def _word(piece: str, start: int, end: int, glued: bool = False) -> Token:
    key, kind = _spelling(piece)
    return Token(key, kind, start, end, NOTHING, glued, glued)


@lru_cache(1 << 16)
def _spelling(piece: str) -> tuple[str, int]:
    """The normal form of a word, and the kind of fact it states."""
    key = piece.casefold()
    key = tables.SAME.get(key, key)
    if len(key) > 2 and key in units.UNITS and key not in tables.ORDINALS:
        return "~" + units.UNITS[key], PLAIN  # one key for all its forms; it is a unit only next to a number
    return key, NEGATION if key in tables.NEGATIONS else QUANTITY if key in tables.QUANTITIES else PLAIN


def _chunk(piece: str, start: int) -> Iterator[Token]:
    """Split text without spaces: compounds, numbers, dates, codes, email addresses."""
    end = start + len(piece)
    if len(piece) > _LONGEST_CHUNK:
        yield Token("!" + piece, CODE, start, end)
        return
    low = piece.casefold()
    if "@" in piece and "." in piece:
        yield Token("!" + low, ADDRESS, start, end)
        return
    if piece[-1] in "+#":  # C++, C#
        yield Token(low, CODE, start, end, named=True)
        return
    if not any("0" <= c <= "9" for c in piece):
        yield from _letters(piece, low, start)
        return
    if date := _ISO.fullmatch(piece) or _DMY.fullmatch(piece):
        yield from _date(date, start, end)
        return
    if time := _TIME.fullmatch(piece):
        seconds = f":{time[3]}" if time[3] and int(time[3]) else ""
        yield Token(f"@{int(time[1])}:{time[2]}{seconds}", DATE, start, end)
        return
    if _VERSION.fullmatch(piece) and not GROUPED.fullmatch(piece):
        yield Token("!" + low.lstrip("v"), CODE, start, end)
        return
    yield from _mixed(piece, start)


def _letters(piece: str, low: str, start: int) -> Iterator[Token]:
    """Split text without digits: contractions, compounds, names with points."""
    end = start + len(piece)
    if low in tables.CONTRACTIONS:
        for key in tables.CONTRACTIONS[low]:
            yield _word(key, start, end)
        return
    if "'" in low:
        stem, _, ending = low.rpartition("'")
        if "'" + ending in tables.ENDINGS and stem:
            yield from _letters(piece[: len(stem)], stem, start)
            yield _word(tables.ENDINGS["'" + ending], start + len(stem), end)
            return
        if ending == "s" and stem:
            yield from _letters(piece[: len(stem)], stem, start)
            if stem in tables.IS_BEHIND:
                yield _word("is", start + len(stem), end)
            return
    if low in tables.SAME or (low.isalpha() and "_" not in low):
        yield _word(piece, start, end)
        return
    dotted = piece.split(".")
    if len(dotted) > 1 and all(len(part) == 1 for part in dotted):  # U.S., p.m
        yield _word("".join(dotted), start, end)
        return
    compound = any(mark in piece for mark in "_:/@#.&+")
    at, first = start, True
    for part in re.split(r"([-.,:/'@+#&_]+)", piece):
        if part and (part[0].isalnum() or part[0] not in "-.,:/'@+#&_"):
            word = _word(part, at, at + len(part), glued=not first)
            named = compound and "'" not in piece and part not in ("and", "or")
            yield word._replace(named=named and "/" not in piece and "," not in piece)
            first = False
        at += len(part)


def _date(found: re.Match[str], start: int, end: int) -> Iterator[Token]:
    if found.re is _ISO:
        year, month, day = (int(found[at]) for at in (1, 2, 3))
    else:
        day, month, year = int(found[1]), int(found[3]), int(found[4])
        if found[2] == "/" and day <= 12 and month <= 12 and day != month:
            yield Token(f"@{day}/{month}/{year}", DATE, start, end)  # both orders are in use
            return
        if month > 12:
            day, month = month, day
    if not (1 <= month <= 12 and 1 <= day <= 31):
        yield Token("!" + found.group(), CODE, start, end)
        return
    yield Token(f"#{day}", NUMBER, start, end)
    yield Token(f"@month {month}", DATE, start, end)
    yield Token(f"#{year}", NUMBER, start, end)
    if found.re is _ISO and found[4]:
        yield Token(f"@{found[4]}", DATE, start, end)


def _mixed(piece: str, start: int) -> Iterator[Token]:
    """Split letters and digits that are written together: ``5km``, ``B-52``, ``55-0918``, ``3rd``."""
    whole = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)*)(st|nd|rd|th|[A-Za-zµμ°]{1,4})", piece)
    if whole and (ending := whole[2]):
        middle = start + len(whole[1])
        if ending.lower() in ("st", "nd", "rd", "th"):
            yield Token(number_key(whole[1]), NUMBER, start, start + len(piece))
            return
        if ending.lower() in ("am", "pm"):
            yield Token(number_key(whole[1]), NUMBER, start, middle)
            yield _word(ending, middle, start + len(piece), glued=True)
            return
        if ending in tables.GLUED or ending.lower() in units.UNITS:
            yield Token(number_key(whole[1]), NUMBER, start, middle)
            if ending in tables.GLUED:
                yield Token("*" + ending, NUMBER, middle, start + len(piece), glued=True)
            else:
                yield Token("~" + units.UNITS[ending.lower()], UNIT, middle, start + len(piece), glued=True)
            return
    at, first = start, True
    for part in re.split(r"([-,:/'@+#&_]|\.(?![0-9])|(?<![0-9])\.)", piece):
        for found in _SPLIT.finditer(part):
            bit, begin = found.group(), at + found.start()
            if "0" <= bit[0] <= "9":
                for number in plain_numbers(bit):
                    yield Token(
                        number,
                        CODE if number[0] == "!" else NUMBER,
                        begin,
                        begin + len(bit),
                        NOTHING,
                        not first,
                        not first,
                    )
                    first = False
            elif any(c.isalnum() for c in bit):
                alone = bit.casefold()
                kind = PLAIN if len(alone) > 3 or alone in tables.known_words() else CODE
                key = tables.SAME.get(alone, alone)
                yield Token(key, kind, begin, begin + len(bit), NOTHING, not first, not first, True)
                first = False
        at += len(part)


def _name(tokens: list[Token], text: str) -> list[Token]:
    """Mark the names: capitalised words within a sentence, rare words, and names of calls (``f(``).

    Capitals are ignored if most words have them, and rarity is ignored if few words are known (other
    languages).
    """
    words, capital, unknown, shouted = [], [], [], 0
    for at, token in enumerate(tokens):
        if token.kind == PLAIN and token.end - token.start > 1 and token.key.isalpha():
            words.append(at)
            if text[token.start].isupper():
                capital.append(at)
                shouted += text[token.end - 1].isupper()
            if len(token.key) > 2 and not _is_known(token.key):
                unknown.append(at)
    capitals_tell = shouted * 2 <= len(words) or len(words) <= 3
    rarity_tells = len(unknown) * 2 <= len(words)
    named: set[int] = set()
    if capitals_tell:
        named.update(
            at for at in capital if tokens[at].parted != SENTENCE and tokens[at].key not in tables.LITTLE
        )
    named.update(at for at in words if text[tokens[at].end : tokens[at].end + 1] == "(")
    quoted = [at for at in words if _is_quoted(text, tokens[at])]
    named.update(quoted)
    labelled = [at for at in words if at + 1 < len(tokens) and tokens[at + 1].key in tables.LABELS]
    labelled = [at for at in labelled if tokens[at].key not in tables.LITTLE]
    named.update(labelled)
    for at in labelled + quoted:  # spelling matters, as for parts of a compound
        tokens[at] = tokens[at]._replace(part=True)
    if rarity_tells:
        named.update(at for at in unknown if tokens[at].key.isascii())
    for at in named:
        tokens[at] = tokens[at]._replace(named=True)
    for at in range(1, len(tokens)):
        if tokens[at].glued:
            tokens[at - 1] = tokens[at - 1]._replace(part=True)
    return tokens


def _is_quoted(text: str, token: Token) -> bool:
    """Whether a word is alone between quotation marks."""
    before = text[token.start - 1 : token.start] if token.start else ""
    return before != "" and before in "\"'`" and text[token.end : token.end + 1] == before


@lru_cache(1 << 16)
def _is_known(word: str) -> bool:
    known = tables.known_words()
    if word in known:
        return True
    for ending in ("s", "es", "ed", "ing", "ly", "er", "d", "ness", "able"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            doubled = stem[-1] == stem[-2] and stem[:-1] in known
            if stem in known or stem + "e" in known or doubled:
                return True
    return False
