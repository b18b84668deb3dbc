"""Probe sets: what a similarity filter's users rely on, asked with sentences that no training pair uses.

Each fact comes with a paraphrase and a near-copy that states another fact; a model passes where it scores the
paraphrase higher. Frames and slot words differ from those of the training grammars (a test compares them).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from beam_sts.training.grammars import read, read_grammars

# One topic, several facts: (fact, the same in other words, another fact of the same topic in like words).
SAME_TOPIC: tuple[list[str], ...] = tuple(told.split(" | ") for told in read("topics"))


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
        per_kind: Distinct triples asked of each grammar class; a class may have fewer facts to give. "topic"
            has its fixed list.
        seed: Of the choices.
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
