"""Learning curves: what is said of planted shapes, and how often it is said of noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.search.curve_analysis import analyse
from hpsearch.statistics.curves import LONG, courses, last_gains, more_than_false


def noisy(shape: NDArray[np.float64], count: int, sd: float, *, correlation: float = 0.3) -> NDArray[np.float64]:
    """Curves of one shape, (count, E), with noise whose neighbours are correlated."""
    rng = np.random.default_rng(11)
    noise = rng.normal(size=(count, len(shape)))
    for epoch in range(1, len(shape)):
        noise[:, epoch] = correlation * noise[:, epoch - 1] + np.sqrt(1 - correlation**2) * noise[:, epoch]
    return np.asarray(shape + sd * noise)


def approach(epochs: int, rate: float) -> NDArray[np.float64]:
    """An exponential approach to 0 from 1."""
    return np.exp(-rate * np.arange(epochs) / epochs)


@pytest.mark.parametrize("epochs", [20, 50, 200])
@pytest.mark.parametrize("sd", [0.002, 0.01, 0.03])
def test_noise_is_no_rise_and_a_rise_of_a_third_is_one(epochs: int, sd: float) -> None:
    late = np.maximum(0, np.arange(epochs) / epochs - 0.4) / 0.6
    for shape in (np.zeros(epochs), approach(epochs, 30), approach(epochs, 8), approach(epochs, 2)):
        assert courses(noisy(shape, 1000, sd)).rises.mean() <= 0.02
    share = courses(noisy(approach(epochs, 8) + late / 3, 1000, sd)).rises.mean()
    assert share >= (0.95 if sd < 0.03 or epochs > 20 else 0.6)


def test_a_rise_that_does_not_matter_is_none() -> None:
    late = np.maximum(0, np.arange(100) / 100 - 0.4)
    assert not courses(noisy(approach(100, 10) + 0.01 * late, 100, 0.0001)).rises.any()
    assert courses(noisy(approach(100, 10) + 0.1 * late, 100, 0.0001)).rises.all()


def test_a_course_without_noise_is_what_it_was_made_of() -> None:
    curve = np.concatenate([np.linspace(1, 0, 21), np.linspace(0, 0.5, 20)[1:]])[None]
    of = courses(curve)
    assert of.best_epoch.tolist() == [21]
    assert of.gain[0] == pytest.approx(1, abs=0.1)
    assert of.rises[0]
    assert not courses(np.linspace(1, 0, 40)[None]).rises[0]


@pytest.mark.parametrize(
    ("rate", "improving", "saturated"), [(2.5, True, False), (12, False, True), (6.5, False, False)]
)
def test_the_last_epochs_bring_something_nothing_or_little(rate: float, improving: bool, saturated: bool) -> None:
    signs = []
    for start in range(0, 1000, 10):
        of = analyse(noisy(approach(50, rate), 1000, 0.005)[start : start + 10], np.ones(10, dtype=bool))
        signs.append(("improving" in of.signs, "saturated" in of.signs))
    assert np.mean([sign == (improving, saturated) for sign in signs]) >= 0.95


@pytest.mark.parametrize("rate", [6.5, 12])
def test_a_few_noisy_curves_are_not_taken_for_what_they_may_not_be(rate: float) -> None:
    curves = noisy(approach(50, rate), 1000, 0.1)
    signs = [analyse(curves[start : start + 5], np.ones(5, dtype=bool)).signs for start in range(0, 1000, 5)]
    assert np.mean(["improving" in of for of in signs]) <= 0.06
    assert np.mean(["saturated" in of for of in signs]) <= 0.06


def test_curves_that_learned_nothing_and_too_few_curves_say_nothing_of_their_length() -> None:
    assert last_gains(courses(noisy(np.zeros(50), 10, 0.01))) is None
    assert last_gains(courses(noisy(approach(50, 3), 2, 0.01))) is None


def test_the_step_from_epoch_to_epoch_is_measured_about_the_trend() -> None:
    assert courses(noisy(approach(60, 3), 500, 0.01, correlation=0)).step_sd.mean() == pytest.approx(0.01, rel=0.05)
    assert courses(noisy(approach(LONG, 3), 500, 0.0)).step_sd.max() < 0.003


def test_two_alarms_of_five_are_more_than_false_ones() -> None:
    assert [more_than_false(alarms, 5) for alarms in (0, 1, 2)] == [False, False, True]
    assert [more_than_false(alarms, 100) for alarms in (0, 2, 5, 6)] == [False, False, False, True]
    assert not more_than_false(0, 0)
