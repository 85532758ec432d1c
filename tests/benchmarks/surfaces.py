"""Response surfaces with a known optimum, for simulated searches: four parameters, of which one does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpsearch.space import Float, Space

Points = NDArray[np.float64]  # (N, 4)
Values = NDArray[np.float64]  # (N,)

SPACE: Space = {name: Float(0.0, 1.0) for name in "abcd"}
CHANCE = 0.1  # the score of a setting that learns nothing, and what one that fails is worth


@dataclass(frozen=True)
class Surface:
    """A surface: the expected score of a trial that does not fail, and the probability that it fails."""

    name: str
    shape: Callable[[Points], Values]
    fails: Callable[[Points], Values] | None = None

    def score(self, points: Points) -> Values:
        """The expected score where a trial does not fail."""
        return np.maximum(self.shape(points), CHANCE)

    def failure(self, points: Points) -> Values:
        """The probability that a trial fails."""
        return np.zeros(len(points)) if self.fails is None else self.fails(points)

    def worth(self, points: Points) -> Values:
        """The expected score of a setting, failures included."""
        failure = self.failure(points)
        return (1 - failure) * self.score(points) + failure * CHANCE

    @cached_property
    def optimum(self) -> float:
        """The highest worth."""
        grid = np.linspace(0, 1, 201)
        a, b = (part.ravel() for part in np.meshgrid(grid, grid))
        rest = [np.full(a.size, c) for c in (0.4, 0.5)]  # where c is best on all of them
        return max(float(self.worth(np.stack((a, b, c, a), axis=1)).max()) for c in rest)

    def run(self, points: Points, examples: int, *, rng: np.random.Generator) -> tuple[Values, NDArray[np.bool_]]:
        """Run trials: their scores on so many examples, and which failed, (N,) each."""
        failed = rng.random(len(points)) < self.failure(points)
        return rng.binomial(examples, self.score(points)) / examples, failed


def _bowl(x: Points) -> Values:
    return 0.9 - 1.2 * ((x[:, 0] - 0.62) ** 2 + 0.6 * (x[:, 1] - 0.35) ** 2 + 0.15 * (x[:, 2] - 0.5) ** 2)


def _cliff(x: Points) -> Values:
    rate = x[:, 0] + 0.25 * x[:, 1]  # the score rises with it until training diverges
    return 0.9 - 0.9 * np.maximum(0.8 - rate, 0) ** 1.3 - 0.2 * (x[:, 2] - 0.4) ** 2


def _diverges(x: Points) -> Values:
    return 1 / (1 + np.exp(-np.clip((x[:, 0] + 0.25 * x[:, 1] - 0.8) / 0.008, -50, 50)))


def _ridge(x: Points) -> Values:
    off = x[:, 0] + x[:, 1] - 1  # a and b compensate
    return 0.9 - 4 * off**2 - 0.2 * (x[:, 0] - 0.35) ** 2 - 0.05 * (x[:, 2] - 0.5) ** 2


def _modes(x: Points) -> Values:
    def mode(a: float, b: float, width: float, height: float) -> Values:
        return height * np.exp(-((x[:, 0] - a) ** 2 + (x[:, 1] - b) ** 2) / (2 * width**2))

    return CHANCE + np.maximum(mode(0.3, 0.35, 0.35, 0.75), mode(0.8, 0.75, 0.1, 0.8)) - 0.05 * (x[:, 2] - 0.5) ** 2


SURFACES: Mapping[str, Surface] = {
    surface.name: surface
    for surface in (
        Surface("bowl", _bowl),
        Surface("cliff", _cliff, _diverges),
        Surface("ridge", _ridge),
        Surface("two modes", _modes),  # the better one is narrow
    )
}
