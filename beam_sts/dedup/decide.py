"""What becomes of each row of a corpus, decided on one machine from its scored pairs. Pure functions.

Memory holds arrays of some hundred bytes for each row; texts stay on disk. Everything is decided before the
first row is written, and follows from the input, the models and the settings alone; so a run that was killed
starts over, takes the scores that are there, and skips the slices that are written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.candidates.buckets import IntArray
from beam_sts.dedup.components import components, largest_clusters
from beam_sts.dedup.keep import check_keep, highest_of, sortable
from beam_sts.dedup.representatives import ScoredPairs, Survivors, ranks
from beam_sts.dedup.rows import Nodes, Rows
from beam_sts.dedup.rule import Rule
from beam_sts.dedup.shards import Edges, PairShards
from beam_sts.dedup.show import Entry, best_entries, example, nearest_pairs, removals
from beam_sts.io.expressions import value_type

LINKAGES = ("single", "average")


@dataclass(frozen=True)
class KeepPolicy:
    """Which row of a cluster is best: ``first``, ``longest``, ``shortest``, ``central`` or ``highest:X``."""

    name: str

    def __post_init__(self) -> None:
        check_keep("--keep", self.name)

    def check(self, schema: pa.Schema) -> None:
        """See that the rows have what ``highest:`` names, and that it has an order.

        Raises:
            UserError: they have not, or it has none.
        """
        if highest := highest_of(self.name):
            kind = value_type(schema, highest, "--keep highest:")
            sortable(pa.chunked_array([], kind), f"--keep {self.name}")

    def rank(self, rows: Rows, id_rank: IntArray) -> IntArray:
        """The place of each row, the best being 0; rows of the other input by id after all."""
        own = rows.own
        if self.name == "first":
            place = np.arange(own)
        elif self.name == "central":
            place = id_rank[:own]
        elif highest_of(self.name):
            place = ranks(pa.array(id_rank[:own]), rows.values)
        else:
            length = rows.characters[:own]
            place = ranks(pa.array(id_rank[:own]), pa.array(length if self.name == "longest" else -length))
        return np.concatenate([place, id_rank[own:]])


@dataclass(frozen=True)
class Decision:
    """What becomes of each row: its survivor (itself if it stays), and why; and the cluster's name row.

    ``survivor`` and ``cluster`` are rows, of shape (rows,); ``score`` is NaN where a row stays; ``edge`` is
    the index of the pair that decided, -1 for equal texts. ``links`` are the accepted pairs within clusters,
    ``settled`` what the ``rule`` made of the nodes, whose best rows are ``best``.
    """

    survivor: IntArray
    score: NDArray[np.float32]
    edge: IntArray
    cluster: IntArray
    edges: Edges
    links: ScoredPairs
    rule: Rule
    settled: Survivors
    best: IntArray

    @property
    def removed(self) -> NDArray[np.bool_]:
        """Whether each row goes."""
        gone: NDArray[np.bool_] = self.survivor != np.arange(len(self.survivor))
        return gone


def decide(
    rows: Rows,
    nodes: Nodes,
    id_rank: IntArray,
    edges: Edges,
    threshold: float,
    keep: KeepPolicy,
    shards: PairShards | None,
    *,
    linkage: str = "single",
    one_to_one: bool = False,
) -> Decision:
    """Settle every row.

    Args:
        rows: of the input, perhaps those to compare against.
        nodes: of the rows.
        id_rank: of the rows.
        edges: scored pairs.
        threshold: least score of a duplicate.
        keep: which row of a cluster stays.
        shards: scores the pairs that the chain guard lacks; None: they count as not verified.
        linkage: ``single`` (connected components) or ``average``.
        one_to_one: a row goes for one of the other input only if each is the other's best.
    """
    node_rank, best = _node_ranks(rows, nodes, keep.rank(rows, id_rank))
    rule = Rule(
        node_rank,
        nodes.rows,
        nodes.side == 1,
        central=keep.name == "central",
        one_to_one=one_to_one,
        proposed=_proposed(edges) if linkage == "average" else None,
    )
    clusters = rule.clusters(threshold)
    made_rules: list[NDArray[np.int8]] = []

    def compare(a: IntArray, b: IntArray) -> NDArray[np.float32]:
        assert shards is not None
        scores, rules = shards.score(np.minimum(a, b), np.maximum(a, b), "guard")
        made_rules.append(rules)
        return scores

    found = rule.settle(edges.pairs, threshold, clusters, compare if shards is not None else None)
    edges = _with_guard(edges, found, made_rules)
    survivor = best[found.survivor[nodes.of_row]]
    own = rows.side == 1
    survivor[own] = np.flatnonzero(own)
    gone = survivor != np.arange(len(rows))
    score = np.where(gone, found.scores[nodes.of_row], np.float32(np.nan)).astype(np.float32)
    score[gone & np.isnan(score)] = 1.0  # equal texts
    edge = np.full(len(rows), -1, dtype=np.int64)
    linked = np.flatnonzero(gone & (found.survivor[nodes.of_row] != nodes.of_row))
    edge[linked] = _edge_of(edges, nodes.of_row[linked], found.survivor[nodes.of_row[linked]], len(nodes))
    links = edges.pairs.accepted(threshold).within(clusters)
    labels = components(links.a, links.b, len(nodes))[nodes.of_row]
    named = _name_clusters(labels, id_rank)
    return Decision(survivor, score, edge, named, edges, links, rule, found, best)


def _proposed(edges: Edges) -> ScoredPairs:
    """The pairs that a source proposed."""
    by_source = np.asarray(pc.not_equal(edges.source.cast(pa.string()), "guard"))
    return ScoredPairs(*(getattr(edges.pairs, name)[by_source] for name in ("a", "b", "scores")))


def _node_ranks(rows: Rows, nodes: Nodes, rank: IntArray) -> tuple[IntArray, IntArray]:
    """Rank of each node, that of its best row, and that row."""
    order = np.lexsort((rank, nodes.of_row))
    firsts = order[np.flatnonzero(np.diff(nodes.of_row[order], prepend=-1))]
    return rank[firsts] + np.where(nodes.side == 1, rows.own, 0), firsts


def _with_guard(edges: Edges, found: Survivors, rules: list[NDArray[np.int8]]) -> Edges:
    if not rules:
        return edges
    pairs = edges.pairs.joined(found.guard)
    source = pa.concat_arrays(
        [
            edges.source.cast(pa.string()),
            pa.array(["guard"] * len(found.guard.a), pa.string()),
        ]
    )
    return Edges(pairs, source, np.concatenate([edges.rules, *rules]))


def _edge_of(edges: Edges, a: IntArray, b: IntArray, nodes: int) -> IntArray:
    keys = np.minimum(edges.pairs.a, edges.pairs.b) * nodes + np.maximum(edges.pairs.a, edges.pairs.b)
    order = np.argsort(keys)
    wanted = np.minimum(a, b) * nodes + np.maximum(a, b)
    found: IntArray = order[np.searchsorted(keys[order], wanted)] if len(wanted) else wanted
    return found


def _name_clusters(labels: IntArray, id_rank: IntArray) -> IntArray:
    """The row of the smallest id in each row's cluster."""
    order = np.lexsort((id_rank, labels))
    opens = np.flatnonzero(np.diff(labels[order], prepend=-1))
    lengths = np.diff(opens, append=len(order))
    names = np.empty(len(labels), np.int64)
    names[order] = np.repeat(order[opens], lengths)
    return names


