"""From texts to pairs, and from scored pairs to training sets in the shapes of wiki-sim. Pure functions.

Texts are numbered in the order of their names, the 128-bit hashes of their normal forms. Random draws and
orders come from hashes of the names, so a result depends on the texts and the seed, not on the order of rows.

============================  ==================================================  ===========================
subset                        rows                                                columns
============================  ==================================================  ===========================
``raw``                       every candidate pair                                anchor, text, origin
``pair-score``                every scored pair                                   sentence1, sentence2, score
``pair-score-hard``           pairs whose score and word overlap (Jaccard)        sentence1, sentence2, score
                              differ widely
``pair-score-sampled``        pair-score, spread over score bands evenly          sentence1, sentence2, score
``triplet``                   an anchor, its best pair, a pair with a low score   anchor, positive, negative
``triplet-hard``              the same, but the negative scores high: less than   anchor, positive, negative
                              the positive by a margin, or it differs in a fact
============================  ==================================================  ===========================

If queries are mined against a corpus, names have a side: their highest bit is 0 for a query and 1 for a text
of the corpus. So queries come first, and the first text of a pair is the query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, coded_pairs, pair_codes, rank_in_group
from beam_sts.candidates.buckets import distinct_codes
from beam_sts.candidates.keys import mix64, normalise
from beam_sts.candidates.tf_idf import shingle_counts

SUBSETS = ("raw", "pair-score", "pair-score-hard", "pair-score-sampled", "triplet", "triplet-hard")
SPLITS = ("train", "test")
BANDS = 10
GIVEN = "given"
ORIGINS = (GIVEN, "adjacent", "neighbours", "lexical", "random")
"""The origins of pairs, in the order in which the column ``origin`` lists them."""


class MinedPairs(NamedTuple):
    """Pairs of texts a < b with their scores and random draws (see :func:`draws`), each of shape (pairs,).

    ``differs``: whether the two texts differ in a fact. ``given``: whether the input marks the second text as
    a positive of the first.
    """

    a: IntArray
    b: IntArray
    score: NDArray[np.float32]
    draw: NDArray[np.uint64]
    differs: NDArray[np.bool_]
    given: NDArray[np.bool_]

    def take(self, part: slice | IntArray) -> MinedPairs:
        """Select pairs by index."""
        a, b, score, draw, differs, given = self
        return MinedPairs(a[part], b[part], score[part], draw[part], differs[part], given[part])


def are_given(origin: pa.Array | pa.DictionaryArray) -> NDArray[np.bool_]:
    """Returns which pairs are given by the input, from their origins.

    >>> are_given(pa.array(["given+random", "random"])).tolist()
    [True, False]
    """
    labels = origin.dictionary if isinstance(origin, pa.DictionaryArray) else origin
    # Labels list origins in the order of ORIGINS, so GIVEN comes first.
    given: NDArray[np.bool_] = np.asarray(pc.starts_with(labels.cast(pa.string()), GIVEN), bool)
    return given[np.asarray(origin.indices)] if isinstance(origin, pa.DictionaryArray) else given


def draws(names: Sequence[NDArray[np.uint64]], seed: int) -> NDArray[np.uint64]:
    """Draw 64 random bits for each row of names: one column for texts, two for pairs (lower name first)."""
    return mix64(names, seed)


def pack_names(names: NDArray[np.uint64]) -> list[bytes]:
    """Pack names, uint64 of shape (n, 2), into 16 bytes each that sort like the names."""
    raw = names.astype(">u8").tobytes()
    return [raw[at : at + 16] for at in range(0, len(raw), 16)]


def unpack_names(packed: Sequence[bytes]) -> NDArray[np.uint64]:
    """Unpack names from :func:`pack_names`: uint64 of shape (n, 2)."""
    return np.frombuffer(b"".join(packed), ">u8").reshape(-1, 2).astype(np.uint64)


_SIDE = np.uint64(63)


def sided_names(names: NDArray[np.uint64], *, corpus: bool) -> NDArray[np.uint64]:
    """Set the highest bit of names: 0 for queries, 1 for texts of the corpus."""
    sided: NDArray[np.uint64] = names.copy()
    sided[:, 0] = names[:, 0] >> np.uint64(1) | np.uint64(corpus) << _SIDE
    return sided


def are_queries(names: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Returns which texts are queries, by their names from :func:`sided_names`."""
    queries: NDArray[np.bool_] = names[:, 0] >> _SIDE == 0
    return queries


