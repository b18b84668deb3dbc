"""Pairs of texts that differ in a fact: near by their score, and no paraphrases."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.dedup.facts.compare import GUARDS
from beam_sts.dedup.facts.texts import compare_texts

__all__ = ["COMPARED", "GUARDS", "differing"]

COMPARED = 0.5
"""Least score of pairs whose facts are compared, unless positives may score less."""


def differing(
    text_a: pa.Array, text_b: pa.Array, scores: NDArray[np.float32], guard: str, least: float = COMPARED
) -> NDArray[np.bool_]:
    """Which pairs differ in a fact.

    Args:
        text_a: first texts of n pairs.
        text_b: second texts.
        scores: of the pairs, shape (n,), NaN where the model failed.
        guard: as of ``dedup --guard``.
        least: pairs that score less are not compared; they differ in nothing here.

    >>> texts = [pa.array([text], pa.large_string()) for text in ("It cost 3 euros.", "It cost 5 euros.")]
    >>> differing(*texts, np.array([0.9], np.float32), "facts").tolist()
    [True]
    """
    found = np.zeros(len(scores), bool)
    if guard == "none":
        return found
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero(scores >= np.float32(least))
    some = pa.array(near)
    pairs = compare_texts(text_a.take(some), text_b.take(some), guard)
    found[near] = [shown is not None for shown, _ in pairs]
    return found
