"""Grammars: sentences of one fact in several wordings, and word lists, both read from ``words/*.json``.

A file of grammars is a list of families. A family expands its ``grammars`` for each of its ``rows``, and
within a row for each of its ``groups`` of words. In a wording, ``{a}`` is a slot of the grammar, and
``[past]`` is the value of the row's column of that name. ``[the]``, ``[The]``, ``[a]`` and ``[A]`` are
articles with a space, which are omitted before names. ``[when]`` and ``[When]`` are one of the family's
times, which varies by row and group. The slot ``*`` has the words of the group. A single grammar needs no
family.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "words"
_FILLED = re.compile(r"\[(\w+)\]")


@dataclass(frozen=True)
class Grammar:
    """Sentences of one fact in several wordings.

    Attributes:
        kind: The class of fact that changes: "order", "number", "name", "negation" or "topic".
        wordings: Format strings with the same meaning; slots are named.
        slots: For each slot, the words that fill it.
        changed: The slots whose values change the fact; two of them are exchanged for "order".
        opposite: Wordings that negate the fact, for "negation", or state another fact on the same topic, for
            "topic".
    """

    kind: str
    wordings: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]
    changed: tuple[str, ...] = ()
    opposite: tuple[str, ...] = ()

    def fill(self, rng: random.Random) -> tuple[str, str, str]:
        """Generate one fact.

        Returns:
            An anchor, a paraphrase of it, and a near-copy of the anchor that states another fact.
        """
        values = {slot: rng.choice(words) for slot, words in self.slots.items()}
        while len(set(values.values())) < len(values):
            values = {slot: rng.choice(words) for slot, words in self.slots.items()}
        at = rng.randrange(len(self.wordings))
        others = [wording for index, wording in enumerate(self.wordings) if index != at]
        anchor, paraphrase = self.wordings[at].format(**values), rng.choice(others).format(**values)
        if self.opposite:
            return anchor, paraphrase, self.opposite[at].format(**values)
        other = dict(values)
        if self.kind == "order":
            first, second = self.changed
            other[first], other[second] = values[second], values[first]
        else:
            slot = rng.choice(self.changed)
            other[slot] = rng.choice([word for word in self.slots[slot] if word != values[slot]])
            if self.kind == "number" and values[slot].isdigit() and rng.random() < 0.4:
                turned = values[slot][::-1].lstrip("0")
                other[slot] = turned if turned and turned != values[slot] else other[slot]
        # The other fact usually keeps the anchor's wording, so that word overlap is not enough.
        wording = self.wordings[at] if rng.random() < 0.8 else rng.choice(others)
        return anchor, paraphrase, wording.format(**other)


@cache
def word_list(name: str) -> tuple[str, ...]:
    """A list of ``words/lists.json``; an entry ``@name`` includes another list."""
    rule: str | list[str] = read_words("lists")[name]
    entries = (rule if isinstance(rule, str) else " ".join(rule)).split()
    each = (word_list(entry[1:]) if entry.startswith("@") else (entry,) for entry in entries)
    return tuple(word for words in each for word in words)


@cache
def read_grammars(name: str) -> tuple[Grammar, ...]:
    """The grammars of a file of ``words/``."""
    return tuple(grammar for family in read_words(name) for grammar in _expanded(family))


def read_words(name: str) -> Any:
    """The content of a file of ``words/``."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def capitalised(text: str) -> str:
    """A text with a capital as its first letter."""
    return text[:1].upper() + text[1:]


def _expanded(family: dict[str, Any]) -> Iterator[Grammar]:
    if "grammars" not in family:
        family = {"grammars": [family]}
    columns, names = family.get("columns", "").split(), family.get("names", [])
    for index, row in enumerate(family.get("rows", [""])):
        filled = dict(zip(columns, (cell.strip() for cell in row.split("|")), strict=False))
        for group in family.get("groups", [""]):
            article, one = ("", "") if group in names else ("the ", "a ")
            more = {"the": article, "The": article.capitalize(), "a": one, "A": one.capitalize()}
            if times := family.get("when"):
                when = times[(index + len(word_list(group))) % len(times)]
                more |= {"when": when, "When": when.capitalize()}
            for grammar in family["grammars"]:
                yield _grammar(grammar, group, filled | more)


def _grammar(rule: dict[str, Any], group: str, filled: dict[str, str]) -> Grammar:
    def wordings(name: str) -> tuple[str, ...]:
        return tuple(_FILLED.sub(lambda match: filled[match[1]], text) for text in rule.get(name, ()))

    slots = {slot: word_list(group if words == "*" else words) for slot, words in rule["slots"].items()}
    return Grammar(
        rule["kind"], wordings("wordings"), slots, tuple(rule.get("changed", ())), wordings("opposite")
    )
