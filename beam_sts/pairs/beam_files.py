"""ScoreSlices: read, score and commit slices of files. The transform behind ``beam-sts score``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from beam_sts.examples import MOST_BYTES, Example, choose_rows, reason_kind, shorten_pair
from beam_sts.io.committed import slice_identity
from beam_sts.io.names import free_name
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import read_slices
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import ReadOptions, Slice, SliceData
from beam_sts.io.summary import length_histogram, score_histogram
from beam_sts.pairs.beam_handler import METRICS_NAMESPACE, PairColumns, PairColumnsModelHandler
from beam_sts.pairs.beam_inference import RunInference
from beam_sts.pairs.settings import ScoreSettings
from beam_sts.scoring.columns import (
    CheckedRows,
    attach,
    beginnings,
    check_rows,
    rejected_examples,
    text_arrays,
)
from beam_sts.scoring.counts import ScoreCounts
from beam_sts.scoring.decisions import decisive
from beam_sts.scoring.result import ScoreResult


@dataclass(frozen=True)
class SliceSettings:
    """The settings for reading and committing slices.

    ``schema`` is that of the whole input. The output shards have the same schema plus ``score_column``.
    """

    output: OutputFolder
    schema: pa.Schema
    text_columns: tuple[str, str]
    options: ReadOptions = field(default_factory=ReadOptions)
    score: ScoreSettings = field(default_factory=ScoreSettings)

    @property
    def scored_schema(self) -> pa.Schema:
        """Schema of the shards of scores and matches."""
        return self.schema.append(pa.field(self.score_column, pa.float32(), nullable=False))

    @property
    def score_column(self) -> str:
        """The name of the score column in the output, with the prefix if the input has that name."""
        return free_name(self.score.score_column, self.schema.names, self.score.output_prefix)

    @property
    def rejected_schema(self) -> pa.Schema:
        """Schema of the shards of rejected rows."""
        return rejected_schema(self.schema)


class ScoreSlices(beam.PTransform):
    """Units (lists of slices) -> committed shards. Outputs the index of each slice that it commits.

    Each slice becomes one shard in one fused stage. Rows are never shuffled, so a shard has its rows in input
    order, and a retried element writes the same shard again.
    """

    def __init__(self, model: str, settings: SliceSettings) -> None:
        super().__init__()
        self._model = model
        self._settings = settings

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Build the steps: read, score, commit."""
        settings = self._settings
        handler = PairColumnsModelHandler(self._model, **settings.score.handler_args)
        arguments = {"symmetric": settings.score.symmetric, "raw_logits": settings.score.raw_logits}
        return (
            units
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadUnit(settings))
            | "Score" >> RunInference(handler, inference_args=arguments)
            | "Commit" >> beam.ParDo(_CommitSlice(settings))
        )


class _ReadUnit(beam.DoFn):
    """A unit -> the pairs of each of its slices that is not yet committed."""

    def __init__(self, settings: SliceSettings) -> None:
        self._settings = settings

    def process(self, unit: list[Slice]) -> Iterator[PairColumns]:
        settings = self._settings
        # Runners retry elements, so a slice may have been committed after the plan was made.
        missing = [part for part in unit if not settings.output.is_whole(part)]
        if not missing:
            return
        started = time.perf_counter()
        for data in read_slices(missing, settings.schema, settings.text_columns, settings.options):
            checked = check_rows(data.table, settings.text_columns, empty=settings.score.empty)
            pairs = text_arrays(data.table, settings.text_columns, checked.good)
            seconds = time.perf_counter() - started
            yield PairColumns(*pairs, context=(data, checked, seconds))
            started = time.perf_counter()


class _CommitSlice(beam.DoFn):
    """A scored slice -> its shards. The score shard is written last, since it is the commit marker."""

    def __init__(self, settings: SliceSettings) -> None:
        self._settings = settings

    def process(self, scored: tuple[Any, ScoreResult]) -> Iterator[int]:
        settings = self._settings
        (data, checked, read_seconds), result = scored
        started = time.perf_counter()
        table, bad, reasons = attach(data.table, checked, result, settings.score_column)
        rejected = rejected_table(data, bad.tolist(), reasons, settings.rejected_schema)
        part = data.slice
        if len(table) + len(rejected) != part.rows:
            raise RuntimeError(
                f"{part.path}: rows from {part.row}: {len(table)} scored + {len(rejected)} rejected, "
                f"not {part.rows}"
            )
        index, output = part.index, settings.output
        scores = table.column(settings.score_column)
        values = scores.to_numpy()
        shards = {}
        if len(rejected):
            shards["rejected"] = rejected
            Metrics.counter(METRICS_NAMESPACE, "rejected").inc(len(rejected) - len(result.failures))
        if settings.score.threshold is not None:
            hits = pa.array(decisive(values) >= np.float32(settings.score.threshold))
            shards["matches"] = table.filter(hits)
        shards["scores"] = table
        counts = {
            **asdict(result.stats),
            "rows_read": part.rows,
            "rows_scored": len(table),
            "rows_rejected": len(rejected),
            "matches": len(shards.get("matches", ())),
            "reasons": _count_reasons(data, reasons),
            "histogram": score_histogram(values, logits=settings.score.raw_logits),
            "lengths": length_histogram(result.tokens),
        }
        record = {
            **ScoreCounts.read(counts, some=True).dump(),
            "read_seconds": read_seconds,
            "score_seconds": result.seconds,
            "write_seconds": time.perf_counter() - started,
            "committed_at": time.time(),
            "examples": [
                *_scored_examples(data, checked, result, settings),
                *rejected_examples(rejected, settings.text_columns, settings.score.report_examples),
            ],
        }
        output.commit(index, shards, record, of=slice_identity(part))
        yield index


def _count_reasons(data: SliceData, reasons: list[str]) -> dict[str, int]:
    return dict(Counter(map(reason_kind, [*reasons, *(row.reason for row in data.bad)])))


def _scored_examples(
    data: SliceData, checked: CheckedRows, result: ScoreResult, settings: SliceSettings
) -> list[Example]:
    chosen = choose_rows(
        result.scores,
        result.marked,
        threshold=settings.score.threshold,
        each=settings.score.report_examples,
        logits=settings.score.raw_logits,
    )
    kinds = [kind for kind, rows in chosen.items() for _ in rows]
    rows = [row for rows in chosen.values() for row in rows]
    places = checked.good[np.array(rows, dtype=np.int64)]
    columns = (beginnings(data.table, name, places, MOST_BYTES) for name in settings.text_columns)
    texts = [shorten_pair(*pair) for pair in zip(*columns, strict=True)]
    return [
        {
            "kind": kind,
            "file": data.slice.path,
            "row": data.rows[place],
            "text_a": a,
            "text_b": b,
            "score": float(result.scores[row]),
        }
        for kind, row, place, (a, b) in zip(kinds, rows, places.tolist(), texts, strict=True)
    ]
