"""Read training texts: local files, fsspec URLs and data sets of the hub, as columns of Python values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from beam_sts.training.fit import ScoredPairs

FORMATS = (".parquet", ".jsonl", ".csv", ".tsv")


class DataError(ValueError):
    """Training data that cannot be read as asked; the message says how to put it right."""


def read_columns(source: str, columns: Sequence[str], optional: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Read columns of a table.

    Args:
        source: A path or pattern of Parquet, JSONL, CSV or TSV files, local or with an fsspec scheme
            ("gs://bucket/pairs/*.parquet"); or a data set of the hub as "hub:owner/name",
            "hub:owner/name/subset" or "hub:owner/name/subset:split" (split "train" if not given). Only "hub:"
            and remote schemes use the network.
        columns: Columns that must be there.
        optional: Columns that are read if they are there.

    Returns:
        Each column found as a list; all of the same length.

    Raises:
        DataError: No file matches, the format is unknown, or a column is missing.
    """
    table = _read_hub(source) if source.startswith("hub:") else _read_files(source)
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(
            f"{source}: no column {', '.join(map(repr, missing))}; it has {', '.join(table.column_names)}"
        )
    found = [*columns, *(name for name in optional if name in table.column_names)]
    return {name: table.column(name).to_pylist() for name in found}


def _read_files(source: str) -> pa.Table:
    tables = []
    try:
        for file in sorted(fsspec.open_files(source, mode="rb"), key=lambda opened: str(opened.path)):
            with file as stream:
                tables.append(_read_stream(stream, str(file.path)))
    except FileNotFoundError:  # of a path without a pattern, when it is opened
        tables = []
    if not tables:
        raise DataError(
            f"no file matches {source!r}; for a data set of the hub write 'hub:owner/name/subset:split'"
        )
    return pa.concat_tables(tables, promote_options="default")


def _read_stream(stream: Any, path: str) -> pa.Table:
    if path.endswith(".parquet"):
        return pyarrow.parquet.read_table(stream)
    if path.endswith((".jsonl", ".json")):
        return pyarrow.json.read_json(stream)
    if path.endswith((".csv", ".tsv")):
        options = pyarrow.csv.ParseOptions(
            delimiter="\t" if path.endswith(".tsv") else ",", newlines_in_values=True
        )
        return pyarrow.csv.read_csv(stream, parse_options=options)
    raise DataError(f"{path}: unknown format; use one of {', '.join(FORMATS)}")


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


def read_scored_pairs(source: str, skip: Sequence[str] = (), only: Sequence[str] = ()) -> ScoredPairs:
    """Read pairs of the columns sentence1, sentence2 and score (0 to 1), the shape of STS-B and wiki-sim.

    Args:
        source: As for :func:`read_columns`.
        skip: Subsets to leave out: values of the column file, if there is one, up to its first point.
        only: Subsets to read instead of all.

    Raises:
        DataError: A null text, or a score that is no number between 0 and 1.
    """
    columns = read_columns(source, ("sentence1", "sentence2", "score"), ("file",))
    first, second, scores = columns["sentence1"], columns["sentence2"], columns["score"]
    for row, (a, b, score) in enumerate(zip(first, second, scores, strict=True)):
        if not isinstance(a, str) or not isinstance(b, str):
            raise DataError(f"{source}: row {row} has a text that is null or no string: {a!r} / {b!r}")
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            raise DataError(f"{source}: row {row} has score {score!r}; scores must be between 0 and 1")
    subsets = [str(file).partition(".")[0] for file in columns.get("file", [""] * len(scores))]
    rows = [at for at, name in enumerate(subsets) if name not in skip and (not only or name in only)]
    return ScoredPairs.of([first[i] for i in rows], [second[i] for i in rows], [scores[i] for i in rows])
