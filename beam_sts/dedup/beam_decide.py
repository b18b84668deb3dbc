"""From joined candidates to what becomes of each row, in Beam: keys, batches, outputs.

What is decided, and how, is ``beam_sts.dedup.decide``.
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
from apache_beam.transforms.window import GlobalWindows

from beam_sts.arrays import IntArray, inverse
from beam_sts.candidates.beam_nearest import Packed
from beam_sts.dedup.beam_texts import RECEIPT, WHERE, TextInfo
from beam_sts.dedup.decide import GUARD, IDENTICAL, Edges, decide, describe_clusters
from beam_sts.dedup.facts.compare import turn
from beam_sts.dedup.learnt import Learnt
from beam_sts.dedup.overlap import Overlap
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.rule import Policy
from beam_sts.dedup.show import Look, best_entries, examples, pair_entries
from beam_sts.dedup.verdicts import NOT_COMPARED, RULES, Verdicts
from beam_sts.dedup.verify import Scoring, Verified, Verifier, VerifyStats, characters, check_pairs
from beam_sts.errors import UserError
from beam_sts.io.ids import shown_id
from beam_sts.io.summary import score_histogram
from beam_sts.pairs.beam_elements import with_fields

_TEXTS_AT_ONCE, _CHARACTERS_AT_ONCE = 20_000, 1 << 23
"""Texts of whole clusters that one worker decides together; a larger cluster is decided alone."""

_RECEIPT = 5
"""What of a removed row's receipt is decided: representative, score, source, rule, lost."""

Words = tuple[int, Packed]
"""Texts, and in how many of them each shingle is: what ``blend`` weighs by."""


class Judged(NamedTuple):
    """A pair of nodes and what was found of it, as ``pairs/`` has it; ``bars`` as of ``PairScores``."""

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
    def identical(cls, a: Any, b: Any) -> Judged:
        """Two of equal text."""
        return cls(a, b, *IDENTICAL, math.nan, None, 0, 0, 0)

    def given(self, ends: tuple[Any, Any]) -> tuple[Any, ...]:
        """As it is given to the outside: what there is not is None."""
        lost = (None if of == NOT_COMPARED else of for of in (self.lost_a, self.lost_b))
        score, bound = (None if math.isnan(of) else of for of in (self.score, self.bound))
        return (*ends, score, self.source, self.rule, bound, self.differs, *lost)


def each_of(found: Verdicts) -> Iterator[tuple[Any, ...]]:
    """Score, rule and what follows it in ``Judged``, of each pair."""
    rules = [RULES[rule] for rule in found.rules.tolist()]
    columns = (found.scores.tolist(), rules, found.bounds.tolist(), found.differs.to_pylist())
    return zip(*columns, *found.lost.T.tolist(), found.bars.tolist(), strict=True)


def verdicts_of(rows: Iterable[Sequence[Any]]) -> Verdicts:
    """Of score, rule, bound, what they differ in and both losses of each pair; None is there for nothing."""
    score, rule, bound, differs, lost_a, lost_b = list(zip(*rows, strict=True)) or [()] * 6
    lost = [[NOT_COMPARED if of is None else of for of in column] for column in (lost_a, lost_b)]
    return Verdicts(
        *(np.array(score, np.float32), np.array([RULES.index(name) for name in rule], np.int8)),
        *(np.array(bound, np.float32), pa.array(differs, pa.string())),
        *(np.array(lost, np.int32).reshape(2, -1).T, np.zeros(len(score), np.uint8)),
    )


class _Scores(beam.DoFn):
    """What scores: the models are loaded once for each worker, and only if there is a pair to score.

    Args:
        scoring: how.
        each: pairs of a kind for the report to show, which come out as ``shown``.
    """

    def __init__(self, scoring: Scoring, each: int = 0) -> None:
        self._scoring, self._each = scoring, each
        self._verifier: Verifier | None = None

    def verifier(self, learnt: Learnt, words: Words | None) -> Verifier:
        """The worker's own."""
        if self._verifier is None:
            overlap = Overlap.of(words[1].array, words[0]) if words else None
            self._verifier = self._scoring.verifier(overlap, learnt)
        return self._verifier


