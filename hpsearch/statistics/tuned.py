"""Groups of trials compared, each tuned: how good the values of one thing can be with everything else at its best.

The best of some trials is a poor estimate of what tuning can reach: it was selected for its noise, and better values
may not have been tried; a bootstrap of a maximum says little about either. So a Gaussian process over all trials says
what scores are possible at the values that were tried and at further ones: the highest of each group in a function
drawn from the process is one possible score of the tuned group, and a thousand functions are its distribution. As all
groups are in one process, they learn from each other where a parameter acts alike in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.statistics import gaussian_process
from hpsearch.statistics.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


_FUNCTIONS = 1000  # drawn from the process; standard deviations are known to 2 %
_KEPT = 100  # further points of each group at which functions are drawn
_FAILS = 0.7  # of a drawn share of failures; at 0.5 a bound next to which the best lies would seem nearer than it is
_FLOOR = 0.25  # a group's scores below this quantile are raised to it: how bad bad values are says nothing of the best


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two groups, each tuned."""

    better: int  # the group
    other: int  # the one that is taken off
    value: float  # expected difference, more is better
    interval: Interval


def tuned(
    points: NDArray[np.float64],
    goodness: NDArray[np.float64],
    of: NDArray[np.intp],
    further: NDArray[np.float64],
    further_of: NDArray[np.intp],
    groups: NDArray[np.intp],
    *,
    seed: int,
) -> NDArray[np.float64]:
    """Return possible scores of each group when it is tuned, (G, F): F functions drawn from a process over all trials.

    Args:
        points: (N, C) where trials lie; what tells the groups apart must be among the columns.
        goodness: (N,) their scores, more is better; NaN of those that failed.
        of: (N,) the group of each, from 0; each group has a score.
        further: (M, C) further points that might have been tried, of which `_KEPT` of each group are: the most
            promising. Where each of these fails is drawn too.
        further_of: (M,) their groups.
        groups: (C,) columns of one number belong to one parameter (`gaussian_process.fit`).
        seed: Of the functions.
    """
    scored = ~np.isnan(goodness)
    raised = goodness.copy()
    for group in np.unique(of).tolist():
        members = (of == group) & scored
        raised[members] = np.maximum(goodness[members], np.quantile(goodness[members], _FLOOR))
    score, failure = gaussian_process.fit_with_failures(points, raised, groups)
    kept = _promising(score.predict(further)[0], further_of)
    further, further_of = further[kept], further_of[kept]
    rng, owner = np.random.default_rng(seed), np.append(of[scored], further_of)
    functions = score.sample(np.concatenate([points[scored], further]), _FUNCTIONS, rng=rng)
    if failure is not None:
        functions[:, np.sum(scored) :][failure.sample(further, _FUNCTIONS, rng=rng) > _FAILS] = -np.inf
    return np.stack([functions[:, owner == group].max(axis=1) for group in range(int(of.max()) + 1)])


def _promising(expected: NDArray[np.float64], of: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the places of each group's points with the highest expected scores, `_KEPT` of each."""
    order = np.lexsort((-expected, of))
    first = np.searchsorted(of[order], of[order])  # the place of the first one of the same group
    return order[np.arange(len(order)) - first < _KEPT]


def middle(scores: NDArray[np.float64]) -> Interval:
    """Return the interval that holds the middle 95 % of a group's possible scores, (F,)."""
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(low, high)


def differences_to_best(scores: NDArray[np.float64], errors: NDArray[np.float64] | None = None) -> list[Difference]:
    """Return the difference of the group that is expected to be best to each other one, the nearest first.

    The intervals hold all at once (Bonferroni).

    Args:
        scores: (G, functions), as `tuned` gives them.
        errors: (G, G) standard deviation of a difference for other reasons than these: on other examples, say.
    """
    means = scores.mean(axis=1)
    best, *others = np.argsort(-means, kind="stable").tolist()
    z = NormalDist().inv_cdf(1 - (1 - LEVEL) / 2 / max(len(others), 1))
    made = []
    for other in others:
        gap = scores[best] - scores[other]
        error = float(np.hypot(gap.std(), 0.0 if errors is None else errors[best, other]))
        value = float(gap.mean())
        made.append(Difference(best, other, value, Interval(value - z * error, value + z * error)))
    return made


def example_error(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the standard deviation of the difference of two shares of hits on other examples, seeds left out.

    By the random effects of a two-way layout: what the examples contribute to the difference of the groups' means, less
    what the trials within a group contribute.

    Args:
        a: (T, V) the hits of T trials of one group on V examples, T at least 2.
        b: (T', V) those of the other.
    """
    between = np.var(a.mean(axis=0) - b.mean(axis=0), ddof=1)
    within = sum(float(np.mean(np.var(hits, axis=0, ddof=1))) / len(hits) for hits in (a, b))
    return float(np.sqrt(max(float(between) - within, 0.0) / a.shape[1]))
