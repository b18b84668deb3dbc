"""The rejected rows of a corpus, written slice by slice, with examples of each reason for the report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from beam_sts.candidates.source import SliceRows, Source
from beam_sts.examples import Example, reason_kind
from beam_sts.io.committed import read_records, slice_identity
from beam_sts.io.files import file_system
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.scoring.columns import rejected_examples

REJECTED = "rejected"
"""The folder of rejected rows, and the prefix of the folder for another input's."""
_SHARDS_SHOWN = 100  # from which examples are taken, to bound the time of a report


def write_rejected(
    output: OutputFolder, source: Source, rows: SliceRows, each: int, folder: str = REJECTED
) -> dict[str, Any]:
    """Write the rejected rows of a slice, with at most ``each`` examples per reason. Returns the counts."""
    index = rows.data.slice.index
    table = rejected_table(rows.data, rows.bad, rows.reasons, rejected_schema(source.schema))
    if len(table):
        shown = rejected_examples(table, source.text_columns[:2], each)
        record = {"examples": shown}
        output.commit(index, {folder: table}, record, of=slice_identity(rows.data.slice), kind=folder)
    reasons = Counter(map(reason_kind, table["reason"].to_pylist()))
    return {"rows_rejected": len(table), "rejected_reasons": dict(reasons)}


def read_rejected(output: OutputFolder) -> list[list[Example]]:
    """The examples of the first slices with rejected rows."""
    fs, folder = file_system(output.path("_run", "records"))
    fs.invalidate_cache()  # other machines may have written records
    try:
        names = sorted(name.rpartition("/")[2] for name in fs.ls(folder, detail=False))
    except FileNotFoundError:
        return []
    paths = [output.path("_run", "records", name) for name in names if name.startswith(REJECTED)]
    return [record["examples"] for record in read_records(paths[:_SHARDS_SHOWN]) if record]
