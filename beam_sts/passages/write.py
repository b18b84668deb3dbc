"""Writes the shards of a search for passages: kept rows, removed rows, passages, rejected rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts.arrays import one_array
from beam_sts.candidates.rejects import write_rejected
from beam_sts.candidates.source import SliceRows, Source
from beam_sts.examples import Example, shorten
from beam_sts.io.committed import content_digest, slice_identity
from beam_sts.io.names import PREFIX, free_names
from beam_sts.io.output import OutputFolder
from beam_sts.io.rejected import rejected_schema
from beam_sts.io.slices import Slice
from beam_sts.io.summary import score_histogram
from beam_sts.passages.find import FoundPassages, outcome, passage_receipt_schema, passage_receipts
from beam_sts.passages.settings import PassageSettings

FOLDERS = ("kept", "removed", "passages", "rejected")
_AROUND = 60  # characters before and after a passage that the report shows


@dataclass(frozen=True)
class PassageWriter:
    """Writes the shards of slices.

    ``report_examples`` is the number of passages, and of rejected rows per reason, in the report. ``prefix``
    precedes the name ``_id`` if the input has a column of that name.
    """

    output: OutputFolder
    source: Source
    settings: PassageSettings
    report_examples: int = 5
    prefix: str = PREFIX

    @property
    def kept_schema(self) -> pa.Schema:
        """The columns of the input, plus ``_id`` if no id column is named."""
        schema = self.source.schema
        if self.source.id:
            return schema
        return schema.append(pa.field(self._id, pa.int64(), nullable=False))

    @property
    def _id(self) -> str:
        """The name of the column of row numbers."""
        return free_names(["_id"], self.source.schema.names, self.prefix)["_id"]

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """The schemas of all shards, by folder."""
        return {
            "kept": self.kept_schema,
            "removed": self.kept_schema,
            "passages": passage_receipt_schema(self.source.id_type),
            "rejected": rejected_schema(self.source.schema),
        }

    def write(self, rows: SliceRows, found: FoundPassages, others: pa.Array, *, of: Any = None) -> None:
        """Write the shards of a slice. ``kept`` is written last, since it is the commit marker.

        Args:
            rows: the n good rows and the others.
            found: the passages of the good rows, numbered from 0.
            others: for each passage, the id of the matching row.
            of: the identity of the shards, for their record.

        Raises:
            RuntimeError: the counts do not add up.
        """
        part, schemas = rows.data.slice, self.schemas
        texts = rows.texts.to_pylist()
        ids = one_array(rows.ids)
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
        passages = passage_receipts(found, texts, ids, others, self.settings)
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
        self, rows: SliceRows, texts: list[str], passages: pa.Table, found: FoundPassages
    ) -> list[Example]:
        """A few passages with their context, those with the lowest scores first."""
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


def identity(part: Slice, found: FoundPassages, others: pa.Array) -> list[Any]:
    """The identity of the shards of a slice: the slice, and the passages of its rows."""
    places = (found.row, found.start, found.stop, found.other_start, found.other_stop, found.against)
    return [*slice_identity(part), content_digest(*places, found.score, others)]


def _most_found(others: pa.Array, found: FoundPassages) -> dict[str, int]:
    """How often each matching row was found, by id as text; the 200 most frequent."""
    counts = others.value_counts().to_pylist() if len(found) else []
    counts.sort(key=lambda one: (-one["counts"], str(one["values"])))
    return {str(one["values"]): int(one["counts"]) for one in counts[:200]}
