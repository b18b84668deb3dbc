"""Written values for training pairs: numbers, dates, units, codes, telephone numbers, addresses and names.

The probes have their own (:mod:`beam_sts.training.probe_values`).
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from beam_sts.training.grammars import read_words, word_list


class TrainingValue(NamedTuple):
    """A value, the same in another form (or the same form), and a different one.

    Attributes:
        text: The value.
        same: The same value.
        other: A different value, written like ``text``.
    """

    text: str
    same: str
    other: str


def altered(text: str, rng: random.Random) -> str:
    """Change the order of some characters, or a few of them; kinds and number of characters stay.

    >>> sorted(altered("12", random.Random(3))) == ["1", "2"]
    True
    """
    digits = [at for at, character in enumerate(text) if character.isdigit()]
    letters = [at for at, character in enumerate(text) if character.isalpha()]
    places = digits if digits and (rng.random() < 0.65 or not letters) else letters
    characters = list(text)
    differ = len({text[at] for at in places}) > 1
    for _ in range(20):
        kind = rng.random()
        if kind < 0.6 and differ:  # exchange two, most often neighbours
            at = rng.randrange(len(places) - 1)
            first, second = (at, at + 1) if kind < 0.45 else rng.sample(range(len(places)), 2)
            one, two = places[first], places[second]
            characters[one], characters[two] = characters[two], characters[one]
        else:
            at = rng.choice(places)
            pool = string.digits if text[at].isdigit() else string.ascii_uppercase
            if text[at].islower():
                pool = string.ascii_lowercase
            characters[at] = rng.choice(pool)
        changed = "".join(characters)
        if changed != text:
            return changed
    raise ValueError(f"{text!r} has no character that can be changed")


def _number(rng: random.Random) -> TrainingValue:
    number = rng.choice((rng.randint(2, 30), rng.randint(31, 999), rng.randint(1_000, 2_000_000)))
    if rng.random() < 0.2:
        text = f"{number / 10:.1f}"
        return TrainingValue(text, text, altered(text, rng))
    text = str(number)
    other = altered(text, rng)
    if rng.random() < 0.25:
        other = str(number * 10 if rng.random() < 0.5 else number + rng.randint(1, 9))
    if rng.random() < 0.3:
        return TrainingValue(f"{number:,}", text, f"{int(other):,}")
    return TrainingValue(text, f"{number:,}", other)


_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SHORT = {"thousand": "k", "million": "m", "billion": "bn"}


def _scale(rng: random.Random) -> TrainingValue:
    number = rng.choice((str(rng.randint(2, 900)), f"{rng.randint(11, 99) / 10:.1f}", "several", "a few"))
    word = rng.choice(list(_SCALES))
    other = rng.choice([name for name in _SCALES if name != word])
    text, changed = f"{number} {word}", f"{number} {other}"
    same = text
    if number[0].isdigit():
        full = f"{round(float(number) * _SCALES[word]):,}"
        same = rng.choice((full, number + _SHORT[word] if word in _SHORT else full, text))
    return TrainingValue(text, same, changed)


def _date(rng: random.Random) -> TrainingValue:
    day = date(1900, 1, 1) + timedelta(rng.randrange(55_000))
    other = rng.choice(
        (
            day + timedelta(rng.choice((1, 7, 10, 30, -1, -9))),
            day.replace(day=min(28, day.day), year=day.year + rng.choice((-10, -1, 1, 9))),
            day.replace(day=day.month, month=min(12, day.day)),
            day.replace(day=min(28, day.day), month=rng.randint(1, 12)),
        )
    )
    if other == day:
        other = day + timedelta(3)
    forms: list[Callable[[date], str]] = [
        lambda d: f"{d.day} {word_list('months')[d.month - 1]} {d.year}",
        lambda d: f"{word_list('months')[d.month - 1]} {d.day}, {d.year}",
        lambda d: f"{d.day} {word_list('months')[d.month - 1][:3]} {d.year}",
        lambda d: d.isoformat(),
        lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    ]
    # Without the year, or the month and year alone.
    brief: list[Callable[[date], str]] = [
        lambda d: f"{d.day} {word_list('months')[d.month - 1]}",
        lambda d: f"{word_list('months')[d.month - 1]} {d.day}",
    ]
    some = forms if rng.random() < 0.8 or (other.day, other.month) == (day.day, day.month) else brief
    first, second = rng.sample(some, 2)
    return TrainingValue(first(day), second(day), first(other))


UNITS: list[list[str]] = [unit.split(" | ") for unit in read_words("facts")["units"]]
"""A symbol and a name each; a closed class, which training and probes share."""


_MEASURES = [[unit for unit in UNITS if unit[0] in line.split()] for line in read_words("facts")["measures"]]


def _unit(rng: random.Random) -> TrainingValue:
    number = rng.choice((str(rng.randint(2, 400)), f"{rng.randint(11, 99) / 10:.1f}"))
    (symbol, name), (symbol2, name2) = rng.sample(rng.choice(_MEASURES) if rng.random() < 0.6 else UNITS, 2)
    if rng.random() < 0.5:
        return TrainingValue(f"{number} {name}", f"{number} {symbol}", f"{number} {name2}")
    if rng.random() < 0.3:
        return TrainingValue(f"{number}{symbol}", f"{number} {symbol}", f"{number}{symbol2}")
    return TrainingValue(f"{number} {symbol}", f"{number} {name}", f"{number} {symbol2}")


def _code(rng: random.Random) -> TrainingValue:
    """Groups of letters and digits; hexadecimal strings and versions too."""
    kind = rng.random()
    if kind < 0.15:
        text = f"{rng.getrandbits(rng.choice((24, 32, 48))):06x}"
        return TrainingValue(text, text.upper(), altered(text, rng))
    if kind < 0.3:
        text = ".".join(str(rng.randint(0, 30)) for _ in range(rng.randint(2, 4)))
        return TrainingValue(text, f"v{text}" if rng.random() < 0.5 else text, altered(text, rng))
    separator = rng.choice(("", "-", "-", " ", "/", "_"))
    groups = []
    for _ in range(rng.randint(1, 4)):
        pool = rng.choice((string.ascii_uppercase, string.digits, string.digits))
        groups.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 5))))
    text = separator.join(groups)
    if sum(character.isdigit() for character in text) < 2:
        text += f"{separator}{rng.randint(10, 999)}"
    same = rng.choice(
        (text, text.lower(), text.replace(separator, rng.choice((" ", "-"))) if separator else text)
    )
    return TrainingValue(text, same, altered(text, rng))


def _phone(rng: random.Random) -> TrainingValue:
    groups = [
        "".join(rng.choice(string.digits) for _ in range(rng.randint(2, 4))) for _ in range(rng.randint(2, 4))
    ]
    country = rng.choice(("", "", "+44 ", "+1 ", "+49 ", "+33 ", "001 "))
    forms = (" ".join(groups), "-".join(groups), ".".join(groups), f"({groups[0]}) " + "-".join(groups[1:]))
    first, second = rng.sample(forms, 2)
    text = country + first
    other = altered(first, rng)
    return TrainingValue(text, country + second, country + other)


def _url(rng: random.Random, words: Sequence[str]) -> TrainingValue:
    parts = [rng.choice(words) for _ in range(rng.randint(2, 5))]
    host = rng.choice(("com", "org", "net", "info", "co.uk", "de", "io", "gov", "edu"))
    tail = rng.choice(
        ("", f"/{rng.randint(1, 99_999)}", ".html", f"?id={rng.randint(1, 9_999)}", f"-{rng.randint(2, 99)}")
    )

    def written(parts: Sequence[str], host: str, tail: str) -> str:
        return "/".join([f"{parts[0]}.{host}", *parts[1:]]) + tail

    text = written(parts, host, tail)
    changed, new_host, new_tail = list(parts), host, tail
    kind = rng.random()
    if kind < 0.4 and any(character.isdigit() for character in tail):
        digits = "".join(character for character in tail if character.isdigit())
        new_tail = tail.replace(digits, altered(digits, rng))
    elif kind < 0.55:
        new_host = rng.choice([one for one in ("com", "org", "net", "eu", "fr", "edu") if one != host])
    elif kind < 0.7 and len(set(parts)) > 1:
        changed = changed[1:] + changed[:1]
    else:
        at = rng.randrange(len(parts))
        changed[at] = rng.choice(words)
        if changed[at] == parts[at]:
            changed[at] += "s"
    start, second = rng.sample(("https://", "http://", "https://www.", "www.", ""), 2)
    return TrainingValue(start + text, second + text, start + written(changed, new_host, new_tail))


def _name(rng: random.Random, surnames: Sequence[str]) -> TrainingValue:
    (given, given2), (last, last2) = rng.sample(word_list("first_names"), 2), rng.sample(list(surnames), 2)
    if rng.random() < 0.5:
        return TrainingValue(
            f"{given} {last}", f"{given} {last}", rng.choice((f"{given2} {last}", f"{given} {last2}"))
        )
    return TrainingValue(given, given, given2)


def makers(
    words: Sequence[str], surnames: Sequence[str]
) -> Mapping[str, Callable[[random.Random], TrainingValue]]:
    """The makers of values, by class.

    Args:
        words: Lower-case words for addresses.
        surnames: At least two capitalised words for names.
    """
    return {
        "number": _number,
        "scale": _scale,
        "date": _date,
        "unit": _unit,
        "code": _code,
        "phone": _phone,
        "url": lambda rng: _url(rng, words),
        "name": lambda rng: _name(rng, surnames),
    }
