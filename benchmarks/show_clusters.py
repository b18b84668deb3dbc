"""Writes a page of clusters of a finished run for inspection: the largest, and some at random.

    python -m benchmarks.dedup debian --data DIR --work WORK
    python -m benchmarks.show_clusters --run WORK/debian/out --page docs/experiments/debian.md

For each cluster it shows the removed row with the lowest score and its survivor: their beginnings, and the
texts where they first differ.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

HEAD = """# Clusters of the Debian descriptions

Made by `python -m benchmarks.show_clusters` from {rows:,} package descriptions (Debian bookworm,
DFSG-free, each under its package's licence), of which {removed:,} were removed. Of each cluster: its rows,
how many of them were removed, and the removal with the lowest score, by package. After the beginning of the
row that stayed come the two texts where they first differ, the row that stayed above, the removed one below.
"""


def excerpt(text: str, at: int, width: int = 110) -> str:
    begin = max(0, at - 30)
    cut = ("..." if begin else "") + " ".join(text[begin : begin + width].split())
    return cut.replace("`", "'") or "(nothing)"


def entry(rows: list[dict[str, Any]], texts: dict[Any, tuple[str, str]]) -> list[str]:
    gone = [row for row in rows if row["survivor"] is not None]
    worst = min(gone, key=lambda row: (row["score"], row["id"]), default=None)
    if worst is None:
        return [f"- {len(rows)} rows, none removed", ""]
    kept, first = texts[worst["survivor"]]
    lost, second = texts[worst["id"]]
    alike = zip(first, second, strict=False)
    at = next((place for place, (x, y) in enumerate(alike) if x != y), min(len(first), len(second)))
    lines = [f"- {len(rows)} rows, {len(gone)} removed; {lost} for {kept}, score {worst['score']:.3f}", ""]
    block = [excerpt(first, 0, 90)]
    block += ["(equal)"] if first == second else [excerpt(first, at), excerpt(second, at)]
    return [*lines, "    ```text", *(f"    {line}" for line in block), "    ```", ""]


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.show_clusters", description=__doc__)
    p.add_argument("--run", type=Path, required=True, help="output folder of pipelines.dedup")
    p.add_argument("--page", type=Path, required=True)
    p.add_argument("--each", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    own = p.parse_args()
    texts, receipts = {}, {}
    for folder in ("kept", "removed"):
        for row in pq.read_table(own.run / folder).to_pylist():
            texts[row["id"]] = row["package"], row["text"]
            receipts[row["id"]] = {
                "survivor": row.get("survivor"),
                "score": row.get("score"),
                "id": row["id"],
            }
    members: dict[Any, list[dict[str, Any]]] = {}
    for row in pq.read_table(own.run / "clusters").to_pylist():
        members.setdefault(row["cluster"], []).append(receipts[row["id"]])
    sizes = Counter({name: len(rows) for name, rows in members.items() if len(rows) > 1})
    largest = sorted(sizes, key=lambda name: (-sizes[name], str(name)))[: own.each]
    drawn = random.Random(own.seed).sample(sorted(sizes, key=str), own.each)
    removed = sum(row["survivor"] is not None for row in receipts.values())
    lines = [HEAD.format(rows=len(texts), removed=removed)]
    for title, names in ((f"The {own.each} largest", largest), (f"{own.each} drawn at random", drawn)):
        lines += [f"## {title}", ""]
        for name in names:
            lines += entry(members[name], texts)
    own.page.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()
