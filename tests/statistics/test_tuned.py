"""Isolation: the difference of tuned groups, by simulation with fixed seeds, and its laws."""

from __future__ import annotations

import isolation
import numpy as np
import pytest

from hpsearch.statistics.tuned import differences_to_best, example_error, tuned


@pytest.mark.parametrize("shape", ["bowl", "cliff"])
def test_the_interval_holds_the_difference_of_the_optima(shape: str) -> None:
    """tests/benchmarks/isolation.py prints the whole table; a bootstrap of the best trials would hold it in half."""
    held, width, _, _, false = isolation.cell(shape, 2, 30, 1000, 12)
    assert held >= 10 / 12
    assert false <= 1 / 12
    assert width < (0.04 if shape == "bowl" else 0.15)


def test_a_failing_stretch_is_no_place_for_the_best() -> None:
    """The score rises towards it; where trials fail no score is expected."""
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(60, 1))
    score = np.where(x[:, 0] < 0.6, x[:, 0], np.nan) + rng.normal(0, 0.005, 60)
    of, further = np.zeros(60, dtype=int), np.linspace(0, 1, 80)[:, None]
    best = tuned(x, score, of, further, np.zeros(80, dtype=int), np.zeros(1, dtype=int), seed=0)
    assert best.shape == (1, 1000)
    assert 0.58 < best.mean() < 0.62
    assert np.quantile(best, 0.95) < 0.65


def test_of_many_further_points_the_most_promising_of_each_group_are_kept() -> None:
    """No trial lies near the top of two bumps: it is among a thousand further points, in whatever order."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(0, 0.35, 30), rng.uniform(0.65, 1, 30)])
    points, of = np.column_stack([np.tile(x, 2), np.repeat([0, 1], 60)]), np.repeat([0, 1], 60)
    score = 0.9 - 0.1 * of - (points[:, 0] - 0.5) ** 2 + rng.normal(0, 0.001, 120)
    further = np.column_stack([np.tile(np.linspace(0, 1, 1001), 2), np.repeat([0, 1], 1001)])
    order = rng.permutation(len(further))
    further_of = further[order, 1].astype(np.intp)
    best = tuned(points, score, of, further[order], further_of, np.array([0, 1]), seed=0)
    assert best.mean(axis=1) == pytest.approx([0.9, 0.8], abs=0.012)


def test_differences_are_to_the_best_nearest_first_and_wider_with_more_groups() -> None:
    scores = np.random.default_rng(0).normal([[0.5], [0.9], [0.8]], 0.01, (3, 1000))
    first, second = differences_to_best(scores)
    assert [(of.better, of.other) for of in (first, second)] == [(1, 2), (1, 0)]
    assert first.value == pytest.approx(0.1, abs=0.002)
    (alone,) = differences_to_best(scores[1:])
    assert alone.value == pytest.approx(first.value)
    assert alone.interval.low > first.interval.low
    errors = np.full((3, 3), 0.2)
    assert differences_to_best(scores, errors)[0].interval.low < 0


def test_the_examples_part_of_a_difference_leaves_the_seeds_out() -> None:
    """Trials of two groups, each of which is right on examples of its own, or by its seed alone."""
    rng = np.random.default_rng(2)
    lucky = rng.uniform(size=(2, 5, 400)) < 0.8
    assert example_error(lucky[0], lucky[1]) < 0.008
    own = rng.uniform(size=(2, 1, 400)) < 0.8
    a, b = np.repeat(own, 5, axis=1)
    assert example_error(a, b) == pytest.approx(np.std(a[0] * 1.0 - b[0], ddof=1) / 20)
