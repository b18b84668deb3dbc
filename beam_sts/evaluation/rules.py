"""What the score of an answer is: which pairs the model scores for it, and what is made of their scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from beam_sts.errors import UserError
from beam_sts.evaluation.answers import Reading, read

Blend = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""The model's scores -> the scores of the pairs given; it travels to workers, so it is no closure."""
Rule = Callable[[pa.ChunkedArray, pa.ChunkedArray], tuple[pa.ChunkedArray, pa.ChunkedArray, Blend]]
"""n answers and their n references -> the pairs to score and the blend.

The pairs are n, or n several times over in the same order, such as the pairs given and then their passages.
"""


def _as_it_is(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return scores


def _answer(
    answers: pa.ChunkedArray, references: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, Blend]:
    reading = read(answers.to_pylist(), references.to_pylist())
    passages, meant = (pa.array(texts, pa.large_string()) for texts in (reading.passages, reading.references))
    pairs = [
        pa.chunked_array([*given.chunks, more]) for given, more in ((answers, passages), (references, meant))
    ]
    return pairs[0], pairs[1], partial(_blended, replace(reading, passages=[], references=[]))


def _blended(reading: Reading, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return reading.blend(*np.split(scores, 2))


MODEL_RULE = "similarity"
RULES: dict[str, Rule] = {
    MODEL_RULE: lambda answers, references: (answers, references, _as_it_is),
    "answer": _answer,
}
"""By the name that ``--rule`` takes."""


class PairScores(Protocol):
    """What scores pairs of texts, as ``PairScorer`` does."""

    def run(self, text_a: Any, text_b: Any, /) -> Any:
        """Score two Arrow columns of n texts; the result's ``scores`` are float32 of shape (n,)."""


@cache
def default_scorer() -> PairScores:
    """The embedded model, loaded once in a process."""
    from beam_sts.scoring.scorer import PairScorer

    return PairScorer()


def answer_scores(
    answers: Sequence[str], references: Sequence[str], scorer: PairScores, rule: str = "answer"
) -> NDArray[np.float32]:
    """Score n answers by their references, float32 of shape (n,), NaN where the model fails.

    Args:
        answers: what a system said.
        references: what is right, one for each answer.
        scorer: a ``PairScorer``; it scores each pair, and with the rule ``answer`` each passage too.
        rule: one of ``RULES``.

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
