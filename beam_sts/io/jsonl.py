"""JSON Lines: one JSON object per line.

Values keep their JSON types: a string that looks like a date stays a string. If the values of a column, or of
a field of a nested object, fit no single Arrow type (such as numbers and lists), the column is carried as
JSON text, so that no value changes. Blank lines are not rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.column_paths import JSON_TEXT, RAW, is_json
from beam_sts.io.lines import LineFormat, Record, overlong, undecodable
from beam_sts.io.schema import check_column_names, check_width
from beam_sts.io.slices import FileScan
from beam_sts.io.streams import BOM, Line, looks_like, read_lines, refuse_binary

_BLOCK_ROWS, _BLOCK_BYTES = 8192, 16 << 20
DEEPEST_ROW = 256
"""The most levels of nested lists and objects in a row. A deeper row is rejected."""
DEEPEST_TYPE = 32
"""The most levels of nested lists and objects in a column with Arrow types. A deeper column is JSON text."""
MOST_VALUES = 4_000_000
"""The most values in a row. A larger row is rejected, since it would fill the memory."""
_MOST_FIELDS = 10_000  # most distinct fields of a nested object; beyond, it is a map and JSON text
_EXACT = 2**53  # a double holds every integer up to this


class _Ints(NamedTuple):
    """Integers from ``low`` to ``high``."""

    low: int
    high: int


class _List(NamedTuple):
    """Lists whose items have one kind."""

    items: Kind


Kind: TypeAlias = "pa.DataType | _Ints | _List | dict[str, Any] | None"
"""What a column contains: an Arrow type, integers, lists, the fields of objects, or None for JSON text."""


@dataclass(frozen=True)
class JsonLines(LineFormat):
    """Lines are parsed one by one; the types of the columns are unified over the file.

    Args:
        encoding: the encoding of the files; None for UTF-8.
        raw: add a column with the original text of each row.
    """

    encoding: str | None = None
    raw: bool = False

    name = "JSON Lines"
    endings = (".jsonl", ".ndjson", ".json")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Plan a file. Refuses one that is a JSON array, of which only some lines might be objects."""
        every = read_lines(path, encoding=self.encoding)
        lines = islice((line.data for line in every if line.data.strip()), 2)
        first, alone = next(lines, b""), next(lines, None) is None
        opens = first.removeprefix(BOM).lstrip().startswith(b"[")
        if opens and (alone or isinstance(_parse(first), Exception)):
            raise UserError(f"{path}: is {looks_like(path)}.")
        return super().scan(path, rows_per_slice)

    def header(self, path: str, lines: Iterator[Line]) -> list[str]:
        """Empty, since the format has no header."""
        refuse_binary(path, self.name, whatever_encoding=True)
        return []

    def records(
        self, lines: Iterator[Line], header: list[str], texts: Sequence[tuple[str, ...]]
    ) -> Iterator[Record]:
        """Parse each line that is not blank."""
        for line in lines:
            if not line.data.strip():
                continue
            value = _parse(line.data)
            fault = overlong(line) or _fault(value, texts, self.encoding)
            yield Record(line, line.data, None if fault else value, fault)

    def schema(self, path: str, header: list[str], values: Iterable[tuple[int, Any]]) -> pa.Schema:
        """Unify the types of all objects, in blocks."""
        fields: dict[str, Any] = {}
        block: list[Any] = []
        size = 0
        for length, value in values:
            block.append(value)
            size += length
            if len(block) == _BLOCK_ROWS or size >= _BLOCK_BYTES:
                _learn_fields(fields, block, 0)
                block, size = [], 0
                check_width(len(fields), path)
        _learn_fields(fields, block, 0)
        check_width(len(fields), path)
        columns = [
            _field(name, kind if _height(kind) <= DEEPEST_TYPE else None) for name, kind in fields.items()
        ]
        check_column_names(list(fields), path)
        if self.raw and columns:
            columns.append(pa.field(RAW, pa.string()))
        return pa.schema(columns)

    def table(self, records: list[Record], header: list[str], schema: pa.Schema) -> pa.Table:
        """The fields of the objects as columns; null where an object has no such field."""
        columns = []
        for field in schema:
            if field.name == RAW:
                columns.append(pa.array([_text(record.raw).strip() for record in records], pa.string()))
                continue
            column = [record.value.get(field.name) for record in records]
            if _mentions_json(field):
                column = [_encode(value, field) for value in column]
            try:
                columns.append(pa.array(column, field.type))
            except pa.ArrowException as error:
                raise UserError(f"column {field.name!r}: {error}. Cast it in the input first.") from error
        return pa.Table.from_arrays(columns, schema=schema)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_OPENING, _CLOSING = (list(map(ord, pair)) for pair in ("[{", "]}"))
_MARKS = np.isin(np.arange(256), [*_OPENING, *_CLOSING, ord(",")])


def _text(data: bytes) -> str:
    return data.removeprefix(BOM).decode()


def _parse(data: bytes) -> Any:
    """The parsed line, or the exception that the parser raised."""
    try:
        _check_bounds(data)
        value = _DECODER.decode(_text(data))
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # raises for lone surrogates
    except (ValueError, RecursionError) as error:
        return error
    return value


class _OutOfBoundsError(ValueError):
    """A row is too deep or too large to be parsed."""


