"""MineSlices: reads slices of files, mines pairs, writes the training sets. For ``beam-sts mine`` on Beam."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_rows
from beam_sts.candidates.beam_pack import Pack, unpacked
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.rejects import REJECTED, write_rejected
from beam_sts.candidates.source import Source
from beam_sts.io.ipc import dump_table, load_tables
from beam_sts.io.output import OutputFolder
from beam_sts.io.slices import Slice
from beam_sts.mining.beam_across import ProposeAcross
from beam_sts.mining.beam_propose import ProposePairs
from beam_sts.mining.beam_split import TextOccurrence, pack_unit_names
from beam_sts.mining.core import (
    BANDS,
    GIVEN,
    SPLITS,
    MinedPairs,
    are_given,
    are_queries,
    draw_sample,
    draws,
    pack_names,
    sample_shares,
    score_bands,
    shard_of_draw,
    unpack_names,
)
from beam_sts.mining.counts import MineCounts
from beam_sts.mining.forms import ROWS, Form
from beam_sts.mining.languages import count_languages, in_sample
from beam_sts.mining.passages import queries_in_test, slice_passages, slice_queries
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import (
    REJECTED_QUERIES,
    Cuts,
    PairShardWriter,
    PairTexts,
    pair_rows,
    set_triplets,
    triplet_rows,
    write_rows,
    write_triplets,
)
from beam_sts.mining.triplets import (
    TRIPLETS,
    TripletRule,
    count_scores,
    positives_from,
)
from beam_sts.scoring.scorer import PairScorer

COUNTS = "_run/counts.json"
"""The counts of a run on a Beam runner, except those that the shards' records hold."""

Shares: TypeAlias = dict[int, list[IntArray]]
"""For each shard and split: how many pairs of each score band are in the even sample."""

