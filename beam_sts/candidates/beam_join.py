"""Joins texts to pairs in Beam. The corpus is shuffled and never a side input.

``JoinTexts`` has the two texts of a pair in memory. ``JoinInShards`` groups pairs into shards by their second
ends: the text of the first end is sent with each pair, that of the second once per shard.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam

from beam_sts.candidates.beam_pack import Pack, unpacked
from beam_sts.errors import UserError

PAIRS_PER_SHARD, CHARACTERS_PER_SHARD = 1 << 14, 1 << 22
"""Target size of a shard while there are at most ``SHARDS`` of them: many shards are much work at once."""
MOST_PAIRS, MOST_CHARACTERS = 1 << 17, 1 << 25
"""Maximum size of a shard, approximately, for any number of shards: a worker holds about 150 MB."""
SHARDS = 4096


class Size(NamedTuple):
    """Number of texts, and number of characters in all of them."""

    texts: int
    characters: int


class TextsSize(beam.PTransform):
    """``(id, text)`` -> one :class:`Size`."""

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Add up in one shuffle; bundles are combined before it."""
        each = texts | "Of each" >> beam.MapTuple(lambda _, text: (1, len(text)))
        return each | "Sum" >> beam.CombineGlobally(_sizes)


def _sizes(parts: Iterable[tuple[int, int]]) -> Size:
    texts = characters = 0
    for one, more in parts:
        texts, characters = texts + one, characters + more
    return Size(texts, characters)


def shards_for(pairs: int, characters: int = 0) -> int:
    """Returns the number of shards for pairs with this many characters in their texts.

    >>> shards_for(1_000), shards_for(1_000_000), shards_for(10_000_000_000)
    (1, 62, 76294)
    """
    wanted = max(-(-pairs // PAIRS_PER_SHARD), -(-characters // CHARACTERS_PER_SHARD))
    least = max(-(-pairs // MOST_PAIRS), -(-characters // MOST_CHARACTERS))
    return max(1, min(wanted, SHARDS), least)


def shard_of(ident: Any, shards: int) -> int:
    """Returns the shard of an id. It depends on content, because ``hash()`` of a text varies by process."""
    return zlib.crc32(repr(ident).encode()) % shards


class JoinTexts(beam.PTransform):
    """Join ``texts`` ``(id, text)`` to ``pairs`` ``((id, id), source)``, both given in a dict.

    Outputs ``(id_a, id_b, text_a, text_b, source)``.

    Raises:
        UserError: two texts have the same id, or an id in a pair has no text.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join in two shuffles, by the first id and then by the second."""
        half = collections | "Half" >> JoinFirst()
        return (
            {"texts": collections["texts"], "pairs": half}
            | "Second" >> beam.CoGroupByKey()
            | "Text b" >> beam.FlatMapTuple(_with_text)
            | "Row" >> beam.MapTuple(lambda b, pair, text_b: (pair[0], b, pair[1], text_b, pair[2]))
        )


class JoinFirst(beam.PTransform):
    """``pairs`` and ``texts`` -> ``(second id, (first id, its text, source))``."""

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join in one shuffle."""
        by_first = collections["pairs"] | "By first" >> beam.MapTuple(
            lambda pair, source: (pair[0], (pair[1], source))
        )
        return (
            {"texts": collections["texts"], "pairs": by_first}
            | "First" >> beam.CoGroupByKey()
            | "Text a" >> beam.FlatMapTuple(_with_text)
            | "By second" >> beam.MapTuple(lambda a, pair, text_a: (pair[0], (a, text_a, pair[1])))
        )


SEVERAL_TEXTS = "id {}: several texts have it. Give each text a unique id."
NO_TEXT = "id {}: a candidate pair has it, but no text has it."


def _with_text(ident: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any, str]]:
    texts = iter(found["texts"])
    text = next(texts, None)
    if next(texts, None) is not None:
        raise UserError(SEVERAL_TEXTS.format(shown_name(ident)))
    for pair in found["pairs"]:
        if text is None:
            raise UserError(NO_TEXT.format(shown_name(ident)))
        yield ident, pair, text


def shown_name(ident: Any) -> str:
    """Format an id, or the id of ``(side, id)``, for a message."""
    return repr(ident[1] if isinstance(ident, tuple) else ident)


class JoinInShards(beam.PTransform):
    """A dict of ``pairs``, ``texts``, ``size`` and ``count`` -> ``(shard, argument of rows_of)``.

    ``pairs`` and ``texts`` are as for ``JoinTexts``, ``size`` comes from ``TextsSize``, and ``count`` is the
    number of pairs. The number of shards follows from the last two, so every run of an input has the same.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join in two shuffles, by the first id and then by the shard of the second."""
        half = {name: collections[name] for name in ("texts", "pairs")} | "Half" >> JoinFirst()
        size = beam.pvalue.AsSingleton(collections["size"])
        shards = beam.pvalue.AsSingleton(collections["count"] | "Shards" >> beam.Map(_shards, size))
        parts = {"texts": (collections["texts"], _text_size), "pairs": (half, _pair_size)}
        found = {
            name: part
            | f"Shard of {name}" >> beam.Map(lambda one, n: (shard_of(one[0], n), one), shards)
            | f"Pack {name}" >> beam.ParDo(Pack(size))
            for name, (part, size) in parts.items()
        }
        return found | "Second" >> beam.CoGroupByKey()


def _text_size(one: tuple[Any, str]) -> int:
    return len(one[1])


def _pair_size(one: tuple[Any, tuple[Any, str, Any]]) -> int:
    return len(one[1][1])


def _shards(pairs: int, size: Size) -> int:
    return shards_for(pairs, 2 * pairs * size.characters // max(1, size.texts))


def rows_of(found: dict[str, Iterable[bytes]]) -> list[tuple[Any, Any, str, str, Any]]:
    """Returns the rows of a shard, in the form of ``JoinTexts``' output, sorted by their ids.

    Raises:
        UserError: see ``JoinTexts``.
    """
    first: dict[Any, str] = {}  # one copy of a text that many pairs have
    pairs = [(b, a, first.setdefault(a, text), source) for b, (a, text, source) in unpacked(found["pairs"])]
    wanted = {pair[0] for pair in pairs}
    texts: dict[Any, str] = {}
    for ident, text in unpacked(found["texts"]):
        if ident in wanted:
            if ident in texts:
                raise UserError(SEVERAL_TEXTS.format(shown_name(ident)))
            texts[ident] = text
    for ident in wanted:
        if ident not in texts:
            raise UserError(NO_TEXT.format(shown_name(ident)))
    rows = [(a, b, text_a, texts[b], source) for b, a, text_a, source in pairs]
    return sorted(rows, key=lambda row: row[:2])
