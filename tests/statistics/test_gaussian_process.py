"""The Gaussian process agrees with scikit-learn's, and its intervals hold what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from hpsearch.statistics.gaussian_process import GaussianProcess, fit


def bowl(points: np.ndarray) -> np.ndarray:
    return np.asarray(0.9 - (points[:, 0] - 0.3) ** 2 - 0.5 * (points[:, 1] - 0.6) ** 2)


def noisy(size: int, seed: int, noise: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.random((size, 3))
    return points, bowl(points) + noise * rng.normal(size=size)


def theirs(of: GaussianProcess, values: np.ndarray) -> GaussianProcessRegressor:
    """Scikit-learn's process with the same scales."""
    kernel = ConstantKernel(of.signal**2) * Matern(of.lengths, nu=2.5) + WhiteKernel(of.noise**2)
    return GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0).fit(of.points, values - of.mean)


def test_predictions_are_those_of_scikit_learn() -> None:
    points, values = noisy(40, 0)
    of, new = fit(points, values), np.random.default_rng(1).random((20, 3))
    mean, sd = of.predict(new)
    other, other_sd = theirs(of, values).predict(new, return_std=True)
    np.testing.assert_allclose(mean - of.mean, other, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(sd, np.sqrt(other_sd**2 - of.noise**2), rtol=1e-5)


def test_the_scales_have_a_higher_density_than_their_neighbours() -> None:
    points, values = noisy(60, 2)
    of = fit(points, values)
    grouped = fit(points, values, np.array([0, 0, 1]))
    assert len(set(grouped.lengths[:2])) == 1
    likelihood = theirs(of, values).log_marginal_likelihood
    assert likelihood() > theirs(grouped, values).log_marginal_likelihood()  # one scale for two columns that differ
    best = np.log([of.signal**2, *of.lengths, of.noise**2])
    for place in (0, -1):  # the signal and the noise; priors draw the lengths a little
        for by in (-0.7, 0.7):
            moved = best.copy()
            moved[place] += by
            assert likelihood(moved) < likelihood(best)


def test_a_column_without_effect_has_a_long_scale_and_noise_is_found() -> None:
    of = fit(*noisy(120, 3))
    assert of.lengths[2] > 4 * max(of.lengths[:2])
    assert of.noise == pytest.approx(0.03, rel=0.25)


def test_samples_have_the_mean_and_deviation_of_predictions() -> None:
    of, new = fit(*noisy(40, 4)), np.random.default_rng(5).random((6, 3))
    mean, sd = of.predict(new)
    drawn = of.sample(new, 4000, rng=np.random.default_rng(6))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=4 * sd.max() / 60)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.08)


def test_the_difference_from_an_average_is_that_of_joint_samples() -> None:
    of, rng = fit(*noisy(40, 7)), np.random.default_rng(8)
    new, others = rng.random((6, 3)), rng.random((3, 3))
    gain, sd = of.difference(new, others)
    drawn = of.sample(np.vstack([new, others]), 4000, rng=rng)
    drawn = drawn[:, :6] - drawn[:, 6:].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(drawn.mean(axis=0), gain, atol=4 * sd.max() / 60)
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.08)
    assert of.difference(new[:1], new[:1])[0] == pytest.approx(0)


def test_intervals_hold_the_function() -> None:
    inside = []
    for seed in range(40):
        of, new = fit(*noisy(40, 100 + seed)), np.random.default_rng(seed).random((10, 3))
        mean, sd = of.predict(new)
        inside += (np.abs(bowl(new) - mean) <= 1.96 * sd).tolist()
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize("values", [np.full(12, 0.5), np.repeat([0.0, 1.0], 6)])
def test_equal_and_doubled_values_are_no_difficulty(values: np.ndarray) -> None:
    points = np.repeat(np.random.default_rng(0).random((6, 2)), 2, axis=0)
    mean, sd = fit(points, values).predict(points)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()


def test_given_the_same_values_it_is_the_same_and_given_others_it_follows_them() -> None:
    points, values = noisy(40, 4)
    of, new = fit(points, values), np.random.default_rng(5).random((6, 3))
    np.testing.assert_allclose(of.given(points, values).predict(new), of.predict(new), rtol=1e-6)
    higher = of.given(points[:20], values[:20] + 1)
    assert (higher.predict(points[:20])[0] > of.predict(points[:20])[0] + 0.5).all()
    assert (higher.predict(new)[1] > of.predict(new)[1]).all()  # of fewer points
