"""How much two texts share, rare parts weighing more: a second opinion beside the model's score.

Records (a product, a citation) differ in what a sentence model hardly looks at: numbers, names, part codes,
and they spell them in several ways. Runs of three characters see all of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.candidates.keys import normalise, text_blocks
from beam_sts.candidates.tf_idf import COLUMNS, shingle_counts, shingle_frequency

SHINGLE = ("char", 3)
"""What is counted."""


@dataclass(frozen=True)
class Overlap:
    """Weights of runs of three characters, log(1 + (n + 1) / (texts with it + 1)), float64 (COLUMNS,).

    What all n texts have weighs log 2, not nothing: of few texts near-duplicates share hardly anything else.

    The overlap of two texts is a tf-idf cosine (Salton and Buckley 1988) in whose length the lighter text
    counts more: of their vectors x and y, |x| <= |y|, it is x * y / (|x|**1.2 * |y|**0.8). A plain cosine
    halves it for a text that is a fourth of the other, and the share of the lighter text that the other has
    does not see at all what the heavier one has besides; this is between the two, nearer to the cosine.

    >>> overlap = Overlap.learn(pa.array(["printer lx350", "needle printer LX-350", "shoe"]))
    >>> round(float(overlap.scores(pa.array(["LX350"]), pa.array(["printer lx350"]))[0]), 2)
    0.66
    """

    weights: NDArray[np.float64]

    @classmethod
    def learn(cls, texts: pa.Array) -> Overlap:
        """Count in how many of n texts each run is."""
        return cls.of(shingle_frequency(texts, *SHINGLE), len(texts))

    @classmethod
    def of(cls, frequency: NDArray[np.int64], texts: int) -> Overlap:
        """From what ``shingle_frequency`` counts in n texts, with ``SHINGLE``."""
        return cls(np.log1p((texts + 1) / (frequency + 1)))

    def scores(self, text_a: pa.Array, text_b: pa.Array) -> NDArray[np.float32]:
        """Of n pairs: from 0 to 1, 0 where a text has no run of weight. Float32 of shape (n,)."""
        both = pa.chunked_array([text_a, text_b]).combine_chunks().dictionary_encode()
        if isinstance(both, pa.ChunkedArray):
            both = both.combine_chunks()
        vectors = self._vectors(both.dictionary)
        a, b = np.split(both.indices.to_numpy(), 2)
        square = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
        shared = np.asarray(vectors[a].multiply(vectors[b]).sum(axis=1)).ravel()
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
