"""Pairs that differ in one fact: rules that edit real sentences, and small grammars that make whole pairs.

A model of word overlap calls "12 km" and "21 km" the same. These pairs teach it otherwise. Every rule returns the
edited sentence, or None where it does not apply. The grammars here are for training only: the probes
(:mod:`beam_sts.training.probes`) have frames and words of their own.
"""

# ruff: noqa: E501  (word lists and frames read better one to a line)

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w])|(?<![\w.,])\d+(?![\w])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}(?![\w-])")
_WORDS = {
    "two": "five", "three": "seven", "four": "nine", "five": "two", "six": "three", "seven": "four", "eight": "six",
    "nine": "twelve", "ten": "twenty", "twelve": "ten", "twenty": "forty",
}  # fmt: skip
_DIGITS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "twelve": "12", "twenty": "20",
}  # fmt: skip
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|should|must|has been|have been|had been|does|do|did)\b(?! not\b|n't)"
)
_NEGATED = re.compile(r"\b(is|are|was|were|can|could|will|would|should|must|does|do|did)(?: not|n't)\b")
_NOUN = re.compile(r"\b(?:[Aa]n?|[Tt]he) ([a-z]{3,})\b")
_OPPOSITES = (
    ("rose", "fell"), ("rises", "falls"), ("rising", "falling"), ("increased", "decreased"), ("increase", "decrease"),
    ("higher", "lower"), ("high", "low"), ("more", "less"), ("before", "after"), ("first", "last"), ("early", "late"),
    ("open", "closed"), ("young", "old"), ("new", "old"), ("black", "white"), ("indoors", "outdoors"), ("left", "right"),
    ("inside", "outside"), ("large", "small"), ("big", "little"), ("long", "short"), ("hot", "cold"), ("good", "bad"),
    ("best", "worst"), ("above", "below"), ("up", "down"), ("won", "lost"), ("win", "lose"), ("bought", "sold"),
    ("buy", "sell"), ("start", "stop"), ("began", "ended"), ("male", "female"), ("north", "south"), ("east", "west"),
    ("northern", "southern"), ("eastern", "western"), ("morning", "evening"), ("day", "night"), ("always", "never"),
    ("many", "few"), ("rich", "poor"), ("strong", "weak"), ("happy", "sad"), ("sitting", "standing"), ("asleep", "awake"),
    ("easy", "difficult"), ("same", "different"), ("true", "false"), ("wide", "narrow"), ("fast", "slow"),
    ("winter", "summer"), ("wet", "dry"), ("clean", "dirty"), ("empty", "full"), ("light", "dark"), ("public", "private"),
    ("love", "hate"), ("arrived", "left"), ("push", "pull"), ("with", "without"), ("against", "for"), ("alone", "together"),
)  # fmt: skip
_OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}
_OPPOSED = re.compile(rf"\b({'|'.join(_OPPOSITE)})\b")
_CONTRACTIONS = (
    (" is not ", " isn't "), (" are not ", " aren't "), (" was not ", " wasn't "), (" does not ", " doesn't "),
    (" did not ", " didn't "), (" cannot ", " can't "), (" do not ", " don't "), (" will not ", " won't "),
    ("It is ", "It's "), ("There is ", "There's "), ("I am ", "I'm "), ("He is ", "He's "), ("She is ", "She's "),
)  # fmt: skip


