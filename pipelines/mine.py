"""Mine training pairs from a corpus: neighbours, adjacent and random texts, scored by a model.

    python -m pipelines.mine --input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en
    python -m pipelines.mine --input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts
    python -m pipelines.train all --scored 'mined/pair-score-sampled/train/*.parquet' ...

Writes DIR/<subset>/{train,test}/*.parquet for the subsets raw, pair-score, pair-score-hard,
pair-score-sampled, triplet and triplet-hard (docs/mining.md). No text is in both splits. It runs in one
process; beam_sts.MinePairs finds and scores pairs on a cluster.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

import beam_sts
from beam_sts.corpus.buckets import IntArray, union_pairs
from beam_sts.corpus.mining import (
    BANDS,
    SPLITS,
    SUBSETS,
    MinedPairs,
    adjacent_pairs,
    random_pairs,
    score_bands,
    subset_tables,
)
from beam_sts.corpus.neighbours import lexical_neighbours, neighbours, sentence_embedding, static_embedding
from beam_sts.corpus.passages import PassageReader, Passages, PassageSettings
from beam_sts.corpus.rows import Source
from beam_sts.errors import UserError
from beam_sts.io.files import check_apart, file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import plan_input
from beam_sts.io.summary import Pace, length_histogram, quantiles, score_histogram
from beam_sts.models.checkpoint import DEFAULT_MODEL, Checkpoint, load_checkpoint
from beam_sts.report import render
from beam_sts.report.examples import Example, choose_rows, shorten
from beam_sts.report.mine import mine_page
from beam_sts.scoring.backends import PRECISIONS
from beam_sts.scoring.long_text import LONG_TEXT
from beam_sts.scoring.scorer import PairScorer, ScoreStats
from pipelines.cli import Parser, add_console_options, console_of, guarded, local_options, progress, python
from pipelines.describe import (
    add_report_options,
    check_report_options,
    describe_input,
    describe_model,
    digest,
)
from pipelines.formats import read_options

ORIGINS = ("adjacent", "neighbours", "lexical", "random")
_FOLDERS = (*SUBSETS, *(f"{subset}/{split}" for subset in SUBSETS for split in SPLITS), "rejected")
_ROWS_PER_SLICE = 20_000
_ROWS_PER_SHARD = 500_000
_PAIRS_AT_ONCE = 20_000
_TOKENS = ("real_tokens", "padded_tokens", "truncated", "windowed", "unknown")
_NOT_IN_FINGERPRINT = {
    *("input", "output", "threads", "overwrite", "model", "device", "quiet", "log_format"),
    "report_examples",
}
EXAMPLES = (
    "--input 'docs/*.parquet' --output mined --text body --doc_id url --sentences en",
    "--input texts.csv --output mined --text text --model dleemiller/ModernCE-base-sts",
)


def parser() -> Parser:
    """The command's own options."""
    p = Parser("mine", __doc__, EXAMPLES)
    data = p.add_argument_group("input and output")
    find = p.add_argument_group("pairs")
    judge = p.add_argument_group("scores")
    sets = p.add_argument_group("training sets")
    data.add_argument("--input", required=True, metavar="PATTERN", help="file, folder, pattern or fsspec URL")
    data.add_argument("--output", required=True, metavar="DIR", help="output folder, local or fsspec URL")
    data.add_argument("--text", required=True, metavar="COL", help="column of the texts, a.b in a struct")
    data.add_argument(
        "--doc_id", metavar="COL", help="column of document ids; rows of one are in their order"
    )
    data.add_argument(
        "--sentences", metavar="LANG", help="split texts into sentences of this language, such as en"
    )
    data.add_argument(
        "--shortest", type=int, default=1, metavar="N", help="least characters of a text (default: 1)"
    )
    data.add_argument("--longest", type=int, default=10_000, metavar="N", help="most (default: %(default)s)")
    data.add_argument("--delimiter", metavar="C", help="parts the fields of CSV and TSV files")
    data.add_argument(
        "--quotes", choices=("on", "off"), default="on", help="whether quotes enclose CSV fields"
    )
    find.add_argument(
        "--neighbours", type=int, default=5, metavar="K", help="nearest texts of each (default: %(default)s)"
    )
    find.add_argument("--embedding", metavar="COL", help="column of vectors to find neighbours by")
    find.add_argument(
        "--embedding_model",
        metavar="M",
        help="sentence-transformers model to find neighbours by (default: --model's token vectors)",
    )
    find.add_argument(
        "--lexical",
        type=int,
        default=2,
        metavar="K",
        help="texts of each that share rare shingles (default: %(default)s)",
    )
    find.add_argument("--random", type=int, default=1, metavar="K", help="random texts of each (default: 1)")
    judge.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="scores the pairs: embedded model, folder, fsspec URL or Hugging Face id[@revision] "
        "(default: %(default)s)",
    )
    judge.add_argument("--symmetric", action="store_true", help="mean of both orders, at twice the work")
    judge.add_argument("--long_text", choices=LONG_TEXT, default="truncate", help="default: %(default)s")
    judge.add_argument("--precision", choices=tuple(PRECISIONS), default="fp32")
    judge.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    judge.add_argument("--threads", type=int, metavar="N", help="default: all cores")
    judge.add_argument(
        "--allow_pickle", action="store_true", help="load a model's .bin if you trust its source"
    )
    judge.add_argument(
        "--trust_remote_code", action="store_true", help="run a model's own code if you trust it"
    )
    sets.add_argument(
        "--test_share",
        type=float,
        default=0.03,
        metavar="X",
        help="of documents, or texts without one, that are the test split (default: %(default)s)",
    )
    sets.add_argument(
        "--sampled_rows",
        type=int,
        metavar="N",
        help="of pair-score-sampled's train split (default: half of its pairs)",
    )
    sets.add_argument(
        "--hard_gap",
        type=float,
        default=0.4,
        metavar="X",
        help="pair-score-hard: least gap between score and word overlap (default: %(default)s)",
    )
    sets.add_argument(
        "--positive", type=float, default=0.8, metavar="X", help="least score of a positive (0.8)"
    )
    sets.add_argument(
        "--negative", type=float, default=0.3, metavar="X", help="most score of an easy negative"
    )
    sets.add_argument(
        "--margin",
        type=float,
        default=0.2,
        metavar="X",
        help="by which a negative is below the positive (0.2)",
    )
    sets.add_argument("--seed", type=int, default=0, help="of split, draws and orders (default: 0)")
    data.add_argument("--overwrite", action="store_true", help="drop an earlier run's output in DIR")
    add_report_options(data)
    add_console_options(p)
    return p


