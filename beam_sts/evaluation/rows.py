"""From a slice of the input to pairs, and from their scores to rows and entries. Pure functions.

An *entry* is an answer with its score. A row has one entry or, in the wide form, one for each system that
answered.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.evaluation.rules import RULES, Blend
from beam_sts.evaluation.settings import EvaluationSettings, holds_texts
from beam_sts.examples import reason_kind
from beam_sts.io.column_paths import column_at, field_at, is_json
from beam_sts.io.rejected import rejected_table
from beam_sts.io.slices import SliceData
from beam_sts.scoring.columns import as_bytes, check_rows, is_text_type
from beam_sts.scoring.result import ScoreResult, ScoreStats

ENTRIES = pa.schema(
    [
        ("score", pa.float32()),
        ("group", pa.dictionary(pa.int32(), pa.string())),
        ("question", pa.int64()),
        ("gold", pa.float64()),
        ("position", pa.int32()),
    ]
)
"""The columns of an entry: 28 bytes, without texts. ``position`` is the index of its row in the slice."""
_TRUTH = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Prepared:
    """The pairs of a slice: for each entry, in row order, its answer with every reference of its row.

    The model scores ``answers`` and ``references``, which depend on the rule, and ``blend`` computes the
    scores of the pairs from the model's. ``entry`` is the index of each pair's entry. ``position`` and
    ``system`` are those of the entries.
    """

    data: SliceData
    answers: pa.ChunkedArray
    references: pa.ChunkedArray
    blend: Blend
    entry: IntArray
    position: IntArray
    system: IntArray
    gold: NDArray[np.float64]
    reasons: dict[int, str]


@dataclass(frozen=True)
class Part:
    """The result of a slice: its scored rows, its rejected rows, and the columns of its entries."""

    data: SliceData
    scored: pa.Table
    rejected: pa.Table
    entries: pa.Table
    stats: ScoreStats
    tokens: IntArray

    @property
    def reasons(self) -> dict[str, int]:
        """Counts of rejected rows by kind of reason."""
        return dict(Counter(map(reason_kind, self.rejected.column("reason").to_pylist())))


def prepare_slice(data: SliceData, settings: EvaluationSettings) -> Prepared:
    """Pair answers with references; rows that cannot be used get a reason."""
    table = data.table
    reasons: dict[int, str] = {}
    answers, parent, system = _answers(table, settings, reasons)
    references, owner = _references(table, settings, reasons)
    gold = np.zeros(len(table))
    if settings.gold:
        gold = _marks(table, settings.gold, reasons)
    for name in filter(None, (settings.group, settings.by)):
        check_labels(table, name, reasons)
    usable = np.ones(len(table), bool)
    usable[list(reasons)] = False
    kept = np.flatnonzero(usable[parent])
    parent, system, answers = parent[kept], system[kept], answers.take(pa.array(kept))
    # Pair each entry with the references of its row, which are contiguous.
    count, first = np.bincount(owner, minlength=len(table)), np.searchsorted(owner, np.arange(len(table)))
    entry = np.repeat(np.arange(len(parent)), count[parent])
    start = np.cumsum(count[parent]) - count[parent]
    place = first[parent][entry] + np.arange(len(entry)) - start[entry]
    asked = RULES[settings.rule](answers.take(pa.array(entry)), references.take(pa.array(place)))
    return Prepared(
        data,
        *asked,
        entry,
        parent,
        system,
        gold[parent],
        reasons,
    )


def finish_slice(prepared: Prepared, result: ScoreResult, settings: EvaluationSettings) -> Part:
    """Compute the scores of entries and rows from those of the pairs."""
    data, table = prepared.data, prepared.data.table
    scores = prepared.blend(result.scores)
    reasons = dict(prepared.reasons)
    for pair, why in result.failures.items():
        entry = prepared.entry[pair % len(prepared.entry)]
        reasons.setdefault(int(prepared.position[entry]), why)
    entries = len(prepared.position)
    starts = np.searchsorted(prepared.entry, np.arange(entries))
    counts = np.diff(np.append(starts, len(scores)))
    if not entries:
        score = np.empty(0, np.float32)
    elif settings.several == "best":
        score = np.maximum.reduceat(scores, starts)
    else:
        score = (np.add.reduceat(scores.astype(np.float64), starts) / counts).astype(np.float32)
    usable = np.ones(len(table), bool)
    usable[list(reasons)] = False
    kept = usable[prepared.position]
    position, system, score = prepared.position[kept], prepared.system[kept], score[kept]
    rows = np.flatnonzero(usable)
    bad = sorted(reasons)
    rejected = rejected_table(data, bad, [reasons[row] for row in bad], settings.rejected_schema)
    if len(rows) + len(rejected) != data.slice.rows:
        raise RuntimeError(
            f"{data.slice.path}: rows from {data.slice.row}: {len(rows)} scored + {len(rejected)} rejected, "
            f"not {data.slice.rows}"
        )
    columns = {
        "score": pa.array(score, pa.float32()),
        "group": _groups(table, position, system, settings),
        "question": pa.array(_questions(data, position, settings), pa.int64()),
        "gold": pa.array(prepared.gold[kept], pa.float64()),
        "position": pa.array(position, pa.int32()),
    }
    return Part(
        data,
        _with_scores(table, rows, position, system, score, settings),
        rejected,
        pa.table(columns, ENTRIES),
        result.stats,
        result.tokens,
    )


def names_of(table: pa.Table, name: str, rows: IntArray | None = None) -> list[str]:
    """The values of a column as texts, which name groups and questions."""
    column = column_at(table, name)
    column = column if rows is None else column.take(pa.array(rows))
    if is_json(field_at(table.schema, name)):
        return [value if isinstance(value, str) else text for text, value in _parsed(column)]
    if is_text_type(column.type):
        texts: list[str] = as_bytes(column).cast(pa.large_string()).to_pylist()
        return texts
    try:
        cast: list[str] = column.cast(pa.string()).to_pylist()
        return cast
    except pa.ArrowException:
        return [str(value) for value in column.to_pylist()]


def references_of(table: pa.Table, settings: EvaluationSettings) -> list[list[str]]:
    """The references of each row."""
    texts, owner = _references(table, settings, {})
    found: list[list[str]] = [[] for _ in range(len(table))]
    for row, text in zip(owner.tolist(), texts.to_pylist(), strict=True):
        found[row].append(text)
    return found


def _answers(
    table: pa.Table, settings: EvaluationSettings, reasons: dict[int, str]
) -> tuple[pa.ChunkedArray, IntArray, IntArray]:
    """The answers in row order, with their rows and systems; in the wide form an answer may be missing."""
    chunks, parents, systems = [], [], []
    for number, name in enumerate(settings.answers):
        checked = check_rows(table, (name,))
        for row, why in zip(checked.bad.tolist(), checked.reasons, strict=True):
            if not (settings.wide and why.startswith("null ")):
                reasons.setdefault(row, why)
        column = as_bytes(column_at(table, name)).take(pa.array(checked.good)).cast(pa.large_string())
        chunks += column.chunks
        parents.append(checked.good)
        systems.append(np.full(len(checked.good), number))
    parent, system = np.concatenate(parents).astype(np.int64), np.concatenate(systems).astype(np.int64)
    if settings.wide:
        for row in np.setdiff1d(np.arange(len(table)), parent).tolist():
            reasons.setdefault(row, f"null in columns {', '.join(map(repr, settings.answers))}")
    order = np.lexsort((system, parent))
    texts = pa.chunked_array(chunks, pa.large_string()).take(pa.array(order))
    return texts, parent[order], system[order]


def _references(
    table: pa.Table, settings: EvaluationSettings, reasons: dict[int, str]
) -> tuple[pa.ChunkedArray, IntArray]:
    """All references in row order, and their rows; each row needs at least one."""
    chunks, owners = [], []
    for name in settings.references:
        flat, parent, faults = _flat(table, name)
        checked = check_rows(pa.table({name: flat}), (name,))
        for at, why in zip(checked.bad.tolist(), checked.reasons, strict=True):
            if not why.startswith("null "):
                faults.setdefault(int(parent[at]), why)
        for row, why in faults.items():
            reasons.setdefault(row, why)
        column = as_bytes(flat.take(pa.array(checked.good, pa.int64()))).cast(pa.large_string())
        chunks += column.chunks
        owners.append(parent[checked.good])
    owner = np.concatenate(owners).astype(np.int64)
    for row in np.setdiff1d(np.arange(len(table)), owner).tolist():
        reasons.setdefault(row, _no_reference(table, row, settings))
    order = np.argsort(owner, kind="stable")
    return pa.chunked_array(chunks, pa.large_string()).take(pa.array(order)), owner[order]


def _no_reference(table: pa.Table, row: int, settings: EvaluationSettings) -> str:
    names = ", ".join(map(repr, settings.references))
    where = f"column{'s' if len(settings.references) > 1 else ''} {names}"
    values = (column_at(table, name)[row] for name in settings.references)
    return f"no text in {where}" if any(value.is_valid for value in values) else f"null in {where}"


def _flat(table: pa.Table, name: str) -> tuple[pa.ChunkedArray, IntArray, dict[int, str]]:
    """The texts of a column (plain, lists, JSON of either), their rows, and the rows with anything else."""
    column, kind = column_at(table, name), field_at(table.schema, name)
    if holds_texts(kind) or pa.types.is_null(kind.type):
        return as_bytes(column), np.arange(len(table)), {}
    if not is_json(kind):
        lists = column.combine_chunks()
        parent = np.asarray(pc.list_parent_indices(lists), np.int64)
        return as_bytes(pa.chunked_array([pc.list_flatten(lists)])), parent, {}
    texts: list[str] = []
    parents: list[int] = []
    faults: dict[int, str] = {}
    for row, (text, value) in enumerate(_parsed(column)):
        items = value if isinstance(value, list) else [value]
        if all(item is None or isinstance(item, str) for item in items):
            texts += items
            parents += [row] * len(items)
        else:
            faults[row] = f"no text in column {name!r}: it holds {text[:40]}"
    return as_bytes(pa.chunked_array([pa.array(texts, pa.string())])), np.array(parents, np.int64), faults


def _parsed(column: pa.ChunkedArray) -> list[tuple[str, Any]]:
    return [("null", None) if text is None else (text, json.loads(text)) for text in column.to_pylist()]


def _marks(table: pa.Table, name: str, reasons: dict[int, str]) -> NDArray[np.float64]:
    """Marks by people: numbers, booleans, or texts of either, as in CSV files."""
    column = column_at(table, name)
    if is_text_type(column.type):
        marks = np.array([_number(value) for value in column.to_pylist()], np.float64)
    else:
        whole = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        marks = np.asarray(pc.fill_null(whole.cast(pa.float64()), np.nan), np.float64)
    for row in np.flatnonzero(~np.isfinite(marks)).tolist():
        value = column[row].as_py()
        reason = (
            "null" if value is None else f"not a number: {value!r}" if isinstance(value, str) else str(value)
        )
        reasons.setdefault(row, f"{reason} in column {name!r}")
    return np.where(np.isfinite(marks), marks, 0.0)


def _number(value: str | bytes | None) -> float:
    if not value:
        return np.nan
    text = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).strip().lower()
    try:
        return _TRUTH[text] if text in _TRUTH else float(text)
    except ValueError:
        return np.nan


def check_labels(table: pa.Table, name: str, reasons: dict[int, str]) -> None:
    """Add to ``reasons`` the rows whose group or question is null or not a text."""
    column = column_at(table, name)
    if is_text_type(column.type) or pa.types.is_null(column.type):
        checked = check_rows(table, (name,))
        for row, why in zip(checked.bad.tolist(), checked.reasons, strict=True):
            reasons.setdefault(row, why)
    else:
        for row in np.flatnonzero(np.asarray(column.is_null())).tolist():
            reasons.setdefault(row, f"null in column {name!r}")


def _groups(
    table: pa.Table, position: IntArray, system: IntArray, settings: EvaluationSettings
) -> pa.DictionaryArray:
    if settings.wide:
        return pa.DictionaryArray.from_arrays(
            pa.array(system, pa.int32()), pa.array(settings.answers, pa.string())
        )
    names = names_of(table, settings.group, position) if settings.group else ["all"] * len(position)
    return pa.array(names, pa.string()).dictionary_encode()


def _questions(data: SliceData, position: IntArray, settings: EvaluationSettings) -> IntArray:
    """A number for the question of each entry: a 64-bit hash of its name, or its row in the wide form."""
    if settings.by is None:
        return position + (data.slice.index << 32)
    names = names_of(data.table, settings.by, position)
    numbers = {name: _hash(name) for name in set(names)}
    return np.array([numbers[name] for name in names], np.int64)


def _hash(name: str) -> int:
    # The names of a million questions would need more memory than everything else. Two of them have the same
    # hash once in 10^7 runs.
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _with_scores(
    table: pa.Table,
    rows: IntArray,
    position: IntArray,
    system: IntArray,
    score: NDArray[np.float32],
    settings: EvaluationSettings,
) -> pa.Table:
    """The scored rows in order, with the scores of all systems."""
    scored = table.take(pa.array(rows)) if len(rows) < len(table) else table
    place = np.searchsorted(rows, position)
    added: list[pa.Array] = []
    values: Sequence[tuple[NDArray[Any], pa.DataType]] = [(score, pa.float32())]
    if settings.calibration:
        values = [*values, (settings.calibration.apply(score), pa.float64())]
    for column, kind in values:
        for number in range(len(settings.answers)):
            of_system = system == number
            spread = np.full(len(rows), np.nan, column.dtype)
            spread[place[of_system]] = column[of_system]
            absent = np.ones(len(rows), bool)
            absent[place[of_system]] = False
            added.append(pa.array(spread, kind, mask=absent))
    return pa.Table.from_arrays([*scored.columns, *added], schema=settings.scored_schema)
