"""The index of items, and the search for items in pages. Pure functions over arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_starts
from beam_sts.passages.align import Alignment, align
from beam_sts.passages.evidence import ENOUGH, context_bits, evidence
from beam_sts.passages.words import Words, word_bits, words_of

FLOOR = 30.0
"""Bits that an item must have to be searched for. Items with fewer may occur by chance."""
_WHOLE = 0.9  # score from which a match counts as whole, and needs no further evidence
_SEED = 12.0  # bits that a seed, a pair of words, must have
_FEWEST = 6  # seeds of an item that are used even if they have fewer bits
_HOT = 100  # most items that share a seed; a more frequent seed is not used
_COVERED = 0.3  # fraction of the bits of an item in matched seeds from which an alignment is tried
_REACH = 8  # words, besides half the length of the item, that matched seeds may be apart
_SHIFT = 2.0  # bits that each word costs by which the lengths of the matched parts differ
_EDGE = 3  # unmatched words at either end of an item for which a match is extended
_TABLE = 22  # bits of a hash that index the table for quick rejection of words

Hit = tuple[Alignment, int, float]
"""An alignment of the words of all pages with an item, the number of the item, and the score."""


@dataclass(frozen=True)
class Matches:
    """Matches of items in pages, sorted by page and position; all arrays have shape (n,).

    ``page`` is the number of the page, ``start`` and ``stop`` the characters of it. ``item`` is the number of
    the item, the first of equal items; ``item_start`` and ``item_stop`` are the matched characters of it.
    ``score`` is how much of the item the page has in order (``_score``), from 0 to 1, rounded to 6 digits.
    """

    page: IntArray
    start: IntArray
    stop: IntArray
    item: IntArray
    item_start: IntArray
    item_stop: IntArray
    score: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.page)


@dataclass(frozen=True)
class ItemIndex:
    """An index of items. ``words`` are the words of all items, ``bits`` the information of each word.

    ``given`` are its bits given the words before it, from ``context_bits``. ``same`` is the first item with
    the words of each item; ``short`` marks items with too few bits.
    """

    words: Words
    bits: NDArray[np.float32]
    given: NDArray[np.float32]
    same: IntArray
    short: NDArray[np.bool_]

    @classmethod
    def of(cls, texts: pa.ChunkedArray | pa.Array | list[str]) -> ItemIndex:
        """Index some texts."""
        words = words_of(texts)
        bits = word_bits(words)
        short = _totals(bits, words) < FLOOR
        seen: dict[bytes, int] = {}
        same = np.arange(len(words))
        for number in np.flatnonzero(~short).tolist():
            key = words.names[words.offsets[number] : words.offsets[number + 1]].tobytes()
            same[number] = seen.setdefault(key, number)
        given = context_bits(words, same == np.arange(len(words)))
        return cls(words, bits, given, same, short)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def repeated(self) -> NDArray[np.bool_]:
        """The items with the same words as an earlier one."""
        found: NDArray[np.bool_] = self.same != np.arange(len(self))
        return found

    @cached_property
    def _totals(self) -> NDArray[np.float64]:
        """The bits of each item."""
        return _totals(self.bits, self.words)

    @cached_property
    def _seeds(self) -> _Seeds:
        return _Seeds.of(self)

    def find(self, texts: pa.ChunkedArray | pa.Array | list[str], least: float) -> Matches:
        """Find items in pages.

        Args:
            texts: the pages.
            least: the lowest score of a match.

        Returns:
            The matches.

        >>> index = ItemIndex.of(["The quick brown fox jumps over the lazy dog."])
        >>> page = "They say: the quick, brown  fox jumped over the lazy dog! Indeed."
        >>> found = index.find([page], 0.6)
        >>> page[found.start[0] : found.stop[0]], round(float(found.score[0]), 2)
        ('the quick, brown  fox jumped over the lazy dog', 0.86)
        """
        pages = words_of(texts)
        found: dict[int, list[Hit]] = {}
        for page, hit in self.hits(pages, least):
            found.setdefault(page, []).append(hit)
        rows = []
        for page in sorted(found):
            for place, item, score in sorted(_apart(found[page]), key=lambda hit: hit[0]):
                base = int(self.words.offsets[item])
                in_page = span_of(pages, place.start, place.stop)
                in_item = span_of(self.words, base + place.item_start, base + place.item_stop)
                rows.append((page, *in_page, item, *in_item, score))
        places = np.array([row[:6] for row in rows], np.int64).reshape(-1, 6).T
        page, start, stop, item, item_start, item_stop = places
        scores = np.array([row[6] for row in rows], np.float64)
        return Matches(page, start, stop, item, item_start, item_stop, scores)

    def hits(
        self, pages: Words, least: float, wanted: Callable[[int, int], bool] | None = None
    ) -> Iterator[tuple[int, Hit]]:
        """Every match of an item in a page, with the page. Matches may overlap.

        Args:
            pages: the words of the pages.
            least: the lowest score of a match.
            wanted: whether to search a page for an item, the first of equal ones. None: always.
        """
        # A whole item has all of its seeds. For any other score, some must be there.
        needed = self._seeds.covered(self) if least >= 1 else _COVERED * self._totals
        for page, item, low, high in self._seeds.places(pages, self.words, self.bits, needed):
            if wanted is None or wanted(page, item):
                for hit in self._within(pages, item, low, high, least):
                    yield page, hit

    def _within(self, pages: Words, item: int, low: int, high: int, least: float) -> Iterator[Hit]:
        """Matches of an item in words ``low`` to ``high`` of all pages, then before and after each match."""
        start, stop = self.words.offsets[item : item + 2].tolist()
        total = float(self._totals[item])
        spans = [(low, high)]
        while spans:
            low, high = spans.pop()
            item_words = slice(start, stop)
            place = align(
                pages.names[low:high],
                self.words.names[item_words],
                self.bits[item_words],
                self.given[:, item_words],
            )
            if place is None:
                continue
            score = round(_score(place, stop - start, total), 6)
            if score < least or score * total < FLOOR:
                continue
            if score < _WHOLE and evidence(place, stop - start, pages.breaks[low : high + 1]) < ENOUGH:
                continue
            before = min(place.item_start, _EDGE, place.start)
            after = min(stop - start - place.item_stop, _EDGE, high - low - place.stop)
            spans += [(low, low + place.start), (low + place.stop, high)]
            moved = place._replace(start=low + place.start - before, stop=low + place.stop + after)
            yield moved, item, score


@dataclass(frozen=True)
class _Seeds:
    """Seeds: pairs of item words that are adjacent or have one word between. Sorted by ``names``.

    ``item`` is the item of each seed, ``one`` and ``two`` its words (indices over all items), all of shape
    (seeds,). ``table`` tells for the lowest bits of a name whether any seed has them.
    """

    names: NDArray[np.uint64]
    item: IntArray
    one: IntArray
    two: IntArray
    table: NDArray[np.bool_]

    @classmethod
    def of(cls, index: ItemIndex) -> _Seeds:
        words, bits = index.words, index.bits
        names, one, two = _pairs(words)
        item = np.searchsorted(words.offsets, one, side="right") - 1
        says = bits[one] + bits[two]
        wanted = ~(index.short | index.repeated)[item]
        names, one, two, item, says = names[wanted], one[wanted], two[wanted], item[wanted], says[wanted]
        order = np.lexsort((one, two, -says, item))
        place = np.arange(len(order)) - np.repeat(
            group_starts(item[order]), np.diff(group_starts(item[order]), append=len(order))
        )
        kept = order[(says[order] >= _SEED) | (place < _FEWEST)]
        kept = kept[np.lexsort((two[kept], one[kept], names[kept]))]
        _, group, sizes = np.unique(names[kept], return_inverse=True, return_counts=True)
        kept = kept[sizes[group] <= _HOT]
        table = np.zeros(1 << _TABLE, dtype=bool)
        table[names[kept] & np.uint64((1 << _TABLE) - 1)] = True
        return cls(names[kept], item[kept], one[kept], two[kept], table)

    def covered(self, index: ItemIndex) -> NDArray[np.float64]:
        """The bits of the words of each item that are in seeds, less rounding errors."""
        words = np.unique(np.concatenate([self.one, self.two]))
        item = np.searchsorted(index.words.offsets, words, side="right") - 1
        found: NDArray[np.float64] = np.zeros(len(index))
        np.add.at(found, item, 0.999 * index.bits[words])
        return found

    def places(
        self, pages: Words, words: Words, bits: NDArray[np.float32], needed: NDArray[np.float64]
    ) -> Iterator[tuple[int, int, int, int]]:
        """Where to align: page, item, and first and last word (over all pages) of the range.

        Args:
            pages: the words of the pages.
            words: the words of the items.
            bits: the information of each of these.
            needed: the least bits of words in seeds that a range has, by item.
        """
        names, one, _ = _pairs(pages)
        likely = np.flatnonzero(self.table[names & np.uint64((1 << _TABLE) - 1)])
        names, one = names[likely], one[likely]
        first, last = (np.searchsorted(self.names, names, side) for side in ("left", "right"))
        count = last - first
        seed = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        at = np.repeat(one, count)
        if not len(at):
            return
        page = np.searchsorted(pages.offsets, at, side="right") - 1
        item = self.item[seed]
        length = np.diff(words.offsets)[item]
        order = np.lexsort((at, item, page))
        page, item, at, seed, length = page[order], item[order], at[order], seed[order], length[order]
        reach = length + length // 2 + _REACH
        new = np.ones(len(at), dtype=bool)
        new[1:] = (page[1:] != page[:-1]) | (item[1:] != item[:-1]) | (np.diff(at) > reach[1:])
        group = np.cumsum(new) - 1
        # For each group, the bits of the distinct words of its seeds.
        code = np.concatenate([group, group]) * len(words.names) + np.concatenate(
            [self.one[seed], self.two[seed]]
        )
        code = np.unique(code)
        overlap = np.bincount(code // len(words.names), bits[code % len(words.names)])
        starts = np.flatnonzero(new)
        stops = np.append(starts[1:], len(at))
        enough = overlap >= np.maximum(needed[item[starts]], _SEED)
        for number in np.flatnonzero(enough).tolist():
            low, high = int(starts[number]), int(stops[number]) - 1
            here, wide = int(page[low]), int(reach[low])
            yield (
                here,
                int(item[low]),
                max(int(pages.offsets[here]), int(at[low]) - wide),
                min(int(pages.offsets[here + 1]), int(at[high]) + wide + 1),
            )


def _score(place: Alignment, words: int, bits: float) -> float:
    """The score of an alignment: the mean of the matched fractions of words and of bits.

    The bits are reduced for words between matches, and for different lengths of the matched parts. A replaced
    word keeps the distances of the others, whereas common words that match by chance are at any distance.
    """
    shift = abs(place.stop - place.start - (place.item_stop - place.item_start))
    return 0.5 * (place.words / words + max(0.0, place.score - _SHIFT * shift) / bits)


def _totals(bits: NDArray[np.float32], words: Words) -> NDArray[np.float64]:
    """The sum of the bits of the words of each text."""
    edges = np.concatenate([np.zeros(1), np.cumsum(bits, dtype=np.float64)])[words.offsets]
    found: NDArray[np.float64] = np.diff(edges)
    return found


def _pairs(words: Words) -> tuple[NDArray[np.uint64], IntArray, IntArray]:
    """Hashes of pairs of words that are adjacent or have one word between, and the indices of the words."""
    of = np.repeat(np.arange(len(words)), np.diff(words.offsets))
    names, ones, twos = [], [], []
    for gap in (1, 2):
        one = np.flatnonzero(of[gap:] == of[:-gap]) if len(of) > gap else np.empty(0, np.int64)
        two = one + gap
        mixed = words.names[one] * np.uint64(0x9E3779B97F4A7C15) ^ words.names[two]
        names.append(mixed ^ (mixed >> np.uint64(29)))
        ones.append(one)
        twos.append(two)
    return np.concatenate(names), np.concatenate(ones), np.concatenate(twos)


def span_of(words: Words, first: int, stop: int) -> tuple[int, int]:
    """The characters, in their text, of some consecutive words of one text."""
    return int(words.start[first]), int(words.stop[stop - 1])


def _apart(hits: list[Hit]) -> list[Hit]:
    """Of overlapping matches, keep the one with the highest score; among equals the first item."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (-hit[0].score, hit[1], hit[0])):
        place = hit[0]
        if all(
            min(place.stop, other.stop) - max(place.start, other.start)
            < 0.5 * min(place.stop - place.start, other.stop - other.start)
            for other, _, _ in kept
        ):
            kept.append(hit)
    return kept
