"""Like CoGroupByKey, with less to send: one coder for all collections, and elements packed by shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder

from beam_sts.candidates.beam_pack import Each, PackByShard, unpacked

Found = dict[str, list[Any]]
"""The values of a key by the name of their collection."""


# Beam turns keys into such bytes too, but only for the result of a flatten, which then has another coder.
_KEY = FastPrimitivesCoder().as_deterministic_coder("CoGroup")


class CoGroup(beam.PTransform):
    """A dict of collections of ``(key, value)`` -> ``(key, {name: values})``, like ``beam.CoGroupByKey``.

    That one flattens collections of several coders. For this, FnApiRunner and Prism send every element to a
    worker and back once more, to encode all in one way. Here all collections have one coder. Keys are
    integers, texts, bytes or tuples of these.

    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     words = pipeline | "Words" >> beam.Create([(1, "x")])
    ...     sizes = pipeline | "Sizes" >> beam.Create([(1, 5)])
    ...     _ = {"word": words, "size": sizes} | CoGroup() | beam.Map(print)
    (1, {'word': ['x'], 'size': [5]})
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Tag values with the number of their collection, and group."""
        tagged = [
            collection
            | f"Tag {name}" >> beam.Map(_tagged, number).with_output_types(tuple[bytes, tuple[int, Any]])
            for number, (name, collection) in enumerate(collections.items())
        ]
        grouped = tagged | beam.Flatten() | beam.GroupByKey()
        return grouped | "By name" >> beam.Map(_by_name, list(collections))


def _tagged(one: tuple[Any, Any], number: int) -> tuple[bytes, tuple[int, Any]]:
    key, value = one
    return _KEY.encode(key), (number, value)


def _by_name(grouped: tuple[bytes, Iterable[tuple[int, Any]]], names: list[str]) -> tuple[Any, Found]:
    key, tagged = grouped
    lists: list[list[Any]] = [[] for _ in names]
    for number, value in tagged:
        lists[number].append(value)
    return _KEY.decode(key), dict(zip(names, lists, strict=True))


class CoGroupInShards(beam.PTransform):
    """Like :class:`CoGroup`; elements travel packed, and a worker has a whole shard of keys in memory.

    Args:
        shards: number of shards, or a side input with it.
        each: for some of the collections, ``each`` of ``PackByShard``.
    """

    def __init__(self, shards: int | beam.pvalue.AsSideInput, **each: Each) -> None:
        super().__init__()
        self._shards, self._each = shards, each

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Pack by shard, group the pieces of a shard, then its elements by key."""
        packed = {
            name: collection | f"Pack {name}" >> PackByShard(self._shards, self._each.get(name))
            for name, collection in collections.items()
        }
        return packed | "Shards" >> CoGroup() | "Keys" >> beam.FlatMapTuple(_by_key)


def _by_key(_: int, found: dict[str, list[bytes]]) -> Iterator[tuple[Any, Found]]:
    by_key: defaultdict[Any, Found] = defaultdict(lambda: {name: [] for name in found})
    for name, packed in found.items():
        for key, value in unpacked(packed):
            by_key[key][name].append(value)
    yield from by_key.items()
