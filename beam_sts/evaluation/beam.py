"""The Beam drivers: EvaluateSlices, the same slices on any runner; CompareAnswers, the same parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import apache_beam as beam
import pyarrow as pa

from beam_sts.evaluation.consistency_local import commit_part, has_part
from beam_sts.evaluation.consistency_parts import ConsistencySettings, PartPairs, pair_part, split
from beam_sts.evaluation.local import commit, record_of
from beam_sts.evaluation.rows import Prepared, finish, prepare
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import read_slices
from beam_sts.io.slices import Slice
from beam_sts.pairs.beam_handler import PairColumns, PairColumnsModelHandler
from beam_sts.pairs.beam_inference import RunInference
from beam_sts.scoring.result import ScoreResult

SettingsT = TypeVar("SettingsT", EvaluationSettings, ConsistencySettings)


class _Committing(beam.PTransform, Generic[SettingsT]):
    """Units of slices -> what is committed in an output folder.

    Args:
        model: as for ``PairScorer``.
        settings: of the run.
        output: where the slices or parts are committed.
    """

    def __init__(self, model: str, settings: SettingsT, output: OutputFolder) -> None:
        super().__init__()
        self._handler = PairColumnsModelHandler(model, **settings.handler)
        self._settings: SettingsT = settings
        self._output = output


class _Step(beam.DoFn, Generic[SettingsT]):
    """A step that knows the settings and the output folder."""

    def __init__(self, settings: SettingsT, output: OutputFolder) -> None:
        self._settings: SettingsT = settings
        self._output = output


class EvaluateSlices(_Committing[EvaluationSettings]):
    """Units of slices -> committed slices in the output folder; gives the index of each.

    A slice is scored as a whole, as on one machine, so that the scores are the same; the statistics are made
    of the slices' records when all are there. A retried slice writes the same files again.
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
    """A unit -> the pairs of each of its slices that is not committed yet."""

    def process(self, unit: list[Slice]) -> Iterator[PairColumns]:
        settings = self._settings
        # Runners retry: a slice may have been committed since the plan was made.
        missing = [part for part in unit if not self._output.is_whole(part)]
        if not missing:
            return
        for data in read_slices(missing, settings.schema, settings.text_columns, settings.options):
            prepared = prepare(data, settings)
            yield PairColumns(prepared.answers, prepared.references, context=prepared)


class _Commit(_Step[EvaluationSettings]):
    """A scored slice -> its files."""

    def process(self, scored: tuple[Prepared, ScoreResult]) -> Iterator[int]:
        prepared, result = scored
        part = finish(prepared, result, self._settings)
        commit(part, record_of(part, result.seconds), self._output)
        yield part.data.slice.index


class CompareAnswers(_Committing[ConsistencySettings]):
    """Units of slices -> committed parts of the answers in the output folder; gives the index of each.

    The answers to a question come together in one part, and parts are what one machine makes of them, so
    that the scores are the same. A retried part writes the same files again.
    """

    def expand(self, units: beam.PCollection[list[Slice]]) -> beam.PCollection[int]:
        """Read, bring the answers to a question together, score, commit."""
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
    """A unit -> the answers of its slices by part, as the bytes of an Arrow stream."""

    def process(self, unit: list[Slice]) -> Iterator[tuple[int, bytes]]:
        settings = self._settings
        for data in read_slices(unit, settings.schema, [settings.text], settings.options):
            for part, answers in split(data, settings):
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, answers.schema) as stream:
                    stream.write_table(answers)
                yield part, sink.getvalue().to_pybytes()


class _Pair(_Step[ConsistencySettings]):
    """The answers of a part -> its pairs, where it is not committed yet."""

    def process(self, grouped: tuple[int, Iterable[bytes]]) -> Iterator[PairColumns]:
        index, streams = grouped
        if has_part(index, self._settings, self._output):
            return
        part = pair_part(index, [pa.ipc.open_stream(one).read_all() for one in streams], self._settings)
        yield PairColumns(*part.texts, context=part)


class _CommitPart(_Step[ConsistencySettings]):
    """A scored part -> its files."""

    def process(self, scored: tuple[PartPairs, ScoreResult]) -> Iterator[int]:
        part, result = scored
        commit_part(part, result.scores, self._settings, self._output)
        yield part.index
