"""Nearest vectors in Beam by cells: the counterpart of ``neighbours`` of ``beam_sts.candidates.neighbours``.

The algorithm is in ``beam_sts.candidates.cells``. A worker holds the centroids and the sample of queries, a
batch of vectors, or the members of one cell. A vector is shuffled once for each cell that it joins, and so
are the neighbours found there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import IntArray, group_starts
from beam_sts.candidates.cells import (
    CellRule,
    Cells,
    Sampled,
    cells_report,
    cut_cells,
    draw_vectors,
    split_crowded,
)
from beam_sts.candidates.dense import nearest_points, unpack_points
from beam_sts.candidates.neighbours import VectorBlock, nearest_in_blocks, search_dense

_BATCH = 4_096  # number of vectors

Element = tuple[Any, bytes]
"""An id and a packed vector."""
Ranked = tuple[int, Any, bytes]
"""A neighbour: the negative product, so that the nearest sorts first, the id, and the packed vector."""


class Nearest(NamedTuple):
    """``pairs``: ``((id, id), source)``, the lower id first; may have duplicates. ``report``: one dict."""

    pairs: beam.PCollection
    report: beam.PCollection


class NeighbourCandidates(beam.PTransform):
    """``(id, packed vector)`` -> :class:`Nearest`.

    Args:
        k: the number of neighbours of each vector.
        sided: ids are ``(side, id)``, with side 0 or 1, and neighbours are searched on the other side only.
        asks: if there are sides, those whose vectors get neighbours.
        rule: decides the number of cells.
        source: the name of the source of these candidates.
    """

    def __init__(
        self,
        k: int,
        *,
        sided: bool = False,
        asks: Sequence[int] = (0, 1),
        rule: CellRule | None = None,
        source: str = "neighbours",
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k {k} must be at least 1")
        self._k, self._asks = k, tuple(asks) if sided else ()
        self._rule, self._source = rule or CellRule(), source

    def expand(self, vectors: beam.PCollection) -> Nearest:
        """Build the steps: draw samples, train, evaluate; send vectors to cells, compare, merge."""
        k, asks, rule = self._k, self._asks, self._rule
        sided = bool(asks)
        batches = (
            vectors
            | "With a vector" >> beam.Filter(lambda one: len(one[1]) > 0)
            | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
        )
        sizes = pvalue.AsDict(
            batches | "Sides" >> beam.FlatMap(_count_sides, sided) | "Vectors" >> beam.CombinePerKey(sum)
        )
        drawn = (
            batches | "Draw" >> beam.FlatMap(_draw, rule, sided, sizes) | "Drawn" >> beam.CombinePerKey(min)
        )
        train = drawn | "For centroids" >> beam.Filter(lambda one: one[0][0] == "train")
        queries = pvalue.AsList(drawn | "Queries" >> beam.Filter(lambda one: one[0][0] == "query"))
        near = pvalue.AsDict(
            batches
            | "Nearest of queries" >> beam.ParDo(_NearestOfQueries(k, sided), queries)
            | "Nearest of all" >> beam.CombinePerKey(MergeRanked(k))
        )
        start = vectors.pipeline | "Start" >> beam.Create([None], reshuffle=False)
        cut = start | "Cut" >> beam.Map(_cut, rule, sizes, pvalue.AsList(train), queries, near)
        cells = pvalue.AsSingleton(cut | "Cells" >> beam.Map(lambda made: made[0]))
        members = pvalue.AsDict(
            batches | "Members" >> beam.ParDo(_CountMembers(), cells) | "Sizes" >> beam.CombinePerKey(sum)
        )
        split = start | "Split" >> beam.Map(_split, rule, sizes, cells, members)
        report = cut | "Report" >> beam.Map(_report, pvalue.AsSingleton(split), members)
        found = (
            batches
            | "Join cells" >> beam.FlatMap(_join, pvalue.AsSingleton(split))
            | "Members of cells" >> beam.GroupByKey()
            | "Compare" >> beam.FlatMap(_compare, k, asks)
            | "Merge" >> beam.CombinePerKey(MergeRanked(k))
        )
        pairs = found | "Pairs" >> beam.FlatMap(ranked_pairs)
        return Nearest(pairs | "Name" >> beam.Map(lambda pair, of: (pair, of), self._source), report)


def _sides(ids: Iterable[Any], sided: bool) -> IntArray:
    return np.array([ident[0] if sided else 0 for ident in ids], np.int64)


def _count_sides(batch: list[Element], sided: bool) -> Iterable[tuple[int, int]]:
    return Counter(_sides((ident for ident, _ in batch), sided).tolist()).items()


DrawnVector = tuple[tuple[str, bytes], Any]
"""The sample that a vector is drawn for, the packed vector, and the lowest id with this vector."""


def _draw(batch: list[Element], rule: CellRule, sided: bool, sizes: dict[int, int]) -> Iterator[DrawnVector]:
    points, side = unpack_points([v for _, v in batch]), _sides((ident for ident, _ in batch), sided)
    for use, mask in draw_vectors(rule, points, side, sizes)._asdict().items():
        for row in np.flatnonzero(mask).tolist():
            ident, vector = batch[row]
            yield (use, vector), ident


def _by_id(queries: Iterable[DrawnVector]) -> list[Element]:
    return sorted((ident, vector) for (_, vector), ident in queries)


class MergeRanked(beam.CombineFn):
    """Lists of :data:`Ranked` -> the k nearest of them, without repeated ids."""

    def __init__(self, k: int) -> None:
        self._k = k

    def create_accumulator(self) -> list[Ranked]:
        """See ``beam.CombineFn``."""
        return []

    def add_input(self, best: list[Ranked], more: Iterable[Ranked]) -> list[Ranked]:
        """See ``beam.CombineFn``."""
        return sorted({*best, *more})[: self._k]

    def merge_accumulators(self, several: Iterable[list[Ranked]]) -> list[Ranked]:
        """See ``beam.CombineFn``."""
        return sorted({one for ranked in several for one in ranked})[: self._k]

    def extract_output(self, best: list[Ranked]) -> list[Ranked]:
        """See ``beam.CombineFn``."""
        return best


class _NearestOfQueries(beam.DoFn):
    """Batches -> for each query its nearest vectors in the bundle."""

    def __init__(self, k: int, sided: bool) -> None:
        self._k, self._sided = k, sided
        self._merge = MergeRanked(k)

    def start_bundle(self) -> None:
        self._best: dict[int, list[Ranked]] = {}

    def process(self, batch: list[Element], drawn: list[DrawnVector]) -> None:
        queries = _by_id(drawn)
        if self._sided:
            batch = [one for one in batch if one[0][0] == 1]
        if not queries or not batch:
            return
        points = unpack_points([vector for _, vector in batch]).astype(np.float32)
        asked = unpack_points([vector for _, vector in queries]).astype(np.float32)
        # Ids break ties at the end of a list, as in the merged lists.
        batch_order = sorted(range(len(batch)), key=lambda row: batch[row][0])
        product, place = nearest_points(asked, points[batch_order], min(self._k + 1, len(batch)))
        for at, (products, places) in enumerate(zip(product.tolist(), place.tolist(), strict=True)):
            known = self._best.get(at, [])
            worst = known[-1][0] if len(known) == self._k else 1 << 30
            more = [
                (-int(value), *batch[batch_order[row]])
                for value, row in zip(products, places, strict=True)
                if -value <= worst
            ]
            more = [one for one in more if one[1] != queries[at][0]]
            if more:
                self._best[at] = self._merge.add_input(known, more)

    def finish_bundle(self) -> Iterator[Any]:
        best, self._best = self._best, {}  # runners keep instances
        for one in best.items():
            yield GlobalWindows.windowed_value(one)


def _cut(
    _: None,
    rule: CellRule,
    sizes: dict[int, int],
    train: list[DrawnVector],
    drawn: list[DrawnVector],
    near: dict[int, list[Ranked]],
) -> tuple[Cells, Sampled]:
    """Returns the cells, before crowded ones are split, and the sample that evaluates them."""
    queries = _by_id(drawn)
    found = [(at, one) for at in range(len(queries)) for one in near.get(at, ())]
    sampled = Sampled(
        unpack_points([vector for _, vector in queries]),
        [ident for ident, _ in queries],
        unpack_points([vector for _, (_, _, vector) in found]),
        np.array([at for at, _ in found], np.int64),
        [ident for _, (_, ident, _) in found],
    )
    points = unpack_points([vector for (_, vector), _ in train])
    return cut_cells(rule, sum(sizes.values()), points, sampled), sampled


class _CountMembers(beam.DoFn):
    """Batches -> (cell, number of members) for each cell, at the end of each bundle."""

    def start_bundle(self) -> None:
        self._members: Counter[int] = Counter()

    def process(self, batch: list[Element], cells: Cells) -> None:
        self._members.update(cells.of(unpack_points([vector for _, vector in batch])).ravel().tolist())

    def finish_bundle(self) -> Iterator[Any]:
        members, self._members = self._members, Counter()
        for one in members.items():
            yield GlobalWindows.windowed_value(one)


def _split(_: None, rule: CellRule, sizes: dict[int, int], cells: Cells, members: dict[int, int]) -> Cells:
    return replace(cells, parts=split_crowded(rule, sum(sizes.values()), members))


def _report(made: tuple[Cells, Sampled], cells: Cells, members: dict[int, int]) -> dict[str, int]:
    return cells_report(cells, members, made[1])


def _join(batch: list[Element], cells: Cells) -> Iterator[tuple[int, Element]]:
    """Key vectors by the parts of their cells."""
    joined = cells.of(unpack_points([vector for _, vector in batch]))
    codes = cells.codes(joined, lambda rows: [batch[row][0] for row in rows.tolist()])
    for one, own in zip(batch, codes.tolist(), strict=True):
        for code in own:
            yield code, one


def _compare(
    cell: tuple[int, Iterable[Element]], k: int, asks: tuple[int, ...]
) -> Iterator[tuple[Any, list[Any]]]:
    """Returns the k nearest of each member of a cell, among its members."""
    members = sorted(cell[1], key=lambda one: one[0])
    points = unpack_points([vector for _, vector in members]).astype(np.float32)
    block = VectorBlock(0, points, _sides((ident for ident, _ in members), bool(asks)))
    owner, place, product = nearest_in_blocks(block, [block], k, search_dense, asks=asks)
    starts = group_starts(owner)
    for start, stop in pairwise([*starts.tolist(), len(owner)]):
        ranked = zip((-product[start:stop]).tolist(), place[start:stop].tolist(), strict=True)
        yield members[owner[start]][0], [(value, members[row][0], b"") for value, row in ranked]


def ranked_pairs(found: tuple[Any, list[Ranked]]) -> Iterator[tuple[Any, Any]]:
    """An id and its neighbours -> a pair with each, the lower id first."""
    own, ranked = found
    for _, other, _ in ranked:
        yield (own, other) if own <= other else (other, own)
