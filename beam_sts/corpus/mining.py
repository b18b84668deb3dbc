"""From scored candidate pairs to training sets in wiki-sim's shapes. Pure functions on arrays.

============================  ==================================================  ===========================
subset                        rows                                                columns
============================  ==================================================  ===========================
``raw``                       every candidate pair                                anchor, text, origin
``pair-score``                every scored pair                                   sentence1, sentence2, score
``pair-score-hard``           pairs whose score and word overlap (Jaccard) are    sentence1, sentence2, score
                              far apart
``pair-score-sampled``        pair-score, as even over score bands as they allow  sentence1, sentence2, score
``triplet``                   an anchor, its best pair, a pair that scores low    anchor, positive, negative
``triplet-hard``              the same with the best-scoring pair that is worse   anchor, positive, negative
                              than the positive by a margin
============================  ==================================================  ===========================
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.corpus.buckets import IntArray, distinct_codes
from beam_sts.corpus.candidates import mix64, normalise
from beam_sts.corpus.neighbours import shingle_counts
from beam_sts.errors import UserError

SUBSETS = ("raw", "pair-score", "pair-score-hard", "pair-score-sampled", "triplet", "triplet-hard")
SPLITS = ("train", "test")
BANDS = 10

_PAIRS_AT_ONCE = 200_000


class MinedPairs(NamedTuple):
    """Pairs of texts a < b with their scores, of shape (pairs,) each."""

    a: IntArray
    b: IntArray
    score: NDArray[np.float32]


def split_sentences(texts: pa.Array | pa.ChunkedArray, language: str = "en") -> tuple[IntArray, pa.Array]:
    """Sentences of texts, in order, ends trimmed, blank ones left out.

    Args:
        texts: n texts without nulls.
        language: two-letter code, as sentencex knows it.

    Returns:
        The number of the text that each sentence is from, and the sentences.
    """
    from sentencex import segment

    owners: list[int] = []
    sentences: list[str] = []
    for number, text in enumerate(texts.to_pylist()):
        found = [stripped for one in segment(language, text) if (stripped := one.strip())]
        owners += [number] * len(found)
        sentences += found
    return np.array(owners, np.int64), pa.array(sentences, pa.large_string())


def in_test(keys: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which keys go to the test split: a share of them by hash, whatever the other keys are.

    Args:
        keys: documents, or texts where there are none.
        share: of the keys, 0 to 1.
        seed: another seed, another split.

    >>> in_test(["one", "two", "three"], 0.5, 0).tolist() == in_test(["one", "two", "three"], 0.5, 0).tolist()
    True
    """
    salt = seed.to_bytes(8, "little", signed=True)
    digests = b"".join(hashlib.blake2b(key.encode(), digest_size=8, salt=salt).digest() for key in keys)
    drawn: NDArray[np.bool_] = np.frombuffer(digests, "<u8") / 2.0**64 < share
    return drawn


def adjacent_pairs(text: IntArray, document: IntArray) -> tuple[IntArray, IntArray]:
    """Texts that follow each other in a document.

    Args:
        text: number of the text at each place, in the order of the documents' rows.
        document: number of its document, -1 for none; a document's places need not be together.

    Returns:
        Distinct pairs a < b.

    >>> a, b = adjacent_pairs(np.array([0, 1, 2, 0]), np.array([7, 8, 7, 7]))
    >>> list(zip(a.tolist(), b.tolist()))
    [(0, 2)]
    """
    order = np.argsort(document, kind="stable")
    text, document = text[order], document[order]
    here = (document[1:] == document[:-1]) & (document[1:] >= 0) & (text[1:] != text[:-1])
    first, second = text[:-1][here], text[1:][here]
    codes = distinct_codes(np.minimum(first, second) << 32 | np.maximum(first, second))
    return codes >> 32, codes & 0xFFFFFFFF


