"""Pairs of sentences with a common prefix or suffix, for the scores of the model that a training starts from.

Near-copies made by rule have high scores, compared with what people give to sentences that begin or end alike
("You should buy it", "You should ask a friend"). Without these pairs a student learns that sentences of one
pattern mean the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_WORDS = range(3, 23)  # of a sentence that takes part
_COMMON = (2, 3, 4)
_GAP = 3  # most words that one sentence has more
_PUNCTUATION = ".,!?"


def prefix_pairs(sentences: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Draw pairs of sentences whose first or last two to four words are the same.

    Args:
        sentences: The sentences.
        count: How many pairs, at most; none is drawn twice.
        seed: Seed of the choices.

    Returns:
        Pairs in the order of the sentences.

    >>> prefix_pairs(["You should buy it.", "You should ask a friend.", "I slept well."], 1, seed=0)
    [('You should buy it.', 'You should ask a friend.')]
    """
    rng = random.Random(seed)
    groups: dict[tuple[str, int, str], list[int]] = {}
    for row, text in enumerate(sentences):
        for key in _ends(text.lower().split()):
            groups.setdefault(key, []).append(row)
    by_kind: dict[tuple[str, int], list[list[int]]] = {}
    for key, rows in groups.items():
        if len(rows) > 1:
            by_kind.setdefault(key[:2], []).append(rows)
    kinds = sorted(by_kind)
    lengths = [len(text.split()) for text in sentences]
    found: set[tuple[int, int]] = set()
    for turn in range(20 * count if kinds else 0):
        if len(found) >= count:
            break
        first, second = sorted(rng.sample(rng.choice(by_kind[kinds[turn % len(kinds)]]), 2))
        if abs(lengths[first] - lengths[second]) <= _GAP:
            found.add((first, second))
    return [(sentences[first], sentences[second]) for first, second in sorted(found)]


def _ends(words: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """The prefixes and suffixes of a sentence: which of them, how many words, and the words."""
    if len(words) not in _WORDS:
        return
    for size in _COMMON:
        if len(words) > size:
            yield "prefix", size, " ".join(words[:size])
            yield "suffix", size, " ".join(word.strip(_PUNCTUATION) for word in words[-size:])


def spliced_pairs(sentences: Sequence[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Draw sentences, each beside a copy whose end or beginning is that of another sentence.

    Args:
        sentences: The sentences.
        count: How many pairs, at most.
        seed: Seed of the choices.

    Returns:
        (sentence, copy) pairs.

    >>> spliced_pairs(["A man plays the guitar.", "Two dogs are chasing a cat."], 1, seed=8)
    [('A man plays the guitar.', 'A man plays a cat.')]
    """
    rng = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    for _ in range(20 * count if len(sentences) > 1 else 0):
        if len(pairs) >= count:
            break
        words, others = (text.split() for text in rng.sample(sentences, 2))
        if min(len(words), len(others)) < 4 or max(len(words), len(others)) not in _WORDS:
            continue
        at, taken = rng.randint(2, len(words) - 2), rng.randint(1, 4)
        kept_first = rng.random() < 0.6
        copy = words[:at] + others[-taken:] if kept_first else others[:taken] + words[at:]
        if copy != words:
            pairs.append((" ".join(words), " ".join(copy)))
    return pairs
