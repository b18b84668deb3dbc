"""The forms of the triplet sets, as in sentence-transformers' ``mine_hard_negatives``. Pure functions.

=================  ===========================================  ============================================
form               columns                                      with scores
=================  ===========================================  ============================================
``triplet``        anchor, positive, negative                   and ``scores``, of positive and negative
``n-tuple``        anchor, positive, negative_1 ... negative_n  and ``scores``, of positive and negatives
``labeled-pair``   anchor, document, label (1: positive)        ``score`` instead of ``label``
``labeled-list``   anchor, documents, labels                    ``scores`` instead of ``labels``
=================  ===========================================  ============================================
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray

FORMATS = ("triplet", "n-tuple", "labeled-pair", "labeled-list")
_SCORES = "n-tuple-scores"
CHOICES = (*FORMATS, _SCORES)
"""The choices; the last is ``n-tuple`` with scores."""
ROWS = pa.schema(
    [
        *((name, pa.large_string()) for name in ("anchor", "positive", "negative")),
        *((name, pa.float32()) for name in ("positive_score", "negative_score")),
        ("first", pa.bool_()),
    ]
)
"""Triplets, grouped by anchor and positive. ``first``: whether the positive is the anchor's best."""


@dataclass(frozen=True)
class Form:
    """The form of the rows of a set, and the highest number of negatives in a row."""

    name: str = "triplet"
    scores: bool = False
    num_negatives: int = 10

    @classmethod
    def of(cls, choice: str, scores: bool, num_negatives: int) -> Form:
        """Returns the form for one of ``CHOICES``."""
        if choice == _SCORES:
            return cls("n-tuple", True, num_negatives)
        return cls(choice, scores, num_negatives)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows."""
        text, value = pa.large_string(), pa.float32() if self.scores else pa.int64()
        more = [("scores", pa.list_(pa.float32()))] if self.scores else []
        named = "score" if self.scores else "label"
        numbered = [(f"negative_{at}", text) for at in range(1, self.num_negatives + 1)]
        columns = {
            "triplet": [("positive", text), ("negative", text), *more],
            "n-tuple": [("positive", text), *numbered, *more],
            "labeled-pair": [("document", text), (named, value)],
            "labeled-list": [("documents", pa.list_(text)), (f"{named}s", pa.list_(value))],
        }
        return pa.schema([("anchor", text), *columns[self.name]])

    def rows(self, triplets: pa.Table, opens: NDArray[np.bool_]) -> pa.Table:
        """Convert triplets to rows of this form.

        ``n-tuple`` needs all negatives, so anchors with fewer are left out. If an anchor has several
        positives, ``labeled-pair`` has its negatives once.

        Args:
            triplets: n triplets with the schema ``ROWS``.
            opens: whether a row is the first of its anchor and positive, shape (n,).

        Returns:
            The rows, with the columns of ``schema``.

        >>> row = {"anchor": "a", "positive": "p", "positive_score": 0.9, "first": True}
        >>> two = [row | {"negative": name, "negative_score": 0.2} for name in "mn"]
        >>> opens = np.array([True, False])
        >>> Form("labeled-list").rows(pa.Table.from_pylist(two, ROWS), opens).to_pylist()
        [{'anchor': 'a', 'documents': ['p', 'm', 'n'], 'labels': [1, 0, 0]}]
        """
        if self.name == "triplet":
            columns = triplets.columns[:3]
            if self.scores:
                both = np.stack([triplets[name].to_numpy() for name in ROWS.names[3:5]], axis=1)
                columns.append(_lists(pa.array(both.ravel()), np.full(len(both), 2)))
            return pa.Table.from_arrays(columns, schema=self.schema)
        starts = np.flatnonzero(opens)
        sizes = np.diff(np.append(starts, len(opens)))
        if self.name == "n-tuple":
            return self._tuples(triplets, starts[sizes == self.num_negatives])
        # A positive comes before its negatives. Pairs have the negatives once, with the first positive.
        negatives = np.arange(len(opens))
        if self.name == "labeled-pair":
            negatives = np.flatnonzero(triplets["first"].to_numpy())
        at = np.concatenate([starts, negatives])
        from_negative = np.arange(len(at)) >= len(starts)
        order = np.lexsort((from_negative, at))
        at, from_negative = at[order], from_negative[order]
        place = pa.array(
            at + len(opens) * from_negative
        )  # index into the positives followed by the negatives
        documents = pa.chunked_array([*triplets["positive"].chunks, *triplets["negative"].chunks]).take(place)
        values = np.where(from_negative, 0, 1)
        if self.scores:
            values = np.concatenate([triplets[name].to_numpy() for name in ROWS.names[3:5]])[
                np.asarray(place)
            ]
        if self.name == "labeled-pair":
            columns = [triplets["anchor"].take(pa.array(at)), documents, pa.array(values)]
        else:
            columns = [
                triplets["anchor"].take(pa.array(starts)),
                _lists(documents.combine_chunks(), sizes + 1),
                _lists(pa.array(values), sizes + 1),
            ]
        return pa.Table.from_arrays([*columns], schema=self.schema)

    def _tuples(self, triplets: pa.Table, starts: IntArray) -> pa.Table:
        negatives = [starts + step for step in range(self.num_negatives)]
        columns = [triplets[name].take(pa.array(starts)) for name in ROWS.names[:2]]
        columns += [triplets["negative"].take(pa.array(rows)) for rows in negatives]
        if self.scores:
            of_negatives = triplets["negative_score"].to_numpy()
            scores = [
                triplets["positive_score"].to_numpy()[starts],
                *(of_negatives[rows] for rows in negatives),
            ]
            values = np.stack(scores, axis=1)
            columns.append(_lists(pa.array(values.ravel()), np.full(len(values), values.shape[1])))
        return pa.Table.from_arrays(columns, schema=self.schema)


def _lists(values: pa.Array, sizes: IntArray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
