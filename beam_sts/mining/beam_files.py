"""MineSlices: read slices of files, mine, write the training sets. For ``pipelines.mine``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue

from beam_sts.candidates.beam_nearest import DensePoints
from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import Source
from beam_sts.io.output import OutputFolder
from beam_sts.io.slices import Slice
from beam_sts.io.summary import add_records
from beam_sts.mining.beam import Placed, ProposePairs, name_bytes
from beam_sts.mining.core import (
    BANDS,
    SPLITS,
    MinedPairs,
    band_quotas,
    draws,
    score_bands,
    shard_of,
    triplets,
)
from beam_sts.mining.local import PairSources
from beam_sts.mining.passages import PassageSettings, slice_passages
from beam_sts.mining.shards import PairShardWriter, PairTexts, SetSettings, write_rows
from beam_sts.scoring.scorer import PairScorer

COUNTS = "_run/counts.json"
"""What a run by a Beam runner counts: all but what the shards' records hold."""

_RANGES = 1 << 16  # of draws, in which the sample's end is looked for


@dataclass(frozen=True)
class MineBeamSettings:
    """What the run depends on, besides its units."""

    output: OutputFolder
    source: Source
    passages: PassageSettings
    sources: PairSources
    sets: SetSettings
    model: str
    blocks: int = 1
    load: dict[str, Any] = field(default_factory=dict)
    scorer_args: dict[str, Any] = field(default_factory=dict)


class MineSlices(beam.PTransform):
    """Units of slices -> the shards of the training sets, the same as one machine writes, and their counts.

    A worker holds one shard of pairs with their texts, or the partners of one text.
    """

    def __init__(self, settings: MineBeamSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection:
        """Read, propose, score, draw the sets."""
        s = self._settings
        read = (
            units
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(s)).with_outputs("counts", main="placed")
        )
        proposed = read["placed"] | "Propose" >> ProposePairs(s.sources, s.model, s.blocks, s.load)
        scored = (
            proposed.pairs
            | "By shard" >> beam.Map(_by_shard, s.sets)
            | "Shards" >> beam.GroupByKey()
            | "Score" >> beam.ParDo(_ScoreShard(s)).with_outputs("counts", main="pairs")
        )
        rows = (self._sampled(scored["pairs"]), self._triplets(scored["pairs"])) | "Sets" >> beam.Flatten()
        written = rows | "Rows by shard" >> beam.GroupByKey() | "Write" >> beam.Map(_write, s.output)
        counts = (
            read["counts"],
            scored["counts"],
            written,
            proposed.straddling | "Straddling" >> beam.Map(lambda _: {"pairs_straddling": 1}),
            proposed.texts | "Texts" >> beam.MapTuple(_count_text),
        )
        return (
            counts
            | "Counts" >> beam.Flatten()
            | "Sum" >> beam.CombineGlobally(_AddRecords())
            | "Write counts" >> beam.Map(lambda total, output: output.write_json(COUNTS, total), s.output)
        )

    def _sampled(self, pairs: beam.PCollection) -> beam.PCollection:
        """The pairs of ``pair-score-sampled``: of every band those of the lowest draws."""
        s = self._settings
        ranged = pairs | "Ranges" >> beam.Map(_range)
        ends = (
            ranged
            | "Of a range" >> beam.combiners.Count.PerElement()
            | "By band" >> beam.MapTuple(lambda key, count: (None, (*key, count)))
            | "All ranges" >> beam.GroupByKey()
            | "Ends" >> beam.FlatMap(_ends, s.sets)
        )
        cut = pairs | "Cut" >> beam.ParDo(_Cut(), beam.pvalue.AsDict(ends)).with_outputs("edge", main="whole")
        edge = (
            cut["edge"]
            | "Edges" >> beam.GroupByKey()
            | "At the edge" >> beam.FlatMap(_at_edge, beam.pvalue.AsDict(ends))
        )
        return (
            (cut["whole"], edge)
            | "Sampled" >> beam.Flatten()
            | "Sampled row" >> beam.Map(_sampled_row, s.sets)
        )

    def _triplets(self, pairs: beam.PCollection) -> beam.PCollection:
        """The rows of both kinds of triplets."""
        return (
            pairs
            | "Both ends" >> beam.FlatMap(_both_ends)
            | "Anchor" >> beam.GroupByKey()
            | "Triplets" >> beam.FlatMap(_triplets_of, self._settings.sets)
        )


