"""Reading input in any format: find files, plan slices, read slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.ahead import ahead
from beam_sts.io.arrow import Arrow
from beam_sts.io.carried_types import carried
from beam_sts.io.column_paths import find_path
from beam_sts.io.delimited import Delimited
from beam_sts.io.files import InputFile, find_files
from beam_sts.io.jsonl import JsonLines
from beam_sts.io.missing import readable
from beam_sts.io.parquet import Parquet
from beam_sts.io.schema import check_column_names, check_width, conform, partition_values, raw_last, unite
from beam_sts.io.slices import FileScan, Format, ReadOptions, Slice, SliceData, check_slices


@dataclass(frozen=True)
class InputPlan:
    """The plan of an input: its files, one schema, slices in row order, and units that are read together."""

    files: list[InputFile]
    schema: pa.Schema
    units: list[list[Slice]]
    contents: list[str]

    @property
    def slices(self) -> list[Slice]:
        """All slices, in row order."""
        return [s for unit in self.units for s in unit]

    @property
    def rows(self) -> int:
        """The number of rows of the input."""
        return sum(s.rows for s in self.slices)


def formats(options: ReadOptions | None = None) -> tuple[Format, ...]:
    """All readable formats."""
    options = options or ReadOptions()
    return (
        Parquet(),
        JsonLines(options.encoding, options.raw),
        Delimited("CSV", (".csv",), options),
        Delimited("TSV", (".tsv", ".tab"), options, "\t"),
        Arrow(),
    )


def format_of(path: str, options: ReadOptions | None = None) -> Format:
    """The format of a file, by its ending.

    Raises:
        UserError: no format has that ending.
    """
    for known in formats(options):
        if path.lower().endswith(known.suffixes):
            return known
    raise UserError(
        f"{path}: its ending is not that of a known format. Readable: {readable(_endings())}. "
        "Rename the file or convert it."
    )


def _endings() -> tuple[str, ...]:
    return tuple(ending for known in formats() for ending in known.suffixes)


def plan_input(
    pattern: str, rows_per_slice: int, options: ReadOptions | None = None, flag: str = "--input"
) -> InputPlan:
    """Find the files of an input, read their schemas and cut them into slices.

    Files with different columns are unified by the rule in ``beam_sts.io.schema``. A folder named
    ``name=value`` adds a column of texts to the files below it that do not have that column.

    Args:
        pattern: a path, folder, pattern or fsspec URL.
        rows_per_slice: the most rows in a slice.
        options: how to read the files.
        flag: the option that gives the pattern, for messages.

    Returns:
        The plan.

    Raises:
        UserError: nothing matches, a file cannot be read, no file has columns, or the columns of two files
            cannot be unified.
    """
    files = find_files(pattern, _endings(), flag)
    units: list[list[Slice]] = []
    contents: list[str] = []
    schema = pa.schema([])
    lines, count = True, 0
    known_of = [format_of(file.path, options) for file in files]

    def scanned(at: int) -> FileScan:
        return known_of[at].scan(files[at].path, rows_per_slice)

    # Of Parquet a scan reads the footers; of other formats it reads whole files, which take memory.
    side_by_side = all(isinstance(known, Parquet) for known in known_of)
    scans = ahead(scanned, range(len(files))) if side_by_side else map(scanned, range(len(files)))
    for file, known, scan in zip(files, known_of, scans, strict=True):
        contents.append(scan.content)
        if not scan.schema.names:  # an empty file in a line format
            continue
        own = set(scan.schema.names)
        check_width(len(own), file.path)
        added = {name: value for name, value in partition_values(file.path).items() if name not in own}
        check_column_names([*added], file.path)
        columns = [*carried(scan.schema, file.path), *(pa.field(name, pa.string()) for name in added)]
        lines &= isinstance(known, JsonLines)
        schema = unite(schema, pa.schema(columns), file.path, lines=lines)
        partitions = tuple(added.items())
        numbered = [replace(s, index=count + s.index, partitions=partitions) for s in scan.slices]
        count += len(numbered)
        units += known.units(numbered)
        check_slices(count, file.path)
    if not schema.names:
        raise UserError(f"{flag} {pattern}: no rows and no column names in it: {files[0].path} is empty.")
    return InputPlan(files, raw_last(schema), units, contents)


def read_slices(
    unit: Sequence[Slice],
    schema: pa.Schema,
    text_columns: Sequence[str] = (),
    options: ReadOptions | None = None,
) -> Iterator[SliceData]:
    """Read the slices of one unit, in order, each as a table with the schema of the whole input.

    Args:
        unit: slices of one file, in order, possibly with gaps.
        schema: the schema of the whole input.
        text_columns: the columns that must contain texts; nested ones by path.
        options: the options with which the input was planned.

    Yields:
        The data of each slice.

    Raises:
        UserError: the file cannot be read, or has changed since it was planned.
    """
    path, partitions = unit[0].path, unit[0].partitions
    texts = [way for name in text_columns if (way := find_path(schema, name))]
    for data in format_of(path, options).read(unit, schema, texts):
        yield replace(data, table=conform(data.table, schema, path, partitions))
