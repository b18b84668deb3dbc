r"""Compare systems by the similarity of their answers to references, or scores with marks by people.

    python -m pipelines.evaluate --input answers.jsonl --text_a answer --text_b reference \
        --group system --by question_id --baseline a
    python -m pipelines.evaluate --input gold.parquet --score gold

Systems are compared question by question: paired, with confidence intervals, and with gates for CI.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from beam_sts import PairScorer, UserError
from beam_sts.cli.args import Parser, beam_options, worker_threads
from beam_sts.cli.console import Console, console_of, guarded, kept_in, note_renamed
from beam_sts.cli.evaluate_consistency import run_consistency
from beam_sts.cli.evaluate_job import EvaluateJob, Records, fingerprint_of, load_model
from beam_sts.cli.evaluate_options import GATE_FAILED, add_evaluate_options, check_options
from beam_sts.cli.evaluate_summary import page_summary, result_lines, written
from beam_sts.cli.formats import output_folder, read_options
from beam_sts.cli.progress import progress
from beam_sts.cli.scoring import check_device_here
from beam_sts.evaluation.agreement import UndefinedCorrelationError
from beam_sts.evaluation.calibration import METHODS, Calibration, fit_calibration, load_calibration
from beam_sts.evaluation.entries import Entries, gather, unpack
from beam_sts.evaluation.gates import junit, markdown
from beam_sts.evaluation.local import FOLDERS, check_input, commit, evaluate_slices
from beam_sts.evaluation.result import Evaluation, conclude, undefined
from beam_sts.evaluation.scatter import plot
from beam_sts.evaluation.settings import ROWS_PER_SLICE, choose_settings
from beam_sts.evaluation.show import answer_examples, label_sheet, lost_most
from beam_sts.examples import Example, reason_kind, shorten
from beam_sts.io.claim import claim
from beam_sts.io.committed import check_files
from beam_sts.io.encode import check_encodable, encode
from beam_sts.io.files import check_apart, file_system, publish
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import plan_input
from beam_sts.plurals import plural
from beam_sts.report import render
from beam_sts.report.evaluate import evaluate_page
from beam_sts.scoring.backends import default_threads


def prepare(args: argparse.Namespace, threads: int | None, *, local: bool) -> EvaluateJob:
    """Check everything before the long work.

    Args:
        args: the options of the command.
        threads: the threads of each worker process, if ``--threads`` is not given.
        local: whether this machine does the scoring.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    check_options(args)
    if local:
        check_device_here(args.device)
    options = read_options(args)
    plan = plan_input(args.input, ROWS_PER_SLICE, options)
    check_files(plan.files, f"--input {args.input}")
    settings = choose_settings(
        plan.schema,
        text_a=args.text_a,
        text_b=args.text_b,
        systems=args.systems,
        gold=args.score,
        group=args.group,
        by=args.by,
        several=args.references,
        rule=args.rule,
        symmetric=args.symmetric,
        output_prefix=args.output_prefix,
        options=options,
    )
    calibration = _read_calibration(args)
    settings = replace(settings, calibration=calibration)
    output = output_folder(args, FOLDERS) if args.output else None
    if output:
        check_apart(args.input, plan.files, args.output)
        check_encodable(settings.scored_schema, args.output_format)
    check_input(plan, settings, args.baseline, args.input)
    checkpoint, handler = load_model(args, threads)
    settings = replace(settings, handler=handler)
    made_with = {
        "model": checkpoint.fingerprint,
        **{name: getattr(args, name) for name in ("references", "rule", "symmetric", "long_text")},
    }
    if calibration:
        calibration.check_made_with(made_with, args.calibration)
    decides = {
        "answers": ", ".join(settings.answers),
        "references": ", ".join(settings.references),
        "of several references": args.references,
        "rule": args.rule,
        **{name: getattr(args, name) for name in ("systems", "score", "group", "by", "symmetric")},
        "backend": handler["backend"],
        "calibration": calibration and calibration.dump(),
        "renamed_columns": settings.renamed,
    }
    fingerprint = fingerprint_of(args, plan, checkpoint, decides)
    return EvaluateJob(args.input, plan, checkpoint, settings, fingerprint, made_with, output)


def _fits(args: argparse.Namespace) -> bool:
    """Whether to fit the calibration: if requested, or if there are marks and the file does not exist."""
    if not args.calibration:
        return False
    fs, inside = file_system(args.calibration)
    return bool(args.calibrate or (args.score and not fs.exists(inside)))