_SCORED = pa.schema(
    [
        ("test", pa.bool_()),
        ("draw", pa.uint64()),
        *((name, pa.binary(16)) for name in ("name_a", "name_b")),
        *((name, pa.large_string()) for name in ("text_a", "text_b")),
        ("score", pa.float32()),
        ("differs", pa.bool_()),
        ("given", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class MineRun:
    """What a run on a Beam runner depends on, besides its units.

    ``cuts``: as on one machine. ``blocks``: number of blocks in the nearest-neighbour comparison.
    ``queries``: the input of queries.
    """

    output: OutputFolder
    source: Source
    settings: MineSettings
    cuts: Cuts
    blocks: int = 1
    queries: Source | None = None

    @property
    def units(self) -> list[tuple[bool, list[Slice]]]:
        """The slices to read at a time, and whether they are of the queries."""
        of_queries = self.queries.plan.units if self.queries else []
        return [*((False, unit) for unit in self.source.plan.units), *((True, unit) for unit in of_queries)]


class MineSlices(beam.PTransform):
    """Units of :class:`MineRun` -> the counts; writes the shards of training sets, as on one machine.

    A worker holds one shard of pairs with their texts, or the pairs of one range of texts.
    """

    def __init__(self, run: MineRun) -> None:
        super().__init__()
        self._run = run

    def expand(self, units: beam.PCollection[tuple[bool, list[Slice]]]) -> beam.PCollection:
        """Build the steps: read, propose, score, draw the training sets."""
        run = self._run
        read = (
            units
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(run)).with_outputs("counts", GIVEN, main="placed")
        )
        proposed = (
            {"placed": read["placed"], "given": read[GIVEN]}
            | "Propose" >> ProposeAcross(run.settings, run.cuts.random_shards, run.blocks)
            if run.settings.across
            else read["placed"] | "Propose" >> ProposePairs(run.settings, run.cuts.random_shards, run.blocks)
        )
        scored = (
            proposed.pairs
            | "By shard" >> beam.Map(_by_shard, run.settings.seed, run.cuts.shards)
            | "Pack" >> beam.ParDo(Pack())
            | "Shards" >> beam.GroupByKey()
            | "Score" >> beam.ParDo(_ScoreShard(run)).with_outputs("counts", main="shards")
        )
        shares = (
            scored["shards"]
            | "Bands" >> beam.MapTuple(_count_bands)
            | "All bands" >> beam.combiners.ToList()
            | "Shares" >> beam.Map(_shares, run.settings)
        )
        sampled = scored["shards"] | "Sample" >> beam.Map(
            _sample, beam.pvalue.AsSingleton(shares), run.output
        )
        rule = (
            scored["shards"]
            | "Scores" >> beam.MapTuple(lambda _, raw: _count_train(raw))
            | "All scores" >> beam.combiners.ToList()
            | "Rule" >> beam.Map(_rule, run.settings)
        )
        of_triplets = (
            scored["shards"]
            | "By anchor" >> beam.FlatMap(_by_anchor, run.cuts.shards, run.settings.across)
            | "Anchors" >> beam.GroupByKey()
            | "Triplets" >> beam.FlatMap(_triplets, run, beam.pvalue.AsSingleton(rule))
            | "Rows by shard" >> beam.GroupByKey()
            | "Write" >> beam.Map(_write, run.output, run.settings.form)
        )
        counts = [
            read["counts"],
            scored["counts"],
            sampled,
            of_triplets,
            proposed.texts | "Texts" >> beam.Map(_count_text, run.settings.across, run.cuts.texts),
            proposed.searches | "Searches" >> beam.MapTuple(_count_search),
        ]
        if proposed.cross_split is not None:
            cross_split = beam.Map(lambda _: MineCounts(pairs_straddling=1))
            counts.append(proposed.cross_split | "Cross split" >> cross_split)
        return (
            tuple(counts)
            | "Counts" >> beam.Flatten()
            | "Sum" >> beam.CombineGlobally(MineCounts.total)
            | "Write counts"
            >> beam.Map(lambda total, output: output.write_json(COUNTS, total.dump()), run.output)
        )


class _Read(beam.DoFn):
    """A unit -> its passages, and the pairs given in it. Rejected rows are written; all rows are counted."""

    def __init__(self, run: MineRun) -> None:
        self._run = run

    def process(self, element: tuple[bool, list[Slice]]) -> Iterator[Any]:
        run, (of_queries, unit) = self._run, element
        source = run.queries if of_queries and run.queries else run.source
        folder = REJECTED_QUERIES if of_queries else REJECTED
        for rows in source.read(unit):
            counts = write_rejected(run.output, source, rows, run.settings.report_examples, folder)
            after = run.source.plan.rows
            found = (
                slice_queries(rows, run.settings, after) if of_queries else slice_passages(rows, run.settings)
            )
            counted = MineCounts.read({**found.counts, **counts, "places": len(found.texts)})
            yield pvalue.TaggedOutput("counts", counted)
            count = len(found.texts)
            vectors = [b""] * count
            if found.vectors is not None and count:
                vectors = pack_points(found.vectors)
            names, documents = pack_names(found.name), pack_names(found.document)
            units = pack_unit_names(found.unit)
            test = queries_in_test(found.unit, found.name, run.settings)  # without queries, decided later
            texts = found.texts.to_pylist()
            for at in range(count):
                document = documents[at] if found.document[at].any() else None
                order = int(found.row[at]), int(found.place[at])
                yield TextOccurrence(
                    names[at], order, document, units[at], texts[at], vectors[at], bool(test[at])
                )
            for query, positive in found.given.tolist():
                yield pvalue.TaggedOutput(GIVEN, (names[query], names[positive]))


def _count_search(name: str, report: dict[str, int]) -> MineCounts:
    return MineCounts(neighbours={name: report} if report["largest_cell"] > 1 else {})


def _count_text(one: tuple[bytes, tuple[bool, str]], across: bool, expected: int) -> MineCounts:
    name, (test, text) = one
    names = unpack_names([name])
    counted = MineCounts(texts=1, languages=count_languages([text] if in_sample(names, expected)[0] else ()))
    if across and not are_queries(names)[0]:
        return counted
    return replace(counted, queries=int(across), texts_by_split={SPLITS[int(test)]: 1})


def _by_shard(pair: tuple[Any, ...], seed: int, shards: int) -> tuple[int, tuple[Any, ...]]:
    first = unpack_names(pair[:2])[:, 0]
    draw = draws([first[:1], first[1:]], seed)
    return int(shard_of_draw(draw, shards)[0]), (int(draw[0]), *pair)


class _ScoreShard(beam.DoFn):
    """A shard of pairs -> its number and a table of its scored pairs, scored here or read from the output."""

    def __init__(self, run: MineRun) -> None:
        self._run = run

    def setup(self) -> None:
        run = self._run
        scorer = PairScorer(run.settings.model, **run.settings.scorer_args)
        self._writer = PairShardWriter(run.output, run.settings, run.cuts.shards, scorer)

    def process(self, shard: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        number, found = shard
        pairs = sorted(unpacked(found), key=lambda pair: pair[:3])
        draw, name_a, name_b, of_a, of_b, origin = zip(*pairs, strict=True)
        texts = PairTexts(
            np.array([test for test, _ in of_a], bool),
            np.array(draw, np.uint64),
            pa.array([text for _, text in of_a], pa.large_string()),
            pa.array([text for _, text in of_b], pa.large_string()),
            pa.array(origin, pa.string()),
        )
        scored = self._writer.read_complete(number, texts.test, texts.draw) or self._writer.write(
            number, texts
        )
        yield pvalue.TaggedOutput("counts", MineCounts(shards={str(number): len(pairs)}))
        given = are_given(texts.origin)
        columns = (texts.test, texts.draw, name_a, name_b, texts.text_a, texts.text_b, *scored, given)
        arrays = [
            pa.array(column, kind.type) if not isinstance(column, pa.Array) else column
            for column, kind in zip(columns, _SCORED, strict=True)
        ]
        table = pa.Table.from_arrays(arrays, schema=_SCORED)
        yield number, dump_table(table.filter(pa.array(np.isfinite(scored.scores))))


def _count_bands(number: int, raw: bytes) -> tuple[int, IntArray]:
    table = load_tables([raw])
    band, test = score_bands(table["score"].to_numpy()), table["test"].to_numpy().astype(np.int64)
    return number, np.bincount(test * BANDS + band, minlength=len(SPLITS) * BANDS).reshape(-1, BANDS)


def _shares(counts: list[tuple[int, IntArray]], settings: MineSettings) -> Shares:
    counts = sorted(counts, key=lambda one: one[0])
    none = np.empty((0, len(SPLITS), BANDS), np.int64)
    every = np.concatenate([none, *(found[None] for _, found in counts)])
    by_split = [
        sample_shares(every[:, at], settings.rows_to_sample(split, int(every[:, at].sum())))
        for at, split in enumerate(SPLITS)
    ]
    return {number: [shares[at] for shares in by_split] for at, (number, _) in enumerate(counts)}


def _pairs_of(table: pa.Table) -> tuple[MinedPairs, NDArray[np.uint64], IntArray]:
    """Returns the pairs of scored rows with numbered texts, the texts' names, and the row index of each text.

    The row indices count the first texts of all rows, then the second texts.
    """
    packed = [name for column in ("name_a", "name_b") for name in table[column].to_pylist()]
    names = unpack_names(packed)
    number, first = group_rows((*names.T,))
    columns = (table[name].to_numpy() for name in ("score", "draw", "differs", "given"))
    pairs = MinedPairs(number[: len(table)], number[len(table) :], *columns)
    return pairs, names[first], first


def _sample(shard: tuple[int, bytes], shares: Shares, output: OutputFolder) -> MineCounts:
    """Write a shard's rows of the even sample."""
    number, raw = shard
    table, rows = load_tables([raw]), {}
    for at, split in enumerate(SPLITS):
        here = table.filter(table["test"] if at else pa.compute.invert(table["test"]))
        some = here.take(draw_sample(_pairs_of(here)[0], shares[number][at]))
        columns = [some[name] for name in ("text_a", "text_b", "score")]
        made = pair_rows("pair-score-sampled", columns)
        rows[split] = write_rows(output, "pair-score-sampled", split, number, made)
    return MineCounts(rows_written={"pair-score-sampled": rows})


def _by_anchor(shard: tuple[int, bytes], parts: int, across: bool) -> Iterator[tuple[int, bytes]]:
    """Send each pair to the name ranges of its two texts, or of its query if queries are mined."""
    table = load_tables([shard[1]])
    part_a, part_b = (
        shard_of_draw(unpack_names(table[name].to_pylist())[:, 0], parts) for name in ("name_a", "name_b")
    )
    apart = np.flatnonzero((part_a != part_b) & (not across))
    row, part = np.concatenate([np.arange(len(table)), apart]), np.concatenate([part_a, part_b[apart]])
    for number in np.unique(part).tolist():
        yield number, dump_table(table.take(row[part == number]))


def _count_train(raw: bytes) -> IntArray:
    table = load_tables([raw])
    return count_scores(table["score"].to_numpy()[~table["test"].to_numpy()])


def _rule(counts: list[IntArray], settings: MineSettings) -> TripletRule:
    """Returns the triplet rule; the positives' lowest score follows from all scores if a share is set."""
    if settings.positive_share is None:
        return settings.rule
    none = count_scores(np.empty(0, np.float32))
    return replace(settings.rule, positive=positives_from(sum(counts, none), settings.positive_share))


def _triplets(
    group: tuple[int, Iterable[bytes]], run: MineRun, rule: TripletRule
) -> Iterator[tuple[Any, bytes]]:
    """Mine the triplets of a range of anchors, grouped by the shard that they are written to."""
    part, raws = group
    table = load_tables(raws)
    pairs, names, first = _pairs_of(table)
    texts = pa.chunked_array([*table["text_a"].chunks, *table["text_b"].chunks]).take(pa.array(first))
    test = np.tile(table["test"].to_numpy(), 2)[first]
    anchors = shard_of_draw(names[:, 0], run.cuts.shards) == part
    if run.settings.across:
        anchors &= are_queries(names)
    for subset in TRIPLETS:
        found = set_triplets(pairs, subset, rule, anchors)
        rows = pa.table(
            {
                "draw": found.draw,
                "name": pa.array(pack_names(names[found.anchor]), pa.binary(16)),
                "rank": np.arange(len(found.draw)),  # orders the negatives of an anchor
                **dict(zip(ROWS.names, triplet_rows(found, texts).columns, strict=True)),
            }
        )
        shard, tested = shard_of_draw(found.draw, run.cuts.shards), test[found.anchor]
        for at, split in enumerate(SPLITS):
            for number in np.unique(shard[tested == at]).tolist():
                here = np.flatnonzero((tested == at) & (shard == number))
                yield (subset, split, number), dump_table(rows.take(here))


def _write(
    group: tuple[tuple[str, str, int], Iterable[bytes]], output: OutputFolder, form: Form
) -> MineCounts:
    (subset, split, number), raws = group
    rows = load_tables(raws).sort_by([(name, "ascending") for name in ("draw", "name", "rank")])
    anchors = [rows["draw"].to_numpy(), np.array(rows["name"].to_pylist(), object)]
    count = write_triplets(output, subset, split, number, rows.select(ROWS.names), anchors, form)
    return MineCounts(rows_written={subset: {split: count}})
