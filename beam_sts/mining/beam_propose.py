"""ProposePairs: pairs texts of one collection, in Beam; what mining of one or two collections shares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.candidates.beam_join import JoinTexts
from beam_sts.candidates.beam_nearest import LexicalCandidates, StaticVectors
from beam_sts.candidates.beam_neighbours import NeighbourCandidates
from beam_sts.candidates.beam_union import MergeCandidates
from beam_sts.candidates.form import plain_form
from beam_sts.mining.beam_split import SplitTexts
from beam_sts.mining.core import (
    ORIGINS,
    SPLITS,
    adjacent_pairs,
    draws,
    random_pairs,
    shard_of_draw,
    unpack_names,
)
from beam_sts.mining.settings import MinePairsSettings, MineSettings, ProposalSettings
from beam_sts.pairs.beam_handler import METRICS_NAMESPACE


class ProposedPairs(NamedTuple):
    """``pairs``: ``(name_a, name_b, (test, text_a), (test, text_b), origin)``.

    ``cross_split``: one element for each pair that was dropped because its texts are in different splits;
    None if queries are mined. ``texts``: ``(name, (test, text))`` of every distinct text. ``searches``:
    ``(split, report)`` of each search for neighbours, with ``queries`` as the split if queries are mined.
    """

    pairs: beam.PCollection
    cross_split: beam.PCollection | None
    texts: beam.PCollection
    searches: beam.PCollection


class ProposingTransform(beam.PTransform):
    """What the proposals of one collection and of queries with a corpus share: their arguments.

    Args:
        settings: how many pairs of each origin to propose; token vectors come from its model.
        random_shards: see ``random_pairs`` and ``random_partners``.
        blocks: number of blocks in the nearest-neighbour comparison.
    """

    def __init__(
        self, settings: MineSettings | MinePairsSettings, random_shards: int = 1, blocks: int = 1
    ) -> None:
        super().__init__()
        self._settings, self._random_shards, self._blocks = settings, random_shards, blocks


class ProposePairs(ProposingTransform):
    """:class:`TextOccurrence` -> :class:`ProposedPairs`, by the rules of ``beam_sts.mining.core``."""

    def expand(self, placed: beam.PCollection) -> ProposedPairs:
        """Build the steps: keep each text once, propose pairs of each origin, join them with the texts."""
        settings = self._settings
        placed |= "Split" >> SplitTexts(settings)
        known = first_occurrences(placed)
        adjacent = (
            placed
            | "In documents" >> beam.Filter(lambda one: one.document is not None)
            | "By document" >> beam.Map(lambda one: (one.document, (one.order, one.name)))
            | "Document" >> beam.GroupByKey()
            | "Follow" >> beam.FlatMap(_adjacent)
            | "Once" >> beam.Distinct()
            | "Adjacent" >> beam.Map(lambda pair: (pair, "adjacent"))
        )
        parts, searches = [adjacent], []
        vectors = vectors_of(known, settings)
        split = known | "Split of" >> beam.MapTuple(lambda name, found: (name, found[1]))
        for number, label in enumerate(SPLITS):
            here = known | f"In {label}" >> beam.Filter(lambda one, test: one[1][1] == test, bool(number))
            if settings.neighbours:
                own = (
                    {"split": split, "vector": vectors}
                    | f"Meet {label}" >> CoGroup()
                    | f"Vectors of {label}" >> beam.FlatMap(_of_split, bool(number))
                )
                nearest = own | f"Neighbours {label}" >> NeighbourCandidates(settings.neighbours)
                parts.append(nearest.pairs)
                searches.append(
                    nearest.report | f"Search {label}" >> beam.Map(lambda found, of: (of, found), label)
                )
            if settings.lexical:
                texts = here | f"Texts {label}" >> beam.MapTuple(
                    lambda name, found: (name, plain_form(found[2]))
                )
                parts.append(texts | f"Lexical {label}" >> LexicalCandidates(settings.lexical, self._blocks))
            if settings.random:
                shards = here | f"Shard {label}" >> beam.Map(by_draw, settings.seed, self._random_shards)
                grouped = shards | f"Shards {label}" >> beam.GroupByKey()
                parts.append(
                    grouped | f"Random {label}" >> beam.FlatMap(_random, settings, self._random_shards)
                )
        pairs = tuple(parts) | "Merge" >> MergeCandidates(ORIGINS)
        texts = known | "Payload" >> beam.MapTuple(lambda name, found: (name, (found[1], found[2])))
        joined = {"pairs": pairs, "texts": texts} | "Join" >> JoinTexts()
        checked = joined | "Within" >> beam.ParDo(_WithinSplit()).with_outputs("cross_split", main="pairs")
        reports = tuple(searches) | "Searches" >> beam.Flatten(pipeline=placed.pipeline)
        return ProposedPairs(checked["pairs"], checked["cross_split"], texts, reports)


def first_occurrences(placed: beam.PCollection) -> beam.PCollection:
    """:class:`TextOccurrence` -> ``(name, (order, test, text, vector))`` of each text, at its first place."""
    return (
        placed
        | "By name" >> beam.Map(lambda one: (one.name, (one.order, one.test, one.text, one.vector)))
        | "Distinct" >> beam.CombinePerKey(_first)
    )


def vectors_of(known: beam.PCollection, settings: MineSettings | MinePairsSettings) -> beam.PCollection:
    """Distinct texts -> ``(name, packed vector)`` for the nearest-neighbour search."""
    if settings.neighbours and settings.vectors == "static":
        every = known | "Texts" >> beam.MapTuple(lambda name, found: (name, plain_form(found[2])))
        return every | "Static" >> StaticVectors(str(settings.model), **settings.load)
    return known | "Vectors" >> beam.MapTuple(lambda name, found: (name, found[3]))


def _first(values: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    return min(values, key=itemgetter(0, 2))


def _adjacent(document: tuple[Any, Iterable[tuple[Any, bytes]]]) -> Iterator[tuple[bytes, bytes]]:
    in_order = [name for _, name in sorted(document[1])]
    names = sorted(set(in_order))
    number = {name: at for at, name in enumerate(names)}
    places = np.array([number[name] for name in in_order], np.int64)
    yield from _named(names, *adjacent_pairs(places, np.zeros(len(places), np.int64)))


def _named(names: list[bytes], a: IntArray, b: IntArray) -> Iterator[tuple[bytes, bytes]]:
    for one, other in zip(a.tolist(), b.tolist(), strict=True):
        yield names[one], names[other]


def _of_split(met: tuple[bytes, dict[str, Iterable[Any]]], test: bool) -> Iterator[tuple[bytes, bytes]]:
    name, found = met
    if next(iter(found["split"])) == test:
        yield name, next(iter(found["vector"]))


def by_draw(one: tuple[bytes, Any], seed: int, shards: int) -> tuple[int, bytes]:
    """A distinct text -> its name, keyed by the shard of its draw."""
    draw = draws([unpack_names([one[0]])[:, 0]], seed)
    return int(shard_of_draw(draw, shards)[0]), one[0]


def _random(
    shard: tuple[int, Iterable[bytes]], settings: ProposalSettings, shards: int
) -> Iterator[tuple[tuple[bytes, bytes], str]]:
    names = sorted(shard[1])
    first = unpack_names(names)[:, 0]
    for pair in _named(names, *random_pairs(first, settings.random, settings.seed, shards)):
        yield pair, "random"


class _WithinSplit(beam.DoFn):
    """Joined pairs -> those within one split. Only adjacent pairs can have texts in both splits."""

    def process(self, row: tuple[Any, ...]) -> Iterator[Any]:
        if row[2][0] == row[3][0]:
            yield row
        else:
            Metrics.counter(METRICS_NAMESPACE, "pairs_straddling").inc()
            yield pvalue.TaggedOutput("cross_split", 1)
