"""Tables as the bytes of one shard: Parquet, JSON Lines or CSV. Pure functions.

Parquet keeps every type. JSON Lines and CSV write a value like this:

==========================  =============================================  ==============================
value                       JSON Lines                                     CSV
==========================  =============================================  ==============================
text                        string                                         as it is, quoted where needed
null                        ``null``                                       empty field, as an empty text
integer, boolean            number, ``true``                               ``7``, ``true``
float                       shortest number that reads back the same       the same
NaN, infinity               ``null``                                       empty field
date, time, decimal         string: ISO 8601, all digits                   the same, without quotes
binary                      string: base64                                 the same
list, struct, map           array, object, array of pairs                  the JSON text
==========================  =============================================  ==============================
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import itertools
import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.errors import UserError

OUTPUT_FORMATS = ("parquet", "jsonl", "csv")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, which can run commands or send data away."""

_TO_QUOTE = re.compile(r'[",\r\n]')


def encode(table: pa.Table, form: str, *, csv_safe: bool = False) -> bytes:
    """A whole shard.

    Args:
        table: its rows.
        form: one of ``OUTPUT_FORMATS``.
        csv_safe: put an apostrophe before every text in a CSV that a spreadsheet would take for a formula.
    """
    if form == "parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        parquet: bytes = sink.getvalue().to_pybytes()
        return parquet
    columns = [_values(column) for column in table.columns]
    rows: Iterable[tuple[Any, ...]] = zip(*columns, strict=True)
    if form == "jsonl":
        names = table.column_names
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()
    records = itertools.chain([table.column_names], rows)
    lines = (",".join([_cell(value, csv_safe) for value in row]) or '""' for row in records)
    return "".join(f"{line}\n" for line in lines).encode()


def check_encodable(schema: pa.Schema, form: str) -> None:
    """See that a format can hold a schema, before the long work.

    Raises:
        UserError: it cannot.
    """
    with contextlib.suppress(pa.ArrowException):
        encode(schema.empty_table(), form)
        return
    for field in schema:
        try:
            encode(pa.schema([field]).empty_table(), form)
        except pa.ArrowException as error:
            raise UserError(
                f"column {field.name!r} holds {field.type}, which {form} cannot: {error}. "
                "Cast or drop it first, or choose another --output_format."
            ) from error


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column as JSON values."""
    kind = column.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # Arrow's text of a narrow float is short: 0.1, not 0.10000000149011612.
        return [None if v is None else _json(float(v)) for v in column.cast(pa.string()).to_pylist()]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            texts: list[Any] = column.to_pylist()
        except UnicodeDecodeError:
            return [None if v is None else v.decode("utf-8", "backslashreplace") for v in _bytes(column)]
        return texts
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return list(column.to_pylist())
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_duration(kind):
        return _temporal(column)
    try:
        return [_json(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):  # a value inside of a struct or a list is none that Python has
        return [_json(_python(value)) for value in column]


def _python(value: pa.Scalar) -> Any:
    """A value of untrusted bytes: texts that are not UTF-8 escaped, dates out of Python's range as texts."""
    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value.as_buffer().to_pybytes().decode("utf-8", "backslashreplace")
    if pa.types.is_dictionary(kind):
        return _python(value.value)
    if pa.types.is_struct(kind):
        return {name: _python(value[at]) for at, name in enumerate(field.name for field in kind)}
    if pa.types.is_map(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_python(item) for item in value.values]
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return value.cast(pa.string()).as_py()


def _bytes(column: pa.ChunkedArray) -> list[Any]:
    return list(column.cast(pa.large_binary()).to_pylist())


def _temporal(column: pa.ChunkedArray) -> list[Any]:
    """ISO 8601 to the column's own unit: nanoseconds have no Python type."""
    if pa.types.is_duration(column.type):
        return [_json(value) for value in column.to_pylist()]
    texts = column.cast(pa.string()).to_pylist()
    return [None if text is None else text.replace(" ", "T", 1) for text in texts]


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _cell(value: Any, safe: bool) -> str:
    # Not by csv.writer: it leaves a lone carriage return bare, which readers take for the row's end.
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if safe and isinstance(value, str) and text.startswith(FORMULA_STARTS):
        text = f"'{text}"
    if _TO_QUOTE.search(text):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