@dataclass(frozen=True)
class Job:
    """A run whose input, model and settings have been looked at and hold together."""

    reader: PassageReader
    output: OutputFolder
    checkpoint: Checkpoint
    fingerprint: dict[str, Any]


def prepare(own: argparse.Namespace) -> Job:
    """Look at everything before the long work.

    Raises:
        UserError: the first thing that is wrong.
    """
    for name, least in (("neighbours", 0), ("lexical", 0), ("random", 0), ("shortest", 1), ("threads", 1)):
        value = getattr(own, name)
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: must be at least {least}.")
    check_report_options(own)
    if own.longest < own.shortest:
        raise UserError(f"--longest {own.longest}: is below --shortest {own.shortest}.")
    if own.sampled_rows is not None and own.sampled_rows < 1:
        raise UserError(f"--sampled_rows {own.sampled_rows}: must be at least 1.")
    for name in ("test_share", "hard_gap", "positive", "negative", "margin"):
        if not 0 <= getattr(own, name) <= 1:
            raise UserError(f"--{name} {getattr(own, name)}: must be between 0 and 1.")
    if own.embedding and own.embedding_model:
        raise UserError("--embedding and --embedding_model: give one of them.")
    if not (own.neighbours or own.lexical or own.random or own.doc_id or own.sentences):
        raise UserError("nothing proposes pairs: give --neighbours, --lexical, --random or --doc_id.")
    checkpoint = load_checkpoint(
        own.model, allow_pickle=own.allow_pickle, trust_remote_code=own.trust_remote_code
    )
    options = read_options(own)
    plan = plan_input(own.input, _ROWS_PER_SLICE, options)
    check_apart(own.input, plan.files, own.output)
    source = Source(plan, options, own.text, None, reject_empty=True)
    source.check("")
    settings = PassageSettings(own.doc_id, own.sentences, own.shortest, own.longest, own.embedding)
    settings.check(plan.schema)
    fingerprint = {
        "pipeline": "mine",
        "input": [
            {"path": file.path, "size": file.size, "identity": file.identity, "content": content}
            for file, content in zip(plan.files, plan.contents, strict=True)
        ],
        "model": checkpoint.fingerprint,
        "settings": {name: value for name, value in vars(own).items() if name not in _NOT_IN_FINGERPRINT},
    }
    output = OutputFolder.at(own.output, folders=_FOLDERS)
    return Job(PassageReader(source, settings), output, checkpoint, fingerprint)


