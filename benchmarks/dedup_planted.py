"""Planted copies for ``benchmarks.dedup``: generated documents, some of them copied with replaced words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.models.checkpoint import load_checkpoint
from benchmarks.dedup_runs import costs_of, dedup, parts_of

LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Shares of replaced words in copies."""


def made_words(rng: np.random.Generator) -> np.ndarray:
    """50,000 words of two English word parts each, from the embedded model's vocabulary."""
    vocabulary = load_checkpoint("beam-sts-nano").tokenizer.backend.get_vocab()
    order = sorted(vocabulary, key=vocabulary.__getitem__)
    parts = np.array([word for word in order if word.isascii() and word.isalpha() and len(word) > 2])
    pairs = np.unique(rng.integers(len(parts), size=(60_000, 2)), axis=0)
    words = np.unique([parts[one] + parts[other] for one, other in pairs.tolist()])
    return rng.permutation(words)[:50_000]


def planted_corpus(
    documents: int, copies: int, seed: int = 0
) -> tuple[pa.Table, dict[int, tuple[int, float]]]:
    """Documents of 30 to 80 random generated words, and copies in which a share of the words is replaced."""
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

    known = {(origin, copy) for copy, (origin, _) in copies.items()}
    made = {(min(pair), max(pair)) for pair in gone.items()}
    yield {
        "of": f"{documents:,} documents",
        **recall(made, copies),
        "unplanted_removed": len(made - known),
        "unplanted_per_100,000": 100_000 * len(made - known) / documents,
        **costs_of(summary),
    }
    ends = list(zip(pairs["id_a"].to_pylist(), pairs["id_b"].to_pylist(), strict=True))
    scores = pairs["score"].to_numpy()
    for threshold in (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.95):
        taken = {ends[place] for place in np.flatnonzero(scores >= np.float32(threshold)).tolist()}
        wrong = {"wrong_pairs": len(taken - known)}
        yield {"of": f"{documents:,} documents, pairs from {threshold}", **recall(taken, copies), **wrong}


def recall(found: set[tuple[int, int]], copies: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """The share of the copies of each level that are found as copies of their original."""
    of_level: dict[float, list[bool]] = {}
    for copy, (origin, level) in copies.items():
        of_level.setdefault(level, []).append((origin, copy) in found)
    return {f"recall_{level:.0%}": float(np.mean(hits)) for level, hits in sorted(of_level.items())}


def edited(data: Path, work: Path) -> Iterator[dict[str, Any]]:
    """What each threshold finds of copies of real articles, by the model, the blend and the overlap.

    The texts are beginnings of articles; copies have words replaced by words of other articles.
    """
    news = pq.read_table(data / "news" / "articles_1000.parquet")
    truth = pq.read_table(data / "news" / "truth_1000.parquet")
    articles, number = news["text"].to_pylist(), {name: at for at, name in enumerate(news["id"].to_pylist())}
    alike = [
        (number[x], number[y]) for x, y in zip(*(truth[n].to_pylist() for n in ("id_a", "id_b")), strict=True)
    ]
    for size in (15, 50, 200):
        rng = np.random.default_rng(size)
        begun = [" ".join(text.split()[:size]) for text in articles]
        texts = list(dict.fromkeys(begun))
        row_of = {text: at for at, text in enumerate(texts)}
        every = [word for text in texts for word in text.split()]
        copies: dict[int, tuple[int, float]] = {}
        for origin in range(600):
            words = texts[origin].split()
            level = LEVELS[1 + origin % (len(LEVELS) - 1)]
            changed = rng.choice(len(words), max(1, round(level * len(words))), replace=False)
            for place in changed.tolist():
                words[place] = every[rng.integers(len(every))]
            copies[len(texts)] = origin, level
            texts.append(" ".join(words))
        table = pa.table({"id": range(len(texts)), "text": texts})
        # Scores alone: a replaced word may be a fact, which the default settings compare before.
        alone = ("--guard", "none", "--max_lost", "none", "--score_all")
        _, pairs = dedup(work / f"edited{size}", table, *alone)
        pairs = pairs.filter(pc.not_equal(pairs["rule"], "identical"))
        a, b = (pairs[name].to_numpy() for name in ("id_a", "id_b"))
        column = pa.array(texts, pa.large_string())
        blend = pairs["score"].to_numpy()
        model, overlap = parts_of(column.unique(), column.take(pa.array(a)), column.take(pa.array(b)), blend)
        known = {(origin, copy) for copy, (origin, _) in copies.items()}
        known |= {tuple(sorted((row_of[begun[x]], row_of[begun[y]]))) for x, y in alike}  # type: ignore[misc]
        for name, values in (("model", model), ("blend", blend), ("overlap", overlap)):
            for threshold in (0.8, 0.85, 0.9, 0.92, 0.95):
                taken = values >= np.float32(threshold)
                found = set(zip(a[taken].tolist(), b[taken].tolist(), strict=True))
                wrong = {"pairs": len(found), "wrong_pairs": len(found - known)}
                yield {"of": f"{size} words, {name} from {threshold}", **recall(found, copies), **wrong}
