"""A run of ``beam-sts score`` whose input, model and settings were looked at before the long work."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

from beam_sts.checks import check, number, share
from beam_sts.cli.describe import input_identity, versions_of
from beam_sts.cli.formats import format_settings, output_folder, read_options
from beam_sts.cli.scoring import check_device, scorer_options, trust
from beam_sts.io.committed import check_files
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.pairs.beam_files import SliceSettings
from beam_sts.scoring.backends import resolve_backend
from beam_sts.scoring.columns import check_schema, choose_columns, text_schema
from beam_sts.scoring.tokens import PairTokenizer
from beam_sts.transforms.options import SCORE


@dataclass(frozen=True)
class Job:
    """A run whose input, model and settings have been looked at and hold together."""

    pattern: str
    plan: InputPlan
    checkpoint: Checkpoint
    settings: SliceSettings
    fingerprint: dict[str, Any]
    plan_seconds: float


def prepare(own: argparse.Namespace, threads: int | None, *, local: bool = True) -> Job:
    """Look at everything before the long work.

    Args:
        own: the command's options.
        threads: of each worker process, if ``--threads`` is not given.
        local: whether this machine is the one that scores.

    Raises:
        UserError: the first thing that is wrong.
    """
    started = time.perf_counter()
    check(SCORE, vars(own), "--")
    if local:
        check_device(own.device)
    checkpoint = load_checkpoint(own.model, **trust(own))
    _check_threshold(own, checkpoint)
    tokenizer = PairTokenizer.of(checkpoint)
    backend = resolve_backend(checkpoint, tokenizer, own.backend, own.precision, own.device)
    options = read_options(own)
    plan = plan_input(own.input, own.rows_per_shard, options)
    check_apart(own.input, plan.files, own.output)
    check_files(plan.files, f"--input {own.input}")
    text_columns = choose_columns(plan.schema, own.text_a, own.text_b)
    check_schema(plan.schema, text_columns, (own.score_column,))
    settings = SliceSettings(
        output=output_folder(own),
        schema=text_schema(plan.schema, text_columns),
        text_columns=text_columns,
        options=options,
        score_column=own.score_column,
        threshold=own.threshold,
        empty=own.empty,
        symmetric=own.symmetric,
        raw_logits=own.raw_logits,
        report_examples=own.report_examples,
        handler={
            **scorer_options(own),
            **trust(own),
            "backend": backend,
            "threads": own.threads or threads,
        },
    )
    check_encodable(settings.scored_schema, own.output_format)
    fingerprint = {
        "pipeline": "score",
        "input": input_identity(plan),
        "versions": versions_of(*{"onnx": ["onnxruntime"], "openvino": ["openvino"]}.get(backend, [])),
        "model": checkpoint.fingerprint,
        "settings": {
            "text_a": text_columns[0],
            "text_b": text_columns[1],
            "score_column": own.score_column,
            "threshold": own.threshold,
            "symmetric": own.symmetric,
            "raw_logits": own.raw_logits,
            "long_text": own.long_text,
            "empty": own.empty,
            "precision": own.precision,
            "backend": backend,
            "rows_per_shard": own.rows_per_shard,
            **format_settings(own),
        },
    }
    return Job(own.input, plan, checkpoint, settings, fingerprint, time.perf_counter() - started)


def _check_threshold(own: argparse.Namespace, checkpoint: Checkpoint) -> None:
    if own.threshold is None:
        return
    if own.raw_logits or checkpoint.activation == "identity":
        number("--threshold", own.threshold)
    else:
        share("--threshold", own.threshold)
