"""The texts of rows: a column, several columns joined, or an SQL expression over the columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError
from beam_sts.io.column_paths import column_at, field_at, find_path, listed, missing_column
from beam_sts.io.expressions import evaluate
from beam_sts.scoring.columns import as_bytes, is_text_type

JOINED = "\n"
"""The separator between the texts of several columns."""
_EXPRESSION = re.compile(r"[()|'\"]")


def text_columns(schema: pa.Schema, text: str) -> tuple[str, ...]:
    """The columns that hold the texts; none if ``text`` is an expression.

    Args:
        schema: the schema of the input.
        text: a column, several columns joined by commas, or an expression. A column of that exact name has
            priority.

    >>> schema = pa.schema([("name", pa.string()), ("address", pa.string()), ("a,b", pa.string())])
    >>> text_columns(schema, "name, address"), text_columns(schema, "a,b")
    (('name', 'address'), ('a,b',))
    >>> text_columns(schema, "lower(name)")
    ()
    """
    if find_path(schema, text):
        return (text,)
    if _EXPRESSION.search(text):
        return ()
    return tuple(name.strip() for name in text.split(","))


def check_text(schema: pa.Schema, text: str, what: str) -> None:
    """Check that the columns exist and hold texts, or that the expression gives texts.

    Args:
        schema: the schema of the input.
        text: as for :func:`text_columns`.
        what: the name of the setting in messages, such as ``--text``.

    Raises:
        UserError: a column is missing or holds no texts. The message names it and the columns that exist.
    """
    columns = text_columns(schema, text)
    for name in columns:
        if not find_path(schema, name):
            raise missing_column(f"{what} {name}:", name, schema.names)
    several = len(columns) > 1
    kinds = [field_at(schema, name).type for name in columns]
    if not columns:
        columns, kinds = (text,), [evaluate(schema.empty_table(), text, what).type]
    for name, kind in zip(columns, kinds, strict=True):
        if not (is_text_type(kind) or pa.types.is_null(kind) or (several and pa.types.is_integer(kind))):
            raise UserError(
                f"{what} {name}: holds {kind}, not texts. The columns are {listed(schema.names)}."
            )


def texts_in(table: pa.Table, text: str, what: str = "text") -> pa.ChunkedArray:
    r"""The texts of rows. Nulls among several columns are left out; if all are null, the text is null.

    Args:
        table: n rows.
        text: as for :func:`text_columns`, already checked.
        what: the name of the setting in messages.

    Returns:
        n texts, as bytes if several columns are joined.

    >>> table = pa.table({"name": ["Ann", None, None], "zip": [1, 2, None]})
    >>> texts_in(table, "name,zip").to_pylist()
    [b'Ann\n1', b'2', None]
    """
    columns = text_columns(table.schema, text)
    if not columns:
        return evaluate(table, text, what)
    if len(columns) == 1:
        return column_at(table, text)
    return pa.chunked_array([_joined([_as_bytes(column_at(table, name)) for name in columns])])


def _joined(columns: Sequence[pa.Array]) -> pa.Array:
    joined = columns[0]
    for column in columns[1:]:
        both = pc.binary_join_element_wise(joined, column, pa.scalar(JOINED.encode(), pa.large_binary()))
        joined = pc.coalesce(both, joined, column)
    return joined


def _as_bytes(column: pa.ChunkedArray) -> pa.Array:
    whole = pa.types.is_integer(column.type)
    return as_bytes(column.cast(pa.large_string()) if whole else column).combine_chunks()
