"""A run of ``beam-sts evaluate``: its parts, and how they are made."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_sts.cli.describe import input_identity, model_names, versions_of
from beam_sts.cli.formats import format_settings
from beam_sts.cli.scoring import scorer_options, trust
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.scoring.backends import resolve_backend
from beam_sts.scoring.tokens import PairTokenizer

Records = list[dict[str, Any]]
"""The records of the slices, in order."""


@dataclass(frozen=True)
class EvaluateJob:
    """A run with checked input, model and settings."""

    pattern: str
    plan: InputPlan
    checkpoint: Checkpoint
    settings: EvaluationSettings
    fingerprint: dict[str, Any]
    made_with: dict[str, Any]
    output: OutputFolder | None


def load_model(args: argparse.Namespace, threads: int | None) -> tuple[Checkpoint, dict[str, Any]]:
    """Load the checkpoint. Also returns the arguments with which each worker runs its ``PairScorer``.

    The backend is chosen here and not by each worker, so that all workers give the same scores.
    """
    checkpoint = load_checkpoint(args.model, **trust(args))
    tokenizer = PairTokenizer.of(checkpoint)
    backend = resolve_backend(checkpoint, tokenizer, "auto", args.precision, args.device)
    handler = {**scorer_options(args), **trust(args), "backend": backend, "threads": args.threads or threads}
    return checkpoint, handler


def fingerprint_of(
    args: argparse.Namespace, plan: InputPlan, checkpoint: Checkpoint, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything on which the output depends, including the settings of this kind of evaluation."""
    scoring = {name: getattr(args, name) for name in ("precision", "long_text")}
    return {
        "pipeline": "evaluate",
        "input": input_identity(plan),
        "versions": versions_of("scipy"),
        "model": checkpoint.fingerprint,
        **model_names(model=checkpoint),
        "settings": {**settings, **scoring, **format_settings(args)},
    }
