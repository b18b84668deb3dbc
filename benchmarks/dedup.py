"""How good and how fast `pipelines.dedup` is: known duplicates, records, a real corpus, planted copies.

    python -m benchmarks.dedup cora news dblp_acm abt_buy     # quality; minutes
    python -m benchmarks.dedup debian                         # 64,562 texts
    python -m benchmarks.dedup planted --documents 1000000    # recall by edit level, memory, time

The data of the first five is not part of the repository: `--data DIR` names it; without it they are skipped.
Every threshold is chosen on a random half of the clusters (or rows) and measured on the other half.
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

from beam_sts.corpus.components import components
from beam_sts.corpus.neighbours import lexical_neighbours, neighbours
from beam_sts.corpus.overlap import Overlap
from beam_sts.corpus.vectors import static_embedding
from beam_sts.models.checkpoint import load_checkpoint

DATA = Path("/work/shared/data/dedup")
RECORDS = ["--candidates", "exact,minhash,lexical", "--minhash_similarity", "0.5", "--rule", "blend"]
RECORDS += ["--precision", "bf16"]
SEEDS = range(5)
GRID = np.round(np.arange(0.02, 1.0, 0.01), 2)


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
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((work / "out" / "summary.json").read_text()), pq.read_table(work / "out" / "pairs")


# --- Cora: clusters


def pairwise(labels: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> tuple[float, float, float]:
    """F1, precision and recall over all pairs of some rows."""

    def count(keys: Any) -> int:
        return sum(size * (size - 1) // 2 for size in Counter(keys).values())

    both = count(zip(labels[rows].tolist(), truth[rows].tolist(), strict=True))
    found, true = count(labels[rows].tolist()), count(truth[rows].tolist())
    return 2 * both / max(1, found + true), both / max(1, found), both / max(1, true)


def held_out(label: Callable[[float], np.ndarray], truth: np.ndarray) -> dict[str, float]:
    """The threshold of the best F1 on half of the clusters, and the figures on the other half."""
    cut = {threshold: label(threshold) for threshold in GRID.tolist()}
    figures = []
    for seed in SEEDS:
        names = np.unique(truth)
        dev = np.isin(truth, np.random.default_rng(seed).permutation(names)[: len(names) // 2])
        best = max(cut, key=lambda t: pairwise(cut[t], truth, np.flatnonzero(dev))[0])
        figures.append((*pairwise(cut[best], truth, np.flatnonzero(~dev)), best))
    f1, precision, recall, threshold = np.array(figures).T
    return {
        "f1": f1.mean(),
        "f1_low": f1.min(),
        "f1_high": f1.max(),
        "precision": precision.mean(),
        "recall": recall.mean(),
        "threshold": float(np.median(threshold)),
        "f1_best_of_all": max(pairwise(labels, truth, np.arange(len(truth)))[0] for labels in cut.values()),
    }


def model_alone(texts: pa.Array, a: np.ndarray, b: np.ndarray, blend: np.ndarray) -> np.ndarray:
    """The model's score, which is one third of the blend; equal texts keep their 1."""
    jaccard, contained = Overlap.learn(texts).scores(texts.take(pa.array(a)), texts.take(pa.array(b)))
    return np.where(blend >= 1, 1, 3 * blend - jaccard - contained)


def cora(data: Path, work: Path) -> Iterator[dict[str, Any]]:
    table = pq.read_table(data / "cora" / "cora_docs.parquet").select(["id", "text", "cluster"])
    truth = np.unique(np.array(table["cluster"].to_pylist()), return_inverse=True)[1]
    texts, n = table["text"].combine_chunks().cast(pa.large_string()), len(table)
    place = {name: row for row, name in enumerate(table["id"].to_pylist())}

    def clusters(a: np.ndarray, b: np.ndarray, scores: np.ndarray) -> Callable[[float], np.ndarray]:
        return lambda t: components(a[scores >= t], b[scores >= t], n)

    summary, pairs = dedup(work / "cora", table, *RECORDS, "--neighbours", "40")
    a, b = (np.array([place[i] for i in pairs[name].to_pylist()]) for name in ("id_a", "id_b"))
    scores = pairs["score"].to_numpy()
    costs = {"pairs": summary["pairs"], "seconds": sum(summary["seconds"].values())}
    yield {"of": "ours, --rule blend", **held_out(clusters(a, b, scores), truth), **costs}
    model = model_alone(texts, a, b, scores)
    yield {"of": "ours, the model's part of it", **held_out(clusters(a, b, model), truth)}
    a, b = np.triu_indices(n, 1)
    overlap = Overlap.learn(texts)
    jaccard, contained = overlap.scores(texts.take(pa.array(a)), texts.take(pa.array(b)))
    yield {"of": "all pairs: word Jaccard", **held_out(clusters(a, b, jaccard), truth)}
    yield {"of": "all pairs: weighted share of words", **held_out(clusters(a, b, contained), truth)}
    near = lexical_neighbours(texts, n, shingle="char4")
    yield {"of": "all pairs: tf-idf cosine, char4", **held_out(clusters(near.a, near.b, near.cosine), truth)}
    near = lexical_neighbours(texts, n, shingle="word1")
    yield {"of": "all pairs: tf-idf cosine, words", **held_out(clusters(near.a, near.b, near.cosine), truth)}


