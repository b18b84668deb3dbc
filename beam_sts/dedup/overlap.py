"""The overlap of two texts, in which rare parts count more: a second score besides that of the model.

Records (such as products or citations) differ in what a sentence model barely notices, such as numbers, names
and part codes, and spell these in several ways. Sequences of three characters reveal all of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.arrays import IntArray, distinct_values
from beam_sts.candidates.keys import normalise, text_blocks
from beam_sts.candidates.tf_idf import COLUMNS, shingle_counts, shingle_frequency

SHINGLE = ("char", 3)
"""The unit that is counted: sequences of three characters."""

_PAIRS_AT_ONCE = 1 << 10


@dataclass(frozen=True)
class Overlap:
    """The weights of character trigrams, log(1 + (n + 1) / (texts with it + 1)), float64 (COLUMNS,).

    A trigram that all n texts have weighs log 2 and not 0, since near-duplicates among few texts share little
    else.

    The overlap of two texts is a tf-idf cosine (Salton and Buckley 1988) in whose norm the lighter text
    counts more. For their vectors x and y with |x| <= |y|, it is x * y / (|x|**1.2 * |y|**0.8). A plain
    cosine is halved if one text is a quarter of the other. The fraction of the lighter text that is in the
    other ignores what else the heavier one has. This overlap is between the two, closer to the cosine.

    >>> overlap = Overlap.learn(pa.array(["printer lx350", "needle printer LX-350", "shoe"]))
    >>> round(float(overlap.scores(pa.array(["LX350"]), pa.array(["printer lx350"]))[0]), 2)
    0.66
    """

    weights: NDArray[np.float64]

    @classmethod
    def learn(cls, texts: pa.Array) -> Overlap:
        """Count the texts that have each trigram, among n texts."""
        return cls.of(shingle_frequency(texts, *SHINGLE), len(texts))

    @classmethod
    def of(cls, frequency: NDArray[np.int64], texts: int) -> Overlap:
        """Make the weights from the counts of ``shingle_frequency`` with ``SHINGLE``, in n texts."""
        weights = frequency + np.float64(1)  # one array of 32 MB instead of four
        np.divide(texts + 1, weights, out=weights)
        return cls(np.log1p(weights, out=weights))

    def scores(self, text_a: pa.Array, text_b: pa.Array) -> NDArray[np.float32]:
        """The overlap of n pairs, from 0 to 1; 0 if a text has no trigram. Float32 of shape (n,)."""
        texts, (a, b) = distinct_values(text_a, text_b)
        vectors = self._vectors(texts)
        every = np.arange(len(texts))
        square, shared = _products(vectors, every, every), _products(vectors, a, b)
        light, heavy = np.minimum(square[a], square[b]), np.maximum(square[a], square[b])
        length = light**0.6 * heavy**0.4
        share = np.divide(shared, length, out=np.zeros(len(a)), where=length > 0)
        overlap: NDArray[np.float32] = np.clip(share, 0, 1).astype(np.float32)
        return overlap

    def _vectors(self, texts: pa.Array) -> sparse.csr_matrix:
        parts = [sparse.csr_matrix((0, COLUMNS))]
        for _, part in text_blocks(texts.cast(pa.large_string())):
            counts = shingle_counts(normalise(pc.fill_null(part, "")), *SHINGLE)
            values = (1 + np.log(counts.data)) * self.weights[counts.indices]
            parts.append(sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape))
        return sparse.vstack(parts, format="csr")


def _products(vectors: sparse.csr_matrix, a: IntArray, b: IntArray) -> NDArray[np.float64]:
    """The products of n pairs of rows, shape (n,). Few rows are copied at a time."""
    parts = [np.empty(0)]
    for begin in range(0, len(a), _PAIRS_AT_ONCE):
        some = slice(begin, begin + _PAIRS_AT_ONCE)
        parts.append(np.asarray(vectors[a[some]].multiply(vectors[b[some]]).sum(axis=1)).ravel())
    return np.concatenate(parts)
