"""Boilerplate: text that many texts of a corpus share around different contents. Pure functions.

Examples are prompts, letterheads, licences and templates. Two texts are not similar because both contain
boilerplate. It is found as runs of words that occur in at least ``TEXTS`` distinct texts and end where the
texts diverge: in most of them a different word follows (or precedes), and the next few words are of many
kinds. This distinguishes a template from
a text with many copies: copies continue with the same words after each run, except for a few edits, so no
part of them is boilerplate. Neither is what versions of one text share, such as citations of one article,
since their other words are similar too. In a large corpus a sample is examined. It depends on the texts alone
and not on their order, so every runner finds the same boilerplate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.keys import mix64, text_blocks
from beam_sts.scoring.languages import sampled

Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

WORDS = 6
"""The length in words of the runs that are looked up."""
LEAST_WORDS = 8
"""The fewest words of boilerplate. Anything shorter is a phrase."""
TEXTS = 8
"""The fewest distinct texts that contain a run of boilerplate."""
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 50_000, 10_000_000
"""The approximate number of texts, and of characters, in the sample."""
MOST_RUNS = 1 << 20
"""The most runs of words that are kept as boilerplate, 8 bytes each; the most frequent are kept."""
_NEAR = 3  # words after a run whose variety shows whether texts diverge
_KINDS = 6  # fewest kinds of these, or half of the texts; with many texts, 20 and a tenth of them
_MOST_ALIKE = 0.5  # fraction of the texts that may continue with the same word where they diverge
_COMPARED = 10  # texts that are compared for each run
_VERSIONS = 0.15  # mean Jaccard similarity of contents from which texts are versions of one text
_HEAD = 10_000  # characters at each end of a long text that are examined
_BLOCK = 1 << 18  # characters that are hashed together
_LOOSE = " \t\r\n.,;:!?)]}。、，"  # at the start of a part, these belong to the boilerplate before it
_BASE = 0x9E3779B97F4A7C15
_INVERSE = np.uint64(pow(_BASE, -1, 1 << 64))
_ALONE = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_END = np.uint64(1)  # the hash of the position beyond a text


@dataclass(frozen=True)
class _Words:
    """The words of n texts, one text after the other. Each Chinese or Japanese character is a word.

    ``hash``, ``start``, ``stop`` and ``text`` have shape (words,): the hash without case, the position in the
    text, and the number of the text.
    """

    hash: Hashes
    start: IntArray
    stop: IntArray
    text: IntArray

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Words:
        lengths = np.array([len(text) for text in texts], np.int64)
        none = np.empty(0, np.int64)
        parts = [cls(np.empty(0, np.uint64), none, none, none)]
        for begin, stop in _blocks(lengths):
            parts.append(cls._of_block(texts[begin:stop], begin))
        names = ("hash", "start", "stop", "text")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @classmethod
    def _of_block(cls, texts: Sequence[str], number: int) -> _Words:
        joined = "\n".join(texts) + "\n"
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
        kind, folded = _kinds(codes)
        before, after = np.concatenate([[0], kind[:-1]]), np.concatenate([kind[1:], [0]])
        start = np.flatnonzero((kind == 2) | ((kind == 1) & (before != 1)))
        stop = np.flatnonzero((kind == 2) | ((kind == 1) & (after != 1))) + 1
        power, back = _powers(len(codes))
        total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(folded * power)])
        hashed = (total[stop] - total[start]) * back[start]
        lengths = np.array([len(text) + 1 for text in texts], np.int64)
        offsets = np.cumsum(lengths) - lengths
        text = np.searchsorted(offsets, start, side="right") - 1
        return cls(hashed, start - offsets[text], stop - offsets[text], text + number)

    def runs(self) -> tuple[IntArray, Hashes]:
        """All runs of ``WORDS`` words within a text: the index of the first word, and the hash of the run."""
        first = np.arange(max(0, len(self.hash) - WORDS + 1))
        first = first[self.text[first] == self.text[first + WORDS - 1]]
        return first, mix64([self.hash[first + place] for place in range(WORDS)], 11)

    def near(self, at: IntArray, step: int) -> list[Hashes]:
        """The hash of the word at each position, and that of ``_NEAR`` words from there in a direction."""
        own = np.minimum(np.maximum(at - step, 0), len(self.text) - 1)
        columns = []
        for place in range(_NEAR):
            there = at + step * place
            inside = (there >= 0) & (there < len(self.hash))
            there = np.where(inside, there, own)
            inside &= self.text[there] == self.text[own]
            columns.append(np.where(inside, self.hash[there], _END))
        return [columns[0], mix64(columns, 13)]


def _blocks(lengths: IntArray) -> Iterator[tuple[int, int]]:
    """Blocks of texts that fit into the processor's caches, as (first, after last)."""
    block = np.cumsum(lengths + 1) // _BLOCK
    starts = np.flatnonzero(_opens(block))
    yield from zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=True)


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The first powers of the base of the word hashes, and of its inverse."""
    power, back = _some_powers(max(2 * _BLOCK, 1 << (count - 1).bit_length()))
    return power[:count], back[:count]


@lru_cache(maxsize=1)
def _some_powers(count: int) -> tuple[Hashes, Hashes]:
    power: Hashes = np.cumprod(np.full(count, _BASE, np.uint64), dtype=np.uint64)
    back: Hashes = np.cumprod(np.full(count, _INVERSE, np.uint64), dtype=np.uint64)
    return power, back


def _kinds(codes: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], Hashes]:
    """For each character: 0 outside words, 1 within a word, 2 a word by itself; and a hash without case."""
    present = np.flatnonzero(np.bincount(codes))
    size = int(present[-1]) + 1
    kind, lower = np.zeros(size, np.uint8), np.arange(size, dtype=np.uint64)
    for code in present.tolist():
        letter = chr(code)
        small = letter.lower()
        lower[code] = ord(small) if len(small) == 1 else code
        if any(low <= code <= high for low, high in _ALONE):
            kind[code] = 2
        elif letter.isalnum():
            kind[code] = 1
    return kind[codes], mix64([lower], 7)[codes]


@dataclass(frozen=True)
class Boilerplate:
    r"""The runs of words that are boilerplate, as sorted hashes of shape (runs,).

    >>> letters = [f"Dear {name}, your order has left our warehouse today and arrives soon. {name} {n}"
    ...            for n, name in enumerate("Ada Ben Cleo Dan Eve Finn Gus Hana Ida Jon".split())]
    >>> found = Boilerplate.of(letters)
    >>> found.own(letters[:2])
    ['Dear Ada,\nAda 0', 'Dear Ben,\nBen 1']
    """

    hashes: Hashes

    def __bool__(self) -> bool:
        return len(self.hashes) > 0

    @classmethod
    def none(cls) -> Boilerplate:
        """Empty boilerplate."""
        return cls(np.empty(0, np.uint64))

    @classmethod
    def of(cls, texts: Sequence[str]) -> Boilerplate:
        """Find the boilerplate in distinct texts, in any order: those of :func:`boilerplate_sample`."""
        if len(texts) < TEXTS:
            return cls.none()
        words = _Words.of([_ends(text) for text in sorted(texts)])
        first, runs = words.runs()
        chosen, group = _recurrent(runs, words.text[first])
        if not len(chosen):
            return cls.none()
        first, runs, text = first[chosen], runs[chosen], words.text[first[chosen]]
        right = _parts(group, *words.near(first + WORDS, 1))[group]
        left = _parts(group, *words.near(first - 1, -1))[group]
        inside = _inside(first, text, left, right)
        most = _texts_of(group, text)
        framed = _texts_of(group[inside], text[inside], len(most))
        value = np.zeros(len(most), np.uint64)
        value[group] = runs
        kept = np.flatnonzero((framed >= TEXTS) & (2 * framed >= most))
        contents = _Contents(words, first[inside])
        kept = kept[[contents.differ(of) for of in _some_texts(group[inside], text[inside], kept)]]
        kept = kept[np.lexsort((value[kept], -framed[kept]))][:MOST_RUNS]
        return cls(np.sort(value[kept]))

    def own(self, texts: Sequence[str]) -> list[str]:
        """The texts without boilerplate, one line for each part; a text that would be empty is unchanged."""
        found = list(texts)
        for number, cuts in enumerate(self._cuts(texts)):
            if cuts:
                text = texts[number]
                ends = [0, *cuts, len(text)]
                parts = [
                    text[a:b].lstrip(_LOOSE).rstrip() for a, b in zip(ends[::2], ends[1::2], strict=True)
                ]
                found[number] = "\n".join(part for part in parts if any(map(str.isalnum, part))) or text
        return found

    def spans(self, texts: Sequence[str]) -> list[list[str]]:
        """The boilerplate in each text."""
        cuts = self._cuts(texts)
        return [
            [text[a:b] for a, b in zip(mine[::2], mine[1::2], strict=True)]
            for text, mine in zip(texts, cuts, strict=True)
        ]

    def _cuts(self, texts: Sequence[str]) -> list[list[int]]:
        """The start and stop of each piece of boilerplate in each text, flattened."""
        found: list[list[int]] = [[] for _ in texts]
        if not self:
            return found
        words = _Words.of(texts)
        first, runs = words.runs()
        at = np.searchsorted(self.hashes, runs)
        hit = first[self.hashes[np.minimum(at, len(self.hashes) - 1)] == runs]
        spans = _spans(_covered(hit, len(words.hash)), words.text)
        spans = spans[spans[:, 1] - spans[:, 0] >= LEAST_WORDS]
        owner, start, stop = words.text[spans[:, 0]], words.start[spans[:, 0]], words.stop[spans[:, 1] - 1]
        for number, begin, end in zip(owner.tolist(), start.tolist(), stop.tolist(), strict=True):
            found[number] += [begin, end]
        return found

    def own_texts(self, texts: pa.Array | pa.ChunkedArray) -> pa.Array:
        """``own`` for a column of n texts without nulls, as ``large_string``."""
        parts = [self.own(part.to_pylist()) for _, part in text_blocks(texts)] if self else []
        if not self:
            return texts
        return pa.array([text for part in parts for text in part], pa.large_string())


def boilerplate_sample(hashes: Hashes, texts: int, characters: int) -> Flags:
    """Which of n distinct texts are in the sample. The arguments are those of ``sampled``, for all texts."""
    wanted = min(SAMPLE_TEXTS, int(texts * min(1.0, SAMPLE_CHARACTERS / max(1, characters))))
    return sampled(hashes, texts, max(wanted, 1))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _HEAD else f"{text[:_HEAD]}\n{text[-_HEAD:]}"


class _Contents:
    """The contents of texts besides recurring runs: the words of each that at most a fifth of texts have.

    Args:
        words: the words of all texts.
        covered: the first words of runs that are not content.
    """

    def __init__(self, words: _Words, covered: IntArray) -> None:
        texts = int(words.text.max(initial=-1)) + 1
        _, kind = np.unique(words.hash, return_inverse=True)
        rare = _texts_of(kind, words.text) <= texts / 5
        own = rare[kind] & ~_covered(covered, len(kind))
        bounds = np.searchsorted(words.text[own], np.arange(texts + 1)).tolist()
        kinds = kind[own].tolist()
        self._sets = [frozenset(kinds[a:b]) for a, b in itertools.pairwise(bounds)]
        self.differ = lru_cache(maxsize=None)(self._differ)  # one template has many runs of words

    def _differ(self, texts: tuple[int, ...]) -> bool:
        """Whether texts are less similar than versions of one text, such as citations of one article."""
        likeness = [
            len(a & b) / len(a | b)
            for a, b in itertools.combinations([self._sets[text] for text in texts], 2)
            if a or b
        ]
        return not likeness or sum(likeness) / len(likeness) < _VERSIONS


def _some_texts(group: IntArray, text: IntArray, wanted: IntArray) -> Iterator[tuple[int, ...]]:
    """Some texts of each wanted group, spread evenly over its texts."""
    order = np.lexsort((text, group))
    starts = np.searchsorted(group[order], wanted)
    stops = np.searchsorted(group[order], wanted, side="right")
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        every = np.unique(text[order[start:stop]])
        yield tuple(every[np.linspace(0, len(every) - 1, _COMPARED).astype(np.int64)].tolist())


def _covered(first: IntArray, words: int) -> Flags:
    """Which of the words are in one of the runs that start at ``first``."""
    covers = np.zeros(words + 1, np.int64)
    np.add.at(covers, first, 1)
    np.add.at(covers, first + WORDS, -1)
    covered: Flags = np.cumsum(covers)[:-1] > 0
    return covered


def _opens(ordered: NDArray[Any]) -> Flags:
    """Where a new value starts in a sorted array."""
    opens = np.ones(len(ordered), bool)
    opens[1:] = ordered[1:] != ordered[:-1]
    return opens


def _recurrent(runs: Hashes, text: IntArray) -> tuple[IntArray, IntArray]:
    """The runs of words that are in enough texts, in ascending order, and the number of each one's group."""
    order = np.argsort(runs, kind="stable")  # stable, so that the texts of a group are ascending
    opens = _opens(runs[order])
    group = np.cumsum(opens) - 1
    texts = np.bincount(group, opens | _opens(text[order])) if len(group) else np.empty(0)
    often = texts >= TEXTS
    number = np.cumsum(often) - 1
    kept = often[group]
    chosen, of = order[kept], number[group[kept]]
    back = np.argsort(chosen)
    return chosen[back], of[back]


