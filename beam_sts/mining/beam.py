"""MinePairs: mines scored training pairs from a collection of texts, on any runner."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_buckets import JoinTexts, MergeCandidates
from beam_sts.candidates.beam_nearest import LexicalCandidates, StaticVectors
from beam_sts.candidates.beam_neighbours import NeighbourCandidates
from beam_sts.candidates.form import plain as plain_form
from beam_sts.candidates.keys import hash128, normalise
from beam_sts.io.blank import is_blank
from beam_sts.mining.core import (
    ORIGINS,
    SPLITS,
    adjacent_pairs,
    draws,
    in_test,
    pack_names,
    random_pairs,
    shard_of,
    split_key,
    unpack_names,
)
from beam_sts.mining.settings import MinePairsSettings, MineSettings, ProposalSettings
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.pairs.beam import ScorePairs
from beam_sts.pairs.beam_elements import text_fault
from beam_sts.pairs.beam_handler import METRICS_NAMESPACE
from beam_sts.settings import made, takes
from beam_sts.types import Rejected, plain

_REJECTED = "rejected"
_FORMS = ("_plain1", "_plain2")
"""The fields with the texts in plain form, which are scored."""


class MinedRows(NamedTuple):
    """``pairs``: dicts with sentence1, sentence2, score, origin, split. ``rejected``: ``Rejected`` rows."""

    pairs: beam.PCollection
    rejected: beam.PCollection


@takes(MinePairsSettings)
class MinePairs(beam.PTransform):
    """Texts, or tuples of ``(document, place, text)`` -> :class:`MinedRows`.

    Texts are scored in plain form (``beam_sts.candidates.form``), and written as they are.

    Texts with the same normal form count as one text: the one with the smallest document and place. Pairs are
    proposed within each split: the nearest neighbours by the model's token vectors, pairs that share rare
    shingles, texts that follow each other in a document, and random pairs. No text is in both splits.

    Args:
        model: see ``PairScorer``.
        **settings: see ``MinePairsSettings``.

    >>> texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell sharply."]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     mined = pipeline | beam.Create(texts) | MinePairs(neighbours=1, test_share=0)
    ...     alike = mined.pairs | beam.Filter(lambda row: row["score"] > 0.6)
    ...     _ = alike | beam.Map(lambda row: print(row["split"], "neighbours" in row["origin"]))
    train True
    """

    def __init__(self, model: str = DEFAULT_MODEL, **settings: Any) -> None:
        super().__init__()
        self._settings = made(MinePairsSettings, "MinePairs", {"model": model, **settings})

    def expand(self, texts: beam.PCollection) -> MinedRows:
        """Build the steps: name each text by its hash, propose pairs, score them."""
        settings = self._settings
        placed = texts | "Place" >> beam.ParDo(_Place(settings.share_of_test, settings.seed)).with_outputs(
            _REJECTED, main="placed"
        )
        proposed = placed["placed"] | "Propose" >> ProposePairs(
            settings, settings.random_shards, settings.blocks
        )
        score = ScorePairs(settings.model, text_a=_FORMS[0], text_b=_FORMS[1], **settings.row_args)
        scored, failed = proposed.pairs | "Row" >> beam.Map(_row) | "Score" >> score
        scored |= "As given" >> beam.Map(_as_given, settings.score_column)
        failed |= "Failed" >> beam.Map(lambda one: one._replace(element=_as_given(one.element)))
        rejected = (placed[_REJECTED], failed) | "Rejected" >> beam.Flatten()
        return MinedRows(scored, rejected)


class Placed(NamedTuple):
    """A text and where it occurs. ``name`` hashes its normal form; the lowest ``order`` decides its split."""

    name: bytes
    order: Any
    document: Any
    test: bool
    text: str
    vector: bytes = b""


class _Place(beam.DoFn):
    """A text, or (document, place, text) -> a :class:`Placed`, or a rejected element."""

    def __init__(self, test_share: float, seed: int) -> None:
        self._test_share = test_share
        self._seed = seed

    def process(self, element: Any) -> Iterator[Any]:
        document, place, text = (
            element if isinstance(element, tuple) and len(element) == 3 else (None, 0, element)
        )
        document, place = plain(document), plain(place)
        fault = _fault(text) or _misplaced(document, place)
        if fault:
            Metrics.counter(METRICS_NAMESPACE, "rejected").inc()
            yield pvalue.TaggedOutput(_REJECTED, Rejected(element, fault))
            return
        text = str(text)
        normal = normalise(pa.array([text], pa.large_string()))[0].as_py()
        owner = normal if document is None else f"document\0{document}"
        document = None if document is None else owner
        key = split_key(normal) if document is None else owner
        test = bool(in_test([key], self._test_share, self._seed)[0])
        yield Placed(pack_names(hash128([normal]))[0], (owner, place), document, test, text)


def _fault(text: Any) -> str | None:
    fault = text_fault(text)
    if fault:
        return fault.rstrip(",")
    return "empty text" if is_blank(text) else None


def _misplaced(document: Any, place: Any) -> str | None:
    """Why a document or a place in it is invalid, or None."""
    if not isinstance(document, int | str | bytes | None):
        return f"the document is {type(document).__name__}; give an integer or a text"
    if isinstance(document, str) and (fault := text_fault(document)):
        return f"{fault} in the document's name"
    if isinstance(place, bool) or not isinstance(place, numbers.Real):
        return f"the place is {type(place).__name__}; give a number"
    return None


class ProposedPairs(NamedTuple):
    """``pairs``: ``(name_a, name_b, (test, text_a), (test, text_b), origin)``.

    ``straddling``: one element for each pair that was dropped because its texts are in different splits; None
    if queries are mined. ``texts``: ``(name, (test, text))`` of every distinct text. ``searches``: ``(split,
    report)`` of each search for neighbours, with ``queries`` instead of a split if queries are mined.
    """

    pairs: beam.PCollection
    straddling: beam.PCollection | None
    texts: beam.PCollection
    searches: beam.PCollection


class ProposePairs(beam.PTransform):
    """:class:`Placed` -> :class:`ProposedPairs`, by the rules of ``beam_sts.mining.core``.

    Args:
        settings: how many pairs of each origin to propose; token vectors come from its model.
        random_shards: see ``random_pairs``.
        blocks: number of blocks in the nearest-neighbour comparison.
    """

    def __init__(
        self, settings: MineSettings | MinePairsSettings, random_shards: int = 1, blocks: int = 1
    ) -> None:
        super().__init__()
        self._settings, self._random_shards, self._blocks = settings, random_shards, blocks

    def expand(self, placed: beam.PCollection) -> ProposedPairs:
        """Build the steps: keep each text once, propose pairs of each origin, join them with the texts."""
        settings = self._settings
        known = distinct_texts(placed)
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
                    | f"Meet {label}" >> beam.CoGroupByKey()
                    | f"Vectors of {label}" >> beam.FlatMap(_of_split, bool(number))
                )
                nearest = own | f"Neighbours {label}" >> NeighbourCandidates(settings.neighbours)
                parts.append(nearest.pairs)
                searches.append(
                    nearest.report | f"Search {label}" >> beam.Map(lambda found, of: (of, found), label)
                )
            if settings.lexical:
                texts = here | f"Texts {label}" >> beam.MapTuple(lambda name, found: (name, found[2]))
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
        sorted_out = joined | "Within" >> beam.ParDo(_WithinSplit()).with_outputs("straddling", main="pairs")
        told = tuple(searches) | "Searches" >> beam.Flatten(pipeline=placed.pipeline)
        return ProposedPairs(sorted_out["pairs"], sorted_out["straddling"], texts, told)


def distinct_texts(placed: beam.PCollection) -> beam.PCollection:
    """:class:`Placed` -> ``(name, (order, test, text, vector))`` for each text, at its first place."""
    return (
        placed
        | "By name" >> beam.Map(lambda one: (one.name, (one.order, one.test, one.text, one.vector)))
        | "Distinct" >> beam.CombinePerKey(_first)
    )


def vectors_of(known: beam.PCollection, settings: MineSettings | MinePairsSettings) -> beam.PCollection:
    """Distinct texts -> ``(name, packed vector)`` for the nearest-neighbour search."""
    if settings.neighbours and settings.vectors == "static":
        every = known | "Texts" >> beam.MapTuple(lambda name, found: (name, found[2]))
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
    return int(shard_of(draw, shards)[0]), one[0]


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
            yield pvalue.TaggedOutput("straddling", 1)


def _row(pair: tuple[Any, ...]) -> dict[str, Any]:
    _, _, (test, text_a), (_, text_b), origin = pair
    forms = dict(zip(_FORMS, map(plain_form, (text_a, text_b)), strict=True))
    return {"sentence1": text_a, "sentence2": text_b, "origin": origin, "split": SPLITS[int(test)], **forms}


def _as_given(row: dict[str, Any], score: str | None = None) -> dict[str, Any]:
    """A row without the plain forms. Texts of equal form score 1."""
    row = dict(row)
    first, second = (row.pop(name) for name in _FORMS)
    return {**row, score: 1.0} if score is not None and first == second else row
