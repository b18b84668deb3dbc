"""The words by which answers are compared: numbers have their value; names and negations are marked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from beam_sts.models.registry import EMBEDDED

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Combining marks, which are in words but not in \w.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0970-\u0dff"
_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_VALUES = dict(zip(_NAMES.split(), (*range(20), *range(20, 100, 10)), strict=True))
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_NEGATIONS = frozenset(("not", "no", "never", "nor", "none", "neither", "nobody", "nothing", "without"))
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "pounds"}
_DENIED = {"can": "can", "ca": "can", "wo": "will", "sha": "shall"}  # cannot, can't, won't, shan't


def _any(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(words)})"


_ONES, _TENS = [name for name, value in _VALUES.items() if 0 < value < 10], list(_VALUES)[20:]
_UNDER_100 = rf"(?:{_any(_TENS)}(?:[\s-]{_any(_ONES)})?|{_any(list(_VALUES)[:20])})\b"
_UNDER_1000 = rf"(?:{_UNDER_100}(?:\shundred\b(?:\s(?:and\s)?{_UNDER_100})?)?)"
_SPELLED = rf"\b(?=[efnostz]){_UNDER_1000}(?:\s{_any(_SCALES)}\b(?:\s(?:and\s)?{_UNDER_1000})?)*"
_TOKEN = re.compile(
    rf"(?P<number>(?<![\w.,])[-−]?\d+(?:[.,\u00a0\u202f]\d+)*|\d+)(?:\s(?P<scale>(?i:{_any(_SCALES)}))\b)?"
    rf"|(?P<spelled>(?i:{_SPELLED}))"
    rf"|(?P<sign>[%+=<>$€£¥°]|\bper\s?cent\b)"
    rf"|(?P<word>[^\W\d_{_UNSPACED}](?:[^\W\d_{_UNSPACED}]|[{_MARKS}])*(?P<denied>(?<=n)['’]t\b)?)"
    rf"|(?P<character>[{_UNSPACED}])"
)
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([,.\u00a0\u202f])\d{3})(?:\1\d{3})*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:\n])\W*$")
_SHORT = 0.4  # the weight of a word of up to three letters, such as "the"; longer words have 1
_LONGEST_NUMBER = 30  # digits; a longer number is an identifier and is compared as written


class WordToken(NamedTuple):
    """A word, a number, a sign, or a character of a script without spaces."""

    form: str
    key: str
    """The text that is compared: a word without its ending, or the value of a number."""
    start: int
    end: int
    weight: float
    fact: str
    """``number``, ``name``, ``negation`` or nothing."""


def tokens(text: str) -> list[WordToken]:
    """The tokens of a text in order.

    >>> [token.key for token in tokens("Twenty-five of 1,500 cats aren't 3.0 m: 东京")]
    ['25', 'of', '1500', 'cats', 'are', 'not', '3', 'm', '东', '京']
    >>> {token.key: token.fact for token in tokens("He did not see 2 million in Lyon.") if token.fact}
    {'not': 'negation', '2000000': 'number', 'lyon': 'name'}
    """
    found: list[WordToken] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        form = match[0].casefold()
        if match["number"]:
            scale = _SCALES[match["scale"].casefold()] if match["scale"] else 1
            value = number_value(match["number"], scale)
            found.append(WordToken(value, value, start, end, 1.0, "number"))
        elif match["spelled"]:
            value = str(spelled_value(form))
            # "One" is usually not a number: no one, this one.
            found.append(WordToken(value, value, start, end, 1.0, "" if value in "01" else "number"))
        elif match["denied"] or form == "cannot":
            form = form[:-3]
            found.append(_word(_DENIED.get(form, form), match, text))
            found.append(WordToken("not", "not", start, end, 1.0, "negation"))
        elif match["word"]:
            word = _word(form, match, text)
            unit = found and found[-1].fact == "number" and start - found[-1].end <= 1
            found.append(word._replace(weight=1.0) if unit else word)
        else:
            form = "%" if match["sign"] and form[0] == "p" else _CURRENCIES.get(form, form)
            found.append(WordToken(form, _stem(form), start, end, 1.0, ""))
    return found


def _word(form: str, match: re.Match[str], text: str) -> WordToken:
    start, end = match.span()
    fact = ""
    if form in _NEGATIONS:
        fact = "negation"
    elif match[0][0].isupper() and not _SENTENCE_START.search(text, max(0, start - 4), start):
        fact = "name"
    return WordToken(form, _stem(form), start, end, 1.0 if fact or len(form) > 3 else _SHORT, fact)


@cache
def common_words() -> frozenset[str]:
    """The words that are single tokens of the embedded model: some 5,800 of the most common in English.

    They separate common words ("window") from rare ones ("herbstluftwm") without counting in a corpus.
    """
    vocabulary = json.loads((EMBEDDED / "beam-sts-nano" / "tokenizer.json").read_text(encoding="utf-8"))
    return frozenset(vocabulary["model"]["vocab"])


def _stem(form: str) -> str:
    return form[: max(4, len(form) - 3)]  # walks, walked and walking all become walk


def with_values(text: str, found: Sequence[WordToken]) -> str:
    """The part of a text from the first to the last of the tokens, with numbers as values in digits.

    >>> text = "There are one thousand five hundred cats."
    >>> with_values(text, tokens(text)[1:])
    'are 1500 cats'
    """
    parts, at = [], found[0].start
    for token in found:
        if token.fact == "number":
            parts += [text[at : token.start], token.form]
            at = token.end
    return "".join([*parts, text[at : found[-1].end]])


def number_value(text: str, scale: int = 1) -> str:
    """Normalise a number in digits, so that equal values are equal strings.

    Commas, points or narrow spaces may separate groups of three digits; a single point is a decimal point.

    Args:
        text: digits of any script, with or without a sign.
        scale: a factor, such as 1,000,000 for "2 million".

    >>> [number_value(text) for text in ("1,500", "1.500.000", "1,234.50", "3,5", "007", "1.500")]
    ['1500', '1500000', '1234.5', '3.5', '7', '1.5']
    """
    plain = text.replace("−", "-")
    sign, plain = ("-", plain[1:]) if plain[0] == "-" else ("", plain)
    whole, _, part = plain.rpartition(".")
    if (grouped := _GROUPED.fullmatch(plain)) and (grouped[1] != "." or plain.count(".") > 1):
        plain = plain.replace(grouped[1], "")
    elif _GROUPED.fullmatch(whole) and "," in whole:
        plain = f"{whole.replace(',', '')}.{part}"
    elif plain.count(",") == 1 and not whole:
        plain = plain.replace(",", ".")
    if len(plain) > _LONGEST_NUMBER or not re.fullmatch(r"\d+(?:\.\d+)?", plain):
        return sign + plain  # a version, a date: 1.2.3
    value = f"{Decimal(plain) * scale:f}"
    return sign + (value.rstrip("0").rstrip(".") if "." in value else value)


def spelled_value(words: str) -> int:
    """The value of a number in English words.

    >>> [spelled_value(words) for words in ("twenty-five", "two thousand one hundred and five")]
    [25, 2105]
    """
    total = current = 0
    for word in re.findall(r"[a-z]+", words):
        if word == "hundred":
            current *= 100
        elif word in _SCALES:
            total, current = total + current * _SCALES[word], 0
        else:
            current += _VALUES.get(word, 0)  # 0: "and"
    return total + current
