"""Are the values of one group higher than those of another?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

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
