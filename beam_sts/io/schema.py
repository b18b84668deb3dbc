"""One schema for all files of an input: unified types, partition columns, nested columns by path.

Columns are matched by name. If a file lacks a column, the column is null in its rows. Different types are
widened if Arrow can do so without changing their kind (int32 and int64, int and float, string and
large_string, a struct with more fields), and are refused otherwise. A column for which JSON Lines contain
several types is JSON text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.carried_types import cast, loosened, loosened_type
from beam_sts.io.column_paths import JSON_TEXT, RAW, is_json

MOST_COLUMNS = 200_000

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def check_column_names(names: Sequence[str], path: str) -> None:
    """Check that the column names of a file are distinct and not reserved.

    Raises:
        UserError: a name occurs twice or is reserved.
    """
    if RAW in names:
        raise UserError(f"{path}: column {RAW!r} ends in the noncharacter U+10FFFF. Rename it.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column {twice[0]!r} occurs twice. Rename one of them.")


def partition_values(path: str) -> dict[str, str | None]:
    """The partition columns in a path, from folders in Hive's form ``name=value``, percent-decoded, as text.

    >>> partition_values("/data/lang=en/day=2024-01-02/part.parquet")
    {'lang': 'en', 'day': '2024-01-02'}
    """
    values: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if name and equals:
            values[unquote(name)] = None if value == _HIVE_NULL else unquote(value)
    return values


def check_width(columns: int, path: str) -> None:
    """Check that a file does not have too many columns.

    Raises:
        UserError: it does.
    """
    if columns > MOST_COLUMNS:
        raise UserError(
            f"{path}: has {columns:,} columns, over the limit of {MOST_COLUMNS:,}. Combine columns "
            "that belong together into one list or object, or leave some out."
        )


def raw_last(schema: pa.Schema) -> pa.Schema:
    """The schema with the internal column of original rows, if any, after all others."""
    at = schema.get_field_index(RAW)
    return schema if at < 0 else schema.remove(at).append(schema.field(at))


def unite(first: pa.Schema, second: pa.Schema, path: str, *, lines: bool = False) -> pa.Schema:
    """Unify the schemas of two files.

    Args:
        first: the schema of the files so far.
        second: the schema of the file at ``path``.
        path: the file, for the message.
        lines: whether both are from JSON Lines, whose types are found from the values. If so, a column with
            incompatible types becomes JSON text, as within one file.

    Returns:
        The unified schema.

    Raises:
        UserError: the types of a column are incompatible.
    """
    if first.equals(second, check_metadata=True):
        return first
    if not first.names:
        return second
    fields = {field.name: field for field in first}
    there = set(second.names)
    for field in second:
        known = fields.get(field.name)
        fields[field.name] = _with_nulls(field) if known is None else _unite_fields(known, field, path, lines)
    return pa.schema([field if name in there else _with_nulls(field) for name, field in fields.items()])


def _with_nulls(field: pa.Field) -> pa.Field:
    return loosened(field).with_nullable(True)


def _unite_fields(first: pa.Field, second: pa.Field, path: str, lines: bool) -> pa.Field:
    if first.equals(second, check_metadata=True):
        return first
    if is_json(first) or is_json(second):
        return pa.field(first.name, pa.string(), metadata=JSON_TEXT)
    kinds = [first.type, second.type]
    if kinds[0] != kinds[1]:  # a dictionary is decoded unless both files have the same one
        kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
        kinds = [loosened_type(kind) for kind in kinds]
    pair = [pa.schema([pa.field(first.name, kind)]) for kind in kinds]
    try:
        kind = pa.unify_schemas(pair, promote_options="permissive").field(0).type
        both = (first.metadata or {}).items() & (second.metadata or {}).items()
        return pa.field(first.name, kind, metadata=dict(both) if kind == first.type == second.type else None)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        if lines:
            return pa.field(first.name, pa.string(), metadata=JSON_TEXT)
        raise UserError(
            f"{path}: column {first.name!r} is {second.type} here and {first.type} in the files before it. "
            "Process the files separately, or cast it (CSV columns are text)."
        ) from error


def conform(
    table: pa.Table, schema: pa.Schema, path: str, constants: Iterable[tuple[str, str | None]] = ()
) -> pa.Table:
    """Convert the table of a file to the input's schema: column order, nulls for absent columns, wider types.

    Args:
        table: rows of the file.
        schema: the schema of the whole input.
        path: the file, for the message.
        constants: columns that have one value in all rows of the file.

    Raises:
        UserError: a value does not fit the wider type.
    """
    fixed = dict(constants)
    if not fixed and table.schema.equals(schema, check_metadata=True):
        return table
    there = {own.name: (own, column) for own, column in zip(table.schema, table.columns, strict=True)}
    columns: list[Any] = []
    for field in schema:
        if field.name in fixed:
            value = pa.scalar(fixed[field.name], pa.string()).cast(field.type)
            columns.append(pa.repeat(value, len(table)))
        elif field.name not in there:
            columns.append(pa.nulls(len(table), field.type))
        else:
            own, column = there[field.name]
            columns.append(cast(column, own, field, path))
    return pa.Table.from_arrays(columns, schema=schema)
