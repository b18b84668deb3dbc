"""Which languages the texts of mining are in, counted text by text. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from beam_sts.scoring.languages import SAMPLE, Languages, languages_of, sampled

EFFECT = "their scores mean little, and so do the training sets; use a model that knows these languages"
"""The effect of texts in languages that the model does not know."""
_UNSURE = "unsure"


def in_sample(names: NDArray[np.uint64], expected: int) -> NDArray[np.bool_]:
    """Which texts are in the sample, by their names, shape (n, 2). It depends on the names alone.

    Args:
        names: names of distinct texts, or of some of them.
        expected: about how many distinct texts there are in all.
    """
    return sampled(names[:, 1], expected, SAMPLE)


def count_languages(texts: Iterable[str]) -> dict[str, int]:
    """The number of texts by language; ``unsure`` counts those of which the detector is not sure."""
    found = languages_of(texts)
    return {**found.counts, **({_UNSURE: found.unsure} if found.unsure else {})}


def languages_in(counts: Mapping[str, int], known: Collection[str]) -> Languages:
    """The languages from their counts, and those that the model knows.

    >>> languages_in({"de": 40, "en": 5, "unsure": 5}, ["en"]).unknown
    {'de': 40}
    """
    sure = {name: count for name, count in counts.items() if name != _UNSURE}
    return Languages(sure, counts.get(_UNSURE, 0), tuple(sorted(known)))
