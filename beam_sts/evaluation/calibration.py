"""Calibration: a curve from scores to marks by people, fitted once and saved as JSON. Pure functions.

Isotonic regression (Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass
probability estimates"; ``scipy.optimize.isotonic_regression``) assumes that a higher score does not mean a
lower mark, and needs some hundred marks. Platt scaling (1999, "Probabilistic outputs for support vector
machines") fits the two parameters of a sigmoid of the score's logit, for which a few dozen marks are enough.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from beam_sts.arrays import FloatArray
from beam_sts.errors import UserError
from beam_sts.evaluation.agreement import check_varies

METHODS = ("isotonic", "platt")
_KIND = "beam_sts.calibration/1"
_FOLDS, _MOST_POINTS, _EDGE = 5, 100_000, 1e-6


@dataclass(frozen=True)
class Calibration:
    """A rising curve from scores to marks.

    Attributes:
        method: one of ``METHODS``.
        gold: the name of the marks.
        scale: the lowest and the highest mark.
        count: how many marks the curve was fitted on.
        points: for ``isotonic``, scores and their marks, both rising. Between two points the curve is
            linear; beyond the first and the last it is constant.
        curve: for ``platt``, slope and intercept.
        error: mean absolute error by five-fold cross-validation, in units of the marks; None below 50 marks.
        made_with: what the scores depend on, by name, such as the model's fingerprint.
    """

    method: str
    gold: str
    scale: tuple[float, float]
    count: int
    points: tuple[tuple[float, float], ...]
    curve: tuple[float, float] | None
    error: float | None
    made_with: dict[str, Any]

    def apply(self, scores: ArrayLike) -> FloatArray:
        """The mark for each score, of the same shape."""
        predicted = np.asarray(scores, np.float64)
        low, high = self.scale
        if self.curve:
            slope, intercept = self.curve
            risen: FloatArray = low + (high - low) * special.expit(slope * _logit(predicted) + intercept)
            return risen
        at, mark = np.asarray(self.points, np.float64).T
        between: FloatArray = np.interp(predicted, at, mark)
        return between

    def dump(self) -> str:
        """The calibration as JSON."""
        return json.dumps({"kind": _KIND, **asdict(self)}, ensure_ascii=False) + "\n"

    def check_made_with(self, made_with: dict[str, Any], path: str) -> None:
        """Check that scores depend on the same things as those that the curve was fitted on.

        Args:
            made_with: what the scores depend on, by name.
            path: the file, for messages.

        Raises:
            UserError: something differs; the message names the first difference.
        """
        for name in {**self.made_with, **made_with}:
            was, now = self.made_with.get(name), made_with.get(name)
            if was != now:
                raise UserError(
                    f"--calibration {path}: was fitted with {name} {was!r}, but here it is {now!r}. "
                    "Use the same settings, or fit another file with --score."
                )


def fit_calibration(
    scores: ArrayLike,
    gold: ArrayLike,
    method: str = "isotonic",
    *,
    name: str = "mark",
    made_with: dict[str, Any] | None = None,
    seed: int = 0,
) -> Calibration:
    """Fit a curve from scores to marks.

    Args:
        scores: the model's scores, from 0 to 1, shape (n,).
        gold: marks by people for the same rows, on any scale.
        method: one of ``METHODS``.
        name: the name of the marks.
        made_with: what the scores depend on, by name.
        seed: seed of the folds for the estimate of the error.

    Raises:
        UndefinedCorrelationError: there are fewer than two rows, or one side does not vary.
        ValueError: marks do not rise with scores, a score is not from 0 to 1, or the method is unknown.

    >>> curve = fit_calibration([0.1, 0.2, 0.6, 0.9], [1, 1, 3, 5])
    >>> curve.apply([0.0, 0.4, 0.9]).round(2).tolist()
    [1.0, 2.0, 5.0]
    """
    if method not in METHODS:
        raise ValueError(f"calibration method {method!r} is not one of {', '.join(METHODS)}")
    predicted, expected = np.asarray(scores, np.float64), np.asarray(gold, np.float64)
    check_varies(expected, "gold scores")
    check_varies(predicted, "model scores")
    if predicted.min() < 0 or predicted.max() > 1:
        raise ValueError("calibration needs scores from 0 to 1, but this model gives logits")
    scale = float(expected.min()), float(expected.max())
    points, curve = _fit(predicted, expected, method, scale)
    if curve[0] <= 0 if curve else points[0][1] == points[-1][1]:
        raise ValueError("the marks do not rise with the scores, so there is no calibration")
    error = _held_out_error(predicted, expected, method, scale, seed)
    return Calibration(method, name, scale, len(predicted), points, curve, error, made_with or {})


def load_calibration(text: str, path: str) -> Calibration:
    """Read the output of ``Calibration.dump`` and check all of it, because the file is not trusted.

    Args:
        text: the content of the file.
        path: the file, for messages.

    Raises:
        UserError: the file is not a calibration, or its curve is invalid.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.pop("kind", None) != _KIND:
            raise ValueError(f"it is not of kind {_KIND!r}")
        low, high = map(_number, found["scale"])
        points = tuple((_number(score), _number(mark)) for score, mark in found["points"])
        curve = found["curve"] and (_number(found["curve"][0]), _number(found["curve"][1]))
        error = None if found["error"] is None else _number(found["error"])
        made_with = dict(found["made_with"])
        result = Calibration(
            str(found["method"]), str(found["gold"]), (low, high), int(found["count"]), points, curve, error,
            made_with,
        )  # fmt: skip
        _check(result)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"--calibration {path}: is not a calibration that can be used: {what}. Fit it again with --score."
        ) from error
    return result


