"""Texts joined to pairs in Beam: the text of the first end travels with a pair, that of the second does not.

``JoinInShards`` groups pairs by shards of their second ends, so that a worker has both texts of many pairs,
and a text travels once, however many pairs it is in, besides once for each pair that it is the first end of.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import apache_beam as beam

from beam_sts.candidates.beam_buckets import NO_TEXT, SEVERAL_TEXTS, JoinFirst, shown_node
from beam_sts.errors import UserError

PAIRS_PER_SHARD, CHARACTERS_PER_SHARD = 1 << 14, 1 << 22
"""Of a shard, about, as long as there are no more than ``SHARDS``: many shards are much work at once."""
MOST_PAIRS, MOST_CHARACTERS = 1 << 17, 1 << 25
"""Of a shard, about, of however many: what a worker holds, some 150 MB."""
SHARDS = 4096


class Size(NamedTuple):
    """Texts, and characters in all of them."""

    texts: int
    characters: int


class TextsSize(beam.PTransform):
    """``(id, text)`` -> one :class:`Size`."""

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """One shuffle of a sum for each bundle."""
        each = texts | "Of each" >> beam.MapTuple(lambda _, text: (1, len(text)))
        return each | "Sum" >> beam.CombineGlobally(_sizes)


def _sizes(parts: Iterable[tuple[int, int]]) -> Size:
    texts = characters = 0
    for one, more in parts:
        texts, characters = texts + one, characters + more
    return Size(texts, characters)


def shards_for(pairs: int, characters: int = 0) -> int:
    """How many shards pairs with so many characters in their texts take.

    >>> shards_for(1_000), shards_for(1_000_000), shards_for(10_000_000_000)
    (1, 62, 76294)
    """
    wanted = max(-(-pairs // PAIRS_PER_SHARD), -(-characters // CHARACTERS_PER_SHARD))
    least = max(-(-pairs // MOST_PAIRS), -(-characters // MOST_CHARACTERS))
    return max(1, min(wanted, SHARDS), least)


def shard_of(ident: Any, shards: int) -> int:
    """The shard of an id, by its content: the hash of a text differs between processes."""
    return zlib.crc32(repr(ident).encode()) % shards


class JoinInShards(beam.PTransform):
    """A dict of ``pairs``, ``texts``, ``size`` and ``count`` -> ``(shard, what rows_of takes)``.

    ``pairs`` and ``texts`` are as for ``JoinTexts``, ``size`` is of ``TextsSize`` and ``count`` one number of
    pairs: from both follows the number of shards, the same in every run of the same input.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Two shuffles: by the first id, then by the shard of the second."""
        half = {name: collections[name] for name in ("texts", "pairs")} | "Half" >> JoinFirst()
        size = beam.pvalue.AsSingleton(collections["size"])
        shards = beam.pvalue.AsSingleton(collections["count"] | "Shards" >> beam.Map(_shards, size))
        found = {
            name: part | f"Shard of {name}" >> beam.Map(lambda one, n: (shard_of(one[0], n), one), shards)
            for name, part in (("texts", collections["texts"]), ("pairs", half))
        }
        return found | "Second" >> beam.CoGroupByKey()


def _shards(pairs: int, size: Size) -> int:
    return shards_for(pairs, 2 * pairs * size.characters // max(1, size.texts))


def rows_of(found: dict[str, Iterable[Any]]) -> list[tuple[Any, Any, str, str, Any]]:
    """The rows of a shard, as ``JoinTexts`` gives them, in the order of their ids.

    Raises:
        UserError: as ``JoinTexts``.
    """
    pairs = list(found["pairs"])
    wanted = {b for b, _ in pairs}
    texts: dict[Any, str] = {}
    for ident, text in found["texts"]:
        if ident in wanted:
            if ident in texts:
                raise UserError(SEVERAL_TEXTS.format(shown_node(ident)))
            texts[ident] = text
    for ident in wanted:
        if ident not in texts:
            raise UserError(NO_TEXT.format(shown_node(ident)))
    rows = [(a, b, text_a, texts[b], source) for b, (a, text_a, source) in pairs]
    return sorted(rows, key=lambda row: row[:2])
