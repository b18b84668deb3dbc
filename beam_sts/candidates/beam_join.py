"""Joins texts to pairs in Beam. The corpus is shuffled and never a side input.

``JoinTexts`` has the two texts of a pair in memory. ``JoinInShards`` groups pairs into shards by their second
ends: the text of the first end is sent with each pair, that of the second once per shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam import pvalue

from beam_sts.candidates.beam_group import CoGroup, CoGroupInShards
from beam_sts.candidates.beam_pack import PackByShard, unpacked, unpacked_piece
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


class JoinTexts(beam.PTransform):
    """Join ``texts`` ``(id, text)`` to ``pairs`` ``((id, id), source)``, both given in a dict.

    Outputs ``(id_a, id_b, text_a, text_b, source)``.

    Raises:
        UserError: two texts have the same id, or an id in a pair has no text.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join in two shuffles, by the first id and then by the second."""
        by_first = collections["pairs"] | "By first" >> beam.MapTuple(
            lambda pair, source: (pair[0], (pair[1], source))
        )
        half = (
            {"texts": collections["texts"], "pairs": by_first}
            | "First" >> CoGroup()
            | "Text a" >> beam.FlatMapTuple(_with_text)
            | "By second" >> beam.MapTuple(lambda a, pair, text_a: (pair[0], (a, text_a, pair[1])))
        )
        return (
            {"texts": collections["texts"], "pairs": half}
            | "Second" >> CoGroup()
            | "Text b" >> beam.FlatMapTuple(_with_text)
            | "Row" >> beam.MapTuple(lambda b, pair, text_b: (pair[0], b, pair[1], text_b, pair[2]))
        )


SEVERAL_TEXTS = "id {}: several texts have it. Give each text a unique id."
NO_TEXT = "id {}: a candidate pair has it, but no text has it."


def _only_text(ident: Any, texts: Iterable[Any]) -> Any:
    several = iter(texts)
    text = next(several, None)
    if next(several, None) is not None:
        raise UserError(SEVERAL_TEXTS.format(shown_name(ident)))
    return text


def _with_text(ident: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any, str]]:
    text = _only_text(ident, found["texts"])
    for pair in found["pairs"]:
        if text is None:
            raise UserError(NO_TEXT.format(shown_name(ident)))
        yield ident, pair, text


def shown_name(ident: Any) -> str:
    """Format an id, or the id of ``(side, id)``, for a message."""
    return repr(ident[1] if isinstance(ident, tuple) else ident)


class JoinedInShards(NamedTuple):
    """``shards``: ``(shard, argument of rows_of)``. ``paired``: the elements of texts that are in a pair.

    ``number``: the number of shards, a side input.
    """

    shards: beam.PCollection
    paired: beam.PCollection
    number: beam.pvalue.AsSingleton


class JoinInShards(beam.PTransform):
    """A dict of ``pairs``, ``texts``, ``size`` and ``count`` -> :class:`JoinedInShards`.

    ``pairs`` are pieces of those of ``JoinTexts``, ``texts`` of ``(id, (text, ...))``, ``size`` comes from
    ``TextsSize``, and ``count`` is the number of pairs. The number of shards follows from the last two, so
    every run of an input has the same.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> JoinedInShards:
        """Join in two shuffles, by id and then by the shard of the second id.

        Every text is in the first shuffle, only those that are the second text of a pair in the second.
        """
        size = pvalue.AsSingleton(collections["size"])
        number = pvalue.AsSingleton(collections["count"] | "Shards" >> beam.Map(_shards, size))
        met = (
            {name: collections[name] for name in ("texts", "pairs")}
            | "First" >> CoGroupInShards(number, texts=unpacked_piece, pairs=_ends)
            | "Text a" >> beam.ParDo(_MeetPairs()).with_outputs("second", "paired", main="half")
        )
        packed = {
            name: met[of] | f"Pack {name}" >> PackByShard(number)
            for name, of in (("texts", "second"), ("pairs", "half"))
        }
        return JoinedInShards(packed | "Second" >> CoGroup(), met["paired"], number)


def _ends(piece: bytes) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    for (a, b), source in unpacked_piece(piece):
        yield a, (b, source)
        yield b, ()


class _MeetPairs(beam.DoFn):
    """A text and the ends of its pairs -> ``(second id, (first id, its text, source))``.

    Also outputs the text as ``second`` if it is the second of a pair, and its element as ``paired``.
    """

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        ident, found = met
        text = _only_text(ident, found["texts"])
        paired = is_second = False
        for end in found["pairs"]:
            if text is None:
                raise UserError(NO_TEXT.format(shown_name(ident)))
            paired = True
            if end:
                yield end[0], (ident, text[0], end[1])
            else:
                is_second = True
        if paired:
            yield pvalue.TaggedOutput("paired", (ident, text))
        if is_second:
            yield pvalue.TaggedOutput("second", (ident, text[0]))


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
