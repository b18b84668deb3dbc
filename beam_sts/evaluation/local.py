"""The local driver: scores the slices one after the other, with the texts of one slice in memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.evaluation.agreement import UndefinedCorrelationError, check_varies
from beam_sts.evaluation.entries import pack
from beam_sts.evaluation.result import REJECTED_KEPT, check_baseline, first_few, undefined
from beam_sts.evaluation.rows import Part, finish_slice, names_of, prepare_slice
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.io.committed import slice_identity
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan, read_slices
from beam_sts.io.slices import Slice
from beam_sts.io.summary import length_histogram
from beam_sts.scoring.scorer import PairScorer

FOLDERS = ("scores", "rejected")
"""The shard folders of an evaluation's output; a shard of scores marks its slice as committed."""


def evaluate_slices(
    units: Iterable[list[Slice]], scorer: PairScorer, settings: EvaluationSettings
) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Read and score slices in order.

    Args:
        units: slices that are read in one pass.
        scorer: the model.
        settings: the settings of the evaluation.

    Yields:
        Each scored slice with its record.
    """
    for unit in units:
        for data in read_slices(unit, settings.schema, settings.text_columns, settings.options):
            prepared = prepare_slice(data, settings)
            result = scorer.run(prepared.answers, prepared.references, symmetric=settings.symmetric)
            part = finish_slice(prepared, result, settings)
            yield part, record_of(part, result.seconds)


def record_of(part: Part, seconds: float) -> dict[str, Any]:
    """The counts of a slice, in types of JSON.

    Args:
        part: the slice.
        seconds: duration of scoring.
    """
    rejected = part.rejected.select(["file", "row", "reason"]).slice(0, REJECTED_KEPT)
    return {
        "index": part.data.slice.index,
        "rows_read": part.data.slice.rows,
        "rows_scored": len(part.scored),
        "rows_rejected": len(part.rejected),
        **asdict(part.stats),
        "reasons": part.reasons,
        "lengths": length_histogram(part.tokens),
        "seconds": seconds,
        "done_at": time.time(),
        "rejected": rejected.to_pylist(),
    }


def commit(part: Part, record: dict[str, Any], output: OutputFolder) -> None:
    """Write a slice: its rejected rows, its record, then its scored rows, which mark it as committed."""
    shards = {**({"rejected": part.rejected} if len(part.rejected) else {}), "scores": part.scored}
    noted = {**record, "entries": pack(part.entries)}
    output.commit(part.data.slice.index, shards, noted, of=slice_identity(part.data.slice))


def check_input(plan: InputPlan, settings: EvaluationSettings, baseline: str | None, source: str) -> None:
    """Check the input before the long work, and read no more of it than needed.

    Args:
        plan: the input.
        settings: the settings of the evaluation.
        baseline: the group that must exist, or None.
        source: the input as the user named it.

    Raises:
        UserError: no row can be used, all marks are equal, or the baseline is not one of the groups.
    """
    if settings.wide and baseline is not None:
        check_baseline(baseline, settings.answers)
    names: set[str] = set()
    marks: list[NDArray[np.float64]] = [np.empty(0)]
    seen, varied = marks[0], not settings.gold
    usable, count = 0, 0
    rejected: list[dict[str, Any]] = []
    sought = None if settings.wide else baseline
    for unit in plan.units:
        for data in read_slices(unit, settings.schema, settings.text_columns, settings.options):
            prepared = prepare_slice(data, settings)
            usable += len(prepared.position)
            marks.append(prepared.gold)
            seen = seen if len(seen) else prepared.gold
            if sought is not None and settings.group:
                names.update(names_of(data.table, settings.group, prepared.position))
            bad = [(data.rows[row], why) for row, why in prepared.reasons.items()]
            bad += [(row.row, row.reason) for row in data.bad]
            count += len(bad)
            if len(rejected) < REJECTED_KEPT:
                rejected += [{"file": data.slice.path, "row": row, "reason": why} for row, why in sorted(bad)]
            varied = varied or bool(len(seen) and (prepared.gold != seen[0]).any())
            if usable and varied and (sought is None or sought in names):
                return
    if not usable:
        raise UserError(f"{source}: no row can be used.", *first_few(rejected))
    if settings.gold:
        try:
            check_varies(np.concatenate(marks), f"gold scores in column {settings.gold!r}")
        except UndefinedCorrelationError as error:
            raise undefined(error, source, rejected, count) from error
    if sought is not None:
        check_baseline(sought, sorted(names))
