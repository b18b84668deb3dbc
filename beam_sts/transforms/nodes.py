"""Elements as rows, and rows of equal text as one node: the first steps of ``DeduplicateTexts``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue

from beam_sts.corpus.blank import is_blank
from beam_sts.corpus.candidates import hash128
from beam_sts.errors import UserError
from beam_sts.transforms.nearest import DensePoints
from beam_sts.types import Rejected

_SENT = 1 << 16  # texts of a bundle that are remembered as sent, some 200 bytes each


@dataclass(frozen=True)
class Fields:
    """Names of the elements' fields, and what makes the best of several rows."""

    id: str = "id"
    text: str = "text"
    keep: str = "first"
    blocks: tuple[str, ...] = ()
    vector: str | None = None


class Row(NamedTuple):
    """An element as a row: ``key`` sorts the best first, ``blocks`` are hashed keys or None."""

    element: Any
    text: str
    key: tuple[Any, ...]
    blocks: tuple[bytes | None, ...] = ()
    vector: bytes = b""


class NodeInfo(NamedTuple):
    """``best`` is the key of the best of its ``rows`` rows, and names it; ``vector`` its first row's."""

    text: str
    best: tuple[Any, ...]
    rows: int
    vector: bytes


class ReadRows(beam.DoFn):
    """An element -> ``((side, id), Row)``, or a rejection.

    Args:
        fields: their names.
        side: 1 for rows to compare against: their elements are not needed.
    """

    def __init__(self, fields: Fields, side: int = 0) -> None:
        self._fields, self._side = fields, side
        self._kind: type | None = None

    def process(self, element: dict[str, Any]) -> Iterator[Any]:
        """Beam's."""
        names = self._fields
        for name in (names.id, names.text):
            if name not in element:
                raise UserError(f"an element has no field {name!r}; its fields are {', '.join(element)}.")
            if element[name] is None:
                yield pvalue.TaggedOutput("rejected", Rejected(element, f"null in field {name!r}"))
                return
        ident, text = element[names.id], element[names.text]
        self._kind = self._kind or type(ident)
        if type(ident) is not self._kind:  # they could not be put in order
            raise UserError(
                f"id {ident!r}: is {type(ident).__name__}, an id before it {self._kind.__name__}; ids must "
                "be of one type."
            )
        if not isinstance(text, str):
            reason = f"{type(text).__name__}, not a text, in field {names.text!r}"
            yield pvalue.TaggedOutput("rejected", Rejected(element, reason))
            return
        key = (0 if self._side else self._worth(element, text), self._side, ident)
        blocks = tuple(_block(element.get(name)) for name in names.blocks)
        vector = b""
        if names.vector is not None:
            found = element.get(names.vector)
            if not isinstance(found, bytes):  # which a vector is that was packed before
                if found is None or not len(found):
                    raise UserError(f"id {ident!r}: has no vector in field {names.vector!r}.")
                found = DensePoints.pack(np.asarray([found], np.float32))[0]
            vector = found
        yield (self._side, ident), Row(None if self._side else element, text, key, blocks, vector)

    def _worth(self, element: dict[str, Any], text: str) -> float:
        """What sorts first is best."""
        keep = self._fields.keep
        if keep == "longest":
            return -len(text)
        if keep == "shortest":
            return len(text)
        if keep.startswith("highest:"):
            value = element.get(keep.removeprefix("highest:"))
            return float("inf") if value is None or value != value else -value
        return 0


def _block(value: Any) -> bytes | None:
    return None if value is None or value == "" else hash128([str(value)]).tobytes()


class Nodes(NamedTuple):
    """Nodes are named by the ``(side, id)`` of their first row.

    ``nodes`` are ``(node, NodeInfo)``, ``members`` ``(node, (row, best row))``, ``blocks`` ``((n-th block,
    key), node)``.
    """

    nodes: beam.PCollection
    members: beam.PCollection
    blocks: beam.PCollection


class MakeNodes(beam.PTransform):
    """Rows -> :class:`Nodes`, the twin of ``beam_sts.corpus.rows.make_nodes``.

    Args:
        merge: rows of equal text and side are one node; else every row is its own.
        compare_blank: empty texts are texts like others.
        apart: rows of side 0 are not compared with each other, so not merged either.
    """

    def __init__(self, *, merge: bool = True, compare_blank: bool = False, apart: bool = False) -> None:
        super().__init__()
        self._merge, self._compare_blank, self._apart = merge, compare_blank, apart

    def expand(self, rows: beam.PCollection) -> Nodes:
        """Group by text."""
        made = (
            rows
            | "By text" >> beam.ParDo(_ByText(self._merge, self._compare_blank, self._apart))
            | "Equal texts" >> beam.GroupByKey()
            | "Node" >> beam.ParDo(_MakeNode()).with_outputs("members", "blocks", main="nodes")
        )
        return Nodes(made["nodes"], made["members"], made["blocks"])


class _ByText(beam.DoFn):
    """``((side, id), Row)`` -> keyed by side and text; of equal texts in a bundle only the first is sent.

    One text of thousands of rows would else be shuffled, and held by the engine, once for each of them.
    """

    def __init__(self, merge: bool, compare_blank: bool, apart: bool) -> None:
        self._merge, self._compare_blank, self._apart = merge, compare_blank, apart
        self._sent: set[Any] = set()

    def start_bundle(self) -> None:
        """Beam's."""
        self._sent = set()

    def process(self, one: tuple[Any, Row]) -> Iterator[tuple[Any, Any]]:
        """Beam's."""
        row, found = one
        blank = is_blank(found.text) and not self._compare_blank
        alone = not self._merge or blank or (self._apart and row[0] == 0)
        key = row[0], hash128([found.text]).tobytes(), repr(row[1]) if alone else ""
        text = None if key in self._sent else found.text
        if not alone:
            if len(self._sent) >= _SENT:
                self._sent.clear()
            self._sent.add(key)
        yield key, (row, text, *found[2:])


class _MakeNode(beam.DoFn):
    """Rows of equal text -> the node, its members and its blocking keys."""

    def process(self, grouped: tuple[Any, Iterable[Any]]) -> Iterator[Any]:
        _, rows = grouped
        node, text, best, vector, count = None, "", None, b"", 0
        for row, own_text, key, _, own_vector in rows:
            count += 1
            text = own_text or text
            if node is None or row < node:
                node, vector = row, own_vector
            if best is None or key < best:
                best = key
        assert best is not None
        for row, _, _, blocks, _ in rows:
            yield pvalue.TaggedOutput("members", (node, (row, best[1:])))
            for at, key in enumerate(blocks):
                if key is not None:
                    yield pvalue.TaggedOutput("blocks", ((at, key), node))
        yield node, NodeInfo(text, best, count, vector)
