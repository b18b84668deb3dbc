"""From a text to what it says: tokens in one spelling each, with what kind of fact each carries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from beam_sts.candidates.form import lines_of_form, links
from beam_sts.dedup.facts import tables

PLAIN, NUMBER, UNIT, DATE, CODE, ADDRESS, NEGATION, QUANTITY, SIGN = range(9)
KINDS = ("word", "number", "unit", "date", "code", "address", "negation", "quantity", "sign")

NOTHING, LINE, ITEM, SENTENCE = range(4)
"""What separates a token from the one before it: nothing but blanks, the end of a line, what separates the
items of a list, the end of a sentence or a paragraph."""

_CJK = "\u3007\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_CJK += "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SIGNS = "\u00a1-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f"
_SIGNS += "\u20a0-\u20cf\u2190-\u2bff\u3000-\u3006\u3008-\u303f\ufe30-\ufe6f"
_IN_WORD = rf"[^\s!-/:-@\[-^`{{-~{_SIGNS}{_CJK}\U0001f000-\U0001fbff]"
# Every part takes what it can without a second way to do so: the time is linear in the text.
_PIECES = re.compile(
    r"(?P<address>(?:https?|ftp|file)://[^\s<>\"]+|www\.[^\s<>\"]+)"
    rf"|(?P<chunk>{_IN_WORD}+(?:(?:[-.,:/'@+#&]|::){_IN_WORD}+)*)"
    rf"|(?P<cjk>[{_CJK}])"
    r"|(?P<line>\n\s*)|(?P<end>[.!?。！？…;；]+)|(?P<item>[,、，/|•·:：])"
    r"|(?P<currency>[$€£¥₹₽₩])|(?P<percent>[%‰])|(?P<degree>°[CF]?)"
    r"|(?P<sign>[<>=!]=|[<>=≤≥≠±×÷+*^-])"
    r"|(?P<symbol>[\u2190-\u21ff\u2600-\u27bf\U0001f000-\U0001fbff])"
)
_SPLIT = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[^0-9]+")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,3}(?:\.[0-9]{3}){2,}")
_DECIMAL = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_ISO = re.compile(r"([12][0-9]{3})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[tT]([0-9:.]+)[zZ]?)?")
_DMY = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?")
_VERSION = re.compile(r"[vV]?[0-9]+(?:\.[0-9]+){2,}")
_MOST_DIGITS = 30
_LONGEST_CHUNK = 400


class Token(NamedTuple):
    """A token: its spelling, kind, place in the plain text, and what parts it from the one before.

    ``glued``: written together with the one before it. ``part``: of something written together. ``named``: a
    name, or a word that few know.
    """

    key: str
    kind: int
    start: int
    end: int
    parted: int = NOTHING
    glued: bool = False
    part: bool = False
    named: bool = False


@dataclass(frozen=True)
class Facts:
    """What a text says. ``text`` is its plain form, which the places of the tokens are in."""

    text: str
    tokens: list[Token]
    keys: list[str] = field(repr=False)
    links: tuple[str, ...] = ()

    def shown(self, start: int, stop: int) -> str:
        """The tokens from ``start`` to ``stop`` as they are written."""
        return " ".join(self.text[self.tokens[start].start : self.tokens[stop - 1].end].split())


def read_facts(text: str) -> Facts:
    """Read a text.

    >>> [token.key for token in read_facts("It isn't 3 million km, it's two thousand.").tokens]
    ['it', 'is', 'not', '#3000000', '~km', 'it', 'is', '#2000']
    >>> read_facts("5 March 2024").keys == read_facts("5 Mar 2024").keys
    True
    """
    clean = _plain_digits(lines_of_form(text))
    tokens = _name(_join_numbers(list(_pieces(clean))), clean)
    return Facts(clean, tokens, [token.key for token in tokens], links(text))


def _plain_digits(text: str) -> str:
    """Digits of every script as those of ASCII."""
    if text.isascii():
        return text
    text = re.sub(r"[^\W\x00-\x7f]", _digit, text)
    return text.replace("\u066b", ".").replace("\u066c", ",").replace("\u066a", "%")


def _digit(found: re.Match[str]) -> str:
    value = unicodedata.decimal(found.group(), None)
    return found.group() if value is None else str(value)


def _pieces(text: str) -> Iterator[Token]:
    """Tokens whose numbers are not yet put together: ``#`` numbers have their digits alone."""
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
        if group == "chunk" and piece.isalpha() and piece.isascii():  # as most are
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
        yield Token("~" + tables.CURRENCIES[piece], UNIT, start, end)
    elif group in ("percent", "degree"):
        unit = piece if piece == "‰" else tables.UNITS.get(piece.lower(), piece)
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
    """One spelling of a word, and what kind of fact it is."""
    key = piece.casefold()
    key = tables.SAME.get(key, key)
    if len(key) > 2 and key in tables.UNITS and key not in tables.ORDINALS:
        return "~" + tables.UNITS[key], PLAIN  # the same word wherever it is; a unit only beside a number
    return key, NEGATION if key in tables.NEGATIONS else QUANTITY if key in tables.QUANTITIES else PLAIN


