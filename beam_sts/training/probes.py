"""Probe sets: tests of properties that filters rely on, with sentences that no training pair uses.

Each fact has a paraphrase and a near-copy that states another fact. A model passes if it scores the
paraphrase higher. Frames and slot words differ from those of the training grammars, which a test checks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from beam_sts.training.grammars import read_grammars, read_words

# Facts on one topic: (fact, the same in other words, another fact on the topic in similar words).
SAME_TOPIC: tuple[list[str], ...] = tuple(line.split(" | ") for line in read_words("topics"))


@dataclass(frozen=True)
class ProbeTriple:
    """One test: does the paraphrase score above the near-copy?

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
    """Build the probe set, which depends only on the arguments.

    Args:
        per_kind: How many distinct triples of each class are wanted; a class may have fewer. "topic" has a
            fixed list.
        seed: Seed of the choices.
    """
    rng = random.Random(seed)
    triples: dict[ProbeTriple, None] = {}
    for kind in ("order", "number", "name", "negation"):
        grammars = [grammar for grammar in read_grammars("probes") if grammar.kind == kind]
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
    """The share of triples of each kind in which the paraphrase scores above the near-copy.

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
