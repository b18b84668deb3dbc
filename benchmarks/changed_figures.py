"""Pairs of different figures for ``changed_facts``: numbers, dates, units, codes and others."""

# ruff: noqa: E501, SIM905  (word lists read better one to a line)

from __future__ import annotations

import random
from collections.abc import Iterable


def pick_two(rng: random.Random, words: Iterable[str]) -> list[str]:
    """Two different words of a list."""
    return rng.sample(sorted(words), 2)


def numbers(rng: random.Random) -> tuple[str, str]:
    """Two numbers."""
    one = rng.choice((rng.randint(2, 99), rng.randint(100, 999), rng.randint(1000, 99999)))
    digits = list(str(one))
    at = rng.randrange(len(digits))
    digits[at] = rng.choice([d for d in "123456789" if d != digits[at]])
    return str(one), "".join(digits)


def word_numbers(rng: random.Random) -> tuple[str, str]:
    """Two word numbers."""
    one, two = pick_two(
        rng, "two three four five six seven eight nine ten eleven twelve thirty forty sixty eighty".split()
    )
    return one, two


def magnitude(rng: random.Random) -> tuple[str, str]:
    """Two magnitudes."""
    number = rng.choice(["2", "3.5", "7", "twelve", "40", "about 15", "nearly 6"])
    one, two = pick_two(rng, ("thousand", "million", "billion", "trillion", "hundred"))
    return f"{number} {one}", f"{number} {two}"


def date(rng: random.Random) -> tuple[str, str]:
    """Two dates."""
    months = "January February March April June July August September October November December".split()
    day, month, year = rng.randint(1, 28), rng.choice(months), rng.randint(1950, 2030)
    other = rng.choice(
        (
            (day % 28 + 1, month, year),
            (day, rng.choice([m for m in months if m != month]), year),
            (day, month, year + rng.choice((-1, 1, 10))),
        )
    )
    form = rng.choice(("{0} {1} {2}", "{1} {0}, {2}", "{2}-{3:02}-{0:02}"))
    return tuple(form.format(*d, months.index(d[1]) + 1) for d in ((day, month, year), other))  # type: ignore[return-value]


def time(rng: random.Random) -> tuple[str, str]:
    """Two times."""
    hour, minute = rng.randint(1, 12), rng.choice((0, 5, 10, 15, 20, 30, 40, 45))
    half = rng.choice(("am", "pm"))
    other = rng.choice(
        (
            (hour % 12 + 1, minute, half),
            (hour, (minute + 15) % 60, half),
            (hour, minute, "am" if half == "pm" else "pm"),
        )
    )
    form = rng.choice(("{0}:{1:02} {2}", "{0}:{1:02}{2}"))
    return form.format(hour, minute, half), form.format(*other)


def version(rng: random.Random) -> tuple[str, str]:
    """Two versions."""
    parts = [rng.randint(0, 12) for _ in range(rng.choice((2, 3, 3)))]
    other = list(parts)
    other[rng.randrange(len(parts))] += rng.randint(1, 3)
    mark = rng.choice(("", "v", "version "))
    return mark + ".".join(map(str, parts)), mark + ".".join(map(str, other))


def money(rng: random.Random) -> tuple[str, str]:
    """Two amounts of money."""
    amount = rng.choice(
        (
            f"{rng.randint(2, 999)}",
            f"{rng.randint(1, 99)},{rng.randint(100, 999)}",
            f"{rng.randint(1, 99)}.{rng.randint(10, 99)}",
        )
    )
    if rng.random() < 0.5:
        one, two = pick_two(
            rng, ("${}", "€{}", "£{}", "{} yen", "{} rupees", "{} dollars", "{} euros")[: rng.choice((3, 7))]
        )
        if {one, two} <= {"${}", "{} dollars"} or {one, two} <= {"€{}", "{} euros"}:
            two = "£{}"
        return one.format(amount), two.format(amount)
    form = rng.choice(("${}", "{} euros", "£{}"))
    digits = [i for i, c in enumerate(amount) if c.isdigit()]
    at = rng.choice(digits)
    new = rng.choice([d for d in "123456789" if d != amount[at]])
    return form.format(amount), form.format(amount[:at] + new + amount[at + 1 :])


