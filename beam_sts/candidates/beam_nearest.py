"""Texts that share rare shingles, and token vectors of texts, in Beam.

The pure counterparts are ``lexical_neighbours`` of ``beam_sts.candidates.neighbours`` and
``static_embedding`` of ``beam_sts.candidates.vectors``. For the first, the sorted ids are cut into blocks,
each pair of blocks is compared by the pure functions, and each text keeps its best neighbours over all
blocks. So the result is exact and equal to that of one machine. Each block is copied once per block, so there
is a limit of ``MOST_BLOCKS``. A worker holds two blocks in memory.
"""

from __future__ import annotations

import bisect
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_buckets import batch_texts
from beam_sts.candidates.beam_join import Size, TextsSize
from beam_sts.candidates.beam_neighbours import MergeRanked, Ranked, ranked_pairs
from beam_sts.candidates.beam_pack import Pack, unpacked_piece
from beam_sts.candidates.beam_shingles import RangeCounts, ShingleFrequencies, whole_counts
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.keys import parse_shingle
from beam_sts.candidates.neighbours import PLACE, VectorBlock, nearest_in_blocks
from beam_sts.candidates.tf_idf import WORK, TfIdf, nearest_rows
from beam_sts.candidates.vectors import TokenVectors
from beam_sts.errors import UserError
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint

BLOCK = 16_384
"""The approximate number of texts in a block."""
MOST_BLOCKS = 64
"""The most blocks: a million texts of 350 characters shuffle some 100 GB, twice as many four times that."""

_SMALL_BLOCK, _SMALL_BLOCKS = 1 << 17, 1 << 9
"""On Flink, characters in a block while there are at most so many blocks.

It makes one record of two blocks, some 0.7 MB, which must fit into a sort buffer of 2 MB.
"""
_TEXT, _VECTOR = 350, 850
"""Characters of a usual text, and bytes of its vector, compressed."""
_OF_PART = 40_000_000  # bytes: 240 MB of a part were more than a task manager's direct memory
_MAKES_RECORDS = ("FlinkRunner", "PortableRunner")
_SAMPLE = 100  # sampled ids per block, from which the cuts are chosen


def blocks_for(texts: int) -> int:
    """The number of blocks for a number of texts."""
    return 1 + texts // BLOCK


