"""Check the language: words to avoid; in documents also long sentences and the advice of proselint.

    python -m scripts.prose                # README, CHANGELOG, docs, and the code of all folders
    python -m scripts.prose docs/dedup.md  # some files

``prose_words.json`` lists the words: a pattern, and what to write instead. Their sources are Google's
developer documentation style guide and the project's glossary. In code, comments, docstrings and messages are
checked. Experiment logs (docs/experiments) are records that are not rewritten, so they are not checked.
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST_SENTENCE = 50
"""Most words up to a full stop, colon or semicolon."""
Fault = tuple[int, str]
"""A line number, from 1, and what to change there."""
_WORDS = {
    re.compile(rf"(?<![\w/.-])(?:{pattern})(?![\w-])", re.I): instead
    for pattern, instead in json.loads(
        Path(__file__).with_name("prose_words.json").read_text("utf-8")
    ).items()
}
_CODE = re.compile(
    r"^(?P<indent> *)(?P<fence>```|~~~).*?^(?P=indent)(?P=fence)$"
    r"|<!--.*?-->|``[^\n]+?``|`[^`\n]*`|\]\([^)\s]*\)",
    re.S | re.M,
)
_ITEM = r"^ *(?:[-*:]|\d+\.) "
_WRAPPED = re.compile(r"^ *python -m .*python -m ", re.M)
_FOLDERS = ("beam_sts", "pipelines", "scripts", "benchmarks", "examples", "tests")
_OFF = ("typography", "weasel_words", "dates_times", "lexical_illusions", "restricted", "annotations")
"""Checks of proselint that do not apply: quotation marks, years, repetitions across removed code."""
_DATA = (
    *("beam_sts/training/", "beam_sts/dedup/facts/", "beam_sts/evaluation/words.py", "scripts/prose.py"),
    *("benchmarks/", "tests/"),
)
"""Code whose strings are data, such as word lists, and not checked."""


def files() -> list[Path]:
    """Returns the documents and modules to check."""
    code = [path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted(code)]


def in_document(text: str) -> Iterator[Fault]:
    """Find the faults of a Markdown document."""
    plain = _blank(text)
    yield from _words([(1, plain)])
    yield from _long_sentences(plain)
    yield from _advice(plain)


def in_code(text: str, *, strings: bool = True) -> Iterator[Fault]:
    """Find the faults of a module: in comments, docstrings and, if ``strings``, strings of several words."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    said = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            said.append((node.lineno, str(node.value.value)))
            for found in _WRAPPED.finditer(str(node.value.value)):
                line = node.lineno - 1 + _line(str(node.value.value), found.start())
                yield line, "two commands on one line: a formatter has wrapped them"
        elif strings and isinstance(node, ast.Constant) and len(str(node.value).split()) > 3:
            said.append((node.lineno, str(node.value)))
    yield from _words((line, _blank(part)) for line, part in said)


def _blank(text: str) -> str:
    """Replace the code in a text by spaces, so that line numbers and columns stay the same."""
    return _CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _words(parts: Iterable[tuple[int, str]]) -> Iterator[Fault]:
    for first, text in parts:
        for pattern, instead in _WORDS.items():
            for found in pattern.finditer(text):
                yield first - 1 + _line(text, found.start()), f"{found[0]!r}: write: {instead}"


def _long_sentences(plain: str) -> Iterator[Fault]:
    """Find long sentences in paragraphs and list items; tables and headings have no sentences."""
    for part in re.finditer(r"(?:^(?![|#]).+\n?)+", plain, re.M):
        starts = [0, *(found.start() for found in re.finditer(_ITEM, part[0], re.M)), len(part[0])]
        for start, end in itertools.pairwise(starts):
            for sentence in re.finditer(r"\S.*?(?:[.!?:;](?=\s)|\Z)", part[0][start:end], re.S):
                words = re.findall(r"[^\W_][\w'-]*", sentence[0])
                if len(words) > LONGEST_SENTENCE:
                    place = part.start() + start + sentence.start()
                    yield _line(plain, place), f"a sentence of {len(words)} words: split it in two"


def _advice(plain: str) -> Iterator[Fault]:
    """Collect the advice of proselint."""
    from proselint.checks import __register__ as checks
    from proselint.config import DEFAULT, Config
    from proselint.registry import CheckRegistry
    from proselint.tools import LintFile

    registry = CheckRegistry()
    if not registry.checks:
        registry.register_many(checks)
    config: Config = {**DEFAULT, "checks": {**DEFAULT["checks"], **dict.fromkeys(_OFF, False)}}
    for found in LintFile("page", plain).lint(config):
        yield _line(plain, found.check_result.span[0]), found.check_result.message


def faults(path: Path) -> list[str]:
    """Returns the faults of a file, each with path and line."""
    text, name = path.read_text("utf-8"), path.resolve().relative_to(ROOT).as_posix()
    found = in_document(text) if path.suffix == ".md" else in_code(text, strings=not name.startswith(_DATA))
    return [f"{name}:{line}: {what}" for line, what in sorted(set(found))]


def main(names: Sequence[str]) -> int:
    """Print the faults of files. Returns 1 if there are any."""
    found = [fault for path in (map(Path, names) if names else files()) for fault in faults(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