def change_number(text: str, rng: random.Random) -> str | None:
    """Change one number: digits in another order, a near number, another magnitude, or another number word."""
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
    """Put another name in the place of a capitalised word inside the sentence."""
    found = list(_NAME.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    new = rng.choice(names)
    return None if new == match.group() else text[: match.start()] + new + text[match.end() :]


def negate(text: str, rng: random.Random) -> str | None:
    """Add a negation after an auxiliary verb, or remove the one that is there."""
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
    """Put a word of opposite meaning in the place of one word."""
    found = list(_OPPOSED.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    return text[: match.start()] + _OPPOSITE[match.group()] + text[match.end() :]


def swap_nouns(text: str, rng: random.Random) -> str | None:
    """Exchange two nouns that follow articles: who does it, and to whom."""
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
    """Change the surface only: contraction, digits for number words, case, final punctuation."""
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
class Grammar:
    """Sentences of one fact in several wordings.

    Attributes:
        kind: The class of fact that changes: "order", "number", "name", "negation" or "topic".
        wordings: Format strings that say the same; slots are named.
        slots: For each slot, the words that fill it.
        changed: The slots whose values change the fact; two of them are exchanged for "order".
        opposite: Wordings that deny the fact, for "negation", or that say something else of the same things, for
            "topic".
    """

    kind: str
    wordings: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]
    changed: tuple[str, ...] = ()
    opposite: tuple[str, ...] = ()

    def fill(self, rng: random.Random) -> tuple[str, str, str]:
        """Make one fact.

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
        # The other fact keeps the anchor's wording most of the time: overlap must not be enough.
        wording = self.wordings[at] if rng.random() < 0.8 else rng.choice(others)
        return anchor, paraphrase, wording.format(**other)


_PEOPLE = (
    "teacher", "nurse", "lawyer", "driver", "farmer", "painter", "soldier", "clerk", "sailor", "waiter", "singer",
    "mayor", "boy", "girl", "woman", "guard", "coach", "judge", "student", "baker",
)  # fmt: skip
_ANIMALS = (
    "cat",
    "horse",
    "goat",
    "wolf",
    "bear",
    "sheep",
    "duck",
    "fox",
    "hen",
    "lion",
    "tiger",
    "snake",
    "cow",
)
_GIVEN = (
    "Martin", "Helen", "Carlos", "Yuki", "Omar", "Ingrid", "Pavel", "Grace", "Kofi", "Leila", "Hugo", "Mei", "Stefan",
    "Rosa", "Nils", "Aisha", "Victor", "Clara", "Dmitri", "Joan", "Edward", "Susan", "Brian", "Karen",
)  # fmt: skip
_CITIES = (
    "Lisbon", "Oslo", "Cairo", "Denver", "Madrid", "Prague", "Mumbai", "Sydney", "Boston", "Vienna", "Athens", "Lima",
    "Dublin", "Warsaw", "Nairobi", "Toronto", "Milan", "Kyoto",
)  # fmt: skip
_COMPANIES = (
    "Nordex",
    "Telvia",
    "Quantor",
    "Brightwell",
    "Apex",
    "Sunrise",
    "Vertex",
    "Omnicom",
    "Halden",
    "Merid",
)
_FIGURES = ("3", "4", "6", "7", "8", "9", "11", "13", "14", "15", "16", "17", "18", "23", "24", "25", "31", "36",
            "42", "45", "48", "52", "57", "63", "64", "75", "81", "86", "93", "97", "120", "150", "210", "340", "500",
            "1998", "2001", "2007", "2012", "2019")  # fmt: skip
_VERBS = (
    ("chased", "chased"), ("followed", "followed"), ("praised", "praised"), ("blamed", "blamed"), ("saw", "seen"),
    ("helped", "helped"), ("called", "called"), ("beat", "beaten"), ("hit", "hit"), ("pushed", "pushed"),
    ("taught", "taught"), ("feared", "feared"), ("loved", "loved"), ("watched", "watched"), ("killed", "killed"),
)  # fmt: skip


def _active_passive() -> Iterator[Grammar]:
    for past, participle in _VERBS:
        for group in (_PEOPLE, _ANIMALS):
            yield Grammar(
                "order",
                (
                    f"the {{a}} {past} the {{b}}",
                    f"the {{b}} was {participle} by the {{a}}",
                    f"it was the {{a}} that {past} the {{b}}",
                    f"The {{a}} {past} the {{b}}.",
                ),
                {"a": group, "b": group},
                ("a", "b"),
            )


TRAINING_GRAMMARS: tuple[Grammar, ...] = (
    *_active_passive(),
    Grammar("order", ("{a} moved from {c} to {d}.", "{a} left {c} and moved to {d}.", "Coming from {c}, {a} moved to {d}."),
            {"a": _GIVEN, "c": _CITIES, "d": _CITIES}, ("c", "d")),
    Grammar("order", ("{a} lent money to {b}.", "{b} got a loan from {a}.", "{b} borrowed money from {a}."),
            {"a": _GIVEN, "b": _GIVEN}, ("a", "b")),
    Grammar("order", ("{a} took over {b}.", "{b} was taken over by {a}.", "{a} has bought {b}.", "{b} has been sold to {a}."),
            {"a": _COMPANIES, "b": _COMPANIES}, ("a", "b")),
    Grammar("order", ("{a} is older than {b}.", "{b} is younger than {a}.", "Compared with {b}, {a} is older."),
            {"a": _GIVEN, "b": _GIVEN}, ("a", "b")),
    Grammar("order", ("{a} beat {b} in the final.", "{b} lost the final to {a}.", "In the final, {a} won against {b}."),
            {"a": _CITIES, "b": _CITIES}, ("a", "b")),
    Grammar("number", ("The trip took {n} days.", "It was a trip of {n} days.", "They travelled for {n} days."),
            {"n": _FIGURES}, ("n",)),
    Grammar("number", ("The company cut {n} jobs.", "{n} jobs were cut by the company.", "The firm laid off {n} people."),
            {"n": _FIGURES}, ("n",)),
    Grammar("number", ("At least {n} people were hurt in {c}.", "{n} or more people were injured in {c}.",
                       "In {c}, no fewer than {n} people were hurt."), {"n": _FIGURES, "c": _CITIES}, ("n",)),
    Grammar("number", ("The bridge is {n} metres long.", "The length of the bridge is {n} metres.", "It is a bridge of {n} m."),
            {"n": _FIGURES}, ("n",)),
    Grammar("number", ("{a} scored {n} points against {c}.", "Against {c}, {a} got {n} points.", "{n} points were scored by {a} against {c}."),
            {"a": _GIVEN, "n": _FIGURES, "c": _CITIES}, ("n",)),
    Grammar("number", ("Prices rose by {n} percent.", "There was a rise of {n} percent in prices.", "Prices went up {n}%."),
            {"n": _FIGURES}, ("n",)),
    Grammar("number", ("the shop opens at {n}", "opening time of the shop is {n}", "the store opens at {n}"),
            {"n": ("6", "7", "8", "9", "10", "11")}, ("n",)),
    Grammar("name", ("{a} won the prize in {c}.", "The prize in {c} went to {a}.", "In {c}, {a} took the prize."),
            {"a": _GIVEN, "c": _CITIES}, ("a", "c")),
    Grammar("name", ("{a} called the police on Monday.", "The police were called by {a} on Monday.", "On Monday, {a} phoned the police."),
            {"a": _GIVEN}, ("a",)),
    Grammar("name", ("The fire in {c} is out.", "Firefighters put out the fire in {c}.", "The blaze in {c} has been put out."),
            {"c": _CITIES}, ("c",)),
    Grammar("name", ("{k} will open a plant in {c}.", "A plant in {c} will be opened by {k}.", "{k} plans a new factory in {c}."),
            {"k": _COMPANIES, "c": _CITIES}, ("k", "c")),
    Grammar("name", ("{a} speaks for {k}.", "{a} is the spokesperson of {k}.", "The spokesman for {k} is {a}."),
            {"a": _GIVEN, "k": _COMPANIES}, ("a", "k")),
    Grammar("name", ("{a} and {b} got married in {c}.", "The wedding of {a} and {b} was in {c}.", "In {c}, {b} married {a}."),
            {"a": _GIVEN, "b": _GIVEN, "c": _CITIES}, ("a", "b", "c")),
    Grammar("negation", ("The {p} is at home.", "The {p} is in the house.", "The {p} has stayed home."), {"p": _PEOPLE}, (),
            ("The {p} is not at home.", "The {p} isn't in the house.", "The {p} has not stayed home.")),
    Grammar("negation", ("{a} likes the plan.", "{a} is happy with the plan.", "The plan pleases {a}."), {"a": _GIVEN}, (),
            ("{a} does not like the plan.", "{a} is not happy with the plan.", "The plan doesn't please {a}.")),
    Grammar("negation", ("{a} paid the bill.", "The bill was paid by {a}.", "{a} did pay the bill."), {"a": _GIVEN}, (),
            ("{a} didn't pay the bill.", "The bill was not paid by {a}.", "{a} never paid the bill.")),
    Grammar("negation", ("the {x} is sleeping", "the {x} is asleep", "the {x} sleeps"), {"x": _ANIMALS}, (),
            ("the {x} is not sleeping", "the {x} isn't asleep", "the {x} does not sleep")),
    Grammar("negation", ("You can swim in {c}.", "It is possible to swim in {c}.", "Swimming is allowed in {c}."), {"c": _CITIES}, (),
            ("You cannot swim in {c}.", "It is not possible to swim in {c}.", "Swimming is not allowed in {c}.")),
    Grammar("negation", ("The talks in {c} were a success.", "The talks in {c} succeeded.", "Talks held in {c} were successful."),
            {"c": _CITIES}, (), ("The talks in {c} were not a success.", "The talks in {c} failed.", "Talks held in {c} were not successful.")),
)  # fmt: skip


@dataclass(frozen=True)
class EditTargets:
    """Scores that the rules give: what STS-B's annotators give pairs of the kind, rounded.

    Attributes:
        number: A changed number.
        name: A changed name.
        negation: The fact denied.
        topic: Another fact of the same things.
        order: Roles exchanged.
        paraphrase: The same fact in other words.
        surface: The same sentence, or another spelling of it.
        empty: A sentence beside an empty text.
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
    grammars: Sequence[Grammar] = TRAINING_GRAMMARS,
) -> list[tuple[str, str, float, str]]:
    """Make training pairs from the grammars: for each fact one paraphrase and one near-copy of another fact.

    Args:
        count: Facts to make; twice as many pairs come back.
        seed: Of the choices.
        targets: Scores by kind.
        grammars: What to make the facts from.

    Returns:
        (first text, second text, score, kind) tuples.
    """
    targets = targets or EditTargets()
    rng = random.Random(seed)
    kinds = dict.fromkeys(grammar.kind for grammar in grammars)
    by_kind = {kind: [grammar for grammar in grammars if grammar.kind == kind] for kind in kinds}
    pairs: list[tuple[str, str, float, str]] = []
    # Who does what to whom is the hardest to learn: half of the facts are of that class.
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
    """Edit real sentences: each gives one pair, of the rule that applies and has had the fewest pairs.

    Every eighth sentence is paired with itself, every sixty-fourth with an empty text.

    Args:
        texts: Sentences.
        seed: Of the choices.
        targets: Scores by kind.

    Returns:
        (text, edited text, score, kind) tuples.
    """
    targets = targets or EditTargets()
    rng = random.Random(seed)
    names = sorted({match.group() for text in texts for match in _NAME.finditer(text)}) or list(_GIVEN)
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
