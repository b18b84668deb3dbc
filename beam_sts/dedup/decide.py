"""Decisions about the texts of a part, from their scored pairs. Pure functions.

A part is closed: none of its texts has an accepted pair with a text outside. One machine decides the whole
corpus as one part. Beam decides thousands of texts of whole clusters at a time. The union of the decisions is
the same. All decisions depend only on the texts, the models and the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, chunks_of, one_array, pair_codes
from beam_sts.dedup.components import components, largest_clusters
from beam_sts.dedup.representatives import PairScores, Representatives
from beam_sts.dedup.rule import Policy, Rule
from beam_sts.dedup.verdicts import Verdicts

GUARD = "guard"
"""The source of pairs that no source of candidates proposed, and that were scored to verify a removal."""
CODED = pa.dictionary(pa.int32(), pa.string())
"""The type of the sources of many pairs."""
IDENTICAL = (1.0, "exact", "identical")
"""Score, source and rule for a row whose text equals that of its representative."""

VerifyPairs = Callable[[IntArray, IntArray], Verdicts]
"""Takes pairs of texts, the lower number first, and returns their verdicts."""


@dataclass(frozen=True)
class Edges:
    """Scored pairs of texts, with their sources and verdicts."""

    pairs: PairScores
    source: pa.Array | pa.ChunkedArray
    verdicts: Verdicts

    @classmethod
    def of(cls, a: IntArray, b: IntArray, source: pa.Array | pa.ChunkedArray, found: Verdicts) -> Edges:
        """Make edges from the ends of the pairs."""
        return cls(PairScores(a, b, found.scores, found.bars), source, found)

    def at(self, rows: NDArray[Any] | slice) -> Edges:
        """Some of the edges, by index, mask or slice."""
        taken = np.arange(len(self.verdicts))[rows]
        return Edges(self.pairs.at(taken), self.source.take(pa.array(taken)), self.verdicts.at(taken))

    @property
    def proposed(self) -> PairScores:
        """The pairs that a source of candidates proposed."""
        return self.pairs.at(np.asarray(pc.not_equal(self.source.cast(pa.string()), GUARD)))

    def joined(self, guard: PairScores, made: list[Verdicts]) -> Edges:
        """These edges, and those that were scored to verify removals."""
        if not made:
            return self
        parts = [*chunks_of(self.source), pa.array([GUARD] * len(guard.a), pa.string())]
        coded = pa.chunked_array([part.cast(CODED) for part in parts], CODED)
        source = one_array(coded.unify_dictionaries())
        return Edges(self.pairs.joined(guard), source, Verdicts.join([self.verdicts, *made]))


@dataclass(frozen=True)
class Decision:
    """The decisions about the n texts of a part.

    ``edges`` are all scored pairs, with those of the chain guard last. ``links`` are the accepted pairs
    within clusters. ``chosen`` has the representative of each text. ``edge`` is the index of the pair that
    decided, -1 for a text that stays. ``label`` is the smallest text in the cluster. Both have shape (n,).
    """

    rule: Rule
    edges: Edges
    links: PairScores
    chosen: Representatives
    edge: IntArray
    label: IntArray

    @property
    def removed(self) -> NDArray[np.bool_]:
        """Whether each text is removed, with all its rows; shape (n,)."""
        return self.edge >= 0

    def lost(self, texts: IntArray) -> IntArray:
        """The characters that each of some texts has and its representative lacks; 0 if it stays."""
        lost, edge = np.zeros(len(texts), np.int64), self.edge[texts]
        gone = np.flatnonzero(edge >= 0)
        first = self.edges.pairs.a[edge[gone]] == texts[gone]
        of = self.edges.verdicts.lost[edge[gone]]
        lost[gone] = np.where(first, of[:, 0], of[:, 1])
        return lost


def decide(
    policy: Policy,
    rank: IntArray,
    rows: IntArray,
    fixed: NDArray[np.bool_],
    edges: Edges,
    verify: VerifyPairs | None = None,
) -> Decision:
    """Decide about all texts of a part.

    Args:
        policy: the policy of the run.
        rank: the rank of each text by its best row, distinct, 0 for the best; shape (n,).
        rows: the number of rows with each text, shape (n,).
        fixed: texts that always stay, those to compare against; shape (n,).
        edges: scored pairs.
        verify: scores the pairs that direct verification lacks. If None, they count as not verified.

    Returns:
        The decisions.
    """
    rule = policy.rule(rank, rows, fixed, edges.proposed if policy.linkage == "average" else edges.pairs)
    clusters = rule.clusters(policy.threshold)
    made: list[Verdicts] = []

    def compare(a: IntArray, b: IntArray) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        found = verify(a, b) if verify else Verdicts.identical(0)
        made.append(found)
        return found.scores, found.bars

    chosen = rule.choose(edges.pairs, policy.threshold, clusters, compare if verify else None)
    edges = edges.joined(chosen.guard, made)
    edge = np.full(len(rank), -1, dtype=np.int64)
    gone = np.flatnonzero(chosen.representative != np.arange(len(rank)))
    edge[gone] = _edge_of(edges.pairs, policy.threshold, gone, chosen.representative[gone])
    links = edges.pairs.accepted(policy.threshold).within(clusters)
    return Decision(rule, edges, links, chosen, edge, components(links.a, links.b, len(rank)))


@dataclass(frozen=True)
class RowOutcomes:
    """The decisions about some rows; arrays of shape (rows,).

    ``representative`` is the row that stays in favour of each row, or the row itself if it stays. ``edge`` is
    the index of the pair that decided, -1 if the row stays or has the same text as its representative.
    ``score`` is NaN if the row stays. ``cluster`` is the row with the smallest id in the cluster. ``lost`` is
    as in ``Decision``.
    """

    representative: IntArray
    edge: IntArray
    score: NDArray[np.float32]
    cluster: IntArray
    lost: IntArray


@dataclass(frozen=True)
class CorpusDecision:
    """The decisions about the texts of a corpus, from which those about its rows follow when they are needed.

    Args:
        made: the decisions about the n texts.
        text: the text of each row, shape (rows,).
        best: the row of each text that is kept for the others, shape (n,).
        first: the row of each text with the smallest id, shape (n,).
    """

    made: Decision
    text: IntArray
    best: IntArray
    first: IntArray

    @cached_property
    def repeated(self) -> NDArray[np.bool_]:
        """Whether each row is removed because a better row has the same text; shape (rows,)."""
        best = np.zeros(len(self.text), bool)
        best[self.best] = True
        return is_repeated(self.made.removed[self.text], best, self.made.rule.fixed[self.text])

    @cached_property
    def removed(self) -> NDArray[np.bool_]:
        """Whether each row is removed; shape (rows,)."""
        return self.made.removed[self.text] | self.repeated

    @property
    def cluster(self) -> IntArray:
        """The row with the smallest id in the cluster of each row; shape (rows,)."""
        return self.first[self.made.label[self.text]]

    def of(self, rows: IntArray) -> RowOutcomes:
        """The decisions about some rows."""
        made, text, equal = self.made, self.text[rows], self.repeated[rows]
        with_text = made.removed[text]
        score = np.where(with_text, made.chosen.scores[text], np.float32(np.nan))
        score[equal] = IDENTICAL[0]
        return RowOutcomes(
            np.where(with_text | equal, self.best[made.chosen.representative[text]], rows),
            made.edge[text],
            score,
            self.first[made.label[text]],
            made.lost(text),
        )


def is_repeated(
    with_text: NDArray[np.bool_] | bool, best: NDArray[np.bool_], fixed: NDArray[np.bool_] | bool
) -> NDArray[np.bool_]:
    """Whether each row is removed because a better row has the same text. Beam passes the rows of one text.

    Args:
        with_text: whether the text of each row is removed, with all its rows; shape (rows,), or one for all.
        best: whether each row is the best of its text, shape (rows,).
        fixed: whether each row always stays, shape (rows,), or one for all.
    """
    repeated: NDArray[np.bool_] = ~(best | with_text | fixed)
    return repeated


def _edge_of(pairs: PairScores, threshold: float, a: IntArray, b: IntArray) -> IntArray:
    """The index of each pair (a, b). All of them exist, with a score at or above the threshold."""
    rows = np.flatnonzero(pairs.scores >= np.float32(threshold))
    codes = pair_codes(pairs.a[rows], pairs.b[rows])
    order = np.argsort(codes)
    found: IntArray = rows[order[np.searchsorted(codes[order], pair_codes(a, b))]] if len(a) else a
    return found


def describe_clusters(
    made: Decision, ids: Callable[[IntArray], list[Any]]
) -> list[tuple[int, dict[str, Any]]]:
    """Describe the largest clusters as in the summary, with ids of their first rows and of bridges.

    Args:
        made: the decisions about a part.
        ids: returns the ids of texts, those of their first rows.

    Returns:
        The first text of each cluster and its description. The largest comes first, then the smaller text.
    """
    links, described = made.links, []
    for cluster in largest_clusters(links.a, links.b, links.scores, made.label):
        entry = asdict(cluster) | {"lowest": round(cluster.lowest, 4)}
        entry["name"] = ids(np.array([cluster.name]))[0]
        entry["rows"] = int(made.rule.rows[made.label == cluster.name].sum())
        entry["bridges"] = [ids(np.array(bridge)) for bridge in cluster.bridges[:5]]
        entry["bridges_found"] = len(cluster.bridges)
        described.append((cluster.name, entry))
    return described