def _texts_of(group: IntArray, text: IntArray, groups: int = 0) -> IntArray:
    """The number of texts in which each group occurs."""
    width = int(text.max(initial=0)) + 1
    pairs = np.sort(group * width + text)  # faster than np.unique, which hashes
    found = np.bincount(pairs[_opens(pairs)] // width, minlength=groups)
    return found.astype(np.int64)


def _parts(group: IntArray, word: Hashes, near: Hashes) -> Flags:
    """Whether texts diverge at the positions of each group, by the next word and words; shape (groups,)."""
    places = np.bincount(group)
    _, of, count = _distinct(group, word)
    most = np.zeros(len(places), np.int64)
    np.maximum.at(most, of, count)
    _, of, _ = _distinct(group, near)
    kinds = np.bincount(of, minlength=len(places))
    enough = np.maximum(_KINDS, np.minimum(places / 2, 20 + places / 10))
    parts: Flags = (most <= _MOST_ALIKE * places) & (kinds >= enough)
    return parts


def _distinct(group: IntArray, value: Hashes) -> tuple[Hashes, IntArray, IntArray]:
    """The distinct values of each group: the values, their groups, and their counts."""
    order = np.lexsort((value, group))
    opens = _opens(value[order]) | _opens(group[order])
    starts = np.flatnonzero(opens)
    return value[order][starts], group[order][starts], np.diff(np.append(starts, len(order)))


def _inside(first: IntArray, text: IntArray, left: Flags, right: Flags) -> Flags:
    """Which runs of words, in order, are inside a template.

    Among consecutive runs, a template ends where texts diverge to the right, and starts where they diverge to
    the left. At least one of its ends must be such a position. A sequence without any is a text with many
    copies, or a part of one between two edits.
    """
    goes_on = np.zeros(len(first), bool)
    goes_on[1:] = (first[1:] == first[:-1] + 1) & (text[1:] == text[:-1])
    outside = np.zeros(len(first), bool)
    outside[1:] = right[:-1]
    event = ~goes_on | left | outside
    last = np.maximum.accumulate(np.where(event, np.arange(len(first)), 0))
    inside = (~goes_on | left)[last]
    begins = inside & (left | ~(np.concatenate([[False], inside[:-1]]) & goes_on))
    piece = np.cumsum(begins) - 1
    rows = np.flatnonzero(inside)
    pieces = int(begins.sum())
    of = piece[rows]
    long = np.bincount(of, minlength=pieces) >= LEAST_WORDS - WORDS + 1
    starts = np.flatnonzero(begins)
    stops = np.zeros(pieces, np.int64)
    stops[of] = rows  # the last row of each piece
    framed = long & (left[starts] | right[stops])
    found = np.zeros(len(first), bool)
    found[rows] = framed[of]
    return found


def _spans(common: Flags, text: IntArray) -> IntArray:
    """Runs of marked words within a text: first word, and the one after the last; shape (spans, 2)."""
    before = np.zeros(len(common), bool)
    before[1:] = common[:-1] & (text[1:] == text[:-1])
    after = np.zeros(len(common), bool)
    after[:-1] = common[1:] & (text[1:] == text[:-1])
    return np.stack([np.flatnonzero(common & ~before), np.flatnonzero(common & ~after) + 1], axis=1)
