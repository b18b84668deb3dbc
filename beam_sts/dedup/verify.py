"""Scoring and comparison of pairs. A candidate becomes an edge only by its score here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from beam_sts.arrays import Float32Array, distinct_values
from beam_sts.candidates.form import plain_texts
from beam_sts.dedup.boilerplate import Boilerplate
from beam_sts.dedup.facts.texts import compare_texts
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
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
class Candidates:
    """Pairs of texts that are not decided yet.

    ``rows``: int64 (n,), their places among all pairs. ``first`` and ``second``: their texts, the lesser one
    first. ``overlaps`` and ``weights``: float32 (n,), the overlap of the texts (None without a blend), and
    the weight of a difference. ``share`` is the weight of the model.
    """

    rows: NDArray[np.int64]
    first: pa.Array
    second: pa.Array
    overlaps: Float32Array | None
    weights: Float32Array
    share: float

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, chosen: NDArray[Any]) -> Candidates:
        """Some of the pairs, by index or mask."""
        taken = np.arange(len(self))[chosen]
        first, second = (texts.take(pa.array(taken)) for texts in (self.first, self.second))
        overlaps = None if self.overlaps is None else self.overlaps[taken]
        return Candidates(self.rows[taken], first, second, overlaps, self.weights[taken], self.share)

    def scores(self, model: Float32Array) -> Float32Array:
        """The scores of the pairs, from those of the model.

        >>> one = np.ones(1, np.float32)
        >>> pair = Candidates(np.zeros(1, int), pa.array(["a"]), pa.array(["b"]), one * 0.5, one, 0.5)
        >>> pair.scores(one).tolist()
        [0.75]
        """
        if self.overlaps is None:
            return np.asarray(decisive(model))
        mean = np.float32(self.share) * model + np.float32(1 - self.share) * self.overlaps
        return np.asarray(decisive(1 - self.weights * (1 - mean)))

    def bounds(self) -> Float32Array:
        """The highest scores that the pairs can reach, whatever the model says."""
        return self.scores(np.ones(len(self), np.float32))


@dataclass(frozen=True)
class Scoring:
    """The settings of a ``Verifier``, as sent to the workers that load the models.

    Args:
        model: the model.
        symmetric: score both orders of the texts and take the mean, at twice the cost.
        cascade: a second, better model.
        band: the lowest and the highest score that ``cascade`` scores again.
        threshold: used to count the decisions that the second model changes.
        args: additional arguments of ``PairScorer`` for both models.
        share: the weight of the model in a blend.
        guard: the facts in which two texts must not differ, as for ``beam_sts.dedup.facts.compare``.
        max_lost: as for ``bars_of``; None for no limit.
        least: the lowest score that matters.
        every: whether all scores are needed.
        form: ``plain``: texts are scored in plain form (``beam_sts.candidates.form``); ``none``: as they are.
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
        how = replace(self, share=share, every=every)
        return Verifier(how, scorer, cascade, overlap, learnt.boilerplate)


