"""The Beam driver: EvaluateSlices, the same slices on any runner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from beam_sts.evaluation.local import commit, record_of
from beam_sts.evaluation.rows import Prepared, finish, prepare
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import read_slices
from beam_sts.io.slices import Slice
from beam_sts.pairs.beam_handler import PairColumns, PairColumnsModelHandler
from beam_sts.scoring.scorer import ScoreResult


class EvaluateSlices(beam.PTransform):
    """Units of slices -> committed slices in the output folder; gives the index of each.

    A slice is scored as a whole, as on one machine, so that the scores are the same; the statistics are made
    of the slices' records when all are there. A retried slice writes the same files again.

    Args:
        model: as for ``PairScorer``.
        settings: of the evaluation.
        output: where the slices are committed.
    """

    def __init__(self, model: str, settings: EvaluationSettings, output: OutputFolder) -> None:
        super().__init__()
        self._model = model
        self._settings = settings
        self._output = output

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Read, score, commit."""
        handler = PairColumnsModelHandler(self._model, **self._settings.handler)
        arguments = {"symmetric": self._settings.symmetric}
        return (
            units
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self._settings, self._output))
            | "Score" >> RunInference(handler, inference_args=arguments)
            | "Commit" >> beam.ParDo(_Commit(self._settings, self._output))
        )


class _Read(beam.DoFn):
    """A unit -> the pairs of each of its slices that is not committed yet."""

    def __init__(self, settings: EvaluationSettings, output: OutputFolder) -> None:
        self._settings = settings
        self._output = output

    def process(self, unit: list[Slice]) -> Iterator[PairColumns]:
        settings = self._settings
        # Runners retry: a slice may have been committed since the plan was made.
        missing = [part for part in unit if not self._output.is_whole(part)]
        if not missing:
            return
        for data in read_slices(missing, settings.schema, settings.text_columns, settings.options):
            prepared = prepare(data, settings)
            yield PairColumns(prepared.answers, prepared.references, context=prepared)


class _Commit(beam.DoFn):
    """A scored slice -> its files."""

    def __init__(self, settings: EvaluationSettings, output: OutputFolder) -> None:
        self._settings = settings
        self._output = output

    def process(self, scored: tuple[Any, ScoreResult]) -> Iterator[int]:
        prepared, result = scored
        assert isinstance(prepared, Prepared)
        part = finish(prepared, result, self._settings)
        commit(part, record_of(part, result.seconds), self._output)
        yield part.data.slice.index
