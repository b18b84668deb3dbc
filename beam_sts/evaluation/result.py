"""The result of an evaluation, computed from the slices' records and entries. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beam_sts.errors import UserError
from beam_sts.evaluation.agreement import (
    GroupAgreement,
    UndefinedCorrelationError,
    agreement,
    agreement_of_groups,
)
from beam_sts.evaluation.comparison import Comparison, compare_groups
from beam_sts.evaluation.entries import Entries
from beam_sts.evaluation.gates import Gate, check_gates
from beam_sts.evaluation.means import GroupMean, means_of
from beam_sts.evaluation.settings import EvaluationSettings
from beam_sts.plurals import plural
from beam_sts.scoring.counts import ScoredRows

REJECTED_KEPT = 1_000
"""Limit of the rejected rows that the result lists; ``rejected/`` of the output has all."""


@dataclass(frozen=True)
class Evaluation:
    """The result, which ``--json`` writes; ``rows_read`` is ``rows_scored`` + ``rows_rejected``.

    ``answers`` counts scores: one per row or, with ``--systems``, one for each system that answered.
    ``missing`` counts, for each group, the questions that only other groups answered.
    """

    model: str
    input: str
    text_a: str
    text_b: str
    gold: str | None
    group: str | None
    by: str | None
    baseline: str | None
    references: str
    rule: str
    symmetric: bool
    rows_read: int
    rows_scored: int
    rows_rejected: int
    rejected_reasons: dict[str, int]
    answers: int
    missing: dict[str, int]
    pearson: float | None
    spearman: float | None
    mean: GroupMean
    groups: list[GroupMean]
    comparisons: list[Comparison]
    agreement: list[GroupAgreement]
    gates: list[Gate]
    calibration: dict[str, Any] | None
    seconds: float
    pairs_per_second: float
    rejected: list[dict[str, Any]]
    lost: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all gates passed."""
        return all(gate.passed for gate in self.gates)


def conclude(
    entries: Entries,
    records: Sequence[dict[str, Any]],
    settings: EvaluationSettings,
    *,
    model: str,
    source: str,
    baseline: str | None = None,
    fail_under: float | None = None,
    max_regression: float | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compute means, comparisons, agreement and gates.

    Args:
        entries: the entries of the whole input.
        records: the records of its slices, in order.
        settings: the settings of the evaluation.
        model: the model's name.
        source: the input as the user named it.
        baseline: the group to compare with; default: the first by name, if questions pair the groups.
        fail_under: least mean of a group; None: no limit.
        max_regression: largest estimated loss against the baseline; None: no limit.
        seed: seed of the bootstrap.

    Raises:
        UserError: nothing was scored, or the baseline is not one of the groups.
        UndefinedCorrelationError: marks or scores do not vary.
    """
    total = ScoredRows.total(ScoredRows.read(record, some=True) for record in records)
    rejected = [row for record in records for row in record["rejected"]][:REJECTED_KEPT]
    if not len(entries):
        raise UserError(f"{source}: no row can be used.", *first_few(rejected))
    grouped = bool(settings.group) or settings.wide
    paired = grouped and bool(settings.by or settings.wide)
    question = entries.question if settings.by or settings.wide else None
    (mean,) = means_of(entries.score, np.zeros(len(entries), np.int64), ["all"], question)
    groups = means_of(entries.score, entries.group, entries.names, question) if grouped else []
    comparisons: list[Comparison] = []
    if paired and len(entries.names) > 1:
        baseline = baseline or entries.names[0]
        check_baseline(baseline, entries.names)
        comparisons = compare_groups(
            entries.score, entries.group, entries.names, entries.question, baseline, seed=seed
        )
    numbers = agreement(entries.score, entries.gold) if settings.gold else None
    by_group = agreement_of_groups if settings.gold and grouped else None
    seconds = sum(record["seconds"] for record in records)
    return Evaluation(
        model=model,
        input=source,
        text_a=",".join(settings.answers),
        text_b=",".join(settings.references),
        gold=settings.gold,
        group="system" if settings.wide else settings.group,
        by=settings.by,
        baseline=baseline,
        references=settings.several,
        rule=settings.rule,
        symmetric=settings.symmetric,
        rows_read=total.rows_read,
        rows_scored=total.rows_scored,
        rows_rejected=total.rows_rejected,
        rejected_reasons=total.reasons,
        answers=len(entries),
        missing=_missing(entries) if paired else {},
        pearson=numbers.pearson if numbers else None,
        spearman=numbers.spearman if numbers else None,
        mean=mean,
        groups=groups,
        comparisons=comparisons,
        agreement=by_group(entries.score, entries.gold, entries.group, entries.names) if by_group else [],
        gates=check_gates(
            groups or [mean], comparisons, fail_under=fail_under, max_regression=max_regression
        ),
        calibration=None,
        seconds=seconds,
        pairs_per_second=total.pairs / seconds if seconds else 0.0,
        rejected=rejected,
    )


def check_baseline(baseline: str, names: Sequence[str]) -> None:
    """Check that the baseline is one of the groups.

    Raises:
        UserError: it is not.
    """
    if baseline not in names:
        more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
        listed = f"{', '.join(map(repr, names[:20]))}{more}"
        raise UserError(f"--baseline {baseline}: is not one of the groups {listed}.")


def first_few(rejected: Sequence[dict[str, Any]], shown: int = 5) -> list[str]:
    """The first rejected rows, one line each."""
    lines = [f"          {each['file']}, row {each['row']}: {each['reason']}" for each in rejected[:shown]]
    more = len(rejected) - shown
    return [*lines, f"          and {more:,} more"] if more > 0 else lines


def undefined(
    error: UndefinedCorrelationError, source: str, rejected: Sequence[dict[str, Any]], count: int
) -> UserError:
    """The error for marks or scores that do not vary, with the rejected rows.

    Args:
        error: what is undefined.
        source: the input as the user named it.
        rejected: some or all of the rejected rows.
        count: count of the rejected rows.
    """
    return UserError(f"{source}: {error}; {plural(count, 'row')} rejected.", *first_few(rejected))


def _missing(entries: Entries) -> dict[str, int]:
    asked = len(np.unique(entries.question))
    pairs = np.unique(np.stack([entries.group, entries.question]), axis=1)
    answered = np.bincount(pairs[0], minlength=len(entries.names))
    return {name: int(asked - count) for name, count in zip(entries.names, answered.tolist(), strict=True)}
