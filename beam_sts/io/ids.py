"""Ids of rows: columns of types for which equal values are reliably equal, such as integers and texts."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa

from beam_sts.io.carried_types import type_in_file
from beam_sts.io.column_paths import column_at, field_at


def id_type(schema: pa.Schema, name: str) -> pa.DataType:
    """The type under which ids are processed: that of the column, or string for UUIDs and fixed-size binary.

    >>> id_type(pa.schema([("key", pa.binary(4)), ("id", pa.int64())]), "key")
    DataType(string)
    """
    kind = field_at(schema, name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.string() if _bytes_of(kind) else kind


def ids_in(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of ids, in the type given by :func:`id_type`.

    UUIDs are in their canonical form; other fixed-size binary values are hexadecimal.

    >>> ids_in(pa.table({"key": pa.array([b"ab", None], pa.binary(2))}), "key").to_pylist()
    ['6162', None]
    """
    column = column_at(table, name)
    kind = id_type(table.schema, name)
    if not _bytes_of(column.type):
        return column.cast(kind)
    named = type_in_file(field_at(table.schema, name)) == pa.uuid()
    values = (chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk for chunk in column.chunks)
    texts = [
        None if value is None else str(uuid.UUID(bytes=value)) if named else value.hex()
        for chunk in values
        for value in chunk.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, kind)])


def ids_as_texts(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of ids as readable texts: as processed, with bytes that are not UTF-8 as hexadecimal."""
    return as_texts(ids_in(table, name))


def as_texts(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    r"""Convert ids to readable texts.

    >>> as_texts(pa.array([b"a", b"\xff", None])).to_pylist()
    ['a', 'ff', None]
    """
    try:
        return ids.cast(pa.string())
    except pa.ArrowInvalid:  # bytes
        return pa.array([None if one is None else shown_id(one) for one in ids.to_pylist()], pa.string())


def with_shown_ids(table: pa.Table) -> pa.Table:
    """A table of results with readable texts in its binary columns."""
    for at, field in enumerate(table.schema):
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            table = table.set_column(at, field.name, as_texts(table.column(at)))
    return table


def shown_id(value: Any) -> Any:
    r"""An id for JSON and reports: bytes as the text that they encode, or as hexadecimal.

    >>> shown_id(b"a"), shown_id(b"\xff"), shown_id(7)
    ('a', 'ff', 7)
    """
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def is_id(kind: pa.DataType) -> bool:
    """Whether a type is allowed for ids, so that equal values are reliably equal."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_integer, types.is_string, types.is_large_string, types.is_string_view)
    more = (types.is_binary, types.is_large_binary, types.is_binary_view)
    return _bytes_of(kind) or any(test(kind) for test in (*tests, *more))


def _bytes_of(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_binary(kind) or kind == pa.uuid())
