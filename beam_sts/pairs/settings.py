"""The settings for scoring pairs: of the model handler, ``ScorePairs``, its Beam YAML and the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beam_sts.checks import flag, name, optional, whole
from beam_sts.errors import UserError
from beam_sts.examples import MOST_EXAMPLES
from beam_sts.io.names import PREFIX
from beam_sts.scoring.plan import MACRO_BATCH
from beam_sts.scoring.settings import ModelSettings
from beam_sts.settings import setting

ROWS_PER_SHARD = 20_000


def _real(what: str, value: Any) -> None:
    # The bounds depend on the model: logits may be any finite number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{what} {value!r}: must be a number.")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(ModelSettings):
    """The settings of a model in Beam workers."""

    batch_size: int = setting(
        MACRO_BATCH,
        "pairs that RunInference passes on in one call; they are sorted by length among themselves",
        whole(1),
        option=None,
    )
    large_model: bool = setting(
        False,
        "load one model for all processes of a machine; each call then crosses processes, which pays off for "
        "models of hundreds of millions of parameters but not for small ones",
        flag,
        option=None,
    )
    model_copies: int | None = setting(
        None, "the number of such models on a machine", optional(whole(1)), option=None
    )

    @property
    def scorer_args(self) -> dict[str, Any]:
        """The arguments of ``PairScorer`` besides the model."""
        names = ("precision", "device", "threads", "token_budget", "long_text")
        backend = self.backend
        if backend == "auto":  # available on all workers, whatever extras are installed
            backend = "native" if self.device == "cpu" else "torch"
        args = {name: getattr(self, name) for name in names}
        return {**args, "backend": backend, "macro_batch": self.batch_size, **self.load}

    @property
    def handler_args(self) -> dict[str, Any]:
        """The arguments of ``CrossEncoderModelHandler`` besides the model."""
        names = (
            *("precision", "backend", "device", "threads", "batch_size", "token_budget", "long_text"),
            *("allow_pickle", "trust_remote_code", "large_model", "model_copies"),
        )
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class HandlerSettings(WorkerSettings):
    """The arguments of ``CrossEncoderModelHandler``."""

    failures: str = setting(
        "raise",
        "raise, or return: a pair on which the backend fails gets a PairFailure as inference",
        choices=("raise", "return"),
        option=None,
    )


@dataclass(frozen=True, kw_only=True)
class RowSettings(WorkerSettings):
    """The settings for scoring rows of texts."""

    score_column: str = setting("score", "name of the score column", name, metavar="NAME")
    output_prefix: str = setting(
        PREFIX, "prefix of an added column whose name the input has already", name, metavar="P"
    )
    symmetric: bool = setting(
        False, "score both orders of the texts and take the mean, at twice the cost", flag
    )
    raw_logits: bool = setting(False, "give logits: skip the activation of the model", flag)
    empty: str = setting("score", "what to do with empty texts", choices=("score", "reject"))

    @property
    def row_args(self) -> dict[str, Any]:
        """The arguments of ``ScorePairs`` besides the model and the names of the text columns."""
        names = ("score_column", "output_prefix", "symmetric", "raw_logits", "empty")
        return {**self.handler_args, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True, kw_only=True)
class ScorePairsSettings(RowSettings):
    """The arguments of ``ScorePairs``."""

    text_a: str | None = setting(
        None, "column of the first texts, a.b in a struct (default: detected)", optional(name), metavar="COL"
    )
    text_b: str | None = setting(None, "column of the second texts", optional(name), metavar="COL")
    tables: bool | None = setting(
        None,
        "elements are Arrow tables (default: decided by the type hint of the PCollection)",
        optional(flag),
        option=None,
    )


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(ScorePairsSettings):
    """The settings of scoring files."""

    threshold: float | None = setting(
        None, "also write the pairs that score T or more to matches/", optional(_real), metavar="T"
    )
    rows_per_shard: int = setting(ROWS_PER_SHARD, "most rows in an output shard", whole(1), metavar="N")
    report_examples: int = setting(
        5, "rows of each kind that the report shows; 0 for none", whole(0, MOST_EXAMPLES), metavar="N"
    )
