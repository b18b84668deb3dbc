"""Tf-idf vectors of texts over shingles, in whole numbers, and the search for the nearest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.arrays import IntArray, group_starts, rank_in_group
from beam_sts.candidates.keys import normalise, shingle_hashes, text_blocks
from beam_sts.scoring.backends import available_cores

WORK = 20_000
"""The most multiplications per text in a comparison of all texts with all."""
COLUMNS = 1 << 22
"""The number of columns of the hashed vectors."""
UNIT = 1 << 15
"""The length of a vector. Coordinates are whole numbers, so sums are exact and equal on every machine."""

_TIES = 16  # additional neighbours that are fetched, to sort equal ones by their number


def shingle_counts(texts: pa.Array, unit: str, size: int) -> sparse.csr_matrix:
    """The count of each shingle in each normalised text, hashed into 4 million columns; int32, sparse."""
    hashes, counts = shingle_hashes(texts, unit, size)
    rows = np.repeat(np.arange(len(texts)) * COLUMNS, counts)  # sorting numbers is faster than scipy's sums
    cells = rows + (hashes & np.uint64(COLUMNS - 1)).astype(np.int64)
    cells.sort()
    starts = group_starts(cells)
    found = cells[starts]
    indptr = np.searchsorted(found, np.arange(len(texts) + 1) * COLUMNS)
    values = np.diff(starts, append=len(cells)).astype(np.int32)
    columns = (found & (COLUMNS - 1)).astype(np.int32)
    return sparse.csr_matrix((values, columns, indptr), (len(texts), COLUMNS))


def shingle_frequency(
    texts: pa.Array | pa.ChunkedArray, unit: str, size: int, counted: IntArray | None = None
) -> IntArray:
    """The number of texts with each shingle, added to ``counted`` if given: int64 of shape (4194304,)."""
    frequency = np.zeros(COLUMNS, np.int64) if counted is None else counted
    for _, part in text_blocks(texts):
        np.add.at(frequency, shingle_counts(normalise(part), unit, size).indices, 1)
    return frequency


@dataclass(frozen=True)
class TfIdf:
    """Weights of shingles. The most frequent shingles are left out, to bound the work of comparing all texts.

    ``weight`` is float32; ``number`` is int32, the column in the vectors or -1. Both have shape (4194304,).
    """

    unit: str
    size: int
    weight: NDArray[np.float32]
    number: NDArray[np.int32]
    width: int

    @classmethod
    def of(cls, frequency: IntArray, texts: int, unit: str, size: int, work: int = WORK) -> TfIdf:
        """Weights log((n + 1) / (texts with it + 1)), from the counts of ``shingle_frequency`` in n texts."""
        found = np.flatnonzero(frequency)
        order = found[np.argsort(frequency[found], kind="stable")]
        cost = np.cumsum(frequency[order].astype(np.float64) ** 2)
        kept = order[: np.searchsorted(cost, float(work) * texts, side="right")]
        weight = np.zeros(COLUMNS, np.float32)
        weight[kept] = np.log((texts + 1) / (frequency[kept] + 1))
        number = np.full(COLUMNS, -1, np.int32)
        shared = kept[frequency[kept] > 1]  # a shingle that only one text has is in no product
        number[shared] = np.arange(len(shared))
        return cls(unit, size, weight, number, len(shared))

    def vectors(self, texts: pa.Array | pa.ChunkedArray) -> sparse.csr_matrix:
        """The vectors of n texts: sparse int32 (n, width), rows (1 + log count) * weight of length 2**15."""
        parts = [sparse.csr_matrix((0, self.width), dtype=np.int32)]
        for _, part in text_blocks(texts):
            counts = shingle_counts(normalise(part), self.unit, self.size)
            rows = counts.shape[0]
            values = (1 + np.log(counts.data)) * self.weight[counts.indices]
            row = np.repeat(np.arange(rows), np.diff(counts.indptr))
            length = np.sqrt(np.bincount(row, weights=values * values, minlength=rows))
            scaled = np.rint(values / np.maximum(length, 1e-12)[row] * UNIT).astype(np.int32)
            held = (self.number[counts.indices] >= 0) & (scaled > 0)
            indptr = np.concatenate([[0], np.cumsum(np.bincount(row[held], minlength=rows))])
            columns = self.number[counts.indices[held]]
            parts.append(sparse.csr_matrix((scaled[held], columns, indptr), shape=(rows, self.width)))
        return sparse.vstack(parts, format="csr", dtype=np.int32)


def nearest_rows(
    queries: sparse.csr_matrix,
    points: sparse.csr_matrix,
    count: int,
    *,
    floor: int = 0,
    threads: int | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """For each of ``queries``, the ``count`` rows of ``points`` with the largest product above ``floor``.

    Among equal products the lower row is chosen, unless more than about sixteen are equal.

    Returns:
        Queries, rows of ``points`` and products, each of shape (found,), sorted by query, the largest product
        first.
    """
    from sparse_dot_topn import sp_matmul_topn

    found = sp_matmul_topn(
        queries,
        points.T.tocsr(),
        top_n=min(count + _TIES, points.shape[0]),
        threshold=floor,
        sort=True,
        n_threads=threads or available_cores(),
    )
    owner = np.repeat(np.arange(queries.shape[0]), np.diff(found.indptr))
    place, product = found.indices.astype(np.int64), found.data.astype(np.int64)
    order = np.lexsort((place, -product, owner))
    owner, place, product = owner[order], place[order], product[order]
    best = rank_in_group(owner) < count
    return owner[best], place[best], product[best]
