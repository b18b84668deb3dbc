"""Boilerplate: what many texts of a corpus share around contents that differ. Pure functions.

A prompt, a letterhead, a licence, a template's frame: two texts are not alike because both have it. Looked
for are runs of words that recur in at least ``TEXTS`` distinct texts and end where the texts part: where no
word follows (or goes before) in most of them, and the next few words are of many kinds. That tells a frame
from a text of many copies: copies go on alike after every run of words, but for an edit here and there, so
nothing of them is boilerplate. Nor is what versions of one thing share, whose other words are alike too, as
citations of one article are. Of a large corpus a sample is looked at, which follows from the texts alone,
not from their order, so that every runner finds the same.
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
"""Of a run of words that is looked up."""
LEAST_WORDS = 8
"""Of boilerplate; what is shorter is a phrase."""
TEXTS = 8
"""Distinct texts that boilerplate is in, at least."""
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 50_000, 10_000_000
"""That are looked at, about."""
MOST_RUNS = 1 << 20
"""Runs of words that are kept as boilerplate, 8 bytes each; the most frequent."""
_NEAR = 3  # words whose kinds tell where texts part
_KINDS = 6  # of them, at least, or half of the texts, where they are many 20 and a tenth
_MOST_ALIKE = 0.5  # share of the texts that may go on with the same word where they part
_COMPARED = 10  # texts of a frame
_VERSIONS = 0.15  # Jaccard similarity of their contents, on average, from which they are of one thing
_HEAD = 10_000  # characters of a long text of the sample, at either end
_BLOCK = 1 << 18  # characters that are hashed together
_LOOSE = " \t\r\n.,;:!?)]}。、，"  # before a part: of the boilerplate
_BASE = 0x9E3779B97F4A7C15
_INVERSE = np.uint64(pow(_BASE, -1, 1 << 64))
_ALONE = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_END = np.uint64(1)  # what is beyond a text


@dataclass(frozen=True)
class _Words:
    """The words of n texts one after the other, a sign of Chinese or Japanese being one.

    ``hash``, ``start`` and ``stop`` of shape (words,): their hashes without case, and where they are in the
    text; ``text`` (words,) its number.
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
        """Every ``WORDS`` words of one text: the first of them, and their hash."""
        first = np.arange(max(0, len(self.hash) - WORDS + 1))
        first = first[self.text[first] == self.text[first + WORDS - 1]]
        return first, mix64([self.hash[first + place] for place in range(WORDS)], 11)

    def near(self, at: IntArray, step: int) -> list[Hashes]:
        """The word at some places, and the hash of ``_NEAR`` from there on in a direction."""
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
    """Texts of some hundred thousand characters, for the processor's caches: first, and after the last."""
    block = np.cumsum(lengths + 1) // _BLOCK
    starts = np.flatnonzero(_opens(block))
    yield from zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=True)


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The first powers of the base of the words' hashes and of its inverse."""
    power, back = _some_powers(max(2 * _BLOCK, 1 << (count - 1).bit_length()))
    return power[:count], back[:count]


@lru_cache(maxsize=1)
def _some_powers(count: int) -> tuple[Hashes, Hashes]:
    power: Hashes = np.cumprod(np.full(count, _BASE, np.uint64), dtype=np.uint64)
    back: Hashes = np.cumprod(np.full(count, _INVERSE, np.uint64), dtype=np.uint64)
    return power, back


