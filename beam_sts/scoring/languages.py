"""Which languages texts are in, by py3langid, and whether a model knows them.

Nothing is decided from one short text: of a sample of the texts those count that the detector is sure of. The
sample follows from the texts alone, not from their order, so that every runner draws the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SAMPLE = 500
"""Texts that are looked at, about."""
SURE = 0.5
"""Least probability of a language that counts."""
_CHARACTERS = 1000  # of each text
_SHARE, _TEXTS = 0.1, 5  # of sure texts in other languages: the least that is said
_SHOWN = 5
_NONE = ("zxx", "und", "mul")  # no language, as logs and codes have
_CLOSE = {"en": ("pcm", "sco")}  # what short texts of a language are taken for


def sampled(hashes: NDArray[np.uint64], texts: int, wanted: int) -> NDArray[np.bool_]:
    """Which texts are in a sample of about ``wanted`` of ``texts``: all, where there are no more.

    Args:
        hashes: of distinct texts, or of some of them; shape (n,).
        texts: how many there are.
        wanted: in the sample.

    >>> sampled(np.array([1, 2**63, 2**64 - 1], np.uint64), 100, 60).tolist()
    [True, True, False]
    """
    if texts <= wanted:
        return np.ones(len(hashes), bool)
    chosen: NDArray[np.bool_] = hashes < np.uint64(wanted / texts * 2.0**64)
    return chosen


@dataclass(frozen=True)
class Languages:
    """The languages of the texts of a sample: how many the detector is sure are in each.

    ``unknown`` are those that the model does not know, in short; empty where it knows nearly all, or does not
    say which it knows.
    """

    counts: Mapping[str, int]
    unsure: int = 0
    known: tuple[str, ...] = ()

    @property
    def texts(self) -> int:
        """Of the sample."""
        return sum(self.counts.values()) + self.unsure

    @property
    def unknown(self) -> dict[str, int]:
        """Languages that the model does not know, with their texts, most first; empty where they are few.

        Few: less than a tenth of those that count, or less than five and less than half of all.
        """
        if not self.known:
            return {}
        theirs = {*self.known, *(close for known in self.known for close in _CLOSE.get(known, ()))}
        others = {name: count for name, count in self.counts.items() if name not in theirs}
        count, sure = sum(others.values()), sum(self.counts.values())
        few = count < _SHARE * sure or count < min(_TEXTS, self.texts / 2)
        return {} if few else dict(sorted(others.items(), key=lambda one: (-one[1], one[0])))

    def said(self) -> str:
        """The languages and their shares of the sample, in words."""
        order = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        shares = [f"{name} {count / self.texts:.0%}" for name, count in order[:_SHOWN]]
        rest = sum(count for _, count in order[_SHOWN:])
        shares += [f"others {rest / self.texts:.0%}"] if rest else []
        shares += [f"not sure {self.unsure / self.texts:.0%}"] if self.unsure else []
        return f"{', '.join(shares) or 'none'}, of {self.texts:,} texts looked at"

    @property
    def warning(self) -> str | None:
        """What a user should know of languages that the model does not know."""
        if not self.unknown:
            return None
        names = ", ".join(self.unknown)
        return (
            f"The model does not know languages of the texts ({names}): a blend leaves it out and the "
            "overlap alone decides; by the rule model its scores mean little."
        )

    def record(self) -> dict[str, Any]:
        """As the summary has it."""
        return {
            "texts": self.texts,
            "counts": dict(sorted(self.counts.items())),
            "unsure": self.unsure,
            "known": list(self.known),
            "unknown": self.unknown,
            "said": self.said(),
            "warning": self.warning,
        }


def languages_of(texts: Iterable[str], known: Collection[str] = ()) -> Languages:
    """Detect the language of each text of a sample.

    Args:
        texts: of which the first thousand characters are looked at.
        known: languages that the model knows, as codes of two letters; none: it does not say.

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


def sample_of(texts: pa.Array | pa.ChunkedArray, hashes: NDArray[np.uint64]) -> list[str]:
    """The texts of n distinct ones that :func:`languages_of` is to look at; ``hashes`` as of ``sampled``."""
    chosen = np.flatnonzero(sampled(hashes, len(texts), SAMPLE))
    found: list[str] = texts.take(pa.array(chosen)).to_pylist()
    return found


@lru_cache(maxsize=1)
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
