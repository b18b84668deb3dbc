"""Units of rows that longer rows of the same input contain. Pure functions.

Of two rows, the one with fewer characters loses what the other contains; of equally long ones, the later row.
A row loses a unit only if the characters that contain it stay, so that no text is lost with its copy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, inverse
from beam_sts.errors import UserError
from beam_sts.passages.find import FoundPassages, Items
from beam_sts.passages.index import span_of
from beam_sts.passages.settings import PassageSettings
from beam_sts.passages.words import words_of

_EVERYTHING = (0, np.iinfo(np.int64).max)
_BYTES = 60
"""Memory of the index for each character: 45 measured on English texts, and the texts themselves."""
_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Match(NamedTuple):
    """Characters ``start`` to ``stop`` of row ``page`` are words ``item_start`` to ``item_stop`` of a unit.

    ``item`` is the first of the units with the same words.
    """

    item: int
    page: int
    start: int
    stop: int
    item_start: int
    item_stop: int
    score: float


def check_memory(characters: int) -> None:
    """Check that an index of rows with so many characters fits into memory.

    Raises:
        UserError: it does not.
    """
    need, have = _BYTES * characters, _memory()
    if need > have:
        raise UserError(
            f"contains without against: the index of {characters:,} characters needs about "
            f"{need / 2**30:,.1f} GiB in each process, and this machine has {have / 2**30:,.1f} GiB. Remove "
            "near-duplicates first, use unit alone, or search for a part of the rows at a time with against."
        )


def _memory() -> int:
    """The memory of this machine in bytes, or the limit of its container; no limit if it is unknown."""
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else sys.maxsize
    limit = _LIMIT.read_text().strip() if _LIMIT.is_file() else "max"
    return min(have, int(limit)) if limit.isdigit() else have


@dataclass(frozen=True)
class OwnUnits:
    """The units of n rows, to search for in these rows. ``rank`` is 0 for the longest row, shape (n,)."""

    items: Items
    rank: IntArray
    settings: PassageSettings

    @classmethod
    def of(cls, texts: Sequence[str], settings: PassageSettings) -> OwnUnits:
        """Index the units of rows. The order of the rows decides between equally long ones.

        Raises:
            UserError: this machine has not enough memory for the index.
        """
        lengths = np.array([len(text) for text in texts], np.int64)
        check_memory(int(lengths.sum()))
        rank = inverse(np.lexsort((np.arange(len(lengths)), -lengths)))
        return cls(Items.of(texts, settings), rank, settings)

    @cached_property
    def _groups(self) -> dict[int, IntArray]:
        """The units with the same words, by the first of them, if there are several."""
        same = self.items.index.same
        order = np.argsort(same, kind="stable")
        starts = np.flatnonzero(np.diff(same[order], prepend=-1))
        groups = np.split(order, starts[1:]) if len(order) else []
        return {int(group[0]): group for group in groups if len(group) > 1}

    @cached_property
    def _last(self) -> IntArray:
        """The rank of the shortest row with each unit, or with one of the same words."""
        last = np.full(len(self.items.row), -1, np.int64)
        np.maximum.at(last, self.items.index.same, self.rank[self.items.row])
        return last

    def find(self, texts: Sequence[str], rows: NDArray[np.int64]) -> list[Match]:
        """Find units of shorter rows in some of the rows.

        Args:
            texts: the texts of these rows.
            rows: their numbers.
        """
        pages, index, last, rank = words_of(texts), self.items.index, self._last, self.rank[rows]
        found = index.hits(pages, self.settings.least, lambda page, item: bool(last[item] > rank[page]))
        return [
            Match(
                item,
                int(rows[page]),
                *span_of(pages, place.start, place.stop),
                place.item_start,
                place.item_stop,
                score,
            )
            for page, (place, item, score) in found
        ]

    def passages(self, matches: Iterable[Match]) -> tuple[FoundPassages, IntArray]:
        """Decide which units go, from the matches of all rows. Also returns the row that contains each."""
        by_item: dict[int, list[Match]] = {}
        for match in matches:
            by_item.setdefault(match.item, []).append(match)
        for group in by_item.values():
            group.sort(key=lambda match: (-match.score, self.rank[match.page], match.start))
        row, start, rank = self.items.row, self.items.start, self.rank
        units = [(unit, item) for item in by_item for unit in self._groups.get(item, [item])]
        units.sort(key=lambda one: (rank[row[one[0]]], start[one[0]]))
        gone: dict[int, list[tuple[int, int]]] = {}
        found: list[tuple[int, ...]] = []
        scores: list[float] = []
        for unit, item in units:
            own = int(row[unit])
            for match in by_item[item]:
                place = match.start, match.stop
                if rank[match.page] < rank[own] and not _overlaps(place, gone.get(match.page, ())):
                    first, last = self._span(int(unit), match)
                    whole = self.settings.removes == "row"
                    gone.setdefault(own, []).append(_EVERYTHING if whole else (first, last))
                    found.append((own, first, last, *place, match.page))
                    scores.append(match.score)
                    break
        places = np.array(found, np.int64).reshape(-1, 6)
        order = np.lexsort((places[:, 1], places[:, 0]))
        places = places[order]
        against = np.zeros(len(order), dtype=bool)
        return FoundPassages.of(places[:, :5], against, np.array(scores, np.float64)[order]), places[:, 5]

    def _span(self, unit: int, match: Match) -> tuple[int, int]:
        """The characters of a row that a match found in a unit."""
        words = self.items.index.words
        base = int(words.offsets[unit])
        first, last = span_of(words, base + match.item_start, base + match.item_stop)
        return int(self.items.start[unit]) + first, int(self.items.start[unit]) + last


def _overlaps(place: tuple[int, int], others: Sequence[tuple[int, int]]) -> bool:
    return any(place[0] < stop and start < place[1] for start, stop in others)
