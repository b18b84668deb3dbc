"""Learning from texts before they are compared, in Beam. The local version is ``beam_sts.dedup.learnt``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from beam_sts.candidates.beam_pack import unpacked_piece
from beam_sts.candidates.keys import hash128
from beam_sts.dedup.learnt import Learning, Learnt
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint


class LearnTexts(beam.PTransform):
    """Pieces of ``(id, (text, ...))`` of distinct texts -> one :class:`Learnt`.

    One worker holds the sample, about 10 MB.

    Args:
        learning: what to learn.
        model: the model whose languages count as known.
        load: arguments of ``load_checkpoint``.
        size: a PCollection with the ``Size`` of the texts.
    """

    def __init__(
        self, learning: Learning, model: str | Checkpoint, load: dict[str, Any], size: beam.PCollection
    ) -> None:
        super().__init__()
        self._learning, self._model, self._load = learning, model, load
        self._size = beam.pvalue.AsSingleton(size)

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Draw a sample, and learn from it."""
        sample = texts | "Draw" >> beam.FlatMap(_drawn, self._learning, self._size)
        return (
            texts.pipeline
            | "Once" >> beam.Create([self._learning], reshuffle=False)
            | "Learn" >> beam.Map(_learnt, beam.pvalue.AsList(sample), self._model, self._load, self._size)
        )


def _drawn(piece: bytes, learning: Learning, size: tuple[int, int]) -> list[str]:
    texts = [found[0] for _, found in unpacked_piece(piece)]
    return [*itertools.compress(texts, learning.sample(hash128(texts)[:, 0], *size))]


def _learnt(
    learning: Learning,
    sample: list[str],
    model: str | Checkpoint,
    load: dict[str, Any],
    size: tuple[int, int],
) -> Learnt:
    loaded = model if isinstance(model, Checkpoint) else load_checkpoint(model, **load)
    return learning.of(sample, hash128(sample)[:, 0], size[0], loaded.languages)


class OwnTexts(beam.PTransform):
    """Pieces of ``(id, (text, ...))`` -> ``(id, text in plain form, without boilerplate)``.

    Args:
        learnt: a PCollection with one :class:`Learnt`.
        needed: whether plain form is needed if there is no boilerplate.
    """

    def __init__(self, learnt: beam.PCollection, *, needed: bool) -> None:
        super().__init__()
        self._learnt, self._needed = learnt, needed

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        """Process the texts of a piece at once."""
        return texts | "Own" >> beam.FlatMap(_owned, beam.pvalue.AsSingleton(self._learnt), self._needed)


def _owned(piece: bytes, learnt: Learnt, needed: bool) -> Iterator[tuple[Any, str]]:
    batch = [(name, found[0]) for name, found in unpacked_piece(piece)]
    texts = pa.array([text for _, text in batch], pa.large_string())
    owned = (learnt.own(texts) if learnt.boilerplate or needed else texts).to_pylist()
    return zip((name for name, _ in batch), owned, strict=True)
