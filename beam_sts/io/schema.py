"""One schema for all files of an input: united types, partition columns, nested columns by path.

The rule: columns go by name; one that a file lacks is null in its rows; types that differ are widened where
Arrow can do so without loss of kind (int32 and int64, int and float, string and large_string, a struct with
more fields), and refused otherwise. A column that JSON Lines hold in several types is JSON text.
"""

from __future__ import annotations

import difflib
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError

_LISTED = 20  # columns that a message names

JSON_TEXT = {b"beam_sts.json": b"1"}
"""Metadata of a string field that holds JSON text."""

RAW = "beam_sts.raw"
"""Name of the column that has the rows of JSON Lines as they stand, where they are carried."""

MOST_COLUMNS = 200_000
DEEPEST = 64
"""Levels of nested types: Arrow's own files hold no more."""

_TYPE = b"beam_sts.type"  # metadata: the type that a column had in its file, as an Arrow schema of one field
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def is_json(field: pa.Field) -> bool:
    """Whether a field holds JSON text."""
    return bool(field.metadata and field.metadata.get(b"beam_sts.json"))


def own_names(names: Iterable[str]) -> list[str]:
    """The names of the input's own columns, of those that a table has."""
    return [name for name in names if name != RAW]


def listed(names: Iterable[str], most: int = _LISTED) -> str:
    """The first columns of the input, as a message names them.

    >>> listed(["id", "text", "beam_sts.raw"])
    "'id', 'text'"
    >>> listed(["a", "b", "c"], 2)
    "'a', 'b' and 1 more"
    """
    own = own_names(names)
    more = f" and {len(own) - most:,} more" if len(own) > most else ""
    return (", ".join(map(repr, own[:most])) or "none") + more


def check_names(names: Sequence[str], path: str) -> None:
    """See that no two columns of a file have one name, and none a name of ours.

    Raises:
        UserError: two have, or one.
    """
    if RAW in names:
        raise UserError(f"{path}: column {RAW!r} has a name that is used within a run. Rename it.")
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


def check_width(columns: int, path: str) -> None:
    """See that a file has not more columns than memory holds.

    Raises:
        UserError: it has.
    """
    if columns > MOST_COLUMNS:
        raise UserError(
            f"{path}: has {columns:,} columns, over the limit of {MOST_COLUMNS:,}. Put those that belong "
            "together into one list or object, or leave them out."
        )


def raw_last(schema: pa.Schema) -> pa.Schema:
    """The schema with the column of raw rows, if there is one, after all others."""
    at = schema.get_field_index(RAW)
    return schema if at < 0 else schema.remove(at).append(schema.field(at))


def carried(schema: pa.Schema, path: str) -> pa.Schema:
    """A file's schema as its columns are carried: types that kernels lack replaced by their plain twins.

    A column with extension types in it is carried as what they are stored as; its metadata has its type,
    which ``restored`` gives back.

    Raises:
        UserError: a column cannot be carried.
    """
    return pa.schema([_carried(field, path) for field in schema])


def _carried(field: pa.Field, path: str) -> pa.Field:
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != _TYPE}
    if _is_simple(field.type):
        return field.with_metadata(metadata or None)
    if _depth(field.type) > DEEPEST:
        raise UserError(
            f"{path}: column {field.name!r} is nested more than {DEEPEST} deep. Make it JSON text, or "
            "drop it."
        )
    if any(map(_has_list_view, _children(field.type))):
        raise UserError(
            f"{path}: column {field.name!r} is {field.type}, with list views in it. Cast or drop it."
        )
    restored = _rebuilt(field.type, _plain)
    if not _is_fixed_list(_stored(restored)):
        restored = _rebuilt(restored, _loosened)
    plain = _rebuilt(restored, _stored)
    if plain != restored:
        metadata[_TYPE] = pa.schema([pa.field("", restored)]).serialize().to_pybytes()
    wanted = pa.field(field.name, plain, field.nullable, metadata)
    try:
        column = _cast(pa.chunked_array([pa.nulls(2, field.type)]), field, wanted, path)
        column.take(pa.array([1, 0])).filter(pa.array([True, False]))
        pa.concat_arrays([column.chunk(0), column.chunk(0)])
        if pickle.loads(pickle.dumps(wanted)) != wanted:
            raise NotImplementedError("it changes when it is sent to a worker")
    except (pa.ArrowException, NotImplementedError, UserError, RecursionError) as error:
        raise UserError(
            f"{path}: column {field.name!r} is {field.type}, which cannot be carried through: "
            f"{error.__cause__ or error}. Cast the column, or drop it."
        ) from error
    return wanted


