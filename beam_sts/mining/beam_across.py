"""ProposeAcross: pairs queries with texts of a corpus, in Beam."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from beam_sts.candidates.beam_join import JoinTexts
from beam_sts.candidates.beam_nearest import LexicalCandidates
from beam_sts.candidates.beam_neighbours import NeighbourCandidates
from beam_sts.candidates.beam_union import MergeCandidates
from beam_sts.candidates.form import plain_form
from beam_sts.mining.beam_propose import (
    ProposedPairs,
    ProposingTransform,
    by_draw,
    first_occurrences,
    vectors_of,
)
from beam_sts.mining.core import (
    GIVEN,
    ORIGINS,
    are_queries,
    random_partners,
    same_text,
    unpack_names,
)
from beam_sts.mining.settings import ProposalSettings


class ProposeAcross(ProposingTransform):
    """``placed``, :class:`TextOccurrence`, and ``given``, ``(name, name)`` -> :class:`ProposedPairs`.

    The counterpart of ``beam_sts.mining.local.propose`` for queries. Names come from ``sided_names``, and the
    first text of a pair is the query.
    """

    def expand(self, found: dict[str, beam.PCollection]) -> ProposedPairs:
        """Build the steps: keep each text once, propose pairs of each origin, join them with the texts."""
        settings = self._settings
        known = first_occurrences(found["placed"])
        given = found["given"] | "Once" >> beam.Distinct()
        searches = []
        parts = [given | "Given" >> beam.Map(lambda pair: (pair, GIVEN))]
        if settings.neighbours:
            vectors = vectors_of(known, settings) | "Side of vectors" >> beam.MapTuple(_sided)
            near = vectors | "Neighbours" >> NeighbourCandidates(settings.neighbours, sided=True, asks=(0,))
            parts.append(near.pairs | "Names" >> beam.MapTuple(_names))
            searches.append(near.report | "Search" >> beam.Map(lambda found: ("queries", found)))
        if settings.lexical:
            texts = known | "Side of texts" >> beam.MapTuple(
                lambda name, one: _sided(name, plain_form(one[2]))
            )
            lexical = LexicalCandidates(settings.lexical, self._blocks, sided=True, asks=(0,))
            parts.append(texts | "Lexical" >> lexical | "Names of lexical" >> beam.MapTuple(_names))
        if settings.random:
            shards = known | "Shard" >> beam.Map(by_draw, settings.seed, self._random_shards)
            grouped = shards | "Shards" >> beam.GroupByKey()
            parts.append(grouped | "Random" >> beam.FlatMap(_random, settings, self._random_shards))
        pairs = tuple(parts) | "Merge" >> MergeCandidates(ORIGINS) | "Other" >> beam.Filter(_is_pair)
        texts = known | "Payload" >> beam.MapTuple(lambda name, one: (name, (one[1], one[2])))
        joined = {"pairs": pairs, "texts": texts} | "Join" >> JoinTexts()
        reports = tuple(searches) | "Searches" >> beam.Flatten(pipeline=known.pipeline)
        return ProposedPairs(joined, None, texts, reports)


def _sided(name: bytes, value: Any) -> tuple[tuple[int, bytes], Any]:
    return (int(not are_queries(unpack_names([name]))[0]), name), value


def _names(pair: tuple[Any, Any], origin: str) -> tuple[tuple[bytes, bytes], str]:
    return (pair[0][1], pair[1][1]), origin


def _random(
    shard: tuple[int, Iterable[bytes]], settings: ProposalSettings, shards: int
) -> Iterator[tuple[tuple[bytes, bytes], str]]:
    names = sorted(shard[1])
    found = random_partners(unpack_names(names), settings.random, settings.seed, shards)
    for query, text in zip(*(numbers.tolist() for numbers in found), strict=True):
        yield (names[query], names[text]), "random"


def _is_pair(one: tuple[tuple[bytes, bytes], str]) -> bool:
    """Whether a pair is given, or is one of two different texts."""
    (query, text), origin = one
    return origin.startswith(GIVEN) or not same_text(unpack_names([query]), unpack_names([text]))[0]
