"""Lines, sentences and paragraphs of texts, and the search for repeated ones. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.keys import hash128
from beam_sts.passages.words import words_of

UNITS = ("document", "paragraph", "sentence", "line")
_LINE = r"\r\n|[\n\r\u2028\u2029]"
_BETWEEN = {
    "line": re.compile(_LINE),
    "paragraph": re.compile(rf"(?:{_LINE})[^\S\n\r]*(?:{_LINE})\s*"),
    "sentence": re.compile(rf"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|(?<=[\u3002\uff01\uff1f])|{_LINE}"),
}


def split_units(text: str, unit: str) -> list[tuple[int, int]]:
    """The start and stop of each unit of a text, without surrounding white space and empty units.

    A sentence ends at a punctuation mark that is followed by white space, or at the end of its line.

    >>> text = "One here. Two?  Three"
    >>> [text[start:stop] for start, stop in split_units(text, "sentence")]
    ['One here.', 'Two?', 'Three']
    """
    if unit == "document":
        edges = [(0, len(text))]
    else:
        breaks = [match.span() for match in _BETWEEN[unit].finditer(text)]
        starts, stops = [0, *(stop for _, stop in breaks)], [*(start for start, _ in breaks), len(text)]
        edges = list(zip(starts, stops, strict=True))
    found = []
    for start, stop in edges:
        part = text[start:stop]
        if bare := part.strip():
            first = start + len(part) - len(part.lstrip())
            found.append((first, first + len(bare)))
    return found


@dataclass(frozen=True)
class Units:
    """The units of texts that have enough words, with the row, the characters and a key of each.

    ``row``, ``start`` and ``stop`` have shape (n,). ``key`` is uint64 of shape (n, 2), equal for units with
    equal words: case, white space, punctuation and the marks of a quoted reply do not count.
    """

    row: IntArray
    start: IntArray
    stop: IntArray
    key: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.row)


def units_of(texts: Sequence[str], unit: str, least: int) -> Units:
    r"""The units of texts that have at least ``least`` words.

    >>> found = units_of(["Click here to unsubscribe.\n> click HERE to unsubscribe", "No."], "line", 4)
    >>> found.row.tolist(), found.start.tolist(), bool((found.key[0] == found.key[1]).all())
    ([0, 0], [0, 27], True)
    """
    row, start, stop, pieces = list[int](), list[int](), list[int](), list[str]()
    for number, text in enumerate(texts):
        for first, last in split_units(text, unit):
            row.append(number)
            start.append(first)
            stop.append(last)
            pieces.append(text[first:last])
    words = words_of(pieces)
    enough = np.flatnonzero(np.diff(words.offsets) >= least)
    names = [words.names[words.offsets[i] : words.offsets[i + 1]].tobytes() for i in enough.tolist()]
    rows, starts, stops = (np.array(column, np.int64)[enough] for column in (row, start, stop))
    return Units(rows, starts, stops, hash128(name.hex() for name in names))


@dataclass(frozen=True)
class Occurrences:
    """The units of both inputs, in order; all arrays have shape (n,).

    ``row`` is the number of the good row; rows of the other input come first. ``of`` is the index of the
    first unit with the same words, ``count`` the number of such units.
    """

    row: IntArray
    start: IntArray
    stop: IntArray
    of: IntArray
    count: IntArray


def occurrences(parts: Sequence[Units]) -> Occurrences:
    """Find equal units. The row numbers of the parts are ascending over all parts."""
    row, start, stop = (
        np.concatenate([np.empty(0, np.int64), *(getattr(part, name) for part in parts)])
        for name in ("row", "start", "stop")
    )
    key = np.concatenate([np.empty((0, 2), np.uint64), *(part.key for part in parts)])
    order = np.lexsort((start, row, key[:, 1], key[:, 0]))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (key[order][1:] != key[order][:-1]).any(axis=1)
    group = np.cumsum(new) - 1
    of, count = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    of[order] = order[np.flatnonzero(new)][group] if len(order) else order
    count[order] = np.bincount(group)[group] if len(order) else order
    return Occurrences(row, start, stop, of, count)


def cut(text: str, spans: Sequence[tuple[int, int]]) -> str:
    r"""Cut passages out of a text. A line of which nothing remains is removed.

    >>> cut("Keep this. Drop this. And this too.", [(11, 21)])
    'Keep this. And this too.'
    >>> cut("One.\nTwo.\nThree.", [(5, 9)])
    'One.\nThree.'
    """
    parts: list[str] = []
    at = 0
    for start, stop in sorted(spans):
        if stop <= at:
            continue
        before = text[at : max(at, start)]
        rest = text[stop:]
        space = len(rest) - len(rest.lstrip())
        if not "".join([*parts[-1:], before])[-1:].strip():  # after white space, or at the start
            line = re.match(rf"[^\S\n\r]*(?:{_LINE})?", rest)
            stop += min(space, line.end() if line else 0)
        parts.append(before)
        at = stop
    return "".join([*parts, text[at:]])
