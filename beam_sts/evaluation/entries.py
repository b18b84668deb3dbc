"""The entries of a whole input as columns, and the texts of single entries."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.evaluation.rows import ENTRIES, names_of, references_of
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.column_paths import column_at
from beam_sts.io.encode import encode
from beam_sts.io.reading import InputPlan, read_slices


@dataclass(frozen=True)
class Entries:
    """Score, group, question and mark of every answer, in the input's order: 36 bytes each, no text.

    ``slices`` has the index of each slice, and ``ends`` the index at which its entries end.
    """

    score: NDArray[np.float64]
    group: IntArray
    names: list[str]
    question: IntArray
    gold: NDArray[np.float64]
    position: IntArray
    slices: IntArray
    ends: IntArray

    def __len__(self) -> int:
        return len(self.score)

    def place(self, entry: int) -> tuple[int, int]:
        """The slice of an entry, and the position of its row in it."""
        at = int(np.searchsorted(self.ends, entry, side="right"))
        return int(self.slices[at]), int(self.position[entry])


def gather(parts: Iterable[tuple[int, pa.Table]], settings: EvaluationSettings) -> Entries:
    """Collect the entries of slices in the order of their indices, and calibrate them if the settings say so.

    Args:
        parts: index and entries of each slice.
        settings: the settings of the evaluation.
    """
    found = sorted(parts, key=lambda part: part[0])
    table = pa.concat_tables([ENTRIES.empty_table(), *(entries for _, entries in found)]).unify_dictionaries()
    group = table.column("group").combine_chunks()
    group = group.chunk(0) if isinstance(group, pa.ChunkedArray) else group
    names = group.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.argsort(np.array(order, np.int64))
    score = table.column("score").to_numpy()
    return Entries(
        settings.calibration.apply(score) if settings.calibration else score.astype(np.float64),
        rank[np.asarray(group.indices, np.int64)] if names else np.empty(0, np.int64),
        [names[at] for at in order],
        table.column("question").to_numpy(),
        table.column("gold").to_numpy(),
        table.column("position").to_numpy(),
        np.array([index for index, _ in found], np.int64),
        np.cumsum([len(entries) for _, entries in found]),
    )


def pack(table: pa.Table) -> str:
    """Encode a table as text, for a record."""
    return base64.b64encode(encode(table, "parquet")).decode()


def unpack(text: str, schema: pa.Schema = ENTRIES) -> pa.Table:
    """Decode a text of ``pack``; the default schema is that of a slice's entries."""
    return pq.read_table(pa.BufferReader(base64.b64decode(text))).cast(schema)


@dataclass(frozen=True)
class EntryTexts:
    """The texts of an entry; ``file`` and ``row`` (from 0) are its place."""

    file: str
    row: int
    question: str
    answer: str
    references: list[str]


def texts_of_entries(
    plan: InputPlan, settings: EvaluationSettings, entries: Entries, chosen: Sequence[int]
) -> dict[int, EntryTexts]:
    """Read the texts of a few entries again, from those slices only that have them.

    Args:
        plan: the input.
        settings: the settings of the evaluation.
        entries: all entries.
        chosen: indices of the entries to read, in any order.
    """
    wanted: dict[int, list[tuple[int, int]]] = {}
    for entry in set(chosen):
        index, position = entries.place(entry)
        wanted.setdefault(index, []).append((entry, position))
    found: dict[int, EntryTexts] = {}
    for part in (part for part in plan.slices if part.index in wanted):
        (data,) = read_slices([part], settings.schema, settings.text_columns, settings.options)
        places = wanted[part.index]
        rows = np.array([position for _, position in places], np.int64)
        some = data.table.take(pa.array(rows))
        references = references_of(some, settings)
        questions = names_of(some, settings.by) if settings.by else [""] * len(rows)
        for at, (entry, position) in enumerate(places):
            name = settings.answers[0]
            if settings.wide:
                name = entries.names[entries.group[entry]]
            found[entry] = EntryTexts(
                part.path, data.rows[position], questions[at], _text(some, name, at), references[at]
            )
    return found


def _text(table: pa.Table, name: str, row: int) -> str:
    value: Any = column_at(table, name)[row].as_py()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
