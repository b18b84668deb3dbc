"""How well test items are found in pages: ``dedup --contains --against ITEMS``.

    python -m benchmarks.passages --data DIR [--on books|everyday|debian] [--seeds N]

Items are open sentences, and pages are other texts: Debian's package descriptions, passages of books, or
everyday dialogues and captions. One page in five gets an item: unchanged, re-wrapped (white space and line
breaks changed), padded (the page is 1 to 10 times as long as the item), or with a fifth of its words replaced
by words of other items. Recall is the share of these items that are found. A flagged page has no item put
into it, but a passage is found in it: an occurrence if a passage has four fifths of an item's words, in order
and at most one word longer or shorter, as an injected item with a fifth of its words replaced has; otherwise
it is false. ``--show`` prints both. ``--data`` has sentences/ and dedup/.

The method was chosen on ``--on books --part choice``: pages and items are in one half by their hash.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import zlib
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.passages.index import ItemIndex
from beam_sts.passages.settings import CONTAINED

KINDS = ("verbatim", "re-wrapped", "padded", "20% replaced")
PARTS = ("choice", "figure")
SOURCES = {
    "books": ("openstax_textbooks", "cia_factbook", "wikipedia_wikisplit_part"),
    "everyday": ("sgd_dialogues", "esnli_dev_test", "flores_wikipedia"),
    "debian": (),
}
"""Sources of the pages, in which 3 to 12 sentences that follow each other are a page."""


def sentences_of(data: Path) -> tuple[list[str], list[str]]:
    """Open sentences and their sources, without Debian's."""
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text", "source"])
    table = table.filter(pc.invert(pc.match_substring(table["source"].cast(pa.string()), "ebian")))
    return table["text"].to_pylist(), table["source"].to_pylist()


def of_part(texts: list[str], part: str) -> list[str]:
    """The texts of a half."""
    return [text for text in texts if PARTS[zlib.crc32(text[:40].encode()) % 2] == part]


def items_of(own: argparse.Namespace, rng: random.Random, least: int, most: int) -> list[str]:
    """Sentences of ``least`` to ``most`` words, none of them of the sources of the pages."""
    pairs = zip(*sentences_of(own.data), strict=True)
    texts = [text for text, source in pairs if source not in SOURCES[own.on]]
    rng.shuffle(texts)
    found = dict.fromkeys(text for text in texts if least <= len(text.split()) <= most)
    return of_part(list(found), own.part)[: own.items]


def pages_of(own: argparse.Namespace, rng: random.Random) -> list[str]:
    """Debian's descriptions, or passages of sentences, in random order."""
    if own.on == "debian":
        texts = pq.read_table(own.data / "dedup" / "debian_descriptions.parquet")["text"].to_pylist()
    else:
        every, sources = sentences_of(own.data)
        texts = []
        for name in SOURCES[own.on]:
            rows = [text for text, source in zip(every, sources, strict=True) if source == name]
            while rows:
                size = rng.randint(3, 12)
                texts.append(" ".join(rows[:size]))
                del rows[:size]
    rng.shuffle(texts)
    return of_part(texts, own.part)[: own.pages]


def rewrapped(text: str, rng: random.Random) -> str:
    """An item with other white space between the words."""
    return "".join(
        word if number % 2 == 0 else rng.choice((" ", "  ", "\n", "\n  ", "\t", "\r\n", "\u00a0"))
        for number, word in enumerate(re.split(r"(\s+)", text))
    )


def replaced(text: str, words: list[str], rng: random.Random) -> str:
    """An item with a random fifth of the words replaced."""
    parts = text.split()
    for at in rng.sample(range(len(parts)), round(len(parts) * 0.2)):
        parts[at] = rng.choice(words)
    return " ".join(parts)


def injected(
    item: str, kind: str, page: str, words: list[str], rng: random.Random, before: str
) -> tuple[str, int, int]:
    """A page with an item inserted after ``before``, and the item's start and end."""
    text = {
        "re-wrapped": lambda: rewrapped(item, rng),
        "20% replaced": lambda: replaced(item, words, rng),
    }.get(kind, lambda: item)()
    if kind == "padded":
        page = (page + " " + page) if len(page) < len(item) else page
        page = page[: int(len(item) * rng.uniform(1, 10))]
    cut = rng.choice([0, len(page), *(match.start() for match in re.finditer(r"\s", page))])
    start = cut + len(before)
    after = "\n" if before == "\n" else " "
    return f"{page[:cut]}{before}{text}{after}{page[cut:]}", start, start + len(text)


