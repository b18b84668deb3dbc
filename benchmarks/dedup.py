"""How good and how fast `pipelines.dedup` is: known duplicates, records, a real corpus, planted copies.

    python -m benchmarks.dedup cora news dblp_acm abt_buy     # quality; minutes
    python -m benchmarks.dedup debian                         # 64,562 texts
    python -m benchmarks.dedup planted --documents 1000000    # recall by edit level, memory, time

The data of the first five is not part of the repository: `--data DIR` names it; without it they are skipped.
Every threshold is chosen on a random half of the clusters (or rows) and measured on the other half: the mean
of five halves, and `unseen`, the half that nothing of the records' rule was chosen on (its threshold comes
from the other half, where all of it was). Peers run in the same run, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.corpus.candidates import normalise
from beam_sts.corpus.components import components
from beam_sts.corpus.linkage import average_clusters
from beam_sts.corpus.neighbours import lexical_neighbours, neighbours
from beam_sts.corpus.overlap import Overlap
from beam_sts.corpus.tf_idf import shingle_counts
from beam_sts.corpus.vectors import static_embedding
from beam_sts.models.checkpoint import load_checkpoint

RECORDS = ["--candidates", "exact,minhash,lexical", "--minhash_similarity", "0.5", "--rule", "blend"]
SEEDS = range(5)
DEVELOPED = 2026  # the seed of the half that the records' rule was developed on
# Linux counts this process's memory into the peak of what it starts, but not of what a shell between starts.
APART = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
SEMHASH = "model2vec distilled from all-MiniLM-L6-v2"
GRID = np.round(np.arange(0.02, 1.0, 0.01), 2)


class Peers:
    """Runs peers on a table; those that are not to be had are left out and said."""

    def __init__(self, work: Path, semhash_model: str | None, text_dedup_python: str | None) -> None:
        self._work, self._model, self._python = work, semhash_model, text_dedup_python

    def run(
        self, table: pa.Table, thresholds: list[float], against: pa.Table | None = None, ngram: str = "5"
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Name and answer of each; the thresholds are the same for all."""
        self._work.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self._work / "in.parquet")
        command = [sys.executable, "-m", "benchmarks.dedup_peers"]
        more = ["--thresholds", *map(str, thresholds), "--ngram", ngram]
        more += ["--model", str(self._model), "--python", self._python or sys.executable]
        if against is not None:
            pq.write_table(against, self._work / "against.parquet")
            more += ["--against", str(self._work / "against.parquet")]
        for name, label, there in (
            ("datasketch", "datasketch MinHashLSH, char4", True),
            ("text_dedup", f"text-dedup MinHash, {ngram} words", self._python and against is None),
            ("semhash", f"semhash, {SEMHASH}", self._model),
        ):
            if there:
                out = self._work / f"{name}.json"
                run = [*command, name, str(self._work / "in.parquet"), str(out), *more]
                subprocess.run([*APART, *run], check=True, capture_output=True)
                yield label, json.loads(out.read_text())