def _chunk(piece: str, start: int) -> Iterator[Token]:
    """What is written together: words with signs in them, numbers, dates, codes, addresses of mail."""
    end = start + len(piece)
    if len(piece) > _LONGEST_CHUNK:
        yield Token("!" + piece, CODE, start, end)
        return
    low = piece.casefold()
    if "@" in piece and "." in piece:
        yield Token("!" + low, ADDRESS, start, end)
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
    if _VERSION.fullmatch(piece) and not _GROUPED.fullmatch(piece):
        yield Token("!" + low.lstrip("v"), CODE, start, end)
        return
    yield from _mixed(piece, start)


def _letters(piece: str, low: str, start: int) -> Iterator[Token]:
    """Without digits: contractions, compounds, names with points."""
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
            yield Token(f"@{day}/{month}/{year}", DATE, start, end)  # either order is in use
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
    """Letters and digits together: ``5km``, ``B-52``, ``55-0918``, ``3rd``."""
    whole = re.fullmatch(r"([0-9]+(?:[.,][0-9]+)*)(st|nd|rd|th|[A-Za-zµμ°]{1,4})", piece)
    if whole and (ending := whole[2]):
        middle = start + len(whole[1])
        if ending.lower() in ("st", "nd", "rd", "th"):
            yield Token(_number_key(whole[1]), NUMBER, start, start + len(piece))
            return
        if ending.lower() in ("am", "pm"):
            yield Token(_number_key(whole[1]), NUMBER, start, middle)
            yield _word(ending, middle, start + len(piece), glued=True)
            return
        if ending in tables.GLUED or ending.lower() in tables.UNITS:
            yield Token(_number_key(whole[1]), NUMBER, start, middle)
            if ending in tables.GLUED:
                yield Token("*" + ending, NUMBER, middle, start + len(piece), glued=True)
            else:
                yield Token("~" + tables.UNITS[ending.lower()], UNIT, middle, start + len(piece), glued=True)
            return
    at, first = start, True
    for part in re.split(r"([-,:/'@+#&_]|\.(?![0-9])|(?<![0-9])\.)", piece):
        for found in _SPLIT.finditer(part):
            bit, begin = found.group(), at + found.start()
            if "0" <= bit[0] <= "9":
                for number in _plain_numbers(bit):
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


def _plain_numbers(digits: str) -> list[str]:
    if _GROUPED.fullmatch(digits) or _DECIMAL.fullmatch(digits):
        return [_number_key(digits)]
    return [_number_key(part) for part in re.split(r"[.,]", digits)]


def _number_key(digits: str) -> str:
    """One spelling of a number; of one with zeros before it, a code of its own.

    >>> [_number_key(n) for n in ("1,000", "1000", "3.0", "3", "0.50", "007", "3,5")]
    ['#1000', '#1000', '#3', '#3', '#0.5', '!007', '#3.5']
    """
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "") if "," in digits else digits.replace(".", "")
    elif digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    whole, _, rest = digits.partition(".")
    if len(whole) > 1 and whole[0] == "0":
        return "!" + digits
    if "," in digits:
        return "!" + digits
    rest = rest.rstrip("0")
    return f"#{whole}.{rest}" if rest else f"#{whole}"


