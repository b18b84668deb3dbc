r"""Mine training pairs from a corpus, or from queries and a corpus, and score them with a model.

    python -m pipelines.mine --input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en
    python -m pipelines.mine --input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts
    python -m pipelines.mine --queries faq.parquet --anchor_column_name question --corpus 'docs/*.parquet' \
        --text body --output mined
    python -m pipelines.train all --scored 'mined/pair-score-sampled/train/*.parquet' ...

Writes DIR/<subset>/{train,test}/*.parquet for the subsets raw, pair-score, pair-score-hard,
pair-score-sampled, triplet and triplet-hard. No text is in both splits; with --queries, no query is. Without
--runner it runs on one machine. To resume after an interruption, run the same command again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from beam_sts.candidates.cells import search_report
from beam_sts.candidates.rejects import REJECTED, write_rejected
from beam_sts.candidates.source import SliceRows, Source
from beam_sts.candidates.texts import check_text
from beam_sts.cli.args import Parser, beam_options, open_command
from beam_sts.cli.console import SummaryLine, add_console_options, console_of, guarded, kept_in
from beam_sts.cli.describe import (
    describe_input,
    describe_model,
    digest,
    input_identity,
    model_names,
    shown_versions,
    versions_of,
)
from beam_sts.cli.formats import add_read_options, add_resume_options, add_storage_options, read_options
from beam_sts.cli.progress import Clock, progress
from beam_sts.cli.scoring import add_places, check_device_here
from beam_sts.errors import UserError
from beam_sts.examples import merge_examples
from beam_sts.io.claim import claim
from beam_sts.io.committed import check_files, read_record, run_damage
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart, file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import InputPlan, plan_input
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.spill import work_folder
from beam_sts.io.summary import quantiles
from beam_sts.mining.card import THIN, data_set_card, thin_sets
from beam_sts.mining.core import SUBSETS
from beam_sts.mining.counts import MineCounts
from beam_sts.mining.languages import EFFECT, languages_in
from beam_sts.mining.local import mine_locally
from beam_sts.mining.passages import check_columns
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import FOLDERS, REJECTED_QUERIES, Cuts, empty_schemas, mine_counts
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.plurals import counted, plural
from beam_sts.report import render
from beam_sts.report.mine import mine_page
from beam_sts.settings import add_options, from_args

_ROWS_PER_SLICE = 20_000
_BYTES_PER_SENTENCE = 40  # a lower estimate, in compressed input
_NOT_IN_FINGERPRINT = {
    *("input", "output", "threads", "overwrite", "model", "device", "quiet", "log_format"),
    *("report_examples", "storage_options", "takeover", "verify", "help_beam", "queries", "corpus"),
}
EXAMPLES = (
    "--input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en",
    "--input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts",
    "--queries faq.parquet --anchor_column_name question --corpus docs.parquet --text body --output mined",
)


def parser() -> Parser:
    """The options of the command."""
    p = Parser("mine", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    add_places(data, needs_input=False)
    data.add_argument(
        "--queries",
        metavar="PATTERN",
        help="anchors, instead of --input; their positives and negatives are texts of --corpus",
    )
    data.add_argument(
        "--corpus",
        metavar="PATTERN",
        help="texts to search for the partners of --queries (default: the texts of --positive_column_name)",
    )
    add_options(data, MineSettings, "anchor_column_name", "positive_column_name")
    add_options(data, MineSettings, "text", "doc_id", "sentences", "shortest", "longest")
    add_read_options(data)
    find = p.add_argument_group("pairs")
    add_options(find, MineSettings, "neighbours", "embedding", "embedding_model", "lexical", "random")
    judge = p.add_argument_group("scores")
    add_options(judge, MineSettings, "model", "symmetric", "long_text", "allow_pickle", "trust_remote_code")
    add_options(judge, MineSettings, "precision", "device", "threads")
    sets = p.add_argument_group("training sets")
    add_options(
        sets, MineSettings, "test_share", "sampled_rows", "hard_gap", "guard", "positive", "positive_share"
    )
    add_options(sets, MineSettings, "negative", "absolute_margin", "relative_margin", "num_negatives")
    add_options(sets, MineSettings, "range_min", "range_max", "min_score", "max_score", "sampling_strategy")
    add_options(sets, MineSettings, "output_format", "output_scores", "seed")
    add_storage_options(data)
    add_resume_options(data)
    add_options(data, MineSettings, "report_examples")
    add_console_options(p)
    return p


@dataclass(frozen=True)
class MineJob:
    """A run with checked input, model and settings."""

    source: Source
    queries: Source | None
    output: OutputFolder
    checkpoint: Checkpoint
    settings: MineSettings
    texts: int
    fingerprint: dict[str, Any]

    @property
    def cuts(self) -> Cuts:
        """How the work of the run is divided into parts."""
        return Cuts.of(self.texts, self.settings, self.queries.plan.rows if self.queries else 0)

    @property
    def rows(self) -> int:
        """Number of rows in all inputs."""
        return self.source.plan.rows + (self.queries.plan.rows if self.queries else 0)


def prepare(args: argparse.Namespace) -> MineJob:
    """Check everything before the long work.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    _check_places(args)
    anchor = (args.anchor_column_name or "anchor") if args.queries else None
    of_corpus = {"text": args.positive_column_name} if args.queries and not args.corpus else {}
    settings = from_args(MineSettings, args, anchor_column_name=anchor, **of_corpus)
    checkpoint = load_checkpoint(settings.model, **settings.load)
    options = read_options(args)
    queries = None
    if args.queries:
        asked = plan_input(args.queries, _ROWS_PER_SLICE, options, "--queries")
        queries = Source(
            asked, options, str(anchor), None, reject_empty=True, second=args.positive_column_name
        )
        check_text(asked.schema, str(anchor), "--anchor_column_name")
        if args.positive_column_name:
            check_text(asked.schema, args.positive_column_name, "--positive_column_name")
        _check_input(queries, args.queries, args.output, "--queries")
    pattern, flag = _main_input(args)
    plan = plan_input(pattern, _ROWS_PER_SLICE, options, flag)
    settings = settings.for_rows(queries.plan.rows if queries else plan.rows)
    source = Source(plan, options, settings.text, None, reject_empty=True)
    source.check("")
    _check_input(source, pattern, args.output, flag)
    for one in (source, queries) if queries else (source,):
        check_columns(one.plan.schema, settings, "--{}".format)
    fingerprint = {
        "pipeline": "mine",
        "input": input_identity(plan),
        "queries": input_identity(queries.plan) if queries else None,
        "versions": versions_of(*_makers(settings)),
        "model": checkpoint.fingerprint,
        **model_names(model=checkpoint),
        "settings": {name: value for name, value in vars(args).items() if name not in _NOT_IN_FINGERPRINT},
    }
    output = OutputFolder.at(args.output, folders=FOLDERS, storage=args.storage_options)
    texts = _texts_expected(plan, settings.sentences)
    if queries:
        texts += queries.plan.rows * (1 + settings.given)
    return MineJob(source, queries, output, checkpoint, settings, texts, fingerprint)


