"""Reads training texts from local files, fsspec URLs and data sets of the Hub as columns of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from beam_sts.io.column_paths import is_json, listed
from beam_sts.io.reading import InputPlan, plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from beam_sts.training.fit import TrainingPairs

_ROWS_AT_ONCE = 100_000


class DataError(ValueError):
    """Training data cannot be read; the message says how to correct it."""


def read_columns(
    source: str, columns: Sequence[str], optional: Sequence[str] = (), options: ReadOptions | None = None
) -> dict[str, list[Any]]:
    """Read columns of a table.

    Args:
        source: A path or pattern of files in any format that ``score`` reads, local or with an fsspec scheme
            ("gs://bucket/pairs/*.parquet"); or a data set of the Hub as "hub:owner/name",
            "hub:owner/name/subset" or "hub:owner/name/subset:split" (split "train" if not given). Only "hub:"
            and remote schemes use the network.
        columns: Columns that must exist.
        optional: Columns that are read if they exist.
        options: Options of the reader of CSV, TSV and JSON Lines.

    Returns:
        The existing columns as lists of equal length. Values of CSV and TSV files are texts.

    Raises:
        DataError: A column is missing, or a row cannot be read.
        UserError: No file matches, or a file cannot be read.
    """
    if source.startswith("hub:"):
        table = _read_hub(source)
        wanted = _found(source, table.schema, columns, optional)
    else:
        plan = plan_input(source, _ROWS_AT_ONCE, options, "training data")
        wanted = _found(source, plan.schema, columns, optional)
        table = pa.concat_tables([plan.schema.empty_table(), *_parts(plan, options)])
    return {name: table.column(name).to_pylist() for name in wanted}


def _found(source: str, schema: pa.Schema, columns: Sequence[str], optional: Sequence[str]) -> list[str]:
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise DataError(
            f"{source}: no column {', '.join(map(repr, missing))}; its columns are {listed(schema.names)}"
        )
    found = [*columns, *(name for name in optional if name in schema.names)]
    mixed = [name for name in found if is_json(schema.field(name))]
    if mixed:
        raise DataError(f"{source}: column {mixed[0]!r} has values of several types; give it one type")
    return found


def _parts(plan: InputPlan, options: ReadOptions | None) -> Iterator[pa.Table]:
    for unit in plan.units:
        for part in read_slices(unit, plan.schema, options=options):
            if part.bad:
                raise DataError(f"{unit[0].path}: row {part.bad[0].row}: {part.bad[0].reason}")
            yield part.table


def _read_hub(source: str) -> pa.Table:
    from datasets import load_dataset

    name, _, split = source.removeprefix("hub:").partition(":")
    owner, _, rest = name.partition("/")
    repository, _, subset = rest.partition("/")
    if not owner or not repository:
        raise DataError(f"{source!r} is not of the form 'hub:owner/name/subset:split'")
    dataset = load_dataset(f"{owner}/{repository}", subset or None, split=split or "train")
    table: pa.Table = dataset.data.table
    return table


def read_scored_pairs(
    source: str,
    skip: Sequence[str] = (),
    only: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> TrainingPairs:
    """Read pairs from the columns sentence1, sentence2 and score (0 to 1), as STS-B and wiki-sim have them.

    Args:
        source: As for :func:`read_columns`.
        skip: Subsets to leave out: values of the column ``file``, if it exists, up to their first point.
        only: Subsets to read; empty: all.
        options: How to read CSV, TSV and JSON Lines.

    Raises:
        UserError: As :func:`read_columns`.
        DataError: As :func:`read_columns`; also a null text, or a score that is not a number between 0 and 1.
    """
    columns = read_columns(source, ("sentence1", "sentence2", "score"), ("file",), options)
    first, second = columns["sentence1"], columns["sentence2"]
    scores = [_number(score) for score in columns["score"]]
    for row, (a, b, score) in enumerate(zip(first, second, scores, strict=True)):
        if not isinstance(a, str) or not isinstance(b, str):
            raise DataError(f"{source}: row {row} has a text that is null or not a string: {a!r} / {b!r}")
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise DataError(f"{source}: row {row} has score {score!r}, but scores must be between 0 and 1")
    subsets = [str(file).partition(".")[0] for file in columns.get("file", [""] * len(scores))]
    rows = [at for at, name in enumerate(subsets) if name not in skip and (not only or name in only)]
    return TrainingPairs.of([first[i] for i in rows], [second[i] for i in rows], [scores[i] for i in rows])


def _number(value: Any) -> Any:
    """The number in a field of a CSV file, or the value if it is not a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
