"""Which columns hold the two texts, and which rows of a table can be scored. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError
from beam_sts.examples import LONGEST_BYTES, Example, reason_kind, shorten
from beam_sts.io.blank import blank_rows
from beam_sts.io.column_paths import (
    column_at,
    field_at,
    find_path,
    listed,
    missing_column,
    own_names,
    with_text,
)
from beam_sts.scoring.result import ScoreResult

KNOWN_COLUMNS = (
    ("sentence1", "sentence2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
)


def choose_columns(
    schema: pa.Schema | Sequence[str], text_a: str | None, text_b: str | None
) -> tuple[str, str]:
    """The names of the two text columns: those given, or else the first known pair of names.

    Args:
        schema: the table's schema, or its column names; a path into a struct needs the schema.
        text_a: first column, or the path of a field in a struct (``a.b``).
        text_b: second column.

    Raises:
        UserError: a named column is missing, or none is named and the schema has no known pair of names.

    >>> choose_columns(["id", "premise", "hypothesis"], None, None)
    ('premise', 'hypothesis')
    """
    names = own_names(schema.names if isinstance(schema, pa.Schema) else schema)
    asked = {"--text_a": text_a, "--text_b": text_b}
    wrong = [
        str(missing_column(f"{flag} {name}:", name, names))
        for flag, name in asked.items()
        if name is not None
        and name not in names
        and not (isinstance(schema, pa.Schema) and find_path(schema, name))
    ]
    if (text_a is None) != (text_b is None):
        absent = "--text_a" if text_a is None else "--text_b"
        wrong.append(f"{absent}: is not given. Name both columns or neither.")
    if wrong:
        raise UserError(" ".join(wrong))
    if text_a is not None and text_b is not None:
        return text_a, text_b
    for pair in KNOWN_COLUMNS:
        if set(pair) <= set(names):
            return pair
    known = ", ".join("/".join(pair) for pair in KNOWN_COLUMNS)
    alone = " In a CSV file, --delimiter says what separates the columns." if len(names) == 1 else ""
    raise UserError(
        f"no text columns recognised among {listed(names)}. Name them with --text_a and --text_b "
        f"(known pairs: {known}).{alone}"
    )


def is_text_type(kind: pa.DataType) -> bool:
    """Whether a column type can hold texts: strings or UTF-8 bytes, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in (*tests, types.is_binary, types.is_large_binary, types.is_binary_view))


def check_texts(schema: pa.Schema, text_columns: Sequence[str]) -> None:
    """Check that the text columns hold texts.

    Raises:
        UserError: a column holds something else; the message names it.
    """
    for name in text_columns:
        kind = field_at(schema, name).type
        if not is_text_type(kind) and not pa.types.is_null(kind):
            raise UserError(
                f"column {name!r} holds {kind}, not texts. Choose others with --text_a and --text_b."
            )


def text_schema(schema: pa.Schema, text_columns: Sequence[str]) -> pa.Schema:
    """The schema in which text columns of mixed JSON values, or of nulls only, are plain strings."""
    for name in text_columns:
        schema = with_text(schema, name)
    return schema


@dataclass(frozen=True)
class CheckedRows:
    """The rows of a table that can be scored and those that cannot.

    Attributes:
        good: indices of the rows that can be scored.
        bad: indices of the other rows.
        reasons: why, one for each of ``bad``.
    """

    good: np.ndarray
    bad: np.ndarray
    reasons: list[str]


def check_rows(table: pa.Table, text_columns: Sequence[str], *, empty: str = "score") -> CheckedRows:
    """Find the rows whose texts cannot be scored: null, not UTF-8, or blank under ``empty="reject"``."""
    reasons = np.full(len(table), "", dtype=object)
    for name in reversed(text_columns):
        column = as_bytes(column_at(table, name))
        texts = np.ones(len(table), dtype=bool)
        wrong = {
            "null": np.flatnonzero(np.asarray(column.is_null())),
            "not valid UTF-8": np.array(_undecodable(column), dtype=np.int64),
        }
        for reason, rows in wrong.items():
            reasons[rows] = f"{reason} in column {name!r}"
            texts[rows] = False
        if empty == "reject":
            there = np.flatnonzero(texts)
            blank = blank_rows(column.take(pa.array(there)).cast(pa.large_string()))
            reasons[there[blank]] = f"empty text in column {name!r}"
    bad = np.flatnonzero(reasons != "")
    return CheckedRows(np.flatnonzero(reasons == ""), bad, reasons[bad].tolist())


