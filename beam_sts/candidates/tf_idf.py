"""Texts as tf-idf vectors over shingles, in whole numbers, and the nearest among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.arrays import IntArray, rank_in_group
from beam_sts.candidates.keys import normalise, shingle_hashes, text_blocks
from beam_sts.scoring.backends import available_cores

WORK = 20_000
"""Multiplications for each text that comparing all with all may take."""
COLUMNS = 1 << 22
"""Of the hashed vectors."""
UNIT = 1 << 15
"""Length of a vector: coordinates are whole numbers, so that sums are exact, the same on every machine."""

_TIES = 16  # more than asked for are looked at, so that equal ones go by their number


def shingle_counts(texts: pa.Array, unit: str, size: int) -> sparse.csr_matrix:
    """How often each shingle is in each normalised text, hashed into 4 million columns; int32, sparse."""
    hashes, counts = shingle_hashes(texts, unit, size)
    columns = (hashes & np.uint64(COLUMNS - 1)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    matrix = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, indptr), (len(texts), COLUMNS))
    matrix.sum_duplicates()
    return matrix


def shingle_frequency(texts: pa.Array | pa.ChunkedArray, unit: str, size: int) -> IntArray:
    """In how many of n texts each shingle is: int64 of shape (4194304,)."""
    frequency = np.zeros(COLUMNS, np.int64)
    for _, part in text_blocks(texts):
        np.add.at(frequency, shingle_counts(normalise(part), unit, size).indices, 1)
    return frequency


@dataclass(frozen=True)
class TfIdf:
    """Weights of shingles. The most frequent ones have none: comparing all texts is to take so much work.

    ``weight`` float32 and ``number`` int32, the column in the vectors or -1, both of shape (4194304,).
    """

    unit: str
    size: int
    weight: NDArray[np.float32]
    number: NDArray[np.int32]
    width: int

    @classmethod
    def of(cls, frequency: IntArray, texts: int, unit: str, size: int, work: int = WORK) -> TfIdf:
        """Weights log((n + 1) / (texts with it + 1)) of what ``shingle_frequency`` counts in n texts."""
        found = np.flatnonzero(frequency)
        order = found[np.argsort(frequency[found], kind="stable")]
        cost = np.cumsum(frequency[order].astype(np.float64) ** 2)
        kept = order[: np.searchsorted(cost, float(work) * texts, side="right")]
        weight = np.zeros(COLUMNS, np.float32)
        weight[kept] = np.log((texts + 1) / (frequency[kept] + 1))
        number = np.full(COLUMNS, -1, np.int32)
        shared = kept[frequency[kept] > 1]  # a shingle of one text is in no product
        number[shared] = np.arange(len(shared))
        return cls(unit, size, weight, number, len(shared))

    def vectors(self, texts: pa.Array | pa.ChunkedArray) -> sparse.csr_matrix:
        """Of n texts: sparse int32 (n, width), each row (1 + log count) * weight, of length 2**15."""
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
    """The ``count`` rows of ``points`` with the largest product, above ``floor``, for each of ``queries``.

    Equal products go to the lower row, where not more than some sixteen are equal.

    Returns:
        A query, a row of ``points`` and their product, of shape (found,) each; by query, the largest first.
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
