"""Mann and Whitney's test, counted out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.statistics import mann_whitney

GROUP = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=5)


def counted(a: list[float], b: list[float]) -> float:
    """The share of all ways to deal the values whose sum of ranks is as far from the middle, one by one."""
    both = a + b
    ranks = [sum(y < x for y in both) + (sum(y == x for y in both) + 1) / 2 for x in both]
    middle = len(a) * (len(both) + 1) / 2
    far = abs(sum(ranks[: len(a)]) - middle)
    ways = [abs(sum(ranks[i] for i in some) - middle) >= far - 1e-9 for some in combinations(range(len(both)), len(a))]
    return sum(ways) / len(ways)


def test_by_hand() -> None:
    assert mann_whitney([1, 2, 3], [4, 5, 6]) == 2 / 20
    assert mann_whitney([1], [2]) == 1.0
    assert mann_whitney([7, 7], [7, 7, 7]) == 1.0


@given(GROUP, GROUP)
def test_it_counts_all_ways_of_dealing(a: list[float], b: list[float]) -> None:
    p = mann_whitney(a, b)
    assert p == pytest.approx(counted(a, b))
    assert mann_whitney(b, a) == p
    assert mann_whitney([math.exp(x) for x in a], [math.exp(x) for x in b]) == p
    assert 0 < p <= 1


def test_many_values_as_scipy_has_them() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for digits in (8, 1, 0):  # without ties, with some, with many
        a, b = rng.normal(size=40).round(digits), rng.normal(0.4, size=50).round(digits)
        expected = stats.mannwhitneyu(a, b, method="asymptotic").pvalue
        assert mann_whitney(a, b) == pytest.approx(float(expected), rel=1e-9)
    assert mann_whitney(np.ones(30), np.ones(30)) == 1.0


def test_empty_groups_and_nan_are_refused() -> None:
    with pytest.raises(BadInput, match="needs both"):
        mann_whitney([], [1.0])
    with pytest.raises(BadInput, match="NaN"):
        mann_whitney([math.nan], [1.0])