@dataclass(frozen=True)
class Verifier:
    """Scores and compares pairs of texts. The result does not depend on the order of the two texts.

    Cheap steps come first, and each step has only the pairs that the earlier ones leave open:

    1. Texts that are equal, or equal in plain form, score 1.
    2. The overlap bounds the score. Pairs that cannot reach ``least`` get no score.
    3. The facts in which two texts differ, and what each has that the other lacks. A pair that is no
       duplicate whatever its score gets none.
    4. The model scores the others. Pairs whose score is within ``band`` (both ends included) are scored again
       by ``cascade``, whose score replaces that of the first model.

    Without an overlap, or if ``every`` score is needed, all pairs are scored, and those that score ``least``
    or more are compared.

    Args:
        how: the settings.
        scorer: the model.
        cascade: the second model, if there is one.
        overlap: if given, the score is a mean of the model's score and of the overlap (``blend``).
        boilerplate: text that does not count as similarity. The overlap is the lower one of whole texts and
            of texts without boilerplate, and the model scores the latter.
    """

    how: Scoring
    scorer: PairScorer
    cascade: PairScorer | None
    overlap: Overlap | None
    boilerplate: Boilerplate

    def at(self, threshold: float) -> Verifier:
        """The same for another threshold."""
        return replace(self, how=replace(self.how, threshold=threshold, least=threshold))

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
            made = known.at(np.arange(len(known)))  # a copy, since it is changed in place
            todo = np.flatnonzero(_unscored(known, self.how.least, self.how.every))
        pairs = self._within_reach(made, todo, first, second)
        if not self.how.every and self.overlap is not None and self.how.share:
            uncompared = pairs.rows[made.lost[pairs.rows, 0] == NOT_COMPARED]
            made = self._compared(made, uncompared, text_a, text_b)
            pairs = _not_barred(made, pairs)
        stats = self._score(made, pairs)
        near = (made.scores >= np.float32(self.how.least)) & (made.lost[:, 0] == NOT_COMPARED)
        made = self._compared(made, np.flatnonzero(near), text_a, text_b)
        if known is not None:
            return Verified(made, replace(stats, pairs=len(todo)))
        return Verified(made, replace(stats, pairs=len(equal), identical=int(equal.sum())))

    def scores_within(self, text_a: pa.Array, text_b: pa.Array, bounds: Float32Array) -> Float32Array:
        """The scores of n pairs of which only the bounds are known. The overlaps follow from these."""
        first, second = _ordered(*self._forms(text_a, text_b))
        weights = self._weights(first, second)
        rest = np.float32(max(1 - self.how.share, 1e-6))
        overlaps = (1 - (1 - bounds) / weights - np.float32(self.how.share)) / rest
        pairs = Candidates(np.arange(len(bounds)), first, second, overlaps, weights, self.how.share)
        made = Verdicts.identical(len(bounds))
        self._score(made, self._own(pairs)[0])
        return made.scores

    def _forms(self, text_a: pa.Array, text_b: pa.Array) -> tuple[pa.Array, pa.Array]:
        if self.how.form == "none":
            return text_a, text_b
        texts, (a, b) = distinct_values(text_a, text_b)
        forms = plain_texts(texts)
        return forms.take(pa.array(a)), forms.take(pa.array(b))

    def _within_reach(
        self, made: Verdicts, rows: NDArray[np.int64], text_a: pa.Array, text_b: pa.Array
    ) -> Candidates:
        """Those of the pairs ``rows`` that may reach ``least``, with texts as the model scores them."""
        taken = pa.array(rows)
        first, second = _ordered(text_a.take(taken), text_b.take(taken))
        if self.overlap is None:
            ones = np.ones(len(rows), np.float32)
            return self._own(Candidates(rows, first, second, None, ones, 1.0))[0]
        overlaps, weights = self.overlap.scores(first, second), self._weights(first, second)
        pairs = self._near(made, Candidates(rows, first, second, overlaps, weights, self.how.share))
        pairs, framed = self._own(pairs)
        whole = pairs.overlaps
        if whole is None or not len(framed):
            return pairs
        taken, own = pa.array(framed), np.ones(len(pairs), np.float32)
        own[framed] = self.overlap.scores(pairs.first.take(taken), pairs.second.take(taken))
        return self._near(made, replace(pairs, overlaps=np.minimum(whole, own)))

    def _near(self, made: Verdicts, pairs: Candidates) -> Candidates:
        """The pairs that may reach ``least`` whatever the model says. The bounds of the others are stored."""
        if self.how.every:
            return pairs
        bounds = pairs.bounds()
        near = bounds >= np.float32(self.how.least)
        made.bound(pairs.rows[~near], bounds[~near], "bound")
        return pairs.at(near)

    def _weights(self, first: pa.Array, second: pa.Array) -> Float32Array:
        """Returns the weight of a difference, for each pair.

        A word is a large share of a short text. If the guard ensures that the word carries no fact, it weighs
        as much as in a longer text.
        """
        if self.how.guard != "facts":
            return np.ones(len(first), np.float32)
        shorter = np.minimum(characters(first), characters(second)).astype(np.float32)
        weights: Float32Array = np.clip(shorter / np.float32(LENGTH), LEAST_WEIGHT, 1, dtype=np.float32)
        return weights

    def _own(self, pairs: Candidates) -> tuple[Candidates, NDArray[np.int64]]:
        """The pairs without boilerplate, or with whole texts if these are equal; and those that differ."""
        if not self.boilerplate:
            return pairs, np.empty(0, np.int64)
        first, second = pairs.first, pairs.second
        texts, (a, b) = distinct_values(first, second)
        owned = self.boilerplate.own_texts(texts.cast(pa.large_string()))
        own_a, own_b = owned.take(pa.array(a)), owned.take(pa.array(b))
        changed = np.asarray(pc.or_(pc.not_equal(own_a, first), pc.not_equal(own_b, second)))
        framed = changed & np.asarray(pc.not_equal(own_a, own_b))
        mask = pa.array(framed)
        own = replace(pairs, first=pc.if_else(mask, own_a, first), second=pc.if_else(mask, own_b, second))
        return own, np.flatnonzero(framed)

    def _score(self, made: Verdicts, pairs: Candidates) -> VerifyStats:
        """Score the pairs in place: by the model, and in the band by the second model."""
        rows = pairs.rows
        made.bounds[rows] = np.nan
        made.rules[rows] = RULES.index("model" if self.overlap is None else "blend")
        if not pairs.share:  # the model has no weight
            made.scores[rows] = pairs.bounds()
            return VerifyStats()
        result = self.scorer.run(pairs.first, pairs.second, symmetric=self.how.symmetric)
        scores = pairs.scores(result.scores)
        seconds, cascaded, changed = result.seconds, 0, 0
        if self.cascade is not None:
            inside = np.flatnonzero((scores >= self.how.band[0]) & (scores <= self.how.band[1]))
            near = pairs.at(inside)
            again = self.cascade.run(near.first, near.second, symmetric=self.how.symmetric)
            better = near.scores(again.scores)
            limit = np.float32(self.how.threshold)
            changed = int(((better >= limit) != (scores[inside] >= limit)).sum())
            scores[inside], made.rules[near.rows] = better, RULES.index("cascade")
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

    def _compared(
        self, made: Verdicts, rows: NDArray[np.int64], text_a: pa.Array, text_b: pa.Array
    ) -> Verdicts:
        """Compare the facts of some pairs, and count what each text has that the other lacks."""
        if not len(rows) or (self.how.guard == "none" and self.how.max_lost is None):
            return made
        taken = pa.array(rows)
        one, two = text_a.take(taken), text_b.take(taken)
        differs: list[str | None] = made.differs.to_pylist()
        for row, (difference, lost) in zip(
            rows.tolist(), compare_texts(one, two, self.how.guard), strict=True
        ):
            differs[row], made.lost[row] = difference, lost
        sizes = characters(text_a), characters(text_b)
        return replace(made, differs=pa.array(differs, pa.string())).with_bars(sizes, self.how.max_lost)


