"""Which pairs the fact guard keeps and which it lets pass, with the default settings of deduplication.

    python -m benchmarks.guard facts --data DIR     # changed facts by class: share removed
    python -m benchmarks.guard copies --data DIR    # planted copies: share removed

``DIR`` is the folder with ``sentences`` and ``dedup``. A text of a pair is removed if the pair reaches the
threshold and, with the guard, does not differ in a fact. The overlap is learnt from the texts of the set.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.dedup.facts.read import read_facts
from beam_sts.dedup.facts.texts import compare_texts
from beam_sts.dedup.facts.tokens import PLAIN
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.settings import DedupSettings
from benchmarks.changed_facts import from_frames
from benchmarks.changed_sentences import from_sentences

HELD_OUT = Path(__file__).parent / "held_out_facts.txt"
Pair = tuple[str, str, str]
"""A class, a text, and the changed text."""


def held_out() -> list[Pair]:
    """The held-out pairs, which are not used for the guard's tables."""
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    rows = [tuple(part.strip() for part in line.split(" | ")) for line in lines if line[:1] not in ("#", "")]
    return [(name, one, two) for name, one, two in rows]


def removed(pairs: list[Pair], **settings: Any) -> list[bool]:
    """Whether one text of each pair is removed in favour of the other."""
    chosen = DedupSettings(threads=1, **settings)
    one, two = (pa.array([pair[at] for pair in pairs], pa.large_string()) for at in (1, 2))
    overlap = Overlap.learn(pa.chunked_array([one, two]).combine_chunks().unique())
    found = chosen.scoring().verifier(overlap).verify(one, two).verdicts
    gone = (found.scores >= np.float32(chosen.threshold)) & (found.bars != BOTH)
    return [bool(goes) for goes in gone]


def _counted(pairs: list[Pair], which: list[bool]) -> Counter[str]:
    return Counter(pair[0] for pair, counts in zip(pairs, which, strict=True) if counts)


def _seen(pairs: list[Pair]) -> list[bool]:
    """Whether the guard detects a difference in each pair, whatever the score."""
    one, two = (pa.array([pair[at] for pair in pairs], pa.large_string()) for at in (1, 2))
    return [difference is not None for difference, _ in compare_texts(one, two, "facts")]


def sentences(data: Path, seed: int) -> list[str]:
    """Open sentences of at least six words, in random order."""
    texts = pq.read_table(data / "sentences" / "open_sentences.parquet")["text"].to_pylist()
    found = [text for text in texts if len(text.split()) > 5]
    random.Random(seed).shuffle(found)
    return found


def facts(data: Path) -> Iterator[dict[str, Any]]:
    """By set and class: count of pairs, share removed without and with the guard, undetected changes."""
    sets = {
        "frames": from_frames(),
        "sentences": from_sentences(sentences(data, 29)[:40_000]),
        "held out": held_out(),
    }
    for name, pairs in sets.items():
        counts = Counter(pair[0] for pair in pairs)
        gone: dict[str, Counter[str]] = {
            guard: Counter(
                pair[0] for pair, goes in zip(pairs, removed(pairs, guard=guard), strict=True) if goes
            )
            for guard in ("none", "facts")
        }
        unseen = _counted(pairs, [not seen for seen in _seen(pairs)])
        for kind, count in sorted(counts.items()):
            shares = {guard: round(of[kind] / count, 4) for guard, of in gone.items()}
            yield {
                "set": name,
                "class": kind,
                "pairs": count,
                **shares,
                "unseen": round(unseen[kind] / count, 4),
            }


def _words(text: str, rng: random.Random, share: float, words: list[str]) -> str | None:
    """A text with a share of its words replaced; neither old nor new words carry a guarded fact."""
    found = read_facts(text)
    free = [
        token
        for token in found.tokens
        if token.kind == PLAIN and not token.named and not token.part and token.key in _PLAIN_WORDS
    ]
    wanted = max(1, round(share * len(text.split())))
    if len(free) < wanted or found.text != text:
        return None
    for token in sorted(rng.sample(free, wanted), key=lambda token: -token.start):
        text = text[: token.start] + rng.choice(words) + text[token.end :]
    return text