class Verify(_Scores):
    """Candidates with texts -> :class:`Judged`; as ``counts`` what was done; as ``shown`` a few.

    Args:
        scoring: how.
        each: as of ``DecideClusters``.
        most: pairs that there may be.
    """

    def __init__(self, scoring: Scoring, each: int = 0, most: int | None = None) -> None:
        super().__init__(scoring, each)
        self._most = most

    def process(
        self,
        rows: list[tuple[Any, Any, str, str, str]],
        count: int,
        learnt: Learnt,
        words: Words | None = None,
    ) -> Iterator[Any]:
        """Beam's."""
        if self._most is not None:
            check_pairs(count, self._most)
        found, sources = self._scored(rows, learnt, words)
        made = found.verdicts
        good = made.scores[~np.isnan(made.scores)]
        limit = np.float32(self._scoring.threshold)
        accepted = int(((made.scores >= limit) & (made.bars != BOTH)).sum())
        yield pvalue.TaggedOutput(
            "counts",
            {
                "verify": _counts(found.stats),
                **made.counts(),
                "pairs_accepted": accepted,
                "score_histogram": score_histogram(good),
            },
        )
        for row, source, one in zip(rows, sources, each_of(made), strict=True):
            yield Judged(row[0], row[1], one[0], source, *one[1:])
        if self._each:
            order = sorted(range(len(rows)), key=lambda at: rows[at][:2])
            ends = [(row[side], row[side + 2]) for side in (0, 1) for row in (rows[at] for at in order)]
            a = np.arange(len(rows))
            edges = Edges.of(a, a + len(rows), pa.nulls(len(rows), pa.string()), made.at(np.array(order)))
            look = _look([(name, TextInfo(text, (), 1, b"")) for name, text in ends])
            shown = pair_entries(edges, self._scoring.threshold, self._each, look.pairs)
            yield pvalue.TaggedOutput("shown", best_entries(shown, self._each))

    def _scored(
        self, rows: list[tuple[Any, ...]], learnt: Learnt, words: Words | None
    ) -> tuple[Verified, list[str]]:
        """Scores of the pairs, and their sources."""
        texts = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        return self.verifier(learnt, words).verify(*texts), [row[4] for row in rows]


class TakeScores(Verify):
    """As :class:`Verify`, of pairs that bring what an earlier run found: only what it left out is done."""

    def _scored(
        self, rows: list[tuple[Any, ...]], learnt: Learnt, words: Words | None
    ) -> tuple[Verified, list[str]]:
        found = [row[4] for row in rows]
        known, sources = verdicts_of((one[0], *one[2:]) for one in found), [one[1] for one in found]
        a, b = (pa.array([row[at] for row in rows], pa.large_string()) for at in (2, 3))
        if self._scoring.leaves_out(known):
            return self.verifier(learnt, words).verify(a, b, known), sources
        return Verified(known.barred((characters(a), characters(b)), self._scoring.max_lost)), sources


