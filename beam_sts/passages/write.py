"""The shards of a run that looked for passages: rows kept, rows removed, passages, rejected rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import SliceRows, Source
from beam_sts.examples import Example, shorten
from beam_sts.io.committed import content_digest, slice_identity
from beam_sts.io.names import PREFIX, free_names
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.slices import Slice
from beam_sts.io.summary import score_histogram
from beam_sts.passages.find import Passages, outcome, receipt_schema, receipts
from beam_sts.passages.settings import PassageSettings

FOLDERS = ("kept", "removed", "passages", "rejected")
_AROUND = 60  # characters before and after a passage that the report shows


@dataclass(frozen=True)
class PassageWriter:
    """Writes a slice.

    ``report_examples``: passages, and rejected rows of each reason, for the report. ``prefix`` goes before
    ``_id`` where the input has such a column.
    """

    output: OutputFolder
    source: Source
    settings: PassageSettings
    report_examples: int = 5
    prefix: str = PREFIX

    @property
    def kept_schema(self) -> pa.Schema:
        """The input's columns, ``_id`` added where no column is named."""
        schema = self.source.schema
        if self.source.id:
            return schema
        return schema.append(pa.field(self._id, pa.int64(), nullable=False))

    @property
    def _id(self) -> str:
        """The column of row numbers."""
        return free_names(["_id"], self.source.schema.names, self.prefix)["_id"]

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """Of all shards, by folder."""
        return {
            "kept": self.kept_schema,
            "removed": self.kept_schema,
            "passages": receipt_schema(self.source.id_type),
            "rejected": rejected_schema(self.source.schema),
        }

    def write(self, rows: SliceRows, found: Passages, others: pa.Array, *, of: Any = None) -> None:
        """Publish the shards of a slice, ``kept`` last: it is the commit marker.

        Args:
            rows: its n good rows and the others.
            found: passages of the good rows, numbered from 0.
            others: for each passage the id of the row that has it too.
            of: what the shards are of, for their record.

        Raises:
            RuntimeError: the counts do not add up.
        """
        part, schemas = rows.data.slice, self.schemas
        texts = rows.texts.to_pylist()
        ids = rows.ids.combine_chunks() if isinstance(rows.ids, pa.ChunkedArray) else rows.ids
        made = outcome(found, texts, self.settings)
        table = rows.table
        if not self.source.id:
            table = table.append_column(self.kept_schema.field(self._id), pa.array(rows.numbers))
        removed = table.filter(pa.array(made.gone)).cast(schemas["removed"])
        changed = 0
        if made.texts is not None:
            changed = sum(new != old for new, old in zip(made.texts, texts, strict=True)) - int(
                made.gone.sum()
            )
            place = table.schema.get_field_index(self.source.text)
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array(made.texts, field.type))
        kept = table.filter(pa.array(~made.gone)).cast(schemas["kept"])
        rejected = write_rejected(self.output, self.source, rows, self.report_examples)
        if len(kept) + len(removed) + rejected["rows_rejected"] != part.rows:
            raise RuntimeError(
                f"{part.path}: rows from {part.row}: {len(kept)} kept + {len(removed)} removed + "
                f"{rejected['rows_rejected']} rejected, not {part.rows}"
            )
        passages = receipts(found, texts, ids, others, self.settings)
        record = {
            "rows_read": part.rows,
            "rows_kept": len(kept),
            "rows_removed": len(removed),
            "rows_rejected": rejected["rows_rejected"],
            "rows_changed": changed,
            "rows_with_passages": len(np.unique(found.row)),
            "passages": len(found),
            "characters": sum(map(len, texts)),
            "characters_found": int((found.stop - found.start).sum()),
            "score_histogram": score_histogram(found.score.astype(np.float32)),
            "items": _most_found(others, found),
            "reasons": rejected["rejected_reasons"],
            "examples": self._examples(rows, texts, passages, found),
        }
        shards = {"removed": removed, "passages": passages, "kept": kept}
        shards = {name: one for name, one in shards.items() if len(one) or name == "kept"}
        self.output.commit(part.index, shards, record, of=of)

    def _examples(
        self, rows: SliceRows, texts: list[str], passages: pa.Table, found: Passages
    ) -> list[Example]:
        """A few passages, the least certain first, each in its surroundings."""
        shown = np.argsort(found.score, kind="stable")[: self.report_examples]
        examples = []
        for at in shown.tolist():
            row, start, stop = (int(column[at]) for column in (found.row, found.start, found.stop))
            receipt = passages.slice(at, 1).to_pylist()[0]
            around = texts[row][max(0, start - _AROUND) : start], texts[row][stop : stop + _AROUND]
            other = f"{receipt['survivor_start']:,} to {receipt['survivor_end']:,} of {receipt['survivor']}"
            examples.append(
                {
                    "kind": "passage",
                    "file": rows.data.slice.path,
                    "row": rows.data.rows[int(rows.good[row])],
                    "text_a": shorten(receipt["passage"]),
                    "text_b": shorten(" [...] ".join(around)),
                    "score": receipt["score"],
                    "note": f"characters {start:,} to {stop:,} are {other} in {receipt['survivor_in']}",
                }
            )
        return examples


def identity(part: Slice, found: Passages, others: pa.Array) -> list[Any]:
    """What the shards of a slice are of: the slice, and the passages of its rows."""
    places = (found.row, found.start, found.stop, found.other_start, found.other_stop, found.against)
    return [*slice_identity(part), content_digest(*places, found.score, others)]


def _most_found(others: pa.Array, found: Passages) -> dict[str, int]:
    """How often each row that has a passage too was met; ids as texts."""
    counts = others.value_counts().to_pylist() if len(found) else []
    counts.sort(key=lambda one: (-one["counts"], str(one["values"])))
    return {str(one["values"]): int(one["counts"]) for one in counts[:200]}
