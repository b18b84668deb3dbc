"""The result of a deduplication in memory: kept and removed rows, explanations, and other thresholds."""

from __future__ import annotations

import html
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_sts.arrays import IntArray
from beam_sts.checks import share
from beam_sts.dedup.decide import CorpusDecision, Edges
from beam_sts.dedup.explain import explain
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.local import Plan, decide_corpus
from beam_sts.dedup.receipts import receipts
from beam_sts.dedup.rows import Corpus
from beam_sts.dedup.rule import TABLE, count_removals, rows_by_text, threshold_table
from beam_sts.dedup.shards import PartVerifier, identical_table, pair_table, repeated_rows
from beam_sts.dedup.verify import Verifier
from beam_sts.frames import Frame, beside
from beam_sts.io.ids import as_texts, with_shown_ids
from beam_sts.io.names import PREFIX
from beam_sts.plurals import plural

_SHOWN = 10  # removed rows in a notebook


@dataclass(frozen=True)
class Parts:
    """The parts of a result that do not depend on the threshold.

    ``numbers`` are the positions in ``frame`` of the corpus rows of the input itself. ``reasons`` says why
    the other rows are not in the corpus. At or above ``verified``, every candidate that may be a duplicate
    has its score. ``prefix`` precedes the name of an added column whose name the input has already.
    """

    frame: Frame
    id: str | None
    corpus: Corpus
    plan: Plan
    scores: PartVerifier
    model: str
    reports: list[dict[str, Any]]
    numbers: IntArray
    bad: IntArray
    reasons: list[str]
    verified: float
    learnt: Learnt
    prefix: str = PREFIX


class Deduplication:
    """The kept rows, the removed rows with receipts, scored pairs and clusters, in the type of the input.

    Attributes:
        threshold: the lowest score of a duplicate.
        counts: the numbers of rows ``read``, ``kept``, ``removed`` and ``rejected``; of ``pairs`` and of
            those that the fact guard rejected (``guarded``); and of ``clusters``.
        candidates: the report of each source of candidates.
        languages: the languages in a sample of the texts, and those that the model does not know; None if not
            examined.
        boilerplate: text that many texts share, as in the summary of the command.

    >>> from beam_sts import deduplicate
    >>> result = deduplicate(["Tomatoes need sun.", "Tomatoes  need sun.", "Prices fell."])
    >>> result.kept
    ['Tomatoes need sun.', 'Prices fell.']
    >>> result.removed[0]["survivor"], result.removed[0]["score"]
    (0, 1.0)
    >>> result.counts["kept"], result.at(0.95).counts["kept"]
    (2, 2)
    """

    def __init__(self, parts: Parts, edges: Edges, decided: CorpusDecision) -> None:
        self._parts, self._edges, self._decided = parts, edges, decided
        self.threshold = parts.plan.policy.threshold
        self.candidates = parts.reports
        learnt = parts.learnt.record()
        self.languages, self.boilerplate = learnt["languages"], learnt["boilerplate"]
        own = parts.corpus.rows.own
        gone = decided.removed[:own]
        sizes = np.bincount(decided.cluster[:own], minlength=1)
        self.counts = {
            "read": own + len(parts.bad),
            "kept": int((~gone).sum()),
            "removed": int(gone.sum()),
            "rejected": len(parts.bad),
            "pairs": len(edges.verdicts),
            "guarded": int(decided.made.edges.verdicts.guarded.sum()),
            "clusters": int((sizes > 1).sum()),
        }

    @cached_property
    def kept(self) -> Any:
        """The rows that stay, in the order of the input."""
        return self._parts.frame.rows(self._rows_where(gone=False))

    @cached_property
    def removed(self) -> Any:
        """The removed rows, each with its receipt.

        The receipt has ``survivor`` (the id of its representative, or its row number without ids), ``score``,
        ``source``, ``rule``, ``threshold``, ``model`` and, with another input, ``survivor_in``. An added
        column whose name the input has already gets ``output_prefix`` before its name.
        """
        found = beside(self._receipts, self._parts.frame.names, self._parts.prefix)
        return self._parts.frame.rows(self._rows_where(gone=True), found)

    @cached_property
    def rejected(self) -> Any:
        """The rows that could not be compared, each with its ``reject_reason``. They are not in ``kept``."""
        reasons = pa.table({"reject_reason": pa.array(self._parts.reasons, pa.string())})
        parts = self._parts
        return parts.frame.rows(parts.bad, beside(reasons, parts.frame.names, parts.prefix))

    @cached_property
    def pairs(self) -> Any:
        """All candidates and pairs of equal texts, with their scores and differences.

        Columns: ``id_a``, ``id_b``, ``score``, ``source``, ``rule``, ``bound``, ``differs``, ``lost_a``,
        ``lost_b``.
        """
        return self._parts.frame.made(self._pairs)

    @cached_property
    def clusters(self) -> Any:
        """The ``id`` and ``cluster`` of each row. A cluster is named by its smallest id."""
        return self._parts.frame.made(self._clusters)

    @cached_property
    def thresholds(self) -> list[dict[str, Any]]:
        """The effect of other thresholds, as in the summary of the command."""
        made = self._decided.made
        cuts = sorted({*(cut for cut in TABLE if cut >= self._parts.verified), self.threshold})
        counts = count_removals(made.rule, made.edges.pairs, cuts)
        return threshold_table(cuts, rows_by_text(made.rule.own_rows), counts)

    def at(self, threshold: float) -> Deduplication:
        """The result at another threshold.

        At or above the threshold of the run nothing is scored, and a removal without a verifying score is not
        made. Below it, candidates that could not reach the threshold of the run, and pairs that direct
        verification lacks, are scored.

        Args:
            threshold: the lowest score of a duplicate, from 0 to 1.

        Raises:
            UserError: the threshold is not between 0 and 1.
        """
        share("threshold", threshold)
        parts = self._parts
        policy = replace(parts.plan.policy, threshold=threshold)
        below = threshold < parts.verified
        parts = replace(
            parts,
            plan=replace(parts.plan, policy=policy),
            scores=parts.scores.at(threshold) if below else parts.scores,
            verified=min(threshold, parts.verified),
        )
        edges = self._decided.made.edges
        if below:
            edges = parts.scores.complete(edges)
        decided = decide_corpus(parts.plan, parts.corpus, edges, parts.scores if below else None)
        return Deduplication(parts, decided.made.edges, decided)

    def explain(self, id: Any) -> str:
        """Explain why a row was kept or removed: its cluster, its scores, and how the two texts differ.

        Args:
            id: the id of the row, or its row number from 0 if the input has no ids.

        Raises:
            UserError: no compared row has this id.
        """
        return "\n".join(explain(_ResultAsRun(self), str(id)))

    def _rows_where(self, *, gone: bool) -> IntArray:
        own = self._parts.corpus.rows.own
        found: IntArray = self._parts.numbers[self._decided.removed[:own] == gone]
        return found

    @cached_property
    def _receipts(self) -> pa.Table:
        parts = self._parts
        span = np.flatnonzero(self._decided.removed[: parts.corpus.rows.own])
        return receipts(parts.corpus.rows, self._decided, span, self.threshold, parts.model)

    @cached_property
    def _pairs(self) -> pa.Table:
        corpus = self._parts.corpus
        parts = [pair_table(corpus, self._decided.made.edges), identical_table(corpus, repeated_rows(corpus))]
        return pa.concat_tables(parts)

    @cached_property
    def _clusters(self) -> pa.Table:
        rows = self._parts.corpus.rows
        own = np.arange(rows.own)
        names = rows.ids_of(self._decided.cluster[: rows.own])
        return pa.table({"id": rows.ids_of(own), "cluster": names})

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"Deduplication at {self.threshold}: {counts['kept']:,} kept, {counts['removed']:,} removed, "
            f"{counts['rejected']:,} rejected of {plural(counts['read'], 'row')}; "
            f"{plural(counts['pairs'], 'pair')} scored, {plural(counts['clusters'], 'cluster')}"
        )

    def _repr_html_(self) -> str:
        """An HTML table for notebooks: the counts, and the removed rows with the lowest scores."""
        run = _ResultAsRun(self)
        order = np.argsort(self._receipts.column("score").to_numpy(), kind="stable")[:_SHOWN]
        lowest = self._receipts.take(pa.array(order)).to_pylist()
        gone = np.flatnonzero(self._decided.removed[: self._parts.corpus.rows.own])[order]
        texts = self._parts.corpus.rows.texts
        lines = []
        representatives = self._decided.of(gone).representative.tolist()
        for row, receipt, stays in zip(gone.tolist(), lowest, representatives, strict=True):
            representative = texts[stays].as_py()
            score = f"{receipt['score']:.4f}"
            cells = [score, run.id_of(row), texts[row].as_py(), receipt["survivor"], representative]
            lines.append("".join(f"<td>{html.escape(str(cell)[:200])}</td>" for cell in cells))
        names = ("score", "removed", "text", "survivor", "text of the survivor")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{html.escape(repr(self))}</p>{table}"


