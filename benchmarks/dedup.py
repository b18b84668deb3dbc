"""How good and how fast `pipelines.dedup` is: known duplicates, records, a real corpus, planted copies.

    python -m benchmarks.dedup cora news dblp_acm abt_buy edited    # quality; minutes
    python -m benchmarks.dedup debian                               # 64,562 texts
    python -m benchmarks.dedup planted --documents 1000000          # recall by edit level, memory, time

With ``--work DIR``, a killed run continues when it is started again. ``peak_mib`` is the peak memory of all
its processes together.

The data of all but the last is not in the repository: `--data DIR` names it, and without it they are skipped.
Every threshold, of beam_sts and of each peer, is chosen on a random half of the clusters (or rows) and
measured on the other half: the mean of ten halves, with the lowest and the highest. Peers run in the same
run, each in a separate process.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.dedup_planted import edited, planted
from benchmarks.dedup_records import cora, matching
from benchmarks.dedup_runs import Peers, costs_of, dedup, peer_costs

DEBIAN = ["--minhash_similarity", "0.8", "--bucket_cap", "20"]


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


def debian(data: Path, work: Path, peers: Peers) -> Iterator[dict[str, Any]]:
    table = pq.read_table(data / "debian_descriptions.parquet").select(["package", "text"])
    table = table.append_column("id", pa.array(map(str, range(len(table)))))
    summary, _ = dedup(work / "debian", table, *DEBIAN)
    yield {"of": f"ours, {' '.join(DEBIAN)}", **costs_of(summary)}
    for name, answer in peers.run(table, [0.8]):
        gone = {one for one, _, _ in answer["found"][0]}
        yield {"of": f"{name} at 0.8", "removed": len(gone), **peer_costs(answer)}


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.dedup", description=__doc__)
    parts = ("cora", "news", "dblp_acm", "abt_buy", "edited", "debian", "planted")
    p.add_argument("parts", nargs="*", default=parts, metavar="PART", help=", ".join(parts))
    p.add_argument("--data", type=Path, help="folder with news, cora, records, ...")
    p.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    p.add_argument(
        "--options",
        default="--minhash_similarity 0.8",
        help="of pipelines.dedup, for planted; write --options='...' (default: %(default)s)",
    )
    p.add_argument("--work", type=Path, help="folder in which runs are kept")
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
        "edited": lambda: edited(own.data, work),
        "debian": lambda: debian(own.data, work, peers),
        "planted": lambda: (row for n in own.documents for row in planted(work, n, shlex.split(own.options))),
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