def _check_places(args: argparse.Namespace) -> None:
    """Check that the options give either one input, or queries and texts to search."""
    if bool(args.input) == bool(args.queries):
        raise UserError("--input: give either --input, or --queries with --corpus.")
    for name in ("corpus", "anchor_column_name", "positive_column_name"):
        if getattr(args, name) and not args.queries:
            raise UserError(f"--{name}: needs --queries.")
    if args.queries and not args.corpus:
        if not args.positive_column_name:
            raise UserError(
                "--queries: needs --corpus, or --positive_column_name if the positives are the corpus."
            )
        if args.embedding:
            raise UserError("--embedding: needs --corpus, since the positives of --queries have no vectors.")


def _main_input(args: argparse.Namespace) -> tuple[str, str]:
    """Returns the pattern of the texts, and the option that gave it."""
    if args.corpus:
        return args.corpus, "--corpus"
    return (args.queries, "--queries") if args.queries else (args.input, "--input")


def _check_input(source: Source, pattern: str, output: str, flag: str) -> None:
    check_apart(pattern, source.plan.files, output)
    check_files(source.plan.files, f"{flag} {pattern}")
    check_encodable(source.schema, "parquet")  # for the rejected rows


def _makers(settings: MineSettings) -> list[str]:
    """The packages whose versions affect candidates."""
    used = {
        "sentencex": settings.sentences,
        "sparse-dot-topn": settings.lexical,
        "scipy": True,
        "sentence-transformers": settings.embedding_model,
    }
    return [name for name, wanted in used.items() if wanted]


