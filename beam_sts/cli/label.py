"""Choose a threshold by labelling a few pairs of a finished run of pipelines.dedup.

python -m pipelines.label --run clean/ --sheet pairs.csv --pairs 200    # writes the sheet
(fill in the column label: 1 duplicate, 0 not)
python -m pipelines.label --run clean/ --read pairs.csv --precision 0.95
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.cli.args import Parser
from beam_sts.cli.checks import check_at_least
from beam_sts.cli.console import guarded
from beam_sts.cli.formats import add_read_options, add_storage_options, read_options
from beam_sts.cli.terminal import say
from beam_sts.dedup.runs import Run
from beam_sts.errors import UserError
from beam_sts.evaluation.label import BANDS, bands_of, estimate_quality, recommend, sample_pairs
from beam_sts.io.column_paths import listed
from beam_sts.io.delimited import sniff_delimiter
from beam_sts.io.encode import encode
from beam_sts.io.files import file_system, publish
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from beam_sts.io.streams import sniff_encoding

_LONGEST = 2_000  # characters of a text in the sheet
_YES, _NO = ("1", "1.0", "y", "yes", "true"), ("0", "0.0", "n", "no", "false")


def scored_pairs(run: Run) -> pa.Table:
    """The pairs of a run that a model scored."""
    parts = []
    for table in run.tables("pairs"):
        columns = [name for name in ("id_a", "id_b", "score", "b_in") if name in table.column_names]
        table = table.filter(pc.not_equal(table.column("rule"), "identical")).select(columns)
        place = columns.index("score")
        table = table.set_column(place, "score", table.column("score").cast(pa.float32()))
        parts.append(table.filter(pc.is_valid(table.column("score"))))
    return pa.concat_tables(parts)


def write_sheet(run: Run, path: str, count: int, seed: int) -> int:
    """Write the label sheet; gives the number of pairs in it.

    Raises:
        UserError: the sheet is there already, or there are no pairs.
    """
    fs, inside = file_system(path)
    if fs.exists(inside):
        raise UserError(f"--sheet {path}: is there already. Give another name, or --read it.")
    pairs = scored_pairs(run)
    if not len(pairs):
        raise UserError(f"--run {run.output.root}: no pair was scored, so there is nothing to label.")
    scores = pairs.column("score").to_numpy()
    chosen = sample_pairs(scores, count, seed)
    picked = pairs.take(pa.array(chosen))
    first, second = (picked.column(name).cast(pa.string()).to_pylist() for name in ("id_a", "id_b"))
    texts = run.texts({*first, *second})
    others = run.texts_against(set(second)) if "b_in" in picked.column_names else {}
    inside_b = picked.column("b_in").to_pylist() if "b_in" in picked.column_names else ["input"] * len(picked)
    sheet = pa.table(
        {
            "label": pa.nulls(len(picked), pa.string()),
            "band": pa.array(bands_of(scores[chosen])),
            "score": picked.column("score"),
            "id_a": pa.array(first, pa.string()),
            "id_b": pa.array(second, pa.string()),
            "text_a": [_short(texts.get(name)) for name in first],
            "text_b": [
                _short((others if where == "against" else texts).get(name))
                for name, where in zip(second, inside_b, strict=True)
            ],
        }
    )
    publish(path, encode(sheet, "csv", csv_safe=True))
    return len(sheet)


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"


def sheet_options(path: str, options: ReadOptions) -> ReadOptions:
    """How to read a sheet: as asked, else as its first lines tell, since a spreadsheet saves as it likes."""
    encoding = options.encoding or sniff_encoding(path)
    delimiter = options.delimiter or sniff_delimiter(path, encoding)
    return replace(options, delimiter=delimiter, encoding=encoding)


def read_sheet(path: str, options: ReadOptions | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Bands and labels of the rows that are filled in.

    Raises:
        UserError: it is not such a sheet, a row cannot be read, or a label is neither yes nor no.
    """
    bands, labels = [], []
    options = sheet_options(path, options or ReadOptions())
    plan = plan_input(path, 100_000, options, "--read")
    missing = {"label", "band"} - set(plan.schema.names)
    if missing:
        raise UserError(
            f"--read {path}: has no column {min(missing)!r}; its columns are {listed(plan.schema.names)}. If "
            "it is a label sheet, say with --delimiter what parts its columns, and with --encoding how it is "
            "saved."
        )
    for unit in plan.units:
        for part in read_slices(unit, plan.schema, options=options):
            if part.bad:
                bad = part.bad[0]
                raise UserError(f"--read {path}: row {bad.row + 1}: {bad.reason}.")
            for row, label, band in zip(
                part.rows,
                part.table.column("label").to_pylist(),
                part.table.column("band").to_pylist(),
                strict=True,
            ):
                value = str(label or "").strip().lower()
                if value not in ("", *_YES, *_NO):
                    raise UserError(f"--read {path}: row {row + 1}: label {label!r} is neither 1 nor 0.")
                if value:
                    if not str(band).isdigit() or int(band) >= BANDS:
                        raise UserError(
                            f"--read {path}: row {row + 1}: band {band!r} is not 0 to {BANDS - 1}."
                        )
                    bands.append(int(band))
                    labels.append(value in _YES)
    if not labels:
        raise UserError(
            f"--read {path}: no label is filled in. Put 1 (duplicate) or 0 into the column label."
        )
    return np.array(bands), np.array(labels)


