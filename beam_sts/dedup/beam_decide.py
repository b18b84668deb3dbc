"""From joined candidates to what becomes of each row: score, settle every cluster, say why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue

from beam_sts.candidates.beam_nearest import Packed
from beam_sts.dedup.beam_texts import RECEIPT, WHERE
from beam_sts.dedup.components import Cluster, IntArray, largest_clusters
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import ScoredPairs
from beam_sts.dedup.rule import Rule
from beam_sts.dedup.show import best_entries, example, nearest_pairs, removals
from beam_sts.dedup.verify import RULES, Scoring, Verifier, VerifyStats, check_pairs
from beam_sts.errors import UserError
from beam_sts.io.summary import score_histogram
from beam_sts.pairs.beam_elements import with_fields

Learnt = tuple[int, Packed]
"""Texts, and in how many of them each shingle is: what ``blend`` weighs by."""


class _Scores(beam.DoFn):
    """What scores: the models are loaded once for each worker, and only if there is a pair to score.

    Args:
        scoring: how.
        each: pairs of a kind for the report to show, which come out as ``shown``.
    """

    def __init__(self, scoring: Scoring, each: int = 0) -> None:
        self._scoring, self._each = scoring, each
        self._verifier: Verifier | None = None

    def verifier(self, learnt: Learnt | None) -> Verifier:
        """The worker's own."""
        if self._verifier is None:
            overlap = Overlap.of(learnt[1].array, learnt[0]) if learnt else None
            self._verifier = self._scoring.verifier(overlap)
        return self._verifier


class Verify(_Scores):
    """Candidates with texts -> (a, b, score, source, rule); as ``counts`` what was done; as ``shown`` a few.

    A pair that fails has a score of NaN.

    Args:
        scoring: how.
        each: as of ``Settle``.
        most: pairs that there may be.
    """

    def __init__(self, scoring: Scoring, each: int = 0, most: int | None = None) -> None:
        super().__init__(scoring, each)
        self._most = most

    def process(
        self, rows: list[tuple[Any, Any, str, str, str]], count: int, learnt: Learnt | None = None
    ) -> Iterator[Any]:
        """Beam's."""
        if self._most is not None:
            check_pairs(count, self._most)
        texts = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        found = self.verifier(learnt).verify(*texts)
        good = found.scores[~np.isnan(found.scores)]
        accepted = int((good >= np.float32(self._scoring.threshold)).sum())
        yield pvalue.TaggedOutput(
            "counts",
            {
                "verify": _counts(found.stats),
                "pairs_accepted": accepted,
                "score_histogram": score_histogram(good),
            },
        )
        for row, score, rule in zip(rows, found.scores.tolist(), found.rules.tolist(), strict=True):
            yield row[0], row[1], score, row[4], RULES[rule]
        if self._each:
            order = sorted(range(len(rows)), key=lambda at: rows[at][:2])
            ends = [(row[side], row[side + 2]) for side in (0, 1) for row in (rows[at] for at in order)]
            a = np.arange(len(rows))
            pairs = ScoredPairs(a, a + len(rows), found.scores[order])
            show = partial(_show, ends, [name for name, _ in ends])
            shown = nearest_pairs(pairs, self._scoring.threshold, self._each, show)
            yield pvalue.TaggedOutput("shown", best_entries(shown, self._each))


class Settle(_Scores):
    """A cluster -> (node, (cluster, survivor's best row or None, score, source, rule)) of each node.

    As ``guard`` the pairs that it had to score, as ``counts`` and ``clusters`` what it is like, as ``shown``
    what of it may be shown.
    """

    def __init__(self, scoring: Scoring, keep: str, each: int = 0) -> None:
        super().__init__(scoring, each)
        self._keep = keep

    def process(
        self, cluster: tuple[Any, dict[str, Iterable[Any]]], learnt: Learnt | None = None
    ) -> Iterator[Any]:
        """Beam's."""
        name, found = cluster
        threshold = self._scoring.threshold
        members = sorted(found["members"], key=lambda member: member[0])
        place = {member[0]: row for row, member in enumerate(members)}
        inside = (edge for edge in found["edges"] if edge[1] in place)  # the others were not accepted
        edges = sorted(inside, key=lambda edge: edge[:2])
        a, b = (np.array([place[e[at]] for e in edges], np.int64) for at in (0, 1))
        pairs = ScoredPairs(a, b, np.array([e[2] for e in edges], np.float32))
        rule = rule_of([(node, info.best, info.rows) for node, info in members], self._keep)
        texts = pa.array([member[1].text for member in members], pa.large_string())
        rules: list[str] = []
        stats = VerifyStats()

        def compare(x: Any, y: Any) -> Any:
            nonlocal stats
            verified = self.verifier(learnt).verify(texts.take(pa.array(x)), texts.take(pa.array(y)))
            stats += verified.stats
            rules.extend(RULES[rule] for rule in verified.rules.tolist())
            return verified.scores

        settled = rule.settle(pairs, threshold, compare=compare)
        known = {(int(x), int(y)): (e[3], e[4]) for x, y, e in zip(a, b, edges, strict=True)}
        guard = settled.guard
        for x, y, score, by in zip(
            guard.a.tolist(), guard.b.tolist(), guard.scores.tolist(), rules, strict=True
        ):
            ends = min(x, y), max(x, y)
            known[ends] = "guard", by
            pair = members[ends[0]][0], members[ends[1]][0], score, "guard", by
            yield pvalue.TaggedOutput("guard", pair)
        if self._each:
            shown_texts = [(node, info.text) for node, info in members]
            pick = partial(_show, shown_texts)
            shown = nearest_pairs(guard, threshold, self._each, partial(pick, [m[0] for m in members]))
            bests = [info.best[1:] for _, info in members]
            shown += removals(rule, settled, self._each, partial(pick, bests))
            yield pvalue.TaggedOutput("shown", best_entries(shown, self._each))
        counts = {"unverified": settled.unverified, "pairs_guard": len(guard.a), "verify": _counts(stats)}
        yield pvalue.TaggedOutput("counts", counts)
        rows = sum(info.rows for _, info in members)
        shape = _shape(pairs.joined(guard).accepted(threshold), len(members))
        bridges = [[members[x][0][1], members[y][0][1]] for x, y in shape.bridges[:5]]
        look = {**asdict(shape), "bridges": bridges, "bridges_found": len(shape.bridges)}
        yield pvalue.TaggedOutput("clusters", (len(members), name, rows, look))
        for row, survivor in enumerate(settled.survivor.tolist()):
            if survivor == row:
                yield members[row][0], (name, None, None, None, None)
                continue
            source, by = known[min(row, survivor), max(row, survivor)]
            best, score = members[survivor][1].best[1:], float(settled.scores[row])
            yield members[row][0], (name, best, score, source, by)


