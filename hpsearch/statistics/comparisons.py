"""Paired comparison of two trials on the same validation images.

The set of those is made to hold the truly best trial in 95 of 100 searches. That one is left out only if the trial with
the best score beats it by luck, and the trial with the best score may be any of the N - 1 others: so each comparison is
made at 0.05/(N - 1) (Bonferroni; it holds however the trials' hits depend on each other, and no stepwise correction is
sharper here, as only one hypothesis, that of the truly best trial, must not be rejected wrongly). N counts all trials
that were drawn, also those too far behind to be looked at: to leave them out because they turned out bad would be
to choose again.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def mcnemar(a: ArrayLike, b: ArrayLike) -> float:
    """The exact two-sided p-value that two trials are equally good, from the images that only one gets right.

    If they are equally good, each image that only one of them gets right goes to either with probability 1/2
    (McNemar 1947); images that both get right, or neither, say nothing.

    Args:
        a: Which images the one got right, boolean, shape (images,).
        b: Which the other did, in the same order.

    Raises:
        BadInput: They are not of the same images.
    """
    import numpy as np

    one, other = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if one.shape != other.shape or one.ndim != 1:
        raise BadInput(f"hits of shapes {one.shape} and {other.shape}; a paired comparison needs the same images")
    return two_sided(int(np.sum(one & ~other)), int(np.sum(other & ~one)))


def two_sided(only_a: int, only_b: int) -> float:
    """`mcnemar` from the two counts: twice the smaller binomial tail, at most 1."""
    return min(1.0, 2 * lower_tail(min(only_a, only_b), only_a + only_b))


@lru_cache(maxsize=4096)
def lower_tail(hits: int, throws: int) -> float:
    """P(X <= hits) for the heads X in so many throws of a fair coin, exact before it is rounded."""
    term, total = 1, 0
    for i in range(hits + 1):
        total += term
        term = term * (throws - i) // (i + 1)
    return total / (1 << throws)


def discordant(a: int, b: int) -> tuple[int, int]:
    """How many images only the one trial gets right, and how many only the other.

    Args:
        a: The one's hits as the ones of a whole number (`hpsearch.statistics.hits.as_number`).
        b: The other's, of the same images.
    """
    return (a & ~b).bit_count(), (b & ~a).bit_count()


_EXACT = 400
"""Up to so many pairs the orders are counted; beyond, the normal approximation is right to the third digit."""


def mann_whitney(a: ArrayLike, b: ArrayLike) -> float:
    """The two-sided p-value that two groups come from one distribution (Mann & Whitney 1947).

    Up to 400 pairs it is exact, also with ties: all ways of dealing the values there are into two groups of these
    sizes are counted. Beyond, normal with the variance that ties leave and a correction for continuity.

    Args:
        a: Values of the one group, shape (n,), n >= 1.
        b: Values of the other, shape (m,), m >= 1.

    Raises:
        BadInput: An empty group, or NaN.
    """
    import numpy as np

    one, other = np.asarray(a, dtype=float).ravel(), np.asarray(b, dtype=float).ravel()
    if not len(one) or not len(other):
        raise BadInput(f"groups of {len(one)} and {len(other)} values; a comparison of ranks needs both")
    if np.isnan(one).any() or np.isnan(other).any():
        raise BadInput("a value that is NaN; a comparison of ranks needs numbers")
    ranks = _doubled_ranks(np.concatenate((one, other)))
    n, m = len(one), len(other)
    middle = n * (n + m + 1)  # twice the expected sum of ranks
    distance = abs(int(ranks[:n].sum()) - middle)
    if n * m <= _EXACT:
        return _dealt_as_far(ranks, n, middle, distance)
    variance = n * m / (n + m) * float(np.var(ranks / 2, ddof=1))
    if variance == 0:
        return 1.0
    return math.erfc(max(distance / 2 - 0.5, 0.0) / math.sqrt(2 * variance))


def _doubled_ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the ranks from 1, ties sharing their average: whole numbers."""
    import numpy as np

    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2 * np.cumsum(count) - count + 1)[group], dtype=np.int64)


def _dealt_as_far(ranks: NDArray[np.int64], n: int, middle: int, distance: int) -> float:
    """The share of all ways to choose n of these whole numbers whose sum is as far from the middle, or farther."""
    ways: list[dict[int, int]] = [{} for _ in range(n + 1)]
    ways[0][0] = 1
    for rank in ranks.tolist():
        for chosen in range(n - 1, -1, -1):
            more = ways[chosen + 1]
            for total, many in ways[chosen].items():
                more[total + rank] = more.get(total + rank, 0) + many
    far = sum(many for total, many in ways[n].items() if abs(total - middle) >= distance)
    return far / math.comb(len(ranks), n)


LEVEL = 0.05
"""How often the truly best trial may be missing among those that tie with the best."""


def paired_p(best: int, other: int) -> float:
    """The one-sided p-value that another trial is at least as good as the best, by McNemar's exact test.

    Args:
        best: The best trial's hits as the ones of a whole number.
        other: The other trial's, on the same images.
    """
    only_best, only_other = discordant(best, other)
    return lower_tail(only_other, only_best + only_other)


def unpaired_p(best: float, other: float, images: int) -> float:
    """The same from two accuracies alone, as if each had images of its own; a test of two proportions.

    Trials of one stage get mostly the same images right, which makes their difference surer than this says. So it calls
    more trials tied than a paired comparison does.

    Args:
        best: The best trial's accuracy.
        other: The other trial's.
        images: How many images each rests on.
    """
    share = (best + other) / 2
    variance = 2 * share * (1 - share) / images
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((best - other) / math.sqrt(2 * variance))


def is_tied(p: float, trials: int) -> bool:
    """Whether a trial with that one-sided p-value cannot be told from the best of so many trials."""
    return p > LEVEL / max(trials - 1, 1)