def run(own: argparse.Namespace, beam_args: list[str]) -> int:
    """Mine; gives the exit status."""
    _, _, local = local_options(beam_args)
    if not local:
        raise UserError(
            "--runner: this command runs in one process; beam_sts.MinePairs is its twin for Beam."
        )
    job = prepare(own)
    with job.output.lock():
        job.output.prepare(job.fingerprint, overwrite=own.overwrite)
        summary = _finished(job.output)
        finished = summary is not None
        if summary is None:
            summary = mine(own, job)
            job.output.write_json("summary.json", summary)
    console_of(own).finish(_summary_lines(summary, job.output, finished), summary)
    return 0


def _finished(output: OutputFolder) -> dict[str, Any] | None:
    fs, path = file_system(output.path("summary.json"))
    if not fs.exists(path):
        return None
    summary: dict[str, Any] = json.loads(fs.cat_file(path))
    return summary


def mine(own: argparse.Namespace, job: Job) -> dict[str, Any]:
    """Read, propose, score, write; gives the summary.

    Raises:
        RuntimeError: the counts do not add up.
    """
    started = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        seconds[name] = round(time.perf_counter() - started - sum(seconds.values()), 3)

    reasons = _read(job)
    passages = job.reader.finish(own.test_share, own.seed)
    lap("read")
    a, b, origin, straddling = propose(own, passages, job.checkpoint)
    lap("propose")
    scores, failures, work = score(own, job.checkpoint, passages.texts, a, b)
    lap("score")
    good = np.flatnonzero(np.isfinite(scores))
    pairs = MinedPairs(a[good], b[good], scores[good])
    histogram = score_histogram(pairs.score)
    counts = write(own, job.output, passages, pairs, origin.take(pa.array(good)))
    lap("write")
    rows = {
        "rows_read": job.reader.source.plan.rows,
        "rows_rejected": sum(reasons.values()),
        **passages.counts,
    }
    if rows["rows_used"] + rows["rows_rejected"] != rows["rows_read"]:
        raise RuntimeError(f"the counts do not add up: {rows}")
    if sum(counts["raw"].values()) + sum(failures.values()) != len(a):
        raise RuntimeError(
            f"the counts do not add up: {len(a)} pairs, {failures} failed, {counts['raw']} written"
        )
    summary = {
        "pipeline": "mine",
        "input": describe_input(own.input, job.reader.source.plan.files),
        **rows,
        "rejected_reasons": dict(reasons),
        "texts_by_split": {"train": int((~passages.test).sum()), "test": int(passages.test.sum())},
        "pairs": len(a),
        "pairs_by_origin": dict(Counter(origin.to_pylist())),
        "pairs_straddling": straddling,
        "pairs_failed": dict(failures),
        "pairs_by_band": np.bincount(score_bands(pairs.score), minlength=BANDS).tolist(),
        "score_quantiles": quantiles(histogram),
        "score_histogram": histogram,
        "rows_written": counts,
        **work,
        "seconds": seconds,
        "model": describe_model(job.checkpoint),
        "fingerprint": digest(job.fingerprint),
        "settings": job.fingerprint["settings"],
        "versions": {"beam_sts": beam_sts.__version__, "pyarrow": pa.__version__, "numpy": np.__version__},
    }
    shown = _examples(passages.texts, pairs, own.report_examples)
    job.output.write_text("report.html", render(mine_page(summary, shown, job.checkpoint.card)))
    return summary


