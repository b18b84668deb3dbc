"""Scores that decide: a candidate becomes an edge only by the score given here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.dedup.facts.compare import differ
from beam_sts.dedup.facts.read import read_facts
from beam_sts.dedup.overlap import Overlap
from beam_sts.errors import UserError
from beam_sts.io.summary import add_records, length_histogram
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.decisions import decisive
from beam_sts.scoring.scorer import PairScorer

RULES = ("model", "cascade", "identical", "blend", "guard")
THRESHOLD = 0.9
"""Least score of a duplicate, unless another is given: chosen with ``MODEL_SHARE``, see docs/dedup.md."""
MODEL_SHARE = 0.25
"""Of a blended score; the rest is the overlap's."""


@dataclass(frozen=True)
class VerifyStats:
    """Counts of one call, or of several added up.

    ``failed`` pairs have no score; ``truncated`` and ``windowed`` as in ``ScoreStats``; ``cascaded`` went to
    the second model, and for ``changed`` of them that turned the decision;
    ``guarded`` differ in a fact, and have no score either. Tokens and lengths are the first
    model's.
    """

    pairs: int = 0
    identical: int = 0
    failed: int = 0
    truncated: int = 0
    windowed: int = 0
    unknown: int = 0
    cascaded: int = 0
    changed: int = 0
    guarded: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    length_histogram: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def __add__(self, other: VerifyStats) -> VerifyStats:
        return VerifyStats(**add_records([asdict(self), asdict(other)]))


@dataclass(frozen=True)
class Verified:
    """Scores float32 (n,), NaN where a pair could not be scored, and the index of each one's rule."""

    scores: NDArray[np.float32]
    rules: NDArray[np.int8]
    stats: VerifyStats = field(default_factory=VerifyStats)


@dataclass(frozen=True)
class Verifier:
    """Scores pairs of texts in an order of their own, so that it does not matter which comes first.

    Equal texts score 1 without a model. The pairs whose score lies within ``band`` (both ends included) are
    scored again by ``cascade``, whose score counts in place of the first model's.

    Args:
        scorer: the model.
        symmetric: mean of both orders, at twice the work.
        cascade: a second, better model.
        band: lowest and highest score that go to it.
        threshold: to tell which decisions the second model changes.
        overlap: the score is a mean of the model's and this one's (``blend``).
        share: the model's part of that mean.
        guard: which facts of two texts must not differ, as of ``beam_sts.dedup.facts.compare``; a pair that
            differs in one has no score, and no model is asked.
    """

    scorer: PairScorer
    symmetric: bool = False
    cascade: PairScorer | None = None
    band: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.5
    overlap: Overlap | None = None
    share: float = MODEL_SHARE
    guard: str = "none"

    def verify(self, text_a: pa.Array, text_b: pa.Array) -> Verified:
        """Score two columns of n texts (``large_string``, without nulls)."""
        equal = np.asarray(pc.equal(text_a, text_b))
        scores = np.ones(len(equal), dtype=np.float32)
        rules = np.full(len(equal), RULES.index("identical"), dtype=np.int8)
        guarded = np.zeros(len(equal), dtype=bool)
        if self.guard != "none":
            guarded[~equal] = self._guarded(text_a.filter(pa.array(~equal)), text_b.filter(pa.array(~equal)))
            scores[guarded], rules[guarded] = np.nan, RULES.index("guard")
        rows = np.flatnonzero(~equal & ~guarded)
        first, second = _ordered(text_a.take(pa.array(rows)), text_b.take(pa.array(rows)))
        result = self.scorer.run(first, second, symmetric=self.symmetric)
        shared = self.overlap.scores(first, second) if self.overlap is not None else None
        first_scores = decisive(_mean(result.scores, shared, self.share))
        scores[rows] = first_scores
        rules[rows] = RULES.index("model" if shared is None else "blend")
        seconds, cascaded, changed = result.seconds, 0, 0
        if self.cascade is not None:
            inside = np.flatnonzero((first_scores >= self.band[0]) & (first_scores <= self.band[1]))
            taken = pa.array(inside)
            again = self.cascade.run(first.take(taken), second.take(taken), symmetric=self.symmetric)
            better = decisive(_mean(again.scores, shared[inside] if shared is not None else None, self.share))
            limit = np.float32(self.threshold)
            changed = int(((better >= limit) != (first_scores[inside] >= limit)).sum())
            scores[rows[inside]], rules[rows[inside]] = better, RULES.index("cascade")
            seconds, cascaded = seconds + again.seconds, len(inside)
        stats = VerifyStats(
            len(equal),
            int(equal.sum()),
            int(np.isnan(scores[rows]).sum()),
            result.stats.truncated,
            result.stats.windowed,
            result.stats.unknown,
            cascaded,
            changed,
            int(guarded.sum()),
            result.stats.real_tokens,
            result.stats.padded_tokens,
            length_histogram(result.tokens),
            seconds,
        )
        return Verified(scores, rules, stats)

    def _guarded(self, text_a: pa.Array, text_b: pa.Array) -> NDArray[np.bool_]:
        """Whether the texts of each pair differ in a fact. Each distinct text is read once."""
        both = pa.chunked_array([text_a, text_b]).combine_chunks().dictionary_encode()
        if isinstance(both, pa.ChunkedArray):
            both = both.combine_chunks()
        facts = [read_facts(text) for text in both.dictionary.to_pylist()]
        first, second = np.split(both.indices.to_numpy(), 2)
        found = (
            differ(facts[a], facts[b], self.guard) is not None
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        )
        return np.fromiter(found, bool, len(first))


@dataclass(frozen=True)
class Scoring:
    """How pairs are scored, as for ``Verifier``: what travels to the workers that load the models.

    ``args`` are more for ``PairScorer``, of both models.
    """

    model: str | Checkpoint
    symmetric: bool = False
    cascade: str | Checkpoint | None = None
    band: tuple[float, float] = (0.0, 1.0)
    threshold: float = THRESHOLD
    args: dict[str, Any] = field(default_factory=dict)
    share: float = MODEL_SHARE
    guard: str = "none"

    def verifier(self, overlap: Overlap | None = None) -> Verifier:
        """Loads the models."""
        scorer = PairScorer(self.model, **self.args)
        cascade = PairScorer(self.cascade, **self.args) if self.cascade else None
        more = self.band, self.threshold, overlap, self.share, self.guard
        return Verifier(scorer, self.symmetric, cascade, *more)


def check_pairs(pairs: int, most: int) -> None:
    """See that there are not more candidates than are to be scored.

    Raises:
        UserError: naming both numbers, and what narrows the candidates.
    """
    if pairs > most:
        raise UserError(
            f"--max_pairs {most:,}: there are {pairs:,} candidate pairs. Raise it, or narrow them: a higher "
            "--minhash_similarity, a smaller --bucket_cap, fewer --candidates."
        )


def _mean(
    model: NDArray[np.float32], shared: NDArray[np.float32] | None, share: float
) -> NDArray[np.float32]:
    if shared is None:
        return model
    mean: NDArray[np.float32] = np.float32(share) * model + np.float32(1 - share) * shared
    return mean


def _ordered(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array]:
    swap = pc.greater(a, b)
    return pc.if_else(swap, b, a), pc.if_else(swap, a, b)