def _is_simple(kind: pa.DataType) -> bool:
    types = pa.types
    views = types.is_string_view(kind) or types.is_binary_view(kind)
    extension = isinstance(kind, pa.BaseExtensionType)
    return not (kind.num_fields or views or extension or types.is_dictionary(kind))


def _depth(kind: pa.DataType) -> int:
    """Levels of nesting, without recursion."""
    depth, level = 0, [kind]
    while level and depth <= DEEPEST:
        depth += 1
        level = [child for each in level for child in _children(each)]
    return depth


def _children(kind: pa.DataType) -> list[pa.DataType]:
    if isinstance(kind, pa.BaseExtensionType):
        return [kind.storage_type]
    if pa.types.is_dictionary(kind):
        return [kind.value_type]
    return [kind.field(at).type for at in range(kind.num_fields)]


def _rebuilt(kind: pa.DataType, change: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """A type with the types in it changed, then itself."""
    types = pa.types

    def child(field: pa.Field) -> pa.Field:
        return field.with_type(_rebuilt(field.type, change))

    if types.is_struct(kind):
        kind = pa.struct([child(field) for field in kind])
    elif types.is_map(kind):
        kind = pa.map_(child(kind.key_field), child(kind.item_field), kind.keys_sorted)
    elif types.is_fixed_size_list(kind):
        kind = pa.list_(child(kind.value_field), kind.list_size)
    elif types.is_union(kind):
        fields = [child(kind.field(at)) for at in range(kind.num_fields)]
        kind = pa.union(fields, kind.mode, kind.type_codes)
    elif types.is_dictionary(kind):
        kind = pa.dictionary(kind.index_type, _rebuilt(kind.value_type, change), kind.ordered)
    elif types.is_run_end_encoded(kind):
        kind = pa.run_end_encoded(kind.run_end_type, _rebuilt(kind.value_type, change))
    else:
        for test, make in _LISTS:
            if test(kind):
                kind = make(child(kind.value_field))
                break
    return change(kind)


_LISTS = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_view),
    (pa.types.is_large_list_view, pa.large_list_view),
)


def _plain(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_run_end_encoded(kind):
        return kind.value_type
    if types.is_list_view(kind):
        return pa.list_(kind.value_field)
    if types.is_large_list_view(kind):
        return pa.large_list(kind.value_field)
    if isinstance(kind, pa.BaseExtensionType):
        storage = _rebuilt(kind.storage_type, _plain)
        return kind if storage == kind.storage_type else storage
    return kind


def _has_list_view(kind: pa.DataType) -> bool:
    views = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return views or any(map(_has_list_view, _children(kind)))


def _is_fixed_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def has_fixed_list(kind: pa.DataType) -> bool:
    """Whether there are lists of a fixed size in a type."""
    return _is_fixed_list(kind) or any(map(has_fixed_list, _children(kind)))


def loosened(field: pa.Field) -> pa.Field:
    """A field with plain lists for those of a fixed size: Arrow reads no null among those from Parquet."""
    if not has_fixed_list(field.type):
        return field
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != _TYPE}
    return pa.field(field.name, _rebuilt(field.type, _loosened), field.nullable, metadata)


