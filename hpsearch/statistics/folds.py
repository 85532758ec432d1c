"""Scores on the folds of a cross-validation: their mean's standard error, and the best of many without selection bias.

The training parts of folds overlap, so their scores are not independent and s^2/J is too small a variance of their
mean. Nadeau & Bengio (2003) correct it to (1/J + n2/n1) s^2, with n1 examples in a training part and n2 in a test part.
Trials are compared by the differences of their scores on each fold (the corrected resampled t-test): what makes a fold
easy or hard for both cancels.
"""

from __future__ import annotations

import math
from statistics import fmean, variance
from typing import TYPE_CHECKING

from hpsearch.statistics.intervals import LEVEL, MOST_FREEDOM, Interval, student_cdf, student_quantile, whole

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_ratio(folds: int, train: int | None = None, test: int | None = None) -> float:
    """Return n2/n1 of a cross-validation; of one whose sizes are not known 1/(J - 1), as of J parts of one size."""
    return test / train if train and test else 1 / (folds - 1)


def corrected_error(values: Sequence[float], ratio: float) -> float:
    """Return the standard error of a mean over folds, or of their differences, with J - 1 degrees of freedom.

    Args:
        values: One of each fold, at least 2.
        ratio: `split_ratio`.
    """
    return math.sqrt((1 / len(values) + ratio) * variance(values))


def upper_p(difference: float, error: float, freedom: float) -> float:
    """Return the one-sided p-value of a difference with this standard error: P(T >= difference/error)."""
    if error == 0:
        return 0.0 if difference > 0 else 1.0
    return student_cdf(-difference / error, whole(freedom))


def welch_freedom(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the degrees of freedom of a difference of two means, each with its standard error and its own (Welch)."""
    (a, of_a), (b, of_b) = first, second
    spread = a**4 / of_a + b**4 / of_b
    return (a * a + b * b) ** 2 / spread if spread > 0 else MOST_FREEDOM


def error_interval(score: float, error: float, freedom: float) -> Interval:
    """Return the interval of a score with this standard error: score +- t error."""
    half = student_quantile(0.5 + LEVEL / 2, whole(freedom)) * error
    return Interval(score - half, score + half)


def corrected_best(folds: Sequence[Sequence[float]], *, sign: float) -> float:
    """Return the best trial's expected score on a fold that had no part in choosing it, never better than its own.

    For each fold the trial that is best over the others is scored on it, and these scores are averaged: bootstrap
    bias-corrected cross-validation (Tsamardinos, Greasidou & Borboudakis 2018) with folds in place of resamples. Trials
    that tie share it.

    Args:
        folds: The scores of each trial, in the same order, at least 2 each.
        sign: 1 where a high score is good, else -1.
    """
    totals = [sign * math.fsum(of_trial) for of_trial in folds]
    outside = []
    for fold in range(len(folds[0])):
        rest = [total - sign * of_trial[fold] for total, of_trial in zip(totals, folds, strict=True)]
        best = max(rest)
        outside.append(fmean(of[fold] for of, score in zip(folds, rest, strict=True) if math.isclose(score, best)))
    return sign * min(max(totals) / len(folds[0]), sign * fmean(outside))
