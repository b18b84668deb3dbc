"""From texts to pairs, and from scored pairs to training sets in wiki-sim's shapes. Pure functions.

Texts are numbered in the order of their names, the 128-bit hashes of their normal forms; draws and orders
come from hashes of the names. So a result depends on the texts and the seed, not on the rows' order.

============================  ==================================================  ===========================
subset                        rows                                                columns
============================  ==================================================  ===========================
``raw``                       every candidate pair                                anchor, text, origin
``pair-score``                every scored pair                                   sentence1, sentence2, score
``pair-score-hard``           pairs whose score and word overlap (Jaccard) are    sentence1, sentence2, score
                              far apart
``pair-score-sampled``        pair-score, as even over score bands as they allow  sentence1, sentence2, score
``triplet``                   an anchor, its best pair, pairs that score low      anchor, positive, negative
``triplet-hard``              the same with the best-scoring pairs that are worse  anchor, positive, negative
                              than the positive by a margin or differ in a fact
============================  ==================================================  ===========================
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.arrays import IntArray, coded_pairs, group_starts, pair_codes, rank_in_group
from beam_sts.candidates.buckets import distinct_codes
from beam_sts.candidates.keys import mix64, normalise
from beam_sts.candidates.tf_idf import shingle_counts

SUBSETS = ("raw", "pair-score", "pair-score-hard", "pair-score-sampled", "triplet", "triplet-hard")
SPLITS = ("train", "test")
BANDS = 10
TRIPLETS = {"triplet": False, "triplet-hard": True}
"""Sets of triplets, and whether their negatives are hard."""

ORIGINS = ("adjacent", "neighbours", "lexical", "random")
"""What proposes pairs, in the order in which a pair names them."""


class MinedPairs(NamedTuple):
    """Pairs of texts a < b with their scores and draws (of :func:`draws`), of shape (pairs,) each.

    ``differs``: whether the two differ in a fact.
    """

    a: IntArray
    b: IntArray
    score: NDArray[np.float32]
    draw: NDArray[np.uint64]
    differs: NDArray[np.bool_]

    def take(self, part: slice | IntArray) -> MinedPairs:
        """Those of some places."""
        return MinedPairs(self.a[part], self.b[part], self.score[part], self.draw[part], self.differs[part])


def draws(names: Sequence[NDArray[np.uint64]], seed: int) -> NDArray[np.uint64]:
    """64 random bits for each row of names: one column for texts, two for pairs, the lower name first."""
    return mix64(names, seed)


def pack_names(names: NDArray[np.uint64]) -> list[bytes]:
    """Names, uint64 (n, 2), as 16 bytes each that sort like them."""
    raw = names.astype(">u8").tobytes()
    return [raw[at : at + 16] for at in range(0, len(raw), 16)]


def unpack_names(packed: Sequence[bytes]) -> NDArray[np.uint64]:
    """Names, uint64 (n, 2), from :func:`pack_names`."""
    return np.frombuffer(b"".join(packed), ">u8").reshape(-1, 2).astype(np.uint64)


def shard_of(draw: NDArray[np.uint64], shards: int) -> IntArray:
    """Which of equal ranges each draw is in; so shards one after the other are in the order of draws.

    >>> shard_of(np.array([0, 1 << 62, (1 << 64) - 1], np.uint64), 4).tolist()
    [0, 1, 3]
    """
    shard: IntArray = ((draw >> np.uint64(32)) * np.uint64(shards) >> np.uint64(32)).astype(np.int64)
    return shard


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


def split_key(text: str) -> str:
    """What decides about the split of a text without a document: near-duplicates mostly share it.

    It is the run of three words of the lowest hash, so two texts have the same one as often as they share
    runs of three words (Jaccard).

    >>> split_key("a cat sat on the mat") == split_key("a cat sat on the mat today")
    True
    """
    words = text.split()
    runs = [" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))]
    return min(runs, key=lambda run: (zlib.crc32(run.encode()), run))


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
    return coded_pairs(distinct_codes(pair_codes(text[:-1][here], text[1:][here])))


def random_pairs(
    names: NDArray[np.uint64], each: int, seed: int, shards: int = 1
) -> tuple[IntArray, IntArray]:
    """Each text with the ``each`` next in the order of seeded draws; distinct pairs a < b.

    Args:
        names: of n texts in ascending order, shape (n,); of whole shards.
        each: at most so many partners after each, so twice as many in all.
        seed: of the draws.
        shards: of the draws' range; a pair lies within one, so that a worker need not hold all.
    """
    drawn = draws([names], seed)
    order = np.argsort(drawn, kind="stable")
    shard = shard_of(drawn[order], shards)
    codes = [np.empty(0, np.int64)]
    for step in range(1, min(each, len(names) - 1) + 1):
        codes.append(pair_codes(order[:-step], order[step:])[shard[:-step] == shard[step:]])
    return coded_pairs(distinct_codes(np.concatenate(codes)))


def word_overlap(text_a: pa.Array, text_b: pa.Array) -> NDArray[np.float32]:
    """Jaccard similarity of the word sets of n pairs, of shape (n,); 0 where both have no word."""
    a, b = (shingle_counts(normalise(texts), "word", 1) for texts in (text_a, text_b))
    a.data[:] = b.data[:] = 1
    shared = np.asarray(a.multiply(b).sum(axis=1)).ravel()
    union = np.diff(a.indptr) + np.diff(b.indptr) - shared
    overlap: NDArray[np.float32] = (shared / np.maximum(union, 1)).astype(np.float32)
    return overlap


def band_quotas(there: Sequence[int] | IntArray, rows: int) -> IntArray:
    """How many rows to draw from each band: equal shares, what a band lacks is shared among the others.

    Args:
        there: rows of each band, shape (bands,).
        rows: to draw in all, or as many as there are.

    >>> band_quotas([50, 8, 2], 20).tolist()
    [10, 8, 2]
    """
    have = np.asarray(there, np.int64)
    quota = np.zeros(len(have), np.int64)
    left = min(rows, int(have.sum()))
    while left > 0:
        open_bands = np.flatnonzero(quota < have)
        # Bands that are still open have the same quota, so the last few rows go to the first of them.
        share = left // len(open_bands) or (np.arange(len(open_bands)) < left).astype(np.int64)
        given = np.minimum(have[open_bands] - quota[open_bands], share)
        quota[open_bands] += given
        left -= int(given.sum())
    return quota


def sample_shares(counts: IntArray, rows: int) -> IntArray:
    """How many rows each shard gives to an even sample: of each band the lowest draws of all shards.

    Args:
        counts: rows by shard and band, shards in the order of their draws, shape (shards, bands).
        rows: to draw in all, or as many as there are.

    Returns:
        Of the same shape: of each band of a shard, how many of its lowest draws to take.

    >>> sample_shares(np.array([[3, 1], [9, 0]]), 5).tolist()
    [[3, 1], [1, 0]]
    """
    before = np.cumsum(counts, axis=0) - counts
    shares: IntArray = np.clip(band_quotas(counts.sum(axis=0), rows) - before, 0, counts)
    return shares


def draw_sample(pairs: MinedPairs, shares: IntArray) -> IntArray:
    """Draw pairs of a shard: of each band those of the lowest draws.

    Args:
        pairs: scored pairs; scores beyond 0 to 1 count to the outer bands.
        shares: how many to draw of each band, shape (bands,).

    Returns:
        Places in ``pairs``, in the order of the draws.

    >>> a = np.arange(60)
    >>> score = np.repeat([0.05, 0.55, 0.95], [50, 8, 2])
    >>> many = MinedPairs(a, a + 60, score, draws([a.astype(np.uint64)], 0), np.zeros(60, bool))
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
    """The band of each score, 0 to 9."""
    bands: IntArray = np.clip((score * BANDS).astype(np.int64), 0, BANDS - 1)
    return bands