# --- news: known pairs


def news(data: Path, work: Path) -> Iterator[dict[str, Any]]:
    for size in (100, 1000):
        truth = pq.read_table(data / "news" / f"truth_{size}.parquet")
        known = {frozenset(p) for p in zip(truth["id_a"].to_pylist(), truth["id_b"].to_pylist(), strict=True)}
        summary, pairs = dedup(
            work / f"news{size}", pq.read_table(data / "news" / f"articles_{size}.parquet")
        )
        found = {
            frozenset((p["id_a"], p["id_b"])) for p in pairs.to_pylist() if p["score"] >= summary["threshold"]
        }
        removed = pq.read_table(work / f"news{size}" / "out" / "removed")
        wrong = sum(
            frozenset((r["id"], r["survivor"])) not in known
            for r in removed.select(["id", "survivor"]).to_pylist()
        )
        yield {
            "of": f"articles_{size}, defaults",
            "known": len(known),
            "found": len(found & known),
            "false_removals": wrong,
            "seconds": sum(summary["seconds"].values()),
        }


# --- records: one table against another


def matched(pairs: list[tuple[str, str, float]], threshold: float) -> set[tuple[str, str]]:
    """Pairs at or above the threshold in which each is the other's best."""
    best: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for a, b, score in pairs:
        for side, (key, other) in enumerate(((a, b), (b, a))):
            best[side][key] = max(best[side].get(key, (-1.0, "")), (score, other))
    return {(a, b) for a, (score, b) in best[0].items() if score >= threshold and best[1][b][1] == a}


