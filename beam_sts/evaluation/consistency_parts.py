"""Consistency at any size: answers are grouped into parts by question, and a part is scored as a whole.

Pure functions: from a slice of the input to its answers by part; from the answers of a part to pairs; from
their scores to the agreement of each answer and each question; and the join of these with the input's rows. A
part has the same pairs in the same order in every driver, so the numbers are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from beam_sts.arrays import IntArray
from beam_sts.evaluation.consistency import (
    MOST_ANSWERS,
    THRESHOLD,
    Compared,
    agreement_of,
    pair_answers,
    sampled_answers,
)
from beam_sts.evaluation.rows import check_labels, names_of
from beam_sts.evaluation.settings import ROWS_PER_SLICE
from beam_sts.io.column_paths import column_at
from beam_sts.io.names import PREFIX, free_names, renamed
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import ReadOptions, SliceData
from beam_sts.scoring.columns import as_bytes, check_rows

ANSWERS = pa.schema(
    [("row", pa.int64()), ("group", pa.string()), ("question", pa.string()), ("answer", pa.large_string())]
)
"""The columns of an answer in its part; ``answer`` is null if the answer is not compared."""
AGREED = pa.schema([("row", pa.int64()), ("agreement", pa.float32()), ("cluster", pa.int32())])
"""The result for an answer: its mean score with the other answers to its question, and its cluster."""
QUESTIONS = pa.schema(
    [
        ("group", pa.string()),
        ("question", pa.string()),
        ("answers", pa.int64()),
        ("compared", pa.int64()),
        ("mean", pa.float64()),
        ("clusters", pa.int64()),
        ("largest", pa.float64()),
        ("typical", pa.large_string()),
    ]
)
"""The columns of ``QuestionConsistency``; ``typical`` is the text of the most typical answer."""
FIRST_ROW = pa.field("first", pa.int64())
"""A further column of ``QUESTIONS``: the row of the question's first answer."""
MOST_PARTS = 512
_SLICE_BITS = 32


@dataclass(frozen=True)
class ConsistencySettings:
    """The settings of a run of consistency: all it depends on, except its input and its model.

    Attributes:
        schema: schema of the input.
        text: column of the answers.
        by: column that names the question of a row.
        group: column that names the system, or any other group; a question of two groups is two questions.
        threshold: least score of two answers with the same meaning.
        most_answers: limit of the compared answers to a question.
        seed: seed of the sample of a question's answers.
        parts: count of the parts that questions are divided among.
        options: options of the reader.
        handler: arguments of ``PairScorer``.
    """

    schema: pa.Schema
    text: str
    by: str
    group: str | None = None
    threshold: float = THRESHOLD
    most_answers: int = MOST_ANSWERS
    seed: int = 0
    parts: int = 1
    output_prefix: str = PREFIX
    options: ReadOptions = field(default_factory=ReadOptions)
    handler: dict[str, Any] = field(default_factory=dict)

    @property
    def scored_schema(self) -> pa.Schema:
        """Schema of the output: the input's columns, then the result; null if an answer was not compared."""
        ours = [pa.field(self._names[one.name], one.type) for one in list(AGREED)[1:]]
        return pa.schema([*self.schema, *ours])

    @property
    def renamed(self) -> dict[str, str]:
        """The new names of result columns whose names the input already has."""
        return renamed(self._names)

    @property
    def _names(self) -> dict[str, str]:
        return free_names(AGREED.names[1:], self.schema.names, self.output_prefix)

    @property
    def rejected_schema(self) -> pa.Schema:
        """Schema of the rejected rows."""
        return rejected_schema(self.schema)


