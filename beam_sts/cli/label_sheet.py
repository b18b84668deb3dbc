"""The pairs of a run that can be labelled, and the sheets with their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray
from beam_sts.cli.writable import check_writable
from beam_sts.dedup.kinds import kind_of_difference
from beam_sts.dedup.runs import Run
from beam_sts.errors import UserError
from beam_sts.evaluation.label import (
    STEPS,
    Labels,
    draw_kinds,
    draw_steps,
    estimate_quality,
    steps_of,
    wanted_steps,
)
from beam_sts.io.column_paths import listed
from beam_sts.io.delimited import sniff_delimiter
from beam_sts.io.encode import FORMULA_STARTS, encode
from beam_sts.io.files import file_system, publish
from beam_sts.io.ids import ids_as_texts
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from beam_sts.io.streams import sniff_encoding
from beam_sts.plurals import plural

_LONGEST = 2_000  # characters of a text in the sheet
_MORE = 5  # times as many pairs are examined for their kinds of difference
_YES, _NO = ("1", "1.0", "y", "yes", "true"), ("0", "0.0", "n", "no", "false")


@dataclass(frozen=True)
class LabelledPair:
    """A pair in a sheet that has a label. ``kind`` is empty in sheets of earlier versions."""

    ids: tuple[str, str]
    score: float
    duplicate: bool
    weight: float
    kind: str


def judged_pairs(run: Run) -> pa.Table:
    """The pairs of a run whose outcome depends on the threshold, with their scores.

    Pairs that differ in a fact or would lose too much are not duplicates at any threshold. A pair that could
    not reach the run's threshold has no score; its bound, the highest score that it can have, takes its
    place.

    Raises:
        UserError: there is no such pair.
    """
    parts = []
    outcomes = Counter[str]()
    for table in run.tables("pairs"):
        scores = _numbers(table, "score")
        if "bound" in table.column_names:
            scores = pc.coalesce(scores, _numbers(table, "bound"))
        rule = table.column("rule").cast(pa.string())
        identical, barred = pc.equal(rule, "identical"), pc.equal(rule, "barred")
        if "differs" in table.column_names:
            barred = pc.or_(barred, pc.is_valid(_null_for_empty(table.column("differs"))))
        decided = pc.and_(pc.invert(pc.or_(identical, barred)), pc.is_valid(scores))
        outcomes["pairs"] += len(table)
        outcomes["identical"] += pc.sum(identical).as_py() or 0
        outcomes["barred"] += pc.sum(barred).as_py() or 0
        columns = [name for name in ("id_a", "id_b", "score", "b_in") if name in table.column_names]
        place = columns.index("score")
        parts.append(table.select(columns).set_column(place, "score", scores).filter(decided))
    if not any(map(len, parts)):
        raise UserError(f"--run {run.output.root}: there is nothing to label: {_why_nothing(outcomes)}")
    return pa.concat_tables(parts)


def _why_nothing(outcomes: Counter[str]) -> str:
    """Why no pair of a run can be labelled, and the way out."""
    if not outcomes["pairs"]:
        return "the run has no pairs of similar texts. Run beam-sts dedup with more --candidates."
    barred, identical = outcomes["barred"], outcomes["identical"]
    failed = outcomes["pairs"] - barred - identical
    reasons = [
        *([f"{plural(barred, 'pair')} --guard or --max_lost rules out at any threshold"] if barred else []),
        *([f"{plural(identical, 'pair is', 'pairs are')} identical"] if identical else []),
        *([f"{plural(failed, 'pair has', 'pairs have')} no score"] if failed else []),
    ]
    way = " Run beam-sts dedup with --guard none --max_lost none to label those too." if barred else ""
    return f"no pair depends on the threshold: {', '.join(reasons)}.{way}"


def scores_all(run: Run) -> bool:
    """Whether all candidates of a run have scores. In versions without the setting, they do."""
    settings = run.fingerprint["settings"]
    return bool(settings.get("score_all", True)) or settings["linkage"] == "average"


def _numbers(table: pa.Table, name: str) -> pa.ChunkedArray:
    column = table.column(name)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return (_null_for_empty(column) if is_text else column).cast(pa.float32())


def _null_for_empty(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert empty texts to nulls, since CSV has no null."""
    return pc.if_else(pc.equal(texts.cast(pa.string()), ""), pa.scalar(None, pa.string()), texts)


def population_of(pairs: pa.Table) -> IntArray:
    """The number of pairs in each step of scores."""
    found: IntArray = np.bincount(steps_of(pairs.column("score").to_numpy()), minlength=STEPS)
    return found


