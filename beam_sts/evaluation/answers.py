"""A score fit for answers: the model's, corrected by what the words of answer and reference say.

A model of sentence similarity takes a long answer that contains a short reference for half alike, and hardly
sees another number, another name or a "not". The rule ``answer`` corrects both without another model:

1. It finds the passage of the answer that speaks of the reference (the run of words that shares the most with
   it) and the coverage: how much of the reference's words the passage has.
2. The model scores the whole answer and the passage; the more the passage covers, the more its score counts.
3. A part of the score is how much of the reference's runs of four characters, within words, the answer has;
   rare words count more.
4. Where the passage repeats the reference but for a number, a name or a negation, the score is cut.

It is deterministic, a pair's score follows from the pair alone, and the work is linear in the lengths. Number
words and negations are English's. A paraphrase with hardly a word in common is left to the model.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from beam_sts.errors import UserError
from beam_sts.evaluation.words import Token, common_words, tokens, with_values

# Chosen on the dev part of benchmarks.answers, on a plateau: docs/experiments/answer_scores.md.
TRUST = 4
"""Power of the coverage: how soon a passage stops to count when it covers less of the reference."""
OVERLAP = 0.3
"""The part of the score that is overlap of characters; the model has the rest."""
CUT = 0.7
"""What an answer loses whose passage repeats the reference but for its numbers, names or negation."""
RARE = 3.0
"""How many times a rare word counts in the overlap: one that is not among the common words."""
_EXTRA = 0.3  # what a word that the reference lacks costs in a passage, where a shared one gains 1


@dataclass(frozen=True)
class Reading:
    """What the words of n answers and references say, each array of shape (n,).

    ``passages`` and ``references`` are what the model is to score beside the whole answers, numbers in one
    form; ``trust`` is 0 to 1, how much a passage's score counts; ``overlap`` is 0 to 1, NaN where a reference
    has no words; ``kept`` is the part of the score that is left by other numbers, names and negations.
    """

    passages: list[str]
    references: list[str]
    trust: NDArray[np.float64]
    overlap: NDArray[np.float64]
    kept: NDArray[np.float64]

    def blend(self, whole: ArrayLike, passage: ArrayLike) -> NDArray[np.float32]:
        """The rule's scores, float32 of shape (n,), NaN where a model's score is.

        Args:
            whole: the model's scores of answers and references, 0 to 1.
            passage: its scores of ``passages`` and ``references``, 0 to 1.

        Raises:
            UserError: a score is not between 0 and 1.
        """
        whole, passage = np.asarray(whole, np.float64), np.asarray(passage, np.float64)
        for scores in (whole, passage):
            if len(outside := scores[(scores < 0) | (scores > 1)]):
                raise UserError(
                    f"the rule 'answer' needs scores from 0 to 1; this model gives {outside[0]:g}. Take "
                    "another model, or the rule 'similarity'."
                )
        model = (1 - self.trust) * whole + self.trust * passage
        overlap = np.where(np.isnan(self.overlap), model, self.overlap)
        blended: NDArray[np.float32] = (self.kept * ((1 - OVERLAP) * model + OVERLAP * overlap)).astype(
            np.float32
        )
        return blended


def read(answers: Sequence[str], references: Sequence[str]) -> Reading:
    """Compare the words of n answers with those of their references.

    >>> reading = read(["As far as I know it was Marie Curie, in 1911."], ["Marie Curie in 1911"])
    >>> reading.passages, reading.kept.round(2).tolist()
    (['Marie Curie, in 1911'], [1.0])

    Raises:
        ValueError: the columns differ in length.
    """
    if len(answers) != len(references):
        raise ValueError(f"there are {len(answers)} answers and {len(references)} references")
    rows = [_read(answer, reference) for answer, reference in zip(answers, references, strict=True)]
    trust, overlap, kept = np.array([numbers for _, _, *numbers in rows], np.float64).reshape(-1, 3).T
    return Reading([row[0] for row in rows], [row[1] for row in rows], trust, overlap, kept)


def _read(answer: str, reference: str) -> tuple[str, str, float, float, float]:
    """A passage, the reference, both with numbers in one form; trust, overlap, the part of the score kept."""
    answer = answer if answer.isascii() else unicodedata.normalize("NFKC", answer)
    reference = reference if reference.isascii() else unicodedata.normalize("NFKC", reference)
    said, meant = tokens(answer), tokens(reference)
    if not meant:
        return answer, reference, 0.0, np.nan, 1.0
    passage = _passage(said, {token.key for token in meant})
    trust = _coverage(passage, meant) ** TRUST
    known = {token.key for token in said}
    kept = 1 - CUT * trust * _negations(passage, meant)
    kept *= 1 - CUT * trust * _missing(meant, known, "name")
    # A number is most of a short reference, "555 km": what counts is that the rest is repeated.
    rest = [token for token in meant if token.fact != "number"]
    kept *= 1 - CUT * _coverage(passage, rest) ** TRUST * _missing(meant, known, "number")
    text = with_values(answer, passage) if passage else answer
    whole = reference[: meant[0].start] + with_values(reference, meant) + reference[meant[-1].end :]
    return text, whole, trust, _overlap(said, meant), kept


def _passage(said: Sequence[Token], keys: set[str]) -> Sequence[Token]:
    """The run of tokens with the most shared weight, less what others cost (Kadane's maximum subarray)."""
    best, gain = (0.0, 0, 0), 0.0
    start = 0
    for at, token in enumerate(said):
        if gain <= 0:
            gain, start = 0.0, at
        gain += token.weight if token.key in keys else -_EXTRA * token.weight
        if gain > best[0]:
            best = (gain, start, at + 1)
    return said[best[1] : best[2]]


def _coverage(passage: Sequence[Token], meant: Sequence[Token]) -> float:
    """The part of the reference's weight that the passage has; 1 of nothing."""
    left = Counter(token.key for token in passage)
    total = found = 0.0
    for token in meant:
        total += token.weight
        if left[token.key] > 0:
            left[token.key] -= 1
            found += token.weight
    return found / total if total else 1.0


def _missing(meant: Sequence[Token], known: set[str], fact: str) -> float:
    """The part of the reference's numbers, or names, that the answer does not have."""
    keys = [token.key for token in meant if token.fact == fact]
    return sum(key not in known for key in keys) / len(keys) if keys else 0.0


def _negations(passage: Sequence[Token], meant: Sequence[Token]) -> int:
    """1 where one of both is negated once more, or three times more; two negations cancel out."""
    return sum(token.fact == "negation" for token in (*passage, *meant)) % 2


def _overlap(said: Sequence[Token], meant: Sequence[Token]) -> float:
    """The part of the weight of the reference's runs of four characters that the answer has."""
    there = Counter(run for token in said for run in _runs(token.form))
    total = found = 0.0
    for token in meant:
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
