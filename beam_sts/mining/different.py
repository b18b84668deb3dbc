"""Pairs of texts that differ in a fact: they score high but are no paraphrases."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.dedup.facts.compare import GUARDS, PARAPHRASES
from beam_sts.dedup.facts.texts import compare_texts

__all__ = ["COMPARED", "GUARDS", "differing"]

COMPARED = 0.5
"""Pairs that score at least this have their facts compared; less if positives may score less."""


def differing(
    text_a: pa.Array, text_b: pa.Array, scores: NDArray[np.float32], guard: str, least: float = COMPARED
) -> NDArray[np.bool_]:
    """Find the pairs that differ in a fact.

    Args:
        text_a: first texts of n pairs.
        text_b: second texts.
        scores: scores of the pairs, shape (n,); NaN if the model failed.
        guard: see ``dedup --guard``.
        least: lowest score to compare; pairs below it are reported as not different.

    Returns:
        A boolean array of shape (n,).

    >>> texts = [pa.array([text], pa.large_string()) for text in ("It cost 3 euros.", "It cost 5 euros.")]
    >>> differing(*texts, np.array([0.9], np.float32), "facts").tolist()
    [True]
    >>> texts = [pa.array([text], pa.large_string()) for text in ("A plan came.", "A surprise plan came.")]
    >>> differing(*texts, np.array([0.9], np.float32), "facts").tolist()
    [False]
    """
    found = np.zeros(len(scores), bool)
    if guard == "none":
        return found
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero(scores >= np.float32(least))
    some = pa.array(near)
    # A paraphrase may have an additional word: nothing is lost, because no row is removed.
    pairs = compare_texts(text_a.take(some), text_b.take(some), PARAPHRASES if guard == "facts" else guard)
    found[near] = [shown is not None for shown, _ in pairs]
    return found
