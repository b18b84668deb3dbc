"""Candidate pairs: recall of known duplicates, number of pairs and time, compared with datasketch's LSH.

    python -m benchmarks.candidates --data DIR          # recall
    python -m benchmarks.candidates --data DIR --speed  # time, compared with datasketch

Prints the tables of docs/candidates.md. No model is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.candidates.buckets import CAP, bucket_pairs
from beam_sts.candidates.keys import MinHash, exact_keys, normalise
from beam_sts.candidates.neighbours import lexical_neighbours, neighbours
from beam_sts.candidates.vectors import static_embedding
from beam_sts.models.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Corpus:
    """Texts with known pairs, as codes a << 32 | b with a < b; ``side`` is set for pairs of two tables."""

    name: str
    texts: pa.Array
    truth: np.ndarray
    side: np.ndarray | None = None


def codes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    both: np.ndarray = np.minimum(a, b).astype(np.int64) << 32 | np.maximum(a, b)
    return both


def load(folder: Path) -> list[Corpus]:
    corpora = []
    for size in ("100", "1000"):
        rows = pq.read_table(folder / f"news/articles_{size}.parquet")
        corpora.append(corpus(f"news {size}", rows, pq.read_table(folder / f"news/truth_{size}.parquet")))
    docs = pq.read_table(folder / "cora/cora_docs.parquet")
    corpora.append(corpus("Cora", docs, pq.read_table(folder / "cora/cora_pairs.parquet")))
    records = pq.read_table(folder / "records/records.parquet").to_pandas()
    matches = pq.read_table(folder / "records/matches.parquet").to_pandas()
    for name, key in (("DBLP-ACM", "D4_dblp_acm"), ("Abt-Buy", "D2_abt_buy")):
        rows = records[records.dataset == key].reset_index(drop=True)
        number = {pair: row for row, pair in enumerate(zip(rows.side, rows.id, strict=True))}
        known = matches[matches.dataset == key]
        first = np.array([number["A", one] for one in known.id_a])
        second = np.array([number["B", one] for one in known.id_b])
        side = (rows.side == "B").to_numpy().astype(np.int8)
        corpora.append(Corpus(name, pa.array(rows.text), codes(first, second), side))
    return corpora


def corpus(name: str, rows: pa.Table, truth: pa.Table) -> Corpus:
    number = {one: row for row, one in enumerate(rows["id"].to_pylist())}
    first, second = (np.array([number[one] for one in truth[c].to_pylist()]) for c in ("id_a", "id_b"))
    return Corpus(name, rows["text"].combine_chunks(), codes(first, second))


def kinds() -> dict[str, Callable[[Corpus], tuple[np.ndarray, np.ndarray]]]:
    def minhash(similarity: float, shingle: str) -> Callable[[Corpus], tuple[np.ndarray, np.ndarray]]:
        setting = MinHash(similarity, 0.95, shingle)
        return lambda one: bucket_pairs(setting.bands_of(one.texts), CAP, one.side)[:2]

    def lexical(k: int) -> Callable[[Corpus], tuple[np.ndarray, np.ndarray]]:
        return lambda one: lexical_neighbours(one.texts, k, side=one.side)[:2]

    def static(k: int) -> Callable[[Corpus], tuple[np.ndarray, np.ndarray]]:
        checkpoint = load_checkpoint("beam-sts-nano")
        return lambda one: neighbours(static_embedding(one.texts, checkpoint), k, side=one.side)[:2]

    return {
        "exact": lambda one: bucket_pairs(exact_keys(one.texts), CAP, one.side)[:2],
        "minhash char4 0.7": minhash(0.7, "char4"),
        "minhash word1 0.5": minhash(0.5, "word1"),
        "minhash word1 0.3": minhash(0.3, "word1"),
        "lexical 1": lexical(1),
        "lexical 5": lexical(5),
        "lexical 10": lexical(10),
        "lexical 50": lexical(50),
        "neighbours 10": static(10),
        "neighbours 50": static(50),
    }


def recall(corpora: Sequence[Corpus]) -> None:
    print("| candidates | " + " | ".join(f"{c.name}: recall, pairs" for c in corpora) + " |")
    print("|---|" + "---|" * len(corpora))
    for name, find in kinds().items():
        cells = []
        for one in corpora:
            found = codes(*find(one))
            cells.append(f"{np.isin(one.truth, found).mean():.3f}, {len(found):,}")
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)


def speed(texts: pa.Array, rows: int) -> None:
    texts = texts.slice(0, rows)
    setting = MinHash(0.7, 0.95, "char4")
    print(f"{len(texts):,} texts, {len(np.unique(np.array(texts)))} distinct; {setting}\n")
    print("| candidates | pairs | seconds |\n|---|---:|---:|")
    timed("minhash", lambda: codes(*bucket_pairs(setting.bands_of(texts))[:2]))
    theirs = timed("datasketch's MinHashLSH", lambda: by_datasketch(texts, setting))
    timed("lexical 5, cosine 0.3", lambda: codes(*lexical_neighbours(texts, 5, least=0.3)[:2]))
    embed = load_checkpoint("beam-sts-nano")
    timed(
        "neighbours 5, cosine 0.8",
        lambda: codes(*neighbours(static_embedding(texts, embed), 5, least=0.8)[:2]),
    )
    every = timed("minhash, no cap", lambda: codes(*bucket_pairs(setting.bands_of(texts), len(texts))[:2]))
    both, ours, other = len(np.intersect1d(every, theirs)), len(every), len(theirs)
    print(
        f"\nno cap: {both:,} pairs by both, {ours - both:,} only by beam_sts, {other - both:,} only "
        "by datasketch"
    )


def timed(name: str, find: Callable[[], np.ndarray]) -> np.ndarray:
    started = time.perf_counter()
    found = find()
    print(f"| {name} | {len(found):,} | {time.perf_counter() - started:.1f} |", flush=True)
    return found


def by_datasketch(texts: pa.Array, setting: MinHash) -> np.ndarray:
    """As its users do: shingles as bytes, ``MinHash.bulk``, insert all, query all; equal bands and rows."""
    from datasketch import MinHash as Sketch
    from datasketch import MinHashLSH

    size = setting.unit[1]
    width = setting.bands * setting.rows
    lsh = MinHashLSH(num_perm=width, params=(setting.bands, setting.rows))
    sketches = []
    for text in normalise(texts).to_pylist():
        data = text.encode()
        sketches.append([data[i : i + size] for i in range(max(1, len(data) - size + 1))])
    sketches = Sketch.bulk([set(one) for one in sketches], num_perm=width, seed=1)
    for number, sketch in enumerate(sketches):
        lsh.insert(number, sketch, check_duplication=False)
    found = [(number, other) for number, sketch in enumerate(sketches) for other in lsh.query(sketch)]
    pairs = np.array([pair for pair in found if pair[0] < pair[1]], np.int64).reshape(-1, 2)
    return np.unique(codes(pairs[:, 0], pairs[:, 1]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with news, cora, records, ...")
    parser.add_argument("--speed", action="store_true", help="time on Debian's descriptions")
    parser.add_argument("--rows", type=int, default=64_562, help="of Debian's descriptions")
    options = parser.parse_args(argv)
    if not options.data.is_dir():
        print(f"skipped: {options.data} is not here")
        return 0
    if options.speed:
        speed(
            pq.read_table(options.data / "debian_descriptions.parquet")["text"].combine_chunks(), options.rows
        )
    else:
        recall(load(options.data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
