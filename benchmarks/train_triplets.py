"""Compares a short training on mined triplets with one on random negatives, by sentence-transformers.

    python -m benchmarks.train_triplets --data DIR

Triplets are mined from open sentences. The second set has the same anchors and positives, and random texts of
the same split as negatives. From each a small bi-encoder (the token table of an embedded model, as a
StaticEmbedding) is trained with the same steps, once per seed. The measure is the Spearman correlation with
the gold scores of STS Benchmark, which neither training uses (dev for choices, test for the figure).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts import mine
from benchmarks.hard_negatives import encoder

SOURCES = ("tatoeba_testsets", "flores_wikipedia", "wikipedia_wikisplit_part", "esnli_dev_test")


def sentences(data: Path, count: int) -> list[str]:
    """Sentences of 20 to 200 characters."""
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text", "source"])
    table = table.filter(pa.compute.is_in(table["source"].cast(pa.string()), pa.array(SOURCES)))
    texts = [text for text in dict.fromkeys(table["text"].to_pylist()) if 20 <= len(text) <= 200]
    random.Random(0).shuffle(texts)
    return texts[:count]


def mined_triplets(texts: list[str]) -> list[dict[str, str]]:
    """The rows of ``triplet-hard``, with up to three negatives per anchor."""
    mined = mine(texts, neighbours=8, lexical=2, positive=0.75, num_negatives=3, test_share=0, threads=1)
    found: list[dict[str, str]] = mined.rows("triplet-hard", "train")
    return found


def with_random_negatives(rows: list[dict[str, str]], texts: list[str], seed: int) -> list[dict[str, str]]:
    """The same anchors and positives with random negatives."""
    rng = random.Random(seed)
    return [{**row, "negative": rng.choice(texts)} for row in rows]


def trained(rows: list[dict[str, str]], seed: int, epochs: int, folder: str) -> Any:
    """The bi-encoder after training on the rows."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    model = encoder()
    arguments = SentenceTransformerTrainingArguments(
        folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=64,
        learning_rate=0.02,
        warmup_ratio=0.1,
        seed=seed,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    data = Dataset.from_list(rows)
    SentenceTransformerTrainer(
        model, arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model)
    ).train()
    return model


def spearman(model: Any, pairs: pa.Table) -> float:
    """Rank correlation of the cosines with gold scores."""
    from scipy.stats import spearmanr

    one, two = (
        model.encode(pairs[name].to_pylist(), normalize_embeddings=True, show_progress_bar=False)
        for name in ("sentence1", "sentence2")
    )
    return float(spearmanr((one * two).sum(axis=1), pairs["score"].to_numpy()).statistic)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="with sentences/ and stsb/")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--on", choices=("dev", "test"), default="dev")
    args = parser.parse_args()
    pairs = pq.read_table(args.data / "stsb" / f"{args.on}.parquet")
    texts = sentences(args.data, args.texts)
    rows = mined_triplets(texts)
    print(json.dumps({"triplets": len(rows), "anchors": len({row["anchor"] for row in rows})}), flush=True)
    print(json.dumps({"untrained": round(spearman(encoder(), pairs), 4)}), flush=True)
    differences = []
    with tempfile.TemporaryDirectory(prefix="beam_sts-") as folder:
        for seed in range(args.seeds):
            found = {
                "mined": rows,
                "random": with_random_negatives(rows, texts, seed),
            }
            scores = {
                name: spearman(trained(some, seed, args.epochs, folder), pairs)
                for name, some in found.items()
            }
            differences.append(scores["mined"] - scores["random"])
            shown = {name: round(score, 4) for name, score in scores.items()}
            print(json.dumps({"seed": seed, **shown}), flush=True)
    print(json.dumps({"mean difference": round(float(np.mean(differences)), 4)}))


if __name__ == "__main__":
    main()