def unit(rng: random.Random) -> tuple[str, str]:
    """Two units."""
    group = rng.choice(
        (
            "km,miles,metres,yards",
            "kg,pounds,tonnes,grams",
            "days,weeks,months,years",
            "minutes,hours,seconds",
            "MB,GB,TB",
            "litres,gallons,ml",
            "°C,°F",
            "volts,amps,watts",
        )
    )
    one, two = pick_two(rng, group.split(","))
    number = rng.choice((3, 5, 12, 20, 45, 60, 90, 250))
    return f"{number} {one}", f"{number} {two}"


def code(rng: random.Random) -> tuple[str, str]:
    """Two codes."""
    letters, digits = "ABCDEFGHKLMNPRSTUVWXYZ", "0123456789"
    shape = rng.choice(("LL-DDDD", "DD-DDDD", "LDDD-LL", "LLLDDDDL", "DDDDDD-DD", "LL-DD-LL"))
    code = ["-" if c == "-" else rng.choice(letters if c == "L" else digits) for c in shape]
    places = [at for at, c in enumerate(shape) if c != "-"]
    other = list(code)
    if rng.random() < 0.4:
        at, to = rng.sample(places, 2)
        other[at], other[to] = other[to], other[at]
    if other == code:
        at = rng.choice(places)
        other[at] = rng.choice([c for c in (letters if code[at].isalpha() else digits) if c != code[at]])
    return "".join(code), "".join(other)


def phone(rng: random.Random) -> tuple[str, str]:
    """Two telephone numbers."""
    shape = rng.choice(("555-DDD-DDDD", "+44 20 DDDD DDDD", "(0DD) DDDDDD", "+49 DDD DDDDDDD", "0DDD DDDDDD"))
    number = ["".join(rng.choice("0123456789") if c == "D" else c for c in shape)][0]
    at = rng.choice([i for i, c in enumerate(shape) if c == "D"])
    return number, number[:at] + rng.choice([d for d in "0123456789" if d != number[at]]) + number[at + 1 :]


def url(rng: random.Random) -> tuple[str, str]:
    """Two addresses."""
    words = ["help", "news", "shop", "blog", "forum", "wiki", "docs", "media", "jobs", "events"]
    host, other_host = pick_two(rng, ["example", "arbor", "quillon", "fernweh", "lodestar"])
    one, two = pick_two(rng, words)
    kind = rng.randrange(4)
    base = f"https://{host}.org/{one}"
    if kind == 0:
        return base, f"https://{host}.org/{two}"
    if kind == 1:
        return base, f"https://{other_host}.org/{one}"
    if kind == 2:
        return base + "?id=17", base + "?id=71"
    return f"{one}@{host}.org", f"{two}@{host}.org"


def identifier(rng: random.Random) -> tuple[str, str]:
    """Two identifiers."""
    words = "parse config stream token cache event buffer index query socket frame signal render codec vector".split()
    a, b, c = rng.sample(words, 3)
    kind = rng.randrange(5)
    if kind == 0:
        return f"{a}_{b}", f"{a}_{c}"
    if kind == 1:
        return f"lib{a}-{b}", f"lib{a}-{c}"
    if kind == 2:
        return f"{a}-{b}", f"{c}-{b}"
    if kind == 3:
        return f"{a}{b.title()}", f"{a}{c.title()}"
    return f"{a}.{b}()", f"{a}.{c}()"


def percent(rng: random.Random) -> tuple[str, str]:
    """Two percentages."""
    number = rng.randint(2, 89)
    return rng.choice(
        (
            (f"{number}%", f"{number + rng.randint(1, 9)}%"),
            (f"{number} percent", f"{number + 10} percent"),
            (f"-{number} °C", f"{number} °C"),
            (f"{number}.5%", f"{number}%"),
        )
    )