def _times(key: str, factor: int) -> str | None:
    """A number's key multiplied; None where the number is too long to be one."""
    whole, _, rest = key[1:].partition(".")
    if key[0] != "#" or not (whole + rest).isdigit() or len(whole) + len(rest) > _MOST_DIGITS:
        return None
    value = int(whole + rest) * factor
    shift = 10 ** len(rest)
    if value % shift == 0:
        return f"#{value // shift}"
    digits = str(value).rjust(len(rest) + 1, "0")
    return _number_key(digits[: -len(rest)] + "." + digits[-len(rest) :])


def _join_numbers(tokens: list[Token]) -> list[Token]:
    """Number words and what follows a number put together; units and months told from words."""
    joined: list[Token] = []
    at, count = 0, len(tokens)
    while at < count:
        token = tokens[at]
        after = tokens[at + 1] if at + 1 < count and tokens[at + 1].parted <= LINE else None
        key, kind = token.key, token.kind
        if kind == PLAIN and key not in _MATTER:
            joined.append(token)
            at += 1
        elif kind == PLAIN and not token.named and (found := _number_words(tokens, at)):
            key, length = found
            end = tokens[at + length - 1].end
            at += length - 1  # the number stands for its words from here on
            tokens[at] = token._replace(key=key, kind=NUMBER, end=end)
        elif token.kind == NUMBER and token.key[0] == "#":
            at = _number(tokens, at, joined)
        elif token.kind == SIGN and token.key in "+-":
            at = _plus_or_minus(tokens, at, joined)
        elif after and after.kind == NUMBER and _is_currency(token):
            at = _money(tokens, at, joined, token.key)
        elif token.key == "us" and after and after.key == "~USD":  # US$ 5
            at += 1
            tokens[at] = after._replace(parted=token.parted)
        elif token.key in tables.MONTHS and token.kind in (PLAIN, QUANTITY):
            at = _month(tokens, at, joined)
        elif (
            token.key == "of"
            and after
            and after.key in tables.MONTHS
            and joined
            and joined[-1].kind == NUMBER
        ):
            at += 1
        elif token.kind == DATE and after and after.key in ("am", "pm"):
            joined.append(token._replace(key=_clock(token.key, after.key), end=after.end))
            at += 2
        else:
            joined.append(token)
            at += 1
    return joined


def _is_currency(token: Token) -> bool:
    """Whether a token before a number may be its currency: a sign, or a code of three letters."""
    code = token.kind == PLAIN and token.end - token.start == 3
    return token.key[:1] == "~" and token.key[1:] in _CURRENCY_NAMES and (token.kind == UNIT or code)


def _plus_or_minus(tokens: list[Token], at: int, joined: list[Token]) -> int:
    """A sign before a number, or a dash."""
    token = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else None
    number = after is not None and after.kind == NUMBER and after.start == token.end and not after.parted
    if number and token.key == "-" and not (joined and joined[-1].end == token.start):
        before = len(joined)
        at = _number(tokens, at + 1, joined)
        found = joined[before]
        joined[before] = found._replace(key="#-" + found.key[1:], start=token.start, parted=token.parted)
        return at
    if after is not None and token.key == "-":
        tokens[at + 1] = after._replace(parted=max(after.parted, token.parted, NOTHING if number else ITEM))
    return at + 1


def _money(tokens: list[Token], at: int, joined: list[Token], unit: str) -> int:
    """A currency before its number: behind it, as in words."""
    token, before = tokens[at], len(joined)
    at = _number(tokens, at + 1, joined, money=True)
    joined[before] = joined[before]._replace(start=token.start, parted=token.parted)
    joined.insert(before + 1, token._replace(key=unit, kind=UNIT, parted=NOTHING))
    return at


def _month(tokens: list[Token], at: int, joined: list[Token]) -> int:
    """A month, or a word that is one only beside a number; "March 5" as "5 March"."""
    token = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) and tokens[at + 1].parted <= LINE else None
    behind = bool(joined) and joined[-1].kind == NUMBER and token.parted <= LINE
    number = after is not None and after.kind == NUMBER
    if token.key in tables.UNSURE_MONTHS and not behind and not number:
        joined.append(token)
        return at + 1
    month = token._replace(key=f"@month {tables.MONTHS[token.key]}", kind=DATE)
    if number and not behind and after is not None and re.fullmatch("#[0-9]{1,2}", after.key):
        joined += [after._replace(parted=token.parted), month._replace(parted=NOTHING)]
        return at + 2
    joined.append(month)
    return at + 1


