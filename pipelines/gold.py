"""Reads pairs for ``pipelines.evaluate``: two texts, and where asked for a gold score and a group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.io.schema import field_at, missing_column
from beam_sts.io.slices import InputPlan, ReadOptions, SliceData, plan_input, read_slices
from beam_sts.transforms.columns import choose_columns, is_text, sift, text_arrays

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class RejectedRow:
    """A row without two texts or a gold number; rows count from 0 within their file."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class Pairs:
    """The usable rows of an input, in its order, and those that are not.

    ``gold`` is 0, and ``groups`` has empty names, where the input was not asked for them. ``file`` is a
    number in ``plan.files``, ``row`` counts from 0 within it.
    """

    plan: InputPlan
    text_columns: tuple[str, str]
    text_a: pa.ChunkedArray
    text_b: pa.ChunkedArray
    gold: NDArray[np.float64]
    groups: list[str]
    file: NDArray[np.int32]
    row: NDArray[np.int64]
    rejected: list[RejectedRow]

    def where(self, index: int) -> str:
        """The place of a usable row, for people."""
        return f"{self.plan.files[self.file[index]].path}, row {self.row[index]:,}"


def read_pairs(
    pattern: str,
    text_a: str | None,
    text_b: str | None,
    gold: str | None,
    group: str | None,
    options: ReadOptions | None = None,
) -> Pairs:
    """Read an input whole and part its rows into usable and rejected.

    Raises:
        UserError: no file, no such column, or a column of the wrong kind.
    """
    plan = plan_input(pattern, ROWS_AT_ONCE, options)
    numbers = {file.path: number for number, file in enumerate(plan.files)}
    columns = choose_columns(plan.schema, text_a, text_b)
    _check_columns(plan.schema, columns, gold, group)
    texts: tuple[list[pa.Array], list[pa.Array]] = ([], [])
    golds: list[NDArray[np.float64]] = [np.empty(0)]
    groups: list[str] = []
    files: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    rejected: list[RejectedRow] = []
    for unit in plan.units:
        for part in read_slices(unit, plan.schema, columns, options):
            values = _numbers(part.table.column(gold)) if gold else np.zeros(len(part.table))
            reasons = _reasons(part, columns, values, gold)
            usable = np.setdiff1d(np.arange(len(part.table)), list(reasons))
            for side, column in zip(texts, text_arrays(part.table, columns, usable), strict=True):
                side.extend(column.chunks)
            golds.append(values[usable])
            names = (
                part.table.column(group).take(pa.array(usable)).to_pylist() if group else [""] * len(usable)
            )
            groups += map(str, names)
            files.append(np.full(len(usable), numbers[part.slice.path], np.int32))
            rows.append(np.asarray(part.rows, np.int64)[usable])
            found = [RejectedRow(part.slice.path, part.rows[index], why) for index, why in reasons.items()]
            found += [RejectedRow(part.slice.path, bad.row, bad.reason) for bad in part.bad]
            rejected += sorted(found, key=lambda each: each.row)
    first, second = (pa.chunked_array(side, pa.large_string()) for side in texts)
    return Pairs(
        plan,
        columns,
        first,
        second,
        np.concatenate(golds),
        groups,
        np.concatenate(files),
        np.concatenate(rows),
        rejected,
    )


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column as floats, NaN where it holds no number; columns of CSV files are texts."""
    if is_text(column.type):
        return np.array([_number(value) for value in column.to_pylist()], np.float64)
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan), np.float64)


def _number(value: str | bytes | None) -> float:
    try:
        return float(value) if value else np.nan
    except ValueError:
        return np.nan


def _check_columns(schema: pa.Schema, columns: tuple[str, str], gold: str | None, group: str | None) -> None:
    for flag, name in (("--score", gold), ("--group", group)):
        if name and name not in schema.names:
            raise missing_column(f"{flag}: column {name!r}", name, schema.names)
    for name in columns:
        kind = field_at(schema, name).type
        if not (is_text(kind) or pa.types.is_null(kind)):
            raise UserError(f"column {name!r} holds {kind}, not texts. Choose with --text_a and --text_b.")
    kind = schema.field(gold).type if gold else pa.null()
    if not (_is_number(kind) or is_text(kind) or pa.types.is_null(kind)):
        raise UserError(f"--score: column {gold!r} holds {kind}, not numbers. Name another, or convert it.")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _reasons(
    part: SliceData, columns: tuple[str, str], values: NDArray[np.float64], gold: str | None
) -> dict[int, str]:
    """Why rows of a slice cannot be used, by their index in its table."""
    sifted = sift(part.table, columns)
    reasons = dict(zip(sifted.bad.tolist(), sifted.reasons, strict=True))
    for index in np.flatnonzero(~np.isfinite(values)).tolist() if gold else ():
        value = part.table.column(gold)[index].as_py()
        said = "null" if value is None else f"no number: {value!r}" if isinstance(value, str) else str(value)
        reasons.setdefault(index, f"{said} in column {gold!r}")
    return reasons
