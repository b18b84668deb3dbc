"""Training pairs of texts in memory: ``beam_sts.mine``."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.candidates.source import Columns, SliceRows, TableSource
from beam_sts.checks import one_of
from beam_sts.frames import Frame, beside, frame_of, text_name
from beam_sts.io.output import OutputFolder
from beam_sts.mining.core import SPLITS, SUBSETS
from beam_sts.mining.local import mine_locally
from beam_sts.mining.passages import check_columns
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import FOLDERS, Cuts, empty_schemas, mine_counts
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.settings import made, takes


@dataclass
class _Rejected:
    """Places of the rows that cannot be mined, and why."""

    rows: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, rows: SliceRows) -> dict[str, Any]:
        self.rows += [rows.data.slice.row + row for row in rows.bad]
        self.reasons += rows.reasons
        return {"rows_rejected": len(rows.bad)}


class Mined:
    """Scored pairs and training sets, of the input's kind of table.

    Attributes:
        counts: of ``rows_read``, ``rows_rejected``, ``texts``, ``pairs``; ``rows_written`` of each set and
            split; and more, as in the command's ``summary.json``.
    """

    def __init__(
        self, frame: Frame, tables: dict[tuple[str, str], pa.Table], counts: dict[str, Any], bad: _Rejected
    ) -> None:
        self._frame, self._tables, self._bad = frame, tables, bad
        self.counts = counts

    @cached_property
    def pairs(self) -> Any:
        """Every scored pair: ``sentence1``, ``sentence2``, ``score``, ``origin`` and ``split``."""
        parts = []
        for split in SPLITS:
            scored, raw = self._tables["pair-score", split], self._tables["raw", split]
            part = scored.append_column("origin", raw["origin"])
            parts.append(part.append_column("split", pa.array([split] * len(part), pa.string())))
        return self._frame.made(pa.concat_tables(parts))

    def rows(self, subset: str = "pair-score-sampled", split: str = "train") -> Any:
        """A training set.

        Args:
            subset: ``raw``, ``pair-score``, ``pair-score-hard``, ``pair-score-sampled``, ``triplet`` or
                ``triplet-hard`` (``beam_sts.mining.core`` says what is in which).
            split: ``train`` or ``test``.

        Raises:
            UserError: there is no such set or split.
        """
        one_of(*SUBSETS)("subset", subset)
        one_of(*SPLITS)("split", split)
        return self._frame.made(self._tables[subset, split])

    @cached_property
    def rejected(self) -> Any:
        """The rows without a text to mine, each with its ``reject_reason``."""
        reasons = pa.table({"reject_reason": pa.array(self._bad.reasons, pa.string())})
        return self._frame.rows(np.array(self._bad.rows, np.int64), beside(reasons, self._frame.names))

    def __repr__(self) -> str:
        return f"Mined({self.counts['pairs']:,} pairs of {self.counts['texts']:,} texts)"

    def _repr_html_(self) -> str:
        """The rows of each set and split, for a notebook."""
        rows = [
            f"<tr><td>{subset}</td>{''.join(f'<td>{counts[split]:,}</td>' for split in SPLITS)}</tr>"
            for subset, counts in self.counts["rows_written"].items()
        ]
        head = f"<tr><th></th>{''.join(f'<th>{split}</th>' for split in SPLITS)}</tr>"
        return f"<table><caption>{html.escape(repr(self))}</caption>{head}{''.join(rows)}</table>"


@takes(MineSettings, but=("text", "report_examples"))
def mine(data: Any, *, text: str | None = None, **settings: Any) -> Mined:
    """Mine training pairs of texts in memory: propose pairs, score them, draw training sets.

    The result is that of ``beam-sts mine`` on the same rows. For files, and to go on after a kill, take the
    command. Scored pairs lie in a temporary folder while it works.

    Args:
        data: texts (a list, an Arrow array, a pandas or polars column), or a table with a column of texts:
            Arrow, pandas, polars, or a Hugging Face ``Dataset``. The result's tables are of the same kind.
        text: column of the texts (default: ``text``).
        **settings: as below.

    Raises:
        UserError: the data, a column or a setting is not what it may be; naming the value and the way out.

    >>> texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell sharply."]
    >>> mined = mine(texts, neighbours=1, test_share=0)
    >>> best = max(mined.pairs, key=lambda row: row["score"])
    >>> best["sentence1"], best["sentence2"], best["split"]
    ('A cat sat on a mat.', 'A cat sat on the mat.', 'train')
    """
    chosen = made(MineSettings, "mine", {"text": text or "text", **settings})
    frame = frame_of(data)
    columns = Columns(text_name(frame, text), reject_empty=True)
    wanted = dict.fromkeys([columns.text, chosen.doc_id, chosen.embedding])
    names = [name for name in wanted if name is not None]
    # Paths into structs are no names of columns: then all columns are taken.
    source = TableSource(frame.table(names if set(names) <= set(frame.names) else None), columns)
    chosen = chosen.for_rows(len(source.table))
    columns.check(source.table.schema, "")
    check_columns(source.table.schema, chosen)
    checkpoint = load_checkpoint(chosen.model, **chosen.load)
    bad = _Rejected()
    with TemporaryDirectory(prefix="beam_sts-") as folder:
        output = OutputFolder.at(f"{folder}/mined", folders=FOLDERS)
        rows = len(source.table)
        counted = mine_locally(
            output, source, rows, chosen, Cuts.of(rows, chosen), checkpoint, Path(folder), reject=bad.add
        )
        output.finish(empty_schemas())
        counts, _ = mine_counts(output, counted, rows)
        tables = {
            (subset, split): pq.read_table(f"{output.root}/{subset}/{split}", partitioning=None)
            for subset in SUBSETS
            for split in SPLITS
        }
    return Mined(frame, tables, counts, bad)
