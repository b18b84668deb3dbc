"""Generated pairs for the benchmarks: seeded, of English words with the frequencies of real text.

Words are drawn by Zipf's law from the whole words of the embedded model's vocabulary, which is sorted by
frequency. Some are joined to rarer compounds of several tokens, some are numbers, and sentences have capitals
and full stops. The texts have no meaning: speed depends only on their lengths, their words and their
repetition.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

import beam_sts

Pair = tuple[str, str]
_VOCABULARY = Path(beam_sts.__file__).parent / "models" / "embedded" / "beam-sts-nano" / "tokenizer.json"
_RARE, _NUMBER, _SENTENCE = 0.06, 0.02, 14  # shares of all words; words per sentence


@cache
def vocabulary() -> np.ndarray:
    """Whole words, the most frequent first."""
    ids = json.loads(_VOCABULARY.read_text("utf-8"))["model"]["vocab"]
    words = [
        w
        for w in sorted(ids, key=ids.__getitem__)
        if w.isascii() and w.isalpha() and len(w) > 1 and set(w) & set("aeiouy")
    ]
    return np.array(words, dtype=object)


def texts(lengths: np.ndarray, seed: int) -> Iterator[str]:
    """Texts with the given counts of words, all distinct (with a probability of almost 1)."""
    rng = np.random.default_rng(seed)
    words = vocabulary()
    chances = 1 / (np.arange(len(words)) + 2.7)
    total = int(lengths.sum())
    drawn = words[rng.choice(len(words), total, p=chances / chances.sum())]
    rare = np.flatnonzero(rng.random(total) < _RARE)
    drawn[rare] = drawn[rare] + words[rng.integers(0, len(words), len(rare))]
    numbers = np.flatnonzero(rng.random(total) < _NUMBER)
    drawn[numbers] = rng.integers(0, 10_000, len(numbers)).astype(str)
    start = 0
    for length in lengths.tolist():
        own = drawn[start : start + length].tolist()
        start += length
        sentences = (" ".join(own[at : at + _SENTENCE]).capitalize() for at in range(0, length, _SENTENCE))
        yield ". ".join(sentences) + "."


def _log_normal(count: int, median: float, sigma: float, most: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed + 1).lognormal(np.log(median), sigma, count)
    lengths: np.ndarray = np.clip(drawn.round(), 3, most).astype(np.int64)
    return lengths


def _distinct(count: int, median: float, sigma: float, most: int, seed: int) -> list[Pair]:
    made = list(texts(_log_normal(2 * count, median, sigma, most, seed), seed))
    return list(zip(made[:count], made[count:], strict=True))


def short(count: int, seed: int = 0) -> list[Pair]:
    """Pairs like those of the STS Benchmark: about ten words per text."""
    return _distinct(count, 10, 0.45, 50, seed)


def mixed(count: int, seed: int = 0) -> list[Pair]:
    """Pairs of log-normal lengths: a median of twelve words, and one text in a hundred above 100."""
    return _distinct(count, 12, 0.95, 800, seed)


def mining(count: int, seed: int = 0) -> list[Pair]:
    """Pairs like candidates of mining: each text is in ten pairs, in random order."""
    made = list(texts(_log_normal(max(11, count // 5), 12, 0.6, 200, seed), seed))
    pairs = [(made[i], made[(i + step) % len(made)]) for step in range(1, 6) for i in range(len(made))]
    order = np.random.default_rng(seed + 2).permutation(len(pairs))
    return [pairs[i] for i in order[:count]]


def long(count: int, seed: int = 0) -> list[Pair]:
    """Pairs of documents: a median of 300 words, up to 1,500."""
    return _distinct(count, 300, 0.5, 1500, seed)


WORKLOADS: dict[str, Callable[[int, int], list[Pair]]] = {
    "short": short,
    "mixed": mixed,
    "mining": mining,
    "long": long,
}