def same_text(queries: NDArray[np.uint64], texts: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Returns for each row whether the query and the text of the corpus have the same normal form."""
    low = queries[:, 0] << np.uint64(1) == texts[:, 0] << np.uint64(1)
    same: NDArray[np.bool_] = low & (queries[:, 1] == texts[:, 1])
    return same


def shard_of_draw(draw: NDArray[np.uint64], shards: int) -> IntArray:
    """Returns the shard of each draw. Shards are equal ranges of draws, in the order of draws.

    >>> shard_of_draw(np.array([0, 1 << 62, (1 << 64) - 1], np.uint64), 4).tolist()
    [0, 1, 3]
    """
    shard: IntArray = ((draw >> np.uint64(32)) * np.uint64(shards) >> np.uint64(32)).astype(np.int64)
    return shard


def split_sentences(texts: pa.Array | pa.ChunkedArray, language: str = "en") -> tuple[IntArray, pa.Array]:
    """Split texts into sentences, in order, trimmed and without blank ones.

    Args:
        texts: n texts without nulls.
        language: two-letter code of a language that sentencex knows.

    Returns:
        The index of the text of each sentence, and the sentences.
    """
    from sentencex import segment

    owners: list[int] = []
    sentences: list[str] = []
    for number, text in enumerate(texts.to_pylist()):
        found = [stripped for one in segment(language, text) if (stripped := one.strip())]
        owners += [number] * len(found)
        sentences += found
    return np.array(owners, np.int64), pa.array(sentences, pa.large_string())


def adjacent_pairs(text: IntArray, document: IntArray) -> tuple[IntArray, IntArray]:
    """Pair the texts that follow each other in a document.

    Args:
        text: number of the text at each place, in row order, shape (places,).
        document: number of the document at each place, -1 for none; its places need not be contiguous.

    Returns:
        Distinct pairs a < b.

    >>> a, b = adjacent_pairs(np.array([0, 1, 2, 0]), np.array([7, 8, 7, 7]))
    >>> list(zip(a.tolist(), b.tolist()))
    [(0, 2)]
    """
    order = np.argsort(document, kind="stable")
    text, document = text[order], document[order]
    here = (document[1:] == document[:-1]) & (document[1:] >= 0) & (text[1:] != text[:-1])
    return coded_pairs(distinct_codes(pair_codes(text[:-1][here], text[1:][here])))


def random_pairs(
    names: NDArray[np.uint64], each: int, seed: int, shards: int = 1
) -> tuple[IntArray, IntArray]:
    """Pair each text with the next ``each`` texts in the order of seeded draws.

    Args:
        names: names of n texts in ascending order, shape (n,); complete shards.
        each: number of partners after each text; a text has twice as many in total.
        seed: seed of the draws.
        shards: number of shards; both texts of a pair are in the same one, so a worker holds one shard at a
            time.

    Returns:
        Distinct pairs a < b.
    """
    drawn = draws([names], seed)
    order = np.argsort(drawn, kind="stable")
    shard = shard_of_draw(drawn[order], shards)
    codes = [np.empty(0, np.int64)]
    for step in range(1, min(each, len(names) - 1) + 1):
        codes.append(pair_codes(order[:-step], order[step:])[shard[:-step] == shard[step:]])
    return coded_pairs(distinct_codes(np.concatenate(codes)))


def random_partners(
    names: NDArray[np.uint64], each: int, seed: int, shards: int = 1
) -> tuple[IntArray, IntArray]:
    """Pair each query with the next ``each`` texts of the corpus in the order of seeded draws.

    The first text of a shard follows its last. Pairs are distinct, a < b.

    Args:
        names: names of n queries and texts in ascending order, shape (n, 2); complete shards.
        each: highest number of partners of a query.
        seed: seed of the draws.
        shards: number of shards; both texts of a pair are in the same one.
    """
    drawn = draws([names[:, 0]], seed)
    query = are_queries(names)
    order = np.argsort(drawn, kind="stable")
    texts, queries = order[~query[order]], np.flatnonzero(query)
    edges = np.searchsorted(shard_of_draw(drawn[texts], shards), np.arange(shards + 1))
    shard = shard_of_draw(drawn[queries], shards)
    first, count = edges[shard], edges[shard + 1] - edges[shard]
    follows = np.searchsorted(drawn[texts], drawn[queries]) - first
    a, b = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for step in range(each):
        here = step < count
        a.append(queries[here])
        b.append(texts[first[here] + (follows[here] + step) % count[here]])
    return np.concatenate(a), np.concatenate(b)


def word_overlap(text_a: pa.Array, text_b: pa.Array) -> NDArray[np.float32]:
    """Returns the Jaccard similarity of the word sets of n pairs, shape (n,); 0 if neither has a word."""
    a, b = (shingle_counts(normalise(texts), "word", 1) for texts in (text_a, text_b))
    a.data[:] = b.data[:] = 1
    shared = np.asarray(a.multiply(b).sum(axis=1)).ravel()
    union = np.diff(a.indptr) + np.diff(b.indptr) - shared
    overlap: NDArray[np.float32] = (shared / np.maximum(union, 1)).astype(np.float32)
    return overlap


def band_quotas(there: Sequence[int] | IntArray, rows: int) -> IntArray:
    """Compute how many rows to draw from each band: equal quotas, and more from others if one is too small.

    Args:
        there: number of rows in each band, shape (bands,).
        rows: rows to draw in total; all rows if there are fewer.

    Returns:
        Quotas, shape (bands,).

    >>> band_quotas([50, 8, 2], 20).tolist()
    [10, 8, 2]
    """
    have = np.asarray(there, np.int64)
    quota = np.zeros(len(have), np.int64)
    left = min(rows, int(have.sum()))
    while left > 0:
        open_bands = np.flatnonzero(quota < have)
        # Open bands have the same quota, so the last few rows go to the first of them.
        share = left // len(open_bands) or (np.arange(len(open_bands)) < left).astype(np.int64)
        given = np.minimum(have[open_bands] - quota[open_bands], share)
        quota[open_bands] += given
        left -= int(given.sum())
    return quota


def sample_shares(counts: IntArray, rows: int) -> IntArray:
    """Compute how many rows of each shard an even sample takes: in each band, the lowest draws of all shards.

    Args:
        counts: rows by shard and band, shards in the order of their draws, shape (shards, bands).
        rows: rows to draw in total; all rows if there are fewer.

    Returns:
        How many of the lowest draws to take from each band of a shard, shape (shards, bands).

    >>> sample_shares(np.array([[3, 1], [9, 0]]), 5).tolist()
    [[3, 1], [1, 0]]
    """
    before = np.cumsum(counts, axis=0) - counts
    shares: IntArray = np.clip(band_quotas(counts.sum(axis=0), rows) - before, 0, counts)
    return shares


def draw_sample(pairs: MinedPairs, shares: IntArray) -> IntArray:
    """Draw pairs of a shard: in each band those with the lowest draws.

    Args:
        pairs: scored pairs; scores outside 0 to 1 count in the first or last band.
        shares: how many pairs to draw from each band, shape (bands,).

    Returns:
        Indices into ``pairs``, in the order of the draws.

    >>> a = np.arange(60)
    >>> score = np.repeat([0.05, 0.55, 0.95], [50, 8, 2])
    >>> many = MinedPairs(a, a + 60, score, draws([a.astype(np.uint64)], 0), *np.zeros((2, 60), bool))
    >>> there = np.bincount(score_bands(many.score), minlength=BANDS)
    >>> chosen = draw_sample(many, sample_shares(there[None], 20)[0])
    >>> np.bincount((many.score[chosen] * 10).astype(int)).tolist()
    [10, 0, 0, 0, 0, 8, 0, 0, 0, 2]
    """
    band = score_bands(pairs.score)
    order = np.lexsort((pairs.b, pairs.a, pairs.draw))
    by_band = order[np.argsort(band[order], kind="stable")]
    chosen = np.zeros(len(band), bool)
    chosen[by_band[rank_in_group(band[by_band]) < shares[band[by_band]]]] = True
    return order[chosen[order]]


def score_bands(score: NDArray[np.float32]) -> IntArray:
    """Returns the band of each score, 0 to 9."""
    bands: IntArray = np.clip((score * BANDS).astype(np.int64), 0, BANDS - 1)
    return bands