def _number(tokens: list[Token], at: int, joined: list[Token], money: bool = False) -> int:
    """Append the number at a place with what multiplies it and its unit; gives the place behind them."""
    token, count = tokens[at], len(tokens)
    key, end = token.key, token.end
    stop = _groups(tokens, at)
    if stop > at + 1:
        key, end = key + "".join(group.key[1:] for group in tokens[at + 1 : stop]), tokens[stop - 1].end
    at = stop
    while at < count and tokens[at].parted <= LINE:
        word, length = tokens[at], 1
        factor = tables.GLUED.get(word.key[1:]) if word.key[:1] == "*" else _FACTORS.get(word.key)
        if factor is None and money and word.key in _AFTER_CURRENCY:
            factor = _AFTER_CURRENCY[word.key]
        if factor is None and word.key in tables.CJK_MAGNITUDES and word.start == end:
            found, length = _cjk_number(tokens, at)
            factor = int(found[1:])
        made = _times(key, factor) if factor else None
        if made is None:
            break
        key, at = made, at + length
        end = tokens[at - 1].end
    joined.append(token._replace(key=key, kind=NUMBER if key[0] == "#" else CODE, end=end))
    if at < count and tokens[at].parted <= LINE:
        word = tokens[at]
        name = word.key
        if name == "per" and at + 1 < count and tokens[at + 1].key == "~cent":
            joined.append(word._replace(key="~%", kind=UNIT, end=tokens[at + 1].end))
            return at + 2
        if (
            word.kind in (PLAIN, CODE)
            and (name[0] == "~" or name in tables.UNITS)
            and name not in ("a", "won")
        ):
            unit = name if name[0] == "~" else "~" + tables.UNITS[name]
            joined.append(word._replace(key=unit, kind=UNIT, named=False))
            return at + 1
        if name in ("am", "pm"):
            joined[-1] = joined[-1]._replace(key=_clock(joined[-1].key, name), kind=DATE, end=word.end)
            return at + 1
    return at


_FACTORS = {
    word: factor
    for word, factor in tables.MAGNITUDES.items()
    if word not in ("hundreds", "thousands", "dozens")
}
_MATTER = frozenset(
    (
        *(
            *tables.ONES,
            *tables.TENS,
            *tables.MAGNITUDES,
            *tables.ORDINALS,
            *tables.FRACTIONS,
            *tables.MONTHS,
        ),
        *(*tables.CJK_DIGITS, *tables.CJK_MAGNITUDES, *("~" + name for name in tables.CURRENCIES.values())),
        *("a", "an", "of", "us", "half"),
    )
)
"""Words that may be part of a number or a date; the others pass."""
_AFTER_CURRENCY = {"m": 10**6, "~m": 10**6, "b": 10**9}
_CURRENCY_NAMES = frozenset(tables.CURRENCIES.values())


def _groups(tokens: list[Token], at: int) -> int:
    """The place behind a number in groups of three digits, one blank each: ``1 000 000``, no phone number."""
    if not re.fullmatch("#[1-9][0-9]{0,2}", tokens[at].key):
        return at + 1
    stop = at + 1
    while stop < len(tokens) and stop - at < 8 and tokens[stop].start == tokens[stop - 1].end + 1:
        if tokens[stop].parted or tokens[stop].kind not in (NUMBER, CODE) or tokens[stop].key[0] not in "#!":
            break
        if not re.fullmatch("[#!][0-9]{3}", tokens[stop].key):
            return at + 1
        stop += 1
    return stop


def _clock(key: str, half: str) -> str:
    """Hours of twelve as of twenty-four.

    >>> _clock("#2", "pm"), _clock("#12.3", "am")
    ('@14:00', '@0:30')
    """
    hours, _, minutes = key[1:].replace(":", ".").partition(".")
    if not hours.isdigit() or int(hours[:3]) > 12:
        return f"@{key[1:]} {half}"
    return f"@{int(hours) % 12 + 12 * (half == 'pm')}:{minutes.ljust(2, '0')}"


