"""Scoring and comparison of pairs. A candidate becomes an edge only by its score here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.candidates.form import plain_texts
from beam_sts.dedup.boilerplate import Boilerplate
from beam_sts.dedup.facts.texts import compare_texts
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.verdicts import NOT_COMPARED, RULES, MaxLost, Verdicts
from beam_sts.errors import UserError
from beam_sts.io.summary import add_records, length_histogram
from beam_sts.models.checkpoint import Checkpoint
from beam_sts.scoring.decisions import decisive
from beam_sts.scoring.scorer import PairScorer

THRESHOLD = 0.9
"""The default for the lowest score of a duplicate, chosen together with ``MODEL_SHARE``."""
LENGTH = 120
"""With the guard, differences have full weight if the shorter text has at least this many characters."""
LEAST_WEIGHT = 0.5
"""Lowest weight of a difference between short texts. It grows with their length."""
Floats = NDArray[np.float32]
MODEL_SHARE = 0.25
"""The default weight of the model in a blended score. The rest is that of the overlap."""


@dataclass(frozen=True)
class VerifyStats:
    """Counts of one call, or of several added up.

    ``scored`` pairs went to the model. ``truncated`` and ``windowed`` are as in ``ScoreStats``. ``cascaded``
    pairs went to the second model, which changed the decision for ``changed`` of them. Tokens and lengths are
    those of the first model.
    """

    pairs: int = 0
    identical: int = 0
    scored: int = 0
    truncated: int = 0
    windowed: int = 0
    unknown: int = 0
    cascaded: int = 0
    changed: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    length_histogram: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def __add__(self, other: VerifyStats) -> VerifyStats:
        return VerifyStats(**add_records([asdict(self), asdict(other)]))


@dataclass(frozen=True)
class Verified:
    """The verdicts of n pairs, and the counts of the work."""

    verdicts: Verdicts
    stats: VerifyStats = field(default_factory=VerifyStats)


@dataclass(frozen=True)
class Verifier:
    """Scores and compares pairs of texts. The result does not depend on the order of the two texts.

    Texts that are equal, or equal in plain form, score 1 without the model. For the others, the overlap
    bounds the score, and the model scores those that may reach ``least``. Pairs whose score is within
    ``band`` (both ends included) are scored again by ``cascade``, whose score replaces that of the first
    model. The texts of pairs that score ``least`` or more are compared: the facts in which they differ, and
    what each has that the other lacks.

    Args:
        scorer: the model.
        symmetric: score both orders of the texts and take the mean, at twice the cost.
        cascade: a second, better model.
        band: the lowest and the highest score that ``cascade`` scores again.
        threshold: used to count the decisions that the second model changes.
        overlap: if given, the score is a mean of the model's score and of the overlap (``blend``).
        share: the weight of the model in that mean.
        guard: the facts in which two texts must not differ, as for ``beam_sts.dedup.facts.compare``.
        max_lost: as for ``bars_of``; None for no limit.
        least: the lowest score that matters.
        every: whether scores below ``least`` are needed too.
        form: ``plain``: texts are scored in plain form (``beam_sts.candidates.form``); ``none``: as they are.
        boilerplate: text that does not count as similarity. The overlap is the lower one of whole texts and
            of texts without boilerplate, and the model scores the latter.
    """

    scorer: PairScorer
    symmetric: bool = False
    cascade: PairScorer | None = None
    band: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.5
    overlap: Overlap | None = None
    share: float = MODEL_SHARE
    guard: str = "none"
    max_lost: MaxLost = None
    least: float = 0.0
    every: bool = True
    form: str = "none"
    boilerplate: Boilerplate = field(default_factory=Boilerplate.none)

    def verify(self, text_a: pa.Array, text_b: pa.Array, known: Verdicts | None = None) -> Verified:
        """Score and compare two columns of n texts (``large_string``, without nulls).

        Args:
            text_a: one text of each pair.
            text_b: the other text of each pair.
            known: the results of an earlier run. If given, only missing results are computed.

        Returns:
            The verdicts and counts.
        """
        first, second = self._forms(text_a, text_b)
        equal = np.asarray(pc.equal(first, second))
        if known is None:
            made = Verdicts.identical(len(equal))
            written_alike = np.asarray(pc.equal(text_a, text_b))
            made.lost[~written_alike], made.rules[~written_alike] = NOT_COMPARED, RULES.index("form")
            todo = np.flatnonzero(~equal)
        else:
            made = known.at(slice(None))
            todo = np.flatnonzero(_unscored(known, self.least, self.every))
        stats = self._score(made, todo, first, second)
        near = (made.scores >= np.float32(self.least)) & (made.lost[:, 0] == NOT_COMPARED)
        made = self._compared(made, np.flatnonzero(near), text_a, text_b)
        if known is not None:
            return Verified(made, replace(stats, pairs=len(todo)))
        return Verified(made, replace(stats, pairs=len(equal), identical=int(equal.sum())))

    def _forms(self, text_a: pa.Array, text_b: pa.Array) -> tuple[pa.Array, pa.Array]:
        if self.form == "none":
            return text_a, text_b
        both = pa.chunked_array([text_a, text_b]).combine_chunks().dictionary_encode()
        if isinstance(both, pa.ChunkedArray):
            both = both.combine_chunks()
        forms = plain_texts(both.dictionary)
        return forms.take(both.indices[: len(text_a)]), forms.take(both.indices[len(text_a) :])

    def _score(
        self, made: Verdicts, rows: NDArray[np.int64], text_a: pa.Array, text_b: pa.Array
    ) -> VerifyStats:
        """Score some of the pairs in place: by a bound, by the model in the band by the second model."""
        taken = pa.array(rows)
        first, second = _ordered(text_a.take(taken), text_b.take(taken))
        shared = None if self.overlap is None else self.overlap.scores(first, second)
        weights = np.ones(len(rows), np.float32)
        if shared is not None:
            weights = self._weights(first, second)
            rows, first, second, shared, weights = self._near(made, rows, first, second, shared, weights)
        if self.boilerplate:
            first, second, framed = self._own(first, second)
            if shared is not None and self.overlap is not None and len(framed):
                taken = pa.array(framed)
                own = self.overlap.scores(first.take(taken), second.take(taken))
                shared[framed] = np.minimum(shared[framed], own)
                rows, first, second, shared, weights = self._near(made, rows, first, second, shared, weights)
        made.bounds[rows] = np.nan
        made.rules[rows] = RULES.index("model" if shared is None else "blend")
        if shared is not None and not self.share:  # the model has no weight
            made.scores[rows] = decisive(_weighed(shared, weights))
            return VerifyStats()
        result = self.scorer.run(first, second, symmetric=self.symmetric)
        scores = decisive(_mean(result.scores, shared, self.share, weights))
        seconds, cascaded, changed = result.seconds, 0, 0
        if self.cascade is not None:
            inside = np.flatnonzero((scores >= self.band[0]) & (scores <= self.band[1]))
            taken = pa.array(inside)
            again = self.cascade.run(first.take(taken), second.take(taken), symmetric=self.symmetric)
            near = (None, None) if shared is None else (shared[inside], weights[inside])
            better = decisive(_mean(again.scores, near[0], self.share, near[1]))
            limit = np.float32(self.threshold)
            changed = int(((better >= limit) != (scores[inside] >= limit)).sum())
            scores[inside], made.rules[rows[inside]] = better, RULES.index("cascade")
            seconds, cascaded = seconds + again.seconds, len(inside)
        made.scores[rows] = scores
        return VerifyStats(
            scored=len(rows),
            truncated=result.stats.truncated,
            windowed=result.stats.windowed,
            unknown=result.stats.unknown,
            cascaded=cascaded,
            changed=changed,
            real_tokens=result.stats.real_tokens,
            padded_tokens=result.stats.padded_tokens,
            length_histogram=length_histogram(result.tokens),
            seconds=seconds,
        )

    def _near(
        self,
        made: Verdicts,
        rows: NDArray[np.int64],
        first: pa.Array,
        second: pa.Array,
        shared: Floats,
        weights: Floats,
    ) -> tuple[NDArray[np.int64], pa.Array, pa.Array, Floats, Floats]:
        """The pairs that may reach ``least`` whatever the model says. The bounds of the others are stored."""
        if self.every:
            return rows, first, second, shared, weights
        bounds = decisive(_mean(np.ones(len(rows), np.float32), shared, self.share, weights))
        near = bounds >= np.float32(self.least)
        far = rows[~near]
        made.scores[far], made.bounds[far], made.rules[far] = np.nan, bounds[~near], RULES.index("bound")
        taken = pa.array(np.flatnonzero(near))
        return rows[near], first.take(taken), second.take(taken), shared[near], weights[near]

    def _weights(self, first: pa.Array, second: pa.Array) -> Floats:
        """Returns the weight of a difference, for each pair.

        A word is a large share of a short text. If the guard ensures that the word carries no fact, it weighs
        as much as in a longer text.
        """
        if self.guard != "facts":
            return np.ones(len(first), np.float32)
        shorter = np.minimum(characters(first), characters(second)).astype(np.float32)
        weights: Floats = np.clip(shorter / np.float32(LENGTH), LEAST_WEIGHT, 1, dtype=np.float32)
        return weights

    def _own(self, first: pa.Array, second: pa.Array) -> tuple[pa.Array, pa.Array, NDArray[np.int64]]:
        """The texts without boilerplate, or whole texts if these are equal; and the pairs that differ."""
        both = pa.chunked_array([first, second]).combine_chunks().dictionary_encode()
        if isinstance(both, pa.ChunkedArray):
            both = both.combine_chunks()
        owned = self.boilerplate.own_texts(both.dictionary.cast(pa.large_string()))
        a, b = (part.to_numpy() for part in (both.indices[: len(first)], both.indices[len(first) :]))
        own_a, own_b = owned.take(pa.array(a)), owned.take(pa.array(b))
        changed = np.asarray(pc.or_(pc.not_equal(own_a, first), pc.not_equal(own_b, second)))
        framed = changed & np.asarray(pc.not_equal(own_a, own_b))
        mask = pa.array(framed)
        return pc.if_else(mask, own_a, first), pc.if_else(mask, own_b, second), np.flatnonzero(framed)

    def _compared(
        self, made: Verdicts, rows: NDArray[np.int64], text_a: pa.Array, text_b: pa.Array
    ) -> Verdicts:
        """Compare the facts of some pairs, and count what each text has that the other lacks."""
        if self.guard == "none" and self.max_lost is None:
            return made
        taken = pa.array(rows)
        one, two = text_a.take(taken), text_b.take(taken)
        differs: list[str | None] = made.differs.to_pylist()
        for row, (difference, lost) in zip(rows.tolist(), compare_texts(one, two, self.guard), strict=True):
            differs[row], made.lost[row] = difference, lost
        sizes = characters(text_a), characters(text_b)
        return replace(made, differs=pa.array(differs, pa.string())).barred(sizes, self.max_lost)


@dataclass(frozen=True)
class Scoring:
    """The settings of a ``Verifier``, as sent to the workers that load the models.

    ``args`` are additional arguments of ``PairScorer`` for both models.
    """

    model: str | Checkpoint
    symmetric: bool = False
    cascade: str | Checkpoint | None = None
    band: tuple[float, float] = (0.0, 1.0)
    threshold: float = THRESHOLD
    args: dict[str, Any] = field(default_factory=dict)
    share: float = MODEL_SHARE
    guard: str = "none"
    max_lost: MaxLost = None
    least: float = 0.0
    every: bool = True
    form: str = "none"

    def leaves_out(self, known: Verdicts) -> bool:
        """Whether an earlier run left out results that are needed here."""
        least = np.float32(self.least)
        compares = self.guard != "none" or self.max_lost is not None
        unread = (known.scores >= least) & (known.lost[:, 0] == NOT_COMPARED) & compares
        return bool((unread | _unscored(known, self.least, self.every)).any())

    def verifier(self, overlap: Overlap | None = None, learnt: Learnt | None = None) -> Verifier:
        """Load the models. A model that does not know the languages of the texts has no weight in a blend."""
        learnt = learnt or Learnt()
        left_out = overlap is not None and learnt.foreign
        scorer = PairScorer(self.model, **self.args)
        cascade = PairScorer(self.cascade, **self.args) if self.cascade and not left_out else None
        share = 0.0 if left_out else self.share
        models = [scorer, *([cascade] if cascade else [])]
        every = self.every or not all(model.bounded for model in models)
        return Verifier(
            *(scorer, self.symmetric, cascade, self.band, self.threshold, overlap, share, self.guard),
            *(self.max_lost, self.least, every, self.form, learnt.boilerplate),
        )


def _unscored(known: Verdicts, least: float, every: bool) -> NDArray[np.bool_]:
    """The pairs without a score that may matter."""
    unscored: NDArray[np.bool_] = known.bounded & (every | (known.bounds >= np.float32(least)))
    return unscored


def check_pairs(pairs: int, most: int) -> None:
    """Check that there are not too many candidates.

    Raises:
        UserError: there are. The message gives both numbers, and ways to reduce the candidates.
    """
    if pairs > most:
        raise UserError(
            f"--max_pairs {most:,}: there are {pairs:,} candidate pairs. Raise it, or reduce them: a higher "
            "--minhash_similarity, a smaller --bucket_cap, fewer --candidates."
        )


def _mean(model: Floats, shared: Floats | None, share: float, weights: Floats | None) -> Floats:
    if shared is None or weights is None:
        return model
    mean: Floats = np.float32(share) * model + np.float32(1 - share) * shared
    return _weighed(mean, weights)


def _weighed(scores: Floats, weights: Floats) -> Floats:
    """Scale the distance of scores from 1 by weights.

    >>> _weighed(np.array([0.8], np.float32), np.array([0.5], np.float32)).tolist()
    [0.8999999761581421]
    """
    weighed: Floats = 1 - weights * (1 - scores)
    return weighed


def _ordered(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array]:
    swap = pc.greater(a, b)
    return pc.if_else(swap, b, a), pc.if_else(swap, a, b)


def characters(texts: pa.Array) -> NDArray[np.int64]:
    """The number of characters of each text."""
    return np.asarray(pc.utf8_length(texts)).astype(np.int64)
