"""inspect_ai: a scorer that says how well an answer agrees with its target, the best of several.

Task(dataset, solver=generate(), scorer=similar())
"""

from __future__ import annotations

import asyncio

try:
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState
except ImportError as error:
    raise ImportError("This adapter needs inspect_ai: pip install 'beam_sts[inspect_ai]'") from error

from beam_sts.evaluation.rules import PairScores, answer_scores, default_scorer


@scorer(metrics=[mean(), stderr()])
def similar(model: PairScores | None = None, rule: str = "answer") -> Scorer:
    """A scorer of values 0 to 1, with a ``PairScorer`` or the embedded model."""

    async def score(state: TaskState, target: Target) -> Score:
        answer, references = state.output.completion, list(target)
        # In a thread: samples are scored while others wait for their model.
        scores = await asyncio.to_thread(
            answer_scores, [answer] * len(references), references, model or default_scorer(), rule
        )
        best = int(scores.argmax())
        return Score(value=float(scores[best]), answer=answer, explanation=f"by {references[best]!r}")

    return score
