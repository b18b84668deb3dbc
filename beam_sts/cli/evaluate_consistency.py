"""``beam-sts evaluate --consistency``: how far the answers to each question agree, without references."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts import PairScorer, UserError
from beam_sts.checks import share
from beam_sts.cli.args import beam_options, worker_threads
from beam_sts.cli.console import console_of, note_renamed
from beam_sts.cli.evaluate_job import Records, fingerprint_of, load_model
from beam_sts.cli.formats import output_folder, read_options
from beam_sts.cli.progress import progress
from beam_sts.cli.scoring import check_device_here
from beam_sts.evaluation.consistency_local import (
    FOLDERS,
    SHOWN_QUESTIONS,
    commit_part,
    commit_rows,
    compare_here,
    counts,
    parts_committed,
    read_answers,
    recorded_answers,
    shortened_questions,
    together,
)
from beam_sts.evaluation.consistency_parts import (
    FIRST_ROW,
    QUESTIONS,
    ConsistencySettings,
    agree,
    parts_of,
    rejected_of,
)
from beam_sts.evaluation.means import GroupMean, means_of
from beam_sts.evaluation.result import first_few
from beam_sts.evaluation.settings import ROWS_PER_SLICE, check_answers
from beam_sts.examples import shorten
from beam_sts.io.claim import claim
from beam_sts.io.column_paths import find_path, missing_column
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart, publish
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.io.slices import SliceData
from beam_sts.io.spill import work_folder
from beam_sts.io.summary import add_records
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.plurals import plural
from beam_sts.scoring.backends import default_threads
from beam_sts.scoring.columns import text_schema

_NOT_TAKEN = (
    *("text_b", "systems", "score", "baseline", "fail_under", "max_regression", "plot", "report", "junit"),
    *("markdown", "sheet", "calibration", "calibrate", "symmetric"),
)
_SHOWN = 10
QUESTIONS_LISTED = 10_000
"""The most questions in the JSON output. If there are more, those with the least agreement are listed."""


@dataclass(frozen=True)
class ConsistencyJob:
    """A run with checked input, model and settings."""

    plan: InputPlan
    checkpoint: Checkpoint
    settings: ConsistencySettings
    fingerprint: dict[str, Any]


def run_consistency(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Compare the answers to each question, and write and print the result. Returns the exit status.

    Raises:
        UserError: an option excludes ``--consistency``, or the input cannot be used.
    """
    options, processes, local = beam_options(beam_args)
    threads = default_threads(args.device, processes) if local else worker_threads(options)
    job = _prepare(args, threads, local=local)
    if not args.output:
        return _finish(args, job, *_compare_without_output(job, args))
    with claim(
        output_folder(args, FOLDERS), job.fingerprint, overwrite=args.overwrite, takeover=args.takeover
    ) as output:
        before, damaged = output.resume(job.plan.slices, verify=args.verify)
        done = parts_committed(job.settings, output, verify=args.verify)
        if damaged:
            console_of(args).note(
                "damaged", f"damaged: {plural(len(damaged), 'damaged shard')}, written again"
            )
        wanted = [part for part in range(job.settings.parts) if part not in done]
        if wanted and beam_args:
            _compare_by_beam(job, output, options, local)
        elif wanted:
            with work_folder(output) as folder, _progress(job, wanted, args) as step:
                slices = read_answers(job.plan.units, job.settings)
                for part, scores in step(compare_here(slices, _scorer(job), job.settings, folder, wanted)):
                    commit_part(part, scores, job.settings, output)
        questions, agreed = recorded_answers(parts_committed(job.settings, output))
        units = [[part for part in unit if part.index not in before] for unit in job.plan.units]
        commit_rows(filter(None, units), agreed, job.settings, output)
        settings = job.settings
        empty = {
            "scores": settings.scored_schema,
            "rejected": settings.rejected_schema,
            "questions": QUESTIONS,
        }
        output.finish(empty)
        records = list(output.records(part.index for part in job.plan.slices))
        return _finish(args, job, questions, records, output)