def _check_bounds(data: bytes) -> None:
    """Check that a line can be parsed with bounded memory and stack."""
    openings, commas = data.count(b"[") + data.count(b"{"), data.count(b",")
    if openings <= DEEPEST_ROW and commas < MOST_VALUES:
        return
    marks = np.frombuffer(data.replace(b"\\\\", b"").replace(b'\\"', b""), np.uint8)
    outside = np.cumsum(marks == ord('"'), dtype=np.uint8) % 2 == 0  # outside strings
    marks = marks[outside & _MARKS[marks]]
    steps = np.isin(marks, _OPENING).astype(np.int8) - np.isin(marks, _CLOSING).astype(np.int8)
    if len(steps) and int(np.cumsum(steps, dtype=np.int32).max()) > DEEPEST_ROW:
        raise _OutOfBoundsError(f"nested too deep: over the limit of {DEEPEST_ROW} levels")
    if int((steps > 0).sum() + (marks == ord(",")).sum()) > MOST_VALUES:
        raise _OutOfBoundsError(f"too many values: over the limit of {MOST_VALUES:,} in one row")


def _fault(value: Any, texts: Sequence[tuple[str, ...]], encoding: str | None) -> str | None:
    if isinstance(value, UnicodeEncodeError):
        return f"lone surrogate (not valid Unicode): {value.reason}"
    if isinstance(value, UnicodeDecodeError):
        return undecodable(value, encoding)
    if isinstance(value, _OutOfBoundsError):
        return str(value)
    if isinstance(value, Exception):
        return f"not valid JSON: {value}"
    if not isinstance(value, dict):
        return f"a JSON {type(value).__name__}, not an object"
    for path in texts:
        text: Any = value
        for step in path:
            text = text.get(step) if isinstance(text, dict) else None
        if text is not None and not isinstance(text, str):
            return f"no text in column {'.'.join(path)!r}: it holds {json.dumps(text)[:40]}"
    return None


def _learn(known: Kind, values: Iterable[Any], depth: int = 0) -> Kind:
    """Widen a kind so that it covers more values."""
    values = [value for value in values if value is not None]
    if known is None or not values:
        return known
    fresh = isinstance(known, pa.DataType) and pa.types.is_null(known)
    types = set(map(type, values))
    if types <= {dict, list} and (len(types) > 1 or depth > DEEPEST_TYPE + 1):
        return None
    if types == {dict}:
        return _learn_fields({} if fresh else known, values, depth)
    if types == {list}:
        items = pa.null() if fresh else known.items if isinstance(known, _List) else None
        items = _learn(items, chain.from_iterable(values), depth + 1)
        return None if _needs_json(items) else _List(items)
    found = _scalars(types, values)
    return found if fresh else _join(known, found)


def _learn_fields(known: Kind, values: list[dict[str, Any]], depth: int) -> Kind:
    if not isinstance(known, dict):
        return None
    columns: dict[str, list[Any]] = {}
    for value in values:
        for name, item in value.items():
            columns.setdefault(name, []).append(item)
    for name, items in columns.items():
        known[name] = _learn(known.get(name, pa.null()), items, depth + 1)
    return known if depth == 0 or len(known) <= _MOST_FIELDS else None


def _scalars(types: set[type], values: list[Any]) -> Kind:
    """The kind of values that are neither lists nor objects."""
    if types == {int}:
        return _Ints(min(values), max(values))
    if types <= {int, float}:
        exact = all(abs(value) <= _EXACT for value in values if type(value) is int)
        return pa.float64() if exact else None
    return {bool: pa.bool_(), str: pa.string()}.get(next(iter(types))) if len(types) == 1 else None


def _join(first: Kind, second: Kind) -> Kind:
    if isinstance(first, _Ints) and isinstance(second, _Ints):
        return _Ints(min(first.low, second.low), max(first.high, second.high))
    for one, other in ((first, second), (second, first)):
        if isinstance(one, _Ints) and other == pa.float64():
            return other if max(-one.low, one.high) <= _EXACT else None
    return first if type(first) is type(second) and first == second else None


def _needs_json(kind: Kind) -> bool:
    """Whether values of a kind, or parts of them, are carried as JSON text."""
    if isinstance(kind, dict):
        return not kind or any(map(_needs_json, kind.values()))
    if isinstance(kind, _List):
        return _needs_json(kind.items)
    return kind is None or (isinstance(kind, _Ints) and _type(kind) is None)


def _height(kind: Kind) -> int:
    """The levels of nested lists and objects."""
    if isinstance(kind, _List):
        return 1 + _height(kind.items)
    return 1 + max(map(_height, kind.values()), default=0) if isinstance(kind, dict) else 0


def _type(kind: Kind) -> pa.DataType | None:
    """The Arrow type of a kind; None for JSON text."""
    if isinstance(kind, dict):
        return pa.struct([_field(name, each) for name, each in kind.items()]) if kind else None
    if isinstance(kind, _List):
        items = _type(kind.items)
        return None if items is None else pa.list_(items)
    if isinstance(kind, _Ints):
        if kind.low >= -(2**63) and kind.high < 2**63:
            return pa.int64()
        return pa.uint64() if kind.low >= 0 and kind.high < 2**64 else None
    return kind


def _field(name: str, kind: Kind) -> pa.Field:
    found = _type(kind)
    return pa.field(name, pa.string(), metadata=JSON_TEXT) if found is None else pa.field(name, found)


def _mentions_json(field: pa.Field) -> bool:
    return is_json(field) or (pa.types.is_struct(field.type) and any(map(_mentions_json, field.type)))


def _encode(value: Any, field: pa.Field) -> Any:
    """Convert the parts of a value that have mixed types to JSON text."""
    if value is None:
        return None
    if is_json(field):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_struct(field.type):
        return {child.name: _encode(value.get(child.name), child) for child in field.type}
    return value
