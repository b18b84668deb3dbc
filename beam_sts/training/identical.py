"""Texts beside themselves, from which a student learns what it doubts to be equal.

Most texts it knows to be equal to themselves after pretraining; another pair of those teaches nothing. What
it doubts looks like an edit of itself: share prices, any number of which may be read as another one changed,
and words that it has hardly seen beside each other. There are more of these than sentences to draw from, so
copies with other digits and with another word join them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from beam_sts.training.replacements import WORD

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DIGIT = re.compile(r"\d", re.ASCII)


def with_other_digits(texts: Sequence[str], copies: int, seed: int) -> list[str]:
    """Copies of the texts that hold two numbers or more, with other digits.

    A digit other than 0 stays other than 0, so that numbers keep their form.

    Args:
        texts: What to copy.
        copies: Copies of each of these texts.
        seed: Of the digits.

    Returns:
        The copies; texts of fewer numbers have none.
    """
    rng = random.Random(seed)

    def other(digit: re.Match[str]) -> str:
        return str(rng.randint(digit.group() != "0", 9))

    several = [text for text in texts if len(_NUMBER.findall(text)) > 1]
    return [_DIGIT.sub(other, text) for text in several for _ in range(copies)]


def with_another_word(texts: Sequence[str], seed: int) -> list[str]:
    """A copy of each text in which one word is a word of another of the texts.

    Args:
        texts: What to copy.
        seed: Of the words.

    Returns:
        The copies; a text without a word has none.

    >>> with_another_word(["Cats sleep.", "7 + 5"], seed=1)
    ['sleep sleep.']
    """
    rng = random.Random(seed)
    copies = []
    for text in texts:
        words, others = list(WORD.finditer(text)), WORD.findall(rng.choice(texts))
        if words and others:
            old = rng.choice(words)
            copies.append(text[: old.start()] + rng.choice(others) + text[old.end() :])
    return copies
