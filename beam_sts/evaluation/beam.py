"""The Beam drivers: EvaluateSlices and CompareAnswers do the same work as the local drivers on any runner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import apache_beam as beam
import pyarrow as pa

from beam_sts.evaluation.consistency_local import commit_part, has_part
from beam_sts.evaluation.consistency_parts import ConsistencySettings, PartPairs, pair_part, split
from beam_sts.evaluation.local import commit, record_of
from beam_sts.evaluation.rows import Prepared, finish_slice, prepare_slice
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import read_slices
from beam_sts.io.slices import Slice
from beam_sts.pairs.beam_handler import PairColumns, PairColumnsModelHandler
from beam_sts.pairs.beam_inference import RunInference
from beam_sts.scoring.result import ScoreResult

SettingsT = TypeVar("SettingsT", EvaluationSettings, ConsistencySettings)


class _Committing(beam.PTransform, Generic[SettingsT]):
    """Base of the transforms from units of slices to what is committed in an output folder.

    Args:
        model: as for ``PairScorer``.
        settings: the settings of the run.
        output: the folder in which slices or parts are committed.
    """

    def __init__(self, model: str, settings: SettingsT, output: OutputFolder) -> None:
        super().__init__()
        self._handler = PairColumnsModelHandler(model, **settings.handler)
        self._settings: SettingsT = settings
        self._output = output


class _Step(beam.DoFn, Generic[SettingsT]):
    """A DoFn with the settings and the output folder."""

    def __init__(self, settings: SettingsT, output: OutputFolder) -> None:
        self._settings: SettingsT = settings
        self._output = output


class EvaluateSlices(_Committing[EvaluationSettings]):
    """Units of slices to committed slices in the output folder; the output is the index of each slice.

    A slice is scored as a whole, as in the local driver, so that the scores are the same. The statistics are
    computed from the slices' records when all are committed. A retried slice writes the same files again.
    """

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Read, score, commit."""
        arguments = {"symmetric": self._settings.symmetric}
        return (
            units
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self._settings, self._output))
            | "Score" >> RunInference(self._handler, inference_args=arguments)
            | "Commit" >> beam.ParDo(_Commit(self._settings, self._output))
        )


class _Read(_Step[EvaluationSettings]):
    """A unit to the pairs of each of its slices that is not committed yet."""

    def process(self, unit: list[Slice]) -> Iterator[PairColumns]:
        settings = self._settings
        # Runners retry, so a slice may have been committed since the plan was made.
        missing = [part for part in unit if not self._output.is_whole(part)]
        if not missing:
            return
        for data in read_slices(missing, settings.schema, settings.text_columns, settings.options):
            prepared = prepare_slice(data, settings)
            yield PairColumns(prepared.answers, prepared.references, context=prepared)


class _Commit(_Step[EvaluationSettings]):
    """Writes the files of a scored slice."""

    def process(self, scored: tuple[Prepared, ScoreResult]) -> Iterator[int]:
        prepared, result = scored
        part = finish_slice(prepared, result, self._settings)
        commit(part, record_of(part, result.seconds), self._output)
        yield part.data.slice.index


class CompareAnswers(_Committing[ConsistencySettings]):
    """Units of slices to committed parts of the answers; the output is the index of each part.

    A part has all answers to its questions, and is the same as in the local driver, so that the scores are
    the same. A retried part writes the same files again.
    """

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Read, group the answers by part, score, commit."""
        return (
            units
            | "Spread" >> beam.Reshuffle()
            | "Split" >> beam.ParDo(_Split(self._settings, self._output))
            | "By part" >> beam.GroupByKey()
            | "Pair" >> beam.ParDo(_Pair(self._settings, self._output))
            | "Score" >> RunInference(self._handler)
            | "Commit" >> beam.ParDo(_CommitPart(self._settings, self._output))
        )


class _Split(_Step[ConsistencySettings]):
    """A unit to the answers of its slices by part, as bytes of an Arrow stream."""

    def process(self, unit: list[Slice]) -> Iterator[tuple[int, bytes]]:
        settings = self._settings
        for data in read_slices(unit, settings.schema, [settings.text], settings.options):
            for part, answers in split(data, settings):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, answers.schema) as stream:
                    stream.write_table(answers)
                yield part, sink.getvalue().to_pybytes()


class _Pair(_Step[ConsistencySettings]):
    """The answers of a part to its pairs, unless the part is committed."""

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[PairColumns]:
        index, streams = grouped
        if has_part(index, self._settings, self._output):
            return
        part = pair_part(index, [pa.ipc.open_stream(one).read_all() for one in streams], self._settings)
        yield PairColumns(*part.texts, context=part)


class _CommitPart(_Step[ConsistencySettings]):
    """Writes the files of a scored part."""

    def process(self, scored: tuple[PartPairs, ScoreResult]) -> Iterator[int]:
        part, result = scored
        commit_part(part, result.scores, self._settings, self._output)
        yield part.index
