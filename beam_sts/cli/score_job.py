"""A run of ``beam-sts score``, with its input, model and settings checked before the long work."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from typing import Any

from beam_sts.checks import number, share
from beam_sts.cli.describe import input_identity, model_names, versions_of
from beam_sts.cli.formats import format_settings, output_folder, read_options
from beam_sts.cli.scoring import check_device_here
from beam_sts.io.committed import check_files
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.pairs.beam_files import SliceSettings
from beam_sts.pairs.settings import ScoreSettings
from beam_sts.scoring.backends import resolve_backend
from beam_sts.scoring.columns import check_texts, choose_columns, text_schema
from beam_sts.scoring.tokens import PairTokenizer
from beam_sts.settings import from_args

_DECIDING = ("score_column", "threshold", "symmetric", "raw_logits", "long_text", "empty", "precision")


@dataclass(frozen=True)
class ScoreJob:
    """A run with checked input, model and settings."""

    pattern: str
    plan: InputPlan
    checkpoint: Checkpoint
    settings: SliceSettings
    fingerprint: dict[str, Any]
    plan_seconds: float


def prepare(args: argparse.Namespace, threads: int | None, *, local: bool = True) -> ScoreJob:
    """Check everything before the long work.

    Args:
        args: the options of the command.
        threads: the threads of each worker process, if ``--threads`` is not given.
        local: whether this machine does the scoring.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    started = time.perf_counter()
    chosen = from_args(ScoreSettings, args)
    if local:
        check_device_here(chosen.device)
    checkpoint = load_checkpoint(chosen.model, **chosen.load)
    _check_threshold(chosen, checkpoint)
    tokenizer = PairTokenizer.of(checkpoint)
    backend = resolve_backend(checkpoint, tokenizer, chosen.backend, chosen.precision, chosen.device)
    options = read_options(args)
    plan = plan_input(args.input, chosen.rows_per_shard, options)
    check_apart(args.input, plan.files, args.output)
    check_files(plan.files, f"--input {args.input}")
    text_columns = choose_columns(plan.schema, chosen.text_a, chosen.text_b)
    check_texts(plan.schema, text_columns)
    settings = SliceSettings(
        output=output_folder(args),
        schema=text_schema(plan.schema, text_columns),
        text_columns=text_columns,
        options=options,
        score=replace(chosen, backend=backend, threads=chosen.threads or threads),
    )
    check_encodable(settings.scored_schema, args.output_format)
    fingerprint: dict[str, Any] = {
        "pipeline": "score",
        "input": input_identity(plan),
        "versions": versions_of(*{"onnx": ["onnxruntime"], "openvino": ["openvino"]}.get(backend, [])),
        "model": checkpoint.fingerprint,
        **model_names(model=checkpoint),
        "settings": {
            "text_a": text_columns[0],
            "text_b": text_columns[1],
            **{name: getattr(chosen, name) for name in _DECIDING},
            "score_column": settings.score_column,
            "backend": backend,
            "rows_per_shard": chosen.rows_per_shard,
            **format_settings(args),
        },
    }
    return ScoreJob(args.input, plan, checkpoint, settings, fingerprint, time.perf_counter() - started)


def _check_threshold(chosen: ScoreSettings, checkpoint: Checkpoint) -> None:
    if chosen.threshold is None:
        return
    if chosen.raw_logits or checkpoint.activation == "identity":
        number("--threshold", chosen.threshold)
    else:
        share("--threshold", chosen.threshold)
