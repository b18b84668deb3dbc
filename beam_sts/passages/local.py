"""Passages on one machine, with one slice in memory at a time."""

from __future__ import annotations

from collections.abc import Callable

from beam_sts.passages.lookup import Lookup
from beam_sts.passages.write import PassageWriter


def write_passages(
    writer: PassageWriter, lookup: Lookup, *, verify: bool, step: Callable[[int, str], None]
) -> tuple[int, int]:
    """Write the slices that an earlier run did not write. Returns how many it did, and how many are damaged.

    Args:
        writer: the writer of the run.
        lookup: finds the passages.
        verify: whether to compare all bytes of the existing shards.
        step: called after each slice with its number of rows and its file.
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
