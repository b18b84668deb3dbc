"""``beam-sts dedup --contains`` and ``--unit``: find and remove passages inside rows."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields, replace
from typing import Any

from beam_sts.candidates.rejects import read_rejected
from beam_sts.candidates.source import Source
from beam_sts.cli.args import open_command
from beam_sts.cli.console import SummaryLine, console_of
from beam_sts.cli.describe import describe_input, digest, input_identity, shown_versions, versions_of
from beam_sts.cli.formats import format_settings, output_folder, read_options
from beam_sts.cli.progress import Clock, progress
from beam_sts.dedup.settings import DedupSettings
from beam_sts.errors import UserError
from beam_sts.examples import merge_examples
from beam_sts.io.claim import claim
from beam_sts.io.committed import check_files
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import plan_input
from beam_sts.io.summary import Steps, add_records, quantiles
from beam_sts.passages.local import write_passages
from beam_sts.passages.lookup import Contained, Repeated
from beam_sts.passages.settings import PassageSettings
from beam_sts.passages.write import FOLDERS, PassageWriter
from beam_sts.plurals import counted, plural
from beam_sts.report import render
from beam_sts.report.passages import passages_page
from beam_sts.scoring.settings import ScorerSettings
from beam_sts.settings import settings_of

_HERE_TOO = {"empty", "within", "report_examples"}
"""Settings of deduplication that also apply to passages."""
_MOST_SHOWN = 20


@dataclass(frozen=True)
class PassageJob:
    """A run with checked inputs and settings."""

    settings: PassageSettings
    source: Source
    against: Source | None
    within: bool
    output: OutputFolder
    fingerprint: dict[str, Any]


def prepare(args: argparse.Namespace, settings: PassageSettings) -> PassageJob:
    """Check everything before the long work.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    _refuse_pairs(args)
    if args.within and (settings.contains or not args.against):
        raise UserError(
            "--within: needs --unit and --against. Otherwise the input is compared with itself anyway."
        )
    options = read_options(args)
    plan = plan_input(args.input, args.rows_per_shard, options)
    check_apart(args.input, plan.files, args.output)
    reject = args.empty == "reject"
    source = Source(plan, options, args.text, args.id, reject)
    source.check("")
    if settings.removes == "passage" and args.text not in plan.schema.names:
        raise UserError(
            f"--text {args.text}: a passage can be cut out of a column only, not out of a field. Give "
            "--remove row or nothing, or make the field a separate column."
        )
    against = None
    if args.against:
        other = plan_input(args.against, args.rows_per_shard, options, "--against")
        check_files(other.files, f"--against {args.against}")
        against = Source(other, options, args.against_text or args.text, args.against_id or args.id, reject)
        against.check("against_")
        if source.id_type != against.id_type:
            raise UserError(
                f"--id {args.id}: holds {source.id_type} in the input and {against.id_type} in --against "
                f"{args.against}. Cast one of them, or name other columns with --id and --against_id."
            )
    check_files(plan.files, f"--input {args.input}")
    output = output_folder(args, FOLDERS)
    check_encodable(plan.schema, args.output_format)
    names = ("text", "id", "against_text", "against_id", "within", "empty", "rows_per_shard")
    chosen = {name: getattr(settings, name) for name, _ in settings_of(PassageSettings)}
    fingerprint = {
        "pipeline": "passages",
        "input": input_identity(plan),
        "against": input_identity(against.plan) if against else None,
        "versions": versions_of(),
        "settings": {**{name: getattr(args, name) for name in names}, **chosen, **format_settings(args)},
    }
    return PassageJob(settings, source, against, args.within, output, fingerprint)


def _refuse_pairs(args: argparse.Namespace) -> None:
    """Refuse options that are about pairs of whole rows.

    Raises:
        UserError: such an option was given. The message names the first one.
    """
    scoring = {field.name for field in fields(ScorerSettings)}
    usual = {field.name: field.default for field in fields(DedupSettings) if field.name not in scoring}
    usual |= {"from_pairs": None}
    for name, value in usual.items():
        if name not in _HERE_TOO and getattr(args, name, value) != value:
            raise UserError(
                f"--{name}: is about pairs of whole rows. Leave it out with --contains and --unit."
            )


def run_passages(args: argparse.Namespace, settings: PassageSettings, options: Any, *, local: bool) -> int:
    """Find passages and write the rows. Returns the exit status."""
    settings = settings.for_inputs(against=bool(args.against))
    job = prepare(args, settings)
    with claim(job.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover) as output:
        job = replace(job, output=output)
        writer = PassageWriter(output, job.source, settings, args.report_examples, args.output_prefix)
        clock = Clock()
        more = _on_one_machine(args, job, writer, clock) if local else _on_beam(job, writer, options, clock)
        output.finish(writer.schemas)
        summary = summarise(args, job, {**more, "seconds": clock.seconds})
        output.write_json("summary.json", summary)
    console_of(args).finish(_lines(summary, output), summary)
    return 0


