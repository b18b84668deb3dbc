"""Which texts are in the test split. Pure functions.

A unit is what goes to a split as a whole: a document, or the texts without a document that have the same key.
Units that are near-duplicates in a text are linked: a positive has both texts in one split, and two units
that are drawn apart would both lose it. Of linked units the one with the lowest name decides for all. Links
are followed one step, so that no chain of them takes the corpus to one split.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import group_rows, group_starts
from beam_sts.candidates.keys import Keys, MinHash, mix64

FEW = 10
"""Most units that a bucket links. What more of them have in common, both splits have anyway."""
SURE = 20
"""Most groups of linked units that are certain to be in the test split."""

_NEAR = MinHash(similarity=0.7, recall=0.9, permutations=36)


def split_key(text: str) -> str:
    """Returns the key that decides the split of a text without a document; near-duplicates mostly share it.

    The key is the run of three words with the lowest hash, so the probability that two texts share it is
    the Jaccard similarity of their runs of three words (MinHash).

    >>> split_key("a cat sat on the mat") == split_key("a cat sat on the mat today")
    True
    """
    words = text.split()
    runs = [" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))]
    return min(runs, key=lambda run: (zlib.crc32(run.encode()), run))


def near_keys(texts: pa.Array | pa.ChunkedArray) -> Iterator[Keys]:
    """The buckets of texts; near-duplicates mostly share one. They link the units of their texts."""
    return _NEAR.bands_of(texts, form=True)


def unit_names(keys: Sequence[str]) -> NDArray[np.uint64]:
    """Returns the name of each unit, a hash of its key: uint64 of shape (keys,)."""
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def in_test(units: NDArray[np.uint64], share: float, seed: int) -> NDArray[np.bool_]:
    """Returns which units go to the test split: a share of them by hash, independent of the other units.

    Args:
        units: names of units, shape (n,).
        share: share of the units, 0 to 1.
        seed: selects the split.

    Returns:
        A boolean array of shape (n,).

    >>> in_test(unit_names(["one", "two", "three"]), 1, 0).tolist()
    [True, True, True]
    """
    drawn: NDArray[np.bool_] = mix64([units], seed) / 2.0**64 < share
    return drawn


class Lowest(NamedTuple):
    """The number of groups of linked units, and the lowest draws of them, in order, at most ``SURE``."""

    groups: int = 0
    draws: tuple[int, ...] = ()

    def plus(self, other: Lowest) -> Lowest:
        """Both together."""
        return Lowest(self.groups + other.groups, tuple(sorted(self.draws + other.draws)[:SURE]))

    @classmethod
    def of(cls, names: NDArray[np.uint64], seed: int) -> Lowest:
        """The groups with these names."""
        return cls(len(names), tuple(np.sort(mix64([names], seed))[:SURE].tolist()))

    def bar(self, share: float) -> int:
        """The highest draw with which a group is certain to be in the test split; -1 if none is.

        It lets in the share of the groups, rounded up, so that few groups do not all miss the test split.
        A single group is left to chance.
        """
        sure = min(SURE, math.ceil(share * self.groups))
        return self.draws[sure - 1] if sure and self.groups > 1 else -1


def linked_in_test(decides: NDArray[np.uint64], share: float, seed: int, bar: int) -> NDArray[np.bool_]:
    """Returns which linked units are in the test split, by the name of the unit that decides for each."""
    sure = mix64([decides], seed) <= np.uint64(bar) if bar >= 0 else np.zeros(len(decides), bool)
    found: NDArray[np.bool_] = sure | in_test(decides, share, seed)
    return found


def texts_in_test(
    units: NDArray[np.uint64], keys: Iterable[Keys], share: float, seed: int
) -> NDArray[np.bool_]:
    """Returns which texts are in the test split.

    Args:
        units: the name of the unit of each text, shape (n,).
        keys: the buckets of the texts, from :func:`near_keys`; each part has complete buckets.
        share: share of the units, 0 to 1.
        seed: selects the split.

    >>> found = texts_in_test(unit_names(["a", "b", "c"]), [], 0, 0)
    >>> found.tolist()
    [False, False, False]
    """
    names, unit = np.unique(units, return_inverse=True)
    decides, linked = np.arange(len(names)), np.zeros(len(names), bool)
    for part in keys:
        bucket, _ = group_rows((*part.key.T,))
        codes = np.unique(bucket * len(names) + unit[part.text])
        bucket, member = codes // len(names), codes % len(names)
        size = np.bincount(bucket)
        few = ((size > 1) & (size <= FEW))[bucket]
        bucket, member = bucket[few], member[few]
        starts = group_starts(bucket)
        first = np.repeat(member[starts], np.diff(starts, append=len(member)))
        np.minimum.at(decides, member, first)
        linked[member] = True
    groups = np.flatnonzero(np.bincount(decides[linked], minlength=len(names)) > 1)
    bar = Lowest.of(names[groups], seed).bar(share)
    test = in_test(names, share, seed)
    test[linked] = linked_in_test(names[decides[linked]], share, seed, bar)
    return test[unit]
