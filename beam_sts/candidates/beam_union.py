"""The union of candidates in Beam: distinct pairs, each with the sources that found it."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue

from beam_sts.candidates.beam_join import shard_of
from beam_sts.candidates.buckets import joined_names, union_codes

UNION_SHARDS = 1 << 12
"""The number of shards of a union. A worker holds one: 250,000 of a billion pairs, in some 75 MB."""


class MergeCandidates(beam.PTransform):
    """Merge collections of ``((id, id), source)`` into one of distinct pairs, sources joined by ``+``.

    Args:
        sources: names of the sources, at most 62, in the order in which they are joined.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        super().__init__()
        self._sources = list(sources)

    def expand(self, parts: tuple[beam.PCollection, ...]) -> beam.PCollection:
        """Merge the sources of each pair in one shuffle."""
        bits = {name: 1 << at for at, name in enumerate(self._sources)}
        merged = (
            parts
            | beam.Flatten()
            | "Bits" >> beam.Map(lambda found, bits: (found[0], bits[found[1]]), bits)
            | "Union" >> UnionPairs()
        )
        return merged.pairs | "Names" >> beam.Map(with_names, self._sources)


def with_names(found: tuple[Any, int], names: Sequence[str]) -> tuple[Any, str]:
    """A pair with the names of its bits, joined by ``+``."""
    pair, bits = found
    return pair, joined_names(bits, names)


class Union(NamedTuple):
    """``pairs``: distinct ``((id, id), bits)``. ``counts``: numbers of pairs by their bits, to add up."""

    pairs: beam.PCollection
    counts: beam.PCollection


class UnionPairs(beam.PTransform):
    """``((id, id), bits)`` -> :class:`Union`: each pair with the union of its bits."""

    def expand(self, pairs: beam.PCollection) -> Union:
        """Send all copies of a pair to one shard, and merge them there."""
        merged = (
            pairs
            | "By shard" >> beam.Map(lambda found: (shard_of(found[0], UNION_SHARDS), found))
            | "Shards" >> beam.GroupByKey()
            | "Merge" >> beam.ParDo(_MergeShard()).with_outputs("counts", main="pairs")
        )
        return Union(merged["pairs"], merged["counts"])


class _MergeShard(beam.DoFn):
    """A shard of pairs with their bits -> the distinct pairs with the union of their bits."""

    def process(self, shard: tuple[int, Iterable[tuple[Any, int]]]) -> Iterator[Any]:
        numbers: defaultdict[Any, int] = defaultdict(count().__next__)  # in the order of arrival
        codes, bits = array("q"), array("q")
        for pair, found in shard[1]:
            codes.append(numbers[pair])
            bits.append(found)
        _, joined = union_codes(np.array(codes, np.int64), np.array(bits, np.int64))
        yield from zip(numbers, joined.tolist(), strict=True)
        yield pvalue.TaggedOutput("counts", Counter(joined.tolist()))