class _Scored(NamedTuple):
    """A scored pair with its texts."""

    split: str
    band: int
    draw: int
    name_a: bytes
    name_b: bytes
    text_a: str
    text_b: str
    score: float


class _Read(beam.DoFn):
    """A unit -> its passages; rejected rows are written, and all is counted."""

    def __init__(self, settings: MineBeamSettings) -> None:
        self._settings = settings

    def process(self, unit: list[Slice]) -> Iterator[Any]:
        source = self._settings.source
        for rows in source.read(unit):
            counts = write_rejected(self._settings.output, source, rows, self._settings.sets.report_examples)
            found = slice_passages(rows, self._settings.passages)
            yield pvalue.TaggedOutput("counts", {**found.counts, **counts, "places": len(found.texts)})
            count = len(found.texts)
            vectors = [b""] * count
            if found.vectors is not None and count:
                vectors = DensePoints.pack(found.vectors)
            names, documents = name_bytes(found.name), name_bytes(found.document)
            texts = found.texts.to_pylist()
            for at in range(count):
                document = documents[at] if found.document[at].any() else None
                order = int(found.row[at]), int(found.place[at])
                yield Placed(names[at], order, document, bool(found.test[at]), texts[at], vectors[at])


def _count_text(_: bytes, found: tuple[bool, str]) -> dict[str, Any]:
    return {"texts": 1, "texts_by_split": {SPLITS[int(found[0])]: 1}}


def _by_shard(pair: tuple[Any, ...], settings: SetSettings) -> tuple[int, tuple[Any, ...]]:
    names = [np.frombuffer(name[:8], ">u8").astype(np.uint64) for name in pair[:2]]
    draw = draws(names, settings.seed)
    return int(shard_of(draw, settings.shards)[0]), (int(draw[0]), *pair)


