"""The probes of robustness for any model: facts told apart, forms recognised.

    python -m benchmarks.probes --model beam-sts-nano --model beam-sts-pico --model DIR [--half dev]

A model is one that ``PairScorer`` takes, or the folder of a sentence encoder (with ``modules.json``), whose
cosine is its score. By class (:mod:`beam_sts.training.robustness`): share ranked right, mean and lowest score
of the same meaning, mean score of another meaning, and the share of these at 0.9 or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beam_sts import PairScorer
from beam_sts.training import robustness

Pair = tuple[str, str]
COLUMNS = ("right", "same", "lowest", "other", "other_high")


def scores_of(model: str) -> Callable[[Sequence[Pair]], np.ndarray]:
    """The scores of pairs by a cross-encoder, or by the cosine of a sentence encoder."""
    if not (Path(model) / "modules.json").is_file():
        return PairScorer(model, threads=1).score
    from beam_sts.training.drawing import Embedder

    embed = Embedder(Path(model))

    def cosines(pairs: Sequence[Pair]) -> np.ndarray:
        first, second = (embed([pair[side] for pair in pairs]).astype(np.float32) for side in (0, 1))
        products: np.ndarray = (first * second).sum(axis=1)
        return products

    return cosines


def results(model: str, half: str | None) -> dict[str, dict[str, Any]]:
    """The report on a model, by class."""
    score = scores_of(model)
    triples = robustness.robustness_triples(half)
    same, other = (score(list(robustness.probe_pairs(triples, side))) for side in (True, False))
    return robustness.robustness_report(triples, same, other)


def table(models: Sequence[str], half: str | None) -> Iterable[str]:
    """A Markdown table, one row per class, with the figures of each model in one cell."""
    found = {Path(model).name: results(model, half) for model in models}
    yield f"Of each model: {', '.join(COLUMNS)}."
    yield ""
    yield "| class | triples | " + " | ".join(found) + " |"
    yield "|---|---|" + "---|" * len(found)
    for kind in (*robustness.FACTS, *robustness.FORMS):
        rows = [report[kind] for report in found.values()]
        cells = (" ".join(f"{row[name]:.2f}" for name in COLUMNS) for row in rows)
        yield f"| {kind} | {rows[0]['triples']} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", action="append", help="model or folder; may be repeated")
    parser.add_argument("--half", choices=robustness.HALVES, help="half of the probes (default: both)")
    args = parser.parse_args()
    print("\n".join(table(args.model or ["beam-sts-nano", "beam-sts-pico"], args.half)))


if __name__ == "__main__":
    main()
