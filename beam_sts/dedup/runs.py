"""The output of a finished run of ``beam-sts dedup``: its pairs, clusters, receipts and texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.candidates.texts import texts_in
from beam_sts.dedup.receipts import FOLDERS, RECEIPT
from beam_sts.dedup.verify import Scoring, Verifier
from beam_sts.errors import UserError
from beam_sts.io.committed import check_run, read_record
from beam_sts.io.files import file_system
from beam_sts.io.ids import ids_as_texts, with_shown_ids
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import plan_input, read_slices
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.models.registry import EMBEDDED
from beam_sts.scoring.columns import as_bytes

_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Run:
    """The output folder of a run."""

    output: OutputFolder
    fingerprint: dict[str, Any]
    summary: dict[str, Any]

    @classmethod
    def at(cls, folder: str, flag: str = "--run") -> Run:
        """Open the run in a folder.

        Raises:
            UserError: there is none, or it is not finished.
        """
        output = OutputFolder.at(folder, folders=FOLDERS)
        found = []
        for name, wrong in (
            ("_run/run.json", "contains no run of beam-sts dedup"),
            ("summary.json", "its run is not finished; run it again first"),
        ):
            fs, inside = file_system(output.path(name))
            if not fs.exists(inside):
                raise UserError(f"{flag} {folder}: {wrong} (no {name}).")
            content = read_record(output.path(name))
            if content is None:
                raise UserError(
                    f"{flag} {folder}: its {name} is damaged. Run the command that wrote it again."
                )
            found.append(content)
        if found[0].get("pipeline") != "dedup":
            raise UserError(
                f"{flag} {folder}: contains a run of {found[0].get('pipeline')!r}, not of 'dedup'."
            )
        return cls(output, *found)

    @property
    def id_column(self) -> str:
        """The column of ids in ``kept`` and ``removed``."""
        return self.fingerprint["settings"]["id"] or self.renamed.get("_id", "_id")

    @property
    def renamed(self) -> dict[str, str]:
        """The names in ``removed`` of added columns that were renamed, by original name."""
        names: dict[str, str] = self.fingerprint.get("renamed_columns", {})
        return names

    @property
    def rejected(self) -> tuple[int, str]:
        """The number of rejected rows, and where they are."""
        return self.summary["rows_rejected"], self.output.path("rejected")

    def tables(self, folder: str) -> Iterator[pa.Table]:
        """The shards of a folder, as tables."""
        options = ReadOptions(",") if self.fingerprint["settings"]["output_format"] == "csv" else None
        check_run(self.output.root, folder, f"--run {self.output.root}")
        plan = plan_input(self.output.path(folder), _ROWS_AT_ONCE, options)
        for unit in plan.units:
            for part in read_slices(unit, plan.schema, options=options):
                yield part.table

    def find(self, folder: str, columns: Collection[str], ids: Collection[str]) -> list[dict[str, Any]]:
        """The rows of a folder that have one of the ids (as texts) in one of the columns.

        For ``removed``, the rows have the id and the receipt, under the original names.
        """
        wanted = pa.array(list(ids), pa.string())
        rows: list[dict[str, Any]] = []
        for table in self.tables(folder):
            hit = np.zeros(len(table), dtype=bool)
            for name in columns:
                hit |= np.asarray(pc.is_in(ids_as_texts(table, name), wanted))
            found = table.filter(pa.array(hit))
            found = self._receipts(found) if folder == "removed" else found
            rows += with_shown_ids(found).to_pylist()
        return rows

    def _receipts(self, removed: pa.Table) -> pa.Table:
        names = [*RECEIPT, *(["survivor_in"] if self.fingerprint["against"] else [])]
        ours = {name: removed.column(self.renamed.get(name, name)) for name in names}
        return pa.table({"id": ids_as_texts(removed, self.id_column), **ours})

    def verifier(self) -> Verifier | None:
        """Computes scores as the run did, from their bounds, by the model that it used.

        None if that model is not on this machine, if there was a second one, or if the run left out
        boilerplate, which only all texts together show.
        """
        settings, name = self.fingerprint["settings"], self.summary["model"]["name"]
        there = Path(name).is_dir() or (EMBEDDED / name).is_dir()
        if not there or self.fingerprint["cascade_model"] or self.summary["boilerplate"]["runs"]:
            return None
        checkpoint = load_checkpoint(name)
        if checkpoint.fingerprint != self.fingerprint["model"]:
            return None
        args = {key: settings[key] for key in ("long_text", "precision")}
        own = {key: settings[key] for key in ("guard", "form", "symmetric")}
        return Scoring(checkpoint, args=args, share=settings["model_share"], **own).verifier()

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        """The texts of rows of the input, by id as text."""
        return dict(
            found
            for folder in ("kept", "removed")
            for table in self.tables(folder)
            for found in _texts(table, self.id_column, self.fingerprint["settings"]["text"], ids)
        )

    def texts_against(self, ids: Collection[str]) -> dict[str, str]:
        """The texts of rows of the input to compare against, by id as text."""
        settings = self.fingerprint["settings"]
        name = settings["against_id"] or settings["id"]
        found: dict[str, str] = {}
        options = ReadOptions.of(settings)
        number = 0
        for file in self.fingerprint["against"] or []:
            plan = plan_input(file["path"], _ROWS_AT_ONCE, options)
            for unit in plan.units:
                for part in read_slices(unit, plan.schema, options=options):
                    table = part.table
                    if not name:
                        rows = np.asarray(part.rows) - part.slice.row + number
                        table = table.append_column("_id", pa.array(rows))
                        number += part.slice.rows
                    text = settings["against_text"] or settings["text"]
                    found.update(_texts(table, name or "_id", text, ids))
        return found


def _texts(table: pa.Table, id_column: str, text: str, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    names = ids_as_texts(table, id_column)
    rows = pc.is_in(names, pa.array(list(ids), pa.string()))
    texts = as_bytes(texts_in(table.filter(rows), text)).to_pylist()
    for name, value in zip(names.filter(rows).to_pylist(), texts, strict=True):
        if value is not None:
            yield name, value.decode("utf-8", "replace")
