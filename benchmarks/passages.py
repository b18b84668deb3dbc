"""How well test items are found in pages: ``dedup --contains --against ITEMS``.

    python -m benchmarks.passages --data DIR

Items are open sentences, pages are Debian's package descriptions. One page in five gets an item: unchanged,
re-wrapped (white space and line breaks changed), padded (the page is 1 to 10 times as long as the item), or
with a fifth of its words replaced by words of other items. Recall is the share of these items that are found.
A false page has no item, but a passage is found in it. ``--data`` has sentences/ and dedup/. The method was
chosen on pages of other open sentences: ``--on books``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_sts.passages.index import ItemIndex
from beam_sts.passages.settings import CONTAINED

KINDS = ("verbatim", "re-wrapped", "padded", "20% replaced")


BOOKS = ("openstax_textbooks", "cia_factbook", "wikipedia_wikisplit_part")
"""Sources of the pages of ``--on books``, in which 3 to 12 sentences that follow each other are a page."""


def sentences_of(data: Path) -> tuple[list[str], list[str]]:
    """Open sentences and their sources, without Debian's."""
    table = pq.read_table(data / "sentences" / "open_sentences.parquet", columns=["text", "source"])
    table = table.filter(pc.invert(pc.match_substring(table["source"].cast(pa.string()), "ebian")))
    return table["text"].to_pylist(), table["source"].to_pylist()


def items_of(data: Path, on: str, count: int, rng: random.Random, least: int, most: int) -> list[str]:
    """Sentences of ``least`` to ``most`` words, none of them of the sources of the pages."""
    left_out = BOOKS if on == "books" else ()
    texts = [text for text, source in zip(*sentences_of(data), strict=True) if source not in left_out]
    rng.shuffle(texts)
    found = dict.fromkeys(text for text in texts if least <= len(text.split()) <= most)
    return list(found)[:count]


def pages_of(data: Path, on: str, rng: random.Random) -> list[str]:
    """Debian's descriptions, or passages of books, in random order."""
    if on == "debian":
        texts = pq.read_table(data / "dedup" / "debian_descriptions.parquet")["text"].to_pylist()
    else:
        every, sources = sentences_of(data)
        texts = []
        for book in BOOKS:
            rows = [text for text, source in zip(every, sources, strict=True) if source == book]
            while rows:
                size = rng.randint(3, 12)
                texts.append(" ".join(rows[:size]))
                del rows[:size]
    rng.shuffle(texts)
    return texts


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


def injected(item: str, kind: str, page: str, words: list[str], rng: random.Random) -> tuple[str, int, int]:
    """A page with an item inserted, and the item's start and end."""
    text = {
        "re-wrapped": lambda: rewrapped(item, rng),
        "20% replaced": lambda: replaced(item, words, rng),
    }.get(kind, lambda: item)()
    if kind == "padded":
        page = (page + " " + page) if len(page) < len(item) else page
        page = page[: int(len(item) * rng.uniform(1, 10))]
    cut = rng.choice([0, len(page), *(match.start() for match in re.finditer(r"\s", page))])
    return f"{page[:cut]}\n{text}\n{page[cut:]}", cut + 1, cut + 1 + len(text)


def measured(own: argparse.Namespace, least: int, most: int) -> dict[str, Any]:
    """Recall by kind of change, false pages, accuracy of the offsets, and time."""
    rng = random.Random(own.seed)
    wanted = items_of(own.data, own.on, own.items, rng, least, most)
    words = [word for text in wanted[:2000] for word in text.split()]
    texts, put = [], []
    for number, page in enumerate(pages_of(own.data, own.on, rng)[: own.pages]):
        if number % 5:
            texts.append(page)
            put.append(None)
            continue
        item, kind = rng.randrange(len(wanted)), own.kind or KINDS[number // 5 % len(KINDS)]
        text, start, stop = injected(wanted[item], kind, page, words, rng)
        texts.append(text)
        put.append((kind, item, start, stop))
    started = time.process_time()
    index = ItemIndex.of(wanted)
    built = time.process_time()
    finds = index.find(pa.array(texts), own.contained)
    done = time.process_time()
    found: dict[int, list[tuple[int, int, int, float]]] = {}
    columns = (finds.page, finds.item, finds.start, finds.stop, finds.score)
    for page, item, start, stop, score in zip(*(column.tolist() for column in columns), strict=True):
        found.setdefault(page, []).append((item, start, stop, score))
    total, hit, fit = (dict.fromkeys(KINDS, 0) for _ in range(3))
    false = []
    for page, what in enumerate(put):
        if what is None:
            if page in found:
                false.append((texts[page], [(wanted[item], score) for item, _, _, score in found[page]]))
            continue
        kind, item, start, stop = what
        total[kind] += 1
        right = [f for f in found.get(page, ()) if f[1] < stop and f[2] > start and f[0] == item]
        hit[kind] += bool(right)
        fit[kind] += any(abs(f[1] - start) <= 12 and abs(f[2] - stop) <= 12 for f in right)
    without = sum(what is None for what in put)
    return {
        "items": len(wanted),
        "item_words": [least, most],
        "pages": len(texts),
        "contained": own.contained,
        "recall": {kind: round(hit[kind] / max(1, total[kind]), 4) for kind in KINDS},
        "offsets_within_12_characters": {kind: round(fit[kind] / max(1, hit[kind]), 4) for kind in KINDS},
        "pages_without": without,
        "false_pages": len(false),
        "false_per_10000": round(10_000 * len(false) / without, 2),
        "cpu_index": round(built - started, 1),
        "cpu_find": round(done - built, 1),
        "examples": [(text[:300], items) for text, items in false[:5]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--on", choices=("debian", "books"), default="debian", help="the pages")
    parser.add_argument("--kind", choices=KINDS, help="inject only items with this change")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=12_500)
    parser.add_argument("--contained", type=float, default=CONTAINED)
    parser.add_argument("--seed", type=int, default=0)
    own = parser.parse_args()
    if not (own.data / "sentences").is_dir() or not (own.data / "dedup").is_dir():
        print(f"skipped: {own.data} has no folders sentences and dedup; their data is not in the repository")
        return
    for least, most in ((8, 15), (16, 30), (31, 80)):
        line = measured(own, least, most)
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
