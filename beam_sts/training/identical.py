"""Pairs of a text and itself, chosen so that a student learns from them.

After pretraining, a student scores most texts as equal to themselves, so further pairs of these teach
nothing. It scores some texts lower, as if one were an edit of the other: share prices, for example, or words
that rarely occur together. There are too few such sentences, so copies with other digits and with another
word are added.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from beam_sts.training.replacements import WORD

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_DIGIT = re.compile(r"\d", re.ASCII)


def with_other_digits(texts: Sequence[str], copies: int, seed: int) -> list[str]:
    """Copies, with other digits, of the texts that have at least two numbers.

    A digit other than 0 is never replaced by 0, so that numbers keep their form.

    Args:
        texts: The texts.
        copies: How many copies of each text.
        seed: Seed of the digits.

    Returns:
        The copies; none of texts with fewer numbers.
    """
    rng = random.Random(seed)

    def other(digit: re.Match[str]) -> str:
        return str(rng.randint(digit.group() != "0", 9))

    several = [text for text in texts if len(_NUMBER.findall(text)) > 1]
    return [_DIGIT.sub(other, text) for text in several for _ in range(copies)]


def with_another_word(texts: Sequence[str], seed: int) -> list[str]:
    """A copy of each text in which one word is replaced by a word of another text.

    Args:
        texts: The texts.
        seed: Seed of the words.

    Returns:
        The copies; none of texts without words.

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
