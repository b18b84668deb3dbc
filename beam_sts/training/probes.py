"""Probe sets: what a similarity filter's users rely on, asked with sentences that no training pair uses.

Each fact comes with a paraphrase and a near-copy that states another fact; a model passes where it scores the
paraphrase higher. Frames and slot words differ from those of the training grammars (a test compares them).
"""

# ruff: noqa: E501  (word lists and frames read better one to a line)

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from beam_sts.training.edits import Grammar

_ROLES = (
    "dog",
    "man",
    "priest",
    "pilot",
    "monkey",
    "chef",
    "tourist",
    "thief",
    "butcher",
    "elephant",
    "widow",
    "scout",
)
_NAMES = (
    "Anna",
    "Peter",
    "Maria",
    "George",
    "Fatima",
    "Lucas",
    "Hannah",
    "Diego",
    "Nadia",
    "Walter",
    "Sofia",
    "Igor",
)
_PLACES = (
    "Berlin",
    "Paris",
    "Chicago",
    "Tokyo",
    "Rome",
    "London",
    "Geneva",
    "Seoul",
    "Bogota",
    "Houston",
    "Delhi",
    "Zurich",
)
_AMOUNTS = (
    "12",
    "21",
    "19",
    "28",
    "35",
    "38",
    "46",
    "54",
    "65",
    "72",
    "79",
    "87",
    "92",
    "130",
    "180",
    "260",
    "470",
)

PROBE_GRAMMARS: tuple[Grammar, ...] = (
    Grammar("order", ("The {a} bit the {b}.", "The {b} was bitten by the {a}.", "The {b} got bitten by the {a}."),
            {"a": _ROLES, "b": _ROLES}, ("a", "b")),
    Grammar("order", ("A {a} is carrying a {b}.", "A {b} is being carried by a {a}.", "There is a {a} carrying a {b}."),
            {"a": _ROLES, "b": _ROLES}, ("a", "b")),
    Grammar("order", ("The {a} warned the {b} about the storm.", "The {b} was warned about the storm by the {a}.",
                      "About the storm, the {a} warned the {b}."), {"a": _ROLES, "b": _ROLES}, ("a", "b")),
    Grammar("order", ("{a} gave {b} a present.", "{b} received a present from {a}.", "{a} gave a gift to {b}."),
            {"a": _NAMES, "b": _NAMES}, ("a", "b")),
    Grammar("order", ("The train goes from {a} to {b}.", "The train leaves {a} for {b}.", "The train to {b} starts in {a}."),
            {"a": _PLACES, "b": _PLACES}, ("a", "b")),
    Grammar("order", ("{a} is taller than {b}.", "{b} is shorter than {a}.", "{b} is not as tall as {a}."),
            {"a": _NAMES, "b": _NAMES}, ("a", "b")),
    Grammar("number", ("The village is {n} km from the sea.", "The distance from the village to the sea is {n} km.",
                       "From the village it is {n} kilometres to the sea."), {"n": _AMOUNTS}, ("n",)),
    Grammar("number", ("The ticket costs {n} dollars.", "The price of the ticket is {n} dollars.", "You pay {n} dollars for the ticket."),
            {"n": _AMOUNTS}, ("n",)),
    Grammar("number", ("{n} passengers were on board.", "There were {n} passengers aboard.", "On board were {n} passengers."),
            {"n": _AMOUNTS}, ("n",)),
    Grammar("number", ("She baked {n} cakes for the fair.", "For the fair she made {n} cakes.", "{n} cakes were baked by her for the fair."),
            {"n": _AMOUNTS}, ("n",)),
    Grammar("number", ("The patient is {n} years old.", "The age of the patient is {n}.", "The patient's age is {n} years."),
            {"n": _AMOUNTS}, ("n",)),
    Grammar("name", ("{a} wrote the report.", "The report was written by {a}.", "The author of the report is {a}."),
            {"a": _NAMES}, ("a",)),
    Grammar("name", ("The conference takes place in {c}.", "{c} hosts the conference.", "The conference will be held in {c}."),
            {"c": _PLACES}, ("c",)),
    Grammar("name", ("{a} was born in {c}.", "The birthplace of {a} is {c}.", "{a} comes from {c} by birth."),
            {"a": _NAMES, "c": _PLACES}, ("a", "c")),
    Grammar("name", ("{a} sold the house last year.", "Last year the house was sold by {a}.", "The house was sold last year by {a}."),
            {"a": _NAMES}, ("a",)),
    Grammar("name", ("A flight to {c} was cancelled.", "They cancelled a flight to {c}.", "The airline cancelled its flight to {c}."),
            {"c": _PLACES}, ("c",)),
    Grammar("negation", ("The door is locked.", "Someone has locked the door.", "They have locked the door."), {}, (),
            ("The door is not locked.", "No one has locked the door.", "They have not locked the door.")),
    Grammar("negation", ("The {a} can see the river.", "The river can be seen by the {a}.", "The {a} is able to see the river."),
            {"a": _ROLES}, (),
            ("The {a} cannot see the river.", "The river can't be seen by the {a}.", "The {a} is not able to see the river.")),
    Grammar("negation", ("{a} accepted the offer.", "The offer was accepted by {a}.", "{a} has accepted the offer."), {"a": _NAMES}, (),
            ("{a} did not accept the offer.", "The offer was not accepted by {a}.", "{a} has not accepted the offer.")),
    Grammar("negation", ("The museum in {c} is open today.", "Today the museum in {c} is open.", "The {c} museum opens today."),
            {"c": _PLACES}, (),
            ("The museum in {c} is not open today.", "Today the museum in {c} isn't open.", "The {c} museum does not open today.")),
    Grammar("negation", ("This medicine is safe for children.", "Children can take this medicine safely.", "It is safe to give this medicine to children."),
            {}, (), ("This medicine is not safe for children.", "Children cannot take this medicine safely.", "It is not safe to give this medicine to children.")),
)  # fmt: skip

