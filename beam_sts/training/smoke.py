"""Tiny generated data and a recipe for it, so that tests run every stage without a download."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from beam_sts.training.edits import grammar_pairs
from beam_sts.training.fit import FitSettings
from beam_sts.training.leakage import HeldOut, drop_held_out
from beam_sts.training.recipe import Recipe


def smoke_recipe(folder: Path, size: str = "tiny") -> Recipe:
    """Write generated data in the form of STS-B, and make a recipe that trains on it in seconds.

    The teacher is the embedded model, which every installation has.

    Args:
        folder: Folder of the data; created if missing.
        size: Size of the student.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row[:3] for row in grammar_pairs(400, seed=3)]
    rng = random.Random(3)
    texts = [row[0] for row in rows]
    rows += [(rng.choice(texts), rng.choice(texts), 0.1) for _ in range(200)]
    rng.shuffle(rows)
    held, train = rows[:120], rows[120:]
    kept = drop_held_out([r[0] for r in train], [r[1] for r in train], HeldOut.of((r[0], r[1]) for r in held))
    for split, part in (("train", [train[i] for i in kept]), ("dev", held[:60]), ("test", held[60:])):
        columns = dict(
            zip(("sentence1", "sentence2", "score"), map(list, zip(*part, strict=True)), strict=True)
        )
        pa.parquet.write_table(pa.table(columns), folder / f"{split}.parquet")
    few = FitSettings(epochs=1, batch_size=32, learning_rate=1e-3)
    return Recipe(
        stsb=str(folder / "{split}.parquet"),
        size=size,
        teacher=str(Path(__file__).parents[1] / "models" / "embedded" / "beam-sts-nano"),
        pairs=300,
        edits=100,
        facts=40,
        documents=10,
        roles=20,
        swaps=20,
        identical=20,
        replaced=20,
        labelled_again=40,
        pretrain=few,
        finetune=few,
    )
