"""Candidate pairs in Beam: compute keys of texts, pair the members of a bucket.

The algorithms are pure functions of ``beam_sts.candidates``; this module adds the shuffles. At most
``MEMBERS`` ids of a bucket are in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.candidates.buckets import CAP, BucketReport, bucket_pairs
from beam_sts.candidates.keys import KeyFunction, Keys

MEMBERS = 1 << 20
"""The most members of a bucket (or of one of its sides) in memory. Others are paired with the first only."""

_MEMBERS_AT_ONCE = 1 << 14  # of buckets that are paired together
_KIB_AT_ONCE = 1 << 12  # of texts that are hashed together; each text counts as at least one


class KeyTexts(beam.PTransform):
    """``(id, text)`` -> ``(bucket key, id)``, any number for each text.

    Args:
        keys: the pure function that computes keys, such as ``exact_keys`` or ``MinHash().bands_of``.
    """

    def __init__(self, keys: KeyFunction) -> None:
        super().__init__()
        self._keys = keys

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Hash thousands of texts at a time, fewer if they are long."""
        return texts | batch_texts() | "Key" >> beam.FlatMap(_key, self._keys)


def batch_texts() -> beam.PTransform:
    """``(id, text)`` -> lists of thousands of such pairs, fewer if the texts are long."""
    return beam.BatchElements(min_batch_size=_KIB_AT_ONCE, max_batch_size=_KIB_AT_ONCE, element_size_fn=_kib)


def _kib(element: tuple[Any, str]) -> int:
    return 1 + len(element[1] or "") // 1024


def _key(texts: list[tuple[Any, str]], keys: KeyFunction) -> Iterator[tuple[bytes, Any]]:
    found = keys(pa.array([text for _, text in texts], pa.large_string()))
    for part in [found] if isinstance(found, Keys) else found:
        for number, key in zip(part.text.tolist(), part.key.astype("<u8"), strict=True):
            yield key.tobytes(), texts[number][0]


class Bucketed(NamedTuple):
    """``pairs``: ``((id, id), source)``. ``reports``: a ``BucketReport`` per bundle, to be added up.

    A pair that shares several buckets is repeated; ``MergeCandidates`` removes repetitions. Pairs are counted
    after that, so ``pairs`` in the reports is 0.
    """

    pairs: beam.PCollection
    reports: beam.PCollection


class BucketCandidates(beam.PTransform):
    """``(bucket key, id)`` -> :class:`Bucketed`, the lower id first.

    The rule for hot buckets and the result are those of ``beam_sts.candidates.buckets.bucket_pairs``, with
    the order of the ids instead of the order of the text numbers. One thing differs: beyond ``MEMBERS``
    members of a bucket, each further member is paired with the first only.

    Args:
        source: the name of the source of these candidates.
        cap: the most members of a bucket that are all paired with each other.
        sided: elements are ``(bucket key, (side, id))``, with side 0 or 1, and pairs cross the sides.

    >>> from beam_sts.candidates.keys import exact_keys
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     texts = pipeline | beam.Create([(1, "A cat"), (2, "a  cat"), (3, "A dog")])
    ...     found = texts | KeyTexts(exact_keys) | BucketCandidates("exact")
    ...     _ = found.pairs | beam.Map(print)
    ((1, 2), 'exact')
    """

    def __init__(self, source: str, cap: int = CAP, *, sided: bool = False) -> None:
        super().__init__()
        self._source = source
        self._cap = cap
        self._sided = sided

    def expand(self, keyed: beam.PCollection) -> Bucketed:
        """Group by key, then pair the members."""
        bucketed = (
            keyed
            | "Bucket" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(_PairBucket(self._cap, self._sided)).with_outputs("report", main="pairs")
        )
        pairs = bucketed["pairs"] | "Name" >> beam.Map(lambda pair, source: (pair, source), self._source)
        return Bucketed(pairs, bucketed["report"])


class _PairBucket(beam.DoFn):
    """Buckets -> their pairs. Thousands of members are paired at once.

    A hot bucket is read twice instead of being held in memory.
    """

    def __init__(self, cap: int, sided: bool, members: int = MEMBERS) -> None:
        self._cap = cap
        self._sided = sided
        self._members = members

    def start_bundle(self) -> None:
        self._report, self._keys = BucketReport(""), 0
        self._waiting, self._count = list[tuple[list[Any], list[Any]]](), 0

    def finish_bundle(self) -> Iterator[Any]:
        for pair in self._pairs():
            yield GlobalWindows.windowed_value(pair)
        report = replace(self._report, keys=self._keys)
        yield pvalue.TaggedOutput("report", GlobalWindows.windowed_value(report))

    def process(self, bucket: tuple[bytes, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
        _, values = bucket
        if len(list(islice(values, 2))) < 2:  # most buckets have one member
            self._keys += 1
            return
        self._keys += sum(1 for _ in values)
        if self._sided:
            first, second = (_smallest((i for s, i in values if s == side), self._members) for side in (0, 1))
        else:
            first, second = _smallest(values, self._members), []
        self._waiting.append((first, second))
        self._count += len(first) + len(second)
        if self._count >= _MEMBERS_AT_ONCE:
            yield from self._pairs()
        if len(first) + len(second) >= self._members:
            yield from self._rest(values, first, second)

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        """The pairs of the waiting buckets, whose members are numbered in the order of their ids."""
        waiting, self._waiting, self._count = self._waiting, [], 0
        sides = [sorted({ident for bucket in waiting for ident in bucket[side]}) for side in (0, 1)]
        ids = sides[0] + sides[1]
        numbers = [
            {ident: start + at for at, ident in enumerate(of_side)}
            for start, of_side in zip((0, len(sides[0])), sides, strict=True)
        ]
        members = [[numbers[side][ident] for side in (0, 1) for ident in bucket[side]] for bucket in waiting]
        text = np.array([number for bucket in members for number in bucket], np.int64)
        key = np.zeros((len(text), 2), np.uint64)
        key[:, 0] = np.repeat(np.arange(len(members)), list(map(len, members)))
        side = np.repeat(np.array([0, 1], np.int8), list(map(len, sides)))
        a, b, report = bucket_pairs(Keys(text, key, ""), self._cap, side if self._sided else None)
        self._report += replace(report, keys=0, pairs=0)
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            yield _in_order(ids[one], ids[other])

    def _rest(self, values: Iterable[Any], first: list[Any], second: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Pair the members that are not in memory with the first member (of the other side)."""
        if not self._sided:
            for ident in values:
                if ident > first[-1]:
                    yield first[0], ident
            return
        if not (first and second):
            return
        own = (first, second)
        for which, ident in values:
            if ident > own[which][-1]:
                yield _in_order(own[1 - which][0], ident)


def _smallest(values: Iterable[Any], members: int) -> list[Any]:
    """The smallest distinct values in order, at most ``members``. Holds at most twice as many in memory."""
    held: set[Any] = set()
    bound = None
    for value in values:
        if bound is None or value < bound:
            held.add(value)
            if len(held) >= 2 * members:
                held = set(heapq.nsmallest(members, held))
                bound = max(held)
    return heapq.nsmallest(members, held)


def _in_order(first: Any, second: Any) -> tuple[Any, Any]:
    return (first, second) if first <= second else (second, first)
