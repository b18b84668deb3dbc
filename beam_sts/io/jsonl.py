"""JSON Lines: one object a line.

Values keep their JSON types: what looks like a date stays a string. A column, or a field of a nested object,
whose values fit no single Arrow type (a number here, a list there) is carried as JSON text. Blank lines are
not rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.lines import LineFormat, Record, overlong
from beam_sts.io.schema import JSON_TEXT, is_json
from beam_sts.io.slices import FileScan
from beam_sts.io.streams import BOM, Line, looks_like, read_lines, refuse_binary

_BLOCK_ROWS, _BLOCK_BYTES = 8192, 16 << 20

Kind: TypeAlias = pa.DataType | dict[str, Any] | None
"""What a column holds: an Arrow type, an object's fields by name, or None for values that only JSON fits."""


class JsonLines(LineFormat):
    """Lines parse one by one; their types are united over the file."""

    name = "JSON Lines"
    endings = (".jsonl", ".ndjson", ".json")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Refuse a file that is one JSON array: of its lines only some would be objects, and be read."""
        lines = islice((line.data for line in read_lines(path) if line.data.strip()), 2)
        first, alone = next(lines, b""), next(lines, None) is None
        opens = first.removeprefix(BOM).lstrip().startswith(b"[")
        if opens and (alone or isinstance(_parse(first), Exception)):
            raise UserError(f"{path}: is {looks_like(path)}.")
        return super().scan(path, rows_per_slice)

    def header(self, path: str, lines: Iterator[Line]) -> list[str]:
        """There is none."""
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
            fault = overlong(line) or _fault(value, texts)
            yield Record(line, line.data, None if fault else value, fault)

    def schema(self, path: str, header: list[str], values: Iterable[tuple[int, Any]]) -> pa.Schema:
        """Unite the types of all objects, a block of them at a time."""
        fields: Kind = {}
        block: list[Any] = []
        size = 0
        for length, value in values:
            block.append(value)
            size += length
            if len(block) == _BLOCK_ROWS or size >= _BLOCK_BYTES:
                fields, block, size = _learn(fields, block), [], 0
        fields = _learn(fields, block)
        assert isinstance(fields, dict)
        return pa.schema([_field(name, kind) for name, kind in fields.items()])

    def table(self, values: list[Any], header: list[str], schema: pa.Schema) -> pa.Table:
        """The objects' fields as columns, absent ones null."""
        columns = []
        for field in schema:
            column = [value.get(field.name) for value in values]
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
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return result


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _parse(data: bytes) -> Any:
    """The parsed line, or the exception that parsing raised."""
    try:
        value = _DECODER.decode(data.removeprefix(BOM).decode())
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # lone surrogates fit no Arrow string
    except (ValueError, RecursionError) as error:
        return error
    return value


def _fault(value: Any, texts: Sequence[tuple[str, ...]]) -> str | None:
    if isinstance(value, UnicodeEncodeError):
        return f"lone surrogate (not valid Unicode): {value.reason}"
    if isinstance(value, UnicodeDecodeError):
        return f"not valid UTF-8: {value.reason}"
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


def _learn(known: Kind, values: list[Any]) -> Kind:
    """Widen a kind to hold more values."""
    values = [value for value in values if value is not None]
    if known is None or not values:
        return known
    fresh = isinstance(known, pa.DataType) and pa.types.is_null(known)
    if all(isinstance(value, dict) for value in values):
        if not (fresh or isinstance(known, dict)):
            return None
        fields: dict[str, Any] = known if isinstance(known, dict) else {}
        columns: dict[str, list[Any]] = {}
        for value in values:
            for name, item in value.items():
                columns.setdefault(name, []).append(item)
        for name, items in columns.items():
            fields[name] = _learn(fields.get(name, pa.null()), items)
        return fields
    if isinstance(known, dict):
        return None
    try:
        kind = pa.array(values).type
        if _has_empty_struct(kind):
            return None  # Parquet has no struct without fields
        if fresh or kind == known:
            return kind
        if pa.uint64() in (kind, known):
            return None  # integers over 63 bits beside smaller ones: no Arrow type holds both
        pair = [pa.schema([pa.field("", each)]) for each in (known, kind)]
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except (pa.ArrowException, OverflowError):
        return None


def _has_empty_struct(kind: pa.DataType) -> bool:
    children = [kind.field(i).type for i in range(kind.num_fields)]
    return (pa.types.is_struct(kind) and not children) or any(map(_has_empty_struct, children))


def _field(name: str, kind: Kind) -> pa.Field:
    if isinstance(kind, dict) and kind:
        return pa.field(name, pa.struct([_field(inner, each) for inner, each in kind.items()]))
    if kind is None or isinstance(kind, dict):
        return pa.field(name, pa.string(), metadata=JSON_TEXT)
    return pa.field(name, kind)


def _mentions_json(field: pa.Field) -> bool:
    return is_json(field) or (pa.types.is_struct(field.type) and any(map(_mentions_json, field.type)))


def _encode(value: Any, field: pa.Field) -> Any:
    """A value with its parts of mixed types as JSON text."""
    if value is None:
        return None
    if is_json(field):
        return json.dumps(value, ensure_ascii=False)
    if pa.types.is_struct(field.type):
        return {child.name: _encode(value.get(child.name), child) for child in field.type}
    return value
