"""Planted copies for ``benchmarks.dedup``: made documents, some of them copied with replaced words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.models.checkpoint import load_checkpoint
from benchmarks.dedup_runs import costs_of, dedup

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Share of the words that a copy has replaced."""


def made_words(rng: np.random.Generator) -> np.ndarray:
    """50,000 words of two English word parts each, from the embedded model's vocabulary."""
    vocabulary = load_checkpoint("beam-sts-nano").tokenizer.get_vocab()
    order = sorted(vocabulary, key=vocabulary.__getitem__)
    parts = np.array([word for word in order if word.isascii() and word.isalpha() and len(word) > 2])
    pairs = np.unique(rng.integers(len(parts), size=(60_000, 2)), axis=0)
    words = np.unique([parts[one] + parts[other] for one, other in pairs.tolist()])
    return rng.permutation(words)[:50_000]


def planted_corpus(
    documents: int, copies: int, seed: int = 0
) -> tuple[pa.Table, dict[int, tuple[int, float]]]:
    """Documents of 30 to 80 made words by lot, and copies in which a share of the words is replaced."""
    rng = np.random.default_rng(seed)
    words = made_words(rng)
    weights = 1 / np.arange(10, len(words) + 10)
    edges = np.cumsum(weights / weights.sum())

    def draw(count: int) -> np.ndarray:
        return np.minimum(np.searchsorted(edges, rng.random(count)), len(words) - 1)

    texts: list[str] = []
    planted: dict[int, tuple[int, float]] = {}
    kept: list[np.ndarray] = []
    for size in rng.integers(30, 81, documents - copies).tolist():
        codes = draw(size)
        if len(kept) < copies:
            kept.append(codes)
        texts.append(" ".join(words[codes]))
    for number in range(copies):
        level = LEVELS[number % len(LEVELS)]
        codes = kept[number].copy()
        changed = rng.choice(len(codes), round(level * len(codes)), replace=False)
        codes[changed] = draw(len(changed))
        planted[len(texts)] = number, level
        texts.append(" ".join(words[codes]))
    return pa.table({"id": range(len(texts)), "text": texts}), planted


def planted(work: Path, documents: int, options: list[str]) -> Iterator[dict[str, Any]]:
    table, copies = planted_corpus(documents, max(600, documents // 50))
    summary, pairs = dedup(work / f"planted{documents}", table, *options)
    removed = pq.read_table(work / f"planted{documents}" / "out" / "removed")
    gone = dict(zip(removed["id"].to_pylist(), removed["survivor"].to_pylist(), strict=True))

    def recall(found: set[tuple[int, int]]) -> dict[str, Any]:
        hits = {copy: (origin, copy) in found for copy, (origin, _) in copies.items()}
        return {
            f"recall_{level:.0%}": np.mean([hits[c] for c, (_, own) in copies.items() if own == level])
            for level in LEVELS
        }

    known = {(origin, copy) for copy, (origin, _) in copies.items()}
    made = {(min(pair), max(pair)) for pair in gone.items()}
    yield {
        "of": f"{documents:,} documents",
        **recall(made),
        "unplanted_removed": len(made - known),
        "unplanted_per_100,000": 100_000 * len(made - known) / documents,
        **costs_of(summary),
    }
    ends = list(zip(pairs["id_a"].to_pylist(), pairs["id_b"].to_pylist(), strict=True))
    scores = pairs["score"].to_numpy()
    for threshold in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95):
        taken = {ends[place] for place in np.flatnonzero(scores >= np.float32(threshold)).tolist()}
        wrong = {"wrong_pairs": len(taken - known)}
        yield {"of": f"{documents:,} documents, pairs from {threshold}", **recall(taken), **wrong}
