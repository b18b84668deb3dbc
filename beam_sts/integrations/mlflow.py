"""MLflow: a metric for ``mlflow.models.evaluate``, and the logging of an evaluation's figures and report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

try:
    import mlflow
    from mlflow.metrics import MetricValue, make_metric
except ImportError as error:
    raise ImportError("This adapter needs MLflow: pip install 'beam_sts[mlflow]'") from error

from beam_sts.evaluation.rules import answer_scores, default_scorer


def _score(predictions: Any, targets: Any, metrics: Any = None, rule: str = "answer") -> MetricValue:
    scores = answer_scores(list(predictions), list(targets), default_scorer(), rule)
    return MetricValue(scores=scores.tolist(), aggregate_results={"mean": float(scores.mean())})


similar = make_metric(eval_fn=_score, greater_is_better=True, name="beam_sts")
"""The scores of rows and their mean, as a metric for ``extra_metrics``."""


def log_evaluation(result: str | Path, page: str | Path | None = None) -> None:
    """Log an evaluation to the active run: its figures (``--json``) and its report (``page``)."""
    read = json.loads(Path(result).read_text(encoding="utf-8"))
    found = {f"mean {each['group']}": each["mean"] for each in read.get("groups", [])}
    found |= {f"difference {each['group']}": each["difference"] for each in read.get("comparisons", [])}
    found |= {name: read.get(name) for name in ("pearson", "spearman")}
    known = {name: value for name, value in found.items() if value is not None}
    # MLflow allows letters, digits and a few signs in a name.
    mlflow.log_metrics({re.sub(r"[^\w. -]", "_", name): value for name, value in known.items()})
    for file in filter(None, (result, page)):
        mlflow.log_artifact(str(file))
