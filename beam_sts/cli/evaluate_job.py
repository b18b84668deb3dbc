"""What a run of ``beam-sts evaluate`` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan
from beam_sts.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Job:
    """A run whose input, model and settings have been looked at and hold together."""

    pattern: str
    plan: InputPlan
    checkpoint: Checkpoint
    settings: EvaluationSettings
    fingerprint: dict[str, Any]
    made_with: dict[str, Any]
    output: OutputFolder | None
