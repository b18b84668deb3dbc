"""A required number of rows that stay, and the threshold that gives it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from beam_sts.dedup.local import Plan, settle
from beam_sts.dedup.representatives import BOTH
from beam_sts.dedup.rows import Corpus, Settled
from beam_sts.errors import UserError


def read_rows_wanted(text: str) -> Any:
    """Parse a number of rows, or a fraction of them, from the text of an option.

    >>> read_rows_wanted("1000"), read_rows_wanted("0.8"), read_rows_wanted("80%")
    (1000, 0.8, 0.8)
    """
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else int(text) if text.isdigit() else float(text)
    except ValueError:  # the rule of the setting reports it
        return text


def check_rows_wanted(what: str, value: Any) -> None:
    """Check for a whole number of rows from 1, or a fraction between 0 and 1.

    Raises:
        UserError: it is neither.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and (0 < value < 1 or (value >= 1 and float(value).is_integer()))):
        raise UserError(
            f"{what} {value!r}: must be a whole number of rows, or a fraction of them below 1, such as 0.8."
        )


def settle_for(plan: Plan, corpus: Corpus, settled: Settled, wanted: float) -> tuple[float, Settled]:
    """The lowest threshold, at or above the plan's, with which the required rows stay, and the decisions.

    It is found by bisection over the scores of the pairs, so no pair is scored again. At the plan's threshold
    more rows may stay than are required. At 1, fewer may stay if too many texts are equal.

    Args:
        plan: the settings of the run.
        corpus: the rows.
        settled: the decisions at the plan's threshold.
        wanted: the required number of rows, or a fraction of those that were compared.

    Returns:
        The threshold, and the decisions at it.
    """
    own, edges, start = corpus.rows.own, settled.made.edges, plan.policy.threshold
    least = math.ceil(wanted * own) if wanted < 1 else int(wanted)

    def at(threshold: float) -> Settled:
        return settle(replace(plan, policy=replace(plan.policy, threshold=threshold)), corpus, edges, None)

    def stay(found: Settled) -> int:
        return own - int(found.rows.removed[:own].sum())

    if stay(settled) >= least:
        return start, settled
    # Each score is the highest threshold that accepts its pair, if the pair can be a duplicate.
    scores = np.unique(edges.pairs.scores[edges.pairs.bars != BOTH])
    levels = [*(round(float(s), 5) for s in scores if np.isfinite(s) and s > np.float32(start)), 1.0]
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if stay(at(levels[middle])) >= least:
            high = middle
        else:
            low = middle + 1
    return levels[high], at(levels[high])