def matching(name: str, data: Path, work: Path) -> Iterator[dict[str, Any]]:
    records = pq.read_table(data / "records" / "records.parquet")
    records = records.filter(pc.equal(records["dataset"], name))
    a, b = (records.filter(pc.equal(records["side"], side)).select(["id", "text"]) for side in "AB")
    gold = pq.read_table(data / "records" / "matches.parquet")
    gold = gold.filter(pc.and_(pc.equal(gold["dataset"], name), pc.equal(gold["label"], 1)))
    truth = set(zip(gold["id_a"].to_pylist(), gold["id_b"].to_pylist(), strict=True))

    def figures(pairs: list[tuple[str, str, float]]) -> dict[str, float]:
        cut = {t: matched(pairs, t) for t in GRID.tolist()}
        ids, results = sorted(a["id"].to_pylist()), []

        def f1(found: set[tuple[str, str]], rows: set[str]) -> tuple[float, float, float]:
            mine, true = ({p for p in s if p[0] in rows} for s in (found, truth))
            hits = len(mine & true)
            return (
                2 * hits / max(1, len(mine) + len(true)),
                hits / max(1, len(mine)),
                hits / max(1, len(true)),
            )

        for seed in SEEDS:
            mixed = random.Random(seed).sample(ids, len(ids))
            dev, rest = set(mixed[: len(ids) // 2]), set(mixed[len(ids) // 2 :])
            best = max(cut, key=lambda t: f1(cut[t], dev)[0])
            results.append((*f1(cut[best], rest), best))
        f, precision, recall, threshold = np.array(results).T
        return {
            "f1": f.mean(),
            "f1_low": f.min(),
            "f1_high": f.max(),
            "precision": precision.mean(),
            "recall": recall.mean(),
            "threshold": float(np.median(threshold)),
        }

    texts = pa.concat_arrays([t["text"].combine_chunks().cast(pa.large_string()) for t in (a, b)])
    names, side = a["id"].to_pylist() + b["id"].to_pylist(), np.repeat([0, 1], [len(a), len(b)])
    summary, pairs = dedup(work / name, a, *RECORDS, "--neighbours", "3", against=b)
    pairs = pairs.filter(pc.equal(pairs["b_in"], "against"))  # not the equal texts of one side
    ends = [pairs[c].to_pylist() for c in ("id_a", "id_b")]
    scores = pairs["score"].to_numpy()
    found = set(zip(*ends, strict=True))
    yield {
        "of": "ours, --rule blend",
        **figures(list(zip(*ends, scores.tolist(), strict=True))),
        "candidates": len(found),
        "candidate_recall": len(found & truth) / len(truth),
        "seconds": sum(summary["seconds"].values()),
    }
    place = [{i: row for row, i in enumerate(t["id"].to_pylist())} for t in (a, b)]
    rows = [np.array([place[side][i] for i in ends[side]]) + side * len(a) for side in (0, 1)]
    model = model_alone(texts, *rows, scores)
    yield {"of": "ours, the model's part of it", **figures(list(zip(*ends, model.tolist(), strict=True)))}
    hashed = [p for p in pairs.to_pylist() if "minhash" in p["source"] or "exact" in p["source"]]
    alone = [(p["id_a"], p["id_b"], 1.0) for p in hashed]
    yield {"of": "MinHash alone: its candidates", **figures(alone)}
    vectors = static_embedding(texts, load_checkpoint("beam-sts-nano"))
    for label, near in (
        ("embeddings alone (the model's token vectors)", neighbours(vectors, 5, side=side)),
        ("tf-idf alone, char4", lexical_neighbours(texts, 5, side=side)),
    ):
        scored = [(names[x], names[y], float(c)) for x, y, c in zip(near.a, near.b, near.cosine, strict=True)]
        yield {"of": label, **figures(scored)}


# --- speed and planted copies


def debian(data: Path, work: Path) -> Iterator[dict[str, Any]]:
    table = pq.read_table(data / "debian_descriptions.parquet").select(["package", "text"])
    table = table.append_column("id", pa.array(range(len(table))))
    started = time.perf_counter()
    summary, _ = dedup(work / "debian", table, "--precision", "bf16", "--minhash_similarity", "0.8")
    yield {"of": "Debian descriptions", **_costs(summary), "wall_seconds": time.perf_counter() - started}


def planted_corpus(
    documents: int, copies: int, seed: int = 0
) -> tuple[pa.Table, dict[int, tuple[int, float]]]:
    """Documents of 30 to 80 made words, and copies in which a share of the words is replaced."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 11))) for _ in range(50_000)])
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
    summary, _ = dedup(work / f"planted{documents}", table, *options)
    removed = pq.read_table(work / f"planted{documents}" / "out" / "removed")
    gone = dict(zip(removed["id"].to_pylist(), removed["survivor"].to_pylist(), strict=True))
    right = {copy: gone.get(copy) == origin for copy, (origin, _) in copies.items()}
    wrong = sum(copies.get(row, (None,))[0] != survivor for row, survivor in gone.items())
    recall = {
        f"recall_{level:.0%}": np.mean([right[c] for c, (_, own) in copies.items() if own == level])
        for level in LEVELS
    }
    yield {"of": f"{documents:,} documents", **recall, "unplanted_removed": wrong, **_costs(summary)}


def _costs(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "rows": summary["rows_read"],
        "removed": summary["rows_removed"],
        "pairs": summary["pairs"],
        "seconds": sum(summary["seconds"].values()),
        "peak_mib": summary["peak_memory_mib"],
        **{f"s_{name}": value for name, value in summary["seconds"].items()},
    }


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.dedup", description=__doc__)
    parts = ("cora", "news", "dblp_acm", "abt_buy", "debian", "planted")
    p.add_argument("parts", nargs="*", default=parts, metavar="PART", help=", ".join(parts))
    p.add_argument("--data", type=Path, default=DATA)
    p.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    p.add_argument("--work", type=Path, help="keep the runs there")
    own = p.parse_args()
    work = own.work or Path(tempfile.mkdtemp(prefix="beam_sts_dedup"))
    runs: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "cora": lambda: cora(own.data, work),
        "news": lambda: news(own.data, work),
        "dblp_acm": lambda: matching("D4_dblp_acm", own.data, work),
        "abt_buy": lambda: matching("D2_abt_buy", own.data, work),
        "debian": lambda: debian(own.data, work),
        "planted": lambda: (row for n in own.documents for row in planted(work, n, ["--precision", "bf16"])),
    }
    for part in own.parts:
        if part != "planted" and not own.data.exists():
            print(f"{part}: skipped, {own.data} is not there")
            continue
        for row in runs[part]():
            cells = (
                f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items() if k != "of"
            )
            print(f"{part:9} {row['of']:45} {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