def report(run: Run, path: str, precision: float, options: ReadOptions | None = None) -> list[str]:
    """Precision and recall by threshold, and a recommendation, as lines."""
    bands, labels = read_sheet(path, options)
    population = np.bincount(bands_of(scored_pairs(run).column("score").to_numpy()), minlength=BANDS)
    table = estimate_quality(population, bands, labels)
    lines = [
        f"{len(labels):,} labels, {int(labels.sum()):,} duplicates; recall is among the {population.sum():,} "
        "candidates",
        "threshold      pairs  precision (95% interval)    recall (95% interval)",
    ]
    lines += [
        f"{row.threshold:9.2f} {row.pairs:10,}  {row.precision:9.3f} ({row.precision_low:.3f} to "
        f"{row.precision_high:.3f})  {row.recall:8.3f} ({row.recall_low:.3f} to {row.recall_high:.3f})"
        for row in table
    ]
    best = recommend(table, precision)
    if best:
        lines.append(
            f"recommended: --threshold {best.threshold} (the lowest with a precision of {precision} or more, "
            f"by its interval's lower end); next: --from_pairs {shlex.quote(run.output.root)} "
            f"--threshold {best.threshold}"
        )
    else:
        surest = max(table, key=lambda row: row.precision_low)
        lines.append(
            f"no threshold has a precision of {precision} at 95% confidence; the nearest is "
            f"{surest.threshold} with {surest.precision_low:.3f} or more. Label more pairs, ask for less, or "
            "bring a better model."
        )
    return lines


EXAMPLES = ("--run clean --sheet sheet.csv", "--run clean --read sheet.csv --precision 0.98")


def parser() -> Parser:
    """The command's options."""
    p = Parser("label", __doc__, EXAMPLES, beam=False)
    p.add_argument("--run", required=True, metavar="DIR", help="output folder of pipelines.dedup")
    way = p.add_mutually_exclusive_group(required=True)
    way.add_argument("--sheet", metavar="FILE", help="write a label sheet: CSV, safe to open")
    way.add_argument("--read", metavar="FILE", help="read the sheet with its labels")
    p.add_argument("--pairs", type=int, default=200, metavar="N", help="of the sheet (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the draw (default: %(default)s)")
    p.add_argument("--precision", type=float, default=0.95, metavar="P", help="wanted (default: %(default)s)")
    add_read_options(p)
    add_storage_options(p)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    own = parser().parse(argv)

    def run() -> int:
        check_at_least(own, pairs=1)
        if not 0 < own.precision < 1:
            raise UserError(f"--precision {own.precision}: must be between 0 and 1, both excluded.")
        found = Run.at(own.run)
        if own.read:
            say(*report(found, own.read, own.precision, read_options(own)))
        else:
            count = write_sheet(found, own.sheet, own.pairs, own.seed)
            say(f"{count:,} pairs in {own.sheet}: fill in the column label, then give it to --read")
        return 0

    return guarded(run, stays="Nothing was written")
