"""ScorePairs: a transform that scores each pair of a PCollection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from beam_sts.errors import UserError
from beam_sts.io.blank import is_blank
from beam_sts.io.carried_types import carried, restored
from beam_sts.io.names import free_name
from beam_sts.io.schema import conform
from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.pairs.beam_elements import (
    check_schema_fields,
    fields_of,
    text_fault,
    with_field_types,
    with_fields,
)
from beam_sts.pairs.beam_handler import (
    METRICS_NAMESPACE,
    CrossEncoderModelHandler,
    PairColumns,
    PairColumnsModelHandler,
    PairFailure,
)
from beam_sts.pairs.beam_inference import KeyedModelHandler, PredictionResult, RunInference
from beam_sts.pairs.settings import ScorePairsSettings
from beam_sts.scoring.columns import attach, check_rows, check_texts, choose_columns, text_arrays
from beam_sts.scoring.result import ScoreResult
from beam_sts.settings import made, takes
from beam_sts.types import Rejected, ScoredPair, TextPair

REASON_COLUMN = "reject_reason"
_REJECTED = "rejected"
_TABLE = "a table of the PCollection"  # its name in messages


class ScoredPairs(NamedTuple):
    """The outputs of ``ScorePairs``. Each input element is in one of them."""

    scored: beam.PCollection
    rejected: beam.PCollection


@takes(ScorePairsSettings)
class ScorePairs(beam.PTransform):
    """Score a PCollection of pairs. Elements that cannot be scored go to ``rejected``; none is dropped.

    =======================  ==================================================  =========================
    elements                 ``scored``                                          ``rejected``
    =======================  ==================================================  =========================
    ``TextPair``             ``ScoredPair``                                      ``Rejected(element, why)``
    dict                     the dict plus the score                             ``Rejected(element, why)``
    ``beam.Row``             a row plus the score (schema'd if the input is)     ``Rejected(element, why)``
    ``pyarrow.Table``        the table plus the score, row order kept            a table of the bad rows
                                                                                 plus ``reject_reason``
    =======================  ==================================================  =========================

    Works in batch and streaming, and keeps windows. Tables cost several times less per row than other
    elements.

    Args:
        model: as for ``PairScorer``.
        **settings: see ``ScorePairsSettings``.

    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     pairs = pipeline | beam.Create([{"id": 7, "text_a": "A cat sits.", "text_b": "A cat sat."}])
    ...     scored, rejected = pairs | ScorePairs()
    ...     _ = scored | beam.Map(lambda row: print(row["id"], row["score"] > 0.5))
    7 True
    """

    def __init__(self, model: str | Path = DEFAULT_MODEL, **settings: Any) -> None:
        super().__init__()
        self._settings = made(ScorePairsSettings, "ScorePairs", {"model": model, **settings})
        named = self._settings.text_a, self._settings.text_b
        if (named[0] is None) != (named[1] is None):
            absent = "text_a" if named[0] is None else "text_b"
            raise UserError(f"{absent}: is missing. Name both text fields or neither.")
        self._text_columns = named
        self._score_column, self._empty = self._settings.score_column, self._settings.empty
        self._inference_args = {
            "symmetric": self._settings.symmetric,
            "raw_logits": self._settings.raw_logits,
        }

    def expand(self, pairs: beam.PCollection) -> ScoredPairs:
        """Build the steps: extract the texts, score, attach the scores."""
        tables = self._settings.tables
        if tables is None:
            tables = pairs.element_type is pa.Table
        text_a, text_b = self._text_columns
        needed = ("text_a", text_a), ("text_b", text_b)
        check_schema_fields(pairs.element_type, needed)
        return self._expand_tables(pairs) if tables else self._expand_rows(pairs)

    def _expand_rows(self, pairs: beam.PCollection) -> ScoredPairs:
        extracted = pairs | "Extract" >> beam.ParDo(
            _ExtractPair(self._text_columns, self._empty)
        ).with_outputs(_REJECTED, main="pairs")
        handler = CrossEncoderModelHandler(
            self._settings.model, failures="return", **self._settings.handler_args
        )
        attached = (
            extracted["pairs"]
            | "Score" >> RunInference(KeyedModelHandler(handler), inference_args=self._inference_args)
            | "Attach"
            >> beam.ParDo(_AttachScore(self._score_column, self._settings.output_prefix)).with_outputs(
                _REJECTED, main="scored"
            )
        )
        scored = attached["scored"]
        added = [(self._score_column, float)]
        if kind := with_field_types(pairs.element_type, added, self._settings.output_prefix):
            scored.element_type = kind
        rejected = (extracted[_REJECTED], attached[_REJECTED]) | "Rejected" >> beam.Flatten()
        return ScoredPairs(scored, rejected)

    def _expand_tables(self, tables: beam.PCollection) -> ScoredPairs:
        handler = PairColumnsModelHandler(self._settings.model, **self._settings.handler_args)
        attached = (
            tables
            | "Extract" >> beam.ParDo(_ExtractColumns(self._text_columns, self._empty))
            | "Score" >> RunInference(handler, inference_args=self._inference_args)
            | "Attach"
            >> beam.ParDo(_AttachColumn(self._score_column, self._settings.output_prefix)).with_outputs(
                _REJECTED, main="scored"
            )
        )
        return ScoredPairs(attached["scored"], attached[_REJECTED])


class _ExtractPair(beam.DoFn):
    """Element -> (element, TextPair), or a rejected element."""

    def __init__(self, text_columns: tuple[str | None, str | None], empty: str) -> None:
        self._text_columns = text_columns
        self._empty = empty

    def process(self, element: Any) -> Iterator[Any]:
        fields = _fields(element)
        first, second = choose_columns(list(fields), *self._text_columns)
        for name in (first, second):
            reason = text_fault(fields[name])
            if not reason and self._empty == "reject" and is_blank(fields[name]):
                reason = "empty text"
            if reason:
                Metrics.counter(METRICS_NAMESPACE, "rejected").inc()
                yield pvalue.TaggedOutput(_REJECTED, Rejected(element, f"{reason} in column {name!r}"))
                return
        yield element, TextPair(fields[first], fields[second])


def _fields(element: Any) -> dict[str, Any]:
    if isinstance(element, tuple) and len(element) == 2 and not hasattr(element, "_asdict"):
        return TextPair(*element)._asdict()
    return fields_of(element, "ScorePairs")


class _AttachScore(beam.DoFn):
    """(element, prediction) -> the element with its score, or a rejected element."""

    def __init__(self, score_column: str, prefix: str) -> None:
        self._score_column, self._prefix = score_column, prefix

    def process(self, scored: tuple[Any, PredictionResult]) -> Iterator[Any]:
        element, prediction = scored
        score = prediction.inference
        if isinstance(score, PairFailure):
            yield pvalue.TaggedOutput(_REJECTED, Rejected(element, score.reason))
        elif type(element) in (TextPair, tuple):
            yield ScoredPair(element[0], element[1], score)
        else:
            yield with_fields(element, {self._score_column: score}, self._prefix)


class _ExtractColumns(beam.DoFn):
    """Table -> its valid pairs, with the table and its split into good and bad rows as context."""

    def __init__(self, text_columns: tuple[str | None, str | None], empty: str) -> None:
        self._text_columns = text_columns
        self._empty = empty

    def process(self, table: pa.Table) -> Iterator[PairColumns]:
        table = conform(table, carried(table.schema, _TABLE), _TABLE)
        names = choose_columns(table.schema, *self._text_columns)
        check_texts(table.schema, names)
        checked = check_rows(table, names, empty=self._empty)
        yield PairColumns(*text_arrays(table, names, checked.good), context=(table, checked))


class _AttachColumn(beam.DoFn):
    """(table, scores) -> the table of good rows with their scores, and the bad rows with their reasons."""

    def __init__(self, score_column: str, prefix: str) -> None:
        self._score_column, self._prefix = score_column, prefix

    def process(self, scored: tuple[Any, ScoreResult]) -> Iterator[Any]:
        (table, checked), result = scored
        Metrics.counter(METRICS_NAMESPACE, "rejected").inc(len(checked.bad))
        there = table.column_names
        name = free_name(self._score_column, there, self._prefix)
        good, bad, reasons = attach(table, checked, result, name)
        yield restored(good)
        if len(bad):
            reason = free_name(REASON_COLUMN, there, self._prefix)
            refused = table.take(pa.array(bad)).append_column(reason, pa.array(reasons, pa.string()))
            yield pvalue.TaggedOutput(_REJECTED, restored(refused))