class DecideClusters(_Scores):
    """Clusters -> (text, (cluster, representative's best row, score, source, rule)) of each text in one.

    The cluster is None for a text that is alone after all, the others for one that stays. As ``guard`` come
    the pairs that were scored to verify removals, as ``counts`` and ``clusters`` what was decided, as
    ``shown`` what of it may be shown. Some thousand texts of whole clusters are decided at once.
    """

    def __init__(self, scoring: Scoring, policy: Policy, each: int = 0, *, verify: bool = True) -> None:
        super().__init__(scoring, each)
        self._policy, self._verify = policy, verify

    def start_bundle(self) -> None:
        """Nothing waits."""
        self._part = _Part()

    def process(
        self, cluster: tuple[Any, dict[str, Iterable[Any]]], learnt: Learnt, words: Words | None = None
    ) -> Iterator[Any]:
        """What is decided when enough texts wait."""
        self._part.add(cluster[1]["members"], cluster[1]["edges"])
        self._learnt = learnt, words
        if self._part.is_full:
            yield from self._decide()

    def finish_bundle(self) -> Iterator[Any]:
        """What is decided of those that still wait."""
        for one in self._decide():
            if isinstance(one, pvalue.TaggedOutput):
                yield pvalue.TaggedOutput(one.tag, GlobalWindows.windowed_value(one.value))
            else:
                yield GlobalWindows.windowed_value(one)

    def _decide(self) -> Iterator[Any]:
        part, self._part = self._part, _Part()
        if not part.members:
            return
        members, edges = part.sorted()
        texts = pa.array([info.text for _, info in members], pa.large_string())
        stats = VerifyStats()

        def verify(a: IntArray, b: IntArray) -> Any:
            nonlocal stats
            found = self.verifier(*self._learnt).verify(texts.take(pa.array(a)), texts.take(pa.array(b)))
            stats += found.stats
            return found.verdicts

        ranked = [(name, info.best, info.rows) for name, info in members]
        made = decide(self._policy, *ranks_of(ranked), edges, verify if self._verify else None)
        everything, before = made.edges, len(edges.verdicts)
        sources, rules = everything.source.cast(pa.string()).to_pylist(), everything.verdicts.rules.tolist()
        guard = everything.at(slice(before, None))
        ends = zip(guard.pairs.a.tolist(), guard.pairs.b.tolist(), strict=True)
        for (a, b), one in zip(ends, each_of(guard.verdicts), strict=True):
            judged = Judged(members[a][0], members[b][0], one[0], GUARD, *one[1:])
            yield pvalue.TaggedOutput("guard", judged)
        threshold, look = self._policy.threshold, _look(members)
        if self._each:
            yield pvalue.TaggedOutput("shown", examples(made, guard, threshold, self._each, look))
        counts = {
            "unverified": made.settled.unverified,
            **guard.verdicts.counts(),
            "pairs_guard": len(guard.verdicts),
            "verify": _counts(stats),
        }
        yield pvalue.TaggedOutput("counts", counts)
        for first, cluster in describe_clusters(made, look.id):
            yield pvalue.TaggedOutput("clusters", (cluster["nodes"], members[first][0], cluster))
        alone = (np.bincount(made.label, minlength=len(members)) == 1)[made.label].tolist()
        labels, scores, lost = made.label.tolist(), made.settled.scores.tolist(), made.lost.tolist()
        for at, (edge, representative) in enumerate(
            zip(made.edge.tolist(), made.settled.representative.tolist(), strict=True)
        ):
            name = None if alone[at] else members[labels[at]][0]
            if edge < 0:
                yield members[at][0], (name, *(None,) * _RECEIPT)
            else:
                best = members[representative][1].best[1:]
                size = None if lost[at] == NOT_COMPARED else lost[at]
                yield members[at][0], (name, best, scores[at], sources[edge], RULES[rules[edge]], size)


class _Part:
    """Texts of whole clusters with the scored pairs among them, that wait to be decided together."""

    def __init__(self) -> None:
        self.members: list[tuple[Any, TextInfo]] = []
        self._edges: list[Judged] = []
        self._characters = 0

    def add(self, members: Iterable[tuple[Any, TextInfo]], edges: Iterable[Judged]) -> None:
        """One cluster more; ``edges`` perhaps with ends in none."""
        new = list(members)
        inside = {name for name, _ in new}
        self.members += new
        self._edges += (edge for edge in edges if edge.b in inside)
        self._characters += sum(len(info.text) for _, info in new)

    @property
    def is_full(self) -> bool:
        """Whether it is time."""
        return len(self.members) >= _TEXTS_AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE

    def sorted(self) -> tuple[list[tuple[Any, TextInfo]], Edges]:
        """The texts in the order of their names, and their pairs by number."""
        members = sorted(self.members, key=lambda member: member[0])
        place = {name: at for at, (name, _) in enumerate(members)}
        edges = sorted(self._edges, key=lambda edge: (place[edge.a], place[edge.b]))
        a, b = (np.array([place[edge[at]] for edge in edges], np.int64) for at in (0, 1))
        found = verdicts_of((edge.score, *edge[4:-1]) for edge in edges)
        found.bars[:] = [edge.bars for edge in edges]
        return members, Edges.of(a, b, pa.array([edge.source for edge in edges], pa.string()), found)


def ranks_of(members: Sequence[tuple[Any, tuple[Any, ...], int]]) -> tuple[IntArray, IntArray, Any]:
    """Ranks, rows and which are fixed, of texts by name: its name, the key of its best row, its rows."""
    fixed = np.array([name[0] == 1 for name, _, _ in members], bool)
    by_worth = sorted(range(len(members)), key=lambda at: (bool(fixed[at]), members[at][1]))
    rank = inverse(np.array(by_worth, np.int64))
    return rank, np.array([rows for *_, rows in members], np.int64), fixed


