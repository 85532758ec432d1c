"""Learning curves: rises after the best epoch, what the last epochs bring, the noise of the last one.

Curves are the rows of an array, (N, E), a value an epoch, and lower is better: scores to be maximised are negated
first. Values are compared as means over windows of an eighth of the epochs, so that the noise of single epochs averages
out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpsearch.statistics.intervals import Interval, mean_interval

LEAST_EPOCHS = 5  # of a curve that says anything
LONG = 15  # epochs from which on curves are no longer steep at the end, so that the noise of single epochs is known
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
    # whether it rises from the best window to the last one by more than noise, and it matters; False below `LONG`
    rises: NDArray[np.bool_]
    late_gain: NDArray[np.float64]  # over the last quarter of the epochs
    # over the last half; from `LONG` on without the last two epochs, for whose noise trials may have been selected
    half_gain: NDArray[np.float64]
    step_sd: NDArray[np.float64]  # standard deviation of the last half's epochs about a parabola


def courses(curves: NDArray[np.float64]) -> Courses:
    """Return the courses of curves, (N, E) of at least `LEAST_EPOCHS` finite values each."""
    epochs = curves.shape[1]
    window = max(2, epochs // 8)
    sums = np.cumsum(np.pad(curves, ((0, 0), (1, 0))), axis=1)
    means = (sums[:, window:] - sums[:, :-window]) / window  # (N, E + 1 - window), by the window's first epoch
    best, last = means.min(axis=1), means[:, -1]
    gain = np.maximum(curves[:, 0] - best, 0.0)
    step_sd = _residual_sd(curves[:, -max(epochs // 2, 8) :])
    return Courses(
        best_epoch=curves.argmin(axis=1) + 1,
        gain=gain,
        rises=(epochs >= LONG) & (last - best > np.maximum(_RISE * step_sd * np.sqrt(2 / window), MATTERS * gain)),
        late_gain=means[:, -1 - epochs // 4] - last,
        half_gain=means[:, -1 - epochs // 2] - means[:, -3 if epochs >= LONG else -1],
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


def last_gains(of: Courses, share: float = 1.0) -> tuple[Interval, Interval] | None:
    """Return the mean gains of several trials over the last quarter of their epochs and over the last half.

    None for fewer than `LEAST_CURVES`, or where nothing was learned: curves that are flat but for noise from the first
    epoch on.

    Args:
        share: The trials are this share of all, selected for the last epoch, whose noise is part of their late gains:
            of a normal distribution it is sqrt(2 log(1 / share)) standard deviations at most, and subtracted.
    """
    if len(of.gain) < LEAST_CURVES or of.gain.mean() <= _RISE * of.step_sd.mean():
        return None
    late, half = mean_interval(of.late_gain.tolist()), mean_interval(of.half_gain.tolist())
    # half of a difference's variance is that of its end
    selection = float(np.sqrt(-np.log(share)) * of.late_gain.std(ddof=1))
    return Interval(late.low - selection, late.high - selection), half
