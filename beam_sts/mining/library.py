"""Mining of texts in memory: ``beam_sts.mine``."""

from __future__ import annotations

import html
import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_sts.candidates.source import Columns, SliceRows, TableSource
from beam_sts.candidates.texts import check_text
from beam_sts.checks import one_of
from beam_sts.errors import UserError
from beam_sts.frames import TEXT, Frame, beside, frame_of, text_name
from beam_sts.io.output import OutputFolder
from beam_sts.mining.core import SPLITS, SUBSETS
from beam_sts.mining.languages import EFFECT, languages_in
from beam_sts.mining.local import mine_locally
from beam_sts.mining.passages import check_columns
from beam_sts.mining.settings import MineSettings
from beam_sts.mining.shards import FOLDERS, Cuts, empty_schemas, mine_counts
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.plurals import plural
from beam_sts.settings import made, takes

log = logging.getLogger(__name__)


@dataclass
class _Rejected:
    """Row numbers of the rejected rows, and the reasons."""

    rows: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(self, rows: SliceRows) -> dict[str, Any]:
        """Add the rejected rows of a part. Returns their count."""
        self.rows += [rows.data.slice.row + row for row in rows.bad]
        self.reasons += rows.reasons
        return {"rows_rejected": len(rows.bad)}


class Mined:
    """Scored pairs and training sets; the tables are of the same kind as the input.

    Attributes:
        counts: ``rows_read``, ``rows_rejected``, ``texts``, ``pairs``, ``rows_written`` by set and split, and
            more, as in the command's ``summary.json``.

    >>> mined = mine(["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell."], test_share=0)
    >>> mined.counts["texts"], len(mined.pairs) == mined.counts["pairs"]
    (3, True)
    >>> sorted(mined.rows("pair-score", "train")[0])
    ['score', 'sentence1', 'sentence2']
    """

    def __init__(
        self,
        frame: Frame,
        tables: dict[tuple[str, str], pa.Table],
        counts: dict[str, Any],
        bad: _Rejected,
        of_queries: tuple[Frame, _Rejected] | None = None,
    ) -> None:
        self._frame, self._tables, self._bad, self._of_queries = frame, tables, bad, of_queries
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
        """Returns a training set.

        Args:
            subset: ``raw``, ``pair-score``, ``pair-score-hard``, ``pair-score-sampled``, ``triplet`` or
                ``triplet-hard`` (see ``beam_sts.mining.core``).
            split: ``train`` or ``test``.

        Raises:
            UserError: there is no such set or split.
        """
        one_of(*SUBSETS)("subset", subset)
        one_of(*SPLITS)("split", split)
        return self._frame.made(self._tables[subset, split])

    @cached_property
    def rejected(self) -> Any:
        """The rejected rows, each with its ``reject_reason``; with queries, those of the corpus."""
        return _rejected_rows(self._frame, self._bad)

    @cached_property
    def rejected_queries(self) -> Any:
        """The rejected rows of the queries; None without queries."""
        return _rejected_rows(*self._of_queries) if self._of_queries else None

    def __repr__(self) -> str:
        return f"Mined({plural(self.counts['pairs'], 'pair')} of {plural(self.counts['texts'], 'text')})"

    def _repr_html_(self) -> str:
        """The number of rows by set and split, for a notebook."""
        rows = [
            f"<tr><td>{subset}</td>{''.join(f'<td>{counts[split]:,}</td>' for split in SPLITS)}</tr>"
            for subset, counts in self.counts["rows_written"].items()
        ]
        head = f"<tr><th></th>{''.join(f'<th>{split}</th>' for split in SPLITS)}</tr>"
        return f"<table><caption>{html.escape(repr(self))}</caption>{head}{''.join(rows)}</table>"


def _rejected_rows(frame: Frame, bad: _Rejected) -> Any:
    reasons = pa.table({"reject_reason": pa.array(bad.reasons, pa.string())})
    return frame.rows(np.array(bad.rows, np.int64), beside(reasons, frame.names))


