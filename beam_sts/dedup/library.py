"""Near-duplicates in memory: ``beam_sts.deduplicate``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from beam_sts.candidates.source import Columns, TableSource
from beam_sts.dedup.learnt import EFFECT
from beam_sts.dedup.local import (
    NoWatch,
    Plan,
    Watch,
    decide_corpus,
    decide_for_rows,
    learn_first,
    score_candidates,
)
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.profiles import with_profile
from beam_sts.dedup.result import Deduplication, Parts
from beam_sts.dedup.rows import read_corpus
from beam_sts.dedup.settings import DedupSettings
from beam_sts.dedup.shards import PartVerifier
from beam_sts.errors import UserError
from beam_sts.frames import Frame, frame_of, text_name
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint
from beam_sts.settings import made, takes

log = logging.getLogger(__name__)


@takes(DedupSettings, but=("report_examples",))
def deduplicate(
    data: Any,
    *,
    text: str | None = None,
    id: str | None = None,
    against: Any = None,
    against_text: str | None = None,
    against_id: str | None = None,
    against_embedding: str | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> Deduplication:
    """Remove near-duplicates. A row is removed only if its score with a kept row reaches the threshold.

    The result equals that of ``beam-sts dedup`` on the same rows. All data is in memory. To process large
    files, or to resume after an interruption, use the command.

    Args:
        data: texts (a list, an Arrow array, a pandas or polars column), or a table with a text column: Arrow,
            pandas, polars or a Hugging Face ``Dataset``. The result has lists for texts, and tables of the
            same type for a table.
        text: the text column (default: ``text``).
        id: the column of distinct ids, integers or texts (default: row numbers from 0).
        against: texts or a table. Rows of ``data`` that duplicate one of these are removed.
        against_text: its text column (default: as ``text``).
        against_id: its column of ids (default: as ``id``).
        against_embedding: its column of vectors (default: as ``embedding``).
        watch: receives the progress.
        **settings: as below.

    Returns:
        The kept and removed rows, with receipts, pairs and clusters.

    Raises:
        UserError: the data, a column or a setting is not valid. The message names it and the way out.

    >>> result = deduplicate(["A cat sat on the mat.", "A cat sat on the  mat.", "Prices fell on Friday."])
    >>> result.kept
    ['A cat sat on the mat.', 'Prices fell on Friday.']
    >>> [(row["text"], row["survivor"]) for row in result.removed]
    [('A cat sat on the  mat.', 0)]
    """
    chosen = made(DedupSettings, "deduplicate", with_profile(settings))
    chosen.check_inputs(str, against=against is not None)
    proposal, policy = chosen.proposal(), chosen.policy
    every = bool(proposal.blocks or policy.keep.expression)
    frame = frame_of(data)
    empty, embedding = chosen.empty == "reject", chosen.embedding
    columns = Columns(text_name(frame, text), id, empty, embedding)
    sources = [_source(frame, columns, "", every=every)]
    policy.keep.check(sources[0].table.schema)
    if against is not None:
        other = frame_of(against, "against")
        theirs = Columns(
            text_name(other, against_text or text, "against_text"),
            against_id or id,
            empty,
            against_embedding or embedding,
        )
        sources.append(_source(other, theirs, "against_", every=every))
        if sources[0].id_type != sources[1].id_type:
            raise UserError(
                f"id {id!r}: holds {sources[0].id_type} in the data and {sources[1].id_type} in against. "
                "Cast one of them."
            )
    checkpoint = _loaded(chosen.model, chosen)
    cascade = _loaded(chosen.cascade_model, chosen) if chosen.cascade_model else None
    watch = watch or NoWatch()
    with watch.stage("rows", sum(len(source.table) for source in sources)) as seen:
        corpus = read_corpus(sources, policy.keep, proposal, compare_blank=chosen.empty == "score", seen=seen)
    plan = Plan(proposal, policy, checkpoint, chosen.max_pairs, chosen.learning)
    corpus, learnt = learn_first(plan, corpus)
    if learnt.languages and (warning := learnt.languages.warning(EFFECT)):
        log.warning("%s", warning)
    overlap = Overlap.learn(corpus.texts) if chosen.blend else None
    scores = PartVerifier(chosen.scoring(checkpoint, cascade).verifier(overlap, learnt), corpus)
    edges, reports = score_candidates(plan, corpus, scores, watch)
    decided = decide_corpus(plan, corpus, edges, scores)
    if chosen.keep_rows is not None:
        plan, decided = decide_for_rows(plan, corpus, decided, chosen.keep_rows)
    numbers, bad, reasons = _read_numbers(sources[0])
    model = checkpoint.fingerprint + (f"+{cascade.fingerprint}" if cascade else "")
    of_rows = (numbers, bad, reasons, chosen.least, learnt, chosen.output_prefix)
    parts = Parts(*(frame, id, corpus, plan, scores, model, reports, *of_rows))
    return Deduplication(parts, edges, decided)


def _loaded(model: str | Path | Checkpoint, settings: DedupSettings) -> Checkpoint:
    return model if isinstance(model, Checkpoint) else load_checkpoint(model, **settings.load)


def _source(frame: Frame, columns: Columns, flag: str, *, every: bool) -> TableSource:
    """A table to read, with only the required columns unless expressions may name any column."""
    wanted = (columns.text, columns.id, columns.vector)
    names = list(dict.fromkeys(name for name in wanted if name is not None))
    whole = every or not set(names) <= set(frame.names)
    source = TableSource(frame.table(None if whole else names), columns)
    columns.check(source.table.schema, flag)
    return source


def _read_numbers(source: TableSource) -> tuple[Any, Any, list[str]]:
    """The numbers of the good rows, those of the other rows, and why those are not good."""
    good, bad, reasons = [np.empty(0, np.int64)], [np.empty(0, np.int64)], list[str]()
    for rows in source.read():
        good.append(rows.numbers)
        bad.append(rows.data.slice.row + np.array(rows.bad, np.int64))
        reasons += rows.reasons
    return np.concatenate(good), np.concatenate(bad), reasons
