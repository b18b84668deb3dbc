"""Corpora of several kinds of text from files on a machine, as tables of `id` and `text`.

    python -m benchmarks.kinds DIR posts THREADS      # posts of newsgroups: threads in Markdown
    python -m benchmarks.kinds DIR licences           # /usr/share/doc/*/copyright, licences in site-packages
    python -m benchmarks.kinds DIR functions FOLDER   # functions of Python files, at least 4 lines long
    python -m benchmarks.kinds DIR pages FOLDER ...   # HTML without mark-up, navigation included
    python -m benchmarks.kinds DIR descriptions DATA  # descriptions of Debian packages
    python -m benchmarks.kinds DIR sentences DATA     # open sentences
    python -m benchmarks.kinds DIR news DATA          # articles

One Parquet file per kind is written to DIR. Of large sources a random part is used, of whole files, threads
or neighbouring rows, so that near-duplicates remain together.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Texts = Iterator[tuple[str, str]]
"""Pairs of an id and a text."""
MOST = 20_000
_POST = re.compile(r"^#+ .*?^- \*\*Message-ID:\*\* `(.*?)`.*?^(`{3,})\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
_SKIPPED = {"script", "style", "head", "noscript", "svg"}
_BLOCKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "tr", "pre", "br", "section", "nav", "dt", "dd", "ul"}


def posts(folder: str) -> Texts:
    files = sorted(Path(folder).rglob("*.md"))
    random.Random(29).shuffle(files)
    for file in files:
        for found in _POST.finditer(file.read_text(encoding="utf-8", errors="replace")):
            if found[3].strip():
                yield found[1], found[3].strip("\n")


def licences() -> Texts:
    for file in sorted(Path("/usr/share/doc").glob("*/copyright")):
        if not file.is_symlink():
            yield file.parent.name, file.read_text(encoding="utf-8", errors="replace")
    for file in sorted(Path("/usr/share/common-licenses").iterdir()):
        yield file.name, file.read_text(encoding="utf-8", errors="replace")
    import numpy

    for file in sorted(Path(numpy.__file__).parents[1].rglob("*")):
        named = re.match(r"(LICEN[CS]E|COPYING|NOTICE)", file.name, re.IGNORECASE)
        if named and file.is_file() and file.suffix in ("", ".txt", ".md", ".rst"):
            yield "/".join(file.parts[-3:]), file.read_text(encoding="utf-8", errors="replace")


def functions(folder: str) -> Texts:
    files = sorted(Path(folder).rglob("*.py"))
    random.Random(29).shuffle(files)
    for file in files:
        try:
            source = file.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_source_segment(source, node) or ""
                if text.count("\n") >= 3 and len(text) < 6000:
                    yield f"{file.relative_to(folder)}:{node.name}:{node.lineno}", text


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.skipped = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.skipped += tag in _SKIPPED
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.skipped -= tag in _SKIPPED and self.skipped > 0

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.parts.append(data)


def page_text(html: str) -> str:
    """The visible text of a page, line by line."""
    reader = _Text()
    reader.feed(html)
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


def pages(*folders: str) -> Texts:
    for folder in folders:
        for file in sorted(Path(folder).rglob("*.html")):
            text = page_text(file.read_text(encoding="utf-8", errors="replace"))
            if 200 < len(text) < 30_000:
                yield str(file), text


def descriptions(data: str) -> Texts:
    table = pq.read_table(Path(data) / "dedup" / "debian_descriptions.parquet")
    columns = (table[name].to_pylist() for name in ("package", "suite", "text"))
    rows = sorted(zip(*columns, strict=True))
    for at in random.Random(29).sample(range(0, len(rows), 100), MOST // 100):
        for package, suite, text in rows[at : at + 100]:
            yield f"{package}/{suite}", text


def sentences(data: str) -> Texts:
    table = pq.read_table(Path(data) / "sentences" / "open_sentences.parquet", columns=["text"])
    texts = sorted(set(table["text"].to_pylist()))
    for at in sorted(random.Random(31).sample(range(len(texts)), 100_000)):
        yield str(at), texts[at]


def news(data: str) -> Texts:
    table = pq.read_table(Path(data) / "dedup" / "news" / "articles_1000.parquet")
    yield from zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)


KINDS: dict[str, Callable[..., Texts]] = {
    made.__name__: made for made in (posts, licences, functions, pages, descriptions, sentences, news)
}


def write(folder: Path, kind: str, args: Sequence[str]) -> int:
    """Write a corpus without repeated ids, and return its number of texts."""
    most = 100_000 if kind == "sentences" else MOST
    rows: dict[str, str] = {}
    for name, text in KINDS[kind](*args):
        rows.setdefault(name, text)
        if len(rows) == most:
            break
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": list(rows), "text": list(rows.values())}), folder / f"{kind}.parquet")
    return len(rows)


def main() -> None:
    p = argparse.ArgumentParser(prog="python -m benchmarks.kinds", description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("kind", choices=KINDS)
    p.add_argument("args", nargs="*")
    own = p.parse_args()
    print(f"{own.kind}: {write(own.folder, own.kind, own.args):,} texts")


if __name__ == "__main__":
    main()
