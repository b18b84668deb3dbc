"""Written values of the probes: numbers, dates, units, codes, telephone numbers, addresses and names.

The training pairs have their own values (:mod:`beam_sts.training.values`); only the names of the months are
shared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from beam_sts.training.grammars import word_list


class ProbeValue(NamedTuple):
    """A value, and a different one.

    Attributes:
        text: The value.
        same: The value, written in another way if there is one.
        other: Another value, written like ``text``.
    """

    text: str
    same: str
    other: str


def transposed(text: str, rng: random.Random) -> str | None:
    """Exchange two neighbouring, different characters of one kind; None if there are none.

    >>> transposed("AB-47", random.Random(1))
    'BA-47'
    """
    places = [
        at
        for at in range(len(text) - 1)
        if text[at] != text[at + 1]
        and (text[at : at + 2].isdigit() or text[at : at + 2].isalpha())
        and not (text[at + 1] == "0" and (at == 0 or not text[at - 1].isdigit()))
    ]
    if not places:
        return None
    at = rng.choice(places)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def another_digit(text: str, rng: random.Random) -> str:
    """Replace one digit by another; never the first of a number by 0."""
    places = [at for at, character in enumerate(text) if character.isdigit()]
    at = rng.choice(places)
    first = at == 0 or not text[at - 1].isdigit()
    digit = rng.choice([digit for digit in "123456789" + "0" * (not first) if digit != text[at]])
    return text[:at] + digit + text[at + 1 :]


def _changed(text: str, rng: random.Random) -> str:
    """Half of the changes are transpositions, the hardest kind: the same characters in another order."""
    return (transposed(text, rng) if rng.random() < 0.5 else None) or another_digit(text, rng)


def _number(rng: random.Random) -> ProbeValue:
    number = rng.choice((rng.randint(13, 99), rng.randint(101, 999), rng.randint(1021, 99_999)))
    return ProbeValue(str(number), f"{number:,}", _changed(str(number), rng))


_SCALES = (("thousand", "000"), ("million", "000,000"), ("billion", "000,000,000"))


def _scale(rng: random.Random) -> ProbeValue:
    number = rng.randint(2, 90)
    (word, zeros), (changed, _) = rng.sample(_SCALES, 2)
    return ProbeValue(f"{number} {word}", f"{number},{zeros}", f"{number} {changed}")


def _date(rng: random.Random) -> ProbeValue:
    day, month, year = rng.randint(13, 28), rng.randrange(12), rng.randint(1951, 2024)
    other = [day, month, year]
    part = rng.randrange(3)
    choices: tuple[Sequence[int], ...] = (range(13, 29), range(12), range(1951, 2025))
    other[part] = rng.choice([value for value in choices[part] if value != other[part]])

    def written(form: int, day: int, month: int, year: int) -> str:
        name = word_list("months")[month]
        return (f"{day} {name} {year}", f"{name} {day}, {year}", f"{year}-{month + 1:02}-{day}")[form]

    form, same = rng.sample(range(3), 2)
    return ProbeValue(written(form, day, month, year), written(same, day, month, year), written(form, *other))


_UNITS = (
    ("kg", "kilograms", "lb"), ("km", "kilometres", "miles"), ("ml", "millilitres", "litres"),
    ("mm", "millimetres", "cm"), ("mg", "milligrams", "g"), ("GB", "gigabytes", "MB"),
    ("kPa", "kilopascals", "MPa"), ("°C", "degrees Celsius", "°F"), ("min", "minutes", "h"),
    ("gal", "gallons", "l"), ("oz", "ounces", "kg"), ("ft", "feet", "m"), ("kW", "kilowatts", "MW"),
)  # fmt: skip


def _unit(rng: random.Random) -> ProbeValue:
    number, (unit, name, other) = rng.randint(3, 95), rng.choice(_UNITS)
    if rng.random() < 0.3:
        unit, name = name, unit
    return ProbeValue(f"{number} {unit}", f"{number} {name}", f"{number} {other}")


def _letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(count))


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("123456789") for _ in range(count))


def _code(rng: random.Random) -> ProbeValue:
    form = rng.randrange(5)
    if form == 0:
        text = f"{_letters(rng, 2)}-{_digits(rng, 4)}"
    elif form == 1:
        text = f"{_letters(rng, 3)}{_digits(rng, 3)}"
    elif form == 2:
        text = f"{_digits(rng, 2)}{_letters(rng, 1)}{_digits(rng, 2)}{_letters(rng, 1)}"
    elif form == 3:
        text = f"{rng.randint(1, 9)}.{rng.randint(10, 40)}.{rng.randint(1, 9)}"
    else:
        text = f"{_digits(rng, 4)}/{_digits(rng, 3)}-{_letters(rng, 1)}"
    return ProbeValue(text, text.lower(), _changed(text, rng))


def _phone(rng: random.Random) -> ProbeValue:
    area, first, second = _digits(rng, 3), _digits(rng, 3), _digits(rng, 4)
    forms = (f"({area}) {first}-{second}", f"{area} {first} {second}", f"{area}-{first}-{second}")
    text, same = rng.sample(forms, 2)
    return ProbeValue(text, same, _changed(text, rng))


_HOSTS = ("harbour", "oakwood", "riverside", "meadow", "lantern", "pebble")
_TOP = ("org", "net", "com", "edu")
_FOLDERS = ("kitchen", "archive", "lessons", "minutes", "tickets", "weather")


def _url(rng: random.Random) -> ProbeValue:
    parts = [rng.choice(_HOSTS), rng.choice(_TOP), rng.choice(_FOLDERS), str(rng.randint(12, 989))]
    other = list(parts)
    part = rng.randrange(4)
    if part == 3:
        other[3] = _changed(parts[3], rng)
    else:
        choices = (_HOSTS, _TOP, _FOLDERS)[part]
        other[part] = rng.choice([word for word in choices if word != parts[part]])

    def written(start: str, parts: Sequence[str]) -> str:
        return "{}{}.{}/{}/{}".format(start, *parts)

    start, same = rng.choice((("https://www.", "www."), ("https://", "http://"), ("www.", "")))
    return ProbeValue(written(start, parts), written(same, parts), written(start, other))


MAKERS: dict[str, Callable[[random.Random], ProbeValue]] = {
    "number": _number,
    "scale": _scale,
    "date": _date,
    "unit": _unit,
    "code": _code,
    "phone": _phone,
    "url": _url,
}
