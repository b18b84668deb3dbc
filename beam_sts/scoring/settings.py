"""The settings of the model and of scoring, which all verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beam_sts.checks import flag, one_of, optional, whole
from beam_sts.errors import UserError
from beam_sts.extras import need_torch
from beam_sts.models.checkpoint import DEFAULT_MODEL, Checkpoint
from beam_sts.models.source import check_model_name
from beam_sts.scoring.backends import BACKENDS, PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT
from beam_sts.scoring.plan import MACRO_BATCH
from beam_sts.settings import Settings, setting


def check_model(what: str, value: Any) -> None:
    """Check that a value is a model's name, folder or URL, or a loaded model."""
    if not isinstance(value, str | Path | Checkpoint) or not str(value):
        raise UserError(f"{what} {value!r}: must be the name, folder or URL of a model.")
    if isinstance(value, str):
        check_model_name(value)


def check_device(what: str, value: Any) -> None:
    """Check for ``cpu`` or a device that torch knows, whether or not this machine has it."""
    if value == "cpu":
        return
    need_torch(f"{what} {value!r}")
    import torch

    try:
        torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{what} {value!r}: must be a torch device, such as cpu or cuda:0.") from error


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Settings):
    """The settings of how a model is loaded and run."""

    model: str | Path = setting(
        DEFAULT_MODEL, "embedded model, folder, fsspec URL or Hugging Face id[@revision]", check_model
    )
    long_text: str = setting(
        "truncate",
        "pairs with more tokens than the model takes: truncate like sentence-transformers, reject (error), "
        "or score in overlapping windows",
        choices=LONG_TEXT,
    )
    allow_pickle: bool = setting(
        False, "load .bin weights, which are pickles; only for sources that you trust", flag
    )
    trust_remote_code: bool = setting(
        False, "run the Python code of a model; only for sources that you trust", flag
    )
    precision: str = setting(
        "fp32",
        "bf16 is faster on processors that support it, with slightly different scores",
        choices=PRECISIONS,
    )
    backend: str = setting(
        "auto",
        "auto is resolved before the run and recorded; native runs BERT-hash; torch, onnx, openvino: extras",
        one_of(*BACKENDS),
        choices=BACKENDS,
    )
    device: str = setting("cpu", "torch device", check_device)
    threads: int | None = setting(
        None,
        "threads of each worker process (default: cores / processes)",
        optional(whole(1)),
        metavar="N",
    )
    token_budget: int | None = setting(
        None,
        "bound on a micro-batch, in tokens with padding (default: the best for the backend)",
        optional(whole(1)),
        option=None,
    )

    @property
    def load(self) -> dict[str, bool]:
        """The permissions that the user gives a model, as arguments of ``load_checkpoint``."""
        return {"allow_pickle": self.allow_pickle, "trust_remote_code": self.trust_remote_code}


@dataclass(frozen=True, kw_only=True)
class ScorerSettings(ModelSettings):
    """The arguments of ``PairScorer``."""

    macro_batch: int = setting(
        MACRO_BATCH, "distinct pairs that are tokenised and sorted by length together", whole(1), option=None
    )

    @property
    def scorer_args(self) -> dict[str, Any]:
        """The arguments of ``PairScorer`` except the model."""
        names = (
            "precision",
            "backend",
            "device",
            "threads",
            "macro_batch",
            "token_budget",
            "long_text",
            "allow_pickle",
            "trust_remote_code",
        )
        return {name: getattr(self, name) for name in names}
