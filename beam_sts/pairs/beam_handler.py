"""CrossEncoderModelHandler: runs a cross-encoder in Beam's RunInference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from apache_beam.metrics import Metrics

from beam_sts.models.checkpoint import DEFAULT_MODEL
from beam_sts.pairs.beam_inference import ModelHandler, PredictionResult
from beam_sts.pairs.settings import HandlerSettings
from beam_sts.scoring.inputs import read_pairs
from beam_sts.scoring.result import ScoreResult
from beam_sts.scoring.scorer import PairScorer
from beam_sts.settings import made, takes
from beam_sts.types import TextPair

INFERENCE_ARGS = {"symmetric", "raw_logits"}


@dataclass(frozen=True)
class PairFailure:
    """Replaces the score of a pair that is too long, or on which the backend fails even when scored alone."""

    reason: str


@takes(HandlerSettings)
class CrossEncoderModelHandler(ModelHandler[TextPair, PredictionResult, PairScorer]):
    """Scores ``TextPair`` elements (or tuples of two strings) in ``RunInference``.

    Each ``PredictionResult.inference`` is a float. Beam loads one model per process, shared by its threads.
    With ``large_model`` or ``model_copies``, one or a few models serve all processes of a worker machine.

    If the backend fails on a pair, an error that names the pair is raised, and the exception handling of
    RunInference then sets the whole batch aside. With ``failures="return"`` only that pair is set aside: its
    inference is a ``PairFailure``, and the rest of the batch is scored. ``ScorePairs`` uses this.

    ``backend="auto"`` uses the native engine for BERT-hash and torch for other models, so that all workers
    use the same backend.

    Args:
        model: as for ``PairScorer``.
        **settings: see ``HandlerSettings``.

    >>> import apache_beam as beam
    >>> from apache_beam.ml.inference.base import RunInference
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     _ = (
    ...         pipeline
    ...         | beam.Create([TextPair("A cat sits.", "A cat is sitting.")])
    ...         | RunInference(CrossEncoderModelHandler())
    ...         | beam.Map(lambda result: print(result.inference > 0.5))
    ...     )
    True
    """

    def __init__(self, model: str | Path = DEFAULT_MODEL, **settings: Any) -> None:
        chosen = made(HandlerSettings, "CrossEncoderModelHandler", {"model": model, **settings})
        super().__init__(
            min_batch_size=chosen.batch_size,
            max_batch_size=chosen.batch_size,
            large_model=chosen.large_model,
            model_copies=chosen.model_copies,
        )
        self._model = str(model)
        self._scorer_args = chosen.scorer_args
        self._failures = chosen.failures

    def load_model(self) -> PairScorer:
        """Load the checkpoint. Beam calls this once per process (or per machine)."""
        return PairScorer(self._model, **self._scorer_args)

    def run_inference(
        self,
        batch: Sequence[TextPair],
        model: PairScorer,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        """Score a batch. Returns one result per pair, in order.

        Raises:
            TypeError: an element is not a pair of strings.
            RuntimeError: a pair fails and ``failures`` is ``raise``, or all pairs fail.
        """
        result = score_columns(model, *read_pairs(batch), inference_args)
        if result.failures and self._failures == "raise":
            row, reason = next(iter(result.failures.items()))
            raise RuntimeError(f"pair {row} of a batch of {len(batch)} cannot be scored: {reason}")
        scores: list[Any] = result.scores.tolist()
        for row, reason in result.failures.items():
            scores[row] = PairFailure(reason)
        # KeyedModelHandler zips keys with results, so a short list would drop rows silently.
        return [PredictionResult(pair, score, self._model) for pair, score in zip(batch, scores, strict=True)]

    def get_num_bytes(self, batch: Sequence[TextPair]) -> int:
        """The number of characters: close to the number of bytes, and cheap to compute."""
        return sum(len(pair[0]) + len(pair[1]) for pair in batch)

    def get_metrics_namespace(self) -> str:
        """The namespace of the metrics of RunInference and of this handler."""
        return METRICS_NAMESPACE

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Allow the booleans ``symmetric`` and ``raw_logits``."""
        for name, value in (inference_args or {}).items():
            if name not in INFERENCE_ARGS or not isinstance(value, bool):
                raise ValueError(
                    f"inference argument {name}={value!r}: allowed are {', '.join(sorted(INFERENCE_ARGS))},  "
                    "True or False"
                )

    def update_model_path(self, model_path: str | None = None) -> None:
        """Change the checkpoint, for RunInference's model updates."""
        self._model = model_path or self._model


METRICS_NAMESPACE = "BeamSts"


@dataclass(frozen=True)
class PairColumns:
    """Pairs as two Arrow string columns without nulls, with context that is passed through."""

    text_a: pa.ChunkedArray
    text_b: pa.ChunkedArray
    context: Any

    def __len__(self) -> int:
        return len(self.text_a)


class PairColumnsModelHandler(CrossEncoderModelHandler):
    """The handler for columns of pairs: from a ``PairColumns``, it makes one ``(context, ScoreResult)``."""

    def should_skip_batching(self) -> bool:
        """True, since each element is already a batch."""
        return True

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """Empty, since there is no batching."""
        return {}

    def run_inference(  # type: ignore[override]
        self, batch: PairColumns, model: PairScorer, inference_args: dict[str, Any] | None = None
    ) -> Iterable[tuple[Any, ScoreResult]]:
        """Score one element."""
        return [(batch.context, score_columns(model, batch.text_a, batch.text_b, inference_args))]

    def get_num_bytes(self, batch: PairColumns) -> int:  # type: ignore[override]
        """The bytes of both columns."""
        return int(batch.text_a.nbytes + batch.text_b.nbytes)


def score_columns(
    model: PairScorer, text_a: Any, text_b: Any, inference_args: dict[str, Any] | None
) -> ScoreResult:
    """Score pairs and update the metrics, for both handlers."""
    result = model.run(text_a, text_b, **(inference_args or {}))
    stats = result.stats
    for name, value in {
        "pairs_scored": stats.pairs - len(result.failures),
        "pairs_reused": stats.pairs_reused,
        "real_tokens": stats.real_tokens,
        "padded_tokens": stats.padded_tokens,
        "truncated": stats.truncated,
        "windowed": stats.windowed,
        "unknown": stats.unknown,
        "windows": stats.windows,
        "rejected": len(result.failures),
    }.items():
        Metrics.counter(METRICS_NAMESPACE, name).inc(value)
    return result
