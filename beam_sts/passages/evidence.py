"""Whether a page has an item of which some words are missing, or only a phrase of everyday language.

Six of the eight words of "Do you have a specific restaurant in mind?" are in many a page. What tells such a
phrase from an item with two words replaced is that its words follow from each other, that the rest of the
item is missing at one end, and that it is inside another sentence. Pure functions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.passages.align import Alignment
from beam_sts.passages.words import EXTRA, Words

ENOUGH = 13.0
"""Bits of evidence that a match with missing words needs."""
_LEAST, _MOST = 3.0, 6.0  # bits of a matched word: one that follows from the words before it, and any other
_MISSING = 5.0  # bits that a missing word of the item costs
_END = 3.0  # further bits that it costs at an end of the item
_LONGER = 6.0  # bits that each word costs by which the lengths of the matched parts differ
_INSIDE = 5.0  # bits that each end of the item inside a sentence of the page costs
_DISCOUNT = 0.75  # subtracted from the counts of runs of words, for runs that did not occur
_MIX = np.uint64(0x9E3779B97F4A7C15)


def context_bits(words: Words, counted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What each word of items says in bits, given none, one and two words before it, float32 (3, words).

    A word that often follows the words before it in other items says least. (These are trigram probabilities
    with absolute discounting.)

    Args:
        words: the words of n items.
        counted: the items whose words are counted, without repeated ones; shape (n,).
    """
    of = np.repeat(np.arange(len(words)), np.diff(words.offsets))
    runs, before = words.names, _counts(words.names, counted[of])
    found = [(np.maximum(before - 1, 0) + 0.25) / (before.size + EXTRA)]
    for length in (1, 2):
        # Words with so many words of the same item before them, and the runs of both.
        last = np.flatnonzero(of[length:] == of[:-length]) + length if len(of) > length else np.empty(0, int)
        context = runs[last - 1]
        mixed = (context ^ (context >> np.uint64(31))) * _MIX + words.names[last]
        run = _counts(mixed, counted[of[last]])
        # How many different words follow the same context.
        _, first = np.unique(mixed, return_index=True)
        kinds, which = np.unique(context, return_inverse=True)
        follow = np.bincount(which[first], minlength=len(kinds))[which]
        others = np.maximum(before[last - 1] - 1, 0)
        lower = found[-1][last]
        weight = np.minimum(1.0, _DISCOUNT * follow / np.maximum(others, 1))
        known = np.maximum(run - 1 - _DISCOUNT, 0) / np.maximum(others, 1) + weight * lower
        found.append(found[-1].copy())
        found[-1][last] = np.where(others > 0, known, lower)
        runs, before = np.zeros_like(runs), np.zeros_like(before)
        runs[last], before[last] = mixed, run
    bits = np.minimum(-np.log2(np.stack(found)), words.prior)
    return np.clip(bits, _LEAST, _MOST).astype(np.float32)


def _counts(names: NDArray[np.uint64], counted: NDArray[np.bool_]) -> IntArray:
    """How often each name is in the counted ones."""
    _, which = np.unique(names, return_inverse=True)
    counts: IntArray = np.bincount(which, counted, minlength=1).astype(np.int64)[which]
    return counts


def evidence(place: Alignment, words: int, breaks: NDArray[np.bool_]) -> float:
    """The evidence, in bits, that the words of a page are an item with missing words.

    Args:
        place: the alignment of the page with the item.
        words: the number of words of the item.
        breaks: whether a sentence or a line may start at each word of the page, and at its end, (p + 1,).
    """
    before, after = place.item_start, words - place.item_stop
    longer = abs(place.stop - place.start - (place.item_stop - place.item_start))
    # Where the item would start and stop in the page, give or take a word.
    start, stop = max(0, place.start - before), min(len(breaks) - 1, place.stop + after)
    starts = breaks[max(0, start - 1) : min(place.start, start + 1) + 1]
    stops = breaks[max(place.stop, stop - 1) : stop + 2]
    inside = int(not starts.any()) + int(not stops.any())
    lost = words - place.words
    return place.worth - _MISSING * lost - _END * (before + after) - _LONGER * longer - _INSIDE * inside
