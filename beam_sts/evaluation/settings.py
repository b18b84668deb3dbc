"""The settings of an evaluation, and the columns that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.evaluation.calibration import Calibration
from beam_sts.evaluation.rules import MODEL_RULE
from beam_sts.io.column_paths import field_at, find_path, is_json, missing_column
from beam_sts.io.names import PREFIX, free_names, renamed
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.slices import ReadOptions
from beam_sts.scoring.columns import choose_columns, is_text_type, text_schema

SEVERAL = ("best", "mean")
ROWS_PER_SLICE = 8192


@dataclass(frozen=True)
class EvaluationSettings:
    """All that an evaluation depends on, except its input and its model.

    Attributes:
        schema: schema of the whole input.
        answers: columns of the answers: one for each system (wide), or one for all (long).
        references: columns of the references; each has texts, or lists of texts.
        wide: whether each column of ``answers`` is a system.
        gold: column of the marks by people.
        group: column that names the system, or any other group, of a row.
        by: column that names the question of a row.
        several: the score with several references: ``best`` is the highest, ``mean`` the mean.
        rule: one of ``RULES``.
        symmetric: whether a score is the mean of both orders.
        calibration: the curve from scores to marks, or None.
        output_prefix: prefix of an output column whose name the input already has.
        options: options of the reader.
        handler: arguments of ``PairScorer``.
    """

    schema: pa.Schema
    answers: tuple[str, ...]
    references: tuple[str, ...]
    wide: bool = False
    gold: str | None = None
    group: str | None = None
    by: str | None = None
    several: str = "best"
    rule: str = MODEL_RULE
    symmetric: bool = False
    calibration: Calibration | None = None
    output_prefix: str = PREFIX
    options: ReadOptions = field(default_factory=ReadOptions)
    handler: dict[str, Any] = field(default_factory=dict)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns that must have texts, so not references with lists."""
        plain = (name for name in self.references if holds_texts(field_at(self.schema, name)))
        return (*self.answers, *plain)

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Score columns of the output: ``score``, or one per system, with ``output_prefix`` if needed."""
        return tuple([*self._names.values()][: len(self.answers)])

    @property
    def calibrated_columns(self) -> tuple[str, ...]:
        """Columns of calibrated scores in the output; empty without a calibration."""
        if self.calibration is None:
            return ()
        return tuple([*self._names.values()][len(self.answers) :])

    @property
    def renamed(self) -> dict[str, str]:
        """The new names of output columns whose names the input already has."""
        return renamed(self._names)

    @property
    def _names(self) -> dict[str, str]:
        wanted = [f"{name}_score" if self.wide else "score" for name in self.answers]
        if self.calibration is not None:
            wanted += [f"{name}_calibrated" if self.wide else "calibrated" for name in self.answers]
        return free_names(wanted, self.schema.names, self.output_prefix)

    @property
    def scored_schema(self) -> pa.Schema:
        """Schema of the output: the input's columns, then the scores; null if a system gave no answer."""
        added = [pa.field(name, pa.float32(), nullable=self.wide) for name in self.score_columns]
        added += [pa.field(name, pa.float64(), nullable=self.wide) for name in self.calibrated_columns]
        return pa.schema([*self.schema, *added])

    @property
    def rejected_schema(self) -> pa.Schema:
        """Schema of the rejected rows."""
        return rejected_schema(self.schema)


def choose_settings(
    schema: pa.Schema,
    *,
    text_a: str | None = None,
    text_b: str | None = None,
    systems: str | None = None,
    **more: Any,
) -> EvaluationSettings:
    """Find the columns of an evaluation in its input.

    Args:
        schema: schema of the input.
        text_a: column of the answers.
        text_b: column of the references, or several joined by commas.
        systems: columns of the answers of several systems, joined by commas, instead of ``text_a``.
        **more: further attributes of ``EvaluationSettings``.

    Raises:
        UserError: a column is missing or of the wrong kind, or two options cannot be combined.
    """
    wide = systems is not None
    if systems is not None:
        answers = _split(systems, schema, "--systems")
        if text_a is not None:
            raise UserError(
                "--text_a: cannot be used with --systems, whose columns are the answers. Omit one of them."
            )
        if text_b is None:
            raise UserError("--systems: needs the column of the references; name it with --text_b.")
        if len(set(answers)) < 2:
            raise UserError(
                f"--systems {systems}: names {len(set(answers))} column; name two or more, joined by commas."
            )
        if more.get("group"):
            raise UserError(
                "--group: cannot be used with --systems, whose columns are the groups. Omit one of them."
            )
        references = _split(text_b, schema, "--text_b")
    elif text_b is not None and text_a is not None:
        answers, references = (text_a,), _split(text_b, schema, "--text_b")
        choose_columns(schema, text_a, references[0])
    else:
        first, second = choose_columns(schema, text_a, text_b)
        answers, references = (first,), (second,)
    for flag, name in (
        ("--score", more.get("gold")),
        ("--group", more.get("group")),
        ("--by", more.get("by")),
    ):
        if name and find_path(schema, name) is None:
            raise missing_column(f"{flag}: column {name!r}", name, schema.names)
    check_answers(schema, answers, "--systems" if wide else "--text_a")
    _check_kinds(schema, references, more.get("gold"))
    plain = [name for name in references if not is_json(field_at(schema, name))]
    schema = text_schema(schema, (*answers, *plain))
    return EvaluationSettings(schema, answers, references, wide, **more)


def holds_texts(column: pa.Field) -> bool:
    """Whether a column has one text per row, and not lists of texts or JSON."""
    return is_text_type(column.type) and not is_json(column)


def _split(names: str, schema: pa.Schema, flag: str) -> tuple[str, ...]:
    """Split names at commas; a column whose own name has the commas takes precedence."""
    if find_path(schema, names):
        return (names,)
    found = tuple(name.strip() for name in names.split(","))
    for name in found:
        if find_path(schema, name) is None:
            raise missing_column(f"{flag} {name}:", name, schema.names)
    return found


def check_answers(schema: pa.Schema, names: Sequence[str], flag: str) -> None:
    """Check that columns have one text per row.

    Args:
        schema: schema of the input.
        names: names of the columns.
        flag: the option that names them.

    Raises:
        UserError: a column has something else.
    """
    for name in names:
        column = field_at(schema, name)
        if _is_list(column.type):
            raise UserError(
                f"{flag}: column {name!r} holds {column.type}, several answers per row. Put each "
                "answer in a separate row, with its question in a column that --by names."
            )
        if not (holds_texts(column) or pa.types.is_null(column.type)):
            kind = "JSON" if is_json(column) else column.type
            raise UserError(f"{flag}: column {name!r} holds {kind}, not texts. Name another.")


def _check_kinds(schema: pa.Schema, references: Sequence[str], gold: str | None) -> None:
    for name in references:
        kind = field_at(schema, name).type
        inner = kind.value_type if _is_list(kind) else kind
        if not (is_text_type(inner) or pa.types.is_null(inner)):
            raise UserError(
                f"column {name!r} holds {kind}, not texts or lists of texts. Choose with --text_a "
                "and --text_b."
            )
    kind = field_at(schema, gold).type if gold else pa.null()
    if not (is_number(kind) or is_text_type(kind) or pa.types.is_null(kind)):
        raise UserError(f"--score: column {gold!r} holds {kind}, not numbers. Name another, or convert it.")


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column type is numeric or boolean; true counts as 1."""
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
    return any(test(kind) for test in tests)
