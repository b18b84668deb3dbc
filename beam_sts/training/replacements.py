"""Texts with replaced words, scored by the share of the text's information that is unchanged.

A filter of near-duplicates often meets a template in which only the significant word differs ("source for the
Rust X crate"), and a long text with a few replaced words. A sentence encoder as teacher scores the first as a
paraphrase, and edits of whole sentences (:mod:`beam_sts.training.long_texts`) do not cover the second.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence

WORD = re.compile(r"[^\W\d_]{2,}")
_SIZES = (1, 1, 1, 2, 4, 8)
"""Numbers of sentences of a text, drawn at random."""
_SHARES = (0.0, 0.0, 0.02, 0.05, 0.1)
"""Shares of replaced words, drawn at random; at least one word is replaced."""
_SAME = 0.25
"""Share of the pairs that are a text and itself."""
_LOSS = 1.6
"""Slope of the score over the share of the replaced weight."""
_MOST = 0.25
"""Highest share of the replaced weight: with more, the text is not a copy, and the rule does not apply."""


def replaced_pairs(sentences: Sequence[str], count: int, seed: int) -> list[tuple[str, str, float]]:
    """Generate training pairs of a text and a copy, most with words replaced by those of other sentences.

    The weight of a word is its inverse document frequency, so that a rare word counts as much as several
    frequent ones. The score is 1 minus 1.6 times the share of the replaced weight. In half of these copies
    the rarest words are replaced by the rarest words of other sentences, as in templates.

    Args:
        sentences: The sentences to draw texts and words from.
        count: How many pairs.
        seed: Seed of the choices.

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
    """Replace the words of a text that begin at some positions."""
    return WORD.sub(lambda word: new.get(word.start(), word.group()), text)
