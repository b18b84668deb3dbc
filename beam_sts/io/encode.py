"""Encodes tables as the bytes of a shard: Parquet, JSON Lines or CSV. Pure functions.

Parquet keeps all types. JSON Lines and CSV write values as follows:

==========================  =============================================  ==============================
value                       JSON Lines                                     CSV
==========================  =============================================  ==============================
text                        string                                         as it is, quoted where needed
null                        ``null``                                       empty field, as an empty text
integer, boolean            number, ``true``                               ``7``, ``true``
float                       shortest number that reads back the same       the same
NaN, infinity               ``null``                                       empty field
date, time, decimal         string: ISO 8601, all digits                   the same, without quotes
duration                    string: days, hours:minutes:seconds            the same, without quotes
binary                      string: base64                                 the same
list, struct, map           array, object, array of pairs                  the JSON text
==========================  =============================================  ==============================
"""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import math
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.errors import UserError
from beam_sts.io.carried_types import loosened, restored
from beam_sts.io.column_paths import RAW, is_json

OUTPUT_FORMATS = ("parquet", "jsonl", "csv")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets treat a cell that starts like this as a formula, which can run commands or send data away."""

_PARTS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # parts per second, by unit
_TO_QUOTE = re.compile(r'[",\r\n]')


def encode(table: pa.Table, form: str, *, csv_safe: bool = False) -> bytes:
    """Encode a table as a shard.

    Args:
        table: the rows.
        form: one of ``OUTPUT_FORMATS``.
        csv_safe: in CSV, put an apostrophe before each text that a spreadsheet would treat as a formula.

    Returns:
        The bytes of the file.
    """
    table = restored(table)
    if form == "parquet":
        table = table.drop_columns([RAW]) if RAW in table.column_names else table
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        parquet: bytes = sink.getvalue().to_pybytes()
        return parquet
    if form == "jsonl":
        return "".join(f"{line}\n" for line in _objects(table)).encode()
    table = table.drop_columns([RAW]) if RAW in table.column_names else table
    columns = [_values(column) for column in table.columns]
    records = itertools.chain([table.column_names], zip(*columns, strict=True))
    lines = (",".join([_cell(value, csv_safe) for value in row]) or '""' for row in records)
    return "".join(f"{line}\n" for line in lines).encode()


def _objects(table: pa.Table) -> list[str]:
    """The rows as JSON objects.

    A row that is carried with its original text keeps that text, to the last digit. Added to it are the
    columns after it, and values that only other columns have, such as that of a partition folder.
    """
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    raw = table.schema.get_field_index(RAW)
    if raw < 0:
        columns = map(_json_texts, table.columns, table.schema)
        members = zip(*columns, strict=True) if names else itertools.repeat((), len(table))
        return ["{" + ", ".join(map(": ".join, zip(names, row, strict=True))) + "}" for row in members]
    texts = table.column(raw).to_pylist()
    keys = [frozenset(json.loads(text)) if text is not None else None for text in texts]
    added: list[list[str]] = [[] for _ in texts]
    for at, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
        if at == raw:
            continue
        there = np.asarray(column.is_valid())
        rows = [
            row
            for row, known in enumerate(keys)
            if known is None or at > raw or (there[row] and field.name not in known)
        ]
        values = _json_texts(column.take(pa.array(rows, pa.int64())), field) if rows else []
        for row, value in zip(rows, values, strict=True):
            added[row].append(f"{names[at]}: {value}")
    return [_with_members(text or "{}", more) for text, more in zip(texts, added, strict=True)]


def _with_members(text: str, more: list[str]) -> str:
    """The text of a JSON object with members added at its end."""
    if not more:
        return text
    body = text[:-1].rstrip()
    return f"{body}{'' if body == '{' else ', '}{', '.join(more)}}}"


def _json_texts(column: pa.ChunkedArray, field: pa.Field) -> list[str]:
    """The values of a column as JSON texts."""
    if is_json(field) or isinstance(column.type, pa.JsonType):
        return [_as_json(value) for value in _values(column)]
    if pa.types.is_struct(column.type) and _carries_raw(column.type):
        there = np.asarray(column.is_valid())
        rows = pa.array(np.flatnonzero(there))
        records = column.take(rows).combine_chunks()
        texts = iter(_objects(pa.Table.from_struct_array(records)))
        return [next(texts) if valid else "null" for valid in there.tolist()]
    return [_dumps(value) for value in _values(column)]


def _carries_raw(kind: pa.DataType) -> bool:
    return any(field.name == RAW or is_json(field) for field in kind)


def _as_json(text: str | None) -> str:
    """Valid JSON text unchanged; any other text as a JSON string."""
    try:
        if text is not None:
            json.loads(text)
        return text or "null"
    except (ValueError, RecursionError):
        return _dumps(text)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def check_encodable(schema: pa.Schema, form: str) -> None:
    """Check that a format can hold a schema, before the long work.

    Raises:
        UserError: it cannot.
    """
    for field in schema:
        record = loosened(field).with_nullable(True)  # as in the rejected rows, where it may be null
        nulls = pa.table([pa.nulls(1, pa.struct([record]))], ["record"])
        try:
            encode(pa.schema([field]).empty_table(), form)
            encode(nulls.take(pa.array([0, None], pa.int64())), form)
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"column {field.name!r} holds {field.type}, which {form} cannot: {error}. "
                "Cast or drop it first, or choose another --output_format."
            ) from error


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column as JSON values."""
    kind = column.type
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        # Arrow prints the shortest text of a narrow float: 0.1 instead of 0.10000000149011612.
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
    if "[ns" not in str(kind):  # pyarrow converts nested nanoseconds to pandas types, if it can
        with suppress(ValueError, OverflowError):  # a nested value that Python cannot represent
            return [_json(value) for value in column.to_pylist()]
    return [_json(_python(value)) for value in column]


