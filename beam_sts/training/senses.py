"""Pairs that differ in a quantifier, a modal verb or a negation.

A family (``words/senses.json``) has several senses with several wordings each, such as "all" and "none". The
wordings of one sense mean the same. The near-copy has the wording of another sense in the same place.
A fill may be several words that belong together, such as "long / short" for the slots ``a`` and ``a2``.
"""

from __future__ import annotations

import random
from typing import Any

from beam_sts.training.grammars import capitalised, read_words

_DATA: dict[str, Any] = read_words("senses")
_FILLS: dict[str, list[str]] = _DATA["fills"]
_FAMILIES: list[dict[str, Any]] = _DATA["families"]
_AGAINST = [
    {sense: others.split() for sense, others in (line.split(" | ") for line in family["against"])}
    for family in _FAMILIES
]


def sense_drawn(rng: random.Random) -> tuple[str, str, str]:
    """An anchor, the same in another wording, and a near-copy of another sense."""
    at = rng.randrange(len(_FAMILIES))
    senses: dict[str, list[str]] = _FAMILIES[at]["senses"]
    sense = rng.choice(list(senses))
    wordings, others = senses[sense], senses[rng.choice(_AGAINST[at][sense])]
    first, second = rng.sample(range(len(wordings)), 2)
    values: dict[str, str] = {}
    for slot, words in _FILLS.items():
        for number, word in enumerate(rng.choice(words).split(" / "), 1):
            values[slot if number == 1 else f"{slot}{number}"] = word
    one, two, three = (
        capitalised(wording.format(**values))
        for wording in (wordings[first], wordings[second], others[first % len(others)])
    )
    return one, two, three
