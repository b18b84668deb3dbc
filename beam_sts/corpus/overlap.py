"""How many words two texts share, rare ones weighing more: a second opinion beside the model's score.

Records (a product, a citation) differ in what a sentence model hardly looks at: numbers, names, order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from beam_sts.corpus.candidates import normalise, shingle_hashes, text_blocks
from beam_sts.corpus.tf_idf import COLUMNS, shingle_frequency

SHINGLE = ("word", 1)
"""What is counted."""


@dataclass(frozen=True)
class Overlap:
    """Weights of words: log((n + 1) / texts with it), by hash, float64 of shape (4194304,).

    >>> overlap = Overlap.learn(pa.array(["a b", "a c", "a d e"], pa.large_string()))
    >>> jaccard, contained = overlap.scores(pa.array(["a b"]), pa.array(["a b c"]))
    >>> round(float(jaccard[0]), 3), float(contained[0])
    (0.667, 1.0)
    """

    weights: NDArray[np.float64]

    @classmethod
    def learn(cls, texts: pa.Array) -> Overlap:
        """Count the words of n texts."""
        return cls.of(shingle_frequency(texts, *SHINGLE), len(texts))

    @classmethod
    def of(cls, frequency: NDArray[np.int64], texts: int) -> Overlap:
        """From what ``shingle_frequency`` counts in n texts, with ``SHINGLE``."""
        return cls(np.log((texts + 1) / np.maximum(frequency, 1)))

    def scores(self, text_a: pa.Array, text_b: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of n pairs: Jaccard of their words, and the weighted share of the lighter text's words.

        Both 0 where a text has no word.
        """
        a, b = _words(text_a), _words(text_b)
        both = a.multiply(b).tocsr()
        plain = [np.asarray(m.sum(axis=1)).ravel() for m in (both, a, b)]
        heavy = [m @ self.weights for m in (both, a, b)]
        union, lighter = plain[1] + plain[2] - plain[0], np.minimum(heavy[1], heavy[2])
        return _share(plain[0], union), _share(heavy[0], lighter)


def _share(part: NDArray[np.floating], whole: NDArray[np.floating]) -> NDArray[np.float32]:
    share: NDArray[np.float32] = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0).astype(
        np.float32
    )
    return share


def _words(texts: pa.Array) -> sparse.csr_matrix:
    """Which words each text has: ones of shape (n, 4194304)."""
    parts = [sparse.csr_matrix((0, COLUMNS))]
    for _, part in text_blocks(texts):
        hashes, counts = shingle_hashes(normalise(part), "word", 1)
        rows = np.repeat(np.arange(len(counts)), counts)
        columns = (hashes % np.uint64(COLUMNS)).astype(np.int64)
        ones = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(counts), COLUMNS))
        ones.data[:] = 1.0  # a word that recurs counts once
        parts.append(ones)
    return sparse.vstack(parts, format="csr")
