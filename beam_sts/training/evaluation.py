"""The report on a checkpoint: agreement with gold scores, calibration, order swap, probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from beam_sts.training.fit import TrainingPairs
from beam_sts.training.probes import ProbeTriple, probe_triples, ranking_accuracy, unrelated_pairs
from beam_sts.training.robustness import probe_pairs, robustness_report, robustness_triples

Score = Callable[[Sequence[tuple[str, str]]], np.ndarray]
"""A function from pairs of texts to float32[n] between 0 and 1, in order."""


def correlations(scores: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    """Pearson and Spearman correlation (scipy) and the number of pairs."""
    return {
        "pearson": float(pearsonr(scores, gold).statistic),
        "spearman": float(spearmanr(scores, gold).statistic),
        "pairs": len(gold),
    }


def reliability(scores: np.ndarray, gold: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Mean gold score of the pairs in each tenth of the score range; empty bins are left out.

    Args:
        scores: Predicted scores between 0 and 1.
        gold: Gold scores between 0 and 1.
        bins: Count of the equal parts of the range.

    Returns:
        For each bin its lower and upper edge, number of pairs, mean score and mean gold score.
    """
    place = np.minimum((np.asarray(scores) * bins).astype(int), bins - 1)
    return [
        {
            "from": index / bins,
            "to": (index + 1) / bins,
            "pairs": int((place == index).sum()),
            "score": float(np.mean(scores[place == index])),
            "gold": float(np.mean(gold[place == index])),
        }
        for index in range(bins)
        if (place == index).any()
    ]


def calibration_error(scores: np.ndarray, gold: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: mean of |score - gold| over the bins, weighted by their pairs."""
    table = reliability(scores, gold, bins)
    return sum(row["pairs"] * abs(row["score"] - row["gold"]) for row in table) / len(gold)


def report_on_gold(score: Score, pairs: TrainingPairs) -> dict[str, Any]:
    """Agreement, calibration and the effect of order on gold pairs.

    Args:
        score: The model.
        pairs: Pairs with gold scores.

    Returns:
        pearson, spearman, pairs, calibration_error, reliability, order_swap (mean |score(a, b) - score(b,
        a)|) and order_swap_99 (its 99th percentile).
    """
    rows = [(pairs.texts[a], pairs.texts[b]) for a, b in zip(pairs.left, pairs.right, strict=True)]
    scores = score(rows)
    swap = np.abs(scores - score([(b, a) for a, b in rows]))
    return {
        **correlations(scores, pairs.scores),
        "calibration_error": calibration_error(scores, pairs.scores),
        "reliability": reliability(scores, pairs.scores),
        "order_swap": float(swap.mean()),
        "order_swap_99": float(np.quantile(swap, 0.99)),
    }


def report_on_probes(
    score: Score, texts: Sequence[str], triples: Sequence[ProbeTriple] | None = None
) -> dict[str, Any]:
    """Measure the properties that filters of near-duplicates rely on.

    Args:
        score: The model.
        texts: Texts of one domain, for identical and unrelated pairs.
        triples: The probe set; None: that of :func:`beam_sts.training.probes.probe_triples`.

    Returns:
        ranking (accuracy by kind), identical (lowest and mean score of equal texts), unrelated (median score
        of random pairs).
    """
    asked = list(triples if triples is not None else probe_triples())
    paraphrase = score([(triple.anchor, triple.paraphrase) for triple in asked])
    other = score([(triple.anchor, triple.other) for triple in asked])
    same = score([(text, text) for text in dict.fromkeys(texts)])
    apart = score(unrelated_pairs(list(texts), 1000))
    return {
        "ranking": ranking_accuracy(asked, paraphrase, other),
        "identical": {
            "lowest": float(same.min()),
            "mean": float(same.mean()),
            "under_0.97": float((same < 0.97).mean()),
        },
        "unrelated": {"median": float(np.median(apart)), "95%": float(np.quantile(apart, 0.95))},
    }


def report_on_robustness(score: Score) -> dict[str, dict[str, Any]]:
    """The report of :mod:`beam_sts.training.robustness` on the half of the probes that only reports."""
    triples = robustness_triples("test")
    same, other = (score(list(probe_pairs(triples, side))) for side in (True, False))
    return robustness_report(triples, same, other)