def write_sheet(
    run: Run, path: str, count: int, seed: int, precision: float, labelled: Sequence[LabelledPair] = ()
) -> int:
    """Write a label sheet of pairs without labels. Returns their number.

    Args:
        run: the run of dedup.
        path: the file to write.
        count: the number of pairs.
        seed: the seed of the choice.
        precision: the required precision of the threshold, near which more pairs are chosen.
        labelled: pairs that have labels already.

    Raises:
        UserError: the sheet exists already, or there are no pairs.
    """
    fs, inside = file_system(path)
    if fs.exists(inside):
        raise UserError(f"--sheet {path}: exists already. Give another name, or --read it.")
    check_writable("--sheet", path)
    pairs = judged_pairs(run)
    labels, done = labels_of(pairs, labelled)
    if len(done) == len(pairs):
        raise UserError(f"--run {run.output.root}: each pair has a label.")
    rng = np.random.default_rng(seed)
    steps = steps_of(pairs.column("score").to_numpy())
    population = np.bincount(steps, minlength=STEPS)
    estimate = estimate_quality(population, labels, seed) if len(labels) else None
    threshold = float(run.fingerprint["settings"]["threshold"])
    worth = wanted_steps(population, threshold, estimate, precision)
    looked_at = draw_steps(steps, worth, count * _MORE, rng, done)
    looked_at = looked_at[np.argsort(steps[looked_at], kind="stable")]
    sheet = _with_texts(run, pairs.take(pa.array(looked_at)))
    kinds = np.array(
        [
            kind_of_difference(a[:_LONGEST], b[:_LONGEST])
            for a, b in zip(
                sheet.column("text_a").to_pylist(), sheet.column("text_b").to_pylist(), strict=True
            )
        ]
    )
    chosen, weights = draw_kinds(kinds, count, rng)
    sheet = sheet.take(pa.array(chosen))
    for at, (name, column) in enumerate(
        (
            ("label", pa.nulls(len(sheet), pa.string())),
            ("kind", pa.array(kinds[chosen])),
            ("weight", pa.array(np.round(weights, 4))),
        )
    ):
        sheet = sheet.add_column(at, name, column)
    publish(path, encode(sheet, "csv", csv_safe=True))
    return len(sheet)


def _with_texts(run: Run, picked: pa.Table) -> pa.Table:
    first, second = (ids_as_texts(picked, name).to_pylist() for name in ("id_a", "id_b"))
    texts = run.texts({*first, *second})
    others = run.texts_against(set(second)) if "b_in" in picked.column_names else {}
    inside_b = picked.column("b_in").to_pylist() if "b_in" in picked.column_names else ["input"] * len(picked)
    return pa.table(
        {
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


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"


def sheet_options(path: str, options: ReadOptions) -> ReadOptions:
    """The options for reading a sheet: as given, else detected, since spreadsheets save in different ways."""
    encoding = options.encoding or sniff_encoding(path)
    delimiter = options.delimiter or sniff_delimiter(path, encoding)
    return replace(options, delimiter=delimiter, encoding=encoding)


def read_sheet(path: str, options: ReadOptions | None = None) -> list[LabelledPair]:
    """Read the rows of a sheet that have labels.

    Raises:
        UserError: the file is not a label sheet, a row cannot be read, or a label is not valid.
    """
    labelled = []
    options = sheet_options(path, options or ReadOptions())
    plan = plan_input(path, 100_000, options, "--read")
    names = plan.schema.names
    missing = {"label", "score", "id_a", "id_b"} - set(names)
    if missing:
        raise UserError(
            f"--read {path}: has no column {min(missing)!r}; its columns are {listed(names)}. If "
            "it is a label sheet, set --delimiter to the separator of its columns, and --encoding to its "
            "encoding."
        )
    for unit in plan.units:
        for part in read_slices(unit, plan.schema, options=options):
            if part.bad:
                bad = part.bad[0]
                raise UserError(f"--read {path}: row {bad.row + 1}: {bad.reason}.")
            for at, row in zip(part.rows, part.table.to_pylist(), strict=True):
                value = str(row["label"] or "").strip().lower()
                place = f"--read {path}: row {at + 1}"
                if value not in ("", *_YES, *_NO):
                    raise UserError(f"{place}: label {row['label']!r} is neither 1 nor 0.")
                if value:
                    score = _number(f"{place}: score", row["score"], 1)
                    weight = _number(f"{place}: weight", row.get("weight") or 1, 1e6)
                    ids = _plain(row["id_a"]), _plain(row["id_b"])
                    labelled.append(
                        LabelledPair(ids, score, value in _YES, weight or 1.0, row.get("kind") or "")
                    )
    if not labelled:
        raise UserError(f"--read {path}: has no labels. Put 1 (duplicate) or 0 into the column label.")
    return labelled


def _number(place: str, value: object, most: float) -> float:
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        number = float("nan")
    if not isfinite(number) or not 0 <= number <= most:
        raise UserError(
            f"{place} {value!r} is not a number from 0 to {most:g}. Leave it as in the written sheet."
        )
    return number


def _plain(value: object) -> str:
    """An id without the apostrophe that protects spreadsheets from formulas."""
    text = str(value)
    return text[1:] if text[:1] == "'" and text[1:2] and text[1] in FORMULA_STARTS else text


def labels_of(pairs: pa.Table, labelled: Sequence[LabelledPair]) -> tuple[Labels, IntArray]:
    """The labels with the scores of this run, and the rows of its pairs that have labels.

    If a pair was labelled twice, the last label counts. A pair without a score in this run has that of its
    sheet.
    """
    last = {one.ids: one for one in labelled}
    wanted = pa.array([a for a, _ in last], pa.string())
    rows = np.flatnonzero(np.asarray(pc.is_in(ids_as_texts(pairs, "id_a"), wanted)))
    some = pairs.take(pa.array(rows))
    ids = zip(*(ids_as_texts(some, name).to_pylist() for name in ("id_a", "id_b")), strict=True)
    place = {pair: at for at, pair in enumerate(ids) if pair in last}
    scores = some.column("score").to_numpy()
    labels = Labels(
        np.array(
            [scores[place[key]] if key in place else one.score for key, one in last.items()], np.float64
        ),
        np.array([one.duplicate for one in last.values()], dtype=bool),
        np.array([one.weight for one in last.values()], np.float64),
    )
    return labels, rows[sorted(place.values())]
