"""lm-evaluation-harness: the metric ``beam_sts`` for tasks that generate texts.

Import this module before the task is loaded, and name the metric in the task::

    metric_list:
      - {metric: beam_sts, aggregation: mean, higher_is_better: true}
"""

from __future__ import annotations

from collections.abc import Sequence

try:
    import lm_eval.api.metrics  # noqa: F401  (registers the aggregation "mean")
    from lm_eval.api.registry import register_metric
except ImportError as error:
    raise ImportError("This adapter needs lm-evaluation-harness: pip install 'beam_sts[lm_eval]'") from error

from beam_sts.evaluation.rules import answer_scores, default_scorer


@register_metric(metric="beam_sts", higher_is_better=True, output_type="generate_until", aggregation="mean")
def beam_sts(references: Sequence[str], predictions: Sequence[str], rule: str = "answer") -> float:
    """The mean score of predictions by their references, 0 to 1. The harness calls it for each answer.

    Args:
        references: the right answers, one for each prediction.
        predictions: the answers of the model under test.
        rule: one of ``beam_sts.evaluation.rules.RULES``.
    """
    return float(answer_scores(predictions, references, default_scorer(), rule).mean())
