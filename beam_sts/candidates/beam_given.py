"""Candidate pairs from another tool, in Beam: the shuffles around ``beam_sts.candidates.given``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.candidates.beam_pack import PackByShard, unpacked
from beam_sts.candidates.given import find_ids, known_pairs
from beam_sts.errors import UserError

_SHARDS = 1 << 12  # of ids; a worker holds the ids of one
_PAIRS_AT_ONCE = 1 << 16


class Given(NamedTuple):
    """``pairs``: ``((name, name), "pairs")``. ``counts``: counts of rows, to add up, as of ``GivenPairs``."""

    pairs: beam.PCollection
    counts: beam.PCollection


class GivenCandidates(beam.PTransform):
    """``ids`` ``(id, name of its text)`` and ``given`` ``(id, id)``, ids as texts -> :class:`Given`.

    Names sort like the numbers of texts on one machine.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> Given:
        """Join in two shuffles, by shards of the first id and then of the second."""
        ids = collections["ids"] | "Pack ids" >> PackByShard(_SHARDS)
        first = (
            {"ids": ids, "pairs": collections["given"] | "Pack first" >> PackByShard(_SHARDS, _texts)}
            | "First" >> CoGroup()
            | "Text a" >> beam.FlatMapTuple(_find_first)
        )
        second = (
            {"ids": ids, "pairs": first | "Pack second" >> PackByShard(_SHARDS)}
            | "Second" >> CoGroup()
            | "Text b" >> beam.ParDo(_Pair()).with_outputs("counts", main="pairs")
        )
        return Given(second["pairs"], second["counts"])


def _texts(pair: tuple[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for ident in pair:
        if ident is not None:
            try:
                str.encode(ident)
            except (TypeError, UnicodeEncodeError) as error:
                raise UserError(
                    f"given: an id is not a text ({error}). Give pairs of ids as texts."
                ) from error
    yield pair


def _parts(found: dict[str, Iterable[Any]]) -> Iterator[tuple[list[Any], list[Any], IntArray]]:
    """The pairs of a shard, some at a time, as (wanted id, other end); the names of texts; those wanted."""
    ids = list(unpacked(found["ids"]))
    known, names = pa.array([ident for ident, _ in ids], pa.string()), [name for _, name in ids]
    pairs = unpacked(found["pairs"])
    while some := list(islice(pairs, _PAIRS_AT_ONCE)):
        yield some, names, find_ids(pa.array([ident for ident, _ in some], pa.string()), known)


def _find_first(_: int, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """(first id, second id) -> (second id, name of the first text or None)."""
    for pairs, names, texts in _parts(found):
        for (_, second), text in zip(pairs, texts.tolist(), strict=True):
            yield second, names[text] if text >= 0 else None


class _Pair(beam.DoFn):
    """(second id, name of the first text or None) -> the pairs of known texts; ``counts`` of the rows."""

    def process(self, shard: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        for pairs, names, texts in _parts(shard[1]):
            ends = (
                [name for _, name in pairs],
                [names[text] if text >= 0 else None for text in texts.tolist()],
            )
            in_order = sorted({name for column in ends for name in column if name is not None})
            number = {None: -1, **{name: at for at, name in enumerate(in_order)}}
            made = known_pairs(*(np.array([number[name] for name in column], np.int64) for column in ends))
            for a, b in zip(made.a.tolist(), made.b.tolist(), strict=True):
                yield (in_order[a], in_order[b]), "pairs"
            yield pvalue.TaggedOutput("counts", Counter(made.counts))