def _examples(texts: pa.Array, pairs: MinedPairs, each: int) -> dict[str, list[Example]]:
    """A pair of each tenth of the score, for the report."""
    chosen = choose_rows(pairs.score, {}, threshold=None, each=each)
    return {
        kind: [
            {
                "where": f"texts {pairs.a[row]:,} and {pairs.b[row]:,}",
                "text_a": shorten(texts[int(pairs.a[row])].as_py()),
                "text_b": shorten(texts[int(pairs.b[row])].as_py()),
                "score": float(pairs.score[row]),
            }
            for row in rows
        ]
        for kind, rows in chosen.items()
    }


def _read(job: Job) -> Counter[str]:
    """Read all; rejected rows go out as they come. Gives their reasons."""
    source, reasons = job.reader.source, Counter[str]()
    schema = rejected_schema(source.schema)
    for rows in job.reader.rows():
        table = rejected_table(rows.data, rows.bad, rows.reasons, schema)
        if len(table):
            reasons.update(reason.partition(":")[0] for reason in table["reason"].to_pylist())
            job.output.write_table("rejected", rows.data.slice.index, table)
    if not reasons:
        job.output.write_table("rejected", 0, schema.empty_table())
    return reasons


def propose(
    own: argparse.Namespace, passages: Passages, checkpoint: Checkpoint
) -> tuple[IntArray, IntArray, pa.Array, int]:
    """Candidate pairs within each split, their origins, and how many adjacent ones straddle the splits."""
    parts: list[tuple[IntArray, IntArray, str]] = []
    a, b = adjacent_pairs(passages.place, passages.document)
    apart = passages.test[a] != passages.test[b]
    parts.append((a[~apart], b[~apart], "adjacent"))
    vectors = passages.vectors
    if own.neighbours and vectors is None:
        vectors = (
            sentence_embedding(passages.texts, own.embedding_model)
            if own.embedding_model
            else static_embedding(passages.texts, checkpoint)
        )
    for test in (False, True):
        numbers = np.flatnonzero(passages.test == test)
        if len(numbers) < 2:
            continue
        texts = passages.texts.take(pa.array(numbers))
        if own.neighbours and vectors is not None:
            near = neighbours(vectors[numbers], own.neighbours)
            parts.append((numbers[near.a], numbers[near.b], "neighbours"))
        if own.lexical:
            near = lexical_neighbours(texts, own.lexical, threads=own.threads)
            parts.append((numbers[near.a], numbers[near.b], "lexical"))
        a, b = random_pairs(len(numbers), own.random, own.seed)
        parts.append((numbers[a], numbers[b], "random"))
    parts.sort(key=lambda part: ORIGINS.index(part[2]))
    return *union_pairs(parts), int(apart.sum())


