"""Learning curves: rises after the best epoch, what the last epochs bring, the noise of the last one.

Curves are the rows of an array, (N, E), a value an epoch, and lower is better: scores to be maximised are negated
first. Values are compared as means over windows of an eighth of the epochs, so that the noise of single epochs averages
out, and without the last two epochs, as trials may have been selected for the noise of the last one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.statistics.intervals import Interval, mean_interval

LEAST_EPOCHS = 15  # of a curve that says anything
LEAST_CURVES = 3  # for a mean over curves
MATTERS = 0.02  # a change counts from this share of what training has gained since the first epoch
# Standard errors, as of independent epochs, that a rise must have: the least of some ten windows is low by chance, and
# errors of neighbouring epochs are correlated. tests/benchmarks/curve_alarms.py shows how often it is wrong.
_RISE = 6.0
_FALSE = 0.02  # the rate at which a curve without a rise is said to have one, at most


class Courses(NamedTuple):
    """The courses of N curves, an entry each; gains are positive where the curve falls."""

    best_epoch: NDArray[np.int64]  # from 1
    gain: NDArray[np.float64]  # from the first epoch to the best window
    rises: NDArray[np.bool_]  # whether it rises from the best window to the last one by more than noise, and it matters
    late_gain: NDArray[np.float64]  # over the last quarter of the epochs
    half_gain: NDArray[np.float64]  # over the last half
    step_sd: NDArray[np.float64]  # standard deviation of the last half's epochs about a parabola


def courses(curves: NDArray[np.float64]) -> Courses:
    """Return the courses of curves, (N, E) of at least `LEAST_EPOCHS` finite values each."""
    epochs = curves.shape[1]
    inner, window = curves[:, :-2], max(2, epochs // 8)
    sums = np.cumsum(np.pad(inner, ((0, 0), (1, 0))), axis=1)
    means = (sums[:, window:] - sums[:, :-window]) / window  # (N, E - 1 - window), by the window's first epoch
    best, last = means.min(axis=1), means[:, -1]
    gain = np.maximum(curves[:, 0] - best, 0.0)
    step_sd = _residual_sd(inner[:, -max(epochs // 2, 8) :])
    return Courses(
        best_epoch=curves.argmin(axis=1) + 1,
        gain=gain,
        rises=last - best > np.maximum(_RISE * step_sd * np.sqrt(2 / window), MATTERS * gain),
        late_gain=means[:, max(epochs - epochs // 4 - window, 0)] - last,
        half_gain=means[:, max(epochs - epochs // 2 - window, 0)] - last,
        step_sd=step_sd,
    )


def _residual_sd(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of each row, (N, M), about a parabola over the columns."""
    count = values.shape[1]
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, count), 3))  # (M, 3)
    residuals = values - values @ basis @ basis.T
    deviation: NDArray[np.float64] = np.sqrt((residuals**2).sum(axis=1) / (count - 3))
    return deviation


def more_than_false(alarms: int, curves: int) -> bool:
    """Return whether so many alarms among some curves are more than false ones would be, at the level 0.05."""
    k = np.arange(alarms, curves + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, curves + 1)))])
    ways = log_factorial[curves] - log_factorial[k] - log_factorial[curves - k]
    return bool(np.exp(ways + k * np.log(_FALSE) + (curves - k) * np.log1p(-_FALSE)).sum() <= 0.05)


class Length(NamedTuple):
    """The mean gains of several trials over their last epochs, and what follows for the number of epochs."""

    late: float  # mean gain over the last quarter of the epochs
    late_interval: Interval
    half: float  # mean gain over the last half
    half_interval: Interval
    improving: bool  # whether the last quarter brought more than noise, and it matters
    saturated: bool  # whether the last half brought nothing that matters


def length(of: Courses) -> Length | None:
    """Return what the last epochs have brought; None for fewer than `LEAST_CURVES`, or where nothing was learned.

    Curves that are flat but for noise from the first epoch on have learned nothing after it.
    """
    if len(of.gain) < LEAST_CURVES or of.gain.mean() <= _RISE * of.step_sd.mean():
        return None
    late, half = float(of.late_gain.mean()), float(of.half_gain.mean())
    late_interval, half_interval = mean_interval(of.late_gain.tolist()), mean_interval(of.half_gain.tolist())
    matters = MATTERS * float(of.gain.mean())
    improving = late_interval.low > 0 and late > matters
    return Length(late, late_interval, half, half_interval, improving, not improving and half_interval.high < matters)
