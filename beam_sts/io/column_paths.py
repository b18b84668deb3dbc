"""Columns by name or, within structs, by path; messages about columns; columns for internal use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError

_LISTED = 20  # most columns that a message lists


JSON_TEXT = {b"beam_sts.json": b"1"}
"""Metadata of a string field that contains JSON text."""


RAW = "beam_sts.raw\U0010ffff"
"""The internal column with the original rows of JSON Lines, if they are carried along.

Its last code point is a noncharacter, which Unicode reserves for internal use, so no input has this name.
"""


def is_json(field: pa.Field) -> bool:
    """Whether a field contains JSON text."""
    return bool(field.metadata and field.metadata.get(b"beam_sts.json"))


def own_names(names: Iterable[str]) -> list[str]:
    """The names without those of internal columns."""
    return [name for name in names if name != RAW]


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """Format the first column names of the input for a message.

    >>> listed(["id", "text", RAW])
    "'id', 'text'"
    >>> listed(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    own = own_names(names)
    more = f" and {len(own) - most:,} more" if len(own) > most else ""
    return (", ".join(map(repr, own[:most])) or "none") + more


def find_path(fields: Iterable[pa.Field], name: str) -> tuple[str, ...] | None:
    """The path to a column: its name, or the names of structs and of a field in them, joined by dots.

    A column whose own name contains the dot has priority.

    >>> schema = pa.schema([("a", pa.struct([("b", pa.string())])), ("x.y", pa.string())])
    >>> find_path(schema, "a.b"), find_path(schema, "x.y"), find_path(schema, "a.c")
    (('a', 'b'), ('x.y',), None)
    """
    kinds = {field.name: field.type for field in fields if field.name != RAW}
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
    """``find_path`` for a column that is known to exist."""
    path = find_path(schema, name)
    if path is None:
        raise KeyError(name)
    return path


def field_at(schema: pa.Schema, name: str) -> pa.Field:
    """The field of a column, which may be nested."""
    first, *rest = path_of(schema, name)
    field = schema.field(first)
    for step in rest:
        field = field.type.field(step)
    return field


def column_at(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The values of a column, which may be nested; null where a struct on its path is null."""
    first, *rest = path_of(table.schema, name)
    column = table.column(first)
    return pc.struct_field(column, rest) if rest else column


def with_text(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema with a column of JSON text, or of nulls only, as plain strings, since it must hold texts."""
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
    """The error for a missing column. It lists the columns and suggests the closest name.

    Args:
        what: the subject of the sentence, such as an option with its value.
        name: the missing column.
        names: the columns that exist.

    >>> str(missing_column("--text txt:", "txt", ["id", "text"]))
    "--text txt: is not in the input; did you mean 'text'? Its columns are 'id', 'text'."
    """
    near = difflib.get_close_matches(name, own_names(names), n=1)
    hint = f"; did you mean {near[0]!r}? Its" if near else "; its"
    return UserError(f"{what} is not in the input{hint} columns are {listed(names)}.")
