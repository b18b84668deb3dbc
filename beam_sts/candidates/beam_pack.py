"""Elements of one key, packed and compressed, since runners hold every element of a key in memory.

Flink makes one record of them. The texts of a key often resemble each other: those of a cluster do, and a
text with many pairs recurs in them. A runner also spends time on every element, whatever its size, and
Prism sends all elements of a step in one message.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.transforms.window import GlobalWindows

_OF_KEY, _OF_ALL = 1 << 18, 1 << 22
"""Bytes that wait for a key and for all keys. Runners need elements far below 1 MB."""
_OF_ONE = 64  # bytes in memory of an element that waits, besides its content, about
_FEW = 64  # elements
_HEAD = 8  # bytes before the content of a piece: its size, 0 if it is not compressed
_SMALL = 1 << 11  # bytes of content that are not compressed, which would take longer than all else
_CODER = FastPrimitivesCoder()

Each = Callable[[Any], Iterable[tuple[Any, Any]]]


class Pack(beam.DoFn):
    """``(key, element)`` -> ``(key, piece)`` with several elements of the key, for :func:`unpacked`.

    >>> pack = Pack()
    >>> pack.start_bundle()
    >>> [*pack.process((7, "a")), *pack.process((7, "b"))]
    []
    >>> [(one.value[0], [*unpacked([one.value[1]])]) for one in pack.finish_bundle()]
    [(7, ['a', 'b'])]
    """

    def start_bundle(self) -> None:
        """See ``beam.DoFn``."""
        self._waiting: defaultdict[Any, list[bytes]] = defaultdict(list)
        self._bytes: defaultdict[Any, int] = defaultdict(int)
        self._all = 0

    def process(self, one: tuple[Any, Any]) -> Iterator[tuple[Any, bytes]]:
        """See ``beam.DoFn``."""
        key, element = one
        encoded = _CODER.encode(element)
        size = _OF_ONE + len(encoded)
        self._waiting[key].append(encoded)
        self._bytes[key] += size
        self._all += size
        if self._bytes[key] >= _OF_KEY:
            self._all -= self._bytes.pop(key)
            yield key, packed_list(self._waiting.pop(key))
        elif self._all >= _OF_ALL:
            yield from self._every()

    def finish_bundle(self) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        for one in self._every():
            yield GlobalWindows.windowed_value(one)

    def _every(self) -> Iterator[tuple[Any, bytes]]:
        waiting = self._waiting
        self.start_bundle()
        for key, encoded in waiting.items():
            yield key, packed_list(encoded)


class PackByShard(beam.PTransform):
    """``(key, value)`` -> ``(shard of the key, piece)``. The elements of a piece are ``(key, value)``.

    Args:
        shards: number of shards, or a side input with it.
        each: makes ``(key, value)`` of an input element, which it unpacks, say. Runners send the input of a
            step with a side input as it is, and what another step would have made of it.
    """

    def __init__(self, shards: int | beam.pvalue.AsSideInput, each: Each | None = None) -> None:
        super().__init__()
        self._shards, self._each = shards, each

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Add the shard, and pack."""
        sharded = elements | "Shard" >> beam.FlatMap(_sharded, self._shards, self._each)
        return sharded | "Pack" >> beam.ParDo(Pack()).with_output_types(tuple[int, bytes])


def _sharded(one: Any, shards: int, each: Each | None) -> Iterator[tuple[int, Any]]:
    for pair in [one] if each is None else each(one):
        yield shard_of(pair[0], shards), pair


class PackAll(beam.PTransform):
    """Elements -> pieces."""

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Pack the elements of each bundle."""
        return elements | beam.WithKeys(None) | beam.ParDo(Pack()) | beam.Values()


def shard_of(ident: Any, shards: int) -> int:
    """Returns the shard of an id. It depends on content, because ``hash()`` of a text varies by process."""
    return zlib.crc32(repr(ident).encode()) % shards


def pieces(elements: Iterable[Any]) -> Iterator[bytes]:
    """Pack elements as they come, for :func:`unpacked`.

    >>> [one] = pieces(["a", "b"])
    >>> list(unpacked_piece(one))
    ['a', 'b']
    """
    pack = Pack()
    pack.start_bundle()
    for element in elements:
        yield from (piece for _, piece in pack.process((None, element)))
    yield from (one.value[1] for one in pack.finish_bundle())


def packed_list(elements: list[Any]) -> bytes:
    """Encode and compress a list, for :func:`unpacked_list`."""
    content: bytes = _CODER.encode(elements)
    if len(content) < _SMALL:
        return bytes(_HEAD) + content
    compressed: bytes = pa.compress(content, "zstd", asbytes=True)
    return len(content).to_bytes(_HEAD, "little") + compressed


def unpacked_list(piece: bytes) -> list[Any]:
    """The elements of a list."""
    size, content = int.from_bytes(piece[:_HEAD], "little"), piece[_HEAD:]
    if size:
        content = pa.decompress(content, size, "zstd", asbytes=True)
    found: list[Any] = _CODER.decode(content)
    return found


def unpacked(packed: Iterable[bytes]) -> Iterator[Any]:
    """The elements in some pieces."""
    for piece in packed:
        yield from unpacked_piece(piece)


def unpacked_piece(piece: bytes) -> Iterator[Any]:
    """The elements in a piece."""
    yield from map(_CODER.decode, unpacked_list(piece))


def packed_if_many(elements: list[Any]) -> list[Any] | bytes:
    """The elements as they are, or in one piece if they are many; packing few takes more than it saves."""
    return packed_list([*map(_CODER.encode, elements)]) if len(elements) > _FEW else elements


def in_list(found: list[Any] | bytes) -> list[Any]:
    """The elements that ``packed_if_many`` was given."""
    return list(unpacked_piece(found)) if isinstance(found, bytes) else found
