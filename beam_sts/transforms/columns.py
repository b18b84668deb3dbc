"""Which columns hold the two texts, and which rows of a table can be scored. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.errors import UserError
from beam_sts.scoring.scorer import ScoreResult

KNOWN_COLUMNS = (
    ("sentence1", "sentence2"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("premise", "hypothesis"),
)


def choose_columns(names: Sequence[str], text_a: str | None, text_b: str | None) -> tuple[str, str]:
    """The two text columns: as asked, else the first known pair of names.

    Raises:
        UserError: a named column is missing, or nothing is named and no known pair is there.

    >>> choose_columns(["id", "premise", "hypothesis"], None, None)
    ('premise', 'hypothesis')
    """
    listed = ", ".join(map(repr, names)) or "none"
    if (text_a is None) != (text_b is None):
        raise UserError("--text_a and --text_b go together: name both columns or neither.")
    if text_a is not None and text_b is not None:
        for name in (text_a, text_b):
            if name not in names:
                raise UserError(f"column {name!r} is not in the input; its columns are {listed}.")
        return text_a, text_b
    for pair in KNOWN_COLUMNS:
        if set(pair) <= set(names):
            return pair
    raise UserError(
        f"no text columns recognised among {listed}. Name them with --text_a and --text_b "
        f"(found without naming: {', '.join('/'.join(pair) for pair in KNOWN_COLUMNS)})."
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column type holds texts, dictionary-encoded ones included."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def check_schema(schema: pa.Schema, text_columns: Sequence[str], added: Sequence[str]) -> None:
    """See that the text columns hold texts and that the columns we add are not there yet.

    Raises:
        UserError: naming the column and the way out.
    """
    for name in text_columns:
        kind = schema.field(name).type
        if not is_text(kind) and not pa.types.is_null(kind):
            raise UserError(
                f"column {name!r} holds {kind}, not texts. Choose others with --text_a and --text_b."
            )
    for name in added:
        if name in schema.names:
            raise UserError(
                f"the input already has a column {name!r}. Give our score another name with --score_column, "
                "or rename the input's."
            )


def text_schema(schema: pa.Schema, text_columns: Sequence[str]) -> pa.Schema:
    """The schema with texts that are mixed with other JSON values, or all null, as plain strings."""
    for name in text_columns:
        field = schema.field(name)
        if field.metadata or pa.types.is_null(field.type):
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    return schema


@dataclass(frozen=True)
class Sifted:
    """A table split into what can be scored and what cannot.

    ``good`` and ``bad`` are row indices; ``reasons`` stand beside ``bad``.
    """

    good: np.ndarray
    bad: np.ndarray
    reasons: list[str]


def sift(table: pa.Table, text_columns: Sequence[str], *, empty: str = "score") -> Sifted:
    """Find the rows whose texts cannot be scored: null, or empty under ``empty="reject"``."""
    reasons = np.full(len(table), "", dtype=object)
    for name in reversed(text_columns):
        column = table.column(name)
        if empty == "reject" and not pa.types.is_null(column.type):
            blank = pc.fill_null(pc.equal(pc.utf8_length(_plain(column)), 0), False)
            reasons[np.asarray(blank)] = f"empty text in column {name!r}"
        reasons[np.asarray(column.is_null())] = f"null in column {name!r}"
    bad = np.flatnonzero(reasons != "")
    return Sifted(np.flatnonzero(reasons == ""), bad, reasons[bad].tolist())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.large_string())


def text_arrays(
    table: pa.Table, text_columns: Sequence[str], rows: np.ndarray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The two text columns of some rows, as large strings."""
    first, second = (
        _plain(table.column(name) if len(rows) == len(table) else table.column(name).take(pa.array(rows)))
        for name in text_columns
    )
    return first, second


def attach(
    table: pa.Table, sifted: Sifted, result: ScoreResult, score_column: str
) -> tuple[pa.Table, np.ndarray, list[str]]:
    """Put the scores beside their rows.

    Args:
        table: the rows as they came.
        sifted: which of them were scored.
        result: scores of ``sifted.good``; the rows that failed there join the bad ones.
        score_column: name of the score.

    Returns:
        The scored rows plus the score, then index and reason of every other row; all in row order.
    """
    failed = np.array(list(result.failures), dtype=np.int64)
    keep = np.ones(len(sifted.good), dtype=bool)
    keep[failed] = False
    why = dict(zip(sifted.bad.tolist(), sifted.reasons, strict=True))
    why.update(zip(sifted.good[failed].tolist(), result.failures.values(), strict=True))
    bad = sorted(why)
    scored = table.take(pa.array(sifted.good[keep])) if bad else table
    column = pa.array(result.scores[keep], pa.float32())
    scored = scored.append_column(pa.field(score_column, pa.float32(), nullable=False), column)
    return scored, np.array(bad, dtype=np.int64), [why[row] for row in bad]
