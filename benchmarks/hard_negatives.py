"""Hard negatives compared with sentence-transformers' ``mine_hard_negatives``: equal rows, and memory.

    python -m benchmarks.hard_negatives --data DIR

Queries are sentences of open books, their positives the first 70% of their words, the corpus other sentences
of the books. Both sides use the same bi-encoder (the token table of an embedded model, as a StaticEmbedding),
the same cross-encoder and the same rule for negatives among each query's nearest texts. Each side runs in a
separate process, whose peak memory the system reports.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RULE = {"num_negatives": 1, "absolute_margin": 0.1, "max_score": 0.8}
MODEL = "beam-sts-nano"


def write_inputs(data: Path, folder: Path, queries: int, texts: int) -> None:
    """Write queries with positives, and a corpus of distinct texts."""
    columns = ["text", "doc_id", "sent_idx", "source"]
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=columns)
    books = table.filter(pa.compute.equal(table["source"].cast(pa.string()), "openstax_textbooks"))
    rows = dict.fromkeys(text for text in books["text"].to_pylist() if 40 <= len(text) <= 300)
    distinct = {" ".join(text.casefold().split()): text for text in rows}
    every = list(distinct.values())
    first, corpus = every[:queries], every[queries : queries + texts]
    second = [" ".join(words[: max(1, 7 * len(words) // 10)]) for words in map(str.split, first)]
    pq.write_table(pa.table({"anchor": first, "positive": second}), folder / "queries.parquet")
    pq.write_table(pa.table({"text": corpus}), folder / "corpus.parquet")


def encoder() -> Any:
    """The bi-encoder: the mean of the token vectors of an embedded model."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    from beam_sts.candidates.vectors import TokenVectors
    from beam_sts.models.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(MODEL)
    tokenizer = Tokenizer.from_file(str(Path(checkpoint.path) / "tokenizer.json"))
    table = TokenVectors.of(checkpoint).table
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu")


def theirs(folder: Path, range_max: int) -> None:
    """Mine with ``mine_hard_negatives``."""
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.util import mine_hard_negatives

    from beam_sts.models.checkpoint import load_checkpoint

    pairs, corpus = pq.read_table(folder / "queries.parquet"), pq.read_table(folder / "corpus.parquet")
    found = mine_hard_negatives(
        Dataset(pairs),
        encoder(),
        corpus=corpus["text"].to_pylist(),
        cross_encoder=CrossEncoder(str(load_checkpoint(MODEL).path), device="cpu"),
        range_max=range_max,
        verbose=False,
        **RULE,
    )
    found.to_parquet(str(folder / "theirs.parquet"))


def ours(folder: Path, range_max: int, vectors: bool) -> None:
    """Mine with ``beam-sts mine``; with ``vectors``, by the bi-encoder's vectors from a column."""
    from beam_sts.cli.mine import main

    of = "vectors" if vectors else "queries"
    options = {
        "queries": folder / f"{of}.parquet",
        "corpus": folder / ("texts.parquet" if vectors else "corpus.parquet"),
        "positive_column_name": "positive",
        "output": folder / f"mined-{of}",
        "model": MODEL,
        "neighbours": range_max + 1,
        "lexical": 0,
        "random": 0,
        "test_share": 0,
        "threads": 1,
        **RULE,
    }
    more = ["--embedding", "vector"] if vectors else []
    if main([*(f"--{name}={value}" for name, value in options.items()), *more, "--quiet"]):
        raise SystemExit(1)


def write_vectors(folder: Path) -> None:
    """Write the inputs with the bi-encoder's vectors; the corpus includes the positives, for theirs."""
    model = encoder()
    pairs, corpus = pq.read_table(folder / "queries.parquet"), pq.read_table(folder / "corpus.parquet")
    texts = corpus["text"].to_pylist() + pairs["positive"].to_pylist()
    for name, column, table in (
        ("vectors", pairs["anchor"].to_pylist(), pairs),
        ("texts", texts, pa.table({"text": texts})),
    ):
        found = model.encode(column, convert_to_numpy=True, show_progress_bar=False).astype(np.float32)
        kind = pa.list_(pa.float32(), found.shape[1])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), type=kind)
        pq.write_table(table.append_column("vector", flat), folder / f"{name}.parquet")


def process(*arguments: str) -> dict[str, float]:
    """Peak memory in MiB and seconds of a command of this module, in a separate process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hard_negatives", *arguments], check=True, stdout=subprocess.PIPE
    )
    found: dict[str, float] = json.loads(done.stdout.decode().splitlines()[-1])
    return found


def compared(folder: Path) -> dict[str, Any]:
    """How many triplets both sides have."""

    def triplets(path: Path) -> set[tuple[str, ...]]:
        columns = pq.read_table(path).select([0, 1, 2]).to_pydict().values()
        return set(zip(*columns, strict=True))

    one = triplets(folder / "mined-vectors" / "triplet-hard" / "train")
    other = triplets(folder / "theirs.parquet")
    return {"ours": len(one), "theirs": len(other), "both": len(one & other)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="with sentences/open_sentences.parquet")
    parser.add_argument("--queries", type=int, default=8_000)
    parser.add_argument("--texts", type=int, default=33_000)
    parser.add_argument("--range_max", type=int, default=2)
    parser.add_argument("--run", nargs=2, metavar=("WHAT", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        what, folder = args.run[0], Path(args.run[1])
        started, used = time.time(), time.process_time()
        if what == "theirs":
            theirs(folder, args.range_max)
        elif what == "vectors":
            write_vectors(folder)
        else:
            ours(folder, args.range_max, what == "ours-vectors")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"mib": peak, "s": time.time() - started, "cpu_s": time.process_time() - used}))
        return
    with tempfile.TemporaryDirectory(prefix="beam_sts-") as name:
        folder = Path(name)
        write_inputs(args.data, folder, args.queries, args.texts)
        for what in ("ours", "theirs", "vectors", "ours-vectors"):
            found = process("--run", what, name, "--range_max", str(args.range_max))
            if what != "vectors":
                print(what, json.dumps(found), flush=True)
        print(json.dumps(compared(folder)))


if __name__ == "__main__":
    main()