def random_pairs(texts: int, each: int, seed: int) -> tuple[IntArray, IntArray]:
    """Each text with ``each`` others drawn by a seeded hash; distinct pairs a < b."""
    if texts < 2 or not each:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    own = np.tile(np.arange(texts, dtype=np.uint64), each)
    draw = np.repeat(np.arange(each, dtype=np.uint64), texts)
    other = (own + 1 + mix64([own, draw], seed) % np.uint64(texts - 1)) % np.uint64(texts)
    first, second = own.astype(np.int64), other.astype(np.int64)
    codes = distinct_codes(np.minimum(first, second) << 32 | np.maximum(first, second))
    return codes >> 32, codes & 0xFFFFFFFF


def word_overlap(texts: pa.Array | pa.ChunkedArray, a: IntArray, b: IntArray) -> NDArray[np.float32]:
    """Jaccard similarity of the word sets of pairs, of shape (pairs,); 0 where both have no word."""
    words = shingle_counts(normalise(texts), "word", 1)
    words.data[:] = 1
    size = np.diff(words.indptr)
    parts = [np.empty(0, np.float32)]
    for begin in range(0, len(a), _PAIRS_AT_ONCE):
        some = slice(begin, begin + _PAIRS_AT_ONCE)
        shared = np.asarray(words[a[some]].multiply(words[b[some]]).sum(axis=1)).ravel()
        union = size[a[some]] + size[b[some]] - shared
        parts.append((shared / np.maximum(union, 1)).astype(np.float32))
    return np.concatenate(parts)


def shuffled(a: IntArray, b: IntArray, seed: int) -> IntArray:
    """An order of pairs that depends on the pairs and the seed alone."""
    order: IntArray = np.lexsort((b, a, mix64([a.astype(np.uint64), b.astype(np.uint64)], seed)))
    return order


def sample_evenly(pairs: MinedPairs, rows: int, seed: int) -> IntArray:
    """Draw pairs as evenly over ten equal bands of score as the bands allow.

    Each band gives an equal share; what a band lacks is shared among the others.

    Args:
        pairs: scored pairs; scores beyond 0 to 1 count to the outer bands.
        rows: how many to draw; all, if there are no more.
        seed: of the draw.

    Returns:
        Places in ``pairs``, in a seeded order.

    >>> many = MinedPairs(np.arange(60), np.arange(60) + 60, np.repeat([0.05, 0.55, 0.95], [50, 8, 2]))
    >>> np.bincount((many.score[sample_evenly(many, 20, 0)] * 10).astype(int)).tolist()
    [10, 0, 0, 0, 0, 8, 0, 0, 0, 2]
    """
    band = score_bands(pairs.score)
    there = np.bincount(band, minlength=BANDS)
    quota = np.zeros(BANDS, np.int64)
    left = min(rows, len(band))
    while left > 0:
        open_bands = np.flatnonzero(quota < there)
        # Bands that are still open have the same quota, so the last few rows go to the first of them.
        share = left // len(open_bands) or (np.arange(len(open_bands)) < left).astype(np.int64)
        given = np.minimum(there[open_bands] - quota[open_bands], share)
        quota[open_bands] += given
        left -= int(given.sum())
    order = shuffled(pairs.a, pairs.b, seed)
    by_band = order[np.argsort(band[order], kind="stable")]
    rank = np.arange(len(by_band)) - (np.cumsum(there) - there)[band[by_band]]
    chosen = np.zeros(len(band), bool)
    chosen[by_band[rank < quota[band[by_band]]]] = True
    return order[chosen[order]]


def score_bands(score: NDArray[np.float32]) -> IntArray:
    """The band of each score, 0 to 9."""
    bands: IntArray = np.clip((score * BANDS).astype(np.int64), 0, BANDS - 1)
    return bands


class Triplets(NamedTuple):
    """Numbers of texts, of shape (triplets,) each; every anchor once."""

    anchor: IntArray
    positive: IntArray
    negative: IntArray


