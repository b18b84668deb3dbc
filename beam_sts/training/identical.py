"""Which texts a student should see beside themselves: those that it doubts to be equal.

Most texts it knows to be equal to themselves after pretraining; another pair of those teaches nothing. What
it doubts are texts that look like an edit of themselves, such as share prices: several numbers, any of which
may be read as another one changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DIGIT = re.compile(r"\d", re.ASCII)


def with_other_digits(texts: Sequence[str], copies: int, rng: np.random.Generator) -> list[str]:
    """Copies of the texts that hold two numbers or more, with other digits.

    A digit other than 0 stays other than 0, so that numbers keep their form.

    Args:
        texts: What to copy.
        copies: Copies of each of these texts.
        rng: Where the digits come from.

    Returns:
        The copies; texts of fewer numbers have none.
    """

    def other(digit: re.Match[str]) -> str:
        return str(rng.integers(digit.group() != "0", 10))

    several = [text for text in texts if len(_NUMBER.findall(text)) > 1]
    return [_DIGIT.sub(other, text) for text in several for _ in range(copies)]


def doubted(scores: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Draw texts in proportion to what their score with themselves lacks of 1, the same one more than once.

    Args:
        scores: Score of each text with itself, between 0 and 1, float[n].
        count: Texts to draw.
        rng: Of the draw.

    Returns:
        ``count`` indices of texts.

    >>> doubted(np.array([1.0, 0.0, 1.0]), 3, np.random.default_rng(0))
    [1, 1, 1]
    """
    lacking = np.maximum(1 - scores.astype(np.float64), 1e-9)
    chosen: list[int] = rng.choice(len(lacking), count, p=lacking / lacking.sum()).tolist()
    return chosen
