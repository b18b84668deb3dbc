"""The rules for the score of an answer: which pairs the model scores, and how their scores are blended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.evaluation.answers import Reading, compare_words

Blend = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From the model's scores to those of the pairs. It is sent to workers, so it must not be a closure."""
PairRule = Callable[[pa.ChunkedArray, pa.ChunkedArray], tuple[pa.ChunkedArray, pa.ChunkedArray, Blend]]
"""From n answers and their n references to the pairs to score and the blend.

There are n pairs, or a multiple of n in the same order, such as all pairs and then all passages.
"""


def _as_it_is(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores


def _answer(
    answers: pa.ChunkedArray, references: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, Blend]:
    reading = compare_words(answers.to_pylist(), references.to_pylist())
    passages, meant = (pa.array(texts, pa.large_string()) for texts in (reading.passages, reading.references))
    pairs = [
        pa.chunked_array([*given.chunks, more]) for given, more in ((answers, passages), (references, meant))
    ]
    return pairs[0], pairs[1], partial(_blended, replace(reading, passages=[], references=[]))


def _blended(reading: Reading, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return reading.blend(*np.split(scores, 2))


MODEL_RULE = "similarity"
RULES: dict[str, PairRule] = {
    MODEL_RULE: lambda answers, references: (answers, references, _as_it_is),
    "answer": _answer,
}
"""The rules by their names for ``--rule``."""


class AnswerScores(Protocol):
    """The interface of an object that scores pairs of texts, such as ``PairScorer``."""

    def run(self, text_a: Any, text_b: Any, /) -> Any:
        """Score two Arrow columns of n texts; the result's ``scores`` are float32 of shape (n,)."""


@cache
def default_scorer() -> AnswerScores:
    """The embedded model, loaded once per process."""
    from beam_sts.scoring.scorer import PairScorer

    return PairScorer()


def answer_scores(
    answers: Sequence[str], references: Sequence[str], scorer: AnswerScores, rule: str = "answer"
) -> NDArray[np.float32]:
    """Score answers by their references.

    Args:
        answers: n answers of a system.
        references: n right answers, one for each answer.
        scorer: a ``PairScorer``; it scores each pair, and with the rule ``answer`` each passage too.
        rule: one of ``RULES``.

    Returns:
        The scores, float32 of shape (n,); NaN where the model fails.

    Raises:
        UserError: the rule is unknown, or the model's scores are not between 0 and 1.
        ValueError: the columns differ in length.

    >>> from beam_sts import PairScorer
    >>> right = "As far as I know, the first woman who received it was Marie Curie, for her work on radium."
    >>> wrong = right.replace("Marie Curie", "Lise Meitner")
    >>> answer_scores([right, wrong], ["Marie Curie", "Marie Curie"], PairScorer()).round(1)
    array([1. , 0.1], dtype=float32)
    """
    if rule not in RULES:
        raise UserError(f"rule {rule!r}: is not one of {', '.join(RULES)}.")
    columns = (pa.chunked_array([pa.array(texts, pa.large_string())]) for texts in (answers, references))
    text_a, text_b, blend = RULES[rule](*columns)
    return blend(scorer.run(text_a, text_b).scores)
