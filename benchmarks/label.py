"""The threshold that ``pipelines.label`` recommends, with labels by the true clusters.

    python -m benchmarks.label --data DIR

There is one run of ``pipelines.dedup`` for each data set. Then for each seed, sheets are written, labelled by
the truth and read, and a threshold is recommended. ``best`` is the lowest threshold with the wanted precision
by the labels of all pairs. The records are for evaluation only: the method was chosen on generated score
distributions and planted copies.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.cli.label import LabelSettings
from beam_sts.cli.label_sheet import (
    LabelledPair,
    judged_pairs,
    labels_of,
    population_of,
    read_sheet,
    write_sheet,
)
from beam_sts.dedup.runs import Run
from beam_sts.evaluation.label import STEPS, estimate_quality, steps_of
from benchmarks.dedup_records import RECORDS
from benchmarks.dedup_runs import dedup

# Every candidate gets a score, and the fact guard is off, so that the truth covers all pairs.
EVERY = ("--score_all", "--guard", "none")
SAME = Callable[[str, str], bool]


def cora(data: Path, work: Path, *options: str) -> SAME:
    """Run on Cora; returns a function that tells whether two ids are in one cluster."""
    table = pq.read_table(data / "cora" / "cora_docs.parquet").select(["id", "text", "cluster"])
    table = table.set_column(0, "id", table["id"].cast(pa.string()))
    dedup(work, table.drop_columns("cluster"), *EVERY, *options)
    cluster = dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True))
    return lambda a, b: bool(cluster[a] == cluster[b])


def matches(data: Path, work: Path, name: str) -> SAME:
    """Run one table of records against another; returns a function that tells whether two ids match."""
    records = pq.read_table(data / "records" / "records.parquet")
    records = records.filter(pc.equal(records["dataset"], name))
    a, b = (records.filter(pc.equal(records["side"], side)).select(["id", "text"]) for side in "AB")
    gold = pq.read_table(data / "records" / "matches.parquet")
    gold = gold.filter(pc.and_(pc.equal(gold["dataset"], name), pc.equal(gold["label"], 1)))
    known = set(zip(map(str, gold["id_a"].to_pylist()), map(str, gold["id_b"].to_pylist()), strict=True))
    dedup(work, a, *EVERY, *RECORDS, "--neighbours", "10", "--threshold", "0.3", against=b)
    return lambda one, two: (one, two) in known


def recommended(
    run: Run, same: SAME, sheets: list[int], seed: int, target: LabelSettings, work: Path
) -> float | None:
    """Write, label and read sheets of the given sizes in turn, and return the last recommendation."""
    labelled: list[LabelledPair] = []
    for number, count in enumerate(sheets):
        path = work / f"sheet-{number}.csv"
        path.unlink(missing_ok=True)
        write_sheet(run, str(path), count, seed, target.precision, labelled)
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            row["label"] = str(int(same(row["id_a"], row["id_b"])))
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        labelled += read_sheet(str(path))
    pairs = judged_pairs(run)
    best = estimate_quality(population_of(pairs), labels_of(pairs, labelled)[0]).recommend(
        target.precision, target.confidence
    )
    return best.threshold if best else None


def figures(
    run: Run, same: SAME, sheets: list[int], seeds: int, target: LabelSettings, work: Path
) -> dict[str, Any]:
    """Precision and recall of the recommended thresholds, and of the best threshold."""
    pairs = judged_pairs(run)
    ids = (map(str, pairs[name].to_pylist()) for name in ("id_a", "id_b"))
    truth = np.array([same(a, b) for a, b in zip(*ids, strict=True)])
    steps = steps_of(pairs["score"].to_numpy())
    above = np.bincount(steps, minlength=STEPS)[::-1].cumsum()[::-1]
    right = np.bincount(steps, truth, STEPS)[::-1].cumsum()[::-1]
    precision, recall = right / np.maximum(above, 1), right / right[0]
    reached = np.flatnonzero((precision >= target.precision) & (above > 0))
    found = [recommended(run, same, sheets, seed, target, work) for seed in range(seeds)]
    at = np.array([round(t * STEPS) for t in found if t is not None], dtype=int)
    best = int(reached[0]) if len(reached) else None
    gaps = np.abs(precision[at] - precision[best]) if best is not None else np.array([])
    # A seed without a recommendation counts as the largest error.
    gaps = np.concatenate([gaps, np.ones(seeds - len(at))])
    return {
        "sheets": "+".join(map(str, sheets)),
        "asked": target.precision,
        "pairs": len(pairs),
        "best": None if best is None else [best / STEPS, float(precision[best]), float(recall[best])],
        "median_threshold": float(np.median(at)) / STEPS if len(at) else None,
        "median_precision": float(np.median(precision[at])) if len(at) else None,
        "median_recall": float(np.median(recall[at])) if len(at) else None,
        "median_gap": float(np.median(gaps)),
        "gaps_over_0.03": int((gaps > 0.03).sum()),
        "below_asked_by_0.02": int((precision[at] < target.precision - 0.02).sum()),
        "none": seeds - len(at),
    }


def measured(
    data: Path, work: Path, seeds: int, names: list[str], precision: float
) -> Iterator[dict[str, Any]]:
    """One line for each data set and way of labelling."""
    average = ["--neighbours", "20", "--model_share", "0.5", "--threshold", "0.46"]
    ways: dict[str, Callable[[Path], SAME]] = {
        "cora": lambda to: cora(data, to),
        "cora_records": lambda to: cora(data, to, *RECORDS, *average),
        "dblp_acm": lambda to: matches(data, to, "D4_dblp_acm"),
        "abt_buy": lambda to: matches(data, to, "D2_abt_buy"),
    }
    for name in names or ways:
        same = ways[name](work / name)
        run = Run.at(str(work / name / "out"))
        for sheets in ([200], [100, 100]):
            yield {"of": name, **figures(run, same, sheets, seeds, LabelSettings(precision=precision), work)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("of", nargs="*", help="cora, cora_records, dblp_acm, abt_buy (default: all)")
    parser.add_argument("--data", type=Path, required=True, help="folder with cora/ and records/")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--precision", type=float, default=0.95, help="wanted precision (default: %(default)s)"
    )
    parser.add_argument("--work", type=Path, help="folder in which runs are kept")
    own = parser.parse_args()
    if not (own.data / "cora").is_dir() or not (own.data / "records").is_dir():
        print(f"skipped: {own.data} has no folders cora and records; their data is not in the repository")
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in measured(own.data, own.work or Path(folder), own.seeds, own.of, own.precision):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
