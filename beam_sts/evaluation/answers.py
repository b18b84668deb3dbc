"""A score for answers: the model's score, corrected by the words of the answer and the reference.

To a model of sentence similarity, a long answer that contains a short reference is only half similar, and a
different number or name, or a "not", hardly matters. The rule ``answer`` corrects both without another model:

1. It finds the passage of the answer that is about the reference (the run of words that shares the most with
   it), and the coverage: how many of the reference's words the passage has.
2. The model scores the whole answer and the passage. The higher the coverage, the more the passage's score
   counts.
3. A part of the score is the share of the reference's character four-grams, within words, that the answer
   has. Rare words have more weight.
4. If the passage repeats the reference except for a number, a name or a negation, the score is reduced.

The rule is deterministic, the score of a pair depends on that pair alone, and the work is linear in the
lengths. Number words and negations are English. A paraphrase with few shared words is left to the model.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beam_sts.errors import UserError
from beam_sts.evaluation.words import WordToken, common_words, tokens, with_values
from beam_sts.plurals import plural

# Chosen on the dev part of benchmarks.answers, where nearby values do as well:
# docs/experiments/answer_scores.md.
TRUST = 4
"""Exponent of the coverage: the higher, the less a passage with partial coverage counts."""
OVERLAP = 0.3
"""The weight of the overlap of characters in the score; the rest is the model's."""
CUT = 0.7
"""The share of the score lost if the passage repeats the reference except for a number, name or negation."""
RARE = 3.0
"""The weight of a rare word in the overlap; a common word has 1."""
_EXTRA = 0.3  # the cost of a word in a passage that the reference lacks; a shared word gains 1


@dataclass(frozen=True)
class Reading:
    """The result of comparing the words of n answers and references; arrays have the shape (n,).

    Attributes:
        passages: texts that the model scores in addition to the whole answers, with normalised numbers.
        references: the references, with normalised numbers.
        trust: how much the score of a passage counts, 0 to 1.
        overlap: overlap of characters, 0 to 1; NaN if a reference has no words.
        kept: the share of the score that remains after different numbers, names and negations, 0 to 1.
    """

    passages: list[str]
    references: list[str]
    trust: NDArray[np.float64]
    overlap: NDArray[np.float64]
    kept: NDArray[np.float64]

    def blend(self, whole: ArrayLike, passage: ArrayLike) -> NDArray[np.float32]:
        """The scores by the rule, float32 of shape (n,); NaN where a score of the model is NaN.

        Args:
            whole: the model's scores of answers and references, 0 to 1, shape (n,).
            passage: its scores of ``passages`` and ``references``, 0 to 1, shape (n,).

        Raises:
            UserError: a score is not between 0 and 1.
        """
        whole, passage = np.asarray(whole, np.float64), np.asarray(passage, np.float64)
        for scores in (whole, passage):
            if len(outside := scores[(scores < 0) | (scores > 1)]):
                raise UserError(
                    "the rule 'answer' needs scores from 0 to 1, but this model gives "
                    f"{outside[0]:g}. Use another model, or the rule 'similarity'."
                )
        model = (1 - self.trust) * whole + self.trust * passage
        overlap = np.where(np.isnan(self.overlap), model, self.overlap)
        blended: NDArray[np.float32] = (self.kept * ((1 - OVERLAP) * model + OVERLAP * overlap)).astype(
            np.float32
        )
        return blended


def compare_words(answers: Sequence[str], references: Sequence[str]) -> Reading:
    """Compare the words of n answers with those of their references.

    >>> reading = compare_words(["As far as I know it was Marie Curie, in 1911."], ["Marie Curie in 1911"])
    >>> reading.passages, reading.kept.round(2).tolist()
    (['Marie Curie, in 1911'], [1.0])

    Raises:
        ValueError: the columns differ in length.
    """
    if len(answers) != len(references):
        raise ValueError(
            f"there are {plural(len(answers), 'answer')} and {plural(len(references), 'reference')}"
        )
    rows = [_read(answer, reference) for answer, reference in zip(answers, references, strict=True)]
    trust, overlap, kept = np.array([numbers for _, _, *numbers in rows], np.float64).reshape(-1, 3).T
    return Reading([row[0] for row in rows], [row[1] for row in rows], trust, overlap, kept)


def _read(answer: str, reference: str) -> tuple[str, str, float, float, float]:
    """Passage and reference with normalised numbers; trust, overlap, and the share of the score kept."""
    answer = answer if answer.isascii() else unicodedata.normalize("NFKC", answer)
    reference = reference if reference.isascii() else unicodedata.normalize("NFKC", reference)
    predicted, expected = tokens(answer), tokens(reference)
    if not expected:
        return answer, reference, 0.0, np.nan, 1.0
    passage = _passage(predicted, {token.key for token in expected})
    trust = _coverage(passage, expected) ** TRUST
    known = {token.key for token in predicted}
    kept = 1 - CUT * trust * _negations(passage, expected)
    kept *= 1 - CUT * trust * _missing(expected, known, "name")
    # In a short reference such as "555 km" the number is most of it, so compare the rest.
    rest = [token for token in expected if token.fact != "number"]
    kept *= 1 - CUT * _coverage(passage, rest) ** TRUST * _missing(expected, known, "number")
    text = with_values(answer, passage) if passage else answer
    whole = reference[: expected[0].start] + with_values(reference, expected) + reference[expected[-1].end :]
    return text, whole, trust, _overlap(predicted, expected), kept


def _passage(predicted: Sequence[WordToken], keys: set[str]) -> Sequence[WordToken]:
    """The run of tokens with the highest shared weight minus the cost of the others (Kadane's algorithm)."""
    best, gain = (0.0, 0, 0), 0.0
    start = 0
    for at, token in enumerate(predicted):
        if gain <= 0:
            gain, start = 0.0, at
        gain += token.weight if token.key in keys else -_EXTRA * token.weight
        if gain > best[0]:
            best = (gain, start, at + 1)
    return predicted[best[1] : best[2]]


def _coverage(passage: Sequence[WordToken], expected: Sequence[WordToken]) -> float:
    """The share of the reference's weight that the passage has; 1 if the reference is empty."""
    left = Counter(token.key for token in passage)
    total = found = 0.0
    for token in expected:
        total += token.weight
        if left[token.key] > 0:
            left[token.key] -= 1
            found += token.weight
    return found / total if total else 1.0


def _missing(expected: Sequence[WordToken], known: set[str], fact: str) -> float:
    """The share of the reference's numbers, or names, that the answer lacks."""
    keys = [token.key for token in expected if token.fact == fact]
    return sum(key not in known for key in keys) / len(keys) if keys else 0.0


def _negations(passage: Sequence[WordToken], expected: Sequence[WordToken]) -> int:
    """1 if the counts of negations differ by an odd number, since two negations cancel out; else 0."""
    return sum(token.fact == "negation" for token in (*passage, *expected)) % 2


def _overlap(predicted: Sequence[WordToken], expected: Sequence[WordToken]) -> float:
    """The share of the weight of the reference's character four-grams that the answer has."""
    there = Counter(run for token in predicted for run in _runs(token.form))
    total = found = 0.0
    for token in expected:
        weight = token.weight if token.form in common_words() else RARE * token.weight
        for run in _runs(token.form):
            total += weight
            if there[run] > 0:
                there[run] -= 1
                found += weight
    return found / total


def _runs(word: str) -> list[str]:
    padded = f" {word} "
    return [padded[at : at + 4] for at in range(max(1, len(padded) - 3))]