def as_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts of any type as bytes; nulls inside dictionaries become nulls."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_binary())


def _undecodable(column: pa.ChunkedArray) -> list[int]:
    """Rows whose bytes are not UTF-8. Neither Parquet nor Arrow files guarantee that their strings are."""
    try:
        column.cast(pa.large_string())  # fast: checks all rows at once
    except pa.ArrowInvalid:
        return [
            row for row, value in enumerate(column.to_pylist()) if value is not None and not _decodes(value)
        ]
    return []


def _decodes(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def text_arrays(
    table: pa.Table, text_columns: Sequence[str], rows: np.ndarray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The two text columns as large strings, for the given row indices."""
    columns = (column_at(table, name) for name in text_columns)
    first, second = (
        as_bytes(column if len(rows) == len(table) else column.take(pa.array(rows))).cast(pa.large_string())
        for column in columns
    )
    return first, second


def attach(
    table: pa.Table, checked: CheckedRows, result: ScoreResult, score_column: str
) -> tuple[pa.Table, np.ndarray, list[str]]:
    """Add the column of scores to a table, without the rows that have none.

    Args:
        table: the rows of the input.
        checked: which of them were to be scored.
        result: scores of ``checked.good``; rows that failed to score are rejected too.
        score_column: name of the column of scores.

    Returns:
        The scored rows with their scores; the indices of all other rows; the reasons for these. All in row
        order.
    """
    failed = np.array(list(result.failures), dtype=np.int64)
    keep = np.ones(len(checked.good), dtype=bool)
    keep[failed] = False
    why = dict(zip(checked.bad.tolist(), checked.reasons, strict=True))
    why.update(zip(checked.good[failed].tolist(), result.failures.values(), strict=True))
    bad = sorted(why)
    scored = table.take(pa.array(checked.good[keep])) if bad else table
    column = pa.array(result.scores[keep], pa.float32())
    scored = scored.append_column(pa.field(score_column, pa.float32(), nullable=False), column)
    return scored, np.array(bad, dtype=np.int64), [why[row] for row in bad]


def rejected_examples(rejected: pa.Table, columns: Sequence[str], each: int) -> list[Example]:
    """The rejected rows that a report shows: the first ``each`` of each reason.

    Args:
        rejected: a table that ``rejected_table`` made.
        columns: the names of one or two text columns.
        each: how many rows for each reason.
    """
    kinds: dict[str, list[int]] = {}
    for row, reason in enumerate(rejected.column("reason").to_pylist()):
        kinds.setdefault(reason_kind(reason), []).append(row)
    rows = sorted(row for found in kinds.values() for row in found[:each])
    some = rejected.take(pa.array(rows, pa.int64()))
    records = pa.Table.from_struct_array(some.column("record"))
    every = np.arange(len(some))
    texts = [list(map(shorten, beginnings(records, name, every, LONGEST_BYTES))) for name in columns]
    return [
        {
            "kind": "rejected",
            "file": file,
            "row": row,
            "reason": shorten(reason),
            **{side: text[at] for side, text in zip(("text_a", "text_b"), texts, strict=False)},
            "line": shorten(line),
        }
        for at, (file, row, reason, line) in enumerate(
            zip(*(some.column(name).to_pylist() for name in ("file", "row", "reason", "line")), strict=True)
        )
    ]


def beginnings(table: pa.Table, name: str, rows: np.ndarray, most: int) -> list[bytes | None]:
    """The texts of some rows of a column, cut to ``most`` bytes before they become Python objects."""
    column = as_bytes(column_at(table, name).take(pa.array(rows)))
    texts: list[bytes | None] = pc.binary_slice(column, 0, most).to_pylist()
    return texts
