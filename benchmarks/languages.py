"""How often a run gets the warning that the model does not know its language, for English and others.

    python -m benchmarks.languages --data DIR

A run is a random sample of texts in one language or, for English, from one source. `--data` names a folder
with `stsb_multi/{train,dev}.parquet` and `sentences/open_sentences.parquet`. The language of each text is
detected once. A fifth of the texts of `mixed` runs are in another language, the others are English.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from beam_sts.scoring.languages import Languages, languages_of

_EACH = 1500  # texts of a language or source
_SHORT = 6  # words


def texts_of(data: Path) -> Iterator[tuple[str, list[str]]]:
    for split in ("train", "dev"):
        found: dict[str, set[str]] = defaultdict(set)
        for row in pq.read_table(data / "stsb_multi" / f"{split}.parquet").to_pylist():
            found[row["lang"]] |= {row["sentence1"], row["sentence2"]}
        for language, distinct in found.items():
            yield f"{split} {language}", sorted(distinct)
            yield f"{split} {language}, short", [text for text in sorted(distinct) if len(text) <= 35]
    sources = defaultdict(list)
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text", "source"])
    for row in table.to_pylist():
        sources[row["source"]].append(row["text"])
    every = [text for texts in sources.values() for text in texts]
    yield "en, all", every
    yield f"en, at most {_SHORT} words", [text for text in every if len(text.split()) <= _SHORT]
    for source, texts in sources.items():
        yield f"en, {source}", texts


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.languages", description=__doc__)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--runs", type=int, default=500, help="runs of each language or source")
    own = p.parse_args()
    rng = random.Random(29)
    english: list[Languages] = []
    for name, texts in texts_of(own.data):
        chosen = rng.sample(texts, min(_EACH, len(texts)))
        found = [languages_of([text], ["en"]) for text in chosen]
        english = found if name == "en, all" else english
        for rows in (10, 200):
            warned = sum(bool(joined(rng.choices(found, k=rows)).unknown) for _ in range(own.runs))
            print(
                f"{name:35} {rows:4} rows: {warned / own.runs:.3f} of {own.runs} runs get the warning",
                flush=True,
            )
        if name.startswith("train") and "short" not in name:
            foreign = found
            english = english or [languages_of([text], ["en"]) for text in _some_english(own.data, rng)]
            runs = [rng.choices(english, k=160) + rng.choices(foreign, k=40) for _ in range(own.runs)]
            warned = sum(bool(joined(run).unknown) for run in runs)
            print(
                f"{name + ', mixed':35}  200 rows: {warned / own.runs:.3f} of {own.runs} runs get the warning"
            )


def _some_english(data: Path, rng: random.Random) -> list[str]:
    texts = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text"])["text"].to_pylist()
    return rng.sample(texts, _EACH)


def joined(texts: list[Languages]) -> Languages:
    """Combine the languages of single texts."""
    counts: dict[str, int] = defaultdict(int)
    for text in texts:
        for name, count in text.counts.items():
            counts[name] += count
    return Languages(counts, sum(text.unsure for text in texts), ("en",))


if __name__ == "__main__":
    main()
