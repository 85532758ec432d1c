"""Two groups of scores: Mann and Whitney's test, superiority and the expected best, counted out."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.statistics.comparisons import mann_whitney, superiority

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
    # scipy.stats.mannwhitneyu(a, b, method="asymptotic"): without ties, with some, with many.
    rng = np.random.default_rng(0)
    for digits, expected in ((8, 0.0024888616420639643), (1, 0.02189281934316706), (0, 0.6318875016874504)):
        a, b = rng.normal(size=40).round(digits), rng.normal(0.4, size=50).round(digits)
        assert mann_whitney(a, b) == pytest.approx(expected, rel=1e-9)
    assert mann_whitney(np.ones(30), np.ones(30)) == 1.0


SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.1 + 0.2, 0.3, 0.75, 1e9]), min_size=1, max_size=7)


@given(SCORES, SCORES)
def test_superiority_is_the_share_of_pairs(winners: list[float], losers: list[float]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(winners, losers)]
    assert superiority(np.array(winners), np.array(losers)) == pytest.approx(sum(pairs) / len(pairs))
