"""The rows written out: kept, removed with a receipt each, clusters, rejected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.corpus.dedup import Decision
from beam_sts.corpus.rows import IntArray, Rows, SliceRows, Source
from beam_sts.corpus.verify import RULES
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema, rejected_table
from beam_sts.io.slices import Slice

FOLDERS = ("kept", "removed", "pairs", "clusters", "rejected")
RECEIPT = ("survivor", "score", "source", "rule", "threshold", "model")


@dataclass(frozen=True)
class RowWriter:
    """Writes the slices of the input: kept, removed, clusters, rejected."""

    output: OutputFolder
    source: Source
    rows: Rows
    made: Decision
    threshold: float
    model: str

    @property
    def kept_schema(self) -> pa.Schema:
        """The input's columns, ``_id`` added where no column is named."""
        schema = self.source.schema
        return schema if self.source.id else schema.append(pa.field("_id", pa.int64(), nullable=False))

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Of all shards that are written here, by folder."""
        kind = self.rows.ids[0].type
        receipt = [
            ("survivor", kind), ("score", pa.float32()), ("source", pa.string()), ("rule", pa.string()),
            ("threshold", pa.float64()), ("model", pa.string()),
        ]  # fmt: skip
        receipt += [("survivor_in", pa.string())] if len(self.rows.ids) > 1 else []
        return {
            "kept": self.kept_schema,
            "removed": pa.schema([*self.kept_schema, *(pa.field(name, kind) for name, kind in receipt)]),
            "clusters": pa.schema([("id", kind), ("cluster", kind)]),
            "rejected": rejected_schema(self.source.schema),
        }

    def write(self, slices: Sequence[Slice]) -> Iterator[int]:
        """Write some slices; gives the number of rows of each as it is committed."""
        for rows in self.source.read(slices):
            self._write_slice(rows)
            yield rows.data.slice.rows

    def _write_slice(self, rows: SliceRows) -> None:
        part, schemas = rows.data.slice, self.schemas
        start, count = self.rows.spans[part.index]
        span = np.arange(start, start + count)
        gone = self.made.removed[start : start + count]
        table = rows.table
        if not self.source.id:
            table = table.append_column(self.kept_schema.field("_id"), pa.array(rows.numbers))
        kept = table.filter(pa.array(~gone)).cast(schemas["kept"])
        removed = self._with_receipts(table.filter(pa.array(gone)), span[gone]).cast(schemas["removed"])
        rejected = rejected_table(rows.data, rows.bad, rows.reasons, schemas["rejected"])
        if len(kept) + len(removed) + len(rejected) != part.rows:
            raise RuntimeError(
                f"{part.path}: rows from {part.row}: {len(kept)} kept + {len(removed)} removed + "
                f"{len(rejected)} rejected, not {part.rows}"
            )
        clusters = [self.rows.ids_of(span), self.rows.ids_of(self.made.cluster[span])]
        output, index = self.output, part.index
        if len(rejected):
            output.write_table("rejected", index, rejected)
        if len(removed):
            output.write_table("removed", index, removed)
        output.write_table("clusters", index, pa.Table.from_arrays(clusters, schema=schemas["clusters"]))
        output.write_record(
            index,
            {
                "rows_read": part.rows,
                "rows_kept": len(kept),
                "rows_removed": len(removed),
                "rows_rejected": len(rejected),
                "reasons": dict(Counter(_kind(reason) for reason in rejected.column("reason").to_pylist())),
            },
        )
        output.write_table("kept", index, kept)

    def _with_receipts(self, table: pa.Table, span: IntArray) -> pa.Table:
        made, edges = self.made, self.made.edges
        edge = made.edge[span]
        plain = pa.array(edge < 0)
        index = pa.array(edge, mask=edge < 0)
        source, rule = edges.source.cast(pa.string()), pa.array(RULES).take(pa.array(edges.rules))
        survivor = made.survivor[span]
        columns = [
            self.rows.ids_of(survivor),
            pa.array(made.score[span]),
            pc.if_else(plain, "exact", source.take(index)),
            pc.if_else(plain, "identical", rule.take(index)),
            pa.array(np.full(len(span), self.threshold)),
            pa.array([self.model] * len(span), pa.string()),
        ]
        for name, column in zip(RECEIPT, columns, strict=True):
            table = table.append_column(name, column)
        if len(self.rows.ids) > 1:
            sides = pa.array(["input", "against"]).take(pa.array(self.rows.side[survivor]))
            table = table.append_column("survivor_in", sides)
        return table


def _kind(reason: str) -> str:
    """The reason without what is particular to the row."""
    return (
        reason.partition(": ")[2].partition(":")[0]
        if reason.startswith("line ")
        else reason.partition(":")[0]
    )
