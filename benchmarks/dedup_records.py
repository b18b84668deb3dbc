"""Records for ``benchmarks.dedup``: Cora's clusters, and matches of two tables, held out by halves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.candidates.keys import normalise
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.tf_idf import shingle_counts
from beam_sts.candidates.vectors import static_embedding
from beam_sts.dedup.components import components
from beam_sts.dedup.linkage import average_clusters
from beam_sts.models.checkpoint import load_checkpoint
from benchmarks.dedup_runs import Peers, dedup, parts_of, peer_costs

RECORDS = ["--candidates", "exact,minhash,lexical", "--minhash_similarity", "0.5", "--rule", "blend"]
SEEDS = range(10)
GRID = np.round(np.arange(0.02, 1.0, 0.02), 2)
CORA_SHARE, CORA_THRESHOLD = 0.5, 0.46
SHARES = (0.0, 0.25, 0.5)  # shares of the model, for the blend of which the share is chosen on the half too


# --- Cora: clusters


def pairwise(labels: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> tuple[float, float, float]:
    """F1, precision and recall over all pairs of some rows."""

    def count(keys: Any) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(keys).values())

    both = count(zip(labels[rows].tolist(), truth[rows].tolist(), strict=True))
    found, true = count(labels[rows].tolist()), count(truth[rows].tolist())
    return 2 * both / max(1, found + true), both / max(1, found), both / max(1, true)


def halves(truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a random half of the clusters, and those of the other half."""
    names = np.unique(truth)
    dev = np.isin(truth, np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    return np.flatnonzero(dev), np.flatnonzero(~dev)


def held_out(*labels: Callable[[float], np.ndarray], truth: np.ndarray, grid: Any = GRID) -> dict[str, float]:
    """Figures on half of the clusters of the threshold and way with the best F1 on the other half."""
    cut = {(way, t): label(t) for way, label in enumerate(labels) for t in grid.tolist()}
    figures = []
    for seed in SEEDS:
        dev, rest = halves(truth, seed)
        best = max(cut, key=lambda key: pairwise(cut[key], truth, dev)[0])
        figures.append((*pairwise(cut[best], truth, rest), *best))
    every = max(pairwise(made, truth, np.arange(len(truth)))[0] for made in cut.values())
    return {**summed_up(figures), "f1_best_of_all": every}


def summed_up(figures: Sequence[tuple[float, ...]]) -> dict[str, float]:
    """One line from F1, precision, recall, way and threshold of all halves."""
    f1, precision, recall, way, threshold = np.array(figures).T
    return {
        "f1": f1.mean(),
        "f1_low": f1.min(),
        "f1_high": f1.max(),
        "f1_deviation": f1.std(),
        "precision": precision.mean(),
        "recall": recall.mean(),
        "threshold": float(np.median(threshold)),
        **({"chosen": str(way.astype(int).tolist())} if way.any() else {}),
    }


def blends(model: np.ndarray, overlap: np.ndarray) -> list[np.ndarray]:
    """The blend for each of ``SHARES``."""
    return [(share * model + (1 - share) * overlap).astype(np.float32) for share in SHARES]


def word_jaccard(texts: pa.Array, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard similarity of the words of pairs, and the weighted share of the lighter text's words."""
    words = (shingle_counts(normalise(texts), "word", 1) > 0).astype(np.float64).tocsr()
    weights = np.log((len(texts) + 1) / np.maximum(np.asarray(words.sum(axis=0)).ravel(), 1))
    both = words[a].multiply(words[b]).tocsr()
    size, weight = np.asarray(words.sum(axis=1)).ravel(), words @ weights
    shared = np.asarray(both.sum(axis=1)).ravel()
    jaccard = shared / np.maximum(size[a] + size[b] - shared, 1)
    return jaccard, both @ weights / np.maximum(np.minimum(weight[a], weight[b]), 1e-9)


def cora(data: Path, work: Path, peers: Peers) -> Iterator[dict[str, Any]]:
    table = pq.read_table(data / "cora" / "cora_docs.parquet").select(["id", "text", "cluster"])
    truth = np.unique(np.array(table["cluster"].to_pylist()), return_inverse=True)[1]
    texts, n = table["text"].combine_chunks().cast(pa.large_string()), len(table)
    place = {name: row for row, name in enumerate(table["id"].to_pylist())}

    def single(a: np.ndarray, b: np.ndarray, scores: np.ndarray) -> Callable[[float], np.ndarray]:
        return lambda t: components(a[scores >= t], b[scores >= t], n)

    options = [*RECORDS, "--linkage", "average", "--neighbours", "20"]
    options += ["--model_share", str(CORA_SHARE), "--threshold", str(CORA_THRESHOLD)]
    summary, pairs = dedup(work / "cora", table, *options)
    named = pq.read_table(work / "cora" / "out" / "clusters")
    made = np.empty(n, object)
    made[[place[i] for i in named["id"].to_pylist()]] = named["cluster"].to_pylist()
    f1, precision, recall = pairwise(made, truth, np.arange(n))
    costs = {"pairs": summary["pairs"], "seconds": summary["wall"], "peak_mib": summary["tree_mib"]}
    yield {
        "of": f"ours, --threshold {CORA_THRESHOLD}, all rows",
        "f1": f1,
        "precision": precision,
        "recall": recall,
        **costs,
    }
    a, b = (np.array([place[i] for i in pairs[name].to_pylist()]) for name in ("id_a", "id_b"))
    scores, source = pairs["score"].to_numpy(), np.array(pairs["source"].to_pylist())
    firsts, of_row, rows = np.unique(
        np.array(texts.to_pylist(), object).astype(str),
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )[1:]
    apart = (of_row[a] != of_row[b]) & (source != "guard")

    def average(values: np.ndarray) -> Callable[[float], np.ndarray]:
        ends = of_row[a[apart]], of_row[b[apart]]
        return lambda t: average_clusters(*ends, values[apart], t, firsts, rows)[of_row]

    ends = texts.take(pa.array(a)), texts.take(pa.array(b))
    model, overlap = parts_of(texts.unique(), *ends, scores, CORA_SHARE)
    known = sum(size * (size - 1) // 2 for size in Counter(truth.tolist()).values())
    for threshold in (0.5, 0.7, 0.8, 0.9, 0.95):
        taken = model >= np.float32(threshold)
        right = int((truth[a] == truth[b])[taken].sum())
        found = {"precision": right / int(taken.sum()), "recall": right / known}
        yield {"of": f"candidate pairs, the model alone from {threshold}", **found}
    ways = [average(blend) for blend in blends(model, overlap)]
    for share, way in zip(SHARES[1:], ways[1:], strict=True):
        yield {"of": f"ours, --model_share {share}", **held_out(way, truth=truth)}
    chosen = held_out(*ways, truth=truth)
    yield {"of": f"ours, --model_share of {SHARES} chosen too", **chosen}
    yield {"of": "ours, --linkage single", **held_out(single(a, b, scores), truth=truth)}
    yield {"of": "ours, the model alone", **held_out(average(model), truth=truth)}
    yield {"of": "ours, the overlap alone", **held_out(average(overlap), truth=truth)}
    a, b = np.triu_indices(n, 1)
    jaccard, contained = word_jaccard(texts, a, b)
    yield {"of": "all pairs: word Jaccard", **held_out(single(a, b, jaccard), truth=truth)}
    yield {"of": "all pairs: weighted share of words", **held_out(single(a, b, contained), truth=truth)}
    for shingle in ("char3", "char4", "word1"):
        near = lexical_neighbours(texts, n, shingle=shingle)
        cut = held_out(single(near.a, near.b, near.cosine), truth=truth)
        yield {"of": f"all pairs: tf-idf cosine, {shingle}", **cut}
    grid = np.round(np.arange(0.3, 0.96, 0.05), 2)
    for name, answer in peers.run(table, grid.tolist(), ngram="1"):
        labels = {}
        for t, found in zip(grid.tolist(), answer["found"], strict=True):
            a, b = np.array([[place[x], place[y]] for x, y, _ in found], np.int64).reshape(-1, 2).T
            labels[t] = components(a, b, n)
        yield {"of": name, **held_out(labels.__getitem__, truth=truth, grid=grid), **peer_costs(answer)}


# --- records: one table against another


def matched(pairs: list[tuple[str, str, float]], threshold: float) -> set[tuple[str, str]]:
    """The pairs at or above the threshold in which each row is the other's best match."""
    best: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for a, b, score in pairs:
        for side, (key, other) in enumerate(((a, b), (b, a))):
            best[side][key] = max(best[side].get(key, (-1.0, "")), (score, other))
    return {(a, b) for a, (score, b) in best[0].items() if score >= threshold and best[1][b][1] == a}


def matching(name: str, data: Path, work: Path, peers: Peers) -> Iterator[dict[str, Any]]:
    records = pq.read_table(data / "records" / "records.parquet")
    records = records.filter(pc.equal(records["dataset"], name))
    a, b = (records.filter(pc.equal(records["side"], side)).select(["id", "text"]) for side in "AB")
    gold = pq.read_table(data / "records" / "matches.parquet")
    gold = gold.filter(pc.and_(pc.equal(gold["dataset"], name), pc.equal(gold["label"], 1)))
    truth = set(zip(gold["id_a"].to_pylist(), gold["id_b"].to_pylist(), strict=True))

    def figures(*ways: list[tuple[str, str, float]]) -> dict[str, float]:
        cut = {(way, t): matched(pairs, t) for way, pairs in enumerate(ways) for t in GRID.tolist()}
        ids, results = a["id"].to_pylist(), []

        def f1(found: set[tuple[str, str]], rows: set[str]) -> tuple[float, float, float]:
            mine, true = ({p for p in s if p[0] in rows} for s in (found, truth))
            hits = len(mine & true)
            return (
                2 * hits / max(1, len(mine) + len(true)),
                hits / max(1, len(mine)),
                hits / max(1, len(true)),
            )

        for seed in SEEDS:
            dev = set(random.Random(seed).sample(ids, len(ids) // 2))
            rest = set(ids) - dev
            best = max(cut, key=lambda key: f1(cut[key], dev)[0])
            results.append((*f1(cut[best], rest), *best))
        return summed_up(results)

    texts = pa.concat_arrays([t["text"].combine_chunks().cast(pa.large_string()) for t in (a, b)])
    names, side = a["id"].to_pylist() + b["id"].to_pylist(), np.repeat([0, 1], [len(a), len(b)])
    options = [*RECORDS, "--neighbours", "10", "--threshold", "0.3", "--one_to_one"]
    summary, pairs = dedup(work / name, a, *options, against=b)
    pairs = pairs.filter(pc.equal(pairs["b_in"], "against"))  # without equal texts of one side
    # A pair of texts represents all rows with these texts.
    text_of = [dict(zip(t["id"].to_pylist(), t["text"].to_pylist(), strict=True)) for t in (a, b)]
    rows_of: tuple[dict[str, list[str]], ...] = ({}, {})
    for one, other in zip(rows_of, text_of, strict=True):
        for row, text in other.items():
            one.setdefault(text, []).append(row)
    each = [
        (first, second, p["score"], p["source"])
        for p in pairs.to_pylist()
        for first in rows_of[0][text_of[0][p["id_a"]]]
        for second in rows_of[1][text_of[1][p["id_b"]]]
    ]
    ends = [[p[side] for p in each] for side in (0, 1)]
    scores = np.array([p[2] for p in each], np.float32)
    found = set(zip(*ends, strict=True))
    yield {
        "of": "ours, --rule blend",
        **figures(list(zip(*ends, scores.tolist(), strict=True))),
        "candidates": len(found),
        "candidate_recall": len(found & truth) / len(truth),
        "seconds": summary["wall"],
        "peak_mib": summary["tree_mib"],
    }
    nodes = pa.concat_arrays([texts.slice(0, len(a)), texts.slice(len(a)).unique()])
    first, second = (pa.array([text_of[at][i] for i in ends[at]], pa.large_string()) for at in (0, 1))
    model, overlap = parts_of(nodes, first, second, scores)

    def scored_by(values: np.ndarray) -> list[tuple[str, str, float]]:
        return list(zip(*ends, values.tolist(), strict=True))

    chosen = figures(*map(scored_by, blends(model, overlap)))
    yield {"of": f"ours, --model_share of {SHARES} chosen too", **chosen}
    yield {"of": "ours, the model alone", **figures(scored_by(model))}
    yield {"of": "ours, the overlap alone", **figures(scored_by(overlap))}
    alone = [(x, y, 1.0) for x, y, _, source in each if "minhash" in source or "exact" in source]
    yield {"of": "MinHash alone: its candidates", **figures(alone)}
    vectors = static_embedding(texts, load_checkpoint("beam-sts-nano"))
    for label, near in (
        ("embeddings alone (the model's token vectors)", neighbours(vectors, 5, side=side)),
        ("tf-idf alone, char4", lexical_neighbours(texts, 5, side=side)),
        ("tf-idf alone, char3", lexical_neighbours(texts, 5, side=side, shingle="char3")),
        ("tf-idf alone, words", lexical_neighbours(texts, 5, side=side, shingle="word1")),
    ):
        scored = [(names[x], names[y], float(c)) for x, y, c in zip(near.a, near.b, near.cosine, strict=True)]
        yield {"of": label, **figures(scored)}
    for label, answer in peers.run(a, [0.3], against=b):
        yield {"of": f"{label}, from 0.3", **figures(answer["found"][0]), **peer_costs(answer)}
