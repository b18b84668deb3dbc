"""Consistency without references: how far the answers to one question agree among themselves.

A system that is asked the same question several times and knows the answer says the same in other words; one
that guesses says something else each time. Of a question's answers each two are scored; their mean is its
self-consistency, and answers that pairs from a threshold connect are a cluster: one meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from beam_sts.errors import UserError, check_between
from beam_sts.evaluation.rules import PairScores

IntArray = NDArray[np.int64]
THRESHOLD = 0.8
MOST_ANSWERS = 20
"""Answers of a question that are compared: 190 pairs."""
_PAIRS_AT_ONCE = 65_536


@dataclass(frozen=True)
class QuestionConsistency:
    """The answers to one question.

    ``answers`` are all, ``compared`` those whose pairs were scored. ``mean`` is the mean score of their
    pairs, None for a single answer. ``clusters`` counts the meanings; ``largest`` is the share of compared
    answers in the largest. ``typical`` is the row of the answer that agrees most with the others.
    """

    question: str
    answers: int
    compared: int
    mean: float | None
    clusters: int
    largest: float
    typical: int


@dataclass(frozen=True)
class Consistency:
    """The answers to all questions, these in order of appearance.

    Of each of the n rows ``agreement`` is the mean score with the other answers to its question, and
    ``cluster`` numbers its meaning from 0, the largest first. A row that was not compared has NaN and -1; one
    that is alone has NaN and 0.
    """

    questions: list[QuestionConsistency]
    agreement: NDArray[np.float32]
    cluster: IntArray
    threshold: float
    seed: int

    @property
    def mean(self) -> float | None:
        """The mean over questions with two answers or more, each counting the same; None without any."""
        means = [each.mean for each in self.questions if each.mean is not None]
        return float(np.mean(means)) if means else None

    @property
    def sampled(self) -> int:
        """Questions of whose answers only a sample was compared."""
        return sum(each.compared < each.answers for each in self.questions)


def consistency(
    question_ids: Sequence[object] | pa.Array | pa.ChunkedArray,
    answers: Sequence[str] | pa.Array | pa.ChunkedArray,
    scorer: PairScores,
    threshold: float = THRESHOLD,
    *,
    most_answers: int = MOST_ANSWERS,
    seed: int = 0,
) -> Consistency:
    """Score the answers to each question beside each other.

    Args:
        question_ids: which question each of n answers belongs to, of one kind: texts, or numbers.
        answers: n texts.
        scorer: a ``PairScorer``. Equal answers count 1 without it.
        threshold: score, 0 to 1, from which two answers say the same.
        most_answers: answers of a question that are compared, at least 2; of more, as many at random.
        seed: of that sample, which depends on nothing else but the question's place and its answers' count.

    Raises:
        UserError: a threshold or bound is out of range, or the model fails on a pair.
        ValueError: the columns differ in length or hold a null.

    >>> from beam_sts import PairScorer
    >>> said = ["It rains.", "It is raining.", "The sun shines.", "Yes."]
    >>> result = consistency([1, 1, 1, 2], said, PairScorer())
    >>> [(each.question, each.clusters, round(each.largest, 2)) for each in result.questions]
    [('1', 2, 0.67), ('2', 1, 1.0)]
    """
    check_between("threshold", threshold)
    if most_answers < 2:
        raise UserError(f"most_answers {most_answers}: must be at least 2.")
    codes, names = _codes(question_ids)
    texts = _texts(answers)
    if len(codes) != len(texts):
        raise ValueError(f"there are {len(codes)} question ids and {len(texts)} answers")
    chosen = list(_chosen(codes, len(names), most_answers, seed))
    total, pairs = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
    sums = np.zeros(len(names))
    cluster = np.full(len(texts), -1, np.int64)
    for block in _blocks(chosen):
        first, second = (np.concatenate(side) for side in zip(*map(_pairs, block), strict=True))
        scores = _score(texts, first, second, scorer)
        for side in (first, second):
            np.add.at(total, side, scores)
            np.add.at(pairs, side, 1)
        np.add.at(sums, codes[first], scores)
        _number_clusters(block, first, second, scores >= threshold, cluster)
    agreement = np.divide(total, pairs, out=np.full(len(texts), np.nan), where=pairs > 0)
    counts = np.bincount(codes, minlength=len(names))
    questions = []
    for question, rows in enumerate(chosen):
        made = len(rows) * (len(rows) - 1) // 2
        sizes = np.bincount(cluster[rows])
        questions.append(
            QuestionConsistency(
                names[question],
                int(counts[question]),
                len(rows),
                float(sums[question] / made) if made else None,
                len(sizes),
                float(sizes.max() / len(rows)),
                int(rows[np.argmax(np.nan_to_num(agreement[rows], nan=0.0))]),
            )
        )
    return Consistency(questions, agreement.astype(np.float32), cluster, threshold, seed)


def _codes(question_ids: Sequence[object] | pa.Array | pa.ChunkedArray) -> tuple[IntArray, list[str]]:
    """The questions numbered in order of appearance, and their names."""
    column = question_ids if isinstance(question_ids, (pa.Array, pa.ChunkedArray)) else pa.array(question_ids)
    if column.null_count:
        raise ValueError("a question id is null")
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    encoded = chunked.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), list(map(str, encoded.dictionary.to_pylist()))


def _texts(answers: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.Array:
    column = (
        answers if isinstance(answers, (pa.Array, pa.ChunkedArray)) else pa.array(answers, pa.large_string())
    )
    if column.null_count:
        raise ValueError("an answer is null")
    column = column.cast(pa.large_string())
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays([pa.array([], pa.large_string()), *column.chunks])
    return column


def _chosen(codes: IntArray, questions: int, most: int, seed: int) -> Iterator[IntArray]:
    """The rows of each question that are compared, in order."""
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=questions))
    for question, rows in enumerate(np.split(order, ends[:-1]) if questions else []):
        if len(rows) > most:
            rng = np.random.default_rng((seed, question))
            rows = np.sort(rng.choice(rows, most, replace=False))
        yield rows


def _blocks(chosen: Sequence[IntArray]) -> Iterator[list[IntArray]]:
    """Whole questions, of so many pairs together that they are scored at once."""
    block: list[IntArray] = []
    pairs = 0
    for rows in chosen:
        block.append(rows)
        pairs += len(rows) * (len(rows) - 1) // 2
        if pairs >= _PAIRS_AT_ONCE:
            yield block
            block, pairs = [], 0
    if block:
        yield block


def _pairs(rows: IntArray) -> tuple[IntArray, IntArray]:
    first, second = np.triu_indices(len(rows), 1)
    return rows[first], rows[second]


def _score(texts: pa.Array, first: IntArray, second: IntArray, scorer: PairScores) -> NDArray[np.float64]:
    one, two = texts.take(pa.array(first)), texts.take(pa.array(second))
    scores = np.ones(len(first))
    differ = np.flatnonzero(pc.not_equal(one, two).to_numpy(zero_copy_only=False))
    if len(differ):
        one, two = one.take(pa.array(differ)), two.take(pa.array(differ))
        scores[differ] = scorer.run(one, two).scores
    bad = np.flatnonzero(np.isnan(scores))
    if len(bad):
        rows = int(first[bad[0]]), int(second[bad[0]])
        raise UserError(f"the answers of rows {rows[0]} and {rows[1]} (from 0): the model fails on the pair.")
    return scores


def _number_clusters(
    block: Sequence[IntArray], first: IntArray, second: IntArray, same: NDArray[np.bool_], cluster: IntArray
) -> None:
    """Number the components of each question from 0, the largest first, then by their first row."""
    rows = np.concatenate(block)
    order = np.argsort(rows)
    at = [order[np.searchsorted(rows, side[same], sorter=order)] for side in (first, second)]
    graph = coo_matrix((np.ones(len(at[0]), bool), at), shape=(len(rows), len(rows)))
    labels = connected_components(graph, directed=False)[1]
    start = 0
    for question in block:
        own = labels[start : start + len(question)]
        start += len(question)
        _, seen, inverse, sizes = np.unique(own, return_index=True, return_inverse=True, return_counts=True)
        rank = np.empty(len(sizes), np.int64)
        rank[np.lexsort((seen, -sizes))] = np.arange(len(sizes))
        cluster[question] = rank[inverse]
