"""Compares a short training on mined triplets with one on random negatives, by sentence-transformers.

    python -m benchmarks.train_triplets --data DIR

``beam-sts mine`` mines triplets of open sentences, and ``load_dataset(DIR, "triplet-hard")`` reads them. The
second set has the same anchors and positives, and random sentences as negatives. From each a small bi-encoder
(the token table of an embedded model, as a StaticEmbedding) is trained with the same steps, once per seed and
loss. The measure is the Spearman correlation with the gold scores of STS Benchmark, which neither training
uses (dev for choices, test for the figure).
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
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.cli import mine
from benchmarks.hard_negatives import encoder

SOURCES = ("tatoeba_testsets", "flores_wikipedia", "wikipedia_wikisplit_part", "esnli_dev_test")
LOSSES = ("MultipleNegativesRankingLoss", "TripletLoss")
_MARGIN = 0.3  # of the cosine, for the triplet loss
_MINE = ("--neighbours=8", "--lexical=0", "--num_negatives=3", "--test_share=0", "--quiet")


def sentences(data: Path, count: int) -> list[str]:
    """Sentences of 20 to 200 characters."""
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text", "source"])
    table = table.filter(pc.is_in(table["source"].cast(pa.string()), pa.array(SOURCES)))
    texts = [text for text in dict.fromkeys(table["text"].to_pylist()) if 20 <= len(text) <= 200]
    random.Random(0).shuffle(texts)
    return texts[:count]


def mined_triplets(texts: list[str], folder: Path) -> Any:
    """The rows of ``triplet-hard``, as the datasets library reads them from the output of the command."""
    from datasets import load_dataset

    pq.write_table(pa.table({"text": texts}), folder / "texts.parquet")
    places = [f"--input={folder / 'texts.parquet'}", f"--output={folder / 'mined'}"]
    if mine.main([*places, *_MINE]):
        raise RuntimeError("mine failed")
    mined = str(folder / "mined")
    return load_dataset(mined, "triplet-hard", split="train", cache_dir=str(folder / "cache"))


def with_random_negatives(rows: Any, texts: list[str], seed: int) -> Any:
    """The same anchors and positives with random negatives."""
    rng = random.Random(seed)
    return rows.remove_columns("negative").add_column("negative", [rng.choice(texts) for _ in rows])


def trained(rows: Any, loss: str, seed: int, epochs: int, folder: str) -> Any:
    """The bi-encoder after training on the rows."""
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
    from sentence_transformers.training_args import BatchSamplers

    model = encoder()
    cosine = losses.TripletDistanceMetric.COSINE
    more = {"distance_metric": cosine, "triplet_margin": _MARGIN} if loss == "TripletLoss" else {}
    arguments = SentenceTransformerTrainingArguments(
        folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=64,
        learning_rate=0.02,
        warmup_ratio=0.1,
        batch_sampler=BatchSamplers.NO_DUPLICATES,  # an anchor has several rows
        seed=seed,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    of = getattr(losses, loss)(model, **more)
    SentenceTransformerTrainer(model, arguments, train_dataset=rows, loss=of).train()
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
    parser.add_argument("--texts", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if not (args.data / "sentences").is_dir() or not (args.data / "stsb").is_dir():
        print(f"skipped: {args.data} has no folders sentences and stsb; their data is not in the repository")
        return
    gold = {name: pq.read_table(args.data / "stsb" / f"{name}.parquet") for name in ("dev", "test")}

    def measured(model: Any) -> dict[str, float]:
        return {name: spearman(model, pairs) for name, pairs in gold.items()}

    with tempfile.TemporaryDirectory(prefix="beam_sts-") as folder:
        texts = sentences(args.data, args.texts)
        rows = mined_triplets(texts, Path(folder))
        print(json.dumps({"triplets": len(rows), "anchors": len(set(rows["anchor"]))}), flush=True)
        print(json.dumps({"untrained": shown(measured(encoder()))}), flush=True)
        for loss in LOSSES:
            found: dict[str, list[dict[str, float]]] = {"mined": [], "random": []}
            for seed in range(args.seeds):
                sets = {"mined": rows, "random": with_random_negatives(rows, texts, seed)}
                for name, some in sets.items():
                    found[name].append(measured(trained(some, loss, seed, args.epochs, folder)))
                    print(json.dumps({"seed": seed, name: shown(found[name][-1])}), flush=True)
            means = {
                name: {split: float(np.mean([one[split] for one in every])) for split in gold}
                for name, every in found.items()
            }
            line = {name: shown(mean) for name, mean in means.items()}
            print(json.dumps({"loss": loss, **line}), flush=True)


def shown(scores: dict[str, float]) -> dict[str, float]:
    """Scores with four digits."""
    return {name: round(score, 4) for name, score in scores.items()}


if __name__ == "__main__":
    main()