def _prepare(args: argparse.Namespace, threads: int | None, *, local: bool) -> ConsistencyJob:
    """Check everything before the long work."""
    for name in _NOT_TAKEN:
        if getattr(args, name):
            raise UserError(
                f"--{name}: is not possible with --consistency, which compares answers. Leave it out."
            )
    for name, what in (("text_a", "the answers"), ("by", "the question, or of its id")):
        if not getattr(args, name):
            raise UserError(f"--consistency: needs the column of {what}; name it with --{name}.")
    share("--threshold", args.threshold)
    if local:
        check_device_here(args.device)
    options = read_options(args)
    plan = plan_input(args.input, ROWS_PER_SLICE, options)
    for flag, name in (("--text_a", args.text_a), ("--by", args.by), ("--group", args.group)):
        if name and find_path(plan.schema, name) is None:
            raise missing_column(f"{flag}: column {name!r}", name, plan.schema.names)
    check_answers(plan.schema, [args.text_a], "--text_a")
    checkpoint, handler = load_model(args, threads)
    settings = ConsistencySettings(
        text_schema(plan.schema, [args.text_a]),
        args.text_a,
        args.by,
        args.group,
        args.threshold,
        seed=args.seed,
        parts=parts_of(plan.rows),
        output_prefix=args.output_prefix,
        options=options,
        handler=handler,
    )
    if args.output:
        check_apart(args.input, plan.files, args.output)
        check_encodable(settings.scored_schema, args.output_format)
    decides = {
        "consistency": True,
        "backend": handler["backend"],
        "most_answers": settings.most_answers,
        **{name: getattr(args, name) for name in ("text_a", "by", "group", "threshold", "seed")},
        "renamed_columns": settings.renamed,
    }
    return ConsistencyJob(plan, checkpoint, settings, fingerprint_of(args, plan, checkpoint, decides))


def _scorer(job: ConsistencyJob) -> PairScorer:
    return PairScorer(job.checkpoint, **job.settings.handler)


@contextmanager
def _progress(job: ConsistencyJob, wanted: Sequence[int], args: argparse.Namespace) -> Iterator[Any]:
    """Show how many parts are done. Yields a function that counts the parts that pass through it."""
    done = 0

    def step(parts: Iterable[Any]) -> Iterator[Any]:
        nonlocal done
        for part in parts:
            yield part
            done += 1

    with progress(len(wanted), lambda: done, "parts", console=console_of(args)):
        yield step


def _compare_without_output(job: ConsistencyJob, args: argparse.Namespace) -> tuple[pa.Table, Records]:
    """The questions, and the counts of each slice. Texts are on disk; those of one part are in memory."""
    records: list[dict[str, Any]] = []

    def counted() -> Iterator[SliceData]:
        for data in read_answers(job.plan.units, job.settings):
            records.append(counts(data, rejected_of(data, job.settings)))
            yield data

    wanted = range(job.settings.parts)
    found = []
    with tempfile.TemporaryDirectory(prefix="beam_sts") as folder, _progress(job, wanted, args) as step:
        for part, scores in step(compare_here(counted(), _scorer(job), job.settings, Path(folder), wanted)):
            questions, _ = agree(part, scores, job.settings)
            found.append(shortened_questions(questions))
    return together(found, SHOWN_QUESTIONS, FIRST_ROW.name), records


def _compare_by_beam(job: ConsistencyJob, output: OutputFolder, options: Any, local: bool) -> None:
    model = str(job.checkpoint.path) if local else job.checkpoint.name
    from beam_sts.cli.beam_options import run_pipeline
    from beam_sts.evaluation.beam import CompareAnswers

    run_pipeline(options, job.plan.units, CompareAnswers(model, job.settings, output))