def score(
    own: argparse.Namespace, checkpoint: Checkpoint, texts: pa.Array, a: IntArray, b: IntArray
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], Counter[str], dict[str, Any]]:
    """The score of every pair, NaN where the model fails; why it did; what the summary says of the work."""
    scorer = PairScorer(
        checkpoint,
        precision=own.precision,
        device=own.device,
        threads=own.threads,
        long_text=own.long_text,
    )
    scores = np.full(len(a), np.nan, np.float32)
    failures: Counter[str] = Counter()
    pace, stats, lengths = Pace(), ScoreStats(), Counter[str]()
    with progress(len(a), lambda: pace.done, "pairs", console=console_of(own)):
        for begin in range(0, len(a), _PAIRS_AT_ONCE):
            some = slice(begin, begin + _PAIRS_AT_ONCE)
            result = scorer.run(
                texts.take(pa.array(a[some])), texts.take(pa.array(b[some])), symmetric=own.symmetric
            )
            scores[some] = result.scores
            failures.update(reason.partition(":")[0] for reason in result.failures.values())
            stats += result.stats
            lengths.update(length_histogram(result.tokens))
            pace.add(len(result.scores))
    work = {
        "timeline": pace.timeline(),
        "tokens": {
            **{name: getattr(stats, name) for name in _TOKENS},
            "length_histogram": {bound: lengths[bound] for bound in sorted(lengths, key=int)},
        },
    }
    return scores, failures, work


def write(
    own: argparse.Namespace, output: OutputFolder, passages: Passages, pairs: MinedPairs, origin: pa.Array
) -> dict[str, dict[str, int]]:
    """Publish the subsets; gives their rows by subset and split."""
    counts: dict[str, dict[str, int]] = {subset: {} for subset in SUBSETS}
    for split in SPLITS:
        here = np.flatnonzero(passages.test[pairs.a] == (split == "test"))
        rows = own.sampled_rows if split == "train" else None
        tables = subset_tables(
            passages.texts,
            MinedPairs(pairs.a[here], pairs.b[here], pairs.score[here]),
            origin.take(pa.array(here)),
            sampled_rows=rows,
            hard_gap=own.hard_gap,
            positive=own.positive,
            negative=own.negative,
            margin=own.margin,
            seed=own.seed,
        )
        for subset, table in tables.items():
            counts[subset][split] = len(table)
            for number, begin in enumerate(range(0, max(len(table), 1), _ROWS_PER_SHARD)):
                output.write_table(f"{subset}/{split}", number, table.slice(begin, _ROWS_PER_SHARD))
    return counts


def _summary_lines(summary: dict[str, Any], output: OutputFolder, finished: bool) -> list[tuple[str, str]]:
    reasons = "".join(f"\n           {count:,} {why}" for why, count in summary["rejected_reasons"].items())
    failed = "".join(f"\n           {count:,} {why}" for why, count in summary["pairs_failed"].items())
    split = summary["texts_by_split"]
    empty = [name for name, count in split.items() if not count and summary["texts"]]
    return [
        *[("note", f"the {name} split is empty: few documents; see --test_share, --seed") for name in empty],
        *([("note", "this run was finished before; --overwrite runs it anew")] if finished else []),
        ("read", f"{summary['rows_read']:,} rows"),
        ("rejected", f"{summary['rows_rejected']:,}{reasons}"),
        (
            "texts",
            f"{summary['texts']:,} distinct ({summary['texts_repeated']:,} repeated, "
            f"{summary['texts_too_short']:,} too short, {summary['texts_too_long']:,} too long); "
            f"{split['train']:,} train, {split['test']:,} test",
        ),
        ("pairs", f"{summary['pairs']:,} scored, {sum(summary['pairs_failed'].values()):,} failed{failed}"),
        ("straddling", f"{summary['pairs_straddling']:,} adjacent pairs lie in both splits: dropped"),
        ("bands", "pairs by tenth of score: " + " ".join(f"{n:,}" for n in summary["pairs_by_band"])),
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
        (
            "next",
            f'{python()} -c "import pyarrow.parquet as pq; '
            f"print(*pq.read_table('{output.root}/pair-score/train').slice(0, 5).to_pylist(), sep='\\n')\"",
        ),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    own, beam_args = parser().split(argv)
    return guarded(
        lambda: run(own, beam_args),
        interrupted="Run the same command again: it starts anew.",
        console=console_of(own),
    )


if __name__ == "__main__":
    sys.exit(main())