def parts_for(texts: int) -> int:
    """The number of parts of a job on Flink in which each sends some 40 MB of the vectors of this many texts.

    >>> parts_for(3_000), parts_for(20_000), parts_for(100_000)
    (1, 23, 570)
    """
    blocks = min(_SMALL_BLOCKS, 1 + texts * _TEXT // _SMALL_BLOCK)
    return -(-texts * blocks * _VECTOR // _OF_PART)


def _pack_rows(vectors: sparse.csr_matrix) -> list[bytes]:
    """Each row of a matrix as its column numbers followed by its values, int32."""
    columns, values = vectors.indices.astype("<i4"), vectors.data.astype("<i4")
    return [
        columns[start:stop].tobytes() + values[start:stop].tobytes()
        for start, stop in zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True)
    ]


def _unpack(vectors: Sequence[bytes]) -> sparse.csr_matrix:
    """Unpack vectors into a sparse matrix."""
    lengths = np.array([len(vector) // 8 for vector in vectors])
    halves = [np.frombuffer(vector, "<i4").reshape(2, -1) for vector in vectors]
    columns, values = np.concatenate(halves, axis=1) if halves else np.empty((2, 0), np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    width = int(columns.max(initial=-1)) + 1
    return sparse.csr_matrix((values, columns, indptr), shape=(len(vectors), width))


def _nearest_sparse(
    queries: sparse.csr_matrix, points: sparse.csr_matrix, count: int
) -> tuple[IntArray, IntArray, IntArray]:
    """The nearest points of each query."""
    width = max(queries.shape[1], points.shape[1], 1)
    for matrix in (queries, points):
        matrix.resize(matrix.shape[0], width)
    return nearest_rows(queries, points, min(count, points.shape[0]), threads=1)


class _NearestInBlocks(beam.PTransform):
    """A dict of ``vectors`` ``(id, packed vector)`` and ``size`` -> ``((id, id), "lexical")``.

    The pairs are distinct, the lower id first. ``size`` is the ``Size`` of the texts.

    Args:
        k: the number of neighbours of each text.
        blocks: the least number of blocks, see ``blocks_for``.
        sided: ids are ``(side, id)``, with side 0 or 1, and neighbours are searched on the other side only.
        asks: if there are sides, those whose texts get neighbours.
    """

    def __init__(self, k: int, blocks: int, *, sided: bool, asks: Sequence[int]) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k {k} must be at least 1")
        self._k, self._least, self._asks = k, blocks, tuple(asks) if sided else ()

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Cut into blocks, compare each pair of blocks, and merge the neighbours of a text."""
        some = collections["vectors"] | "With a vector" >> beam.Filter(lambda one: len(one[1]) > 0)
        small = type(some.pipeline.runner).__name__ in _MAKES_RECORDS
        blocks = pvalue.AsSingleton(collections["size"] | "Blocks" >> beam.Map(_blocks, self._least, small))
        cuts = (
            some
            | "Ids" >> beam.Map(lambda one: (_drawn(one[0]), one[0]))
            | "Sample" >> beam.combiners.Top.Smallest(_SAMPLE * max(self._least, _SMALL_BLOCKS))
            | "Cut" >> beam.Map(_cuts, blocks)
        )
        return (
            some
            | "Block" >> beam.Map(_by_block, pvalue.AsSingleton(cuts))
            | "Pack" >> beam.ParDo(Pack())
            | "To every block" >> beam.FlatMap(_to_every, blocks)
            | "Meet" >> beam.GroupByKey()
            | "Nearest" >> beam.ParDo(_Nearest(self._k, self._asks))
            | "Merge" >> beam.CombinePerKey(MergeRanked(self._k))
            | "Pairs" >> beam.FlatMap(ranked_pairs)
            | "Distinct" >> beam.Distinct()
            | "Name" >> beam.Map(lambda pair: (pair, "lexical"))
        )


def _drawn(ident: Any) -> bytes:
    return hashlib.blake2b(repr(ident).encode(), digest_size=8).digest()


def _blocks(size: Size, least: int, small: bool) -> int:
    return max(least, min(_SMALL_BLOCKS, -(-size.characters // _SMALL_BLOCK)) if small else 1)


def _cuts(sample: list[tuple[bytes, Any]], blocks: int) -> list[Any]:
    """The first id of each block except the first block, from a random sample of ids."""
    ids = sorted(ident for _, ident in sample)
    return [ids[len(ids) * block // blocks] for block in range(1, blocks)] if ids else []


def _by_block(one: tuple[Any, bytes], cuts: list[Any]) -> tuple[int, tuple[Any, bytes]]:
    return bisect.bisect_right(cuts, one[0]), one


def _to_every(one: tuple[int, bytes], blocks: int) -> Iterator[tuple[tuple[int, int], tuple[int, bytes]]]:
    """A piece of a block -> the pairs of this block and each other."""
    for other in range(blocks):
        yield (min(one[0], other), max(one[0], other)), one


class _Nearest(beam.DoFn):
    """Two blocks -> for each of their texts, the nearest of the other block as :data:`Ranked`."""

    def __init__(self, k: int, asks: Sequence[int]) -> None:
        self._k, self._asks = k, asks

    def process(self, met: tuple[tuple[int, int], Iterable[tuple[int, bytes]]]) -> Iterator[Any]:
        (first, second), several = met
        found: dict[int, list[tuple[Any, bytes]]] = {first: [], second: []}
        for number, piece in several:
            found[number] += unpacked_piece(piece)
        ids, blocks = dict[int, list[Any]](), dict[int, VectorBlock]()
        for number, some in found.items():
            some.sort(key=lambda one: one[0])
            ids[number] = [ident for ident, _ in some]
            side = np.array([ident[0] if self._asks else 0 for ident in ids[number]], np.int8)
            blocks[number] = VectorBlock(number, _unpack([vector for _, vector in some]), side)
        for own, other in {(first, second), (second, first)}:
            rows = nearest_in_blocks(blocks[own], [blocks[other]], self._k, _nearest_sparse, asks=self._asks)
            owners, places, products = (column.tolist() for column in (rows[0], rows[1] & PLACE, rows[2]))
            ranked: defaultdict[int, list[Ranked]] = defaultdict(list)
            for row, place, product in zip(owners, places, products, strict=True):
                ranked[row].append((-product, ids[other][place], b""))
            for row, nearest in ranked.items():
                yield ids[own][row], nearest


class StaticVectors(beam.PTransform):
    """``(id, text)`` -> ``(id, packed vector)``: the counterpart of ``static_embedding``.

    Each worker gets the document frequencies of all tokens, some hundred thousand numbers.

    Args:
        model: as for ``PairScorer``; its token vectors are used.
        load: arguments of ``load_checkpoint``.
    """

    def __init__(self, model: str | Checkpoint, **load: Any) -> None:
        super().__init__()
        self._model, self._load = model, load

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Count the tokens of all texts, then embed each text."""
        batches = texts | "Batch" >> batch_texts()
        counted = batches | "Count" >> beam.ParDo(_CountTokens(self._model, self._load))
        total = counted | "Total" >> beam.CombineGlobally(_SumArrays())
        embed = _EmbedTokens(self._model, self._load)
        return batches | "Embed" >> beam.ParDo(embed, beam.pvalue.AsSingleton(total))


class _Tokens(beam.DoFn):
    def __init__(self, model: str | Checkpoint, load: dict[str, Any]) -> None:
        self._model, self._load = model, load

    def setup(self) -> None:
        model = self._model
        loaded = model if isinstance(model, Checkpoint) else load_checkpoint(model, **self._load)
        self._tokens = TokenVectors.of(loaded)


class _CountTokens(_Tokens):
    def process(self, batch: list[tuple[Any, str]]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        texts = pa.array([text for _, text in batch], pa.large_string())
        yield len(batch), self._tokens.frequency(self._tokens.counts(texts))


class _EmbedTokens(_Tokens):
    def process(
        self, batch: list[tuple[Any, str]], total: tuple[int, NDArray[np.int64]]
    ) -> Iterator[tuple[Any, bytes]]:
        texts, frequency = total
        counts = self._tokens.counts(pa.array([text for _, text in batch], pa.large_string()))
        vectors = pack_points(self._tokens.embed(counts, frequency, texts))
        yield from zip((ident for ident, _ in batch), vectors, strict=True)


class _SumArrays(beam.CombineFn):
    """The sum of (count, array) values; (0, 0) if there are none."""

    def create_accumulator(self) -> tuple[int, Any]:
        return 0, 0

    def add_input(self, total: tuple[int, Any], one: tuple[int, Any]) -> tuple[int, Any]:
        return total[0] + one[0], total[1] + one[1]

    def merge_accumulators(self, totals: Iterable[tuple[int, Any]]) -> tuple[int, Any]:
        count, array = 0, 0
        for one in totals:
            count, array = count + one[0], array + one[1]
        return count, array

    def extract_output(self, total: tuple[int, Any]) -> tuple[int, Any]:
        return total


class LexicalCandidates(beam.PTransform):
    """``(id, text)`` -> ``((id, id), "lexical")``: the counterpart of ``lexical_neighbours``.

    Args:
        k: the number of neighbours of each text.
        blocks: the least number of blocks, see ``blocks_for``.
        shingle: ``charN`` or ``wordN``.
        sided: ids are ``(side, id)``, and neighbours are searched on the other side only.
        asks: if there are sides, those whose texts get neighbours.

    Raises:
        UserError: there are more than ``MOST_BLOCKS`` blocks.
    """

    def __init__(
        self,
        k: int,
        blocks: int = 1,
        *,
        shingle: str = "char4",
        sided: bool = False,
        asks: Sequence[int] = (0, 1),
    ) -> None:
        super().__init__()
        if blocks > MOST_BLOCKS:
            raise UserError(
                f"lexical with a runner: {blocks:,} blocks of {BLOCK:,} texts, each compared with every "
                f"other, are more than {MOST_BLOCKS}. Leave it out (mine: --lexical 0; dedup: --candidates "
                "with minhash or neighbours instead), or run on one machine, without --runner."
            )
        self._nearest = _NearestInBlocks(k, blocks, sided=sided, asks=asks)
        self._unit, self._size = parse_shingle(shingle)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Count the shingles, weight them, and compare the texts."""
        size = texts | "Size" >> TextsSize()
        total = texts | "Frequencies" >> ShingleFrequencies(self._unit, self._size, size)
        vectors = (
            texts
            | "Batch" >> batch_texts()
            | "Weigh" >> beam.ParDo(_Weigh(self._unit, self._size), beam.pvalue.AsList(total))
        )
        return {"vectors": vectors, "size": size} | "Near" >> self._nearest


class _Weigh(beam.DoFn):
    def __init__(self, unit: str, size: int) -> None:
        self._unit, self._size = unit, size
        self._weights: TfIdf | None = None

    def finish_bundle(self) -> None:
        self._weights = None  # runners keep instances, and the next bundle may belong to another window

    def process(self, batch: list[tuple[Any, str]], total: list[RangeCounts]) -> Iterator[tuple[Any, bytes]]:
        if self._weights is None:
            count, frequency = whole_counts(total)
            self._weights = TfIdf.of(frequency, count, self._unit, self._size, WORK)
        vectors = self._weights.vectors(pa.array([text for _, text in batch], pa.large_string()))
        yield from zip((ident for ident, _ in batch), _pack_rows(vectors), strict=True)
