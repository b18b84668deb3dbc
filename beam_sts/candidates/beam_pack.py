"""Elements of one key, packed and compressed, since runners hold every element of a key in memory.

Flink makes one record of them. The texts of a key often resemble each other: those of a cluster do, and a
text with many pairs recurs in them. A runner also spends time on every element, whatever its size.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.transforms.window import GlobalWindows

_OF_KEY, _OF_ALL = 1 << 18, 1 << 22
"""Bytes that wait for a key and for all keys. Runners need elements far below 1 MB."""
_OF_ONE = 64  # bytes of an element besides its text, about
_FEW = 64  # elements
_CODER = FastPrimitivesCoder()


class Pack(beam.DoFn):
    """``(key, element)`` -> ``(key, bytes)`` with several elements of the key, for :func:`unpacked`.

    Args:
        characters: returns the length of the texts in an element.

    >>> pack = Pack(lambda text: len(text))
    >>> pack.start_bundle()
    >>> [*pack.process((7, "a")), *pack.process((7, "b"))]
    []
    >>> [(one.value[0], [*unpacked([one.value[1]])]) for one in pack.finish_bundle()]
    [(7, ['a', 'b'])]
    """

    def __init__(self, characters: Callable[[Any], int]) -> None:
        self._characters = characters

    def start_bundle(self) -> None:
        """See ``beam.DoFn``."""
        self._waiting: defaultdict[Any, list[Any]] = defaultdict(list)
        self._bytes: defaultdict[Any, int] = defaultdict(int)
        self._all = 0

    def process(self, one: tuple[Any, Any]) -> Iterator[tuple[Any, bytes]]:
        """See ``beam.DoFn``."""
        key, element = one
        size = _OF_ONE + self._characters(element)
        self._waiting[key].append(element)
        self._bytes[key] += size
        self._all += size
        if self._bytes[key] >= _OF_KEY:
            self._all -= self._bytes.pop(key)
            yield key, packed(self._waiting.pop(key))
        elif self._all >= _OF_ALL:
            yield from self._every()

    def finish_bundle(self) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        for one in self._every():
            yield GlobalWindows.windowed_value(one)

    def _every(self) -> Iterator[tuple[Any, bytes]]:
        waiting = self._waiting
        self.start_bundle()
        for key, elements in waiting.items():
            yield key, packed(elements)


def packed(elements: list[Any]) -> bytes:
    """The elements in one piece, for ``unpacked``."""
    return zlib.compress(_CODER.encode(elements), 1)


def unpacked(pieces: Iterable[bytes]) -> Iterator[Any]:
    """The elements in some pieces."""
    for piece in pieces:
        yield from _CODER.decode(zlib.decompress(piece))


def packed_if_many(elements: list[Any]) -> list[Any] | bytes:
    """The elements as they are, or in one piece if they are many; packing few takes more than it saves."""
    return packed(elements) if len(elements) > _FEW else elements


def in_list(found: list[Any] | bytes) -> list[Any]:
    """The elements that ``packed_if_many`` was given."""
    return list(unpacked([found])) if isinstance(found, bytes) else found