def _read_calibration(args: argparse.Namespace) -> Calibration | None:
    if not args.calibration or _fits(args):
        return None
    fs, inside = file_system(args.calibration)
    if not fs.exists(inside):
        raise UserError(
            f"--calibration {args.calibration}: does not exist. Fit it on answers with marks by people: name "
            "their column with --score."
        )
    try:
        return load_calibration(fs.cat_file(inside).decode(), args.calibration)
    except UnicodeDecodeError as error:
        raise UserError(f"--calibration {args.calibration}: is not a text file: {error}.") from error


def run(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Evaluate. Returns the exit status."""
    if beam_args and not args.output:
        raise UserError(
            f"{beam_args[0].partition('=')[0]}: workers write their results to an output folder. Name one "
            "with --output, or leave out Beam's options to run in this process."
        )
    if args.consistency:
        return run_consistency(args, beam_args)
    options, processes, local = beam_options(beam_args)
    threads = default_threads(args.device, processes) if local else worker_threads(options)
    job = prepare(args, threads, local=local)
    if job.output is None:
        records, entries = score_here(job, console_of(args))
        return finish(args, job, records, entries)
    with claim(job.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover) as output:
        job = replace(job, output=output)
        before, damaged = output.resume(job.plan.slices, verify=args.verify)
        if damaged:
            console_of(args).note(
                "damaged", f"damaged: {plural(len(damaged), 'damaged shard')}, written again"
            )
        _commit_missing(job, output, before, options if beam_args else None, local, console_of(args))
        output.finish({"scores": job.settings.scored_schema, "rejected": job.settings.rejected_schema})
        records, entries = _read_records(job, output)
        return finish(args, job, records, entries)


def score_here(job: EvaluateJob, console: Console) -> tuple[Records, Entries]:
    """Score all slices in this process."""
    records: Records = []
    parts: list[tuple[int, pa.Table]] = []
    scorer = _scorer(job)
    with _progress(job, lambda: sum(record["rows_read"] for record in records), console):
        for part, record in evaluate_slices(job.plan.units, scorer, job.settings):
            records.append(record)
            parts.append((part.data.slice.index, part.entries))
    return records, gather(parts, job.settings)


def _commit_missing(
    job: EvaluateJob, output: OutputFolder, before: set[int], options: Any, local: bool, console: Console
) -> None:
    """Score the slices that are not committed yet: by Beam if there are options, else in this process."""
    units = [[part for part in unit if part.index not in before] for unit in job.plan.units]
    units = [unit for unit in units if unit]
    if not units:
        return
    rows = {part.index: part.rows for part in job.plan.slices}

    def done() -> int:
        return sum(rows.get(index, 0) for index in output.committed())

    with _progress(job, done, console):
        if options is None:
            for part, record in evaluate_slices(units, _scorer(job), job.settings):
                commit(part, record, output)
            return
        from beam_sts.cli.beam_options import run_pipeline
        from beam_sts.evaluation.beam import EvaluateSlices

        model = str(job.checkpoint.path) if local else job.checkpoint.name
        run_pipeline(options, units, EvaluateSlices(model, job.settings, output))


def _progress(job: EvaluateJob, done: Any, console: Console) -> Any:
    return progress(job.plan.rows, done, "rows", console=console)


def _scorer(job: EvaluateJob) -> PairScorer:
    return PairScorer(job.checkpoint, **job.settings.handler)


def _read_records(job: EvaluateJob, output: OutputFolder) -> tuple[Records, Entries]:
    """Read the results of the slices one by one, without their texts."""
    records: Records = []
    parts: list[tuple[int, pa.Table]] = []
    for part in job.plan.slices:
        (record,) = output.records([part.index])
        parts.append((part.index, unpack(record.pop("entries"))))
        records.append(record)
    return records, gather(parts, job.settings)


def finish(args: argparse.Namespace, job: EvaluateJob, records: Records, entries: Entries) -> int:
    """Compute the result from the scores, and write the requested files. Returns the exit status.

    Raises:
        UserError: the result is undefined.
    """
    try:
        found = conclude(
            entries,
            records,
            job.settings,
            model=args.model,
            source=args.input,
            baseline=args.baseline,
            fail_under=args.fail_under,
            max_regression=args.max_regression,
            seed=args.seed,
        )
    except UndefinedCorrelationError as error:
        rejected = [row for record in records for row in record["rejected"]]
        count = sum(record["rows_rejected"] for record in records)
        raise undefined(error, args.input, rejected, count) from error
    if found.rows_read != job.plan.rows or found.rows_scored + found.rows_rejected != found.rows_read:
        raise RuntimeError(f"the counts do not add up: {job.plan.rows} rows planned, {found.rows_read} read")
    found = replace(
        found,
        calibration=_calibrate(args, job, entries),
        lost=lost_most(entries, found.comparisons, args.report_examples, job.plan, job.settings),
    )
    _write(args, job, found, entries, records)
    console = console_of(args)
    console.show([*result_lines(found), *written(args)], asdict(found))
    if not found.passed:
        failed = [gate for gate in found.gates if not gate.passed]
        lines = [f"{gate.gate}: {shorten(gate.group)}: {gate.message}" for gate in failed]
        return console.error(GATE_FAILED, *lines)
    return 0


def _calibrate(args: argparse.Namespace, job: EvaluateJob, entries: Entries) -> dict[str, Any] | None:
    """Fit and save the calibration if requested. Returns its description."""
    curve = job.settings.calibration
    if curve is None and not _fits(args):
        return None
    fitted = curve is None
    if curve is None:
        try:
            curve = fit_calibration(
                entries.score,
                entries.gold,
                args.calibrate or METHODS[0],
                name=args.score,
                made_with=job.made_with,
                seed=args.seed,
            )
        except ValueError as error:
            raise UserError(f"--calibration {args.calibration}: {error}.") from error
        publish(args.calibration, curve.dump().encode())
    low, high = curve.scale
    off = "" if curve.error is None else f", error {curve.error:.3g} on held-out marks"
    text = f"{curve.method} curve to {curve.gold} ({low:g} to {high:g}) from {curve.count:,} marks{off}"
    way = "fitted and saved; the figures here are not calibrated" if fitted else "applied to every score"
    return {
        "file": args.calibration,
        "method": curve.method,
        "fitted": fitted,
        "error": curve.error,
        "count": curve.count,
        "said": f"{text}: {way}",
    }


def _write(
    args: argparse.Namespace, job: EvaluateJob, found: Evaluation, entries: Entries, records: Records
) -> None:
    whole = asdict(found)
    if args.json:
        publish(args.json, (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode())
    if args.report or job.output:
        summary = page_summary(job, found, entries, records)
        shown = answer_examples(
            entries, args.report_examples, job.plan, job.settings, logits=summary["logits"]
        )
        shown |= rejected_entries(found.rejected, args.report_examples)
        page = render(evaluate_page(summary, shown, job.checkpoint.card))
        if args.report:
            publish(args.report, page.encode())
        if job.output:
            job.output.write_text("report.html", page)
            job.output.write_json("summary.json", whole)
            note_renamed(console_of(args), job.settings.renamed)
    if args.junit:
        publish(args.junit, junit(found.gates, rows=found.rows_scored))
    if args.markdown:
        title = f"{found.model} on {found.input}"
        means = found.groups or [found.mean]
        publish(args.markdown, markdown(title, means, found.comparisons, found.gates).encode())
    if args.sheet:
        sheet = label_sheet(entries, args.sheet_rows, job.plan, job.settings, seed=args.seed)
        publish(args.sheet, encode(sheet, "csv", csv_safe=True))
    if args.plot:
        image = io.BytesIO()
        plot(image, entries.score, entries.gold, model=args.model, gold_name=args.score, source=args.input)
        publish(args.plot, image.getvalue())


def rejected_entries(rejected: Sequence[dict[str, Any]], each: int) -> dict[str, list[Example]]:
    """Rejected rows for the report: the first ``each`` for each kind of reason."""
    kinds = Counter[str]()
    shown: list[Example] = []
    for bad in rejected:
        kind = reason_kind(bad["reason"])
        kinds[kind] += 1
        if kinds[kind] <= each:
            shown.append({**bad, "reason": shorten(bad["reason"]), "line": ""})
    return {"rejected": shown} if shown else {}


EXAMPLES = (
    "--input answers.jsonl --text_a answer --text_b reference --group system --by question_id --baseline a",
    "--input wide.csv --systems old,new --text_b reference --baseline old --max_regression 0.02",
    "--input samples.jsonl --text_a answer --by question_id --group system --consistency",
    "--input gold.parquet --score gold --plot scatter.png --json metrics.json",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("evaluate", __doc__, EXAMPLES, status=f"{GATE_FAILED} a gate failed")
    add_evaluate_options(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args, beam_args = parser().split(argv)
    written = {"stays": "The requested files are written at the end"}
    ends = kept_in(args.output) if args.output else written
    return guarded(lambda: run(args, beam_args), **ends, console=console_of(args))