def _finish(
    args: argparse.Namespace,
    job: ConsistencyJob,
    questions: pa.Table,
    records: Records,
    output: OutputFolder | None = None,
) -> int:
    total = add_records([{name: one[name] for name in _COUNTED} for one in records])
    if not len(questions):
        rejected = [row for record in records for row in record["rejected"]]
        raise UserError(f"{args.input}: no row can be used.", *first_few(rejected))
    group = questions.column("group").combine_chunks().dictionary_encode()
    mean = questions.column("mean").to_numpy(zero_copy_only=False)
    several = np.flatnonzero(~np.isnan(mean))
    numbers = group.indices.to_numpy().astype(np.int64)
    groups = means_of(mean[several], numbers[several], group.dictionary.to_pylist(), None)
    listed = np.arange(len(questions))
    if len(listed) > QUESTIONS_LISTED:
        listed = np.sort(np.argsort(mean, kind="stable")[:QUESTIONS_LISTED])
    compared, answers = (questions.column(name).to_numpy() for name in ("compared", "answers"))
    found = {
        "model": args.model,
        "input": args.input,
        **{name: getattr(args, name) for name in ("text_a", "by", "group", "seed")},
        "threshold": job.settings.threshold,
        "most_answers": job.settings.most_answers,
        "rows_read": total["rows_read"],
        "rows_scored": total["rows_scored"],
        "rows_rejected": total["rows_rejected"],
        "rejected_reasons": total["reasons"],
        "questions_asked": len(questions),
        "questions_alone": len(questions) - len(several),
        "questions_sampled": int((compared < answers).sum()),
        "mean": float(mean[several].mean()) if len(several) else None,
        "groups": [asdict(each) for each in groups] if args.group else [],
        "questions": questions.select(QUESTIONS.names).take(pa.array(listed)).to_pylist(),
    }
    if args.json:
        publish(args.json, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode())
    if output:
        output.write_json("summary.json", found)
        note_renamed(console_of(args), job.settings.renamed)
    console_of(args).show(_lines(found, groups if args.group else [], args), found)
    return 0


_COUNTED = ("rows_read", "rows_scored", "rows_rejected", "reasons")


def _lines(found: dict[str, Any], groups: list[GroupMean], args: argparse.Namespace) -> list[str]:
    questions = [each for each in found["questions"] if each["mean"] is not None]
    mean = "undefined: no question has two answers"
    if found["mean"] is not None:
        mean = f"{found['mean']:.4f}, the mean over questions of the mean score of all pairs of answers"
    scored, rejected = f"{found['rows_scored']:,} scored", f"{found['rows_rejected']:,} rejected"
    lines = [
        f"{found['model']} on {found['input']}",
        f"rows      {found['rows_read']:,} read: {scored}, {rejected}",
        f"questions {found['questions_asked']:,}, {found['questions_alone']:,} with one answer",
        f"agreement {mean}",
    ]
    if found["questions_sampled"]:
        lines.append(
            f"          {plural(found['questions_sampled'], 'question has', 'questions have')} more answers "
            f"than {found['most_answers']}: as many were compared, chosen by --seed {found['seed']}"
        )
    for each in groups:
        spread = "" if each.low is None else f" (95% confidence {each.low:.4f} to {each.high:.4f})"
        lines.append(
            f"{found['group']} {shorten(each.group)}: {each.mean:.4f}{spread}, "
            f"{plural(each.count, 'question')}"
        )
    for each in sorted(questions, key=lambda each: each["mean"])[:_SHOWN]:
        name = f"{shorten(each['group'])}: " if found["group"] else ""
        lines.append(
            f"least     {name}{shorten(each['question'])}: {each['mean']:.3f}, "
            f"{plural(each['clusters'], 'meaning')} in {plural(each['compared'], 'answer')}"
        )
    return [*lines, *(f"{name:<10}{path}" for name in ("json", "output") if (path := getattr(args, name)))]
