"""Intervals for a share of examples and for a mean of a few runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
MOST_FREEDOM = 1000  # Student's t with more degrees of freedom differs from the normal distribution in the third digit


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float
    level: float = LEVEL  # share of such intervals that hold the true value


def share_error(share: float, count: int) -> float:
    """Return one standard error of a share of so many examples, sqrt(p (1 - p) / n).

    Of none or all it is that of two more of each kind (Agresti & Coull 1998), since 0 would pretend certainty.
    """
    if not 0 < share < 1:
        share, count = ((share >= 1) * count + 2) / (count + 4), count + 4
    return math.sqrt(share * (1 - share) / count)


def wilson(hits: int, examples: int) -> Interval:
    """Return the score interval of a share, which stays inside [0, 1] and has a width even at 0 and 1 (Wilson 1927).

    Its centre is (h + z^2/2)/(n + z^2); its half-width z sqrt(h (n - h)/n + z^2/4)/(n + z^2).
    """
    return wilson_of_share(hits / examples, examples)


def wilson_of_share(share: float, examples: int) -> Interval:
    """Return `wilson` about a share that is no whole number of hits, such as one from which a bias was taken."""
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    centre = (share * examples + z * z / 2) / (examples + z * z)
    half = z * math.sqrt(examples * share * (1 - share) + z * z / 4) / (examples + z * z)
    # At 0 and at 1 the end is exact; rounding would leave it beside.
    low = 0.0 if share == 0 else max(centre - half, 0.0)
    high = 1.0 if share == 1 else min(centre + half, 1.0)
    return Interval(low, high)


def share_interval(share: float, variance: float, freedom: float, examples: int) -> Interval:
    """Return Wilson's interval of a share with an estimated variance: at as many examples as would have that variance.

    A symmetric interval would leave [0, 1] near its ends. With Student's t for the normal quantile, as the variance
    is an estimate with these degrees of freedom (after Korn & Graubard 1998).
    """
    t = student_quantile(0.5 + LEVEL / 2, whole(freedom))
    own = share * (1 - share)
    least = examples / (examples + 1) ** 2  # of a share of one example: nearer to an end its own says nothing
    effective = max(own / variance, min(least / variance, examples)) if variance > 0 else examples
    shrink = 1 + t * t / effective
    centre = (share + t * t / (2 * effective)) / shrink
    half = t / shrink * math.sqrt(own / effective + (t / (2 * effective)) ** 2)
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return Student's interval of a mean: mean +- t s/sqrt(n), with n - 1 degrees of freedom (Student 1908).

    There are at least 2 values, finite, independent and of about a normal distribution.
    """
    mean = fmean(values)
    half = student_quantile(0.5 + LEVEL / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(mean - half, mean + half)


def student_cdf(t: float, freedom: int) -> float:
    """Return P(T <= t) of Student's t for whole degrees of freedom, a finite sum (Abramowitz & Stegun 26.7.3, .4)."""
    theta = math.atan2(t, math.sqrt(freedom))
    sine, square = math.sin(theta), math.cos(theta) ** 2
    term, total = 1.0, 0.0
    if freedom % 2:
        term = math.cos(theta)
        for j in range(1, freedom // 2 + 1):
            total += term
            term *= square * 2 * j / (2 * j + 1)
        inner = 2 / math.pi * (theta + sine * total)
    else:
        for j in range(1, freedom // 2 + 1):
            total += term
            term *= square * (2 * j - 1) / (2 * j)
        inner = sine * total
    return min(max(0.5 + inner / 2, 0.0), 1.0)


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: int) -> float:
    """Return the t with P(T <= t) = ``probability``, by bisection of `student_cdf`."""
    if probability < 0.5:
        return -student_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        if student_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def whole(freedom: float) -> int:
    """Return degrees of freedom rounded down, which makes intervals wider."""
    return max(1, min(MOST_FREEDOM, int(freedom)))
