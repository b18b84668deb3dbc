"""Local alignment of the words of a page and of an item. Pure functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_GAP = 1.0  # bits that each page word between two matched words costs


class Alignment(NamedTuple):
    """Words ``start`` to ``stop`` of a page, aligned with words ``item_start`` to ``item_stop`` of an item.

    The first and last of these page words match. ``words`` matches have ``bits`` of information; ``score`` is
    ``bits`` minus the cost of the words between matches. ``worth`` are the bits of the matches given the
    words of the item that match before them.
    """

    start: int
    stop: int
    item_start: int
    item_stop: int
    words: int
    bits: float
    score: float
    worth: float


def align(
    page: NDArray[np.uint64], item: NDArray[np.uint64], bits: NDArray[np.float32], given: NDArray[np.float32]
) -> Alignment | None:
    """The part of a page that has most of the words of an item, in order and close together.

    This is the local alignment of Smith and Waterman (1981), vectorised over the words of the page. A
    matching word scores its information. A page word between two matches costs one bit. An item word without
    a match costs nothing, since its score is missing already.

    Args:
        page: the words, shape (p,).
        item: the words, shape (m,).
        bits: the information of each item word, shape (m,).
        given: the bits of each item word after none, one, two and more matching words before it, (n, m).

    Returns:
        The alignment with the highest score, the first among equals; None if no word matches.

    >>> page, item = np.array([9, 1, 2, 8, 4, 9], np.uint64), np.array([1, 2, 3, 4], np.uint64)
    >>> align(page, item, np.full(4, 5, np.float32), np.array([[5] * 4, [2] * 4], np.float32))
    Alignment(start=1, stop=5, item_start=0, item_stop=4, words=3, bits=15.0, score=14.0, worth=12.0)
    """
    count = len(page)
    at = np.arange(count)
    # For each word of the page, the best alignment so far that ends with it:
    value = np.full(count, -np.inf)
    held, shared = np.zeros(count), np.zeros(count, np.int64)
    start, first, last = at.copy(), np.zeros(count, np.int64), np.zeros(count, np.int64)
    worth, run = np.zeros(count), np.zeros(count, np.int64)
    for number in range(len(item)):
        here = np.flatnonzero(page == item[number])
        if not len(here):
            continue
        # The best alignment to extend at each position: the highest score after the cost of the gap.
        raised = value + _GAP * at
        best = np.maximum.accumulate(raised)
        source = np.maximum.accumulate(np.where(raised >= best, at, 0))
        before = here - 1
        source = np.where(before >= 0, source[before], 0)
        carried = np.where(before >= 0, best[before] - _GAP * before, -np.inf)
        goes_on = carried > 0
        new = np.where(goes_on, carried, 0) + bits[number]
        better = new > value[here]
        here, goes_on, source, new = here[better], goes_on[better], source[better], new[better]
        kept_start, kept_first = start[source], first[source]
        new_held = np.where(goes_on, held[source], 0) + bits[number]
        new_shared = np.where(goes_on, shared[source], 0) + 1
        new_run = np.where(goes_on & (last[source] == number - 1), run[source] + 1, 0)
        new_worth = np.where(goes_on, worth[source], 0) + given[np.minimum(new_run, len(given) - 1), number]
        value[here] = new
        held[here] = new_held
        shared[here] = new_shared
        worth[here], run[here] = new_worth, new_run
        start[here] = np.where(goes_on, kept_start, here)
        first[here] = np.where(goes_on, kept_first, number)
        last[here] = number
    if not count or not np.isfinite(value.max()):
        return None
    end = int(np.argmax(value))
    return Alignment(
        int(start[end]),
        end + 1,
        int(first[end]),
        int(last[end]) + 1,
        int(shared[end]),
        float(held[end]),
        float(value[end]),
        float(worth[end]),
    )
