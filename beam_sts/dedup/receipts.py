"""Writes the rows of a deduplication: kept, removed with their receipts, clusters, rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import SliceRows, Source
from beam_sts.dedup.decide import IDENTICAL, CorpusDecision
from beam_sts.dedup.rows import Rows
from beam_sts.dedup.verdicts import NOT_COMPARED, RULES
from beam_sts.io.committed import content_digest, slice_identity
from beam_sts.io.names import PREFIX, free_names
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.slices import Slice

FOLDERS = ("kept", "removed", "pairs", "clusters", "rejected")
RECEIPT = ("survivor", "score", "source", "rule", "threshold", "model", "lost")


@dataclass(frozen=True)
class SliceWriter:
    """Writes slices of the input: kept, removed, clusters, rejected. ``against``: there is another input.

    ``report_examples`` is the number of rejected rows per reason in the report. ``prefix`` precedes the name
    of an added column whose name the input has already.
    """

    output: OutputFolder
    source: Source
    against: bool = False
    report_examples: int = 5
    prefix: str = PREFIX

    @cached_property
    def names(self) -> dict[str, str]:
        """The added columns, and their names in the output."""
        ours = [*(() if self.source.id else ("_id",)), *self.receipt_schema.names]
        return free_names(ours, self.source.schema.names, self.prefix)

    @property
    def kept_schema(self) -> pa.Schema:
        """The columns of the input, plus ``_id`` if no id column is named."""
        schema = self.source.schema
        if self.source.id:
            return schema
        return schema.append(pa.field(self.names["_id"], pa.int64(), nullable=False))

    @property
    def receipt_schema(self) -> pa.Schema:
        """The columns that are added to removed rows."""
        return receipt_schema(self.source.id_type, self.against)

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """The schemas of all shards that are written here, by folder."""
        kind = self.source.id_type
        return {
            "kept": self.kept_schema,
            "removed": pa.schema(
                [*self.kept_schema, *(f.with_name(self.names[f.name]) for f in self.receipt_schema)]
            ),
            "clusters": pa.schema([("id", kind), ("cluster", kind)]),
            "rejected": rejected_schema(self.source.schema),
        }

    def write(
        self,
        rows: SliceRows,
        gone: NDArray[np.bool_],
        receipts: pa.Table,
        clusters: pa.Array,
        of: Any = None,
    ) -> None:
        """Write the shards of a slice. ``kept`` is written last, since it is the commit marker.

        Args:
            rows: the n good rows and the others.
            gone: which of the good rows are removed, shape (n,).
            receipts: the receipts of the removed rows, with ``receipt_schema``.
            clusters: the cluster of each good row, shape (n,).
            of: the identity of the shards, for their record.

        Raises:
            RuntimeError: the counts do not add up.
        """
        part, schemas = rows.data.slice, self.schemas
        table = rows.table
        if not self.source.id:
            table = table.append_column(self.kept_schema.field(self.names["_id"]), pa.array(rows.numbers))
        kept = table.filter(pa.array(~gone)).cast(schemas["kept"])
        removed = table.filter(pa.array(gone))
        for name in receipts.column_names:
            removed = removed.append_column(self.names[name], receipts.column(name))
        removed = removed.cast(schemas["removed"])
        output, index = self.output, part.index
        rejected = write_rejected(output, self.source, rows, self.report_examples)
        if len(kept) + len(removed) + rejected["rows_rejected"] != part.rows:
            raise RuntimeError(
                f"{part.path}: rows from {part.row}: {len(kept)} kept + {len(removed)} removed + "
                f"{rejected['rows_rejected']} rejected, not {part.rows}"
            )
        named = pa.Table.from_arrays([pa.chunked_array(rows.ids), clusters], schema=schemas["clusters"])
        shards = {"removed": removed, "clusters": named, "kept": kept}
        record = {
            "rows_read": part.rows,
            "rows_kept": len(kept),
            "rows_removed": len(removed),
            "rows_rejected": rejected["rows_rejected"],
            "reasons": rejected["rejected_reasons"],
        }
        shards = {folder: table for folder, table in shards.items() if len(table) or folder != "removed"}
        output.commit(index, shards, record, of=of)


@dataclass(frozen=True)
class RowWriter:
    """Writes the slices of the input by the decisions about their rows."""

    to: SliceWriter
    rows: Rows
    made: CorpusDecision
    threshold: float
    model: str

    def whole(self, *, verify: bool) -> tuple[set[int], set[int]]:
        """Find the slices that were written with these decisions.

        Args:
            verify: compare all bytes of the shards.

        Returns:
            The indices of the complete slices, and of the damaged or outdated ones.
        """
        output, source = self.to.output, self.to.source
        there = output.committed()
        of = {part.index: self._of(part) for part in source.plan.slices if part.index in there}
        records, _ = output.whole(of, verify=verify)
        rejected = {
            part.index: slice_identity(part)
            for part in source.plan.slices
            if part.index in records and records[part.index]["rows_rejected"]
        }
        _, wrong = output.whole(rejected, kind="rejected", verify=verify)
        whole = records.keys() - wrong.keys()
        return whole, of.keys() - whole

    def write(self, slices: Sequence[Slice]) -> Iterator[int]:
        """Write some slices. Yields the number of rows of each as it is committed."""
        removed = self.made.removed
        for rows in self.to.source.read(slices):
            span = self._span(rows.data.slice)
            gone = removed[span]
            clusters = self.rows.ids_of(self.made.of(span).cluster)
            found = receipts(self.rows, self.made, span[gone], self.threshold, self.model)
            self.to.write(rows, gone, found, clusters, self._of(rows.data.slice))
            yield rows.data.slice.rows

    def _span(self, part: Slice) -> IntArray:
        start, count = self.rows.spans[part.index]
        return np.arange(start, start + count)

    def _of(self, part: Slice) -> list[Any]:
        """The identity of a slice: its texts and the decisions about them."""
        span = self._span(part)
        made = self.made.of(span)
        decided = (made.representative, made.cluster, made.score)
        return [*slice_identity(part), content_digest(self.rows.hashes[span], *decided)]


def receipts(rows: Rows, decided: CorpusDecision, span: IntArray, threshold: float, model: str) -> pa.Table:
    """Make the receipts of removed rows, which say why they are removed.

    Args:
        rows: the rows of the corpus.
        decided: the decisions about them.
        span: the removed rows, shape (n,).
        threshold: the threshold of the run.
        model: the fingerprint of the model.

    Returns:
        n rows with ``receipt_schema``.
    """
    edges, made = decided.made.edges, decided.of(span)
    edge = made.edge
    plain = pa.array(edge < 0)
    index = pa.array(edge, mask=edge < 0)
    # There may be no proposed pair at all, so index -1 must refer to the appended element.
    source = edges.source.take(index).cast(pa.string())
    rule, lost = np.append(edges.verdicts.rules, np.int8(0))[edge], made.lost
    representative, against = made.representative, len(rows.ids) > 1
    columns = [
        rows.ids_of(representative),
        pa.array(made.score),
        pc.if_else(plain, IDENTICAL[1], source),
        pc.if_else(plain, IDENTICAL[2], pa.array(RULES).take(pa.array(rule))),
        pa.array(np.full(len(span), threshold)),
        pa.array([model] * len(span), pa.string()),
        pa.array(lost, pa.int32(), mask=lost == NOT_COMPARED),
    ]
    if against:
        columns.append(pa.array(["input", "against"]).take(pa.array(rows.side[representative])))
    return pa.Table.from_arrays(columns, schema=receipt_schema(rows.ids[0].type, against))


def receipt_schema(kind: pa.DataType, against: bool) -> pa.Schema:
    """The schema of receipts with ids of a type. ``against``: there is another input."""
    kinds = (kind, pa.float32(), pa.string(), pa.string(), pa.float64(), pa.string(), pa.int32())
    side = [("survivor_in", pa.string())] if against else []
    return pa.schema([*zip(RECEIPT, kinds, strict=True), *side])
