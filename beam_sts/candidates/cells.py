"""Nearest vectors by cells: a vector is compared with those that share one of its cells. Pure functions.

A small number of vectors is one cell, so the search is exact. A larger number is partitioned by centroids
(k-means of a sample), as in an inverted file index (IVF): each vector joins the cells of its nearest
centroids, and all members of a cell are compared with each other. A second sample of vectors, the queries, is
compared with all vectors. It determines how many cells a vector joins, and estimates the recall.

Both samples are drawn by a hash of the vectors, and the arithmetic is in integers, so a result depends
neither on the order of the vectors nor on the machine. ``beam_sts.candidates.neighbours`` is the driver for
one machine, ``beam_sts.candidates.beam_neighbours`` the one for Beam.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, group_starts
from beam_sts.candidates.dense import nearest_points, scaled_to_length
from beam_sts.candidates.keys import mix64
from beam_sts.plurals import plural

_ROUNDS = 8  # rounds of k-means
_A_CELL = 64  # vectors in the sample for each centroid
_MOST_SAMPLED = 1 << 18
_MOST_CELLS = 1 << 15  # training takes minutes, and a worker holds all centroids
_PART_BITS = 20  # lower bits of a code, below the cell's number
_ALL = 1 << 64
_SEED = 30


@dataclass(frozen=True)
class CellRule:
    """How many cells there are, and how many of them a vector joins.

    Attributes:
        recall: required share of the nearest neighbours that are found.
        exact: up to this number of vectors there is one cell, so all are compared with each other.
        width: n vectors make n**0.8 / ``width`` cells. The work then grows as n**1.2.
        joined: lowest number of cells that a vector joins.
        most: highest number of cells that a vector joins.
        queries: approximate number of vectors that are compared with all others.
        crowded: a cell with more than this many times the mean number of members is split.
    """

    recall: float = 0.95
    exact: int = 50_000
    width: float = 63.0
    joined: int = 6
    most: int = 16
    queries: int = 1_000
    crowded: float = 4.0

    def cells(self, vectors: int) -> int:
        """Returns the number of cells for a number of vectors.

        >>> CellRule().cells(50_000), CellRule().cells(1_000_000)
        (1, 1002)
        """
        if vectors <= self.exact:
            return 1
        return min(max(round(math.pow(vectors, 0.8) / self.width), 1), _MOST_CELLS)


class Drawn(NamedTuple):
    """Which of n vectors are in the samples, bool of shape (n,): for the centroids, and for the queries."""

    train: NDArray[np.bool_]
    query: NDArray[np.bool_]


def draw_vectors(
    rule: CellRule, points: NDArray[np.int16], side: NDArray[np.integer], sizes: Mapping[int, int]
) -> Drawn:
    """Draw both samples. Equal vectors are drawn together.

    Args:
        rule: rule of the run.
        points: n vectors of integers, shape (n, dimensions).
        side: side of each vector, shape (n,).
        sizes: total number of vectors on each side. Queries are from side 0.

    Returns:
        The samples.
    """
    total = sum(sizes.values())
    cells = rule.cells(total)
    if cells == 1:
        none = np.zeros(len(points), np.bool_)
        return Drawn(none, none)
    padded = np.zeros((len(points), -(-points.shape[1] // 4) * 4), "<i2")
    padded[:, : points.shape[1]] = points
    draw = mix64(padded.view("<u8").T, _SEED)
    train = min(_A_CELL * cells, _MOST_SAMPLED) * _ALL // total
    query = rule.queries * _ALL // max(sizes.get(0, 0), 1)
    return Drawn(
        draw < np.uint64(min(train, _ALL // 2)),
        (draw >= np.uint64(_ALL - min(query, _ALL // 2))) & (side == 0),
    )


def train_centroids(points: NDArray[np.int16], cells: int) -> NDArray[np.float32]:
    """Compute the centroids of vectors: k-means by cosine, initialised with the first vectors by a hash.

    Args:
        points: sample, shape (s, dimensions), in any order; equal vectors count once.
        cells: number of centroids; there are fewer if there are fewer distinct vectors.

    Returns:
        Vectors of integers, of the length of ``whole_points``, shape (centroids, dimensions).
    """
    distinct = np.unique(points, axis=0)
    order = np.argsort(mix64(distinct.astype(np.uint64).T, _SEED + 1), kind="stable")
    sample = distinct[order].astype(np.float32)
    centroids: NDArray[np.float32] = sample[:cells].copy()
    for _ in range(_ROUNDS):
        home = nearest_points(sample, centroids, 1)[1][:, 0]
        by_home = np.argsort(home, kind="stable")
        starts = group_starts(home[by_home])
        counts = np.diff(starts, append=len(home))
        sums = np.add.reduceat(sample[by_home].astype(np.int64), starts, axis=0)
        centroids[home[by_home[starts]]] = scaled_to_length(np.rint(sums * 16 / counts[:, None]))
    return centroids


@dataclass(frozen=True)
class Cells:
    """Centroids, and the assignment of vectors to cells.

    Attributes:
        centroids: shape (cells, dimensions); None if there is one cell.
        joined: number of cells that a vector joins.
        parts: for each crowded cell, the number of parts into which it is split at random.
    """

    centroids: NDArray[np.float32] | None = None
    joined: int = 1
    parts: Mapping[int, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of cells."""
        return 1 if self.centroids is None else len(self.centroids)

    def of(self, points: NDArray[np.int16] | NDArray[np.float32]) -> IntArray:
        """Returns the cells that each of n vectors joins, the nearest first; shape (n, joined)."""
        if self.centroids is None:
            return np.zeros((len(points), 1), np.int64)
        return nearest_points(points.astype(np.float32), self.centroids, self.joined)[1]

    def codes(self, cells: IntArray, names: Callable[[IntArray], Sequence[Any]]) -> IntArray:
        """Returns a number for the part of each cell that each vector is in; the numbers sort by cell.

        Args:
            cells: cells of n vectors, from :meth:`of`.
            names: ids of vectors from their indices. Called only for members of crowded cells.
        """
        codes = cells << _PART_BITS
        if self.parts:
            parts = np.ones(self.count, np.int64)
            parts[list(self.parts)] = list(self.parts.values())
            row, column = np.nonzero(parts[cells] > 1)
            rows, place = np.unique(row, return_inverse=True)
            cell = cells[row, column]
            lot = mix64([name_hashes(names(rows))[place], cell.astype(np.uint64)], _SEED + 2)
            codes[row, column] += (lot >> np.uint64(32)).astype(np.int64) % parts[cell]
        return codes