_WORDS = (
    "very really quite rather still also then there here now soon again perhaps simply actually already "
    "nearby however therefore thus indeed finally suddenly slowly quickly carefully gently quietly clearly "
    "nicely today back away together later well"
)
_PLAIN_WORDS = frozenset(_WORDS.split(" "))
"""Words that carry no fact; adverbs of quantity and frequency (just, often) carry one."""


def _edits(words: list[str]) -> dict[str, Callable[[str, random.Random], str | None]]:
    def insert(text: str, rng: random.Random) -> str | None:
        parts = text.split(" ")
        free = [
            at for at in range(1, len(parts)) if (parts[at - 1] + parts[at]).isalpha() and parts[at].islower()
        ]
        free = [at for at in free if (parts[at - 1] + parts[at]).islower()]
        if not free:
            return None
        parts.insert(rng.choice(free), rng.choice(words))
        return " ".join(parts)

    def punctuation(text: str, rng: random.Random) -> str | None:
        changed = text.rstrip(".!") + rng.choice(("", "!", " ."))
        changed = re.sub(r",(?=\s)", rng.choice(("", " ,", ";")), changed, count=1)
        return changed if changed != text else text + "."

    def mark_up(text: str, rng: random.Random) -> str | None:
        parts = text.split(" ")
        at = rng.randrange(len(parts))
        parts[at] = f"<b>{parts[at]}</b>"
        return "<p>" + "&nbsp;".join(parts) + "</p>"

    return {
        "0% replaced": lambda text, rng: text + " ",
        "2% replaced": lambda text, rng: _words(text, rng, 0.02, words),
        "5% replaced": lambda text, rng: _words(text, rng, 0.05, words),
        "a word inserted": insert,
        "punctuation": punctuation,
        "case": lambda text, rng: rng.choice((text.upper(), text.lower(), text.title())),
        "mark-up": mark_up,
        "white space": lambda text, rng: re.sub(" ", lambda _: rng.choice((" ", "  ", "\n", "\u00a0")), text),
    }


def copies(data: Path, each: int = 300) -> Iterator[dict[str, Any]]:
    """The share of planted copies of sentences and of beginnings of articles that three settings remove."""
    news = pq.read_table(data / "dedup" / "news" / "articles_1000.parquet")["text"].to_pylist()
    kinds = {
        "sentences": sentences(data, 31)[:20_000],
        "news, 50 words": [" ".join(text.split()[:50]) for text in news],
        "news, 200 words": [" ".join(text.split()[:200]) for text in news],
    }
    words = sorted(_PLAIN_WORDS)
    for kind, texts in kinds.items():
        pairs: list[Pair] = []
        for name, edit in _edits(words).items():
            rng, found = random.Random(f"{kind} {name}"), defaultdict[str, int](int)
            for text in texts:
                changed = edit(text, rng)
                if changed is not None and changed != text and found[name] < each:
                    found[name] += 1
                    pairs.append((name, text, changed))
        gone = {
            label: removed(pairs, **settings)
            for label, settings in {
                "before": {"guard": "none", "form": "none", "max_lost": None},
                "guard": {"form": "none", "max_lost": None},
                "default": {},
            }.items()
        }
        for name in dict.fromkeys(pair[0] for pair in pairs):
            rows = [at for at, pair in enumerate(pairs) if pair[0] == name]
            shares = {label: round(float(np.mean([of[at] for at in rows])), 4) for label, of in gone.items()}
            yield {"texts": kind, "copies": name, "pairs": len(rows), **shares}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("facts", "copies"))
    parser.add_argument("--data", type=Path, required=True)
    own = parser.parse_args()
    for row in {"facts": facts, "copies": copies}[own.what](own.data):
        print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