def _number_words(tokens: list[Token], at: int) -> tuple[str, int] | None:
    """The number that words at a place spell, and how many words that are."""
    word = tokens[at].key
    if word in tables.CJK_DIGITS or word in tables.CJK_MAGNITUDES:
        return _cjk_number(tokens, at)
    if word in tables.ORDINALS:
        return f"#{tables.ORDINALS[word]}", 1
    if (
        word == "half"
        and at + 2 < len(tokens)
        and tokens[at + 1].key == "a"
        and tokens[at + 2].key in _FACTORS
    ):
        return f"#{_FACTORS[tokens[at + 2].key] // 2}", 3
    if word in tables.FRACTIONS:
        return "#" + tables.FRACTIONS[word], 1
    if word in ("a", "an"):
        if at + 1 < len(tokens) and tokens[at + 1].key in tables.MAGNITUDES and not tokens[at + 1].parted:
            return f"#{tables.MAGNITUDES[tokens[at + 1].key]}", 2
        return None
    if word not in tables.ONES and word not in tables.TENS and word not in tables.MAGNITUDES:
        return None
    total, part, stop, seen = 0, 0, at, False
    while stop < len(tokens) and stop - at < 24 and (stop == at or tokens[stop].parted <= LINE):
        word = tokens[stop].key
        if word in tables.ONES:
            if seen and part % 10 and part % 100 > 10:
                break
            if seen and part % 100 and part % 100 < 20:
                break
            part += tables.ONES[word]
        elif word in tables.TENS:
            if part % 100:
                break
            part += tables.TENS[word]
        elif word == "hundred" or word == "dozen":
            part = max(part, 1) * tables.MAGNITUDES[word]
        elif word in tables.MAGNITUDES:
            total, part = total + max(part, 1) * tables.MAGNITUDES[word], 0
        elif word == "and" and seen and stop + 1 < len(tokens) and (part % 100 == 0) and (part or total):
            follower = tokens[stop + 1].key
            if tokens[stop + 1].parted or not (follower in tables.ONES or follower in tables.TENS):
                break
        else:
            break
        seen = True
        stop += 1
    return f"#{total + part}", stop - at


def _cjk_number(tokens: list[Token], at: int) -> tuple[str, int]:
    stop, total, part, digit = at, 0, 0, 0
    plain = ""
    while (
        stop < len(tokens) and stop - at < 24 and (stop == at or tokens[stop].start == tokens[stop - 1].end)
    ):
        word = tokens[stop].key
        if word in tables.CJK_DIGITS:
            digit = tables.CJK_DIGITS[word]
            plain += str(digit)
        elif word in tables.CJK_MAGNITUDES:
            factor = tables.CJK_MAGNITUDES[word]
            if factor >= 10**4:
                total, part, digit = total + max(part + digit, 1) * factor, 0, 0
            else:
                part, digit = part + max(digit, 1) * factor, 0
            plain = ""
        else:
            break
        stop += 1
    if len(plain) == stop - at:  # 二〇二四
        return _number_key(plain), stop - at
    return f"#{total + part + digit}", stop - at


def _name(tokens: list[Token], text: str) -> list[Token]:
    """Tell the names: words with a capital inside a sentence, words few know, what is called (``f(``).

    Where most words are in capitals, or few words are known (other languages), these say nothing.
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
    labelled = [at for at in words if at + 1 < len(tokens) and tokens[at + 1].key in tables.LABELS]
    labelled = [at for at in labelled if tokens[at].key not in tables.LITTLE]
    named.update(labelled)
    for at in labelled:  # spelt as it has to be, as what is written together
        tokens[at] = tokens[at]._replace(part=True)
    if rarity_tells:
        named.update(at for at in unknown if tokens[at].key.isascii())
    for at in named:
        tokens[at] = tokens[at]._replace(named=True)
    for at in range(1, len(tokens)):
        if tokens[at].glued:
            tokens[at - 1] = tokens[at - 1]._replace(part=True)
    return tokens


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
