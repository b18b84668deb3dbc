"""Ten million pairs through ``pipelines.score`` on one machine: nothing lost, nothing twice, in flat memory.

    python -m benchmarks.load                                        # 10,000,000 pairs, half an hour and more
    python -m benchmarks.load --pairs 100000 --folder out/load-small

Makes the input (some 100 bytes a pair on the disk), runs the command in a process of its own, looks at its
memory twice a second, then reads the output and compares: the ids are 0, 1, 2, ... in order, and the digest
of ids and texts is that of the input, made anew. Killed or stopped: the same command goes on where it was.
Prints one JSON object and ends with 1 if anything does not hold. Arguments after ``--`` go to the command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.peers import versions
from benchmarks.workloads import texts

ROOT = Path(__file__).parents[1]
BLOCK = 20_000  # pairs that are in memory at once
ROWS_A_FILE = 1_000_000
WORDS_A_TEXT = 10
MOST_BYTES = 1_500_000_000
GROWTH = 1.15  # of memory, from the second quarter of the run to the last
START_UP = 60  # samples, 30 s, in which memory grows by imports and the model


def blocks(first: int, count: int) -> Iterator[pa.Table]:
    """Pairs number ``first`` and on: the texts of one block, each with its pair's number in front."""
    made = list(texts(np.full(2 * BLOCK, WORDS_A_TEXT), seed=0))
    sides = pa.array(made[:BLOCK]), pa.array(made[BLOCK:])
    for start in range(first, first + count, BLOCK):
        size = min(BLOCK, first + count - start)
        ids = pa.array(np.arange(start, start + size))
        columns = [pc.binary_join_element_wise(ids.cast(pa.string()), side[:size], " ") for side in sides]
        yield pa.table({"id": ids, "text_a": columns[0], "text_b": columns[1]})


def update(digest: Any, table: pa.Table) -> None:
    """Put ids and texts into a digest."""
    digest.update(table.column("id").to_numpy().astype("<i8").tobytes())
    for name in ("text_a", "text_b"):
        digest.update("\n".join(table.column(name).to_pylist()).encode())


def make_input(folder: Path, pairs: int) -> None:
    """Write the files that are not there yet; one that is there is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, pairs, ROWS_A_FILE)):
        file = folder / f"pairs-{number:05d}.parquet"
        if file.exists():
            continue
        partial = file.with_suffix(".partial")
        with pq.ParquetWriter(partial, next(blocks(0, 1)).schema, compression="zstd") as writer:
            for table in blocks(first, min(ROWS_A_FILE, pairs - first)):
                writer.write_table(table)
        partial.rename(file)


def expected(pairs: int) -> str:
    """Digest of what was made."""
    digest = sha256()
    for table in blocks(0, pairs):
        update(digest, table)
    return digest.hexdigest()


def check(output: Path, pairs: int) -> dict[str, Any]:
    """Read the output, a block at a time, and see that it is the whole input in its order, with scores."""
    digest, rows, in_order, scores_fit = sha256(), 0, True, True
    held: list[pa.Table] = []
    for shard in sorted((output / "scores").glob("part-*.parquet")):
        held.append(pq.read_table(shard))
        rest = pa.concat_tables(held)
        while len(rest) >= BLOCK or (len(rest) and rows + len(rest) == pairs):
            table, rest = rest[:BLOCK], rest[BLOCK:]
            ids, scores = (table.column(name).to_numpy() for name in ("id", "score"))
            in_order &= bool((ids == np.arange(rows, rows + len(ids))).all())
            scores_fit &= bool(((scores >= 0) & (scores <= 1)).all())
            update(digest, pa.table({name: table.column(name) for name in ("id", "text_a", "text_b")}))
            rows += len(table)
        held = [rest]
    rows += sum(map(len, held))
    return {
        "rows": rows,
        "ids_in_order": in_order and rows == pairs,
        "scores_between_0_and_1": scores_fit,
        "same_digest": digest.hexdigest() == expected(pairs),
    }


def memory_of(process: int) -> int:
    """Bytes that a process holds; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def score(source: Path, output: Path, model: str, more: list[str]) -> dict[str, Any]:
    """Run the command; gives its seconds and the memory it held."""
    command = [sys.executable, "-m", "pipelines.score", "--input", str(source), "--output", str(output)]
    began = time.monotonic()
    process = subprocess.Popen([*command, "--model", model, *more], cwd=ROOT, stdout=sys.stderr)
    samples: list[int] = []

    def watch() -> None:
        while process.poll() is None:
            samples.append(memory_of(process.pid))
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    watcher.join()
    if status:
        raise SystemExit(f"pipelines.score ended with status {status}; run this command again to go on.")
    found: dict[str, Any] = {"seconds": round(time.monotonic() - began, 1), "peak_bytes": max(samples)}
    steady = samples[START_UP:]
    if len(steady) < START_UP:
        return found | {"memory_flat": None}  # too short a run to tell
    quarter = len(steady) // 4
    early, late = (int(np.median(steady[at : at + quarter])) for at in (quarter, len(steady) - quarter))
    found |= {"median_bytes_second_quarter": early, "median_bytes_last_quarter": late}
    return found | {"memory_flat": late <= GROWTH * early}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    p.add_argument("--pairs", type=int, default=10_000_000, metavar="N", help="default: %(default)s")
    p.add_argument("--model", default="beam-sts-pico", help="default: %(default)s")
    p.add_argument(
        "--folder", type=Path, default=Path("out/load"), help="input and output (default: %(default)s)"
    )
    p.add_argument("more", nargs="*", help="more for pipelines.score, after --")
    own = p.parse_args(argv)
    source, output = own.folder.absolute() / "in", own.folder.absolute() / "out"
    make_input(source, own.pairs)
    found = {"pairs": own.pairs, "model": own.model} | score(source, output, own.model, own.more)
    summary = json.loads((output / "summary.json").read_text())
    found |= check(output, own.pairs) | {"shards_resumed": summary["shards_skipped"]}
    found["pairs_per_second"] = summary["pairs_per_second"]
    counts = summary["rows_read"] == summary["rows_scored"] == own.pairs and summary["rows_rejected"] == 0
    found |= {"counts_add_up": counts, "memory_under_1.5_GB": found["peak_bytes"] < MOST_BYTES}
    found["holds"] = not any(value is False for value in found.values())
    print(json.dumps(found | {"versions": versions()}, indent=1))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
