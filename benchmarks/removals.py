"""Random removals of a corpus, with the differences of the two texts, for review by people.

    python -m benchmarks.removals CORPUS.parquet [--draw 40] [--seed 1] [--below 0.95] [--threshold 0.8] ...

`CORPUS.parquet` has the columns `id` and `text`, as `benchmarks.kinds` writes them. Other options are passed
to deduplication. Removals that differ from their survivor only in white space or case are not drawn. Words
only in the removed row are shown as `[-words-]`, words only in the survivor as `{+words+}`.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from beam_sts.dedup.facts.align import align_tokens
from beam_sts.dedup.library import deduplicate

_CONTEXT = 5
_SHOWN = 60  # limit of the words of a difference
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def difference(one: str, two: str) -> str:
    """The differences of two texts, with a few words around them.

    >>> difference("It rained all day.", "It snowed all day.")
    'It [-rained-]{+snowed+} all day .'
    """
    a, b = ([piece for piece in _PIECES.findall(text) if piece.strip()] for text in (one, two))
    shown, last = list[str](), 0
    for block in align_tokens(a, b):
        same = a[last : block.a]
        if len(same) > 2 * _CONTEXT + 1:
            head = same[:_CONTEXT] if last else []
            same = [*head, "...", *same[-_CONTEXT:]]
        shown += same
        gone, put = a[block.a : block.b], b[block.c : block.d]
        shown.append((f"[-{_cut(gone)}-]" if gone else "") + (f"{{+{_cut(put)}+}}" if put else ""))
        last = block.b
    return " ".join([*shown, *a[last : last + _CONTEXT], *(["..."] if len(a) > last + _CONTEXT else [])])


def _cut(words: list[str]) -> str:
    if len(words) <= _SHOWN:
        return " ".join(words)
    half = _SHOWN // 2
    return " ".join([*words[:half], f"... {len(words) - 2 * half} more ...", *words[-half:]])


def drawn(
    corpus: Path, count: int, seed: int, below: float = 2.0, **settings: Any
) -> tuple[int, list[dict[str, Any]]]:
    """The number of removals that differ in more than white space and case, and a sample of them."""
    table = pq.read_table(corpus)
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    result = deduplicate(table, text="text", id="id", **settings)
    gone = [
        {**row, "kept": texts[row["survivor"]]}
        for row in result.removed.to_pylist()
        if row["score"] < below and _bare(row["text"]) != _bare(texts[row["survivor"]])
    ]
    gone.sort(key=lambda row: row["id"])
    return len(gone), random.Random(seed).sample(gone, min(count, len(gone)))


def _bare(text: str) -> str:
    return "".join(text.casefold().split())


def _settings(rest: list[str]) -> Iterator[tuple[str, Any]]:
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        try:
            yield name.lstrip("-"), float(value)
        except ValueError:
            yield name.lstrip("-"), value


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.removals", description=__doc__)
    p.add_argument("corpus", type=Path)
    p.add_argument("--draw", type=int, default=40)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--below", type=float, default=2.0, help="draw those that score less")
    own, rest = p.parse_known_args()
    count, rows = drawn(own.corpus, own.draw, own.seed, own.below, **dict(_settings(rest)))
    print(f"{own.corpus.stem}: {count:,} removed that are not equal; {len(rows)} drawn")
    for number, row in enumerate(rows, 1):
        sizes = f"{len(row['text'])} / {len(row['kept'])} characters, lost {row['lost']}"
        print(f"\n## {number}. {row['id']} -> {row['survivor']}: {row['score']:.3f}, {sizes}")
        print(difference(row["text"], row["kept"]))


if __name__ == "__main__":
    main()
