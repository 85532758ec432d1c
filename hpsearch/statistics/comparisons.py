"""Comparison of two groups of scores by their ranks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_EXACT = 400  # up to so many pairs the orders are counted; beyond, the normal approximation is right to the third digit


def mann_whitney(a: ArrayLike, b: ArrayLike) -> float:
    """Return the two-sided p-value that two groups come from one distribution (Mann & Whitney 1947).

    Up to 400 pairs it is exact, also with ties: all ways of dealing the values there are into two groups of these
    sizes are counted. Beyond, normal with the variance that ties leave and a correction for continuity.
    """
    first, second = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    n, m = len(first), len(second)
    _, group, count = np.unique(np.concatenate((first, second)), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(count) - count + 1)[group]  # twice the ranks from 1, ties sharing their average
    middle = n * (n + m + 1)  # twice the expected sum of ranks
    distance = abs(int(ranks[:n].sum()) - middle)
    if n * m <= _EXACT:
        return _share_as_far(ranks.tolist(), n, middle, distance)
    variance = n * m / (n + m) * float(np.var(ranks / 2, ddof=1))
    if variance == 0:
        return 1.0
    return math.erfc(max(distance / 2 - 0.5, 0.0) / math.sqrt(2 * variance))


def _share_as_far(ranks: list[int], n: int, middle: int, distance: int) -> float:
    """Return the share of all ways to choose n of these whole numbers whose sum is as far from the middle."""
    ways: list[dict[int, int]] = [{} for _ in range(n + 1)]
    ways[0][0] = 1
    for rank in ranks:
        for chosen in range(n - 1, -1, -1):
            more = ways[chosen + 1]
            for total, count in ways[chosen].items():
                more[total + rank] = more.get(total + rank, 0) + count
    far = sum(count for total, count in ways[n].items() if abs(total - middle) >= distance)
    return far / math.comb(len(ranks), n)


def superiority(winners: NDArray[np.float64], losers: NDArray[np.float64]) -> float:
    """Return the probability that a random winner is higher than a random loser, ties counted half.

    The statistic of Mann and Whitney over the number of pairs (Vargha & Delaney 2000).
    """
    ordered = np.sort(losers)
    below, upto = (np.searchsorted(ordered, winners, side=side).sum() for side in ("left", "right"))
    return float((below + upto) / 2 / (len(winners) * len(losers)))