def dedup(
    work: Path, table: pa.Table, *options: str, against: pa.Table | None = None
) -> tuple[Any, pa.Table]:
    """Run the command in a process of its own: its summary and pairs."""
    work.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, work / "in.parquet")
    command = [sys.executable, "-m", "pipelines.dedup", "--input", str(work / "in.parquet")]
    command += ["--output", str(work / "out"), "--text", "text", "--id", "id", *options]
    if against is not None:
        pq.write_table(against, work / "against.parquet")
        command += ["--against", str(work / "against.parquet")]
    started = time.perf_counter()
    subprocess.run([*APART, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    summary = json.loads((work / "out" / "summary.json").read_text())
    return summary | {"wall": time.perf_counter() - started}, pq.read_table(work / "out" / "pairs")


# --- Cora: clusters


def pairwise(labels: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> tuple[float, float, float]:
    """F1, precision and recall over all pairs of some rows."""

    def count(keys: Any) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(keys).values())

    both = count(zip(labels[rows].tolist(), truth[rows].tolist(), strict=True))
    found, true = count(labels[rows].tolist()), count(truth[rows].tolist())
    return 2 * both / max(1, found + true), both / max(1, found), both / max(1, true)


def halves(truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of half of the clusters, and those of the other half."""
    names = np.unique(truth)
    dev = np.isin(truth, np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    return np.flatnonzero(dev), np.flatnonzero(~dev)


def held_out(
    label: Callable[[float], np.ndarray], truth: np.ndarray, grid: np.ndarray = GRID
) -> dict[str, float]:
    """The threshold of the best F1 on half of the clusters, and the figures on the other half."""
    cut = {threshold: label(threshold) for threshold in grid.tolist()}
    figures = []
    for seed in (*SEEDS, DEVELOPED):
        dev, rest = halves(truth, seed)
        best = max(cut, key=lambda t: pairwise(cut[t], truth, dev)[0])
        figures.append((*pairwise(cut[best], truth, rest), best))
    unseen = figures.pop()
    f1, precision, recall, threshold = np.array(figures).T
    return {
        "unseen_f1": unseen[0],
        "unseen_threshold": unseen[3],
        "f1": f1.mean(),
        "f1_low": f1.min(),
        "f1_high": f1.max(),
        "precision": precision.mean(),
        "recall": recall.mean(),
        "threshold": float(np.median(threshold)),
        "f1_best_of_all": max(pairwise(labels, truth, np.arange(len(truth)))[0] for labels in cut.values()),
    }


def model_alone(texts: pa.Array, a: np.ndarray, b: np.ndarray, blend: np.ndarray) -> np.ndarray:
    """The model's score, which is half of the blend; equal texts keep their 1."""
    overlap = Overlap.learn(texts).scores(texts.take(pa.array(a)), texts.take(pa.array(b)))
    return np.where(blend >= 1, 1, 2 * blend - overlap)


def word_jaccard(texts: pa.Array, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Jaccard of the words of pairs, and the share of the lighter text's words, log inverse frequencies."""
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

    options = [*RECORDS, "--linkage", "average", "--neighbours", "20", "--threshold", "0.5"]
    summary, pairs = dedup(work / "cora", table, *options)
    named = pq.read_table(work / "cora" / "out" / "clusters")
    made = np.empty(n, object)
    made[[place[i] for i in named["id"].to_pylist()]] = named["cluster"].to_pylist()
    f1, precision, recall = pairwise(made, truth, halves(truth, DEVELOPED)[1])
    costs = {"pairs": summary["pairs"], "seconds": summary["wall"], "peak_mib": summary["peak_memory_mib"]}
    yield {
        "of": "ours, --threshold 0.5, the unseen half",
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

    model = model_alone(texts, a, b, scores).astype(np.float32)
    known = sum(size * (size - 1) // 2 for size in Counter(truth.tolist()).values())
    for threshold in (0.5, 0.7, 0.8, 0.9, 0.95):
        taken = model >= np.float32(threshold)
        right = int((truth[a] == truth[b])[taken].sum())
        found = {"precision": right / int(taken.sum()), "recall": right / known}
        yield {"of": f"candidate pairs, the model alone from {threshold}", **found}
    yield {"of": "ours", **held_out(average(scores), truth)}
    yield {"of": "ours, --linkage single", **held_out(single(a, b, scores), truth)}
    yield {"of": "ours, the model's part of it", **held_out(average(model), truth)}
    a, b = np.triu_indices(n, 1)
    jaccard, contained = word_jaccard(texts, a, b)
    yield {"of": "all pairs: word Jaccard", **held_out(single(a, b, jaccard), truth)}
    yield {"of": "all pairs: weighted share of words", **held_out(single(a, b, contained), truth)}
    for shingle in ("char3", "char4", "word1"):
        near = lexical_neighbours(texts, n, shingle=shingle)
        cut = held_out(single(near.a, near.b, near.cosine), truth)
        yield {"of": f"all pairs: tf-idf cosine, {shingle}", **cut}
    grid = np.round(np.arange(0.3, 0.96, 0.05), 2)
    for name, answer in peers.run(table, grid.tolist(), ngram="1"):
        labels = {}
        for t, found in zip(grid.tolist(), answer["found"], strict=True):
            ends = np.array([[place[x], place[y]] for x, y, _ in found], np.int64).reshape(-1, 2).T
            labels[t] = components(*ends, n)
        yield {"of": name, **held_out(labels.__getitem__, truth, grid), **peer_costs(answer)}


def peer_costs(answer: dict[str, Any]) -> dict[str, Any]:
    """Of one pass, at the first threshold."""
    return {"seconds": answer["seconds"][0], "peak_mib": answer["peak_mib"]}


# --- news: known pairs


def news(data: Path, work: Path, peers: Peers) -> Iterator[dict[str, Any]]:
    for size in (100, 1000):
        truth = pq.read_table(data / "news" / f"truth_{size}.parquet")
        known = {frozenset(p) for p in zip(truth["id_a"].to_pylist(), truth["id_b"].to_pylist(), strict=True)}
        table = pq.read_table(data / "news" / f"articles_{size}.parquet").select(["id", "text"])

        def found(pairs: set[frozenset[str]], known: set[frozenset[str]] = known) -> dict[str, int]:
            return {"known": len(known), "found": len(pairs & known), "false_removals": len(pairs - known)}

        summary, _ = dedup(work / f"news{size}", table)
        removed = pq.read_table(work / f"news{size}" / "out" / "removed")
        ends = zip(removed["id"].to_pylist(), removed["survivor"].to_pylist(), strict=True)
        costs = {"seconds": summary["wall"], "peak_mib": summary["peak_memory_mib"]}
        yield {"of": f"articles_{size}: ours, defaults", **found({frozenset(p) for p in ends}), **costs}
        for name, answer in peers.run(table, [0.7, 0.9]):
            for threshold, made in zip((0.7, 0.9), answer["found"], strict=True):
                pairs = {frozenset((x, y)) for x, y, _ in made}
                yield {"of": f"articles_{size}: {name} at {threshold}", **found(pairs), **peer_costs(answer)}


# --- records: one table against another


def matched(pairs: list[tuple[str, str, float]], threshold: float) -> set[tuple[str, str]]:
    """Pairs at or above the threshold in which each is the other's best."""
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

    def figures(pairs: list[tuple[str, str, float]]) -> dict[str, float]:
        cut = {t: matched(pairs, t) for t in GRID.tolist()}
        ids, results = a["id"].to_pylist(), []

        def f1(found: set[tuple[str, str]], rows: set[str]) -> tuple[float, float, float]:
            mine, true = ({p for p in s if p[0] in rows} for s in (found, truth))
            hits = len(mine & true)
            return (
                2 * hits / max(1, len(mine) + len(true)),
                hits / max(1, len(mine)),
                hits / max(1, len(true)),
            )

        for seed in (*SEEDS, DEVELOPED):
            dev = set(random.Random(seed).sample(ids, len(ids) // 2))
            rest = set(ids) - dev
            best = max(cut, key=lambda t: f1(cut[t], dev)[0])
            results.append((*f1(cut[best], rest), best))
        unseen = results.pop()
        f, precision, recall, threshold = np.array(results).T
        return {
            "unseen_f1": unseen[0],
            "unseen_threshold": unseen[3],
            "f1": f.mean(),
            "f1_low": f.min(),
            "f1_high": f.max(),
            "precision": precision.mean(),
            "recall": recall.mean(),
            "threshold": float(np.median(threshold)),
        }

    texts = pa.concat_arrays([t["text"].combine_chunks().cast(pa.large_string()) for t in (a, b)])
    names, side = a["id"].to_pylist() + b["id"].to_pylist(), np.repeat([0, 1], [len(a), len(b)])
    options = [*RECORDS, "--neighbours", "10", "--threshold", "0.5", "--one_to_one"]
    summary, pairs = dedup(work / name, a, *options, against=b)
    pairs = pairs.filter(pc.equal(pairs["b_in"], "against"))  # not the equal texts of one side
    # A pair of texts stands for all rows that have them.
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
        "peak_mib": summary["peak_memory_mib"],
    }
    place = [{i: row for row, i in enumerate(t["id"].to_pylist())} for t in (a, b)]
    rows = [np.array([place[side][i] for i in ends[side]]) + side * len(a) for side in (0, 1)]
    model = model_alone(texts, *rows, scores)
    yield {"of": "ours, the model's part of it", **figures(list(zip(*ends, model.tolist(), strict=True)))}
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


# --- speed and planted copies


def debian(data: Path, work: Path, peers: Peers) -> Iterator[dict[str, Any]]:
    table = pq.read_table(data / "debian_descriptions.parquet").select(["package", "text"])
    table = table.append_column("id", pa.array(map(str, range(len(table)))))
    summary, _ = dedup(work / "debian", table, *DEBIAN)
    yield {"of": f"ours, {' '.join(DEBIAN)}", **_costs(summary)}
    for name, answer in peers.run(table, [0.8]):
        gone = {one for one, _, _ in answer["found"][0]}
        yield {"of": f"{name} at 0.8", "removed": len(gone), **peer_costs(answer)}


DEBIAN = ["--minhash_similarity", "0.8", "--bucket_cap", "20", "--rule", "blend"]


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


LEVELS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)


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
        **_costs(summary),
    }
    ends = list(zip(pairs["id_a"].to_pylist(), pairs["id_b"].to_pylist(), strict=True))
    scores = pairs["score"].to_numpy()
    for threshold in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95):
        taken = {ends[place] for place in np.flatnonzero(scores >= np.float32(threshold)).tolist()}
        wrong = {"wrong_pairs": len(taken - known)}
        yield {"of": f"{documents:,} documents, pairs from {threshold}", **recall(taken), **wrong}


def _costs(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "rows": summary["rows_read"],
        "removed": summary["rows_removed"],
        "pairs": summary["pairs"],
        "seconds": summary["wall"],
        "peak_mib": summary["peak_memory_mib"],
        **{f"s_{name}": value for name, value in summary["seconds"].items()},
    }


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.dedup", description=__doc__)
    parts = ("cora", "news", "dblp_acm", "abt_buy", "debian", "planted")
    p.add_argument("parts", nargs="*", default=parts, metavar="PART", help=", ".join(parts))
    p.add_argument("--data", type=Path, help="folder with news, cora, records, ...")
    p.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    p.add_argument("--work", type=Path, help="keep the runs there")
    p.add_argument("--semhash_model", help="folder of a model2vec model; without it semhash is left out")
    p.add_argument("--text_dedup_python", help="Python that has text-dedup; without it that is left out")
    own = p.parse_args()
    work = own.work or Path(tempfile.mkdtemp(prefix="beam_sts_dedup"))
    peers = Peers(work / "peers", own.semhash_model, own.text_dedup_python)
    runs: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "cora": lambda: cora(own.data, work, peers),
        "news": lambda: news(own.data, work, peers),
        "dblp_acm": lambda: matching("D4_dblp_acm", own.data, work, peers),
        "abt_buy": lambda: matching("D2_abt_buy", own.data, work, peers),
        "debian": lambda: debian(own.data, work, peers),
        "planted": lambda: (row for n in own.documents for row in planted(work, n, [])),
    }
    for part in own.parts:
        if part != "planted" and not (own.data and own.data.exists()):
            print(f"{part}: skipped, --data {own.data} is not there")
            continue
        for row in runs[part]():
            cells = (
                f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "of"
            )
            print(f"{part:9} {row['of']:45} {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
