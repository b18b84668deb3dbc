"""The few rows and pairs that the report of a deduplication shows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.corpus.dedup import Decision
from beam_sts.corpus.rows import IntArray, Nodes, Rows
from beam_sts.report.examples import Example, choose_rows, shorten

_CLUSTERS, _MEMBERS = 5, 6


def examples(
    rows: Rows, nodes: Nodes, made: Decision, threshold: float, *, each: int
) -> dict[str, list[Example]]:
    """Pairs to show, by kind.

    ``removed`` are the removals of the lowest score, each a row beside its survivor; ``above`` and ``below``
    the scored pairs nearest to the threshold; ``cluster-0`` and so on the survivors of the clusters that
    lose most rows, each beside rows that it replaces.
    """
    if not each:
        return {}
    pairs = made.edges.pairs
    chosen = choose_rows(pairs.scores, {}, threshold=threshold, each=each)
    shown = {
        kind: _pairs(rows, nodes.row[pairs.a[at]], nodes.row[pairs.b[at]], pairs.scores[at])
        for kind, at in chosen.items()
        if kind in ("above", "below")
    }
    gone = np.flatnonzero(made.removed)
    # Of equal texts one is enough.
    distinct = gone[np.sort(np.unique(nodes.of_row[gone], return_index=True)[1])]
    doubtful = distinct[np.argsort(made.score[distinct], kind="stable")][:each]
    shown["removed"] = _pairs(rows, made.survivor[doubtful], doubtful, made.score[doubtful])
    survivors, counts = np.unique(made.survivor[gone], return_counts=True)
    for number, at in enumerate(np.argsort(-counts, kind="stable")[:_CLUSTERS].tolist()):
        members = gone[made.survivor[gone] == survivors[at]]
        members = members[np.argsort(made.score[members], kind="stable")][:_MEMBERS]
        survivor = np.full(len(members), survivors[at])
        shown[f"cluster-{number}"] = _pairs(rows, survivor, members, made.score[members])
        shown[f"cluster-{number}"][0]["rows"] = int(counts[at])
    return {kind: found for kind, found in shown.items() if found}


def _pairs(rows: Rows, left: IntArray, right: IntArray, scores: NDArray[np.float32]) -> list[Example]:
    ids = zip(rows.ids_of(left).to_pylist(), rows.ids_of(right).to_pylist(), strict=True)
    texts = (rows.texts.take(pa.array(side)).to_pylist() for side in (left, right))
    return [
        {
            "where": f"{a} | {b}",
            "text_a": shorten(first),
            "text_b": shorten(second),
            "score": float(score),
        }
        for (a, b), first, second, score in zip(ids, *texts, scores, strict=True)
    ]
