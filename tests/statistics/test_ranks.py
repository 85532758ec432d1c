"""Tests by ranks: known values, and their level by simulation, with ties, small groups and columns beside them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.statistics.ranks import chi_square_p, groups_p


@pytest.mark.parametrize(
    ("statistic", "freedom", "p"),
    [(3.841459, 1, 0.05), (5.991465, 2, 0.05), (11.344867, 3, 0.01), (18.307038, 10, 0.05), (0, 4, 1), (4e3, 2, 0)],
)
def test_chi_square_has_its_tabled_quantiles(statistic: float, freedom: int, p: float) -> None:
    assert chi_square_p(statistic, freedom) == pytest.approx(p, rel=1e-5, abs=1e-300)


def test_groups_by_hand() -> None:
    """Without ties H = 12/(n(n + 1)) sum R^2/m - 3(n + 1), with the sums of ranks R of groups of m."""
    group = np.repeat([0, 1, 2], 50)
    values = np.concatenate([np.arange(50), np.arange(50) + 30.25, np.arange(50) + 10.5])
    order = np.argsort(np.argsort(values)) + 1
    sums = [float(order[group == which].sum()) for which in range(3)]
    h = 12 / (150 * 151) * sum(total**2 / 50 for total in sums) - 3 * 151
    assert groups_p(group, values) == pytest.approx(math.exp(-h / 2))
    assert groups_p(group, np.zeros(150)) == groups_p(np.zeros(150, dtype=np.intp), values) == 1


def _thirds(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    return (3 * rng.permutation(n) // n).astype(np.intp)


def _rare(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    return (rng.random(n) < 0.06).astype(np.intp)


def _many(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    return rng.integers(0, 10, n)


@pytest.mark.parametrize("group", [_thirds, _rare, _many])
@pytest.mark.parametrize("levels", [2, 4, 10**6])
@pytest.mark.parametrize("n", [12, 100])
def test_groups_without_a_difference_are_told_apart_as_often_as_the_level_says(
    group: Callable[[np.random.Generator, int], NDArray[np.intp]], levels: int, n: int
) -> None:
    rngs = [np.random.default_rng([n, levels, seed]) for seed in range(200 if n == 100 else 100)]
    p = np.array([groups_p(group(rng, n), np.floor(levels * rng.random(n) ** 3)) for rng in rngs])
    assert np.mean(p <= 0.05) <= 0.11
    assert np.mean(p <= 0.01) <= 0.04


def test_two_lucky_trials_in_a_small_group_are_no_more_than_they_are() -> None:
    """Two of 100 trials differ, and both are in a group of ten: that has the probability 45/4950."""
    group, values = np.repeat([0, 1], [10, 90]), np.zeros(100)
    values[:2] = 1
    assert groups_p(group, values) == pytest.approx(45 / 4950, abs=0.007)


def test_what_another_column_explains_is_no_difference_between_groups() -> None:
    """The groups go together with a column that has an effect; of its own it has none."""
    alone, beside = [], []
    for seed in range(100):
        rng = np.random.default_rng([5, seed])
        column = rng.random(90)
        group = np.clip(np.floor(3 * column + 0.5 * rng.standard_normal(90)), 0, 2).astype(np.intp)
        values = column + 0.1 * rng.standard_normal(90)
        alone.append(groups_p(group, values))
        beside.append(groups_p(group, values, np.stack([column, column**2], axis=1)))
    assert np.mean(np.array(alone) <= 0.01) == 1
    assert np.mean(np.array(beside) <= 0.05) <= 0.12
