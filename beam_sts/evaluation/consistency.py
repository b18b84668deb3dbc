"""Consistency without references: how far the answers to one question agree among themselves.

A system that is asked a question several times gives the same answer in other words if it knows the answer,
and different answers if it guesses. All pairs of a question's answers are scored. Their mean score is the
self-consistency. The pairs at or above a threshold connect the answers to clusters, each of one meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from beam_sts.arrays import IntArray, distinct_values, inverse, one_array, rank_in_group
from beam_sts.checks import share
from beam_sts.errors import UserError
from beam_sts.evaluation.rules import AnswerScores
from beam_sts.plurals import plural
from beam_sts.scoring.decisions import decisive

THRESHOLD = 0.8
MOST_ANSWERS = 20
"""Limit of the compared answers to a question, which have 190 pairs."""
_ANSWERS_AT_ONCE = 8_192


@dataclass(frozen=True)
class QuestionConsistency:
    """The answers to one question.

    ``answers`` counts all answers, ``compared`` those of which the pairs were scored. ``mean`` is the mean
    score of the pairs, None for a single answer. ``clusters`` counts the clusters; ``largest`` is the share
    of the compared answers in the largest one. ``typical`` is the row of the answer that agrees most with the
    others.
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
    """The consistency of all questions, in order of appearance.

    For each of the n rows, ``agreement`` is the mean score with the other answers to its question, and
    ``cluster`` is the number of its cluster, from 0, the largest first. A row that was not compared has NaN
    and -1; the only answer to a question has NaN and 0.
    """

    questions: list[QuestionConsistency]
    agreement: NDArray[np.float32]
    cluster: IntArray
    threshold: float
    seed: int

    @property
    def mean(self) -> float | None:
        """The mean over the questions with at least two answers, all of equal weight; None without any."""
        means = [each.mean for each in self.questions if each.mean is not None]
        return float(np.mean(means)) if means else None

    @property
    def sampled(self) -> int:
        """Count of the questions of which only a sample of the answers was compared."""
        return sum(each.compared < each.answers for each in self.questions)


