"""Which languages texts are in, by py3langid, and whether a model knows them.

One short text decides nothing: the result is over those texts of a sample of which the detector is sure.
The sample depends on the texts, not on their order, so every runner draws the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE = 500
"""About how many texts are in the sample."""
SURE = 0.5
"""Least probability at which the detector counts as sure."""
_CHARACTERS = 1000  # read of each text
_SHARE, _TEXTS = 0.1, 5  # the least share and count of texts in unknown languages that are reported
_SHOWN = 5
_NONE = ("zxx", "und", "mul")  # codes for content without a language, such as logs
_CLOSE = {"en": ("pcm", "sco")}  # languages for which short texts of another are mistaken


def sampled(hashes: NDArray[np.uint64], texts: int, wanted: int) -> NDArray[np.bool_]:
    """Which texts are in a sample of about ``wanted`` of ``texts``; all of them if there are no more.

    Args:
        hashes: hashes of distinct texts, or of some of them, shape (n,).
        texts: how many distinct texts there are in all.
        wanted: size of the sample.

    >>> sampled(np.array([1, 2**63, 2**64 - 1], np.uint64), 100, 60).tolist()
    [True, True, False]
    """
    if texts <= wanted:
        return np.ones(len(hashes), bool)
    chosen: NDArray[np.bool_] = hashes < np.uint64(wanted / texts * 2.0**64)
    return chosen


@dataclass(frozen=True)
class Languages:
    """The languages of a sample of texts.

    Attributes:
        counts: how many texts the detector is sure are in each language.
        unsure: how many texts it is not sure of.
        known: languages that the model knows; empty if that is not stated.
    """

    counts: Mapping[str, int]
    unsure: int = 0
    known: tuple[str, ...] = ()

    @property
    def texts(self) -> int:
        """Size of the sample."""
        return sum(self.counts.values()) + self.unsure

    @property
    def unknown(self) -> dict[str, int]:
        """Counts of texts by language that the model does not know, largest first; empty if they are few.

        Few means less than a tenth of the texts in a sure language, or less than five texts and less than
        half of the sample.
        """
        if not self.known:
            return {}
        theirs = {*self.known, *(close for known in self.known for close in _CLOSE.get(known, ()))}
        others = {name: count for name, count in self.counts.items() if name not in theirs}
        count, sure = sum(others.values()), sum(self.counts.values())
        few = count < _SHARE * sure or count < min(_TEXTS, self.texts / 2)
        return {} if few else dict(sorted(others.items(), key=lambda one: (-one[1], one[0])))

    def description(self) -> str:
        """The languages and their shares of the sample, in words."""
        order = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        shares = [f"{name} {count / self.texts:.0%}" for name, count in order[:_SHOWN]]
        rest = sum(count for _, count in order[_SHOWN:])
        shares += [f"others {rest / self.texts:.0%}"] if rest else []
        shares += [f"not sure {self.unsure / self.texts:.0%}"] if self.unsure else []
        return f"{', '.join(shares) or 'none'}, of {self.texts:,} texts in the sample"

    def warning(self, effect: str) -> str | None:
        """A warning about languages that the model does not know, with the effect on the run; else None."""
        if not self.unknown:
            return None
        names = ", ".join(self.unknown)
        return f"The model does not know some languages of the texts ({names}): {effect}."

    def record(self, effect: str) -> dict[str, Any]:
        """The record for the summary. ``effect``: as for ``warning``."""
        return {
            "texts": self.texts,
            "counts": dict(sorted(self.counts.items())),
            "unsure": self.unsure,
            "known": list(self.known),
            "unknown": self.unknown,
            "said": self.description(),
            "warning": self.warning(effect),
        }


def languages_of(texts: Iterable[str], known: Collection[str] = ()) -> Languages:
    """Detect the language of each text of a sample.

    Args:
        texts: the sample; the first thousand characters of each are read.
        known: languages that the model knows, as codes of two letters; empty if that is not stated.

    >>> languages_of(["Der Zug nach München hatte gestern Abend zwei Stunden Verspätung."], ["en"]).unknown
    {'de': 1}
    """
    counts: Counter[str] = Counter()
    unsure = 0
    detector = None
    for text in texts:
        detector = detector or _detector()
        name, probability = detector.classify(text[:_CHARACTERS])
        if probability >= SURE and name not in _NONE:
            counts[name] += 1
        else:
            unsure += 1
    return Languages(dict(counts), unsure, tuple(sorted(known)))


@lru_cache(maxsize=1)
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