def _texts_expected(plan: InputPlan, sentences: str | None) -> int:
    """The approximate number of texts, which decides how the work is divided."""
    if not sentences:
        return plan.rows
    return max(plan.rows, sum(file.size for file in plan.files) // _BYTES_PER_SENTENCE)


def run(args: argparse.Namespace, beam_args: list[str]) -> int:
    """Mine. Returns the exit status."""
    options, _, local = beam_options(beam_args)
    if local:
        check_device_here(args.device)
    job = prepare(args)
    if not local and args.embedding_model:
        raise UserError(
            "--embedding_model: runs on one machine only. With --runner, add its vectors to the input as a "
            "column of lists of numbers, and name it with --embedding; or leave out --runner."
        )
    with claim(job.output, job.fingerprint, overwrite=args.overwrite, takeover=args.takeover) as output:
        job = replace(job, output=output)
        summary = _finished(job.output, verify=args.verify)
        finished = summary is not None
        if summary is None:
            clock = Clock()
            counts = _on_one_machine(args, job, clock) if local else _on_beam(args, job, options, clock)
            path = "one machine" if local else f"Beam, {options.get_all_options()['runner']}"
            summary = summarise(args, job, counts, {"path": path, "seconds": clock.seconds})
            job.output.write_json("summary.json", summary)
    console_of(args).finish(_summary_lines(summary, job.output, finished), summary)
    return 0


def _finished(output: OutputFolder, *, verify: bool) -> dict[str, Any] | None:
    """The summary of a finished run, if all its shards are complete."""
    summary = read_record(output.path("summary.json"))
    return None if summary and run_damage(output.root, verify=verify) else summary


def _on_one_machine(args: argparse.Namespace, job: MineJob, clock: Clock) -> MineCounts:
    def reject(rows: SliceRows, of_queries: bool) -> dict[str, Any]:
        source, folder = (
            (job.queries, REJECTED_QUERIES) if of_queries and job.queries else (job.source, REJECTED)
        )
        return write_rejected(job.output, source, rows, job.settings.report_examples, folder)

    with work_folder(job.output) as work:
        return mine_locally(
            job.output,
            job.source,
            job.rows,
            job.settings,
            job.cuts,
            job.checkpoint,
            work,
            queries=job.queries,
            reject=reject,
            lap=clock.lap,
            progress=lambda total, done, unit, where: progress(
                total, done, unit, where=where, console=console_of(args)
            ),
        )


def _on_beam(args: argparse.Namespace, job: MineJob, options: Any, clock: Clock) -> MineCounts:
    from beam_sts.candidates.beam_nearest import blocks_for, parts_for
    from beam_sts.cli.beam_options import note_few_parts, run_pipeline
    from beam_sts.mining.beam_files import COUNTS, MineRun, MineSlices

    note_few_parts(options, job.texts, console_of(args), parts_for(job.texts) if job.settings.lexical else 1)
    settings = replace(job.settings, model=job.checkpoint.name)
    mine = MineRun(job.output, job.source, settings, job.cuts, blocks_for(job.texts), job.queries)
    run_pipeline(options, mine.units, MineSlices(mine))
    clock.lap("run")
    fs, path = file_system(job.output.path(COUNTS))
    return MineCounts.read(json.loads(fs.cat_file(path)))


def summarise(
    args: argparse.Namespace, job: MineJob, counted: MineCounts, more: dict[str, Any]
) -> dict[str, Any]:
    """Write the report and the card. Returns the summary of the run.

    Raises:
        RuntimeError: the counts do not add up.
    """
    plan, output = job.source.plan, job.output
    schemas = {**empty_schemas(job.settings.form), REJECTED: rejected_schema(job.source.schema)}
    inputs = {"input": describe_input(_main_input(args)[0], plan.files)}
    if job.queries:
        schemas[REJECTED_QUERIES] = rejected_schema(job.queries.schema)
        inputs["queries_input"] = describe_input(args.queries, job.queries.plan.files)
    output.finish(schemas)
    counts, examples = mine_counts(output, counted, job.rows)
    summary = {
        "pipeline": "mine",
        **more,
        **inputs,
        **counts,
        "languages": languages_in(counts["languages"], job.checkpoint.languages).record(EFFECT),
        "neighbours": {
            split: search_report(found) for split, found in sorted(counts["neighbours"].items(), reverse=True)
        },
        "score_quantiles": quantiles(counts["score_histogram"]),
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "settings": job.fingerprint["settings"],
        "versions": shown_versions("pyarrow", "numpy"),
    }
    shown = merge_examples(examples, each=args.report_examples)
    output.write_text("report.html", render(mine_page(summary, shown, job.checkpoint.card)))
    output.write_text("README.md", data_set_card(summary, job.settings.form))
    return summary


def _thin(summary: dict[str, Any]) -> list[str]:
    tuples = str(summary["settings"]["output_format"]).startswith("n-tuple")
    rows, differing = summary["rows_written"], summary["pairs_differing"]
    return thin_sets(rows, THIN, tuples=tuples, differing=differing)


def _summary_lines(summary: dict[str, Any], output: OutputFolder, finished: bool) -> list[SummaryLine]:
    split = summary["texts_by_split"]
    return [
        ("path", summary["path"]),
        *(("note", line) for line in _thin(summary) if summary["texts"]),
        ("note", "this run was already finished; --overwrite runs it again" if finished else None),
        ("read", plural(summary["rows_read"], "row")),
        ("rejected", f"{summary['rows_rejected']:,}"),
        *(("", f"{count:,} {why}") for why, count in summary["rejected_reasons"].items()),
        (
            "texts",
            f"{summary['texts']:,} distinct ({summary['texts_repeated']:,} repeated, "
            f"{summary['texts_too_short']:,} too short, {summary['texts_too_long']:,} too long); "
            f"{'queries: ' if summary['queries'] else ''}{split['train']:,} train, {split['test']:,} test",
        ),
        ("languages", summary["languages"]["said"]),
        ("note", summary["languages"]["warning"] or None),
        *(
            ("neighbours", f"{split}: {report['settings']}")
            for split, report in summary.get("neighbours", {}).items()
        ),
        ("pairs", f"{summary['pairs']:,} scored, {sum(summary['pairs_failed'].values()):,} failed"),
        *(("", f"{count:,} {why}") for why, count in summary["pairs_failed"].items()),
        (
            "dropped",
            counted(summary["pairs_straddling"], "adjacent pair", after=" with a text in each split"),
        ),
        ("bands", "pairs by tenth of score: " + " ".join(f"{n:,}" for n in summary["pairs_by_band"])),
        ("resumed", counted(summary["pairs_reused"], "existing score", after=" reused")),
        ("damaged", counted(summary["shards_damaged"], "damaged shard", after=" of scores, written again")),
        *(
            (
                "written" if subset == SUBSETS[0] else "",
                f"{subset}: {rows['train']:,} train, {rows['test']:,} test",
            )
            for subset, rows in summary["rows_written"].items()
        ),
        ("time", f"{sum(summary['seconds'].values()):.1f} s"),
        ("output", output.root),
        ("report", f"{output.root}/report.html"),
        ("next", open_command(f"{output.root}/pair-score/train", "parquet")),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    args, beam_args = parser().split(argv)
    return guarded(
        lambda: run(args, beam_args),
        **kept_in(args.output),
        console=console_of(args),
    )