@dataclass(frozen=True)
class Compared:
    """The compared answers and their pairs, without texts.

    ``rows`` has the compared answers, question by question, and ``ends`` the index at which each question's
    rows end. ``first`` and ``second`` are the indices in ``rows`` of each pair. ``asked`` are the pairs that
    the model must score; the other pairs have equal texts.
    """

    rows: IntArray
    ends: IntArray
    first: IntArray
    second: IntArray
    asked: IntArray

    def texts(self, answers: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Both sides of the pairs that the model must score.

        Args:
            answers: the answers that were passed to ``pair_answers``.
        """
        one, two = (self.rows[side[self.asked]] for side in (self.first, self.second))
        return answers.take(pa.array(one)), answers.take(pa.array(two))


@dataclass(frozen=True)
class AnswerAgreement:
    """The results for each row and each question of ``Compared``.

    ``agreement`` and ``mean`` are NaN if there is no other answer.
    """

    agreement: NDArray[np.float64]
    cluster: IntArray
    mean: NDArray[np.float64]


def consistency(
    question_ids: Sequence[object] | pa.Array | pa.ChunkedArray,
    answers: Sequence[str] | pa.Array | pa.ChunkedArray,
    scorer: AnswerScores,
    threshold: float = THRESHOLD,
    *,
    most_answers: int = MOST_ANSWERS,
    seed: int = 0,
) -> Consistency:
    """Score the answers to each question against each other.

    Args:
        question_ids: the question of each of n answers: all texts, or all numbers.
        answers: n texts.
        scorer: a ``PairScorer``. Equal answers score 1 without it.
        threshold: least score, 0 to 1, of two answers with the same meaning.
        most_answers: how many answers to a question are compared, at least 2; of more, a random sample.
        seed: seed of that sample, which otherwise depends only on the rows of the question's answers.

    Raises:
        UserError: a threshold or bound is out of range, or the model fails on a pair.
        ValueError: the columns differ in length or hold a null.

    >>> from beam_sts import PairScorer
    >>> answers = ["It rains.", "It is raining.", "The sun shines.", "Yes."]
    >>> result = consistency([1, 1, 1, 2], answers, PairScorer())
    >>> [(each.question, each.clusters, round(each.largest, 2)) for each in result.questions]
    [('1', 2, 0.67), ('2', 1, 1.0)]
    """
    share("threshold", threshold)
    if most_answers < 2:
        raise UserError(f"most_answers {most_answers}: must be at least 2.")
    codes, names = _codes(question_ids)
    texts = _texts(answers)
    if len(codes) != len(texts):
        raise ValueError(f"there are {plural(len(codes), 'question id')} and {plural(len(texts), 'answer')}")
    agreement = np.full(len(texts), np.nan)
    cluster = np.full(len(texts), -1, np.int64)
    chosen = np.flatnonzero(sampled_answers(codes, np.arange(len(codes)), most_answers, seed))
    counts = np.bincount(codes, minlength=len(names))
    questions: list[QuestionConsistency] = []
    for rows in _blocks(chosen, codes):
        found = pair_answers(codes, texts, rows)
        scores = scorer.run(*found.texts(texts)).scores if len(found.asked) else []
        made = agreement_of(found, scores, threshold)
        agreement[found.rows], cluster[found.rows] = made.agreement, made.cluster
        for at, (start, end) in enumerate(zip([0, *found.ends[:-1]], found.ends, strict=True)):
            own = found.rows[start:end]
            sizes = np.bincount(made.cluster[start:end])
            mean = made.mean[at]
            questions.append(
                QuestionConsistency(
                    names[codes[own[0]]],
                    int(counts[codes[own[0]]]),
                    len(own),
                    None if np.isnan(mean) else float(mean),
                    len(sizes),
                    float(sizes[0] / len(own)),
                    int(own[np.argmax(np.nan_to_num(made.agreement[start:end], nan=0.0))]),
                )
            )
    return Consistency(questions, agreement.astype(np.float32), cluster, threshold, seed)


def sampled_answers(question: IntArray, row: IntArray, most: int, seed: int) -> NDArray[np.bool_]:
    """Which of n answers are compared: all answers to a question, or ``most`` of them at random.

    Each row has a random number, and the lowest of a question are chosen. So a sample of samples is a sample
    of the whole: each part of the input can drop the answers that are not needed.

    Args:
        question: number of each answer's question, shape (n,).
        row: an integer that identifies each answer, shape (n,).
        most: limit of the answers to a question.
        seed: seed of the random numbers.
    """
    order = np.lexsort((row, _mixed(row, seed), question))
    ordered = question[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    kept = np.zeros(len(order), bool)
    kept[order[rank < most]] = True
    return kept


def pair_answers(question: IntArray, answers: pa.Array, rows: IntArray) -> Compared:
    """Pair the answers to each question.

    Args:
        question: number of each answer's question, shape (n,).
        answers: the n texts.
        rows: indices of the answers to compare.
    """
    rows = rows[np.argsort(question[rows], kind="stable")]
    number = question[rows]
    ends = np.flatnonzero(np.r_[number[1:] != number[:-1], True]) + 1 if len(rows) else rows
    sizes = np.diff(np.r_[0, ends])
    first, second = _pairs(sizes, ends)
    one, two = (answers.take(pa.array(rows[side])) for side in (first, second))
    asked = np.flatnonzero(pc.not_equal(one, two).to_numpy(zero_copy_only=False))
    return Compared(rows, ends, first, second, asked)


def agreement_of(compared: Compared, scores: ArrayLike, threshold: float) -> AnswerAgreement:
    """Means and clusters from the scores of pairs.

    Args:
        compared: the pairs.
        scores: the scores of the pairs that the model must score.
        threshold: least score of two answers with the same meaning.

    Raises:
        UserError: the model failed on a pair.
    """
    every = np.ones(len(compared.first))
    every[compared.asked] = scores
    bad = np.flatnonzero(np.isnan(every))
    if len(bad):
        rows = [int(compared.rows[side[bad[0]]]) for side in (compared.first, compared.second)]
        raise UserError(
            f"the answers of rows {rows[0]} and {rows[1]} (from 0): the model fails on this pair."
        )
    count = len(compared.rows)
    sides = (compared.first, compared.second)
    total = sum((np.bincount(side, every, count) for side in sides), np.zeros(count))
    sizes = np.diff(np.r_[0, compared.ends]) if count else compared.ends
    others = np.repeat(sizes - 1, sizes)
    of_question = np.repeat(np.arange(len(sizes)), sizes)
    sums = np.bincount(of_question[compared.first], every, len(sizes))
    made = sizes * (sizes - 1) // 2
    return AnswerAgreement(
        np.divide(total, others, out=np.full(count, np.nan), where=others > 0),
        _clusters(compared, decisive(every) >= threshold, of_question),
        np.divide(sums, made, out=np.full(len(sizes), np.nan), where=made > 0),
    )


def _clusters(compared: Compared, same: NDArray[np.bool_], of_question: IntArray) -> IntArray:
    """Number the components of each question from 0, the largest first, then by their first row."""
    count = len(compared.rows)
    graph = coo_matrix(
        (np.ones(int(same.sum()), bool), (compared.first[same], compared.second[same])), shape=(count, count)
    )
    _, labels = connected_components(graph, directed=False)
    # A component is within one question.
    _, seen, component, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((compared.rows[seen], -sizes, of_question[seen]))
    rank = rank_in_group(of_question[seen][order])
    return rank[inverse(order)][component]


def _pairs(sizes: IntArray, ends: IntArray) -> list[IntArray]:
    """Both sides of all pairs of rows within each question."""
    sides: tuple[list[IntArray], ...] = ([np.empty(0, np.int64)], [np.empty(0, np.int64)])
    for size, end in zip(sizes.tolist(), ends.tolist(), strict=True):
        for side, places in zip(sides, _triangle(size), strict=True):
            side.append(places + (end - size))
    return [np.concatenate(side) for side in sides]


@cache
def _triangle(size: int) -> tuple[IntArray, IntArray]:
    first, second = np.triu_indices(size, 1)
    return first, second


def _mixed(row: IntArray, seed: int) -> NDArray[np.uint64]:
    """A random number for each row, by the finalizer of SplitMix64, which is a bijection."""
    (start,) = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    with np.errstate(over="ignore"):
        mixed = row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed, np.uint64)


def _codes(question_ids: Sequence[object] | pa.Array | pa.ChunkedArray) -> tuple[IntArray, list[str]]:
    """The questions numbered in order of appearance, and their names."""
    column = question_ids if isinstance(question_ids, (pa.Array, pa.ChunkedArray)) else pa.array(question_ids)
    if column.null_count:
        raise ValueError("a question id is null")
    values, (numbers,) = distinct_values(column)
    return numbers, list(map(str, values.to_pylist()))


def _texts(answers: Sequence[str] | pa.Array | pa.ChunkedArray) -> pa.Array:
    column = (
        answers if isinstance(answers, (pa.Array, pa.ChunkedArray)) else pa.array(answers, pa.large_string())
    )
    if column.null_count:
        raise ValueError("an answer is null")
    return one_array(column.cast(pa.large_string()))


def _blocks(rows: IntArray, question: IntArray) -> Iterator[IntArray]:
    """Blocks of rows of whole questions, of such a size that their pairs fit into memory."""
    rows = rows[np.argsort(question[rows], kind="stable")]
    ends = np.flatnonzero(np.r_[np.diff(question[rows]) != 0, True]) + 1 if len(rows) else rows
    start = 0
    while start < len(rows):
        end = int(ends[np.searchsorted(ends[:-1], start + _ANSWERS_AT_ONCE)])
        yield rows[start:end]
        start = end
