"""Columns of any Arrow type in a run. Types that Arrow's compute functions lack become plain types."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError
from beam_sts.io.column_paths import is_json

DEEPEST = 64
"""The most levels of nesting; Arrow files allow no more."""


_TYPE = b"beam_sts.type"  # metadata key: the type of a column in its file, as an Arrow schema of one field


def carried(schema: pa.Schema, path: str) -> pa.Schema:
    """The schema under which a file is processed. Types that Arrow's compute functions lack become plain.

    A column that contains extension types is processed as its storage type. Its metadata records the original
    type, which ``restored`` returns to.

    Raises:
        UserError: a column has a type that is not supported.
    """
    return pa.schema([_carried(field, path) for field in schema])


def _carried(field: pa.Field, path: str) -> pa.Field:
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != _TYPE}
    if _is_simple(field.type):
        return field.with_metadata(metadata or None)
    if _depth(field.type) > DEEPEST:
        raise UserError(
            f"{path}: column {field.name!r} is nested more than {DEEPEST} levels deep. Convert it to JSON "
            "text, or drop it."
        )
    if any(map(has_list_view, _children(field.type))):
        raise UserError(
            f"{path}: column {field.name!r} is {field.type}, which contains list views. Cast or drop it."
        )
    restored = _rebuilt(field.type, _plain)
    if not _is_fixed_list(_stored(restored)):
        restored = loosened_type(restored)
    plain = _rebuilt(restored, _stored)
    if plain != restored:
        metadata[_TYPE] = pa.schema([pa.field("", restored)]).serialize().to_pybytes()
    wanted = pa.field(field.name, plain, field.nullable, metadata)
    try:
        column = cast(pa.chunked_array([pa.nulls(2, field.type)]), field, wanted, path)
        column.take(pa.array([1, 0])).filter(pa.array([True, False]))
        pa.concat_arrays([column.chunk(0), column.chunk(0)])
        if pickle.loads(pickle.dumps(wanted)) != wanted:
            raise NotImplementedError("it changes when it is sent to a worker")
    except (pa.ArrowException, NotImplementedError, UserError, RecursionError) as error:
        raise UserError(
            f"{path}: column {field.name!r} is {field.type}, which is not supported: "
            f"{error.__cause__ or error}. Cast the column, or drop it."
        ) from error
    return wanted


def _is_simple(kind: pa.DataType) -> bool:
    types = pa.types
    views = types.is_string_view(kind) or types.is_binary_view(kind)
    extension = isinstance(kind, pa.BaseExtensionType)
    return not (kind.num_fields or views or extension or types.is_dictionary(kind))


def _depth(kind: pa.DataType) -> int:
    """The levels of nesting, without recursion."""
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
    """Apply a function to the types within a type, and then to the result."""
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


def has_list_view(kind: pa.DataType) -> bool:
    """Whether a type contains list views."""
    views = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    return views or any(map(has_list_view, _children(kind)))


def _is_fixed_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def has_fixed_list(kind: pa.DataType) -> bool:
    """Whether a type contains lists of a fixed size."""
    return _is_fixed_list(kind) or any(map(has_fixed_list, _children(kind)))


def loosened(field: pa.Field) -> pa.Field:
    """A field with variable-size lists for those of a fixed size, which Arrow cannot read with nulls."""
    if not has_fixed_list(field.type):
        return field
    metadata = {key: value for key, value in (field.metadata or {}).items() if key != _TYPE}
    return pa.field(field.name, loosened_type(field.type), field.nullable, metadata)


def loosened_type(kind: pa.DataType) -> pa.DataType:
    """A type with variable-size lists for those of a fixed size."""
    return _rebuilt(kind, _loosened)


def _loosened(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType) and has_fixed_list(kind):
        return _rebuilt(kind.storage_type, _loosened)
    return pa.list_(kind.value_field) if _is_fixed_list(kind) else kind


def _stored(kind: pa.DataType) -> pa.DataType:
    return _rebuilt(kind.storage_type, _stored) if isinstance(kind, pa.BaseExtensionType) else kind


class _As:
    """An array under another type of the same layout, through Arrow's C data interface."""

    def __init__(self, array: pa.Array, kind: pa.DataType) -> None:
        self._array, self._kind = array, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._kind.__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def _retyped(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column under another type of the same layout."""
    return pa.chunked_array([pa.array(_As(chunk, kind)) for chunk in column.chunks], kind)


def restored(table: pa.Table) -> pa.Table:
    """The table with the types that its columns have in their files, from the metadata of ``carried``."""
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


def type_in_file(field: pa.Field) -> pa.DataType:
    """The type of a column in its file."""
    return _restored(field).type


def cast(column: pa.ChunkedArray, own: pa.Field, wanted: pa.Field, path: str) -> pa.ChunkedArray:
    """Convert a column of a file to the type that the input has.

    Args:
        column: the values.
        own: the field in the file.
        wanted: the field in the input.
        path: the file, for the message.

    Raises:
        UserError: a value does not fit.
    """
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
        if has_list_view(own.type):
            column = pa.chunked_array([_unviewed(chunk) for chunk in column.chunks])
        return column.cast(wanted.type)
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: column {own.name!r} is {own.type} here and does not fit {wanted.type}, "
            f"its type in the other files: {error}. Cast it first."
        ) from error


def _unviewed(views: pa.Array) -> pa.Array:
    """Convert list views to lists. Arrow's cast reads past the end of a sliced array."""
    lengths = pc.fill_null(pc.list_value_length(views), 0).cast(pa.int64())
    ends = pc.cumulative_sum(lengths)
    large = pa.types.is_large_list_view(views.type)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int64() if large else pa.int32())
    make = pa.LargeListArray if large else pa.ListArray
    return make.from_arrays(offsets, views.flatten(), mask=views.is_null())