def examples(
    rows: Rows, nodes: Nodes, texts: pa.LargeStringArray, made: Decision, threshold: float, each: int
) -> list[Entry]:
    """Pairs for the report to show, as ``by_kind`` takes them; none if ``each`` is 0."""
    if not each:
        return []

    def show(left_rows: IntArray, left: IntArray, right: IntArray, scores: NDArray[np.float32]) -> Any:
        ids = (rows.ids_of(found).to_pylist() for found in (left_rows[left], nodes.row[right]))
        beside = (texts.take(pa.array(found)).to_pylist() for found in (left, right))
        found = map(example, *ids, *beside, scores.tolist())
        return list(zip(zip(left.tolist(), right.tolist(), strict=True), found, strict=True))

    entries = [
        *nearest_pairs(made.edges.pairs, threshold, each, partial(show, nodes.row)),
        *removals(made.rule, made.settled, each, partial(show, made.best)),
    ]
    return best_entries(entries, each)


def describe_clusters(rows: Rows, nodes: Nodes, made: Decision) -> list[dict[str, Any]]:
    """The largest clusters of nodes, with the ids of their first row and of the bridges' ends."""
    accepted = made.links
    labels = components(accepted.a, accepted.b, len(nodes))
    names = made.cluster[nodes.row]
    texts = np.bincount(names[nodes.of_row], minlength=len(rows))

    def ids(found: list[int]) -> list[Any]:
        return list(rows.ids_of(nodes.row[np.array(found, dtype=np.int64)]).to_pylist())

    described = []
    for cluster in largest_clusters(accepted.a, accepted.b, accepted.scores, labels):
        entry = asdict(cluster) | {"lowest": round(cluster.lowest, 4)}
        name = int(names[cluster.name])
        entry["name"] = rows.ids_of(np.array([name])).to_pylist()[0]
        entry["rows"] = int(texts[name])
        entry["bridges"] = [ids(list(bridge)) for bridge in cluster.bridges[:5]]
        entry["bridges_found"] = len(cluster.bridges)
        described.append(entry)
    return described
