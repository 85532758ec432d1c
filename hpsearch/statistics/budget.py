"""The best of n trials: expected and its spread, and a forecast of what more trials bring.

Higher scores are better here. All of it holds for trials whose values were sampled independently from the same ranges;
trials that failed or were pruned count among the n, as they were paid for, and are never the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.statistics.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LEAST = 10  # fewer trials with a score say nothing of what more would bring
_SHAPES = np.linspace(-1.2, 0.3, 31)  # of the tail: below 0 it ends, the more abruptly the lower
_SCALES = np.logspace(-1.5, 1.7, 65)  # in units of the mean excess
_NEGLIGIBLE = 1e-5  # a grid point that is less probable than this share of the most probable one is left out
_NEARLY_ALL, _FARTHEST = 0.9995, 1e4  # a forecast is computed up to so much probability, or so many times the tail
_ROUNDING = 1e-9  # differences below this share of the scores' spread are rounding


def best_chances(size: int, trials: int) -> NDArray[np.float64]:
    """Return the probability that the best of ``size`` trials of so many is the i-th best of all, shape (trials,).

    Drawn without replacement, the best is among them with probability m/n; if not, the next one with m/(n - 1), and so
    on down: C(n - i, m - 1)/C(n, m) for i = 1, ..., n.
    """
    share = np.minimum(size / np.arange(trials, 0, -1.0), 1.0)
    return np.asarray(share * np.concatenate([[1.0], np.cumprod(1 - share)[:-1]]))


def expected_best(scores: ArrayLike, size: int, trials: int | None = None) -> float:
    """Return the expected best of ``size`` trials of these, unbiased (as Dodge et al. 2019 compare searches).

    Args:
        scores: Of the trials that have one.
        trials: How many there were with those that have none; some of the ``size`` then have one.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))[::-1]
    chances = best_chances(size, trials or len(ordered))[: len(ordered)]
    return float(chances @ ordered / chances.sum())


def best_spread(scores: ArrayLike, size: int, trials: int | None = None) -> Interval:
    """Return the range that holds the best of ``size`` trials of these with a probability of 95 %."""
    ordered = np.sort(np.asarray(scores, dtype=float))[::-1]
    chances = best_chances(size, trials or len(ordered))[: len(ordered)]
    reached = np.cumsum(chances) / chances.sum()  # the probability that the best is this one or a better one
    high, low = np.searchsorted(reached, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(ordered[min(low, len(ordered) - 1)]), float(ordered[high]))


@dataclass(frozen=True, slots=True)
class Forecast:
    """The gain that more trials are expected to bring, in units of the score."""

    more: int  # number of further trials
    gain: float  # the expected gain of the best score
    interval: Interval  # that holds the gain with a probability of 95 %


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """The distribution of the best scores of a stage, as far as they tell it.

    Scores above a high threshold follow a generalised Pareto distribution (Pickands 1975), whatever the others do. Its
    shape and scale are not estimated but averaged over a grid by their posterior probability, so that a forecast from
    few trials is as uncertain as it must be.
    """

    best: float
    threshold: float
    above: int  # number of trials above the threshold
    trials: int
    step: float  # distance of neighbouring scores, such as 1/100 for a share of 100 examples
    most: float  # no score can be higher
    weights: NDArray[np.float64]  # posterior probabilities (A,)
    shapes: NDArray[np.float64]  # (A,)
    scales: NDArray[np.float64]  # (A,)

    def below(self, scores: NDArray[np.float64], more: int) -> NDArray[np.float64]:
        """Return the probability that none of so many further trials scores above each of these, (S,) -> (S,).

        With k of n trials above the threshold, the number among m more that pass a score with the probability S in the
        tail is Poisson with the mean p m S, and p has about the Gamma(k + 1/2, n) distribution.
        """
        tail = _survival(scores[:, None] - self.threshold, self.shapes, self.scales)  # (S, A)
        none = (1 + more / self.trials * tail) ** -(self.above + 0.5)
        return np.asarray(none @ self.weights)

    def forecast(self, more: int) -> Forecast:
        """Return the forecast of so many further trials."""
        start, half = self.best, self.step / 2
        far = self.best - self.threshold + half
        while self.below(np.array([start + far]), more)[0] < _NEARLY_ALL and far < _FARTHEST * (start - self.threshold):
            far *= 2
        room = max(self.most - start, 0.0)
        at = start + min(far, room) * np.linspace(0, 1, 200) ** 2
        below = self.below(at, more)
        # A score stands for all within half a step of it.
        low, high = (
            min(room, self.step * math.ceil(max(end - start - half, 0.0) / self.step - _ROUNDING))
            for end in np.interp([(1 - LEVEL) / 2, (1 + LEVEL) / 2], below, at)
        )
        return Forecast(more, float(np.trapezoid(1 - below, at)), Interval(low, high))


def tail_of(scores: ArrayLike, trials: int | None = None, *, most: float = math.inf) -> Tail | None:
    """Return the tail of the scores of a stage; None of fewer than 10, or of fewer than three different ones.

    Args:
        trials: How many there were with those that have no score.
        most: The highest that a score can be.
    """
    ordered = np.sort(np.asarray(scores, dtype=float))[::-1]
    number = len(ordered)
    if number < LEAST:
        return None
    levels = np.unique(ordered)[::-1]
    if len(levels) < 3:
        return None
    # Two different scores at least, and all equal ones.
    least = max(levels[-2], min(levels[1], ordered[_above(number) - 1]))
    above = int(np.sum(ordered >= least))
    spread = ordered[0] - ordered[above]
    gaps = -np.diff(ordered[: above + 1])
    step = float(gaps[gaps > _ROUNDING * spread].min())
    threshold = float(ordered[above]) + step / 2
    excess = ordered[:above] - threshold  # (k,)
    shapes, units = (grid.ravel() for grid in np.meshgrid(_SHAPES, _SCALES))
    scales = units * float(excess.mean())
    # A score stands for all within half a step of it: of shares of examples many are equal.
    low, high = (_survival(excess[:, None] + side, shapes, scales) for side in (-step / 2, step / 2))  # (k, A)
    with np.errstate(divide="ignore"):
        likelihood = np.log(low - high).sum(axis=0) + _log_prior(shapes)
    weights = np.exp(likelihood - likelihood.max())
    some = weights > _NEGLIGIBLE
    posterior = (weights[some] / weights[some].sum(), shapes[some], scales[some])
    return Tail(float(ordered[0]), threshold, above, trials or number, step, most, *posterior)


def _log_prior(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of a prior density of the shape.

    A smooth maximum in d parameters has the shape -2/d, noise of a normal distribution one just below 0. Mean and
    standard deviation are calibrated in tests/benchmarks/budget_coverage.py.
    """
    return np.asarray(-(((shapes + 0.4) / 0.3) ** 2) / 2)


def _survival(
    excess: NDArray[np.float64], shapes: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability that a generalised Pareto variable is above each excess."""
    shapes = np.where(np.abs(shapes) < 1e-6, 1e-6, shapes)
    base = np.maximum(1 + shapes * np.maximum(excess, 0.0) / scales, 0.0)
    return np.asarray(base ** (-1 / shapes))


def _above(number: int) -> int:
    """Return how many of the best scores are the tail: enough for a shape, few enough to have one."""
    return min(max(LEAST, round(math.sqrt(number))), number - 1)
