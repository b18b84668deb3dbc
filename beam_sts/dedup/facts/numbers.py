"""Numbers, money, dates and units of a text, combined from its tokens. Pure functions."""

from __future__ import annotations

import re

from beam_sts.dedup.facts import tables, units
from beam_sts.dedup.facts.tokens import (
    CODE,
    DATE,
    ITEM,
    LINE,
    NOTHING,
    NUMBER,
    PLAIN,
    QUANTITY,
    SIGN,
    UNIT,
    Token,
)

GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,3}(?:\.[0-9]{3}){2,}")
_DECIMAL = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_MOST_DIGITS = 30


def plain_numbers(digits: str) -> list[str]:
    """The number in digits with points and commas, or the numbers between these."""
    if GROUPED.fullmatch(digits) or _DECIMAL.fullmatch(digits):
        return [number_key(digits)]
    return [number_key(part) for part in re.split(r"[.,]", digits)]


def number_key(digits: str) -> str:
    """The normal form of a number. A number with leading zeros is a code.

    >>> [number_key(n) for n in ("1,000", "1000", "3.0", "3", "0.50", "007", "3,5")]
    ['#1000', '#1000', '#3', '#3', '#0.5', '!007', '#3.5']
    """
    if GROUPED.fullmatch(digits):
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
    """The key of a number times a factor; None if it is not a number or too long."""
    whole, _, rest = key[1:].partition(".")
    if key[0] != "#" or not (whole + rest).isdigit() or len(whole) + len(rest) > _MOST_DIGITS:
        return None
    value = int(whole + rest) * factor
    shift = 10 ** len(rest)
    if value % shift == 0:
        return f"#{value // shift}"
    digits = str(value).rjust(len(rest) + 1, "0")
    return number_key(digits[: -len(rest)] + "." + digits[-len(rest) :])


def join_numbers(tokens: list[Token]) -> list[Token]:
    """Combine number words with what follows a number, and tell units and months from other words."""
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
            at += length - 1  # from here on, the number replaces its words
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
    """Whether a token before a number may be its currency: a symbol, or a code of three letters."""
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
    """Move a currency before a number behind it, as in words."""
    token, before = tokens[at], len(joined)
    at = _number(tokens, at + 1, joined, money=True)
    joined[before] = joined[before]._replace(start=token.start, parted=token.parted)
    joined.insert(before + 1, token._replace(key=unit, kind=UNIT, parted=NOTHING))
    return at


def _month(tokens: list[Token], at: int, joined: list[Token]) -> int:
    """A month, or a word that is a month only next to a number. "March 5" becomes "5 March"."""
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
    """Append the number at a position, with its multipliers and unit. Returns the position after them."""
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
            and (name[0] == "~" or name in units.UNITS)
            and name not in ("a", "won")
        ):
            unit = name if name[0] == "~" else "~" + units.UNITS[name]
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
        *(*tables.CJK_DIGITS, *tables.CJK_MAGNITUDES, *("~" + name for name in units.CURRENCIES.values())),
        *("a", "an", "of", "us", "half"),
    )
)
"""Words that may be part of a number or a date. Other words are not examined."""
_AFTER_CURRENCY = {"m": 10**6, "~m": 10**6, "b": 10**9}
_CURRENCY_NAMES = frozenset(units.CURRENCIES.values())


def _groups(tokens: list[Token], at: int) -> int:
    """The position after a number in groups of three digits, such as ``1 000 000``; not a phone number."""
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
    """Convert a 12-hour time to 24 hours.

    >>> _clock("#2", "pm"), _clock("#12.3", "am")
    ('@14:00', '@0:30')
    """
    hours, _, minutes = key[1:].replace(":", ".").partition(".")
    if not hours.isdigit() or int(hours[:3]) > 12:
        return f"@{key[1:]} {half}"
    return f"@{int(hours) % 12 + 12 * (half == 'pm')}:{minutes.ljust(2, '0')}"


def _number_words(tokens: list[Token], at: int) -> tuple[str, int] | None:
    """The number that the words at a position spell, and the number of these words."""
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
        return number_key(plain), stop - at
    return f"#{total + part + digit}", stop - at
