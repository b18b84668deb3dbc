"""The peers of ``benchmarks.dedup``, other tools that find duplicates, each in a separate process.

    python -m benchmarks.dedup_peers datasketch in.parquet out.json --thresholds 0.7
    python -m benchmarks.dedup_peers semhash in.parquet out.json --thresholds 0.9 --model FOLDER

The input has the columns ``id`` and ``text``. The answer has, for each threshold, the pairs of the peer (the
id of a text, that of its duplicate, and a similarity if it has one) and seconds; and peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Found = list[tuple[str, str, float]]
Texts = dict[str, str]


def read(path: str) -> Texts:
    table = pq.read_table(path, columns=["id", "text"])
    return dict(zip(map(str, table["id"].to_pylist()), table["text"].to_pylist(), strict=True))


def datasketch(texts: Texts, other: Texts | None, threshold: float) -> Found:
    """Its LSH with its choice of bands over character four-grams; similarities are those of its sketches."""
    from datasketch import MinHash, MinHashLSH

    def sketch(given: Texts) -> list[Any]:
        lowered = [text.lower().encode() for text in given.values()]
        made: list[Any] = MinHash.bulk(
            [{t[i : i + 4] for i in range(max(1, len(t) - 3))} for t in lowered], seed=1
        )
        return made

    mine = sketch(texts)
    theirs, names = (mine, list(texts)) if other is None else (sketch(other), list(other))
    lsh = MinHashLSH(threshold=threshold, num_perm=128)
    for place, one in enumerate(theirs):
        lsh.insert(place, one, check_duplication=False)
    return [
        (name, names[place], one.jaccard(theirs[place]))
        for number, (name, one) in enumerate(zip(texts, mine, strict=True))
        for place in lsh.query(one)
        if other is not None or place > number
    ]


def semhash(texts: Texts, other: Texts | None, thresholds: list[float], model: str) -> Iterator[Found]:
    """Embeddings and its index; one index is used for all thresholds."""
    from model2vec import StaticModel
    from semhash import SemHash

    encoder = StaticModel.from_pretrained(model)
    mine = [{"id": name, "text": text} for name, text in texts.items()]
    theirs = mine if other is None else [{"id": name, "text": text} for name, text in other.items()]
    index = SemHash.from_records(theirs, columns=["text"], model=encoder)
    for threshold in thresholds:
        alone = other is None
        result = index.self_deduplicate(threshold) if alone else index.deduplicate(mine, threshold)
        yield [(d.record["id"], d.duplicate_of["id"], d.score) for d in result.filtered]


def text_dedup(path: str, threshold: float, python: str, ngram: str) -> Found:
    """Its command, with the clusters of its union-find, run by ``python``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", "text_dedup.minhash", "--path", "parquet", "--data_files", path]
        command += [
            "--split",
            "train",
            "--cache_dir",
            f"{folder}/cache",
            "--output",
            f"{folder}/out",
            "--debug",
        ]
        command += ["--column", "text", "--idx_column", "id", "--threshold", str(threshold), "--ngram", ngram]
        subprocess.run([*command, "--min_length", "1"], check=True, capture_output=True)
        show = "import json, pickle, sys; f = pickle.load(open(sys.argv[1], 'rb'))\n"
        show += "print(json.dumps([[str(k), str(f.find(k))] for k in list(f.parent)]))"
        done = subprocess.run([python, "-c", show, f"{folder}/out/uf.pkl"], check=True, capture_output=True)
    return [(one, into, 1.0) for one, into in json.loads(done.stdout) if one != into]


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.dedup_peers", description=__doc__)
    p.add_argument("name", choices=("datasketch", "semhash", "text_dedup"))
    p.add_argument("input")
    p.add_argument("output", type=Path)
    p.add_argument("--thresholds", type=float, nargs="+", required=True)
    p.add_argument("--against")
    p.add_argument("--model", help="semhash: folder of a model2vec model")
    p.add_argument("--python", default=sys.executable, help="text_dedup: Python that has it")
    p.add_argument("--ngram", default="5", help="text_dedup: words of a shingle")
    own = p.parse_args()
    started = time.perf_counter()
    texts = read(own.input)
    other = read(own.against) if own.against else None
    if own.name == "semhash":
        runs: Iterator[Found] = semhash(texts, other, own.thresholds, own.model)
    elif own.name == "datasketch":
        runs = (datasketch(texts, other, threshold) for threshold in own.thresholds)
    else:
        runs = (text_dedup(own.input, threshold, own.python, own.ngram) for threshold in own.thresholds)
    found, seconds = [], []
    for pairs in runs:
        found.append(pairs)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
    who = resource.RUSAGE_CHILDREN if own.name == "text_dedup" else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss // 1024
    own.output.write_text(json.dumps({"found": found, "seconds": seconds, "peak_mib": peak}))


if __name__ == "__main__":
    main()
