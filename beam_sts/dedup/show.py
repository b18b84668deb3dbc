"""The few pairs that a deduplication's report shows, chosen from each part and then merged. Pure functions.

One machine chooses from all pairs and texts at once, Beam from a batch of pairs and from a cluster. The best
of the parts' best entries are the best of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray
from beam_sts.dedup.decide import CorpusDecision, Decision, Edges
from beam_sts.dedup.facts.difference import in_words
from beam_sts.dedup.representatives import BOTH, PairScores, Representatives
from beam_sts.dedup.rows import Corpus
from beam_sts.dedup.rule import Rule
from beam_sts.examples import Example, shorten_pair
from beam_sts.io.ids import shown_id

_CLUSTERS, _MEMBERS = 5, 6
_DIGITS = 4  # of scores that sort, since their last bits depend on the batch of scoring

Entry = tuple[str, tuple[Any, ...], Any]
"""A kind, a sort key within the kind, and what is shown: an example, or the examples of a cluster."""
Shown = tuple[tuple[Any, Any], Example]
"""The names of two texts, which sort like the texts, and the example that shows both."""
Show = Callable[[IntArray, IntArray, NDArray[np.float32]], list[Shown]]
"""Takes the left texts, the right texts and the scores of pairs. Returns what is shown of each pair."""


@dataclass(frozen=True)
class TextView:
    """Access to what a report shows of texts: names, which sort like the texts, ids, and the texts.

    ``best_id`` is the id of the best row of a text, which stays. ``id`` is that of its first row.
    """

    name: Callable[[IntArray], list[Any]]
    id: Callable[[IntArray], list[Any]]
    best_id: Callable[[IntArray], list[Any]]
    text: Callable[[IntArray], list[str]]

    def pairs(self, left: IntArray, right: IntArray, scores: NDArray[np.float32]) -> list[Shown]:
        """Examples of pairs of texts; a :data:`Show`."""
        return self._beside(self.id(left), left, right, scores)

    def receipts(self, left: IntArray, right: IntArray, scores: NDArray[np.float32]) -> list[Shown]:
        """Examples of representatives, by their best rows, with removed texts; a :data:`Show`."""
        return self._beside(self.best_id(left), left, right, scores)

    def _beside(
        self, left_ids: list[Any], left: IntArray, right: IntArray, scores: NDArray[np.float32]
    ) -> list[Shown]:
        names = zip(self.name(left), self.name(right), strict=True)
        found = map(example, left_ids, self.id(right), self.text(left), self.text(right), scores.tolist())
        return list(zip(names, found, strict=True))


def corpus_view(corpus: Corpus, decided: CorpusDecision) -> TextView:
    """Access to the texts of a corpus on one machine."""
    return TextView(
        lambda found: found.tolist(),
        corpus.first_ids,
        lambda found: list(map(shown_id, corpus.rows.ids_of(decided.best[found]).to_pylist())),
        lambda found: corpus.texts.take(pa.array(found)).to_pylist(),
    )


def pair_examples(made: Decision, edges: Edges, threshold: float, each: int, view: TextView) -> list[Entry]:
    """What the report shows of a part, as input of ``by_kind``; empty if ``each`` is 0.

    Args:
        made: the decisions about the part.
        edges: the pairs of the part from which ``pair_entries`` chooses.
        threshold: the threshold of the run.
        each: the number of pairs of each kind.
        view: access to the texts of the part.
    """
    if not each:
        return []
    entries = pair_entries(edges, threshold, each, view.pairs)
    return best_entries([*entries, *removals(made.rule, made.chosen, each, view.receipts)], each)


def example(left: Any, right: Any, text_a: str, text_b: str, score: float) -> Example:
    """An example of a pair, with the ids of its rows."""
    where = f"{left} | {right}"
    one, two = shorten_pair(text_a, text_b)
    return {"where": where, "text_a": one, "text_b": two, "score": score}


def pair_entries(edges: Edges, threshold: float, each: int, show: Show) -> list[Entry]:
    """The pairs nearest to the threshold, and pairs that may be above it but are no duplicates.

    Those are pairs that differ in a fact, by score or by the highest score that they can reach, and pairs of
    which each text has much that the other lacks, the most first.

    The arguments are those of ``nearest_pairs``. The texts of the edges are numbered in the order of their
    names.
    """
    bars = edges.pairs.bars
    entries = nearest_pairs(edges.pairs.at(bars != BOTH), threshold, each, show)
    rows = np.flatnonzero(edges.verdicts.guarded & (edges.verdicts.reach >= np.float32(threshold)))
    a, b = edges.pairs.a[rows], edges.pairs.b[rows]
    keys = -_rounded(edges.verdicts.reach[rows])
    first = np.lexsort((b, a, keys))[:each]
    differs = edges.verdicts.differs.take(pa.array(rows[first])).to_pylist()
    for key, (ends, found), what in zip(
        keys[first].tolist(), _barred(edges, rows[first], show), differs, strict=True
    ):
        entries.append(("guarded", (key, ends), {**found, "note": f"kept: {in_words(what)}"}))
    return entries + _parted(edges, threshold, each, show)


def _parted(edges: Edges, threshold: float, each: int, show: Show) -> list[Entry]:
    rows = np.flatnonzero(edges.verdicts.parted & (edges.verdicts.reach >= np.float32(threshold)))
    a, b, lost = edges.pairs.a[rows], edges.pairs.b[rows], edges.verdicts.lost[rows]
    size = lost.min(axis=1, initial=np.iinfo(np.int32).max)
    first = np.lexsort((b, a, -size))[:each]
    shown = _barred(edges, rows[first], show)
    return [
        ("parted", (-key, ends), {**found, "note": f"kept: {one:,} and {two:,} characters only in one"})
        for key, (one, two), (ends, found) in zip(
            size[first].tolist(), lost[first].tolist(), shown, strict=True
        )
    ]


def _barred(edges: Edges, rows: IntArray, show: Show) -> list[Shown]:
    """Examples of some pairs, with the score that a pair without one can reach."""
    shown = show(edges.pairs.a[rows], edges.pairs.b[rows], edges.verdicts.reach[rows])
    scored = ~np.isnan(edges.pairs.scores[rows])
    return [
        (ends, found if has else {**found, "score": None, "reason": f"at most {found['score']:.4f}"})
        for has, (ends, found) in zip(scored.tolist(), shown, strict=True)
    ]


def nearest_pairs(pairs: PairScores, threshold: float, each: int, show: Show) -> list[Entry]:
    """The pairs nearest to the threshold, ``above`` and ``below``. Only one of pairs with equal scores.

    Args:
        pairs: pairs of texts that are numbered in the order of their names.
        threshold: the threshold of the run.
        each: the number of pairs of each kind.
        show: makes the examples.
    """
    accepted = pairs.scores >= np.float32(threshold)
    entries: list[Entry] = []
    for kind, chosen, sign in (("above", accepted, 1), ("below", pairs.scores < np.float32(threshold), -1)):
        rows = np.flatnonzero(chosen)
        keys = sign * _rounded(pairs.scores[rows])
        near = keys <= np.unique(keys)[:each].max(initial=-np.inf)
        rows, keys = rows[near], keys[near]
        a, b = np.minimum(pairs.a[rows], pairs.b[rows]), np.maximum(pairs.a[rows], pairs.b[rows])
        order = np.lexsort((b, a, keys))
        at = order[np.unique(keys[order], return_index=True)[1]]
        shown = show(a[at], b[at], pairs.scores[rows[at]])
        entries += [
            (kind, (key, ends), found) for key, (ends, found) in zip(keys[at].tolist(), shown, strict=True)
        ]
    return entries


def removals(rule: Rule, found: Representatives, each: int, show: Show) -> list[Entry]:
    """The ``removed`` texts with the lowest scores, and the ``cluster`` of those that represent most rows.

    Rows with the same text as their representative are certain, so they are only counted.

    Args:
        rule: the rule for the texts.
        found: the decisions about them.
        each: the number of removed texts.
        show: makes the examples, from a representative and a text that is removed in its favour.
    """
    gone = np.flatnonzero(found.representative != np.arange(len(found.representative)))
    gone = gone[np.argsort(_rounded(found.scores[gone]), kind="stable")]
    entries: list[Entry] = [
        ("removed", (key, ends[::-1]), shown) for key, ends, shown in _shown(found, gone[:each], show)
    ]
    own = rule.own_rows
    representatives, of = np.unique(found.representative[gone], return_inverse=True)
    lost = np.bincount(of, own[gone], len(representatives)).astype(np.int64) + np.maximum(
        own[representatives] - 1, 0
    )
    for at in np.argsort(-lost, kind="stable")[:_CLUSTERS].tolist():
        members = _shown(found, gone[of == at][:_MEMBERS], show)
        _, (representative, _), first = members[0]
        shown = [{**first, "rows": int(lost[at])}, *(one for _, _, one in members[1:])]
        entries.append(("cluster", (-int(lost[at]), representative), shown))
    return entries


def _shown(
    found: Representatives, gone: IntArray, show: Show
) -> list[tuple[float, tuple[Any, Any], Example]]:
    scores = found.scores[gone]
    shown = show(found.representative[gone], gone, scores)
    return [(key, ends, one) for key, (ends, one) in zip(_rounded(scores).tolist(), shown, strict=True)]


def _rounded(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = scores.astype(np.float64).round(_DIGITS)
    return rounded


def best_entries(entries: Iterable[Entry], each: int) -> list[Entry]:
    """The first ``each`` entries of each kind in sort order (5 clusters).

    >>> best_entries([("above", (0.9, 2), "b"), ("above", (0.9, 1), "a"), ("above", (0.95, 3), "c")], 1)
    [('above', (0.9, 1), 'a')]
    """
    kept: dict[str, dict[Any, Entry]] = {}
    for entry in sorted(entries, key=lambda one: one[:2]):
        kind, key, _ = entry
        group = kept.setdefault(kind, {})
        distinct = key[0] if kind in ("above", "below") else key
        if distinct not in group and len(group) < (_CLUSTERS if kind == "cluster" else each):
            group[distinct] = entry
    return [entry for group in kept.values() for entry in group.values()]


def by_kind(entries: Iterable[Entry]) -> dict[str, list[Example]]:
    """Entries from ``best_entries``, as the report takes them: clusters as ``cluster-0`` and so on."""
    shown: dict[str, list[Example]] = {}
    clusters = 0
    for kind, _, found in entries:
        if kind == "cluster":
            shown[f"cluster-{clusters}"] = found
            clusters += 1
        else:
            shown.setdefault(kind, []).append(found)
    return shown