class Triplets(NamedTuple):
    """Numbers of texts and the draws of anchor and positive, of shape (triplets,) each."""

    anchor: IntArray
    positive: IntArray
    negative: IntArray
    draw: NDArray[np.uint64]


@dataclass(frozen=True)
class TripletRule:
    """What is a positive and what a negative of an anchor; names and meanings as in sentence-transformers.

    ``positive``: least score of a positive. ``negative``: most score of an easy negative. A negative scores
    at least ``absolute_margin`` less than the positive, and at most 1 - ``relative_margin`` of it; a hard one
    that differs in a fact from the anchor may score anything. Hard negatives score ``min_score`` to
    ``max_score`` and are, by score, the partners of ranks ``range_min`` to ``range_max`` (from 0, the latter
    excluded) besides the positive. ``num_negatives`` of them are taken: the best (``top``) or any
    (``random``).
    """

    positive: float = 0.8
    negative: float = 0.3
    absolute_margin: float = 0.2
    relative_margin: float = 0.0
    num_negatives: int = 10
    range_min: int = 0
    range_max: int | None = None
    min_score: float | None = None
    max_score: float | None = None
    sampling_strategy: str = "top"


def triplets(
    pairs: MinedPairs, rule: TripletRule, *, hard: bool, anchors: NDArray[np.bool_] | None = None
) -> Triplets:
    """Each text that has both as an anchor, with its best positive and some negatives.

    The positive is the best-scoring partner that differs in no fact, of equals the lower. No negative is a
    partner that could be a positive.

    Args:
        pairs: scored pairs, all that the anchors are in.
        rule: of the set.
        hard: which negatives; easy ones are the anchor's partners of the lowest draws.
        anchors: texts that may be anchors, shape (texts,); default: all. A worker that has all pairs of some
            texts gives theirs.

    Returns:
        Triplets in the order of the draws of their positives, of anchors, and of negatives from the best.

    >>> drawn, none = np.arange(3, dtype=np.uint64), np.zeros(3, bool)
    >>> scores = np.array([0.9, 0.6, 0.1], np.float32)
    >>> pairs = MinedPairs(np.array([0, 0, 0]), np.array([1, 2, 3]), scores, drawn, none)
    >>> found = triplets(pairs, TripletRule(num_negatives=1), hard=True)
    >>> tuple(int(x[0]) for x in found[:3])
    (0, 1, 2)
    """
    anchor = np.concatenate([pairs.a, pairs.b])
    other = np.concatenate([pairs.b, pairs.a])
    score, draw, differs = np.tile(pairs.score, 2), np.tile(pairs.draw, 2), np.tile(pairs.differs, 2)
    if anchors is not None:
        here = anchors[anchor]
        anchor, other, score, draw, differs = (
            anchor[here],
            other[here],
            score[here],
            draw[here],
            differs[here],
        )
    positive = (score >= np.float32(rule.positive)) & ~differs
    by_score = np.lexsort((other, -score, anchor))
    best = _first_of_each(anchor, by_score[positive[by_score]])
    of_best = np.full(int(anchor.max(initial=-1)) + 1, -1)
    of_best[anchor[best]] = best
    rows = by_score[of_best[anchor[by_score]] >= 0]
    rows = rows[rows != of_best[anchor[rows]]]
    good = of_best[anchor[rows]]
    fits = score[rows] <= score[good] - rule.absolute_margin
    fits &= score[rows] <= score[good] * (1 - rule.relative_margin)
    if hard:
        fits |= differs[rows]
        rank = rank_in_group(anchor[rows])
        fits &= (rank >= rule.range_min) & (rule.range_max is None or rank < rule.range_max)
        fits &= score[rows] >= (-np.inf if rule.min_score is None else rule.min_score)
        fits &= score[rows] <= (np.inf if rule.max_score is None else rule.max_score)
    else:
        fits &= score[rows] <= rule.negative
    rows = rows[fits & ~positive[rows]]
    if not hard or rule.sampling_strategy == "random":
        rows = rows[np.lexsort((other[rows], draw[rows], anchor[rows]))]
    rows = rows[rank_in_group(anchor[rows]) < rule.num_negatives]
    good = of_best[anchor[rows]]
    order = np.lexsort((anchor[rows], draw[good]))  # keeps the order of an anchor's negatives
    rows, good = rows[order], good[order]
    return Triplets(anchor[rows], other[good], other[rows], draw[good])


