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

from beam_sts.candidates.beam_pack import PackByShard, pieces, unpacked, unpacked_piece
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
        with_bits = {
            str(at): part | f"Bits {at}" >> beam.Map(lambda found, bits: (found[0], bits[found[1]]), bits)
            for at, part in enumerate(parts)
        }
        merged = with_bits | "Union" >> UnionPairs(self._sources)
        return merged.pairs | "Unpack" >> beam.FlatMap(unpacked_piece)


class Union(NamedTuple):
    """``pairs``: pieces of distinct ``((id, id), sources)``. ``counts``: of their bits, to add up."""

    pairs: beam.PCollection
    counts: beam.PCollection


class UnionPairs(beam.PTransform):
    """A dict of collections of ``((id, id), bits)`` -> :class:`Union`: pairs with the union of their bits.

    Args:
        names: names of the bits, which are joined by ``+`` for a pair.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = list(names)

    def expand(self, parts: dict[str, beam.PCollection]) -> Union:
        """Send all copies of a pair to one shard, and merge them there."""
        packed = [part | f"Pack {name}" >> PackByShard(UNION_SHARDS) for name, part in parts.items()]
        merged = (
            packed
            | "All" >> beam.Flatten()
            | "Shards" >> beam.GroupByKey()
            | "Merge" >> beam.ParDo(_MergeShard(self._names)).with_outputs("counts", main="pairs")
        )
        return Union(merged["pairs"], merged["counts"])


class _MergeShard(beam.DoFn):
    """A shard of pairs with their bits -> pieces of the distinct pairs with the names of all their bits."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def process(self, shard: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        numbers: defaultdict[Any, int] = defaultdict(count().__next__)  # in the order of arrival
        codes, bits = array("q"), array("q")
        for pair, found in unpacked(shard[1]):
            codes.append(numbers[pair])
            bits.append(found)
        _, joined = union_codes(np.array(codes, np.int64), np.array(bits, np.int64))
        named = (joined_names(one, self._names) for one in joined.tolist())
        yield from pieces(zip(numbers, named, strict=True))
        yield pvalue.TaggedOutput("counts", Counter(joined.tolist()))
