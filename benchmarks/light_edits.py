"""How many lightly edited copies of short sentences dedup removes, by kind of edit and threshold.

    python -m benchmarks.light_edits --data DIR [--sentences 400] [--guard facts] [--set measure]

`--data` names a folder with `sentences/open_sentences.parquet`. Sentences of 8 to 30 words are drawn, half to
choose by (`--set choose`), half to measure (`--set measure`). One copy of each, with one kind of edit, is
planted among all of them and as many others. A run at the lowest threshold is decided again at higher ones.
Replaced words are lower case, have at least five letters, and are in no table of facts. In brackets: other
removed rows.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from beam_sts import deduplicate
from beam_sts.dedup.facts import tables

THRESHOLDS = (0.7, 0.75, 0.8, 0.85, 0.9)
_PAIRS = """
large sizeable, begin commence, began commenced, purchase acquisition, quickly rapidly, often frequently,
house dwelling, people persons, children youngsters, required needed, require need, important significant,
difficult demanding, usually generally, provide supply, provides supplies, provided supplied,
include comprise, includes comprises, different distinct, discover detect, discovered detected,
because since, method technique,
methods techniques, person individual, answer reply, world globe, become turn, became turned, create produce,
created produced, creates produces, various diverse, throughout across, during amid, called named,
located situated, certain particular, several various, allows permits, allow permit, contains holds,
contain hold, information data, problem trouble, problems troubles, standing stood, small little,
sitting seated, street road, looking gazing, photo picture, picture image, talking speaking, movie film,
should ought, restaurant eatery, great excellent, think believe
"""
SYNONYMS = dict(pair.split() for pair in _PAIRS.split(","))
FREE = ["indeed", "here", "of course", "as it were", "in fact", "so to speak"]


def is_free(word: str) -> bool:
    """Whether a word is in no table of facts."""
    return bool(re.fullmatch(r"[a-z]{5,}", word)) and word not in _GUARDED


_GUARDED = {
    word
    for name in dir(tables)
    if isinstance(found := getattr(tables, name), (set, frozenset, dict))
    for word in found
    if isinstance(word, str)
}


def punctuation(text: str, rng: random.Random) -> str | None:
    places = [found.start() for found in re.finditer(r"[,;:.!?]", text)]
    if places and rng.random() < 0.5:
        at = rng.choice(places)
        changed = text[:at] + rng.choice([";", " -", ""]) + text[at + 1 :]
    else:
        words = text.split()
        at = rng.randrange(1, len(words))
        changed = " ".join([*words[:at]]) + ", " + " ".join(words[at:])
    return changed if not re.search(r"\d[.,]\d", text) else None


def case(text: str, rng: random.Random) -> str | None:
    return rng.choice([text.upper(), text.lower(), text.title()])


def insertion(text: str, rng: random.Random) -> str | None:
    words = text.split()
    at = rng.randrange(1, len(words))
    return " ".join([*words[:at], rng.choice(FREE), *words[at:]])


def items(text: str, rng: random.Random) -> str | None:
    found = re.search(r"\b([a-z]{4,}), ([a-z]{4,}),? (and|or) ([a-z]{4,})\b", text)
    if not found:
        return None
    one, two, word, three = found.groups()
    return f"{text[: found.start()]}{three}, {one} {word} {two}{text[found.end() :]}"


def synonym(text: str, rng: random.Random) -> str | None:
    words = text.split()
    places = [at for at, word in enumerate(words) if word in SYNONYMS]
    if not places:
        return None
    at = rng.choice(places)
    words[at] = SYNONYMS[words[at]]
    return " ".join(words)


def misspelling(text: str, rng: random.Random) -> str | None:
    words = text.split()
    places = [at for at, word in enumerate(words) if is_free(word)]
    if not places:
        return None
    at = rng.choice(places)
    word = words[at]
    place = rng.randrange(1, len(word) - 2)
    words[at] = rng.choice(
        [
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        ]
    )
    return " ".join(words) if words[at] != word else None


def exchanged(text: str, rng: random.Random) -> str | None:
    """The two sentences of a text of two."""
    one, _, two = text.partition(BETWEEN)
    return f"{two}{BETWEEN}{one}" if two else None


BETWEEN = "\n"
KINDS: dict[str, Callable[[str, random.Random], str | None]] = {
    "punctuation": punctuation,
    "case": case,
    "list items exchanged": items,
    "sentences exchanged": exchanged,
    "insertion": insertion,
    "synonym": synonym,
    "misspelling": misspelling,
}


def drawn(data: Path, which: str) -> list[str]:
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text"])
    texts = sorted({text for text in table["text"].to_pylist() if 8 <= len(text.split()) <= 30})
    random.Random(29).shuffle(texts)
    return texts[::2] if which == "choose" else texts[1::2]


def planted(texts: list[str], kind: str, count: int) -> Iterator[tuple[str, str]]:
    rng = random.Random(kind)
    if kind == "sentences exchanged":
        texts = [BETWEEN.join(pair) for pair in zip(texts[::2], texts[1::2], strict=False)]
    made = ((text, KINDS[kind](text, rng)) for text in texts)
    good = ((text, copy) for text, copy in made if copy and copy != text)
    for _, pair in zip(range(count), good, strict=False):
        yield pair


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.light_edits", description=__doc__)
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--sentences", type=int, default=400, help="copies of each kind")
    p.add_argument("--set", choices=("choose", "measure"), default="measure")
    p.add_argument("--guard", default="facts")
    p.add_argument("--model_share", type=float, default=0.25)
    own = p.parse_args()
    texts = drawn(own.data, own.set)
    others = texts[-own.sentences :]
    for kind in KINDS:
        pairs = list(planted(texts[: -own.sentences], kind, own.sentences))
        rows = [text for text, _ in pairs] + others + [copy for _, copy in pairs]
        last = len(rows) - len(pairs)
        done = deduplicate(
            rows, threshold=THRESHOLDS[0], guard=own.guard, model_share=own.model_share, languages="ignored"
        )
        cells = []
        for threshold in THRESHOLDS:
            removed = {row["text"]: row["survivor"] for row in done.at(threshold).removed}
            found = sum(
                removed.get(copy) == at or removed.get(text) == last + at
                for at, (text, copy) in enumerate(pairs)
            )
            wrong = len(removed) - found
            cells.append(f"{threshold}: {found / len(pairs):.3f} ({wrong})")
        print(
            f"{kind:22} {len(pairs):5} copies; removed from a threshold (others): {', '.join(cells)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