@takes(MineSettings, but=("text", "report_examples"))
def mine(
    data: Any = None, *, text: str | None = None, queries: Any = None, corpus: Any = None, **settings: Any
) -> Mined:
    """Mine training pairs of texts in memory: propose pairs, score them, draw training sets.

    The result is the same as that of ``beam-sts mine`` on the same rows. Use the command for files and for
    runs that must continue after an interruption. Scored pairs are kept in a temporary folder during the run.

    Args:
        data: texts (a list, an Arrow array, a pandas or polars column), or a table with a text column: Arrow,
            pandas, polars or a Hugging Face ``Dataset``. The result's tables are of the same kind.
        text: text column (default: ``text``).
        queries: anchors, as texts or a table, instead of ``data``; their partners are texts of ``corpus``.
        corpus: texts to search for partners, or a table (default: the texts of ``positive_column_name``).
        **settings: as below.

    Returns:
        The scored pairs, the training sets, the rejected rows and the counts.

    Raises:
        UserError: the data, a column or a setting is invalid. The message names the value and the way out.

    >>> texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell sharply."]
    >>> mined = mine(texts, neighbours=1, test_share=0)
    >>> best = max(mined.pairs, key=lambda row: row["score"])
    >>> best["sentence1"], best["sentence2"], best["split"]
    ('A cat sat on a mat.', 'A cat sat on the mat.', 'train')
    >>> asked = mine(queries=["Cats sit on mats."], corpus=texts, neighbours=2, test_share=0)
    >>> {row["sentence1"] for row in asked.pairs}
    {'Cats sit on mats.'}
    """
    asked, frame, text, settings = _inputs(data, text, queries, corpus, settings)
    chosen = made(MineSettings, "mine", {"text": text, **settings})
    if asked is None and (chosen.across or chosen.given):
        raise UserError("anchor_column_name and positive_column_name: need queries.")
    source = _table_source(frame, Columns(text, reject_empty=True), chosen)
    of_queries = None
    if asked is not None:
        columns = Columns(
            str(chosen.anchor_column_name), reject_empty=True, second=chosen.positive_column_name
        )
        check_text(asked.table(None).schema, columns.text, "anchor_column_name")
        if columns.second is not None:
            check_text(asked.table(None).schema, columns.second, "positive_column_name")
        of_queries = _table_source(asked, columns, chosen)
    rows = len(source.table)
    of_asked = len(of_queries.table) if of_queries else 0
    chosen = chosen.for_rows(of_asked or rows)
    source.columns.check(source.table.schema, "")
    for one in filter(None, (source, of_queries)):
        check_columns(one.table.schema, chosen)
    checkpoint = load_checkpoint(chosen.model, **chosen.load)
    bad = _Rejected(), _Rejected()
    cuts = Cuts.of(rows + of_asked * (1 + chosen.given), chosen, of_asked)
    with TemporaryDirectory(prefix="beam_sts-") as folder:
        output = OutputFolder.at(f"{folder}/mined", folders=FOLDERS)
        counted = mine_locally(
            output,
            source,
            rows + of_asked,
            chosen,
            cuts,
            checkpoint,
            Path(folder),
            queries=of_queries,
            reject=lambda part, asked: bad[asked].add(part),
        )
        output.finish(empty_schemas(chosen.form))
        counts, _ = mine_counts(output, counted, rows + of_asked)
        languages = languages_in(counts["languages"], checkpoint.languages).record(EFFECT)
        counts["languages"] = languages
        if languages["warning"]:
            log.warning("%s", languages["warning"])
        tables = {
            (subset, split): pq.read_table(f"{output.root}/{subset}/{split}", partitioning=None)
            for subset in SUBSETS
            for split in SPLITS
        }
    return Mined(frame, tables, counts, bad[0], (asked, bad[1]) if asked is not None else None)


def _inputs(
    data: Any, text: str | None, queries: Any, corpus: Any, settings: dict[str, Any]
) -> tuple[Frame | None, Frame, str, dict[str, Any]]:
    """Returns the queries, the texts, the text column, and the settings with the column of the queries."""
    positive = settings.get("positive_column_name")
    if (data is None) == (queries is None):
        raise UserError("data: give either data, or queries with corpus.")
    if queries is None:
        if corpus is not None:
            raise UserError("corpus: needs queries.")
        frame = frame_of(data)
        return None, frame, text_name(frame, text), settings
    asked = frame_of(queries, "queries")
    plain = asked.names == [TEXT]
    settings = {**settings, "anchor_column_name": settings.get("anchor_column_name") or _ANCHOR[plain]}
    if corpus is not None:
        frame = frame_of(corpus, "corpus")
        return asked, frame, text_name(frame, text), settings
    if positive is None:
        raise UserError("queries: needs corpus, or positive_column_name if the positives are the corpus.")
    if settings.get("embedding") is not None:
        raise UserError("embedding: needs corpus, since the positives of queries have no vectors.")
    return asked, asked, positive, settings


_ANCHOR = {True: TEXT, False: "anchor"}  # default for plain texts, and for a table


def _table_source(frame: Frame, columns: Columns, chosen: MineSettings) -> TableSource:
    wanted = dict.fromkeys([*columns.texts, chosen.doc_id, chosen.embedding])
    names = [name for name in wanted if name is not None]
    # A path into a struct is not a column name, so all columns are kept.
    return TableSource(frame.table(names if set(names) <= set(frame.names) else None), columns)