def parts_of(rows: int) -> int:
    """Count of the parts of an input of ``rows`` rows: each as large as a slice, up to ``MOST_PARTS``."""
    return max(1, min(MOST_PARTS, -(-rows // ROWS_PER_SLICE)))


def usable(data: SliceData, settings: ConsistencySettings) -> tuple[IntArray, dict[int, str]]:
    """The rows of a slice that have an answer and a question, and the reasons by row for the others."""
    checked = check_rows(data.table, [settings.text])
    reasons = dict(zip(checked.bad.tolist(), checked.reasons, strict=True))
    for name in filter(None, (settings.group, settings.by)):
        check_labels(data.table, name, reasons)
    kept = np.ones(len(data.table), bool)
    kept[list(reasons)] = False
    return np.flatnonzero(kept), reasons


def split(data: SliceData, settings: ConsistencySettings) -> Iterator[tuple[int, pa.Table]]:
    """The answers of a slice by part.

    Answers beyond the limit of a question are passed on without their texts, so that a part fits into memory
    however many answers a question has.
    """
    rows, _ = usable(data, settings)
    table = data.table.take(pa.array(rows))
    groups = names_of(table, settings.group) if settings.group else [""] * len(table)
    names = list(zip(groups, names_of(table, settings.by), strict=True))
    number = {name: at for at, name in enumerate(dict.fromkeys(names))}
    question = np.array([number[name] for name in names], np.int64)
    row = rows + (data.slice.index << _SLICE_BITS)
    kept = sampled_answers(question, row, settings.most_answers, settings.seed)
    texts = as_bytes(column_at(table, settings.text)).cast(pa.large_string()).combine_chunks()
    answers = texts.take(pa.array(np.arange(len(table)), mask=~kept))
    part = np.array([_part(*name, settings.parts) for name in number], np.int64)[question]
    columns = [
        pa.array(row),
        pa.array(groups, pa.string()),
        pa.array([name for _, name in names], pa.string()),
    ]
    whole = pa.Table.from_arrays([*columns, answers], schema=ANSWERS)
    for chosen in np.unique(part).tolist():
        yield chosen, whole.take(pa.array(np.flatnonzero(part == chosen)))


def _part(group: str, question: str, parts: int) -> int:
    digest = hashlib.blake2b(f"{len(group)} {group}{question}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % parts


@dataclass(frozen=True)
class PartPairs:
    """The answers of a part and the pairs to score; ``question`` is the index of each answer's question."""

    index: int
    answers: pa.Table
    question: IntArray
    compared: Compared

    @property
    def texts(self) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Both sides of the pairs that the model must score."""
        one, two = self.compared.texts(self.answers.column("answer").chunk(0))
        return pa.chunked_array([one]), pa.chunked_array([two])


def pair_part(index: int, tables: Sequence[pa.Table], settings: ConsistencySettings) -> PartPairs:
    """Pair the answers of a part.

    Args:
        index: the index of the part.
        tables: its answers from all slices, in any order.
        settings: the settings of the run.
    """
    answers = pa.concat_tables([ANSWERS.empty_table(), *tables]).sort_by("row").combine_chunks()
    names = list(zip(*(answers.column(name).to_pylist() for name in ("group", "question")), strict=True))
    number = {name: at for at, name in enumerate(dict.fromkeys(names))}
    question = np.array([number[name] for name in names], np.int64)
    there = np.flatnonzero(np.asarray(answers.column("answer").is_valid()))
    row = answers.column("row").to_numpy()
    kept = there[sampled_answers(question[there], row[there], settings.most_answers, settings.seed)]
    texts = pa.concat_arrays([pa.array([], pa.large_string()), *answers.column("answer").chunks])
    answers = answers.set_column(3, "answer", pa.chunked_array([texts]))
    return PartPairs(index, answers, question, pair_answers(question, texts, kept))


def agree(part: PartPairs, scores: ArrayLike, settings: ConsistencySettings) -> tuple[pa.Table, pa.Table]:
    """Compute the result of a part from the scores of its pairs.

    Args:
        part: the pairs.
        scores: the scores of the pairs that the model must score.
        settings: the settings of the run.

    Returns:
        The questions (``QUESTIONS`` and ``FIRST_ROW``) in order of appearance, and the answers (``AGREED``).

    Raises:
        UserError: the model failed on a pair.
    """
    compared = part.compared
    found = agreement_of(compared, scores, settings.threshold)
    count = len(part.answers)
    agreement, cluster = np.full(count, np.nan, np.float32), np.full(count, -1, np.int32)
    agreement[compared.rows], cluster[compared.rows] = found.agreement, found.cluster
    row = part.answers.column("row").to_numpy()
    columns = [
        pa.array(row),
        pa.array(agreement, mask=np.isnan(agreement)),
        pa.array(cluster, mask=cluster < 0),
    ]
    # Each question has a compared answer, so questions have the same numbers in both.
    sizes = np.diff(compared.ends, prepend=0)
    starts, of_question = compared.ends - sizes, np.repeat(np.arange(len(sizes)), sizes)
    typical = np.lexsort((-np.nan_to_num(found.agreement, nan=0.0), of_question))[starts]
    first = np.unique(part.question, return_index=True)[1]
    largest = np.bincount(of_question, found.cluster == 0, len(sizes)) / sizes
    clusters = np.maximum.reduceat(found.cluster, starts) + 1 if len(sizes) else sizes
    questions = pa.Table.from_arrays(
        [
            *(part.answers.column(name).take(pa.array(first)) for name in ("group", "question")),
            pa.array(np.bincount(part.question, minlength=len(sizes))),
            pa.array(sizes),
            pa.array(found.mean, mask=np.isnan(found.mean)),
            pa.array(clusters, pa.int64()),
            pa.array(largest),
            part.answers.column("answer").take(pa.array(compared.rows[typical])),
            pa.array(row[first]),
        ],
        schema=QUESTIONS.append(FIRST_ROW),
    )
    return questions, pa.Table.from_arrays(columns, schema=AGREED)


def with_agreement(data: SliceData, agreed: pa.Table, settings: ConsistencySettings) -> pa.Table:
    """The usable rows of a slice with the columns of the result.

    Args:
        data: the slice.
        agreed: the result for these rows, in order.
        settings: the settings of the run.
    """
    rows, _ = usable(data, settings)
    if not np.array_equal(agreed.column("row").to_numpy(), rows + (data.slice.index << _SLICE_BITS)):
        raise RuntimeError(f"{data.slice.path}: rows from {data.slice.row}: not each was compared once")
    columns = [*data.table.take(pa.array(rows)).columns, agreed.column("agreement"), agreed.column("cluster")]
    return pa.Table.from_arrays(columns, schema=settings.scored_schema)


def rejected_of(data: SliceData, settings: ConsistencySettings) -> pa.Table:
    """The rows of a slice that cannot be used, with the reasons."""
    _, reasons = usable(data, settings)
    bad = sorted(reasons)
    return rejected_table(data, bad, [reasons[row] for row in bad], settings.rejected_schema)


def slice_of(agreed: pa.Table, index: int) -> pa.Table:
    """The rows of one slice.

    Args:
        agreed: rows of ``AGREED``, sorted by ``row``.
        index: the index of the slice.
    """
    row = agreed.column("row").to_numpy()
    start, end = np.searchsorted(row, [index << _SLICE_BITS, (index + 1) << _SLICE_BITS])
    return agreed.slice(start, end - start)
