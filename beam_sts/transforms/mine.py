"""MinePairs: scored training pairs from a collection of texts, on any runner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.metrics import Metrics

from beam_sts.corpus.buckets import CAP
from beam_sts.corpus.candidates import MinHash, normalise
from beam_sts.corpus.mining import in_test
from beam_sts.transforms.candidates import BucketCandidates, JoinTexts, KeyTexts, MergeCandidates
from beam_sts.transforms.handler import METRICS_NAMESPACE
from beam_sts.transforms.score import ScorePairs
from beam_sts.types import Rejected

ORIGINS = ("adjacent", "minhash", "random")
_REJECTED = "rejected"


class MinedRows(NamedTuple):
    """Dicts of sentence1, sentence2, score, origin and split; and what could not be used, with the reason."""

    pairs: beam.PCollection
    rejected: beam.PCollection


class MinePairs(beam.PTransform):
    """Texts, or ``(document, place, text)`` -> :class:`MinedRows`.

    Texts with one normal form are one text, that of the smallest document. Pairs are proposed within each
    split: texts that share words (MinHash), texts that follow each other in a document, and texts next to
    each other in the order of a seeded hash. No text is in both splits. A document's places and a shard's
    hashes must fit into memory; nothing else is held.

    Args:
        minhash: which texts share a bucket.
        model: as for ``PairScorer``.
        test_share: of documents, or of texts without one, that are the test split.
        random_shards: groups within which texts are paired at random; fewer for a small corpus, more for one
            whose hashes divided by it do not fit into memory.
        cap: largest bucket whose texts are all paired.
        seed: of the split and the random pairs.
        **score_args: more for ``ScorePairs``: symmetric, precision, long_text, ...

    >>> texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Stocks fell sharply."]
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     mined = pipeline | beam.Create(texts) | MinePairs(test_share=0, random_shards=1)
    ...     alike = mined.pairs | beam.Filter(lambda row: row["score"] > 0.6)
    ...     _ = alike | beam.Map(lambda row: print(row["split"], "minhash" in row["origin"]))
    train True
    """

    def __init__(
        self,
        minhash: MinHash | None = None,
        model: str = "beam-sts-nano",
        *,
        test_share: float = 0.03,
        random_shards: int = 64,
        cap: int = CAP,
        seed: int = 0,
        **score_args: Any,
    ) -> None:
        super().__init__()
        if not 0 <= test_share <= 1:
            raise ValueError(f"test_share {test_share} must be between 0 and 1")
        if random_shards < 1:
            raise ValueError(f"random_shards {random_shards} must be at least 1")
        self._minhash = minhash or MinHash(0.3, 0.9, "word1")
        self._model = model
        self._test_share = test_share
        self._random_shards = random_shards
        self._cap = cap
        self._seed = seed
        self._score_args = score_args

    def expand(self, texts: beam.PCollection) -> MinedRows:
        """Name texts by their hash, propose, join, score."""
        placed = texts | "Place" >> beam.ParDo(_Place(self._test_share, self._seed)).with_outputs(
            _REJECTED, main="placed"
        )
        # A text's split is that of its smallest document, so that every runner gives the same.
        known = (
            placed["placed"]
            | "By text" >> beam.Map(lambda one: (one.ident, (one.owner, one.test, one.text)))
            | "Distinct" >> beam.CombinePerKey(min)
        )
        named = known | "Id" >> beam.MapTuple(lambda ident, found: ((found[1], ident), found[2]))
        adjacent = (
            placed["placed"]
            | "In documents" >> beam.Filter(lambda one: one.document is not None)
            | "By document" >> beam.Map(lambda one: (one.document, (one.place, one.ident)))
            | "Document" >> beam.GroupByKey()
            | "Follow" >> beam.FlatMap(_adjacent)
            | "Once" >> beam.Distinct()
        )
        split_of = known | "Split" >> beam.MapTuple(lambda ident, found: (ident, found[1]))
        adjacent = {"pairs": adjacent, "split": split_of} | "Adjacent" >> _WithinSplit()
        near = (
            named
            | "Keys" >> KeyTexts(self._minhash.keys)
            | "Apart" >> beam.MapTuple(lambda key, ident: (key + bytes([ident[0]]), ident))
            | "Buckets" >> BucketCandidates("minhash", self._cap)
        )
        random = (
            named
            | "Shard" >> beam.Map(_shard, self._random_shards, self._seed)
            | "Shards" >> beam.GroupByKey()
            | "Random" >> beam.FlatMap(_consecutive)
        )
        pairs = (adjacent, near, random) | "Merge" >> MergeCandidates(ORIGINS)
        scored, failed = (
            {"pairs": pairs, "texts": named}
            | "Texts" >> JoinTexts()
            | "Row" >> beam.Map(_row)
            | "Score" >> ScorePairs(self._model, text_a="sentence1", text_b="sentence2", **self._score_args)
        )
        rejected = (placed[_REJECTED], failed) | "Rejected" >> beam.Flatten()
        return MinedRows(scored, rejected)


class _Placed(NamedTuple):
    """A text at a place: ``ident`` is the hash of its normal form, ``owner`` decides its split."""

    ident: str
    owner: str
    test: bool
    document: Any
    place: Any
    text: str


class _Place(beam.DoFn):
    """A text, or (document, place, text) -> its place, or a rejection."""

    def __init__(self, test_share: float, seed: int) -> None:
        self._test_share = test_share
        self._seed = seed

    def process(self, element: Any) -> Iterator[Any]:
        document, place, text = (
            element if isinstance(element, tuple) and len(element) == 3 else (None, 0, element)
        )
        fault = _fault(text)
        if fault:
            Metrics.counter(METRICS_NAMESPACE, "rejected").inc()
            yield pvalue.TaggedOutput(_REJECTED, Rejected(element, fault))
            return
        normal = normalise(pa.array([text], pa.large_string()))[0].as_py()
        owner = normal if document is None else f"document\0{document}"
        test = bool(in_test([owner], self._test_share, self._seed)[0])
        yield _Placed(_digest(normal), owner, test, document, place, text)


def _fault(text: Any) -> str | None:
    if not isinstance(text, str):
        return "null" if text is None else f"{type(text).__name__}, not a text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone surrogate (not valid Unicode)"
    return None if text.strip() else "empty text"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _adjacent(document: tuple[Any, Iterable[tuple[Any, str]]]) -> Iterator[tuple[str, str]]:
    idents = [ident for _, ident in sorted(document[1])]
    for one, other in pairwise(idents):
        if one != other:
            yield min(one, other), max(one, other)


class _WithinSplit(beam.PTransform):
    """Pairs of hashes, and the split of each hash -> candidates of ids; counts those that straddle."""

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        split = collections["split"]
        half = (
            {"pairs": collections["pairs"], "split": split}
            | "First" >> beam.CoGroupByKey()
            | "Split a" >> beam.FlatMapTuple(_spread)
        )
        return (
            {"pairs": half, "split": split}
            | "Second" >> beam.CoGroupByKey()
            | "Split b" >> beam.FlatMapTuple(_meet)
        )


def _spread(first: str, found: dict[str, Iterable[Any]]) -> Iterator[tuple[str, tuple[bool, str]]]:
    test = next(iter(found["split"]))
    for second in found["pairs"]:
        yield second, (test, first)


def _meet(second: str, found: dict[str, Iterable[Any]]) -> Iterator[tuple[tuple[Any, Any], str]]:
    test = next(iter(found["split"]))
    for other, first in found["pairs"]:
        if other == test:
            yield ((test, first), (test, second)), "adjacent"
        else:
            Metrics.counter(METRICS_NAMESPACE, "pairs_straddling").inc()


def _shard(named: tuple[tuple[bool, str], str], shards: int, seed: int) -> tuple[Any, tuple[str, Any]]:
    ident = named[0]
    drawn = _digest(f"{seed}\0{ident[1]}")
    return (ident[0], int(drawn[:8], 16) % shards), (drawn, ident)


def _consecutive(shard: tuple[Any, Iterable[tuple[str, Any]]]) -> Iterator[tuple[tuple[Any, Any], str]]:
    idents = [ident for _, ident in sorted(shard[1])]
    for one, other in pairwise(idents):
        yield (min(one, other), max(one, other)), "random"


def _row(joined: tuple[Any, Any, str, str, str]) -> dict[str, Any]:
    first, _, text_a, text_b, origin = joined
    split = "test" if first[0] else "train"
    return {"sentence1": text_a, "sentence2": text_b, "origin": origin, "split": split}