def _look(members: Sequence[tuple[Any, TextInfo]]) -> Look:
    """At texts by their place among some."""

    def of(what: Callable[[Any, TextInfo], Any]) -> Callable[[IntArray], list[Any]]:
        return lambda chosen: [what(*members[at]) for at in chosen.tolist()]

    return Look(
        of(lambda name, _: name),
        of(lambda name, _: shown_id(name[1])),
        of(lambda _, info: shown_id(info.best[-1])),
        of(lambda _, info: info.text),
    )


def _counts(stats: VerifyStats) -> dict[str, Any]:
    return {name: value for name, value in asdict(stats).items() if name != "seconds"}


class EarlierPairs(beam.PTransform):
    """``members`` of texts and ``scored`` pairs of rows -> ``((text, text), (score, source, rule, ...))``.

    Rows are ``(side, id)``. Two rows of one text are no pair of texts.
    """

    def expand(self, collections: dict[str, beam.PCollection]) -> beam.PCollection:
        """Two shuffles: by the first row, then by the second."""
        texts = collections["members"] | "Text of" >> beam.MapTuple(lambda text, member: (member[0], text))
        first = collections["scored"] | "By first" >> beam.Map(lambda pair: (pair[0], pair[1:]))
        second = (
            {"text": texts, "pair": first}
            | "First" >> beam.CoGroupByKey()
            | "Text a" >> beam.FlatMapTuple(_with_text)
            | "By second" >> beam.MapTuple(lambda text, pair: (pair[0], (text, *pair[1:])))
        )
        return (
            {"text": texts, "pair": second}
            | "Second" >> beam.CoGroupByKey()
            | "Text b" >> beam.FlatMapTuple(_with_text)
            | "Apart" >> beam.Filter(lambda found: found[0] != found[1][0])
            | "In order" >> beam.MapTuple(_in_order)
        )


def _in_order(b: Any, pair: tuple[Any, ...]) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
    a, *found, differs, lost_a, lost_b = pair
    if a <= b:
        return (a, b), pair[1:]
    return (b, a), (*found, differs and turn(differs), lost_b, lost_a)


def _with_text(row: tuple[int, Any], found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    text = next(iter(found["text"]), None)
    for pair in found["pair"]:
        if text is None:
            raise UserError(f"id {row[1]!r}: a scored pair names it, and it is not in the input.")
        yield text, pair


def fates(node: Any, found: dict[str, Iterable[Any]]) -> Iterator[tuple[Any, Any]]:
    """(row, (cluster or None if alone, representative or None if kept, receipt)) of each row of a node."""
    if node[0] == 1:  # rows to compare against stay
        return
    verdict: Sequence[Any] = next(iter(found["verdict"]), (None,) * (1 + _RECEIPT))
    members = found["members"]
    several = sum(1 for _ in members) > 1
    cluster = verdict[0] if verdict[0] is not None else (node if several else None)
    for row, best in members:
        if verdict[1] is not None:
            yield row, (cluster, *verdict[1:])
        elif row == best:
            yield row, (cluster, *(None,) * _RECEIPT)
        else:
            yield row, (cluster, best, *IDENTICAL, 0)


class SortOut(beam.DoFn):
    """(row, its element and its fate) -> kept, or removed with its receipt."""

    def __init__(self, threshold: float, against: bool, prefix: str) -> None:
        self._threshold, self._against, self._prefix = threshold, against, prefix

    def process(self, met: tuple[Any, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        """Beam's."""
        row, found = met
        rows = iter(found["rows"])
        element = next(rows)
        if next(rows, None) is not None:
            raise UserError(f"id {row[1]!r}: several elements have it. Receipts need distinct ids.")
        _, representative, *scored, lost = next(iter(found["fate"]))
        if representative is None:
            yield element
            return
        receipt = dict(zip(RECEIPT, (representative[1], *scored, self._threshold, lost), strict=True))
        if self._against:
            receipt[WHERE] = "against" if representative[0] else "input"
        yield pvalue.TaggedOutput("removed", with_fields(element, receipt, self._prefix))
