"""Pairs that differ in one fact: rules that edit real sentences, and pairs generated from small grammars.

To a model of word overlap "12 km" and "21 km" are the same. These pairs teach it the difference. Every rule
returns the edited sentence, or None if it does not apply. These grammars are for training only: the probes
(:mod:`beam_sts.training.probes`) use other frames and words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beam_sts.training.grammars import Grammar, read_grammars, read_words, word_list

_DATA = read_words("edits")
_WORDS: dict[str, str] = _DATA["number_words"]
_DIGITS: dict[str, str] = _DATA["digits"]
_CONTRACTIONS: list[list[str]] = _DATA["contractions"]
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w])|(?<![\w.,])\d+(?![\w])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}(?![\w-])")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|should|must|has been|have been|had been|does|do|did)\b"
    r"(?! not\b|n't)"
)
_NEGATED = re.compile(r"\b(is|are|was|were|can|could|will|would|should|must|does|do|did)(?: not|n't)\b")
_NOUN = re.compile(r"\b(?:[Aa]n?|[Tt]he) ([a-z]{3,})\b")
_OPPOSITE: dict[str, str] = {
    a: b for pair in (entry.split(" | ") for entry in _DATA["opposites"]) for a, b in (pair, pair[::-1])
}
_OPPOSED = re.compile(rf"\b({'|'.join(_OPPOSITE)})\b")


def change_number(text: str, rng: random.Random) -> str | None:
    """Change one number: reorder its digits, or take a near number, another magnitude or number word."""
    found = list(_NUMBER.finditer(text))
    if found:
        match = rng.choice(found)
        old = match.group().replace(",", "")
        value = int(old)
        reordered = "".join(rng.sample(old, len(old)))
        choices = [
            reordered,
            old[::-1],
            str(value + rng.choice((1, 2, 3, 5, 10))),
            str(value * 10),
            str(value * 2 + 1),
        ]
        new = next((choice for choice in rng.sample(choices, len(choices)) if int(choice) != value), None)
        if new is None:
            return None
        new = str(int(new)) if not old.startswith("0") else new
        return text[: match.start()] + new + text[match.end() :]
    words = list(_NUMBER_WORD.finditer(text))
    if not words:
        return None
    word = rng.choice(words)
    return text[: word.start()] + _WORDS[word.group().lower()] + text[word.end() :]


def change_name(text: str, rng: random.Random, names: list[str]) -> str | None:
    """Replace a capitalised word inside the sentence by another name."""
    found = list(_NAME.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    new = rng.choice(names)
    return None if new == match.group() else text[: match.start()] + new + text[match.end() :]


def negate(text: str, rng: random.Random) -> str | None:
    """Add a negation after an auxiliary verb, or remove an existing one."""
    negated = _NEGATED.search(text)
    if negated:
        return text[: negated.start()] + negated.group(1) + text[negated.end() :]
    found = _AUXILIARY.search(text)
    if not found:
        return None
    if found.group() == "can":
        return text[: found.start()] + rng.choice(("cannot", "can't")) + text[found.end() :]
    first, *rest = found.group().split()
    short = (
        first + "n't"
        if first in {"is", "are", "was", "were", "does", "do", "did", "could", "would"}
        else None
    )
    new = short if short and rng.random() < 0.4 else f"{first} not"
    return text[: found.start()] + " ".join([new, *rest]) + text[found.end() :]


def oppose(text: str, rng: random.Random) -> str | None:
    """Replace one word by a word of opposite meaning."""
    found = list(_OPPOSED.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    return text[: match.start()] + _OPPOSITE[match.group()] + text[match.end() :]


def swap_nouns(text: str, rng: random.Random) -> str | None:
    """Exchange two nouns that follow articles, such as the subject and the object."""
    found = list({match.group(1): match for match in _NOUN.finditer(text)}.values())
    if len(found) < 2:
        return None
    first, second = sorted(rng.sample(found, 2), key=lambda match: match.start())
    return (
        text[: first.start(1)]
        + second.group(1)
        + text[first.end(1) : second.start(1)]
        + first.group(1)
        + text[second.end(1) :]
    )


def keep_meaning(text: str, rng: random.Random) -> str | None:
    """Change only the surface: contraction, digits for number words, case, final punctuation."""
    for long, short in _CONTRACTIONS:
        if long in text:
            return text.replace(long, short, 1)
        if short in text:
            return text.replace(short, long, 1)
    word = _NUMBER_WORD.search(text)
    if word:
        return text[: word.start()] + _DIGITS[word.group().lower()] + text[word.end() :]
    bare = text.rstrip(".!")
    return rng.choice((bare + "." if bare == text else bare, text.upper(), text.lower()))


@dataclass(frozen=True)
class EditTargets:
    """The scores of the rules: what STS-B's annotators give to pairs of each kind, rounded.

    Attributes:
        number: A changed number.
        name: A changed name.
        negation: A negated fact.
        topic: Another fact on the same topic.
        order: Exchanged roles.
        paraphrase: The same fact in other words.
        surface: The same sentence, or another spelling of it.
        empty: A sentence and an empty text.
    """

    number: float = 0.5
    name: float = 0.5
    negation: float = 0.45
    topic: float = 0.45
    order: float = 0.55
    paraphrase: float = 0.95
    surface: float = 1.0
    empty: float = 0.0


def grammar_pairs(
    count: int,
    seed: int,
    targets: EditTargets | None = None,
    grammars: Sequence[Grammar] | None = None,
) -> list[tuple[str, str, float, str]]:
    """Generate training pairs: for each fact one paraphrase, and one near-copy with another fact.

    Args:
        count: How many facts; the result has twice as many pairs.
        seed: Seed of the choices.
        targets: Scores by kind.
        grammars: The grammars; default: ``words/training.json``.

    Returns:
        (first text, second text, score, kind) tuples.
    """
    targets = targets or EditTargets()
    grammars = grammars or read_grammars("training")
    rng = random.Random(seed)
    kinds = dict.fromkeys(grammar.kind for grammar in grammars)
    by_kind = {kind: [grammar for grammar in grammars if grammar.kind == kind] for kind in kinds}
    pairs: list[tuple[str, str, float, str]] = []
    # The order of roles is the hardest to learn, so half of the facts are of that class.
    turns = [*by_kind, *(["order", "order"] if "order" in by_kind else [])]
    for index in range(count):
        kind = turns[index % len(turns)]
        anchor, paraphrase, other = rng.choice(by_kind[kind]).fill(rng)
        pairs.append((anchor, paraphrase, targets.paraphrase, "paraphrase"))
        pairs.append((anchor, other, getattr(targets, kind), kind))
    return pairs


def edited_pairs(
    texts: list[str], seed: int, targets: EditTargets | None = None
) -> list[tuple[str, str, float, str]]:
    """Edit real sentences: each gives one pair, by the applicable rule with the fewest pairs so far.

    Every eighth sentence is paired with itself, every sixty-fourth with an empty text.

    Args:
        texts: Sentences.
        seed: Seed of the choices.
        targets: Scores by kind.

    Returns:
        (text, edited text, score, kind) tuples.
    """
    targets = targets or EditTargets()
    rng = random.Random(seed)
    names = sorted({match.group() for text in texts for match in _NAME.finditer(text)}) or list(
        word_list("given")
    )
    rules: dict[str, Callable[[str], str | None]] = {
        "number": lambda text: change_number(text, rng),
        "name": lambda text: change_name(text, rng, names),
        "negation": lambda text: negate(text, rng),
        "topic": lambda text: oppose(text, rng),
        "order": lambda text: swap_nouns(text, rng),
        "surface": lambda text: keep_meaning(text, rng),
    }
    counts = dict.fromkeys(rules, 0)
    pairs: list[tuple[str, str, float, str]] = []
    for index, text in enumerate(texts):
        if index % 64 == 0:
            pairs.append((text, "", targets.empty, "empty"))
        if index % 8 == 0:
            pairs.append((text, text, targets.surface, "surface"))
            continue
        for kind in sorted(rules, key=counts.__getitem__):
            edited = rules[kind](text)
            if edited is not None and edited != text:
                counts[kind] += 1
                pairs.append((text, edited, getattr(targets, kind), kind))
                break
    return pairs
