"""Clusters that a worker decides together: their texts and the pairs among them, in little memory."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_pack import unpacked
from beam_sts.dedup.beam_texts import TextInfo
from beam_sts.dedup.beam_verify import PairVerdict
from beam_sts.dedup.decide import Edges
from beam_sts.dedup.verdicts import RULES, Verdicts
from beam_sts.io.spill import TextFile, TextList

TEXTS_AT_ONCE, CHARACTERS_AT_ONCE = 20_000, 1 << 23
"""Texts (and characters) of whole clusters that are decided together. A larger cluster is decided alone."""
_WAITING = 1 << 10  # texts that are buffered for a column


def _is_pair(found: tuple[Any, ...]) -> bool:
    return len(found) > len(TextInfo._fields)


class ClusterPart:
    """Texts and pairs of whole clusters. Texts beyond ``CHARACTERS_AT_ONCE`` are stored in a file.

    A pair takes about 60 bytes, a text about 100 plus its content.

    Args:
        texts: whether the texts are needed.
    """

    def __init__(self, *, texts: bool = True) -> None:
        self._needs_texts = texts
        self._members: list[tuple[Any, TextInfo]] = []
        self._numbers: dict[Any, int] = {}  # numbers of the ends of pairs
        self._texts: TextList | TextFile = TextList()
        self._waiting: list[str] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._characters, self._sizes = 0, array("q")
        self._ends, self._lost, self._sources = array("q"), array("i"), array("i")
        self._scores, self._bounds = array("f"), array("f")
        self._rules, self._bars = bytearray(), bytearray()
        self._names: dict[str, int] = {}
        self._differs: dict[int, str] = {}

    def add(self, packed: Iterable[bytes]) -> None:
        """Add the texts and pairs of a cluster. Pairs with an end outside it are left out."""
        for one in unpacked(packed):
            if _is_pair(one):
                self._add_pair(PairVerdict(*one))
            else:
                self._add_text(one[0], TextInfo(*one[1]))

    def _add_text(self, name: Any, info: TextInfo) -> None:
        text = info.text if self._needs_texts else ""
        self._members.append((name, info._replace(text="")))
        self._waiting.append(text)
        self._characters += len(text)
        self._sizes.append(len(text))
        if len(self._waiting) >= _WAITING:
            self._store()

    def _store(self) -> None:
        if self._characters > CHARACTERS_AT_ONCE and self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="beam_sts")
            file = TextFile(Path(self._folder.name, "texts"))
            file.append(self._texts.column())
            self._texts = file
        self._texts.append(pa.array(self._waiting, pa.large_string()))
        self._waiting = []

    def _add_pair(self, pair: PairVerdict) -> None:
        numbers = self._numbers
        self._ends.extend(numbers.setdefault(end, len(numbers)) for end in (pair.a, pair.b))
        if pair.differs is not None:
            self._differs[len(self._scores)] = pair.differs
        self._scores.append(pair.score)
        self._bounds.append(pair.bound)
        self._lost.extend((pair.lost_a, pair.lost_b))
        self._rules.append(RULES.index(pair.rule))
        self._bars.append(pair.bars)
        self._sources.append(self._names.setdefault(pair.source, len(self._names)))

    def __len__(self) -> int:
        return len(self._members)

    @property
    def is_full(self) -> bool:
        """Whether the batch is full."""
        return len(self) >= TEXTS_AT_ONCE or self._characters >= CHARACTERS_AT_ONCE

    def sorted(self) -> tuple[list[tuple[Any, TextInfo]], PartTexts, Edges]:
        """Returns names and records in the order of names; the texts; the pairs by number."""
        self._store()
        order = sorted(range(len(self)), key=lambda at: self._members[at][0])
        members = [self._members[at] for at in order]
        place = np.full(len(self._numbers), -1, np.int64)
        for at, (name, _) in enumerate(members):
            if name in self._numbers:
                place[self._numbers[name]] = at
        ends = place[np.array(self._ends, np.int64)].reshape(-1, 2)
        inside = np.flatnonzero((ends >= 0).all(axis=1))
        rows = inside[np.lexsort((ends[inside, 1], ends[inside, 0]))]
        names = pa.array([*self._names], pa.string())
        source = pa.DictionaryArray.from_arrays(pa.array(np.array(self._sources, np.int32)[rows]), names)
        found = Verdicts(
            np.array(self._scores, np.float32)[rows],
            np.frombuffer(bytes(self._rules), np.int8)[rows],
            np.array(self._bounds, np.float32)[rows],
            pa.array([self._differs.get(row) for row in rows.tolist()], pa.string()),
            np.array(self._lost, np.int32).reshape(-1, 2)[rows],
            np.frombuffer(bytes(self._bars), np.uint8)[rows],
        )
        texts = PartTexts(
            self._texts, np.array(self._sizes, np.int64), np.array(order, np.int64), self._folder
        )
        return members, texts, Edges.of(ends[rows, 0], ends[rows, 1], source.cast(pa.string()), found)


class PartTexts:
    """The texts of a part by number. ``sizes``: in characters, shape (texts,).

    The folder of their file exists as long as this object.
    """

    def __init__(
        self,
        texts: TextList | TextFile,
        sizes: IntArray,
        order: IntArray,
        folder: tempfile.TemporaryDirectory[str] | None,
    ) -> None:
        self._source, self._order, self._folder = texts, order, folder
        self._column, self.sizes = texts.column(), sizes[order]

    def take(self, numbers: IntArray) -> pa.Array:
        """Returns some texts, by number."""
        return self._column.take(pa.array(self._order[numbers]))

    def of(self, numbers: IntArray) -> list[str]:
        """Returns some texts, by number, as strings."""
        found: list[str] = self.take(numbers).to_pylist()
        return found

    def release(self) -> None:
        """Release the memory into which the file was read."""
        self._source.release()


class InParts(beam.DoFn):
    """Base of the steps that see thousands of texts of whole clusters at once.

    Args:
        texts: whether the step needs the texts.
    """

    def __init__(self, *, texts: bool = True) -> None:
        self._texts = texts

    @abstractmethod
    def of_part(self, part: ClusterPart, *given: Any) -> Iterator[Any]:
        """Return the elements for a part; ``given`` are the side inputs."""

    def start_bundle(self) -> None:
        """Start with an empty part, and without side inputs, since runners keep instances."""
        self._part, self._given = ClusterPart(texts=self._texts), tuple[Any, ...]()

    def process(self, cluster: tuple[int, Iterable[Any]], *given: Any) -> Iterator[Any]:
        """Add a cluster. If the part is full, process it."""
        self._part.add(cluster[1])
        self._given = given
        if self._part.is_full:
            yield from self._of_whole_part()

    def finish_bundle(self) -> Iterator[Any]:
        """Process the rest."""
        for one in self._of_whole_part():
            if isinstance(one, pvalue.TaggedOutput):
                yield pvalue.TaggedOutput(one.tag, GlobalWindows.windowed_value(one.value))
            else:
                yield GlobalWindows.windowed_value(one)

    def _of_whole_part(self) -> Iterator[Any]:
        part, given = self._part, self._given
        self.start_bundle()
        if len(part):
            yield from self.of_part(part, *given)