def occurs(item: str, passage: str) -> bool:
    """Whether a passage has four fifths of an item's words, in order, and about its length."""
    a, b = (re.findall(r"[^\W_]+", text.casefold()) for text in (item, passage))
    blocks = [
        match for match in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks() if match.size
    ]
    if not blocks:
        return False
    first, last = blocks[0], blocks[-1]
    longer = abs((last.a + last.size - first.a) - (last.b + last.size - first.b))
    return sum(match.size for match in blocks) >= 0.8 * len(a) and longer <= 1


def measured(own: argparse.Namespace, least: int, most: int) -> dict[str, Any]:
    """Recall by kind of change, flagged pages, accuracy of the offsets, and time, over all seeds."""
    total, hit, fit = (dict.fromkeys(KINDS, 0) for _ in range(3))
    flagged: list[tuple[bool, str, str, float]] = []
    without, items, took = 0, 0, 0.0
    for seed in range(own.seed, own.seed + own.seeds):
        rng = random.Random(seed)
        wanted = items_of(own, rng, least, most)
        words = [word for text in wanted[:2000] for word in text.split()]
        texts: list[str] = []
        put: list[tuple[str, int, int, int] | None] = []
        for number, page in enumerate(pages_of(own, rng)):
            if number % 5:
                texts.append(page)
                put.append(None)
                continue
            item, kind = rng.randrange(len(wanted)), own.kind or KINDS[number // 5 % len(KINDS)]
            text, start, stop = injected(wanted[item], kind, page, words, rng, own.before)
            texts.append(text)
            put.append((kind, item, start, stop))
        started = time.process_time()
        finds = ItemIndex.of(wanted).find(pa.array(texts), own.contained)
        took += time.process_time() - started
        found: dict[int, list[tuple[int, int, int, float]]] = {}
        columns = (finds.page, finds.item, finds.start, finds.stop, finds.score)
        for at, item, start, stop, score in zip(*(column.tolist() for column in columns), strict=True):
            found.setdefault(at, []).append((item, start, stop, score))
        for at, what in enumerate(put):
            if what is None:
                here = [
                    (occurs(wanted[item], texts[at][start:stop]), item, start, stop, score)
                    for item, start, stop, score in found.get(at, ())
                ]
                if here:
                    real, item, start, stop, score = max(here)
                    shown = texts[at][max(0, start - 30) : stop + 30]
                    flagged.append((real, wanted[item], shown, round(score, 3)))
                continue
            kind, item, start, stop = what
            total[kind] += 1
            right = [f for f in found.get(at, ()) if f[1] < stop and f[2] > start and f[0] == item]
            hit[kind] += bool(right)
            fit[kind] += any(abs(f[1] - start) <= 12 and abs(f[2] - stop) <= 12 for f in right)
        without += sum(what is None for what in put)
        items += len(wanted)
    false = sum(not real for real, *_ in flagged)
    return {
        "on": own.on,
        "part": own.part,
        "seeds": own.seeds,
        "items": items,
        "item_words": [least, most],
        "contained": own.contained,
        "recall": {kind: round(hit[kind] / max(1, total[kind]), 4) for kind in KINDS},
        "offsets_within_12_characters": {kind: round(fit[kind] / max(1, hit[kind]), 4) for kind in KINDS},
        "pages_without": without,
        "flagged": len(flagged),
        "occurrences": len(flagged) - false,
        "false": false,
        "false_per_10000": round(10_000 * false / max(1, without), 2),
        "cpu": round(took, 1),
        **({"shown": sorted(flagged)} if own.show else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--on", choices=tuple(SOURCES), default="debian", help="the pages")
    parser.add_argument("--part", choices=PARTS, default="figure", help="the half of pages and items")
    parser.add_argument("--kind", choices=KINDS, help="inject only items with this change")
    parser.add_argument("--before", default="\n", help="characters between the page and an item put into it")
    parser.add_argument("--words", type=int, nargs=2, help="fewest and most words of an item")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=12_500)
    parser.add_argument("--contained", type=float, default=CONTAINED)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--show", action="store_true", help="print the flagged pages")
    own = parser.parse_args()
    if not (own.data / "sentences").is_dir() or not (own.data / "dedup").is_dir():
        print(f"skipped: {own.data} has no folders sentences and dedup; their data is not in the repository")
        return
    for least, most in [own.words] if own.words else ((8, 15), (16, 30), (31, 80)):
        line = measured(own, least, most)
        shown = line.pop("shown", [])
        print(json.dumps(line, ensure_ascii=False), flush=True)
        for real, item, text, score in shown:
            print("  occurrence" if real else "  false", score, repr(item), repr(text), sep=" | ")


if __name__ == "__main__":
    main()
