"""Texts in which some words are others, scored by how much of what the text says is left.

What the filter of near-duplicates meets most: a template in which the one word that matters is another
("source for the Rust X crate"), and a long text with a few words replaced. A teacher of sentences calls the
first a paraphrase; edits of whole sentences (:mod:`beam_sts.training.long_texts`) say nothing of the second.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence

WORD = re.compile(r"[^\W\d_]{2,}")
_SIZES = (1, 1, 1, 2, 4, 8)
"""Sentences of a text."""
_SHARES = (0.0, 0.0, 0.02, 0.05, 0.1)
"""Of the words replaced; one at the least."""
_SAME = 0.25
"""Of the pairs, a text beside itself."""
_LOSS = 1.6
"""Of the score, by the share of the weight replaced."""
_MOST = 0.25
"""Weight replaced: beyond, the rest is no copy, and what it is worth is for the teacher to say."""


def replaced_pairs(sentences: Sequence[str], count: int, seed: int) -> list[tuple[str, str, float]]:
    """Make training pairs of a text and a copy, most with words replaced by others of the sentences.

    A word weighs its inverse document frequency, so that one rare word counts as several frequent ones; the
    score is 1 less 1.6 times the share of the weight replaced. In half of these copies the rarest words are
    replaced, by rarest words of other sentences: templates.

    Args:
        sentences: Where texts and words are drawn from.
        count: Pairs to make.
        seed: Of the choices.

    Returns:
        (text, copy, score) triples, scores of 0.6 to 1.
    """
    rng = random.Random(seed)
    seen = Counter(word for text in sentences for word in {word.lower() for word in WORD.findall(text)})

    def weight(word: str) -> float:
        return math.log((len(sentences) + 1) / max(1, seen[word.lower()]))

    pairs: list[tuple[str, str, float]] = []
    for _ in range(20 * count if sentences else 0):
        if len(pairs) == count:
            break
        text = " ".join(rng.sample(sentences, min(rng.choice(_SIZES), len(sentences))))
        if rng.random() < _SAME:
            pairs.append((text, text, 1.0))
            continue
        words = list(WORD.finditer(text))
        others = WORD.findall(rng.choice(sentences))
        if not words or not others:
            continue
        size = max(1, round(rng.choice(_SHARES) * len(words)))
        if rarest := rng.random() < 0.5:
            chosen = sorted(words, key=lambda word: -weight(word.group()))[:size]
        else:
            chosen = rng.sample(words, size)
        new: dict[int, str] = {}
        gone = 0.0
        for word in chosen:
            others = WORD.findall(rng.choice(sentences)) or others
            other = max(others, key=weight) if rarest else rng.choice(others)
            if other.lower() != word.group().lower():
                new[word.start()] = other
                gone += weight(word.group())
        share = gone / max(1e-9, sum(weight(word.group()) for word in words))
        if 0 < share <= _MOST:
            pairs.append((text, _with(text, new), 1 - _LOSS * share))
    return pairs


def _with(text: str, new: Mapping[int, str]) -> str:
    """The text with other words where some begin."""
    return WORD.sub(lambda word: new.get(word.start(), word.group()), text)
