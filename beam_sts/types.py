"""The elements that users pass in and receive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import numpy as np


class TextPair(NamedTuple):
    """Two texts to compare.

    Attributes:
        text_a: the first text.
        text_b: the second text.

    >>> TextPair("A cat sits.", "A cat is sitting.").text_b
    'A cat is sitting.'
    """

    text_a: str
    text_b: str


class ScoredPair(NamedTuple):
    """Two texts and their similarity.

    Attributes:
        text_a: the first text.
        text_b: the second text.
        score: from 0 to 1; a logit with ``raw_logits``.

    >>> ScoredPair("A cat sits.", "A cat is sitting.", 0.92)._asdict()
    {'text_a': 'A cat sits.', 'text_b': 'A cat is sitting.', 'score': 0.92}
    """

    text_a: str
    text_b: str
    score: float


class Rejected(NamedTuple):
    """An element that was not used, with the reason. Transforms give them in the output ``rejected``.

    Attributes:
        element: the element as it came in.
        reason: why it was not used.

    >>> bad = Rejected({"text_a": None, "text_b": "A cat sits."}, "text_a is null")
    >>> bad.element["text_b"], bad.reason
    ('A cat sits.', 'text_a is null')
    """

    element: Any
    reason: str


# What ``PairScorer.score`` takes, besides arrays of shape (n, 2) and tables of two columns. Each pair is a
# sequence of two strings; a single string is not a pair.
Pairs: TypeAlias = Iterable[tuple[str, str] | TextPair | Sequence[str]]


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python value; NaN, NaT and pandas' NA to None.

    >>> plain(np.int32(3)), plain(np.str_("a")), plain(float("nan"))
    (3, 'a', None)
    """
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = None if np.isnat(value) else value.astype(f"{value.dtype.kind}8[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    return None if isinstance(value, float) and value != value else value
