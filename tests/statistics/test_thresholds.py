"""Where trials fail: planted thresholds are found, and none where failures have nothing to do with the values."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.statistics.thresholds import Threshold, find_threshold


def planted(seed: int, trials: int = 100) -> Threshold:
    """Return what is found where trials fail with a high ``a`` nine times in ten."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(size=(2, trials))
    failed = (a > 0.8) & (rng.uniform(size=trials) < 0.9) | (rng.uniform(size=trials) < 0.02)
    found = find_threshold({"b": b, "a": a}, {"c": rng.integers(0, 3, trials).astype(float)}, failed)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_threshold_is_found(seed: int) -> None:
    found = planted(seed)
    assert (found.name, found.where) == ("a", "above")
    assert found.gap[0] <= 0.83
    assert found.gap[1] >= 0.77
    assert found.p <= 0.01
    assert found.inside[0] / found.inside[1] > 0.7 > 0.1 > found.outside[0] / found.outside[1]


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_false_ones_are_rare(rate: float) -> None:
    ps = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        a, b, c = rng.uniform(size=(3, 60))
        found = find_threshold({"a": a, "b": b}, {"c": np.round(3 * c)}, rng.uniform(size=60) < rate)
        ps.append(1.0 if found is None else found.p)
    assert np.mean(np.array(ps) <= 0.01) <= 0.02
    assert np.mean(np.array(ps) <= 0.05) <= 0.07


def test_a_low_end_and_a_choice_are_found_too() -> None:
    x = np.arange(40.0)
    low, choice = find_threshold({"a": x}, {}, x < 10), find_threshold({"a": x}, {"c": x % 4}, x % 4 == 2)
    assert low is not None
    assert choice is not None
    assert low == Threshold("a", "below", (9.0, 10.0), (10, 10), (0, 30), low.p)
    assert choice == Threshold("c", "at", (2.0, 2.0), (10, 10), (0, 30), choice.p)
    assert max(low.p, choice.p) < 1e-6


def test_trials_without_the_parameter_say_nothing_of_it() -> None:
    x = np.arange(40.0)
    found = find_threshold({"a": np.where(x < 20, x, np.nan)}, {}, x < 5)
    assert found is not None
    assert (found.where, found.inside, found.outside) == ("below", (5, 5), (0, 15))


@pytest.mark.parametrize("failed", [np.zeros(10, bool), np.ones(10, bool)])
def test_nothing_is_divided_where_all_end_alike(failed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    assert find_threshold({"a": np.arange(10.0)}, {}, failed) is None


def test_equal_values_divide_nothing() -> None:
    assert find_threshold({"a": np.ones(10)}, {"c": np.full(10, np.nan)}, np.arange(10) < 5) is None


def test_a_choice_with_which_trials_fail_is_named_not_the_one_with_which_they_do_not() -> None:
    choice = np.arange(60.0) % 3
    found = find_threshold({}, {"c": choice}, (choice > 0) & (np.arange(60) % 2 == 0))
    assert found is not None
    assert found.gap[0] != 0.0
    assert found.inside[0] / found.inside[1] > found.outside[0] / found.outside[1]
