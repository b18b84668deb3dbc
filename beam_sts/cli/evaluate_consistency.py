"""``pipelines.evaluate --consistency``: how far the answers to each question agree, without references."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from beam_sts import PairScorer, UserError
from beam_sts.cli.console import console_of
from beam_sts.cli.formats import read_options
from beam_sts.cli.scoring import check_device, scorer_options, trust
from beam_sts.errors import check_between
from beam_sts.evaluation.consistency import MOST_ANSWERS, consistency
from beam_sts.evaluation.means import GroupMean, group_means
from beam_sts.evaluation.rows import names_of
from beam_sts.evaluation.settings import ROWS_PER_SLICE, holds_texts
from beam_sts.examples import reason_kind
from beam_sts.io.files import publish
from beam_sts.io.reading import InputPlan, plan_input, read_slices
from beam_sts.io.schema import column_at, field_at, find_path, missing_column
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.columns import as_bytes, sift, text_schema

_NOT_TAKEN = (
    *("text_b", "systems", "score", "baseline", "fail_under", "max_regression", "plot", "report", "junit"),
    *("markdown", "output", "sheet", "calibration", "calibrate", "symmetric"),
)
_SHOWN = 10


def run_consistency(own: argparse.Namespace) -> int:
    """Read all answers, compare those to one question, and print the result; gives the exit status.

    Raises:
        UserError: an option does not go with ``--consistency``, or the input cannot be used.
    """
    for name in _NOT_TAKEN:
        if getattr(own, name):
            raise UserError(
                f"--{name}: does not go with --consistency, which compares answers. Leave it out."
            )
    for name, what in (("text_a", "the answers"), ("by", "the question, or of its id")):
        if not getattr(own, name):
            raise UserError(f"--consistency: needs the column of {what}; name it with --{name}.")
    check_between("--threshold", own.threshold)
    check_device(own.device)
    plan = plan_input(own.input, ROWS_PER_SLICE, read_options(own))
    for flag, name in (("--text_a", own.text_a), ("--by", own.by), ("--group", own.group)):
        if name and find_path(plan.schema, name) is None:
            raise missing_column(f"{flag}: column {name!r}", name, plan.schema.names)
    if not holds_texts(field_at(text_schema(plan.schema, [own.text_a]), own.text_a)):
        raise UserError(f"--text_a: column {own.text_a!r} does not hold texts. Name another.")
    parts = list(_read(plan, own))
    rejected = Counter(reason_kind(why) for _, _, reasons in parts for why in reasons)
    answers = pa.chunked_array([chunk for texts, _, _ in parts for chunk in texts.chunks], pa.large_string())
    keys = [key for _, names, _ in parts for key in names]
    if not keys:
        raise UserError(f"{own.input}: no row can be used: {dict(rejected)}.")
    checkpoint = load_checkpoint(own.model, **trust(own))
    scorer = PairScorer(checkpoint, **scorer_options(own))
    # A question asked of two systems is two questions here.
    codes = list(dict.fromkeys(keys))
    number = {key: at for at, key in enumerate(codes)}
    result = consistency(
        [number[key] for key in keys],
        answers,
        scorer,
        own.threshold,
        most_answers=MOST_ANSWERS,
        seed=own.seed,
    )
    several = [each for each in result.questions if each.mean is not None]
    means = [each.mean for each in several if each.mean is not None]
    groups = group_means(means, [codes[int(each.question)][0] for each in several])
    found = {
        "model": own.model,
        "input": own.input,
        **{name: getattr(own, name) for name in ("text_a", "by", "group", "seed")},
        "threshold": result.threshold,
        "most_answers": MOST_ANSWERS,
        "rows_read": len(keys) + rejected.total(),
        "rows_scored": len(keys),
        "rows_rejected": rejected.total(),
        "rejected_reasons": dict(rejected),
        "questions_alone": len(codes) - len(several),
        "questions_sampled": result.sampled,
        "mean": result.mean,
        "groups": [asdict(each) for each in groups] if own.group else [],
        "questions": [
            {**asdict(each), "group": codes[int(each.question)][0], "question": codes[int(each.question)][1]}
            for each in result.questions
        ],
    }
    if own.json:
        publish(own.json, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode())
    console_of(own).show(_lines(found, groups if own.group else []), found)
    return 0


def _read(
    plan: InputPlan, own: argparse.Namespace
) -> Iterator[tuple[pa.ChunkedArray, list[tuple[str, str]], list[str]]]:
    """Of each slice the answers, the group and question of each, and why other rows cannot be used."""
    schema = text_schema(plan.schema, [own.text_a])
    for unit in plan.units:
        for data in read_slices(unit, schema, [own.text_a], read_options(own)):
            sifted = sift(data.table, [own.text_a])
            keep = set(sifted.good.tolist())
            reasons = [*sifted.reasons, *(row.reason for row in data.bad)]
            for name in filter(None, (own.group, own.by)):
                for row, null in enumerate(column_at(data.table, name).is_null().to_pylist()):
                    if null and row in keep:
                        keep.remove(row)
                        reasons.append(f"null in column {name!r}")
            table = data.table.take(pa.array(sorted(keep), pa.int64()))
            texts = as_bytes(column_at(table, own.text_a)).cast(pa.large_string())
            groups = names_of(table, own.group) if own.group else [""] * len(table)
            yield texts, list(zip(groups, names_of(table, own.by), strict=True)), reasons


def _lines(found: dict[str, Any], groups: list[GroupMean]) -> list[str]:
    questions = [each for each in found["questions"] if each["mean"] is not None]
    mean = "no question has two answers" if found["mean"] is None else f"{found['mean']:.4f}"
    scored, rejected = f"{found['rows_scored']:,} scored", f"{found['rows_rejected']:,} rejected"
    lines = [
        f"{found['model']} on {found['input']}",
        f"rows      {found['rows_read']:,} read: {scored}, {rejected}",
        f"questions {len(found['questions']):,}, {found['questions_alone']:,} with one answer",
        f"agreement {mean}, the mean over questions of the mean score of each two answers",
    ]
    if found["questions_sampled"]:
        lines.append(
            f"          {found['questions_sampled']:,} questions have more answers than "
            f"{found['most_answers']}: as many were compared, chosen by --seed {found['seed']}"
        )
    for each in groups:
        spread = "" if each.low is None else f" (95% confidence {each.low:.4f} to {each.high:.4f})"
        lines.append(f"{found['group']} {each.group}: {each.mean:.4f}{spread}, {each.count:,} questions")
    for each in sorted(questions, key=lambda each: each["mean"])[:_SHOWN]:
        name = f"{each['group']}: " if found["group"] else ""
        lines.append(
            f"least     {name}{each['question']}: {each['mean']:.3f}, {each['clusters']} meanings in "
            f"{each['compared']} answers"
        )
    return lines