def _python(value: pa.Scalar) -> Any:
    """Convert an untrusted value: invalid UTF-8 is escaped, dates beyond Python's range become texts."""
    if not value.is_valid:
        return None
    kind = value.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value.as_buffer().to_pybytes().decode("utf-8", "backslashreplace")
    if pa.types.is_dictionary(kind):
        return _python(value.value)
    if pa.types.is_duration(kind):
        return _duration(value.value, _PARTS[kind.unit])
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _iso(value.cast(pa.string()).as_py())
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
    """ISO 8601 texts in the unit of the column, since Python has no type for nanoseconds."""
    if pa.types.is_duration(column.type):
        each = _PARTS[column.type.unit]
        return [None if n is None else _duration(n, each) for n in column.cast(pa.int64()).to_pylist()]
    texts = column.cast(pa.string()).to_pylist()
    return [None if text is None else _iso(text) for text in texts]


def _iso(text: str) -> str:
    """Convert Arrow's notation of times to ISO 8601."""
    return text.replace(" ", "T", 1)


def _duration(count: int, each: int) -> str:
    """Format a duration of ``count`` parts, ``each`` per second, as Python's timedelta; also nanoseconds."""
    seconds, part = divmod(count, each)
    days, seconds = divmod(seconds, 86_400)
    before = f"{days} day{'' if abs(days) == 1 else 's'}, " if days else ""
    nanoseconds = part * 10**9 // each
    after = (
        f".{nanoseconds:09}" if nanoseconds % 1000 else f".{nanoseconds // 1000:06}" if nanoseconds else ""
    )
    return f"{before}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{after}"


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
    # csv.writer is not used: it leaves a lone carriage return unquoted, which readers treat as the end of a
    # row.
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if safe and isinstance(value, str) and text.startswith(FORMULA_STARTS):
        text = f"'{text}"
    if _TO_QUOTE.search(text):
        text = text.replace('"', '""')
        return f'"{text}"'
    return text
