"""Elements as rows, and rows of equal text as distinct texts: the first steps of ``DeduplicateTexts``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam import pvalue
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import best_of_groups, sort_rank
from beam_sts.candidates.beam_pack import Pack, in_list, packed_if_many, unpacked
from beam_sts.candidates.dense import pack_points
from beam_sts.candidates.keys import hash128
from beam_sts.candidates.texts import JOINED
from beam_sts.dedup.distinct import Grouping, distinct_texts
from beam_sts.dedup.keep import NO_PRIORITY, KeepPolicy, PriorityKey, highest_of, length_of, priority_key
from beam_sts.errors import UserError
from beam_sts.io.blank import is_blank
from beam_sts.pairs.beam_elements import (
    check_schema_fields,
    field,
    fields_of,
    identifier,
    row_fields,
    text_fault,
)
from beam_sts.types import Rejected, plain

_ROWS_AT_ONCE, _CHARACTERS_AT_ONCE = (
    1 << 16,
    1 << 24,
)  # limits for a bundle, whose equal texts are grouped in memory
_COPIES_AT_ONCE = 1 << 12  # of a text in one element: runners need elements far below 1 MB
_ROWS_PER_SHARD = 1 << 11
_SHORT = 1 << 11  # characters of a text that shares a shard with others
RECEIPT = ("survivor", "score", "source", "rule", "threshold", "lost")
"""The fields added to a removed element. With elements to compare against, ``WHERE`` is added too."""
WHERE = "survivor_in"


@dataclass(frozen=True)
class Fields:
    """The names of the fields of elements, and the policy that picks the best of several rows.

    ``carried`` are the fields that pass through the shuffles to the output; empty for whole elements.
    """

    id: str = "id"
    text: str = "text"
    keep: str = "first"
    blocks: tuple[str, ...] = ()
    vector: str | None = None
    reject_empty: bool = False
    carried: tuple[str, ...] = ()

    def check(self, kind: Any) -> None:
        """Check that an element type has the fields, if it has a schema.

        Raises:
            UserError: a field is missing. The message names it.
        """
        there = [name for name, _ in row_fields(kind)]
        needed: list[tuple[str, str | None]] = [("id", self.id)]
        needed += [("text", name) for name in _text_fields(there, self.text)]
        needed += [("vector", self.vector)]
        needed += [("keep highest:", highest_of(self.keep)), *(("block:", name) for name in self.blocks)]
        check_schema_fields(kind, needed)


class Row(NamedTuple):
    """An element as a row. ``key`` sorts the best row first; ``blocks`` are hashed keys or None."""

    element: Any
    text: str
    key: tuple[Any, ...]
    blocks: tuple[bytes | None, ...] = ()
    vector: bytes = b""


class TextInfo(NamedTuple):
    """A distinct text. ``best`` is the key of the best of its ``rows``, ``vector`` that of the first."""

    text: str
    best: tuple[Any, ...]
    rows: int
    vector: bytes


class ReadRows(beam.DoFn):
    """An element -> ``((side, id), Row)``, or a rejected element.

    Args:
        fields: the names of the fields.
        side: 1 for rows to compare against, whose elements are not needed.
    """

    def __init__(self, fields: Fields, side: int = 0) -> None:
        self._fields, self._side = fields, side
        self._keep, self._kinds = KeepPolicy(fields.keep), dict[str, str]()

    def process(self, element: Any) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        names, fields = self._fields, fields_of(element, "DeduplicateTexts")
        ident, text = plain(field(fields, names.id)), _text(fields, names.text)
        fault = self._fault(ident, text)
        if fault:
            yield pvalue.TaggedOutput("rejected", Rejected(element, fault))
            return
        ident, text = identifier(ident, f"id {names.id!r}:"), str(text)
        self._one_kind("id", f"id {ident!r}", type(ident).__name__)
        priority = NO_PRIORITY if self._side else self._priority(fields, text, ident)
        blocks = tuple(_block(field(fields, name), ident, name) for name in names.blocks)
        vector = b"" if names.vector is None else _vector(field(fields, names.vector), ident, names.vector)
        if names.carried:
            element = {name: fields[name] for name in names.carried}
        row = Row(None if self._side else element, text, (priority, self._side, ident), blocks, vector)
        yield (self._side, ident), row

    def _fault(self, ident: Any, text: Any) -> str | None:
        """Why an element cannot be compared, or None if it can."""
        for name, fault in (
            (
                self._fields.id,
                "null" if ident is None else text_fault(ident) if isinstance(ident, str) else None,
            ),
            (self._fields.text, text_fault(text) or ("empty text" if self._is_rejected(text) else None)),
        ):
            if fault:
                return f"{fault} in field {name!r}"
        return None

    def _is_rejected(self, text: str) -> bool:
        return self._fields.reject_empty and is_blank(text)

    def _one_kind(self, what: str, of: str, kind: str) -> None:
        """Check that all ids, or all values, have one type, since others cannot be sorted."""
        first = self._kinds.setdefault(what, kind)
        if kind != first:
            other = f"a{'n' * (what == 'id')} {what} before it"
            raise UserError(f"{of}: is {kind}, {other} {first}; {what}s must be of one type.")

    def _priority(self, fields: dict[str, Any], text: str, ident: Any) -> PriorityKey:
        """The sort key of an element under the keep policy. The best sorts first."""
        value, what = None, f"keep {self._keep.name}: id {ident!r}"
        if name := self._keep.expression:
            value = field(fields, name)
        kind, priority = priority_key(self._keep.priority(None, length_of(text), value), what)
        if kind:
            self._one_kind("value", what, kind)
        return priority


def _text_fields(there: Collection[str], text: str) -> list[str]:
    """Returns the fields of an element that make its text, as ``text_columns`` does for columns."""
    return [text] if text in there else [name.strip() for name in text.split(",")]


def _text(fields: dict[str, Any], text: str) -> Any:
    r"""The text of an element, or a value that is not a text.

    The values of several fields are put one per line; nulls are left out, and whole numbers are allowed.

    >>> _text({"name": "Ann", "zip": 7, "street": None}, "name, zip,street")
    'Ann\n7'
    """
    names = _text_fields(fields, text)
    if len(names) == 1:
        return field(fields, names[0])
    parts: list[str] = []
    for value in (plain(field(fields, name)) for name in names):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is None or whole or not text_fault(value):
            parts += [] if value is None else [str(value)]
        else:
            return value
    return JOINED.join(parts) if parts else None


def _block(value: Any, ident: Any, name: str) -> bytes | None:
    if isinstance(value, dict | list | tuple | set | np.ndarray):
        raise UserError(
            f"block:{name}: id {ident!r} has a {type(value).__name__}; name a field with a single value."
        )
    return None if value is None or value == "" else hash128([str(value)]).tobytes()


def _vector(value: Any, ident: Any, name: str) -> bytes:
    if isinstance(value, bytes):  # it is already packed
        return value
    try:
        vector = np.asarray([value], np.float32)
    except (TypeError, ValueError):
        vector = np.empty((1, 0), np.float32)
    if vector.ndim != 2 or not vector.size or not np.isfinite(vector).all():
        raise UserError(f"id {ident!r}: has no vector of finite numbers in field {name!r}.")
    return pack_points(vector)[0]


def row_shards_for(rows: int) -> int:
    """Returns the number of shards for this many rows: some 2,000 in each.

    >>> row_shards_for(10), row_shards_for(1_000_000)
    (1, 489)
    """
    return -(-rows // _ROWS_PER_SHARD) or 1


class DistinctTextCollections(NamedTuple):
    """The collections of distinct texts. A text has the name ``(side, id)`` of its first row.

    ``texts`` has ``(name, TextInfo)``; ``members`` has ``(name, (rows, best row))``, with some of the rows in
    each element, for ``in_list``; ``blocks`` has ``((n-th blocking expression, key), name)``.
    """

    texts: beam.PCollection
    members: beam.PCollection
    blocks: beam.PCollection


class MakeDistinctTexts(beam.PTransform):
    """Rows -> :class:`DistinctTextCollections`, by ``beam_sts.dedup.distinct.distinct_texts``.

    Args:
        grouping: which rows are one distinct text.
        shards: number of shards of short texts.
    """

    def __init__(self, grouping: Grouping, shards: int) -> None:
        super().__init__()
        self._grouping, self._shards = grouping, shards

    def expand(self, rows: beam.PCollection) -> DistinctTextCollections:
        """Group the rows of each bundle, then the groups by text."""
        made = (
            rows
            | "By text" >> beam.ParDo(_ByText(self._grouping, self._shards))
            | "Pack" >> beam.ParDo(Pack())
            | "Equal texts" >> beam.GroupByKey()
            | "Text"
            >> beam.ParDo(_JoinGroups(self._grouping)).with_outputs("members", "blocks", main="texts")
        )
        return DistinctTextCollections(made["texts"], made["members"], made["blocks"])


class _Group(NamedTuple):
    """Rows of one text in one element: the text, its first row and vector, the key of the best row.

    ``rows`` and ``blocks`` are packed if they are many, since Flink makes one record of all groups of a text.
    """

    text: str
    first: tuple[int, Any]
    vector: bytes
    best: tuple[Any, ...]
    copies: int
    rows: list[tuple[int, Any]] | bytes
    blocks: list[tuple[bytes | None, ...]] | bytes


class _ByText(beam.DoFn):
    """``((side, id), Row)`` -> ``(shard, (text's key, _Group))``. Equal texts of a bundle are one element.

    Otherwise a text of thousands of rows would be shuffled, and held by the runner, once for each row.
    The key of a text is its side and digest. A long text has no shard, but its own key.
    """

    def __init__(self, grouping: Grouping, shards: int) -> None:
        self._grouping, self._shards = grouping, shards

    def start_bundle(self) -> None:
        """See ``beam.DoFn``."""
        self._waiting: list[tuple[tuple[int, Any], Row]] = []
        self._characters = 0

    def process(self, one: tuple[tuple[int, Any], Row]) -> Iterator[tuple[Any, Any]]:
        """See ``beam.DoFn``."""
        self._waiting.append(one)
        self._characters += len(one[1].text)
        if len(self._waiting) >= _ROWS_AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE:
            yield from self._grouped()

    def finish_bundle(self) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        for one in self._grouped():
            yield GlobalWindows.windowed_value(one)

    def _grouped(self) -> Iterator[tuple[Any, Any]]:
        """The groups of the waiting rows."""
        if not self._waiting:
            return
        names, rows = [name for name, _ in self._waiting], [row for _, row in self._waiting]
        self.start_bundle()
        hashes = hash128(row.text for row in rows)
        side = np.array([of for of, _ in names], np.int8)
        blank = np.array([is_blank(row.text) for row in rows], bool)
        texts = distinct_texts(self._grouping, hashes, side, blank, sort_rank(names))
        best = best_of_groups(texts.of_row, sort_rank([row.key for row in rows]))
        alone = self._grouping.alone(side, blank)
        digests = hashes.astype("<u8").tobytes()
        members = np.split(np.argsort(texts.of_row, kind="stable"), np.cumsum(texts.rows)[:-1])
        for first, at, of_text in zip(texts.row.tolist(), best.tolist(), members, strict=True):
            # The ids of rows that are alone may recur, which is reported later.
            apart = repr(names[first][1]) if alone[first] else ""
            key = names[first][0], digests[16 * first : 16 * first + 16], apart
            shard = int(hashes[first, 0]) % self._shards if len(rows[first].text) <= _SHORT else key
            for start in range(0, len(of_text), _COPIES_AT_ONCE):
                some = of_text[start : start + _COPIES_AT_ONCE].tolist()
                blocks = [rows[row].blocks for row in some if any(rows[row].blocks)]
                group = (rows[first].text, names[first], rows[first].vector, rows[at].key, len(some))
                members_of = packed_if_many([names[row] for row in some])
                yield shard, (key, (*group, members_of, packed_if_many(blocks)))


class _Joined:
    """The groups of one text so far. The rows stay packed."""

    def __init__(self, group: _Group) -> None:
        self.first, self.best, self.rows = group, group.best, 0
        self.parts: list[_Group] = []
        self.add(group)

    def add(self, group: _Group) -> None:
        """Add a group."""
        self.best = min(self.best, group.best)
        self.rows += group.copies
        if group.first < self.first.first:
            self.first = group
        self.parts.append(group._replace(text="", vector=b""))


class _JoinGroups(beam.DoFn):
    """Groups of a shard -> distinct texts, their members, their blocking keys (none for a blank text)."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping

    def process(self, shard: tuple[Any, Iterable[bytes]]) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        joined: dict[Any, _Joined] = {}
        for key, fields in unpacked(shard[1]):
            group = _Group(*fields)
            if key in joined:
                joined[key].add(group)
            else:
                joined[key] = _Joined(group)
        for of_text in joined.values():
            first, best = of_text.first, of_text.best
            compared = self._grouping.compare_blank or not is_blank(first.text)
            for group in of_text.parts:
                yield pvalue.TaggedOutput("members", (first.first, (group.rows, best[1:])))
                for at, key in (one for blocks in in_list(group.blocks) for one in enumerate(blocks)):
                    if key is not None and compared:
                        yield pvalue.TaggedOutput("blocks", ((at, key), first.first))
            yield first.first, TextInfo(first.text, best, of_text.rows, first.vector)
