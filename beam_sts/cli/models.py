"""List known models and those in the local Hugging Face cache, and measure their speed with --speed.

beam-sts models
beam-sts models --speed
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from beam_sts.cli.args import Parser
from beam_sts.cli.console import add_console_options, console_of, guarded
from beam_sts.errors import UserError
from beam_sts.models.registry import ModelInfo, cached_models, known_models

EXAMPLES = ("", "--speed", "--log_format json")
_PAIRS, _WORDS = 256, 14
_VOCABULARY = "a the man woman dog cat plays eats sees runs red small old house street in on with and"


def parser() -> Parser:
    """The options of the command."""
    p = Parser("models", __doc__, EXAMPLES, beam=False)
    p.add_argument(
        "--speed",
        action="store_true",
        help=f"score {_PAIRS} generated pairs with each local model; nothing is downloaded",
    )
    add_console_options(p)
    return p


def sample_pairs(count: int) -> list[tuple[str, str]]:
    """Pairs of generated texts of about 14 words each, always the same."""
    rng = random.Random(0)
    texts = [
        " ".join(rng.choices(_VOCABULARY, k=rng.randint(_WORDS - 8, _WORDS + 8))) for _ in range(2 * count)
    ]
    return list(zip(texts[::2], texts[1::2], strict=True))


def pairs_per_second(name: str) -> float | None:
    """The speed on this machine, with all cores, in float32. None for a model that cannot be loaded."""
    from beam_sts import PairScorer

    try:
        scorer = PairScorer(name)
    except UserError:
        return None
    pairs = sample_pairs(_PAIRS)
    scorer.score(pairs[:32])  # warm up
    started = time.perf_counter()
    scorer.score(pairs)
    return round(len(pairs) / (time.perf_counter() - started), 1)


def listing(*, speed: bool) -> list[dict[str, Any]]:
    """All known models, then the other cross-encoders in the cache, with the place of each."""
    cached = {info.name: info for info in cached_models()}
    known = known_models()
    found = [*known, *(info for name, info in cached.items() if name not in {each.name for each in known})]
    rows = []
    for info in found:
        where = "embedded" if info.embedded else "cached" if info.name in cached else "hub"
        row = {**asdict(info), "where": where, "figures": _source(info)}
        if speed:
            row["pairs_per_second"] = pairs_per_second(info.name) if where != "hub" else None
        rows.append(row)
    return rows


def _source(info: ModelInfo) -> str | None:
    if info.pearson is None:
        return None
    return "measured here" if info.embedded else "published by its authors"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    head = ["model", "where", "architecture", "parameters", "context", "Pearson", "Spearman"]
    cells = [
        [
            row["name"],
            row["where"],
            row["architecture"],
            f"{row['parameters'] / 1e6:,.2f}M",
            f"{row['context']:,}",
            *("-" if row[name] is None else f"{row[name]:.4f}" for name in ("pearson", "spearman")),
        ]
        for row in rows
    ]
    if "pairs_per_second" in rows[0]:
        head.append("pairs/s")
        for row, line in zip(rows, cells, strict=True):
            rate = row["pairs_per_second"]
            line.append("-" if rate is None else f"{rate:,.0f}")
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if at < 3 else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *cells)
    ]
    return [
        *lines,
        "",
        "Pearson and Spearman: STS Benchmark test; measured here for the embedded models, otherwise as "
        "published by their authors.",
        "where: embedded in this package, cached on this machine, or downloaded from the hub at first use.",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args = parser().parse(argv)
    console = console_of(args)

    def run() -> int:
        rows = listing(speed=args.speed)
        console.show(_table(rows), {"models": rows})
        return 0

    return guarded(run, stays="Nothing was written", console=console)
