"""Generates the fact guard's table of known words. ``exclusive.txt``, the other table, is written by hand.

python -m benchmarks.fact_tables --sentences open_sentences.parquet
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

TABLES = Path(__file__).parent.parent / "beam_sts" / "dedup" / "facts"
LEFT_OUT = "debian_descriptions"  # its lower-case words are often names of packages
LEAST = 5  # a known word is in at least this many sentences
_WORD = re.compile(r"(?<![\w.@/'-])[a-z]+(?![\w@/])")


def known_words(sentences: Path) -> list[str]:
    """The lower-case words that are in at least ``LEAST`` sentences."""
    counts: Counter[str] = Counter()
    for batch in pq.ParquetFile(sentences).iter_batches(columns=["text", "source"]):
        wanted = pc.not_equal(batch["source"].cast("string"), LEFT_OUT)
        for text in batch["text"].filter(wanted).to_pylist():
            counts.update(set(_WORD.findall(text)))
    return sorted(word for word, count in counts.items() if count >= LEAST and len(word) > 1)


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.fact_tables", description=__doc__)
    p.add_argument("--sentences", type=Path, required=True)
    args = p.parse_args()
    known = known_words(args.sentences)
    (TABLES / "known.txt").write_text("\n".join(known) + "\n")
    print(f"{len(known):,} words")


if __name__ == "__main__":
    main()