def _not_barred(made: Verdicts, pairs: Candidates) -> Candidates:
    """The pairs that may be duplicates. The bounds of the others are stored."""
    barred = made.bars[pairs.rows] == BOTH
    made.bound(pairs.rows[barred], pairs.bounds()[barred], "barred")
    return pairs.at(~barred)


def _unscored(known: Verdicts, least: float, every: bool) -> NDArray[np.bool_]:
    """The pairs without a score that may matter."""
    open_ = (known.bounds >= np.float32(least)) & (known.bars != BOTH)
    unscored: NDArray[np.bool_] = (known.bounded | known.barred) & (every | open_)
    return unscored


def check_pair_count(pairs: int, most: int) -> None:
    """Check that there are not too many candidates.

    Raises:
        UserError: there are. The message gives both numbers, and ways to reduce the candidates.
    """
    if pairs > most:
        raise UserError(
            f"--max_pairs {most:,}: there are {pairs:,} candidate pairs. Raise it, or reduce them: a higher "
            "--minhash_similarity, a smaller --bucket_cap, fewer --candidates."
        )


def _ordered(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array]:
    swap = pc.greater(a, b)
    return pc.if_else(swap, b, a), pc.if_else(swap, a, b)


def characters(texts: pa.Array) -> NDArray[np.int64]:
    """The number of characters of each text."""
    return np.asarray(pc.utf8_length(texts)).astype(np.int64)