class _ResultAsRun:
    """Adapts a result to ``explain``."""

    id_column = "id"

    def __init__(self, result: Deduplication) -> None:
        self._result, self._rows = result, result._parts.corpus.rows

    @property
    def rejected(self) -> tuple[int, str]:
        return len(self._result._parts.bad), "rejected"

    def id_of(self, row: int) -> Any:
        return self._rows.ids_of(np.array([row])).to_pylist()[0]

    def find(self, folder: str, columns: Collection[str], ids: Collection[str]) -> list[dict[str, Any]]:
        result = self._result
        table = {"pairs": result._pairs, "clusters": result._clusters}.get(folder)
        if table is None:
            gone = np.flatnonzero(result._decided.removed[: self._rows.own])
            table = result._receipts.add_column(0, "id", self._rows.ids_of(gone))
        hit = np.zeros(len(table), bool)
        wanted = pa.array(list(ids), pa.string())
        for name in columns:
            hit |= np.asarray(pc.is_in(as_texts(table.column(name)), wanted))
        found: list[dict[str, Any]] = with_shown_ids(table.filter(pa.array(hit))).to_pylist()
        return found

    def texts(self, ids: Collection[str]) -> dict[str, str]:
        return self._texts(0, ids)

    def texts_against(self, ids: Collection[str]) -> dict[str, str]:
        return self._texts(1, ids)

    def verifier(self) -> Verifier | None:
        return self._result._parts.scores.verifier

    def _texts(self, side: int, ids: Collection[str]) -> dict[str, str]:
        wanted = pa.array(list(ids), pa.string())
        names = as_texts(self._rows.ids[side])
        at = np.flatnonzero(np.asarray(pc.is_in(names, wanted)))
        texts = self._rows.texts.take(pa.array(at + side * self._rows.own))
        return dict(zip(names.take(pa.array(at)).to_pylist(), texts.to_pylist(), strict=True))