# One topic, several facts: (fact, the same fact in other words, another fact of the same topic in like words).
SAME_TOPIC: tuple[tuple[str, str, str], ...] = (
    ("The capital of the country lies on the coast.", "The country's capital is on the coast.", "The capital of the country lies in the mountains."),
    ("The river floods the valley every spring.", "Each spring the valley is flooded by the river.", "The river freezes in the valley every winter."),
    ("The bank raised its interest rates.", "Interest rates were increased by the bank.", "The bank lowered its interest rates."),
    ("The bank raised its interest rates on Monday.", "On Monday the bank put its interest rates up.", "The bank raised its account fees on Friday."),
    ("The team won the match at home.", "At home, the team was victorious in the match.", "The team lost the match at home."),
    ("Heat makes metal expand.", "Metal expands when it is heated.", "Cold makes metal brittle."),
    ("The vaccine protects against measles.", "The vaccine gives protection from measles.", "The vaccine was tested against malaria."),
    ("The library closes early on Sunday.", "On Sundays the library shuts early.", "The library lends films on Sunday."),
    ("A woman is slicing an onion.", "A woman cuts an onion into slices.", "A woman is planting an onion."),
    ("Two children are playing in the snow.", "Two kids play in the snow.", "Two children are sleeping in the car."),
    ("The computer was stolen from the office.", "Someone stole the computer from the office.", "The computer was repaired in the office."),
    ("The storm destroyed the harbour.", "The harbour was destroyed by the storm.", "The storm missed the harbour."),
    ("The director resigned after the scandal.", "After the scandal the director stepped down.", "The director denied the scandal."),
    ("Bees collect nectar from flowers.", "Nectar is gathered from flowers by bees.", "Bees sting when they are disturbed."),
    ("The film received bad reviews.", "Critics reviewed the film badly.", "The film received an award."),
    ("The court found him guilty.", "He was convicted by the court.", "The court set him free."),
    ("The plane landed safely in the fog.", "In the fog the plane made a safe landing.", "The plane took off late because of fog."),
    ("My phone battery is empty.", "The battery of my phone is dead.", "My phone screen is broken."),
    ("She teaches mathematics at a school.", "She is a mathematics teacher at a school.", "She studies history at a university."),
    ("The price of oil fell sharply.", "There was a sharp drop in the price of oil.", "The price of oil rose sharply."),
    ("The package contains the documentation.", "The documentation is in this package.", "The package contains the debugging symbols."),
    ("He forgot to water the plants.", "He didn't remember to water the plants.", "He forgot to sell the plants."),
    ("The bridge was closed for repairs.", "They closed the bridge to repair it.", "The bridge was opened by the mayor."),
    ("The soup is too salty.", "There is too much salt in the soup.", "The soup is too cold."),
    ("A man is riding a horse on the beach.", "On the beach a man rides a horse.", "A man is washing a horse on the beach."),
    ("The treaty was signed by both countries.", "Both countries signed the treaty.", "The treaty was rejected by both countries."),
    ("The lake is deep and cold.", "The lake's water is cold and deep.", "The lake is shallow and warm."),
    ("The new law bans smoking in parks.", "Smoking in parks is forbidden by the new law.", "The new law allows smoking in parks."),
    ("The patient recovered quickly.", "The patient's recovery was quick.", "The patient died suddenly."),
    ("The museum was built by a French architect.", "A French architect built the museum.", "The museum was damaged by a French bomb."),
)  # fmt: skip