def _on_one_machine(
    args: argparse.Namespace, job: PassageJob, writer: PassageWriter, clock: Clock
) -> dict[str, Any]:
    console, reading, writing = console_of(args), Steps(), Steps()
    lookup: Contained | Repeated
    sides = [job.against, None if job.settings.contains and job.against else job.source]
    rows = sum(side.plan.rows for side in sides if side)
    with progress(rows, lambda: reading.done, "rows", where=lambda: reading.at, console=console):
        if job.settings.contains and job.against:
            lookup = Contained.read(job.against, job.settings, reading.add)
        elif job.settings.contains:
            lookup = Repeated.read_contained(job.source, job.settings, reading.add)
        else:
            lookup = Repeated.read(job.source, job.against, job.settings, within=job.within, seen=reading.add)
    clock.lap("read")
    rows = job.source.plan.rows
    with progress(rows, lambda: writing.done, "rows", where=lambda: writing.at, console=console):
        reused, damaged = write_passages(writer, lookup, verify=args.verify, step=writing.add)
    clock.lap("write")
    return {"path": "one machine", "shards_reused": reused, "shards_damaged": damaged, **lookup.counts}


def _on_beam(job: PassageJob, writer: PassageWriter, options: Any, clock: Clock) -> dict[str, Any]:
    from apache_beam.options.pipeline_options import StandardOptions

    from beam_sts.cli.beam_options import run_pipeline
    from beam_sts.passages.beam_files import PassageRun, WritePassages

    inputs = {"rows": list(job.source.plan.units)}
    if job.against and not job.settings.contains:  # otherwise each worker reads them
        inputs["against"] = list(job.against.plan.units)
    run_pipeline(
        options, inputs, WritePassages(PassageRun(writer, job.against, job.within or not job.against))
    )
    clock.lap("run")
    return {"path": f"Beam, {options.view_as(StandardOptions).runner}"}


def summarise(args: argparse.Namespace, job: PassageJob, more: dict[str, Any]) -> dict[str, Any]:
    """Write the report. Returns the summary of the run.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan = job.source.plan
    records = list(job.output.records(part.index for part in plan.slices))
    shown = [record.pop("examples") for record in records]
    names = [f"rows_{name}" for name in ("read", "kept", "removed", "rejected", "changed", "with_passages")]
    zero: dict[str, Any] = dict.fromkeys([*names, "passages", "characters", "characters_found"], 0)
    total = add_records([zero, *records])
    read, kept, removed, rejected = (total[name] for name in names[:4])
    if read != plan.rows or kept + removed + rejected != plan.rows:
        raise RuntimeError(f"the counts do not add up: {plan.rows} rows planned, {total}")
    histogram = total.get("score_histogram", {})
    items = sorted(total.get("items", {}).items(), key=lambda one: (-one[1], one[0]))
    summary = {
        "pipeline": "passages",
        "input": describe_input(args.input, plan.files),
        **{name: total[name] for name in zero},
        "rejected_reasons": total.get("reasons", {}),
        "most_found": dict(items[:_MOST_SHOWN]),
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        **more,
        "remove": job.settings.removes,
        "settings": job.fingerprint["settings"],
        "fingerprint": digest(job.fingerprint),
        "versions": shown_versions("pyarrow", "numpy", "python"),
    }
    each = args.report_examples
    examples = merge_examples([*shown, *read_rejected(job.output)], each=each)
    job.output.write_text("report.html", render(passages_page(summary, examples)))
    return summary


def _lines(summary: dict[str, Any], output: OutputFolder) -> list[SummaryLine]:
    items = None
    if "items" in summary:
        items = (
            f"{summary['items']:,} searched for; {summary['items_too_short']:,} too short, "
            f"{summary['items_repeated']:,} repeated"
        )
    cut = f"{summary['rows_changed']:,} of them with passages cut out"
    found = f"{summary['passages']:,} in {plural(summary['rows_with_passages'], 'row')}"
    return [
        ("path", summary["path"]),
        ("read", plural(summary["rows_read"], "row")),
        ("items", items),
        ("passages", f"{found}, each with its receipt"),
        ("kept", f"{plural(summary['rows_kept'], 'row')}, {cut}"),
        ("removed", plural(summary["rows_removed"], "row")),
        ("rejected", f"{summary['rows_rejected']:,}"),
        *(("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()),
        ("resumed", counted(summary.get("shards_reused", 0), "existing shard", after=" reused")),
        ("damaged", counted(summary.get("shards_damaged", 0), "damaged shard", after=", written again")),
        ("time", f"{sum(summary['seconds'].values()):.1f} s"),
        ("output", output.root),
        ("report", f"{output.root}/report.html"),
        ("next", open_command(f"{output.root}/passages", output.form)),
    ]
