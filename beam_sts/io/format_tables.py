"""The tables of docs/formats.md. ``python -m beam_sts.io.format_tables docs/formats.md`` updates them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from beam_sts.io import encode, schema
from beam_sts.io.lines import LineFormat
from beam_sts.io.reading import formats
from beam_sts.io.slices import SLICE_BYTES
from beam_sts.io.streams import LINE_LIMIT

_START, _STOP = (
    "<!-- generated: python -m beam_sts.io.format_tables docs/formats.md -->",
    "<!-- end of generated -->",
)


def tables() -> str:
    """Tables of readable formats, limits and output formats, as Markdown."""
    rows = []
    for known in formats():
        lines = isinstance(known, LineFormat)
        endings = " ".join(f"`{ending}`" for ending in known.suffixes)
        types = {"Parquet": "the file's", "Arrow": "the file's", "JSON Lines": "learnt from all values"}
        unit = "a slice; a compressed file as a whole" if lines else "8 slices in one pass"
        rows.append((known.name, endings, types.get(known.name, "text, all columns"), unit))
    policies = [
        ("largest line", f"{LINE_LIMIT >> 20} MiB; the beginning of a longer line is a rejected row"),
        ("largest slice", f"`--rows_per_shard` rows, or as many as fit into {SLICE_BYTES >> 20} MiB"),
        ("formula starts (`--csv_safe`)", " ".join(f"`{start!r}`" for start in encode.FORMULA_STARTS)),
        ("output formats", " ".join(f"`{form}`" for form in encode.OUTPUT_FORMATS)),
    ]
    return "\n\n".join(
        (
            _table(("format", "endings", "column types", "one worker reads"), rows),
            _table(("limit", "value"), policies),
            "### Files that differ\n\n" + _paragraphs(schema)[1],
            "### Values in JSON Lines and CSV output\n\n" + _grid(_paragraphs(encode)[2]),
        )
    )


def document(text: str) -> str:
    """A document with its generated part updated."""
    before, _, rest = text.partition(_START)
    return f"{before}{_START}\n\n{tables()}\n\n{_STOP}{rest.partition(_STOP)[2]}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _paragraphs(module: object) -> list[str]:
    return (inspect.getdoc(module) or "").split("\n\n")


def _grid(text: str) -> str:
    """Convert a reStructuredText table to Markdown."""
    rules, *_ = (line for line in text.splitlines() if line.startswith("="))
    starts = [index for index, mark in enumerate(rules) if mark == "=" and rules[:index][-1:] != "="]
    stops = [*starts[1:], None]
    lines = [line for line in text.splitlines() if line and not line.startswith("=")]
    cells = [
        [line[a:b].strip().replace("``", "`") for a, b in zip(starts, stops, strict=True)]
        for line in lines
        if "  " in line
    ]
    return _table(cells[0], cells[1:])


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables, or update them in the given files."""
    paths = [Path(name) for name in (sys.argv[1:] if argv is None else argv)]
    if not paths:
        print(tables())
    for path in paths:
        path.write_text(document(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