@dataclass(frozen=True)
class ProbeTriple:
    """One question: does the paraphrase score above the near-copy?

    Attributes:
        kind: "order", "number", "name", "negation" or "topic".
        anchor: A fact.
        paraphrase: The fact in other words.
        other: A near-copy of the anchor that states something else.
    """

    kind: str
    anchor: str
    paraphrase: str
    other: str


def probe_triples(per_kind: int = 200, seed: int = 7) -> list[ProbeTriple]:
    """Build the probe set, the same for the same arguments on every machine.

    Args:
        per_kind: Distinct triples asked of each grammar class; a class may have fewer facts to give. "topic" has
            its fixed list.
        seed: Of the choices.
    """
    rng = random.Random(seed)
    triples: dict[ProbeTriple, None] = {}
    for kind in ("order", "number", "name", "negation"):
        grammars = [grammar for grammar in PROBE_GRAMMARS if grammar.kind == kind]
        found: dict[ProbeTriple, None] = {}
        for attempt in range(per_kind * 4):
            if len(found) == per_kind:
                break
            found[ProbeTriple(kind, *grammars[attempt % len(grammars)].fill(rng))] = None
        triples.update(found)
    triples.update(dict.fromkeys(ProbeTriple("topic", *facts) for facts in SAME_TOPIC))
    return list(triples)


def ranking_accuracy(
    triples: list[ProbeTriple], paraphrase: np.ndarray, other: np.ndarray
) -> dict[str, float]:
    """Share of triples of each kind whose paraphrase scores above the near-copy.

    Args:
        triples: The probe set.
        paraphrase: Scores of (anchor, paraphrase), float[n].
        other: Scores of (anchor, other), float[n].
    """
    right = np.asarray(paraphrase) > np.asarray(other)
    kinds = np.array([triple.kind for triple in triples])
    return {kind: float(right[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}


def unrelated_pairs(texts: list[str], count: int, seed: int = 7) -> list[tuple[str, str]]:
    """Random pairs of different texts of one domain."""
    rng = random.Random(seed)
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < 2:
        raise ValueError(f"unrelated pairs need at least 2 different texts, found {len(distinct)}")
    pairs = (rng.sample(distinct, 2) for _ in range(count))
    return [(first, second) for first, second in pairs]