def _check(found: Calibration) -> None:
    low, high = found.scale
    if found.method not in METHODS:
        raise ValueError(f"method {found.method!r} is not one of {', '.join(METHODS)}")
    if not low < high:
        raise ValueError(f"its scale is from {low} to {high}")
    if (found.method == "platt") != (found.curve is not None):
        raise ValueError(f"its curve does not fit the method {found.method}")
    if found.curve:
        if found.curve[0] <= 0:
            raise ValueError(f"its slope {found.curve[0]} does not rise")
        return
    if not 2 <= len(found.points) <= _MOST_POINTS:
        raise ValueError(f"it has {len(found.points):,} points, not 2 to {_MOST_POINTS:,}")
    at, mark = np.asarray(found.points, np.float64).T
    if (np.diff(at) <= 0).any() or (np.diff(mark) < 0).any():
        raise ValueError("its points do not rise")
    if mark.min() < low or mark.max() > high or at.min() < 0 or at.max() > 1:
        raise ValueError("its points leave the scale")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is not a finite number")
    return float(value)


def _fit(
    predicted: FloatArray, expected: FloatArray, method: str, scale: tuple[float, float]
) -> tuple[tuple[tuple[float, float], ...], tuple[float, float] | None]:
    if method == "platt":
        return (), _fit_sigmoid(_logit(predicted), (expected - scale[0]) / (scale[1] - scale[0]))
    at, place = np.unique(predicted, return_inverse=True)
    weights = np.bincount(place).astype(np.float64)
    found = optimize.isotonic_regression(np.bincount(place, expected) / weights, weights=weights)
    ends = found.blocks
    keep = np.unique(np.concatenate([ends[:-1], ends[1:] - 1]))  # first and last point of each constant part
    marks = np.clip(found.x[keep], *scale)
    return tuple(zip(at[keep].tolist(), marks.tolist(), strict=True)), None


def _fit_sigmoid(logit: FloatArray, share: FloatArray) -> tuple[float, float]:
    """Minimise cross-entropy. As in Platt, targets are kept off 0 and 1, so that the slope stays finite."""
    count = len(share)
    target = (share * count + 1) / (count + 2)

    def loss(curve: FloatArray) -> tuple[float, FloatArray]:
        value = curve[0] * logit + curve[1]
        off = special.expit(value) - target
        gradient = np.array([off @ logit, off.sum()])
        return float((np.logaddexp(0, value) - target * value).sum()), gradient

    slope, intercept = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return float(slope), float(intercept)


def _logit(scores: FloatArray) -> FloatArray:
    logit: FloatArray = special.logit(np.clip(scores, _EDGE, 1 - _EDGE))
    return logit


def _held_out_error(
    predicted: FloatArray, expected: FloatArray, method: str, scale: tuple[float, float], seed: int
) -> float | None:
    if len(predicted) < 10 * _FOLDS:
        return None
    fold = np.random.default_rng(seed).permutation(len(predicted)) % _FOLDS
    off = np.empty(len(predicted))
    for number in range(_FOLDS):
        points, curve = _fit(predicted[fold != number], expected[fold != number], method, scale)
        held = Calibration(method, "", scale, 0, points, curve, None, {})
        off[fold == number] = np.abs(held.apply(predicted[fold == number]) - expected[fold == number])
    return float(off.mean())
