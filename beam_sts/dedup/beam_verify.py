"""Scores pairs with their texts in Beam, shard by shard.

The rules are those of ``beam_sts.dedup.verify``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam import pvalue
from apache_beam.utils.shared import Shared

from beam_sts.arrays import IntArray
from beam_sts.candidates.beam_join import JoinTexts, rows_of
from beam_sts.candidates.beam_pack import in_list, pieces
from beam_sts.candidates.beam_shingles import RangeCounts, whole_counts
from beam_sts.dedup.beam_report import ReportPart
from beam_sts.dedup.beam_texts import TextInfo
from beam_sts.dedup.decide import IDENTICAL, Edges
from beam_sts.dedup.earlier import known_verdicts
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.shards import shard_parts
from beam_sts.dedup.show import Entry, TextView, best_entries, pair_entries
from beam_sts.dedup.verdicts import NOT_COMPARED, RULES, VERDICT, Verdicts
from beam_sts.dedup.verify import Scoring, Verified, Verifier, VerifyStats, characters, check_pair_count
from beam_sts.io.blank import is_blank
from beam_sts.io.ids import shown_id
from beam_sts.io.summary import score_histogram

_AT_ONCE = 10_000  # pairs whose results are Python objects at once
ShingleWeights = Sequence[RangeCounts]
"""The number of texts, and the number of texts with each shingle: the weights for ``blend``."""


class PairVerdict(NamedTuple):
    """A pair of distinct texts and its result, as in ``pairs/``. ``bars`` is as in ``PairScores``.

    Steps exchange its fields as a tuple: Beam encodes a tuple, but pickles a named one, which is much larger.
    """

    a: Any
    b: Any
    score: float
    source: str
    rule: str
    bound: float
    differs: str | None
    lost_a: int
    lost_b: int
    bars: int

    @classmethod
    def identical(cls, a: Any, b: Any) -> PairVerdict:
        """The result for a pair of equal texts."""
        return cls(a, b, *IDENTICAL, math.nan, None, 0, 0, 0)

    def given(self, ends: tuple[Any, Any]) -> tuple[Any, ...]:
        """The pair as an output tuple, with None for missing values."""
        lost = (None if of == NOT_COMPARED else of for of in (self.lost_a, self.lost_b))
        score, bound = (None if math.isnan(of) else of for of in (self.score, self.bound))
        return (*ends, score, self.source, self.rule, bound, self.differs, *lost)


def each_of(found: Verdicts) -> Iterator[tuple[Any, ...]]:
    """For each pair, the score, the rule and the following fields of ``PairVerdict``."""
    for start in range(0, len(found), _AT_ONCE):
        part = found.at(slice(start, start + _AT_ONCE))
        rules = [RULES[rule] for rule in part.rules.tolist()]
        columns = (part.scores.tolist(), rules, part.bounds.tolist(), part.differs.to_pylist())
        yield from zip(*columns, *part.lost.T.tolist(), part.bars.tolist(), strict=True)


class Scores(beam.DoFn):
    """Base of the steps that score. A process loads the models once, and only if there is a pair to score.

    Runners keep an instance for each part of a step, so the models and weights are not the instance's own.

    Args:
        scoring: scoring settings.
        each: number of pairs of each kind for the report.
    """

    def __init__(self, scoring: Scoring, each: int = 0) -> None:
        self._scoring, self._each, self._shared = scoring, each, Shared()
        self._verifier: Verifier | None = None

    def verifier(self, learnt: Learnt, words: ShingleWeights | None) -> Verifier:
        """The verifier of this process."""

        def load() -> Verifier:
            if words is None:
                return self._scoring.verifier(None, learnt)
            count, frequency = whole_counts(words)
            return self._scoring.verifier(Overlap.of(frequency, count), learnt)

        if self._verifier is None:
            self._verifier = self._shared.acquire(load)
        return self._verifier


class Verify(Scores):
    """The pairs of a shard with their texts -> the fields of :class:`PairVerdict` of each, packed.

    Also outputs ``report``: counts and examples. Thousands of pairs are scored at once, fewer if their
    texts are long.

    Args:
        scoring: scoring settings.
        each: see ``DecideClusters``.
        blank: whether pairs with blank texts are scored.
        most: the most pairs that are allowed.
    """

    def __init__(self, scoring: Scoring, each: int = 0, blank: bool = False, most: int | None = None) -> None:
        super().__init__(scoring, each)
        self._blank, self._most = blank, most

    def process(
        self,
        shard: tuple[int, dict[str, Iterable[Any]]],
        count: int,
        learnt: Learnt,
        words: ShingleWeights | None = None,
    ) -> Iterator[Any]:
        """See ``beam.DoFn``."""
        if self._most is not None:
            check_pair_count(count, self._most)
        number, found = shard
        rows = rows_of(found)
        if not self._blank:
            rows = [row for row in rows if not (is_blank(row[2]) or is_blank(row[3]))]
        if rows:
            yield from self._outputs(rows, *self._of_shard(number, rows, learnt, words))

    def _outputs(
        self, rows: list[Any], found: Verified, sources: list[str], reused: int = 0
    ) -> Iterator[Any]:
        made = found.verdicts
        good = made.scores[~np.isnan(made.scores)]
        limit = np.float32(self._scoring.threshold)
        counts = {
            "pairs": len(rows),
            "pairs_reused": reused,
            "verify": stats_counts(found.stats),
            **made.counts(),
            "pairs_accepted": int(((made.scores >= limit) & (made.bars != BOTH)).sum()),
            "score_histogram": score_histogram(good),
        }
        yield from pieces(
            (row[0], row[1], one[0], source, *one[1:])
            for row, source, one in zip(rows, sources, each_of(made), strict=True)
        )
        yield pvalue.TaggedOutput("report", ReportPart.of(counts, self._shown(rows, made)))

    def _shown(self, rows: list[Any], made: Verdicts) -> list[Entry]:
        """Select examples; the rows are in order."""
        if not self._each:
            return []
        a = np.arange(len(rows))
        edges = Edges.of(a, a + len(rows), pa.nulls(len(rows), pa.string()), made)
        ends = [(row[side], row[side + 2]) for side in (0, 1) for row in rows]
        view = view_of_texts([(name, TextInfo(text, (), 1, b"")) for name, text in ends])
        return best_entries(pair_entries(edges, self._scoring.threshold, self._each, view.pairs), self._each)

    def _of_shard(
        self, number: int, rows: list[Any], learnt: Learnt, words: ShingleWeights | None
    ) -> tuple[Verified, list[str], int]:
        """Returns the results for the pairs of a shard, their sources, and how many results were reused."""
        sizes = np.array([len(row[2]) + len(row[3]) for row in rows])
        parts = [self._scored(rows[part], learnt, words) for part in shard_parts(sizes)]
        stats = VerifyStats()
        for one, _ in parts:
            stats += one.stats
        sources = [source for _, some in parts for source in some]
        return Verified(Verdicts.join([one.verdicts for one, _ in parts]), stats), sources, 0

    def _scored(
        self, rows: list[tuple[Any, ...]], learnt: Learnt, words: ShingleWeights | None
    ) -> tuple[Verified, list[str]]:
        """The results of some pairs, and their sources."""
        texts = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        return self.verifier(learnt, words).verify(*texts), [row[4] for row in rows]


class TakeScores(Verify):
    """Like :class:`Verify`, for pairs with the results of an earlier run. Only missing ones are computed."""

    def _scored(
        self, rows: list[tuple[Any, ...]], learnt: Learnt, words: ShingleWeights | None
    ) -> tuple[Verified, list[str]]:
        swapped, score, sources, *more = (
            list(column) for column in zip(*(row[4] for row in rows), strict=True)
        )
        columns = [
            pa.array(column, field.type) for column, field in zip((score, *more), VERDICT, strict=True)
        ]
        table = pa.Table.from_arrays(columns, schema=VERDICT)
        a, b = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        sizes = characters(a), characters(b)
        known = known_verdicts(table, np.array(swapped, bool), sizes, self._scoring.max_lost)
        if self._scoring.leaves_out(known):
            return self.verifier(learnt, words).verify(a, b, known), sources
        return Verified(known), sources


def view_of_texts(
    members: Sequence[tuple[Any, TextInfo]], texts: Callable[[IntArray], list[str]] | None = None
) -> TextView:
    """Access to texts by their position; ``texts`` returns them if the records have none."""

    def of(what: Callable[[Any, TextInfo], Any]) -> Callable[[IntArray], list[Any]]:
        return lambda chosen: [what(*members[at]) for at in chosen.tolist()]

    return TextView(
        of(lambda name, _: name),
        of(lambda name, _: shown_id(name[1])),
        of(lambda _, info: shown_id(info.best[-1])),
        texts or of(lambda _, info: info.text),
    )


def stats_counts(stats: VerifyStats) -> dict[str, Any]:
    """The counts that do not depend on the machine."""
    return {name: value for name, value in asdict(stats).items() if name != "seconds"}


class EarlierPairs(beam.PTransform):
    """``members`` of texts and ``scored`` pairs of rows -> ``((text, text), (swapped, score, source, ...))``.

    Rows are ``(side, id)``. Pairs of rows with equal texts are left out. ``swapped``: the texts of the pair
    have the other order.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Join in two shuffles, by the first row and then by the second."""
        texts = collections["members"] | "Text of" >> beam.FlatMapTuple(
            lambda text, members: [(row, text) for row in in_list(members[0])]
        )
        pairs = collections["scored"] | "Ends" >> beam.Map(lambda pair: (tuple(pair[:2]), tuple(pair[2:])))
        return (
            {"texts": texts, "pairs": pairs} | "Join" >> JoinTexts() | "In order" >> beam.FlatMap(_in_order)
        )


def _in_order(pair: tuple[Any, Any, Any, Any, tuple[Any, ...]]) -> Iterator[Any]:
    *_, a, b, found = pair
    if a != b:
        yield (min(a, b), max(a, b)), (a > b, *found)
