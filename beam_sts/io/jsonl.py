"""JSON Lines in slices of rows.

Values keep their JSON types: what looks like a date stays a string. A column whose values fit no single Arrow
type (a number here, a list there) is carried as JSON text. Blank lines are not rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.files import file_system
from beam_sts.io.slices import BadRow, FileScan, Slice, SliceData

_BLOCK = 8192
_BOM = b"\xef\xbb\xbf"
_JSON_TEXT = {b"beam_sts.json": b"1"}


class JsonLines:
    """Slices are byte ranges of whole lines, so each is read without what stands before it."""

    suffixes: tuple[str, ...] = (".jsonl", ".ndjson", ".json")

    def scan(self, path: str, rows_per_slice: int) -> FileScan:
        """Read the file once: count its rows, unite their types, hash its bytes."""
        digest = sha256()
        slices: list[Slice] = []
        types: dict[str, pa.DataType | None] = {}
        block: list[dict[str, Any]] = []
        row = offset = 0
        start = (0, 0, 1)  # row, byte, line where the open slice starts
        for line_number, line in enumerate(_lines(path), start=1):
            digest.update(line)
            if line.strip():
                if row - start[0] == rows_per_slice:
                    slices.append(
                        Slice(len(slices), path, start[0], row - start[0], start[1], offset, start[2])
                    )
                    start = (row, offset, line_number)
                record = _parse(line)
                if isinstance(record, dict):
                    block.append(record)
                row += 1
            offset += len(line)
            if len(block) == _BLOCK:
                _unite_types(types, block)
                block = []
        _unite_types(types, block)
        if row > start[0]:
            slices.append(Slice(len(slices), path, start[0], row - start[0], start[1], offset, start[2]))
        schema = pa.schema(
            [
                pa.field(name, pa.string(), metadata=_JSON_TEXT) if kind is None else pa.field(name, kind)
                for name, kind in types.items()
            ]
        )
        if row and not types:
            raise UserError(f"{path}: none of its {row} lines is a JSON object.")
        return FileScan(schema, slices, digest.hexdigest())

    def units(self, slices: list[Slice]) -> list[list[Slice]]:
        """Each slice alone: byte ranges need no common pass."""
        return [[part] for part in slices]

    def read(
        self, unit: Sequence[Slice], schema: pa.Schema, text_columns: Sequence[str]
    ) -> Iterator[SliceData]:
        """Parse the lines of each slice; a line that does not parse is a bad row."""
        for part in unit:
            yield _read_slice(part, schema, text_columns)


def _read_slice(part: Slice, schema: pa.Schema, text_columns: Sequence[str]) -> SliceData:
    fs, inside = file_system(part.path)
    data = fs.cat_file(inside, start=part.byte_start, end=part.byte_stop)
    good: list[dict[str, Any]] = []
    rows: list[int] = []
    bad: list[BadRow] = []
    row = part.row
    for number, line in enumerate(data.split(b"\n"), start=part.line):
        if not line.strip():
            continue
        record = _parse(line)
        reason = _fault(record, text_columns)
        if reason:
            bad.append(BadRow(row, f"line {number}: {reason}", line.decode("utf-8", "backslashreplace")))
        else:
            good.append(record)
            rows.append(row)
        row += 1
    if row - part.row != part.rows:
        raise UserError(f"{part.path}: changed while it was read (rows from {part.row}). Start again.")
    return SliceData(part, _to_table(good, schema), rows, bad)


def _lines(path: str) -> Iterator[bytes]:
    fs, inside = file_system(path)
    try:
        with fs.open(inside, "rb") as stream:
            yield from stream
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _parse(line: bytes) -> Any:
    """The parsed line, or the exception that parsing raised."""
    try:
        record = json.loads(line.removeprefix(_BOM).decode("utf-8"))
        if b"\\u" in line:
            json.dumps(record, ensure_ascii=False).encode("utf-8")  # lone surrogates fit no Arrow string
    except (ValueError, RecursionError) as error:
        return error
    return record


def _fault(record: Any, text_columns: Sequence[str]) -> str | None:
    if isinstance(record, (UnicodeDecodeError, UnicodeEncodeError)):
        return f"not valid UTF-8: {record.reason}"
    if isinstance(record, Exception):
        return f"not valid JSON: {record}"
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__}, not an object"
    for name in text_columns:
        value = record.get(name)
        if value is not None and not isinstance(value, str):
            return f"column {name!r} holds {json.dumps(value)[:40]}, not a text"
    return None


def _unite_types(types: dict[str, pa.DataType | None], block: Iterable[dict[str, Any]]) -> None:
    """Widen the column types to hold a block of records; None stands for JSON text."""
    columns: dict[str, list[Any]] = {}
    for record in block:
        for name, value in record.items():
            columns.setdefault(name, []).append(value)
    for name, values in columns.items():
        try:
            kind = pa.array(values).type
            if _has_empty_struct(kind):
                raise pa.ArrowInvalid("Parquet has no struct without fields")
            known = types.get(name, kind)
            if known is not None:
                fields = [pa.schema([pa.field(name, each)]) for each in (known, kind)]
                known = pa.unify_schemas(fields, promote_options="permissive").field(name).type
        except (pa.ArrowException, OverflowError):
            known = None
        types[name] = known


def _has_empty_struct(kind: pa.DataType) -> bool:
    children = [kind.field(i).type for i in range(kind.num_fields)]
    return (pa.types.is_struct(kind) and not children) or any(map(_has_empty_struct, children))


def _to_table(records: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = []
    for f in schema:
        values = [record.get(f.name) for record in records]
        if f.metadata and f.metadata.get(b"beam_sts.json"):
            values = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
        columns.append(pa.array(values, f.type))
    return pa.Table.from_arrays(columns, schema=schema)