class _ScoreShard(beam.DoFn):
    """A shard of pairs, scored and written or read again -> its scored pairs."""

    def __init__(self, settings: MineBeamSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        s = self._settings
        scorer = PairScorer(s.model, **s.load, **s.scorer_args)
        self._writer = PairShardWriter(s.output, s.sets, scorer)

    def process(self, shard: tuple[int, Iterable[tuple[Any, ...]]]) -> Iterator[Any]:
        number, found = shard
        pairs = sorted(found, key=lambda pair: pair[:3])
        draw = np.array([pair[0] for pair in pairs], np.uint64)
        test = np.array([pair[3][0] for pair in pairs], bool)
        scores = self._writer.there(number, test, draw)
        if scores is None:
            a, b = (pa.array([pair[at][1] for pair in pairs], pa.large_string()) for at in (3, 4))
            origin = pa.array([pair[5] for pair in pairs], pa.string())
            scores = self._writer.write(number, PairTexts(test, draw, a, b, origin))
        with np.errstate(invalid="ignore"):
            bands = score_bands(np.nan_to_num(scores)).tolist()
        yield pvalue.TaggedOutput("counts", {"shards": {str(number): len(pairs)}})
        for pair, score, band in zip(pairs, scores.tolist(), bands, strict=True):
            if score == score:  # the model did not fail
                (_, text_a), (_, text_b) = pair[3:5]
                yield _Scored(SPLITS[int(pair[3][0])], band, pair[0], pair[1], pair[2], text_a, text_b, score)


def _range(pair: _Scored) -> tuple[tuple[str, int], int]:
    return (pair.split, pair.band), pair.draw // (2**64 // _RANGES)


def _ends(
    every: tuple[None, Iterable[tuple[tuple[str, int], int, int]]], settings: SetSettings
) -> Iterator[tuple[tuple[str, int], tuple[int, int]]]:
    """Of each split and band the range in which the sample ends, and how many of that range are in it."""
    found: dict[str, list[list[tuple[int, int]]]] = {split: [[] for _ in range(BANDS)] for split in SPLITS}
    for (split, number), at, count in every[1]:
        found[split][number].append((at, count))
    for split, bands in found.items():
        there = [sum(count for _, count in band) for band in bands]
        quotas = band_quotas(there, settings.rows_to_sample(split, sum(there))).tolist()
        for number, (band, quota) in enumerate(zip(bands, quotas, strict=True)):
            end, left = -1, quota
            for at, count in sorted(band):
                end = at
                if count > left:
                    break
                left -= count
                end = at + 1
            yield (split, number), (end, left)


class _Cut(beam.DoFn):
    """Scored pairs -> those of ranges that are whole in the sample; as ``edge`` those of the last."""

    def process(self, pair: _Scored, ends: dict[tuple[str, int], tuple[int, int]]) -> Iterator[Any]:
        key, at = _range(pair)
        if at < ends[key][0]:
            yield pair
        elif at == ends[key][0]:
            yield pvalue.TaggedOutput("edge", (key, pair))


def _at_edge(
    edge: tuple[tuple[str, int], Iterable[_Scored]], ends: dict[tuple[str, int], tuple[int, int]]
) -> list[_Scored]:
    key, pairs = edge
    return sorted(pairs, key=lambda pair: (pair.draw, pair.name_a, pair.name_b))[: ends[key][1]]


def _sampled_row(pair: _Scored, settings: SetSettings) -> tuple[Any, Any]:
    row = (pair.draw, pair.name_a, pair.name_b), (pair.text_a, pair.text_b, pair.score)
    return ("pair-score-sampled", pair.split, _number(pair.draw, settings)), row


def _number(draw: int, settings: SetSettings) -> int:
    return int(shard_of(np.array([draw], np.uint64), settings.shards)[0])


def _both_ends(pair: _Scored) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
    yield pair.name_a, (pair.name_b, pair.text_b, pair.score, pair.draw, pair.text_a, pair.split)
    yield pair.name_b, (pair.name_a, pair.text_a, pair.score, pair.draw, pair.text_b, pair.split)


def _triplets_of(
    anchor: tuple[bytes, Iterable[tuple[Any, ...]]], settings: SetSettings
) -> Iterator[tuple[Any, Any]]:
    name, found = anchor
    partners = sorted(found, key=lambda one: one[0])
    if len(partners) < 2:
        return
    pairs = MinedPairs(
        np.zeros(len(partners), np.int64),
        np.arange(1, len(partners) + 1),
        np.array([one[2] for one in partners], np.float32),
        np.array([one[3] for one in partners], np.uint64),
    )
    text, split = partners[0][4:]
    for subset, hard in (("triplet", False), ("triplet-hard", True)):
        three = triplets(
            pairs, positive=settings.positive, negative=settings.negative, margin=settings.margin, hard=hard
        )
        for own, positive, negative, draw in zip(*(column.tolist() for column in three), strict=True):
            if own == 0:
                row = (draw, name), (text, partners[positive - 1][1], partners[negative - 1][1])
                yield (subset, split, _number(draw, settings)), row


def _write(group: tuple[tuple[str, str, int], Iterable[Any]], output: OutputFolder) -> dict[str, Any]:
    (subset, split, number), found = group
    rows = [row for _, row in sorted(found, key=lambda one: one[0])]
    count = write_rows(output, subset, split, number, list(zip(*rows, strict=True)))
    return {"rows_written": {subset: {split: count}}}


class _AddRecords(beam.CombineFn):
    """The sum of records of counts."""

    def create_accumulator(self) -> dict[str, Any]:
        return {}

    def add_input(self, total: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
        return add_records([total, one])

    def merge_accumulators(self, totals: Iterable[dict[str, Any]]) -> dict[str, Any]:
        return add_records(totals)

    def extract_output(self, total: dict[str, Any]) -> dict[str, Any]:
        return total
