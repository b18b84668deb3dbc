"""Long documents with planted edits: training pairs, and a test that a model reads all of a text."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np


def planted_pair(
    sentences: Sequence[str], count: int, edits: int, rng: random.Random, at: float | None = None
) -> tuple[str, str]:
    """Generate a document, and a copy of it in which some sentences are replaced.

    Args:
        sentences: The sentences to draw from.
        count: How many sentences the document has.
        edits: How many sentences are replaced in the copy, at most ``count``.
        rng: The random number generator.
        at: Position of the edits as one block: 0 at the start, 1 at the end; None: scattered.

    Returns:
        The document and its edited copy.

    Raises:
        ValueError: There are more edits than sentences, or too few sentences to draw from.
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
    sentences: Sequence[str], count: int, seed: int, longest: int = 100, longest_share: float = 0.03
) -> list[tuple[str, str, float]]:
    """Generate training pairs of documents, scored by the share of unchanged sentences.

    Most documents have fewer than ten sentences.

    Args:
        sentences: The sentences to draw from.
        count: How many pairs.
        seed: Seed of the choices.
        longest: How many sentences the longest documents have.
        longest_share: Share of the pairs with the longest documents.

    Returns:
        (document, edited copy, score) triples.
    """
    rng = random.Random(seed)
    pairs: list[tuple[str, str, float]] = []
    for _ in range(count):
        size = longest if rng.random() < longest_share else min(longest, 2 + int(rng.expovariate(1 / 7)))
        edits = rng.choice((0, rng.randint(0, size), rng.randint(0, size), size))
        first, second = planted_pair(sentences, size, edits, rng, rng.choice((None, rng.random())))
        # A document of the same domain with half of its sentences replaced is not worth 0. The share is the
        # most interpretable score.
        pairs.append((first, second, 1.0 - 0.97 * edits / size))
        if rng.random() < 0.2:
            # A document and one sentence: a sentence of another document is unrelated, one of its own is a
            # small part of it.
            alone = rng.choice(sentences)
            pairs.append((first, alone, 0.5 / size if alone in first else 0.03))
    return pairs


def report_on_length(
    score: Callable[[Sequence[tuple[str, str]]], np.ndarray],
    sentences: Sequence[str],
    sizes: Sequence[int] = (25, 100, 250),
    shares: Sequence[float] = (0.0, 0.1, 0.25, 0.5, 1.0),
    places: Sequence[float] = (0.0, 0.5, 1.0),
    repeats: int | None = None,
    seed: int = 11,
) -> list[dict[str, float]]:
    """Score documents against copies with rising shares of replaced sentences at several positions.

    Args:
        score: The model: a function from pairs of texts to scores between 0 and 1.
        sentences: The sentences to draw from; the model must not have been trained on them.
        sizes: How many sentences documents have; 250 sentences of STS-B are about 8,000 tokens per pair.
        shares: Shares of replaced sentences.
        places: Positions of the replaced block: 0 at the start, 1 at the end.
        repeats: How many documents of each kind; None: 8 short ones, or 3 of at least a hundred sentences.
        seed: Seed of the documents.

    Returns:
        For each size and share: sentences, share, mean score, and the spread of the means over the places.
    """
    asked: dict[tuple[int, float, float], list[tuple[str, str]]] = {}
    for size in sizes:
        count = repeats or (8 if size < 100 else 3)
        for share in shares:
            for place in places:
                # The documents and the new sentences are the same at every position, so only the position
                # differs.
                drawn = (random.Random(f"{seed} {size} {share} {index}") for index in range(count))
                asked[size, share, place] = [
                    planted_pair(sentences, size, round(share * size), rng, place) for rng in drawn
                ]
    scores = score([pair for pairs in asked.values() for pair in pairs])
    means: dict[tuple[int, float, float], float] = {}
    begin = 0
    for kind, pairs in asked.items():
        means[kind] = float(np.mean(scores[begin : begin + len(pairs)]))
        begin += len(pairs)
    rows: list[dict[str, float]] = []
    for size in sizes:
        for share in shares:
            at = [means[size, share, place] for place in places]
            rows.append(
                {
                    "sentences": size,
                    "share": share,
                    "score": float(np.mean(at)),
                    "spread": max(at) - min(at),
                }
            )
    return rows
