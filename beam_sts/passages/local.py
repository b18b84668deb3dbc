"""Passages on one machine: slice by slice, one in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

from beam_sts.passages.lookup import Lookup
from beam_sts.passages.write import PassageWriter


def write_passages(
    writer: PassageWriter, lookup: Lookup, *, verify: bool, step: Callable[[int, str], None]
) -> tuple[int, int]:
    """Write the slices that an earlier run did not; gives how many were there, and how many damaged.

    Args:
        writer: of the run.
        lookup: tells the passages.
        verify: compare all bytes of the shards that are there.
        step: called with the rows of each slice that is done, and its file.
    """
    output, slices = writer.output, writer.source.plan.slices
    there = output.committed()
    of = {part.index: lookup.identity(part) for part in slices if part.index in there}
    records, wrong = output.whole(of, verify=verify)
    output.drop(output.folders[0], wrong, "part")
    missing = [part for part in slices if part.index not in records]
    for part in slices:
        if part.index in records:
            step(part.rows, part.path)
    for rows in writer.source.read(missing):
        found, others = lookup.of(rows)
        writer.write(rows, found, others, of=lookup.identity(rows.data.slice))
        step(rows.data.slice.rows, rows.data.slice.path)
    return len(records), len(wrong)
