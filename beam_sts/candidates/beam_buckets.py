"""Candidate pairs in Beam: compute keys of texts, pair the members of a bucket.

The algorithms are pure functions of ``beam_sts.candidates``; this module adds the shuffles. A text has
tens of keys, so keys travel as arrays, and a worker has the keys of a shard of buckets in memory, and at most
``MEMBERS`` ids of a bucket.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_rows, group_starts
from beam_sts.candidates.beam_pack import packed_list, unpacked_list
from beam_sts.candidates.buckets import CAP, BucketReport, bucket_pairs
from beam_sts.candidates.keys import KeyFunction, Keys

MEMBERS = 1 << 20
"""The most members of a bucket (or of one of its sides) in memory. Others are paired with the first only."""

SHARDS = 1 << 16
"""The most shards of buckets. With more, few keys would travel together."""

_MEMBERS_AT_ONCE = 1 << 14  # of buckets that are paired together, about
_KEYS_AT_ONCE = 1 << 19  # that wait for others of their shard
_KEYS_OF_PIECE = 1 << 12  # runners need elements far below 1 MB
_WIDTH = 16  # bytes of a key
_KIB_AT_ONCE = 1 << 12  # of texts that are hashed together; each text counts as at least one


KeySet = tuple[NDArray[np.uint64], list[Any]]
"""Keys of shape (n, 2), and the id of each. Steps that a runner fuses exchange these."""


class KeyTexts(beam.PTransform):
    """``(id, text)`` -> :data:`KeySet`, in which a text may have several keys or none.

    Args:
        keys: the pure function that computes keys, such as ``exact_keys`` or ``MinHash().bands_of``.
    """

    def __init__(self, keys: KeyFunction) -> None:
        super().__init__()
        self._keys = keys

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Hash thousands of texts at a time, fewer if they are long."""
        return texts | batch_texts() | "Key" >> beam.FlatMap(_key, self._keys)


class KeysAsSets(beam.PTransform):
    """``(bucket key of 16 bytes, id)`` -> :data:`KeySet`."""

    def expand(self, keyed: beam.PCollection) -> beam.PCollection:
        """Join thousands of keys."""
        batches = keyed | beam.BatchElements(min_batch_size=_MEMBERS_AT_ONCE, max_batch_size=_MEMBERS_AT_ONCE)
        return batches | "Join" >> beam.Map(_as_set)


def each_key(keys: KeySet) -> Iterator[tuple[bytes, Any]]:
    """The keys and their ids one by one."""
    raw = _raw_keys(keys[0])
    for at, ident in enumerate(keys[1]):
        yield raw[_WIDTH * at : _WIDTH * (at + 1)], ident


def batch_texts() -> beam.PTransform:
    """``(id, text)`` -> lists of thousands of such pairs, fewer if the texts are long."""
    return beam.BatchElements(min_batch_size=_KIB_AT_ONCE, max_batch_size=_KIB_AT_ONCE, element_size_fn=_kib)


def _kib(element: tuple[Any, str]) -> int:
    return 1 + len(element[1] or "") // 1024


def _key(texts: list[tuple[Any, str]], keys: KeyFunction) -> Iterator[KeySet]:
    found = keys(pa.array([text for _, text in texts], pa.large_string()))
    for part in [found] if isinstance(found, Keys) else found:
        yield part.key, [texts[number][0] for number in part.text.tolist()]


def _as_set(keyed: list[tuple[bytes, Any]]) -> KeySet:
    return _read_keys(b"".join(key for key, _ in keyed)), [ident for _, ident in keyed]


def _raw_keys(keys: NDArray[np.uint64]) -> bytes:
    return keys.astype("<u8").tobytes()


