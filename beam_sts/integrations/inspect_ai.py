"""inspect_ai: a scorer of how well an answer agrees with its target, or the best of several targets.

Task(dataset, solver=generate(), scorer=similar())
"""

from __future__ import annotations

import asyncio

try:
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState
except ImportError as error:
    raise ImportError("This adapter needs inspect_ai: pip install 'beam_sts[inspect_ai]'") from error

from beam_sts.evaluation.rules import AnswerScores, answer_scores, default_scorer


@scorer(metrics=[mean(), stderr()])
def similar(model: AnswerScores | None = None, rule: str = "answer") -> Scorer:
    """A scorer with values from 0 to 1.

    Args:
        model: a ``PairScorer``; default: the embedded model.
        rule: one of ``beam_sts.evaluation.rules.RULES``.
    """

    async def score(state: TaskState, target: Target) -> Score:
        answer, references = state.output.completion, list(target)
        # In a thread, so that other samples can wait for their model in the meantime.
        scores = await asyncio.to_thread(
            answer_scores, [answer] * len(references), references, model or default_scorer(), rule
        )
        best = int(scores.argmax())
        return Score(value=float(scores[best]), answer=answer, explanation=f"by {references[best]!r}")

    return score