def rule_of(members: Sequence[tuple[Any, tuple[Any, ...], int]], keep: str) -> Rule:
    """The rule over nodes in the order of their names: name, key of the best row, number of rows."""
    fixed = np.array([name[0] == 1 for name, _, _ in members], bool)
    by_worth = sorted(range(len(members)), key=lambda at: (bool(fixed[at]), members[at][1]))
    rank = np.empty(len(members), np.int64)
    rank[by_worth] = np.arange(len(members))
    return Rule(rank, np.array([rows for *_, rows in members], np.int64), fixed, central=keep == "central")


def _show(
    texts: Sequence[tuple[Any, str]],
    left_names: Sequence[Any],
    left: IntArray,
    right: IntArray,
    scores: Any,
) -> list[tuple[tuple[Any, Any], Any]]:
    """Nodes beside nodes for ``beam_sts.dedup.show``, of (name, text) each; the left ones by other names."""
    shown = []
    for x, y, score in zip(left.tolist(), right.tolist(), scores.tolist(), strict=True):
        (a, text_a), (b, text_b) = texts[x], texts[y]
        shown.append(((a, b), example(left_names[x][1], b[1], text_a, text_b, score)))
    return shown


def _counts(stats: VerifyStats) -> dict[str, Any]:
    return {name: value for name, value in asdict(stats).items() if name != "seconds"}


def _shape(accepted: ScoredPairs, nodes: int) -> Cluster:
    if nodes == 2:  # as most are
        return Cluster(0, 2, 1, float(accepted.scores.min()), 1, True, [])
    labels = np.zeros(nodes, np.int64)
    return largest_clusters(accepted.a, accepted.b, accepted.scores, labels, 1)[0]


def describe(cluster: tuple[int, Any, int, dict[str, Any]]) -> dict[str, Any]:
    """A cluster as the summary has it."""
    _, name, rows, shape = cluster
    return {**shape, "name": name[1], "rows": rows, "lowest": round(shape["lowest"], 4)}


def fates(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """(row, (cluster or None if alone, survivor or None if kept, score, source, rule)) of a node's rows."""
    if node[0] == 1:  # rows to compare against stay
        return
    verdict: Sequence[Any] = next(iter(found["verdict"]), (None, None, None, None, None))
    members = found["members"]
    several = sum(1 for _ in members) > 1
    cluster = verdict[0] if verdict[0] is not None else (node if several else None)
    for row, best in members:
        if verdict[1] is not None:
            yield row, (cluster, *verdict[1:])
        elif row == best:
            yield row, (cluster, None, None, None, None)
        else:
            yield row, (cluster, best, 1.0, "exact", "identical")


class SortOut(beam.DoFn):
    """(row, its element and its fate) -> kept, or removed with its receipt."""

    def __init__(self, threshold: float, against: bool) -> None:
        self._threshold, self._against = threshold, against

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Beam's."""
        row, found = met
        rows = iter(found["rows"])
        element = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {row[1]!r}: several elements have it. Receipts need distinct ids.")
        _, survivor, score, source, rule = next(iter(found["fate"]))
        if survivor is None:
            yield element
            return
        receipt = dict(zip(RECEIPT, (survivor[1], score, source, rule, self._threshold), strict=True))
        if self._against:
            receipt[WHERE] = "against" if survivor[0] else "input"
        yield pvalue.TaggedOutput("removed", with_fields(element, receipt))