def _kinds(codes: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], Hashes]:
    """Whether each character is no part of a word, part of one, or one (0, 1, 2); its hash without case."""
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
    r"""The runs of words that are boilerplate, by their hashes in ascending order; shape (runs,).

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
        """No boilerplate."""
        return cls(np.empty(0, np.uint64))

    @classmethod
    def of(cls, texts: Sequence[str]) -> Boilerplate:
        """Find it in distinct texts, in any order: those of :func:`boilerplate_sample`."""
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
        """What each text has besides: the parts around it, a line each; the whole where nothing is left."""
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
        """The boilerplate of each text."""
        cuts = self._cuts(texts)
        return [
            [text[a:b] for a, b in zip(mine[::2], mine[1::2], strict=True)]
            for text, mine in zip(texts, cuts, strict=True)
        ]

    def _cuts(self, texts: Sequence[str]) -> list[list[int]]:
        """Where boilerplate begins and ends in each text, in turn."""
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
        """``own`` of a column of n texts without nulls, ``large_string``."""
        parts = [self.own(part.to_pylist()) for _, part in text_blocks(texts)] if self else []
        if not self:
            return texts
        return pa.array([text for part in parts for text in part], pa.large_string())


def boilerplate_sample(hashes: Hashes, texts: int, characters: int) -> Flags:
    """Which of n distinct texts are looked at; the arguments are those of ``sampled``, of all texts."""
    wanted = min(SAMPLE_TEXTS, int(texts * min(1.0, SAMPLE_CHARACTERS / max(1, characters))))
    return sampled(hashes, texts, max(wanted, 1))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _HEAD else f"{text[:_HEAD]}\n{text[-_HEAD:]}"


class _Contents:
    """What texts have besides what recurs: the words of each that are not in every fifth text.

    Args:
        words: of all texts.
        covered: first of ``WORDS`` that are no content.
    """

    def __init__(self, words: _Words, covered: IntArray) -> None:
        texts = int(words.text.max(initial=-1)) + 1
        _, kind = np.unique(words.hash, return_inverse=True)
        rare = _texts_of(kind, words.text) <= texts / 5
        own = rare[kind] & ~_covered(covered, len(kind))
        bounds = np.searchsorted(words.text[own], np.arange(texts + 1)).tolist()
        kinds = kind[own].tolist()
        self._sets = [frozenset(kinds[a:b]) for a, b in itertools.pairwise(bounds)]
        self.differ = lru_cache(maxsize=None)(self._differ)  # one frame has many runs of words

    def _differ(self, texts: tuple[int, ...]) -> bool:
        """Whether these are less alike than versions of one thing, such as citations of one article."""
        likeness = [
            len(a & b) / len(a | b)
            for a, b in itertools.combinations([self._sets[text] for text in texts], 2)
            if a or b
        ]
        return not likeness or sum(likeness) / len(likeness) < _VERSIONS


def _some_texts(group: IntArray, text: IntArray, wanted: IntArray) -> Iterator[tuple[int, ...]]:
    """Some texts of each of the wanted groups, spread evenly over all that it has."""
    order = np.lexsort((text, group))
    starts = np.searchsorted(group[order], wanted)
    stops = np.searchsorted(group[order], wanted, side="right")
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        every = np.unique(text[order[start:stop]])
        yield tuple(every[np.linspace(0, len(every) - 1, _COMPARED).astype(np.int64)].tolist())


def _covered(first: IntArray, words: int) -> Flags:
    """Which of so many words are in one of the runs that begin at some."""
    covers = np.zeros(words + 1, np.int64)
    np.add.at(covers, first, 1)
    np.add.at(covers, first + WORDS, -1)
    covered: Flags = np.cumsum(covers)[:-1] > 0
    return covered


def _opens(ordered: NDArray[Any]) -> Flags:
    """Where in a sorted array another value begins."""
    opens = np.ones(len(ordered), bool)
    opens[1:] = ordered[1:] != ordered[:-1]
    return opens


def _recurrent(runs: Hashes, text: IntArray) -> tuple[IntArray, IntArray]:
    """Which runs of words are in enough texts, ascending, and the number of each one's group."""
    order = np.argsort(runs, kind="stable")  # so the texts of a group ascend
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
    """In how many texts each group is, of its places."""
    width = int(text.max(initial=0)) + 1
    pairs = np.sort(group * width + text)  # np.unique would hash, and be slower
    found = np.bincount(pairs[_opens(pairs)] // width, minlength=groups)
    return found.astype(np.int64)


def _parts(group: IntArray, word: Hashes, near: Hashes) -> Flags:
    """Whether texts part at a group of places, by the word there and the hash of some; shape (groups,)."""
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
    """The distinct values of each group: them, their groups, and how often each is."""
    order = np.lexsort((value, group))
    opens = _opens(value[order]) | _opens(group[order])
    starts = np.flatnonzero(opens)
    return value[order][starts], group[order][starts], np.diff(np.append(starts, len(order)))


def _inside(first: IntArray, text: IntArray, left: Flags, right: Flags) -> Flags:
    """Which runs of words, in order, lie in a frame.

    Within consecutive ones a frame ends where texts part to the right, and begins again where they do to the
    left. One of its ends must be such a place: what has none is a text of many copies, or a part of one
    between two edits.
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
    stops[of] = rows  # the last of each is what stays
    framed = long & (left[starts] | right[stops])
    found = np.zeros(len(first), bool)
    found[rows] = framed[of]
    return found


def _spans(common: Flags, text: IntArray) -> IntArray:
    """Runs of words that are common, of one text: first word and the one after the last; shape (spans, 2)."""
    before = np.zeros(len(common), bool)
    before[1:] = common[:-1] & (text[1:] == text[:-1])
    after = np.zeros(len(common), bool)
    after[:-1] = common[1:] & (text[1:] == text[:-1])
    return np.stack([np.flatnonzero(common & ~before), np.flatnonzero(common & ~after) + 1], axis=1)
