"""Long documents with planted edits: training pairs, and the test that a model reads all of a long text."""

from __future__ import annotations

import random
from collections.abc import Sequence


def planted_pair(
    sentences: Sequence[str], count: int, edits: int, rng: random.Random, at: float | None = None
) -> tuple[str, str]:
    """Make a document and a copy of it in which some sentences are others.

    Args:
        sentences: Where sentences are drawn from.
        count: Sentences of the document.
        edits: Sentences that are replaced in the copy, at most ``count``.
        rng: Source of the choices.
        at: Where the edits stand as one block: 0 at the start, 1 at the end; None scatters them.

    Returns:
        The document and its edited copy.

    Raises:
        ValueError: More edits than sentences, or too few sentences to draw from.
    """
    if not 0 <= edits <= count:
        raise ValueError(f"edits must be between 0 and the document's {count} sentences, found {edits}")
    if len(sentences) < count + edits:
        raise ValueError(
            f"{count} sentences and {edits} edits need {count + edits} to draw from, found {len(sentences)}"
        )
    drawn = rng.sample(sentences, count + edits)
    document, spare = drawn[:count], drawn[count:]
    if at is None:
        places = rng.sample(range(count), edits)
    else:
        first = round(at * (count - edits))
        places = list(range(first, first + edits))
    copy = list(document)
    for place, sentence in zip(places, spare, strict=True):
        copy[place] = sentence
    return " ".join(document), " ".join(copy)


def long_pairs(
    sentences: Sequence[str], count: int, seed: int, longest: int = 24
) -> list[tuple[str, str, float]]:
    """Make training pairs of documents, scored by the share of sentences left as they were.

    Args:
        sentences: Where sentences are drawn from.
        count: Pairs to make.
        seed: Of the choices.
        longest: Sentences of the longest documents.

    Returns:
        (document, edited copy, score) triples.
    """
    rng = random.Random(seed)
    pairs: list[tuple[str, str, float]] = []
    for _ in range(count):
        size = min(longest, 2 + int(rng.expovariate(4.0 / longest)))
        edits = rng.choice((0, rng.randint(0, size), rng.randint(0, size), size))
        first, second = planted_pair(sentences, size, edits, rng, rng.choice((None, rng.random())))
        # A changed document of one domain is not worth nothing at half: the share itself is the most
        # readable score.
        pairs.append((first, second, 1.0 - 0.97 * edits / size))
        if rng.random() < 0.2:
            # A document beside one sentence: another's is unrelated, one of its own is a small part of it.
            alone = rng.choice(sentences)
            pairs.append((first, alone, 0.5 / size if alone in first else 0.03))
    return pairs
