"""A Gaussian process: what noisy values at some points say about the value at any other point.

Exact inference with the Matern kernel of smoothness 5/2 and a length scale for each group of columns (Rasmussen &
Williams 2006, chapters 2 and 5). The length scales and the share of the noise are those of the highest posterior
density, under the priors of Hvarfner, Hellsten & Nardi (2024): long scales, longer with more columns, unless the values
say otherwise. The scale of the values is the one of the highest likelihood. Made for some hundreds of points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROOT5 = math.sqrt(5)
_STEPS = 60  # of Rprop: the density changes by less than 1e-3 after these
_LENGTH = (math.sqrt(2), math.sqrt(3))  # mean, to which log(sqrt(D)) is added, and deviation of a log length scale
_NOISE = (-2.0, 2.0)  # likewise of the log share of the noise's variance
_LOWEST, _HIGHEST = math.log(0.02), math.log(100.0)  # of a length scale
_QUIETEST, _LOUDEST = math.log(1e-4), math.log(100.0)  # of the noise's variance, as a share of the signal's


@dataclass(frozen=True, slots=True, eq=False)
class GaussianProcess:
    """A Gaussian process given N values."""

    points: NDArray[np.float64]  # (N, C)
    lengths: NDArray[np.float64]  # (C,) the length scale of each column
    mean: float  # of the values, far from all points
    signal: float  # standard deviation of the function about that mean
    noise: float  # standard deviation of a value about the function
    weights: NDArray[np.float64]  # (N,) K^-1 (y - mean), in which K has the noise
    inverse: NDArray[np.float64]  # (N, N) K^-1

    def predict(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected function and its standard deviation at M points, (M, C): two times (M,)."""
        cross = self._kernel(points, self.points)  # (M, N)
        variance = self.signal**2 - np.einsum("mn,nk,mk->m", cross, self.inverse, cross, optimize=True)
        return self.mean + cross @ self.weights, np.sqrt(np.maximum(variance, 1e-12 * self.signal**2))

    def difference(
        self, points: NDArray[np.float64], others: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how much higher the function is at M points, (M, C), than on average at K others, (K, C).

        Returns:
            The expected difference and its standard deviation, two times (M,).
        """
        mean, sd = self.predict(points)
        cross, far = self._kernel(points, self.points), self._kernel(others, self.points)
        average = far.mean(axis=0)  # (N,)
        own = float(self._kernel(others, others).mean() - average @ self.inverse @ average)
        shared = self._kernel(points, others).mean(axis=1) - cross @ (self.inverse @ average)
        variance = sd**2 + own - 2 * shared
        gain = mean - self.mean - float(average @ self.weights)
        return gain, np.sqrt(np.maximum(variance, 1e-12 * self.signal**2))

    def smoother(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weight of each value in the expected function at M points, (M, C): (M, N).

        The expected function is ``mean + smoother @ (values - mean)``.
        """
        return np.asarray(self._kernel(points, self.points) @ self.inverse)

    def sample(self, points: NDArray[np.float64], count: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return functions drawn from the process at M points, (M, C): (count, M)."""
        cross = self._kernel(points, self.points)
        covariance = self._kernel(points, points) - cross @ self.inverse @ cross.T
        values, vectors = np.linalg.eigh(covariance)  # holds where rounding leaves it indefinite
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(self.mean + cross @ self.weights + rng.standard_normal((count, len(points))) @ root.T)

    def given(self, points: NDArray[np.float64], values: NDArray[np.float64]) -> GaussianProcess:
        """Return the process with these scales given other values: N values, (N,), at points, (N, C)."""
        inverse = np.asarray(np.linalg.inv(self._kernel(points, points) + self.noise**2 * np.eye(len(points))), float)
        return replace(self, points=points, weights=inverse @ (values - self.mean), inverse=inverse)

    def _kernel(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = a / self.lengths, b / self.lengths
        squares = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1)[None] - 2 * a @ b.T
        return self.signal**2 * _matern(np.sqrt(np.maximum(squares, 0.0)))[0]


def _matern(distance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the kernel, and its derivative by the logarithm of a length scale per squared distance along it."""
    decay = np.exp(-_ROOT5 * distance)
    return (1 + _ROOT5 * distance + 5 / 3 * distance**2) * decay, 5 / 3 * (1 + _ROOT5 * distance) * decay


def fit(
    points: NDArray[np.float64], values: NDArray[np.float64], groups: NDArray[np.intp] | None = None
) -> GaussianProcess:
    """Fit a Gaussian process to values at points.

    Args:
        points: (N, C), each column about as wide as 1.
        values: (N,), N at least 2.
        groups: (C,) numbers from 0: columns of one number share a length scale. None: each has its own.
    """
    groups = np.arange(points.shape[1]) if groups is None else groups
    mean, scale = float(values.mean()), float(values.std()) or 1.0
    y, count = (values - mean) / scale, int(groups.max()) + 1
    squares = np.zeros((count, len(y), len(y)))  # (G, N, N) squared distances by group
    for column, group in zip(points.T, groups.tolist(), strict=True):
        squares[group] += (column[:, None] - column[None]) ** 2
    prior = np.append(np.full(count, _LENGTH[0] + math.log(count) / 2), _NOISE[0])
    spread = np.append(np.full(count, _LENGTH[1]), _NOISE[1])
    low = np.append(np.full(count, _LOWEST), _QUIETEST)
    high = np.append(np.full(count, _HIGHEST), _LOUDEST)

    def density(scales: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], _Solved]:
        solved = _solve(squares, scales, y)
        off = (scales - prior) / spread
        return solved.likelihood - 0.5 * float(off @ off), solved.gradient - off / spread, solved

    # Rprop (Riedmiller & Braun 1993): a step for each scale, longer while its slope keeps its sign.
    at, step = np.append(np.full(count, math.log(0.5)), math.log(0.1)), np.full(count + 1, 0.3)
    best, best_at, best_solved, before = -math.inf, at, None, None
    for _ in range(_STEPS):
        height, slope, solved = density(at)
        if height > best:
            best, best_at, best_solved = height, at, solved
        if before is not None:
            step = np.clip(step * np.where(slope * before > 0, 1.3, 0.5), 1e-4, 1.0)
        if step.max() < 1e-3:
            break
        before = slope
        at = np.clip(at + step * np.sign(slope), low, high)
    assert best_solved is not None
    signal, noise = best_solved.signal * scale, math.exp(best_at[-1] / 2) * best_solved.signal * scale
    return GaussianProcess(
        points,
        np.exp(best_at[:-1])[groups],
        mean,
        signal,
        noise,
        best_solved.weights * scale / signal**2,
        best_solved.inverse / signal**2,
    )


def fit_with_failures(
    points: NDArray[np.float64], values: NDArray[np.float64], groups: NDArray[np.intp] | None = None
) -> tuple[GaussianProcess, GaussianProcess | None]:
    """Fit a process to the values that there are, and one over 0 and 1 to which are missing; None for fewer than two.

    Args:
        points: (N, C) as for `fit`.
        values: (N,) NaN of what failed.
        groups: (C,) as for `fit`.
    """
    failed = np.isnan(values)
    of_values = fit(points[~failed], values[~failed], groups)
    return of_values, fit(points, failed.astype(float), groups) if failed.sum() > 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    likelihood: float  # log, but for a constant
    gradient: NDArray[np.float64]  # (G + 1,) by the log scales
    signal: float  # of the highest likelihood
    weights: NDArray[np.float64]  # (N,) of a signal of 1
    inverse: NDArray[np.float64]  # (N, N) likewise


def _solve(squares: NDArray[np.float64], scales: NDArray[np.float64], y: NDArray[np.float64]) -> _Solved:
    share, shrunk = math.exp(scales[-1]), np.exp(-2 * scales[:-1])
    size = len(y)
    kernel, slope = _matern(np.sqrt(np.tensordot(shrunk, squares, 1)))
    kernel[np.diag_indices(size)] += share
    factor = np.linalg.cholesky(kernel)
    half = np.linalg.inv(factor)
    inverse = half.T @ half
    weights = inverse @ y
    signal2 = max(float(y @ weights) / size, 1e-12)  # equal values have none
    likelihood = -0.5 * size * math.log(signal2) - float(np.sum(np.log(np.diag(factor))))
    outer = np.outer(weights, weights) / signal2 - inverse
    by_length = 0.5 * shrunk * np.tensordot(squares, outer * slope, 2)
    return _Solved(
        likelihood, np.append(by_length, 0.5 * share * np.trace(outer)), math.sqrt(signal2), weights, inverse
    )
