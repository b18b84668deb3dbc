"""SplitTexts: decides in Beam which texts are in the test split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from numpy.typing import NDArray

from beam_sts.candidates.beam_buckets import KeyTexts, each_key
from beam_sts.candidates.beam_group import CoGroup
from beam_sts.mining.settings import MinePairsSettings, MineSettings
from beam_sts.mining.split import FEW, Lowest, in_test, linked_in_test, near_keys


class TextOccurrence(NamedTuple):
    """A text and where it occurs. ``name`` hashes its normal form; the lowest ``order`` decides its split.

    ``unit`` is the name of its unit, from ``pack_unit_names``; ``test`` is decided by :class:`SplitTexts`.
    """

    name: bytes
    order: Any
    document: Any
    unit: bytes
    text: str
    vector: bytes = b""
    test: bool = False


class SplitTexts(beam.PTransform):
    """:class:`TextOccurrence` -> the same with ``test``, by the rule of ``beam_sts.mining.split``."""

    def __init__(self, settings: MineSettings | MinePairsSettings) -> None:
        super().__init__()
        self._of = settings.share_of_test, settings.seed

    def expand(self, placed: beam.PCollection) -> beam.PCollection:
        """Build the steps: find the linked units, decide, tell the texts of each unit."""
        share, seed = self._of
        if share in (0, 1):
            return placed | "All" >> beam.Map(lambda one, test: one._replace(test=test), share == 1)
        decides = (
            placed
            | "Texts" >> beam.Map(lambda one: (one.unit, one.text))
            | "Keys" >> KeyTexts(near_keys)
            | "Buckets" >> beam.FlatMap(each_key)
            | "Bucket" >> beam.CombinePerKey(_few)
            | "Link" >> beam.FlatMapTuple(_links)
            | "Decides" >> beam.CombinePerKey(min)
        )
        lowest = (
            decides
            | "Deciding" >> beam.MapTuple(lambda _, decides: (decides, 1))
            | "Sizes" >> beam.CombinePerKey(sum)
            | "Groups" >> beam.FlatMapTuple(lambda name, units: [name] if units > 1 else [])
            | "Draws" >> beam.Map(lambda name: Lowest.of(unpack_unit_names([name]), seed))
            | "Lowest" >> beam.CombineGlobally(_lowest)
        )
        by_unit = placed | "By unit" >> beam.Map(lambda one: (one.unit, one))
        return (
            {"text": by_unit, "decides": decides}
            | "Meet" >> CoGroup()
            | "Tell" >> beam.FlatMap(_tell, share, seed, beam.pvalue.AsSingleton(lowest))
        )


def pack_unit_names(units: NDArray[np.uint64]) -> list[bytes]:
    """Pack the names of units into 8 bytes each, which sort like the names."""
    raw = units.astype(">u8").tobytes()
    return [raw[at : at + 8] for at in range(0, len(raw), 8)]


def unpack_unit_names(packed: list[bytes]) -> NDArray[np.uint64]:
    """Unpack names from :func:`pack_unit_names`."""
    return np.frombuffer(b"".join(packed), ">u8").astype(np.uint64)


def _few(units: Iterable[Any]) -> tuple[bytes, ...]:
    """The distinct units of a bucket, in order; one more than ``FEW`` if there are more."""
    found: set[bytes] = set()
    for unit in units:
        found.update((unit,) if isinstance(unit, bytes) else unit)
        if len(found) > FEW:
            break
    return tuple(sorted(found)[: FEW + 1])


def _links(bucket: bytes, units: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    if 1 < len(units) <= FEW:
        for unit in units:
            yield unit, units[0]


def _lowest(parts: Iterable[Lowest]) -> Lowest:
    total = Lowest()
    for part in parts:
        total = total.plus(part)
    return total


def _tell(
    met: tuple[bytes, dict[str, Iterable[Any]]], share: float, seed: int, lowest: Lowest
) -> Iterator[TextOccurrence]:
    unit, found = met
    linked = next(iter(found["decides"]), None)
    if linked is None:
        test = in_test(unpack_unit_names([unit]), share, seed)
    else:
        test = linked_in_test(unpack_unit_names([linked]), share, seed, lowest.bar(share))
    for one in found["text"]:
        yield one._replace(test=bool(test[0]))
