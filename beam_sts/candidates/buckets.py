"""Candidate pairs from bucket keys, with a cap for hot buckets. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, coded_pairs, group_starts, pair_codes
from beam_sts.candidates.keys import Keys

CAP = 50
MOST_SOURCES = 62
"""The most sources of a union: each has a bit of an integer."""
_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class BucketReport:
    """Counts of buckets and pairs, and of the pairs that the cap left out.

    ``buckets`` counts buckets with at least two members (with sides: at least one on each). ``largest`` is
    the size of the largest. ``hot`` buckets are above the cap; ``hot_members`` is their total size.
    ``pairs_possible`` counts the pairs within each bucket; ``pairs_capped`` of them were left out. ``pairs``
    counts the distinct pairs made.
    """

    source: str
    keys: int = 0
    buckets: int = 0
    largest: int = 0
    hot: int = 0
    hot_members: int = 0
    pairs_possible: int = 0
    pairs_capped: int = 0
    pairs: int = 0

    def __add__(self, other: BucketReport) -> BucketReport:
        """Add up two reports of separate buckets and pairs."""
        names = ("keys", "buckets", "hot", "hot_members", "pairs_possible", "pairs_capped", "pairs")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return BucketReport(self.source, largest=max(self.largest, other.largest), **sums)


def bucket_pairs(
    keys: Keys | Iterable[Keys], cap: int = CAP, side: NDArray[np.integer] | None = None
) -> tuple[IntArray, IntArray, BucketReport]:
    """The distinct pairs of texts that share a bucket.

    The rule for hot buckets makes the work linear in the members instead of quadratic. In a bucket with more
    than ``cap`` members, sorted by number, each member is paired with the next ``cap // 2`` and with the
    first. With sides, a bucket is hot if its smaller side has more than ``cap // 2`` members. Then each
    member of the larger side is paired with ``cap // 2`` of the smaller, starting at the corresponding
    relative position.

    Args:
        keys: the keys of all texts, or several sets of keys with separate buckets (the bands of a MinHash).
        cap: the most members of a bucket that are all paired with each other, at least 2.
        side: 0 or 1 for each text, shape (n,). If given, only pairs with one member on each side are made.

    Returns:
        Numbers a < b of shape (pairs,), in ascending order of (a, b), and the report.

    Raises:
        ValueError: ``cap`` is below 2.

    >>> keys = Keys(np.arange(4), np.array([[7, 7], [8, 8], [7, 7], [7, 7]], np.uint64), "exact")
    >>> a, b, report = bucket_pairs(keys)
    >>> list(zip(a.tolist(), b.tolist())), report.buckets, report.largest
    ([(0, 2), (0, 3), (2, 3)], 1, 3)
    """
    if cap < 2:
        raise ValueError(f"cap {cap} must be at least 2")
    report = BucketReport("")
    codes = np.empty(0, np.int64)
    waiting: list[IntArray] = []
    for part in [keys] if isinstance(keys, Keys) else keys:
        buckets = _group(part, side)
        ranges = _ranges(buckets, cap, sided=side is not None)
        report = _add(report, part, buckets, ranges)
        for first, second in _expand(buckets.text, ranges):
            waiting.append(distinct_codes(pair_codes(first, second)))
            if sum(map(len, waiting)) > max(_PAIRS_AT_ONCE, len(codes)):
                codes, waiting = distinct_codes(np.concatenate([codes, *waiting])), []
        del part, buckets, ranges  # before the next keys are computed
    codes = distinct_codes(np.concatenate([codes, *waiting]))
    return *coded_pairs(codes), replace(report, pairs=len(codes))


def distinct_codes(codes: IntArray) -> IntArray:
    """Sort codes in place and drop duplicates. No code is negative; ``numpy.unique`` is ten times slower."""
    codes.sort()
    return codes[np.diff(codes, prepend=-1) > 0]


class _Buckets(NamedTuple):
    """Members sorted by bucket, side and number; start, size and number of side-0 members of each bucket."""

    text: IntArray
    begin: IntArray
    size: IntArray
    left: IntArray


class _Ranges(NamedTuple):
    """Member i is paired with ``partners[i]`` members from ``begin[i]``; more pairs are (first, second)."""

    begin: IntArray
    partners: IntArray
    first: IntArray
    second: IntArray
    possible: int
    hot: NDArray[np.bool_]


def _group(keys: Keys, side: NDArray[np.integer] | None) -> _Buckets:
    """The buckets with at least one possible pair. A repeated member counts once."""
    by_key = np.argsort(keys.key[:, 0])
    word = keys.key[by_key, 0]
    alike = word[1:] == word[:-1]
    # Most texts are alone in their bucket, so only the others are fully sorted.
    shared = (
        by_key[np.concatenate([alike, [False]]) | np.concatenate([[False], alike])] if len(word) else by_key
    )
    text, key = keys.text[shared], keys.key[shared]
    sides = np.zeros(len(text), np.int8) if side is None else np.asarray(side)[text].astype(np.int8)
    order = np.lexsort((text, sides, key[:, 1], key[:, 0]))
    text, key, sides = text[order], key[order], sides[order]
    same_key = (key[1:] == key[:-1]).all(axis=1)
    fresh = np.concatenate([[True], ~(same_key & (text[1:] == text[:-1]))])[: len(text)]
    opens = np.concatenate([[True], ~same_key])[: len(text)]
    bucket = (np.cumsum(opens) - 1)[fresh]
    text, sides = text[fresh], sides[fresh]
    size = np.bincount(bucket)
    left = np.bincount(bucket, weights=sides == 0, minlength=len(size)).astype(np.int64)
    wanted = size > 1 if side is None else (left > 0) & (left < size)
    text, size, left = text[wanted[bucket]], size[wanted], left[wanted]
    return _Buckets(text, np.cumsum(size) - size, size, left)


def _ranges(buckets: _Buckets, cap: int, *, sided: bool) -> _Ranges:
    _, begin, size, left = buckets
    half = cap // 2
    bucket = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(bucket)) - begin[bucket]
    if not sided:
        hot = size > cap
        count = size[bucket] - place - 1
        count = np.where(hot[bucket], np.minimum(count, half), count)
        # The first member is already paired with the members that follow it.
        far = np.flatnonzero(hot[bucket] & (place > half))
        possible = int((size * (size - 1) // 2).sum())
        return _Ranges(np.arange(len(bucket)) + 1, count, begin[bucket[far]], far, possible, hot)
    right = size - left
    hot = np.minimum(left, right) > half
    # In a hot bucket each member of the larger side picks partners; otherwise each member of side 0 takes
    # all.
    from_left = np.where(hot, left >= right, True)
    on_left = place < left[bucket]
    chooses = on_left == from_left[bucket]
    others = np.where(from_left, right, left)[bucket]
    own = np.where(from_left, left, right)[bucket]
    rank = np.where(on_left, place, place - left[bucket])
    start = begin[bucket] + np.where(from_left, left, 0)[bucket]
    middle = np.minimum(rank * others // np.maximum(own, 1), np.maximum(others - half, 0))
    count = np.where(chooses, np.where(hot[bucket], half, others), 0)
    none = np.empty(0, np.int64)
    return _Ranges(
        start + np.where(hot[bucket], middle, 0), count, none, none, int((left * right).sum()), hot
    )


def _expand(text: IntArray, ranges: _Ranges) -> Iterator[tuple[IntArray, IntArray]]:
    """The pairs, in batches of a few million."""
    if len(ranges.first):
        yield text[ranges.first], text[ranges.second]
    ends = np.cumsum(ranges.partners)
    begin = 0
    while begin < len(text):
        done = ends[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
        count = ranges.partners[begin:stop]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        yield np.repeat(text[begin:stop], count), text[np.repeat(ranges.begin[begin:stop], count) + within]
        begin = stop


def _add(report: BucketReport, keys: Keys, buckets: _Buckets, ranges: _Ranges) -> BucketReport:
    made = int(ranges.partners.sum()) + len(ranges.first)
    return BucketReport(
        keys.source,
        report.keys + len(keys.text),
        report.buckets + len(buckets.size),
        max(report.largest, int(buckets.size.max(initial=0))),
        report.hot + int(ranges.hot.sum()),
        report.hot_members + int(buckets.size[ranges.hot].sum()),
        report.pairs_possible + ranges.possible,
        report.pairs_capped + ranges.possible - made,
    )


def union_pairs(
    parts: Sequence[tuple[IntArray, IntArray, str]],
) -> tuple[IntArray, IntArray, pa.DictionaryArray]:
    """Merge the candidates of several sources into distinct pairs.

    Args:
        parts: for each source, numbers a < b and its name; at most 62 distinct names. The names are joined in
            the order in which they first appear.

    Returns:
        Numbers a < b in ascending order of (a, b), and the source names of each pair, joined by ``+``.

    Raises:
        ValueError: there are more than 62 names.

    >>> one, two = np.array([1]), np.array([2])
    >>> a, b, source = union_pairs([(one, two, "exact"), (one, two, "minhash"), (one, two + 1, "minhash")])
    >>> list(zip(a.tolist(), b.tolist(), source.to_pylist()))
    [(1, 2, 'exact+minhash'), (1, 3, 'minhash')]
    """
    names = list(dict.fromkeys(name for _, _, name in parts))
    if len(names) > MOST_SOURCES:
        raise ValueError(f"{len(names)} sources are too many: at most {MOST_SOURCES}")
    none = np.empty(0, np.int64)
    codes, bits = union_codes(
        np.concatenate([none, *(pair_codes(a, b) for a, b, _ in parts)]),
        np.concatenate([none, *(np.full(len(a), 1 << names.index(name)) for a, _, name in parts)]),
    )
    masks, index = np.unique(bits, return_inverse=True)
    labels = [joined_names(mask, names) for mask in masks.tolist()]
    source = pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(labels, pa.string()))
    return *coded_pairs(codes), source


def union_codes(codes: IntArray, bits: IntArray) -> tuple[IntArray, IntArray]:
    """Merge equal codes of pairs. One machine passes all pairs; Beam passes all copies of some pairs.

    Args:
        codes: the code of each pair, shape (n,), not negative.
        bits: a bit for each search that found the pair, shape (n,).

    Returns:
        The distinct codes in ascending order, and the union of the bits of each.

    >>> codes, bits = union_codes(np.array([7, 4, 7]), np.array([1, 1, 2]))
    >>> codes.tolist(), bits.tolist()
    ([4, 7], [1, 3])
    """
    order = np.argsort(codes, kind="stable")
    codes, bits = codes[order], bits[order]
    starts = group_starts(codes)
    return codes[starts], np.bitwise_or.reduceat(bits, starts) if len(starts) else bits


def joined_names(bits: int, names: Sequence[str]) -> str:
    """Join the names whose bits are set, without repetitions.

    >>> joined_names(0b101, ["exact", "minhash", "block"])
    'exact+block'
    """
    return "+".join(dict.fromkeys(name for at, name in enumerate(names) if bits >> at & 1))