def _loosened(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType) and has_fixed_list(kind):
        return _rebuilt(kind.storage_type, _loosened)
    return pa.list_(kind.value_field) if _is_fixed_list(kind) else kind


def _stored(kind: pa.DataType) -> pa.DataType:
    return _rebuilt(kind.storage_type, _stored) if isinstance(kind, pa.BaseExtensionType) else kind


class _As:
    """An array under another type of the same layout, by Arrow's C interface."""

    def __init__(self, array: pa.Array, kind: pa.DataType) -> None:
        self._array, self._kind = array, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._kind.__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def _retyped(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column under another type of the same layout."""
    return pa.chunked_array([pa.array(_As(chunk, kind)) for chunk in column.chunks], kind)


def restored(table: pa.Table) -> pa.Table:
    """A table with the types that its columns had in their files, as the metadata of ``carried`` has them."""
    fields = [_restored(field) for field in table.schema]
    columns = [
        column if column.type == field.type else _retyped(column, field.type)
        for column, field in zip(table.columns, fields, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _restored(field: pa.Field) -> pa.Field:
    metadata = dict(field.metadata or {})
    if kept := metadata.pop(_TYPE, None):
        kind = pa.ipc.read_schema(pa.py_buffer(kept)).field(0).type
        return pa.field(field.name, kind, field.nullable, metadata)
    if pa.types.is_struct(field.type):
        return field.with_type(pa.struct([_restored(child) for child in field.type]))
    return field


def unite(first: pa.Schema, second: pa.Schema, path: str, *, lines: bool = False) -> pa.Schema:
    """Two files' schemas as one.

    Args:
        first: of the files before.
        second: of the file at ``path``.
        path: for the message.
        lines: both are of JSON Lines, whose types are found from the values: a column whose types do not go
            together is JSON text, as within one file.

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
    if kinds[0] != kinds[1]:  # a dictionary beside plain values, or beside another dictionary, is decoded
        kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
        kinds = [_rebuilt(kind, _loosened) for kind in kinds]
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
            columns.append(_cast(column, own, field, path))
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, own: pa.Field, wanted: pa.Field, path: str) -> pa.ChunkedArray:
    if is_json(wanted) and not is_json(own):
        texts = [
            None if v is None else json.dumps(v, ensure_ascii=False, default=str) for v in column.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, pa.string())])
    try:
        stored = own.type if _is_simple(own.type) else _rebuilt(own.type, _stored)
        if own.type != stored:
            column, own = _retyped(column, stored), own.with_type(stored)
        if own.type == wanted.type:
            return column
        if pa.types.is_dictionary(own.type):
            column = column.cast(own.type.value_type)
        if pa.types.is_run_end_encoded(own.type):
            column = pc.run_end_decode(column)
        if _has_list_view(own.type):
            column = pa.chunked_array([_unviewed(chunk) for chunk in column.chunks])
        return column.cast(wanted.type)
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: column {own.name!r} is {own.type} here and does not fit {wanted.type}, "
            f"which all files share: {error}. Cast it first."
        ) from error


def _unviewed(views: pa.Array) -> pa.Array:
    """List views as lists. Arrow's own cast reads past the end of a part of an array."""
    lengths = pc.fill_null(pc.list_value_length(views), 0).cast(pa.int64())
    ends = pc.cumulative_sum(lengths)
    large = pa.types.is_large_list_view(views.type)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int64() if large else pa.int32())
    make = pa.LargeListArray if large else pa.ListArray
    return make.from_arrays(offsets, views.flatten(), mask=views.is_null())


def find_path(fields: Iterable[pa.Field], name: str) -> tuple[str, ...] | None:
    """The way to a column: its name, or the names of structs and a field in them, joined by dots.

    A column whose name has the dot itself comes first.

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
    near = difflib.get_close_matches(name, own_names(names), n=1)
    hint = f"; did you mean {near[0]!r}? Its" if near else "; its"
    return UserError(f"{what} is not in the input{hint} columns are {listed(names)}.")