def triplets(
    pairs: MinedPairs, *, positive: float, negative: float, margin: float, hard: bool, seed: int
) -> Triplets:
    """Each text that has both as an anchor, with its best pair and a worse one.

    Args:
        pairs: scored pairs.
        positive: least score of a positive; the best-scoring partner is taken.
        negative: most score of an easy negative, drawn among the anchor's partners.
        margin: by which a hard negative scores less than the positive; the best such partner is taken.
        hard: which negative.
        seed: of the draw and of the order.

    >>> pairs = MinedPairs(np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([0.9, 0.6, 0.1], np.float32))
    >>> tuple(int(x[0]) for x in triplets(pairs, positive=0.8, negative=0.3, margin=0.2, hard=True, seed=0))
    (0, 1, 2)
    """
    anchor = np.concatenate([pairs.a, pairs.b])
    other = np.concatenate([pairs.b, pairs.a])
    score = np.concatenate([pairs.score, pairs.score])
    best = _first_of_each(anchor, np.lexsort((other, -score, anchor)))
    best = best[score[best] >= positive]
    texts = int(anchor.max(initial=-1)) + 1
    partner = np.full(texts, -1)
    partner[anchor[best]] = other[best]
    limit = np.full(texts, -np.inf)
    limit[anchor[best]] = score[best] - margin if hard else negative
    # An easy negative may not come closer to the positive than a hard one.
    limit[anchor[best]] = np.minimum(limit[anchor[best]], score[best] - margin)
    worse = np.flatnonzero(score <= limit[anchor])
    if hard:
        order = np.lexsort((other[worse], -score[worse], anchor[worse]))
    else:
        drawn = mix64([anchor[worse].astype(np.uint64), other[worse].astype(np.uint64)], seed)
        order = np.lexsort((other[worse], drawn, anchor[worse]))
    chosen = _first_of_each(anchor, worse[order])
    found = Triplets(anchor[chosen], partner[anchor[chosen]], other[chosen])
    order = shuffled(found.anchor, found.positive, seed)
    return Triplets(*(column[order] for column in found))


def _first_of_each(group: IntArray, order: IntArray) -> IntArray:
    """The first place of each group in an order that keeps groups together."""
    ordered = group[order]
    first: IntArray = order[np.diff(ordered, prepend=-1) != 0]
    return first


def subset_tables(
    texts: pa.Array,
    pairs: MinedPairs,
    origin: pa.Array,
    *,
    sampled_rows: int | None = None,
    hard_gap: float = 0.4,
    positive: float = 0.8,
    negative: float = 0.3,
    margin: float = 0.2,
    seed: int = 0,
) -> dict[str, pa.Table]:
    """The six subsets of one split.

    Args:
        texts: n texts.
        pairs: all scored pairs of the split.
        origin: what proposed each, of shape (pairs,).
        sampled_rows: of ``pair-score-sampled``; by default half of the pairs.
        hard_gap: between score and word overlap.
        positive: as for :func:`triplets`, and so are the next two.
        negative: see there.
        margin: see there.
        seed: of draws and orders.
    """
    order = shuffled(pairs.a, pairs.b, seed)
    pairs = MinedPairs(pairs.a[order], pairs.b[order], pairs.score[order])
    origin = origin.take(pa.array(order))
    gap = np.abs(pairs.score - word_overlap(texts, pairs.a, pairs.b))
    sampled = sample_evenly(pairs, len(order) // 2 if sampled_rows is None else sampled_rows, seed)

    def scored(places: IntArray | slice) -> pa.Table:
        columns = texts.take(pa.array(pairs.a[places])), texts.take(pa.array(pairs.b[places]))
        return pa.table([*columns, pairs.score[places]], ["sentence1", "sentence2", "score"])

    def three(hard: bool) -> pa.Table:
        found = triplets(pairs, positive=positive, negative=negative, margin=margin, hard=hard, seed=seed)
        return pa.table([texts.take(pa.array(one)) for one in found], ["anchor", "positive", "negative"])

    raw = [texts.take(pa.array(pairs.a)), texts.take(pa.array(pairs.b)), pc.cast(origin, pa.string())]
    return {
        "raw": pa.table(raw, ["anchor", "text", "origin"]),
        "pair-score": scored(slice(None)),
        "pair-score-hard": scored(np.flatnonzero(gap >= hard_gap)),
        "pair-score-sampled": scored(sampled),
        "triplet": three(False),
        "triplet-hard": three(True),
    }
