"""The quadratic response against its closed form, and what it must not take for a rise at the end."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.statistics.quadratic import response


def test_an_exact_response_gives_its_slope_and_its_gain_back() -> None:
    t = np.linspace(-1, 0, 40)
    fit = response(t, [], 0.9 - 0.5 * (t - 0.2) ** 2)
    assert fit is not None
    assert (fit.slope, fit.curvature, fit.rising_p) == pytest.approx((0.2, -0.5, 0.0))
    assert fit.gain(0.25) == pytest.approx(0.02)  # at the turning point
    assert fit.gain(0.1) == pytest.approx(0.2 * 0.1 - 0.5 * 0.01)  # before it
    falling = response(t, [], -0.5 * (t + 0.1) ** 2)
    assert falling is not None
    assert falling.rising_p == 1
    steeper = response(t, [], (t + 1) ** 2)
    assert steeper is not None
    assert (steeper.rising_p, steeper.gain(0.25)) == (0, None)


def test_the_slope_is_that_at_the_best_values_of_the_others() -> None:
    """Of two that make up for each other, one rises only where the other is too low."""
    rng = np.random.default_rng(2)
    t, v = rng.uniform(-1, 0, 200), rng.random(200)
    score = -((t + v - 0.4) ** 2) - 0.1 * (t + 0.2) ** 2 + 0.01 * rng.standard_normal(200)
    fit = response(t, [v, rng.random(200)], score)
    assert fit is not None
    assert fit.slope == pytest.approx(-0.04, abs=0.02)
    alone = response(t, [], score)
    assert alone is not None
    assert alone.slope < -0.1


def test_of_choices_the_slope_is_that_of_the_best_one() -> None:
    rng = np.random.default_rng(3)
    t, choice = rng.uniform(-1, 0, 120), rng.integers(0, 3, 120)
    score = np.array([0.0, 1.0, 0.5])[choice] + np.array([-1.0, 2.0, 0.0])[choice] * t + 0.01 * rng.standard_normal(120)
    fit = response(t, [(choice[:, None] == [1, 2]).astype(float)], score)
    assert fit is not None
    assert fit.slope == pytest.approx(2, abs=0.05)


def test_the_level_of_a_rise_holds_and_what_is_quadratic_is_called_so() -> None:
    fits = []
    for seed in range(400):
        rng = np.random.default_rng([4, seed])
        t = rng.uniform(-1, 0, 40)
        fits.append(response(t, [rng.random(40)], -(t**2) + 0.1 * rng.standard_normal(40)))
    p = np.array([fit.rising_p for fit in fits if fit is not None])
    assert len(p) == 400
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean([fit.adequate for fit in fits if fit is not None]) >= 0.85


def test_what_is_not_quadratic_is_called_so() -> None:
    t = np.random.default_rng(5).uniform(-1, 0, 100)
    score = 1 / (1 + np.exp(-(t + 0.4) / 0.05)) + 0.03 * np.random.default_rng(6).standard_normal(100)
    fit = response(t, [], score)
    assert fit is not None
    assert not fit.adequate


@pytest.mark.parametrize("t", [np.repeat([-1.0, 0.0], 20), np.linspace(-1, 0, 8)])
def test_two_positions_or_few_trials_tell_no_turning_point(t: np.ndarray) -> None:
    assert response(t, [], t) is None
    assert response(np.linspace(-1, 0, 40), [], np.full(40, 0.8)) is None