def _read_keys(raw: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(raw, "<u8").reshape(-1, 2)


class Bucketed(NamedTuple):
    """``pairs``: ``((id, id), source)``. ``reports``: a ``BucketReport`` per bundle, to be added up.

    A pair that shares several buckets is repeated; ``MergeCandidates`` removes repetitions. Pairs are counted
    after that, so ``pairs`` in the reports is 0.
    """

    pairs: beam.PCollection
    reports: beam.PCollection


class BucketCandidates(beam.PTransform):
    """:data:`KeySet` -> :class:`Bucketed`, the lower id first.

    The rule for hot buckets and the result are those of ``beam_sts.candidates.buckets.bucket_pairs``, with
    the order of the ids instead of the order of the text numbers. One thing differs: beyond ``MEMBERS``
    members of a bucket, each further member is paired with the first only.

    Args:
        source: the name of the source of these candidates.
        cap: the most members of a bucket that are all paired with each other.
        shards: the number of shards of buckets, about one per 2,000 texts; at most ``SHARDS`` are made.
        sided: ids are ``(side, id)``, with side 0 or 1, and pairs cross the sides.

    >>> from beam_sts.candidates.keys import exact_keys
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     texts = pipeline | beam.Create([(1, "A cat"), (2, "a  cat"), (3, "A dog")])
    ...     found = texts | KeyTexts(exact_keys) | BucketCandidates("exact")
    ...     _ = found.pairs | beam.Map(print)
    ((1, 2), 'exact')
    """

    def __init__(self, source: str, cap: int = CAP, shards: int = 1, *, sided: bool = False) -> None:
        super().__init__()
        self._source = source
        self._cap = cap
        self._shards = min(shards, SHARDS)
        self._sided = sided

    def expand(self, keys: beam.PCollection) -> Bucketed:
        """Group the keys of a shard, then pair the members of each bucket."""
        bucketed = (
            keys
            | "Pack" >> beam.ParDo(_PackKeys(self._shards)).with_output_types(tuple[int, tuple[bytes, bytes]])
            | "Buckets" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(_PairBuckets(self._cap, self._sided)).with_outputs("report", main="pairs")
        )
        pairs = bucketed["pairs"] | "Name" >> beam.Map(lambda pair, source: (pair, source), self._source)
        return Bucketed(pairs, bucketed["report"])


class _PackKeys(beam.DoFn):
    """:data:`KeySet` -> ``(shard, (keys as bytes, ids for unpacked_list))``."""

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def start_bundle(self) -> None:
        self._waiting, self._ids = list[NDArray[np.uint64]](), list[Any]()

    def process(self, keys: KeySet) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        self._waiting.append(keys[0])
        self._ids += keys[1]
        if len(self._ids) >= _KEYS_AT_ONCE:
            yield from self._packed()

    def finish_bundle(self) -> Iterator[Any]:
        for packed in self._packed():
            yield GlobalWindows.windowed_value(packed)

    def _packed(self) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
        keys, ids = np.concatenate([np.empty((0, 2), np.uint64), *self._waiting]), self._ids
        self.start_bundle()
        shard = (keys[:, 0] % self._shards).astype(np.int64)
        for of_shard in _grouped(shard):
            for begin in range(0, len(of_shard), _KEYS_OF_PIECE):
                some = of_shard[begin : begin + _KEYS_OF_PIECE]
                packed = packed_list([ids[at] for at in some.tolist()])
                yield int(shard[some[0]]), (_raw_keys(keys[some]), packed)


class _PairBuckets(beam.DoFn):
    """Shards of buckets -> their pairs. Thousands of members are paired at once.

    A bucket with more members than may be in memory is read several times.
    """

    def __init__(self, cap: int, sided: bool, members: int = MEMBERS) -> None:
        self._cap = cap
        self._sided = sided
        self._members = members

    def start_bundle(self) -> None:
        self._report, self._keys = BucketReport(""), 0

    def finish_bundle(self) -> Iterator[Any]:
        report = replace(self._report, keys=self._keys)
        yield pvalue.TaggedOutput("report", GlobalWindows.windowed_value(report))

    def process(self, shard: tuple[int, Iterable[tuple[bytes, bytes]]]) -> Iterator[tuple[Any, Any]]:
        _, packed = shard
        keys = np.concatenate([_read_keys(raw) for raw, _ in packed])
        bucket, _ = group_rows([keys[:, 0], keys[:, 1]])
        size = np.bincount(bucket)
        self._keys += len(bucket)
        shared = (size > 1) & (size <= self._members)  # most buckets have one member
        members = [*_members(packed, bucket, shared)]
        numbers = bucket[shared[bucket]]
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(size[shared])
        begin = 0
        while begin < len(order):
            at = min(int(np.searchsorted(ends, begin + _MEMBERS_AT_ONCE)), len(ends) - 1)
            some = order[begin : ends[at]]
            begin += len(some)
            yield from self._pairs([members[i] for i in some.tolist()], numbers[some])
        for number in np.flatnonzero(size > self._members).tolist():
            yield from self._of_large(_Bucket(packed, bucket, number))

    def _pairs(self, members: list[Any], bucket: IntArray) -> Iterator[tuple[Any, Any]]:
        """The pairs of some buckets, whose members are numbered in the order of their ids."""
        distinct = sorted(set(members))
        numbers = {member: at for at, member in enumerate(distinct)}
        text = np.array([numbers[member] for member in members], np.int64)
        key = np.zeros((len(text), 2), np.uint64)
        key[:, 0] = bucket
        side = np.array([member[0] for member in distinct], np.int8) if self._sided else None
        a, b, report = bucket_pairs(Keys(text, key, ""), self._cap, side)
        self._report += replace(report, keys=0, pairs=0)
        ids = [ident for _, ident in distinct] if self._sided else distinct
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            yield _in_order(ids[one], ids[other])

    def _of_large(self, values: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Pair the members that fit into memory, and the others with the first member (of the other side)."""
        if not self._sided:
            held = _smallest(values, self._members)
            yield from self._pairs(held, np.zeros(len(held), np.int64))
            for ident in values:
                if ident > held[-1]:
                    yield held[0], ident
            return
        own = [_smallest((i for s, i in values if s == side), self._members) for side in (0, 1)]
        both = [(side, ident) for side in (0, 1) for ident in own[side]]
        yield from self._pairs(both, np.zeros(len(both), np.int64))
        if all(own):
            for side, ident in values:
                if ident > own[side][-1]:
                    yield _in_order(own[1 - side][0], ident)


def _grouped(numbers: IntArray) -> list[IntArray]:
    """The places of each number, in the order of the numbers."""
    order = np.argsort(numbers, kind="stable")
    starts = group_starts(numbers[order])
    return np.split(order, starts[1:]) if len(starts) else []


def _members(
    packed: Iterable[tuple[bytes, bytes]], bucket: IntArray, wanted: NDArray[np.bool_]
) -> Iterator[Any]:
    """The ids in the wanted buckets of a shard, in the order of the keys."""
    begin = 0
    for raw, ids in packed:
        end = begin + len(raw) // _WIDTH
        some = np.flatnonzero(wanted[bucket[begin:end]])
        begin = end
        if len(some):
            found = unpacked_list(ids)
            yield from (found[at] for at in some.tolist())


class _Bucket:
    """The ids in a bucket, read again each time."""

    def __init__(self, packed: Iterable[tuple[bytes, bytes]], bucket: IntArray, number: int) -> None:
        self._packed, self._bucket, self._number = packed, bucket, number

    def __iter__(self) -> Iterator[Any]:
        wanted = np.zeros(self._bucket.max() + 1, bool)
        wanted[self._number] = True
        return _members(self._packed, self._bucket, wanted)


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