def positives_from(counts: IntArray, share: float) -> float:
    """The least score of the best-scoring share of pairs, to a thousandth.

    Args:
        counts: pairs by thousandth of their score, of :func:`count_scores`.
        share: 0 to 1; no more than that many are taken, unless those of the best thousandth are more.

    >>> positives_from(count_scores(np.array([0.1, 0.2, 0.9042, 0.95], np.float32)), 0.5)
    0.904
    """
    above = np.cumsum(counts[::-1])[::-1]
    enough = np.flatnonzero(above <= share * counts.sum())
    there = np.flatnonzero(counts)
    least = int(enough[0]) if len(enough) else len(counts) - 1
    higher = there[there >= least]
    return float((higher[0] if len(higher) else there[-1] if len(there) else len(counts) - 1) / _THOUSAND)


def count_scores(scores: NDArray[np.float32]) -> IntArray:
    """Pairs by thousandth of their score, shape (1001,)."""
    steps = np.clip((scores.astype(np.float64) * _THOUSAND + 1e-6).astype(np.int64), 0, _THOUSAND)
    counts: IntArray = np.bincount(steps, minlength=_THOUSAND + 1).astype(np.int64)
    return counts


_THOUSAND = 1_000


def _first_of_each(group: IntArray, order: IntArray) -> IntArray:
    """The first place of each group in an order that keeps groups together."""
    return order[group_starts(group[order])]
