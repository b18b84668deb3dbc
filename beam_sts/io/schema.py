"""One schema for all files of an input: united types, partition columns, nested columns by path.

The rule: columns go by name; one that a file lacks is null in its rows; types that differ are widened where
Arrow can do so without loss of kind (int32 and int64, int and float, string and large_string, a struct with
more fields), and refused otherwise. A column that JSON Lines hold in several types is JSON text.
"""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError

_LISTED = 20  # columns that a message names

JSON_TEXT = {b"beam_sts.json": b"1"}
"""Metadata of a string field that holds JSON text."""

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_json(field: pa.Field) -> bool:
    """Whether a field holds JSON text."""
    return bool(field.metadata and field.metadata.get(b"beam_sts.json"))


def check_unique(names: Sequence[str], path: str) -> None:
    """See that no two columns of a file have one name.

    Raises:
        UserError: two have.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column {twice[0]!r} is there twice. Rename one of them.")


def partition_values(path: str) -> dict[str, str | None]:
    """The columns that the folders of a path add, Hive's way: ``name=value``, percent-decoded, as text.

    >>> partition_values("/data/lang=en/day=2024-01-02/part.parquet")
    {'lang': 'en', 'day': '2024-01-02'}
    """
    values: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, equals, value = folder.partition("=")
        if name and equals:
            values[unquote(name)] = None if value == _HIVE_NULL else unquote(value)
    return values


def carried(schema: pa.Schema) -> pa.Schema:
    """A file's schema with the types that no Arrow kernel selects rows of replaced by their plain twins."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_run_end_encoded(kind):
        return _plain(kind.value_type)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if types.is_list_view(kind) or types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if types.is_large_list_view(kind) or types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


def unite(first: pa.Schema, second: pa.Schema, path: str) -> pa.Schema:
    """Two files' schemas as one.

    Args:
        first: of the files before.
        second: of the file at ``path``.
        path: for the message.

    Raises:
        UserError: a column's types do not go together.
    """
    if first.equals(second, check_metadata=True):
        return first
    if not first.names:
        return second
    fields = {field.name: field for field in first}
    there = set(second.names)
    for field in second:
        known = fields.get(field.name)
        fields[field.name] = field.with_nullable(True) if known is None else _unite_fields(known, field, path)
    return pa.schema(
        [field if name in there else field.with_nullable(True) for name, field in fields.items()]
    )


def _unite_fields(first: pa.Field, second: pa.Field, path: str) -> pa.Field:
    if first.equals(second, check_metadata=True):
        return first
    if is_json(first) or is_json(second):
        return pa.field(first.name, pa.string(), metadata=JSON_TEXT)
    kinds = [first.type, second.type]
    if kinds[0] != kinds[1]:  # a dictionary beside plain values, or beside another dictionary, is decoded
        kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
    pair = [pa.schema([pa.field(first.name, kind)]) for kind in kinds]
    try:
        return pa.unify_schemas(pair, promote_options="permissive").field(0)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(
            f"{path}: column {first.name!r} is {second.type} here and {first.type} in the files before it. "
            "Score the files apart, or cast it (CSV columns are text)."
        ) from error


def conform(
    table: pa.Table, schema: pa.Schema, path: str, constants: Iterable[tuple[str, str | None]] = ()
) -> pa.Table:
    """A file's table under the input's schema: its order, absent columns null, types widened.

    Args:
        table: rows of the file.
        schema: of the whole input.
        path: for the message.
        constants: columns that have one value in all rows of the file.

    Raises:
        UserError: a value does not fit the wider type.
    """
    if table.schema.equals(schema, check_metadata=True):
        return table
    fixed = dict(constants)
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
            columns.append(_cast(column, own, field, path))
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, own: pa.Field, wanted: pa.Field, path: str) -> pa.ChunkedArray:
    if is_json(wanted) and not is_json(own):
        texts = [
            None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in column.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if own.type == wanted.type:
        return column
    try:
        if pa.types.is_dictionary(own.type):
            column = column.cast(own.type.value_type)
        if pa.types.is_run_end_encoded(own.type):
            column = pc.run_end_decode(column)
        return column.cast(wanted.type)
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: column {own.name!r} is {own.type} here and does not fit {wanted.type}, "
            f"which all files share: {error}. Cast it first."
        ) from error


def find_path(fields: Iterable[pa.Field], name: str) -> tuple[str, ...] | None:
    """The way to a column: its name, or the names of structs and a field in them, joined by dots.

    A column whose name has the dot itself comes first.

    >>> schema = pa.schema([("a", pa.struct([("b", pa.string())])), ("x.y", pa.string())])
    >>> find_path(schema, "a.b"), find_path(schema, "x.y"), find_path(schema, "a.c")
    (('a', 'b'), ('x.y',), None)
    """
    kinds = {field.name: field.type for field in fields}
    if name in kinds:
        return (name,)
    for dot in (index for index, letter in enumerate(name) if letter == "."):
        kind = kinds.get(name[:dot])
        if kind is not None and pa.types.is_struct(kind):
            rest = find_path(list(kind), name[dot + 1 :])
            if rest:
                return (name[:dot], *rest)
    return None


def path_of(schema: pa.Schema, name: str) -> tuple[str, ...]:
    """``find_path`` where the column is known to be there."""
    path = find_path(schema, name)
    if path is None:
        raise KeyError(name)
    return path


def field_at(schema: pa.Schema, name: str) -> pa.Field:
    """The field of a column, nested ones by path."""
    first, *rest = path_of(schema, name)
    field = schema.field(first)
    for step in rest:
        field = field.type.field(step)
    return field


def column_at(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The values of a column, nested ones by path; null where a struct on the way is."""
    first, *rest = path_of(table.schema, name)
    column = table.column(first)
    return pc.struct_field(column, rest) if rest else column


def with_text(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema with a column of JSON text, or of nulls alone, as plain strings: it is to hold texts."""
    kind = field_at(schema, name)
    if not (is_json(kind) or pa.types.is_null(kind.type)):
        return schema
    first, *rest = path_of(schema, name)
    field = _replace(schema.field(first), rest)
    return schema.set(schema.get_field_index(first), field)


def _replace(field: pa.Field, rest: Sequence[str]) -> pa.Field:
    if not rest:
        return pa.field(field.name, pa.string())
    children = [_replace(child, rest[1:]) if child.name == rest[0] else child for child in field.type]
    return field.with_type(pa.struct(children))


def missing_column(what: str, name: str, names: Sequence[str]) -> UserError:
    """The error of a column that is not there: it lists those that are, and names the nearest.

    Args:
        what: the subject of the sentence, such as an option with its value.
        name: the column that is missing.
        names: the columns that are there.

    >>> str(missing_column("--text txt:", "txt", ["id", "text"]))
    "--text txt: is not in the input; did you mean 'text'? Its columns are 'id', 'text'."
    """
    listed = ", ".join(map(repr, names[:_LISTED])) or "none"
    if len(names) > _LISTED:
        listed += f" and {len(names) - _LISTED:,} more"
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}? Its" if near else "; its"
    return UserError(f"{what} is not in the input{hint} columns are {listed}.")
