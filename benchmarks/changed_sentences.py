"""Real sentences with one fact changed, by class: the second half of ``changed_facts``."""

# ruff: noqa: E501  (rules read better one to a line)

from __future__ import annotations

import random
import re
from collections.abc import Callable

from benchmarks.changed_facts import EACH


def _swap(
    pattern: str, new: Callable[[re.Match[str], random.Random], str | None]
) -> Callable[[str, random.Random], str | None]:
    compiled = re.compile(pattern)

    def change(text: str, rng: random.Random) -> str | None:
        found = list(compiled.finditer(text))
        if not found:
            return None
        match = rng.choice(found)
        word = new(match, rng)
        return (
            None
            if word is None or word == match.group()
            else text[: match.start()] + word + text[match.end() :]
        )

    return change


def _other_digit(match: re.Match[str], rng: random.Random) -> str:
    text = match.group()
    at = rng.choice([i for i, c in enumerate(text) if c.isdigit()])
    return text[:at] + rng.choice([d for d in "123456789" if d != text[at]]) + text[at + 1 :]


def _of(words: str) -> Callable[[re.Match[str], random.Random], str]:
    listed = words.split(",")
    return lambda match, rng: rng.choice([w for w in listed if w != match.group()])


def real_rules(names: list[str]) -> dict[str, Callable[[str, random.Random], str | None]]:
    """The rules that change a fact of a real sentence, by class; ``names`` are names of other sentences."""
    months = "January,February,March,April,June,July,August,September,October,November,December"
    return {
        "number": _swap(r"(?<![\w.,-])[0-9]+(?![\w.,-])", _other_digit),
        "number word": _swap(
            r"\b(?:two|three|four|five|six|seven|eight|nine|ten)\b",
            _of("two,three,four,five,six,seven,eight,nine,ten"),
        ),
        "magnitude": _swap(r"\b(?:million|billion|thousand|hundred)\b", _of("million,billion,thousand")),
        "date": _swap(
            rf"\b(?:{months.replace(',', '|')})\b(?= \d)|\b(?:1[89]|20)\d\d\b",
            lambda m, r: _of(months)(m, r) if m.group()[0].isalpha() else _other_digit(m, r),
        ),
        "time": _swap(r"\b\d{1,2}:\d{2}\b", _other_digit),
        "money": _swap(r"[$£€]\d[\d,.]*\d", _other_digit),
        "unit": _swap(
            r"(?<=\d )(?:km|kilometers|miles|feet|metres|meters|kg|years|days|hours|minutes|percent)\b",
            _of("km,miles,feet,meters,kg,years,days,hours,minutes,percent"),
        ),
        "name": _swap(r"(?<=[a-z] )[A-Z][a-z]{3,}\b", lambda m, r: r.choice(names)),
        "negation": _swap(
            r"\b(?:is|are|was|were|can|could|will|would|should|did|does|do) not\b|\b(?:is|are|was|were|can|could|will|would|should)\b(?! not|n't)",
            lambda m, r: m.group()[:-4] if m.group().endswith(" not") else m.group() + " not",
        ),
        "quantity": _swap(
            r"\b(?:all|some|most|every|many|few|several|both|only|always|often|never|must|may)\b",
            _of("all,some,most,every,many,few,several,both,only,always,often,never,must,may"),
        ),
    }


def from_sentences(sentences: list[str], seed: int = 29, each: int = EACH) -> list[tuple[str, str, str]]:
    """(class, sentence, the same with another fact)."""
    rng = random.Random(seed)
    names = sorted(
        {name for text in sentences[:3000] for name in re.findall(r"(?<=[a-z] )[A-Z][a-z]{3,}\b", text)}
    )
    made: list[tuple[str, str, str]] = []
    for name, rule in real_rules(names).items():
        found = 0
        for text in sentences:
            changed = rule(text, rng)
            if changed is not None and len(text.split()) >= 6:
                made.append((name, text, changed))
                found += 1
                if found == each:
                    break
    return made