def name_hashes(names: Sequence[Any]) -> NDArray[np.uint64]:
    """Hash each id: uint64 of shape (n,)."""
    digests = (hashlib.blake2b(repr(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def split_crowded(rule: CellRule, vectors: int, members: Mapping[int, int]) -> dict[int, int]:
    """Returns the crowded cells, with the number of parts into which each is split.

    Args:
        rule: rule of the run.
        vectors: number of vectors.
        members: number of members of each cell.

    >>> split_crowded(CellRule(exact=20), 100, {0: 100, 1: 10, 2: 10})
    {}
    >>> split_crowded(CellRule(exact=20, width=4), 100, {0: 100, 1: 10, 2: 10})
    {0: 3}
    """
    most = max(int(rule.crowded * sum(members.values()) / rule.cells(vectors)), 1)
    parts = {cell: min(-(-count // most), (1 << _PART_BITS) - 1) for cell, count in sorted(members.items())}
    return {cell: count for cell, count in parts.items() if count > 1}


class Sampled(NamedTuple):
    """Queries, and the nearest of each among all vectors.

    ``queries``: shape (q, dimensions). ``near``: shape (m, dimensions). ``owner``: the query of each row of
    ``near``, shape (m,). ``names``: ids of the queries. ``near_names``: ids of ``near``.
    """

    queries: NDArray[np.int16]
    names: Sequence[Any]
    near: NDArray[np.int16]
    owner: IntArray
    near_names: Sequence[Any]


def cut_cells(rule: CellRule, vectors: int, train: NDArray[np.int16], sampled: Sampled) -> Cells:
    """Returns the cells, before crowded ones are split.

    A vector joins the fewest cells with which the sample has the required recall: the mean over the queries
    minus twice its standard error reaches it.

    Args:
        rule: rule of the run.
        vectors: number of vectors.
        train: sample for the centroids.
        sampled: queries.
    """
    count = rule.cells(vectors)
    if count == 1 or not len(train):  # without a sample there are only a few distinct vectors
        return Cells()
    centroids = train_centroids(train, count)
    most = min(rule.most, len(centroids))
    least = min(rule.joined, most)
    if not len(sampled.near):
        return Cells(centroids, least)
    cells = Cells(centroids, most)
    own, theirs = cells.of(sampled.queries), cells.of(sampled.near)
    for joined in range(least, most):
        mean, error = _mean_share(own[:, :joined], theirs[:, :joined], sampled.owner)
        if mean - 2 * error >= rule.recall:
            return replace(cells, joined=joined)
    return cells


def _met(own: IntArray, theirs: IntArray, owner: IntArray) -> NDArray[np.bool_]:
    """Returns whether each of the nearest shares a cell with its query."""
    met: NDArray[np.bool_] = (own[owner][:, :, None] == theirs[:, None, :]).any(axis=(1, 2))
    return met


def _mean_share(own: IntArray, theirs: IntArray, owner: IntArray) -> tuple[float, float]:
    """Returns the mean over the queries of the share of nearest in shared cells, and its standard error."""
    each = np.bincount(owner, minlength=len(own))
    asked = each > 0
    met = np.bincount(owner, weights=_met(own, theirs, owner), minlength=len(own))
    shares = (met[asked] / each[asked]).tolist()
    mean = math.fsum(shares) / len(shares)  # exact, so that the order of the queries does not matter
    return mean, math.sqrt(math.fsum((share - mean) ** 2 for share in shares)) / len(shares)


def cells_report(cells: Cells, members: Mapping[int, int], sampled: Sampled) -> dict[str, int]:
    """Returns the counts of a search.

    Args:
        cells: cells of the run.
        members: number of members of each cell.
        sampled: queries.

    Returns:
        ``cells``, ``cells_joined`` by a vector, ``cells_split``, the members of the ``largest_cell``;
        ``queries``, how many ``nearest`` they have among all vectors, and how many of these are ``found``,
        that is, share a cell with their query. The last three are 0 if all vectors were compared.
    """
    counts = {
        "cells": cells.count,
        "cells_joined": cells.joined,
        "cells_split": len(cells.parts),
        "largest_cell": max(members.values(), default=0),
    }
    if not len(sampled.near) or (cells.count == 1 and not cells.parts):
        return {**counts, "queries": 0, "nearest": 0, "found": 0}

    def codes(points: NDArray[np.int16], names: Sequence[Any]) -> IntArray:
        return cells.codes(cells.of(points), lambda rows: [names[row] for row in rows.tolist()])

    own, theirs = codes(sampled.queries, sampled.names), codes(sampled.near, sampled.near_names)
    found = int(_met(own, theirs, sampled.owner).sum())
    return {**counts, "queries": len(sampled.queries), "nearest": len(sampled.near), "found": found}


def recall_of(report: Mapping[str, int]) -> float | None:
    """Returns the estimated share of the exact result that a search finds; None without queries.

    >>> recall_of({"cells": 9, "cells_split": 0, "nearest": 50, "found": 48})
    0.96
    """
    if report["cells"] == 1 and not report["cells_split"]:
        return 1.0
    return round(report["found"] / report["nearest"], 4) if report["nearest"] else None


def describe_search(report: Mapping[str, int]) -> str:
    """Describe a search in one line.

    >>> counts = {"cells": 90, "cells_joined": 6, "cells_split": 2, "queries": 10, "nearest": 50, "found": 48}
    >>> describe_search(counts)
    'recall 0.960, estimated from 10 texts; 90 cells, 6 for each text, 2 crowded ones split'
    """
    recall = recall_of(report)
    if report["cells"] == 1 and not report["cells_split"]:
        return "recall 1: all compared with all"
    known = (
        f"{recall:.3f}, estimated from {plural(report['queries'], 'text')}"
        if recall is not None
        else "unknown"
    )
    split = f", {report['cells_split']:,} crowded ones split" if report["cells_split"] else ""
    return f"recall {known}; {plural(report['cells'], 'cell')}, {report['cells_joined']} for each text{split}"


def search_report(report: Mapping[str, int]) -> dict[str, Any]:
    """Returns the part of a summary on a search: its counts, the ``recall``, and a description."""
    return {**report, "recall": recall_of(report), "settings": describe_search(report)}
