"""Batch normalisation over lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.nn.lanes import Floats, lane_array

if TYPE_CHECKING:
    from collections.abc import Mapping

EPS = 1e-5
"""Added to the variance."""
MOMENTUM = 0.1
"""The share of the newest mini-batch in the running statistics."""


class BatchNorm:
    """Each unit over the mini-batch to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    In training the mini-batch's own mean and variance (that of the mini-batch, divided by B) are used, and running
    statistics follow them: ``r <- (1 - 0.1) r + 0.1 s``, the variance with B - 1. In evaluation the running
    statistics are used. A mini-batch of one sample, which the last of an epoch may be, has no variance: its output is
    beta, and the running statistics pass it over.

    Args:
        units: H, as many outputs as inputs.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
    """

    weights: Mapping[str, tuple[int, int]] = {}
    ones = frozenset({"gamma", "variance"})

    def __init__(self, units: int) -> None:
        self._units = units
        self.others: Mapping[str, tuple[int, int]] = {"gamma": (1, units), "beta": (1, units)}
        self.statistics: Mapping[str, tuple[int, int]] = {"mean": (1, units), "variance": (1, units)}

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
        """Take gamma, beta and the running statistics, (K, 1, H), and a lane's gradients, (1, H)."""
        self.gamma, self.beta = values["gamma"], values["beta"]
        self.mean, self.variance = values["mean"], values["variance"]
        self._gamma_gradient, self._beta_gradient = gradients["gamma"], gradients["beta"]

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        full, unit = (rows, self._units), (1, self._units)
        self._all_full: list[Floats] = [lane_array(lanes, full, dtype) for _ in range(3)]
        self._all_unit: list[Floats] = [lane_array(lanes, unit, dtype) for _ in range(4)]
        self._all_ones: Floats = lane_array(1, (1, rows), dtype)
        self._all_ones.fill(1)

    def select(self, lanes: int, rows: int) -> None:
        self._normal, self._out, self._back = (buffer[:lanes, :rows] for buffer in self._all_full)
        self._scale, self._sum, self._gammas, self._betas = (buffer[:lanes] for buffer in self._all_unit)
        self._ones = self._all_ones[:, :, :rows]
        self._rows = rows

    def forward(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), by the mini-batch's statistics, which the running ones then follow."""
        rows, normal, out, batch = self._rows, self._normal, self._out, self._sum
        np.matmul(self._ones, x, out=batch)  # (1, 1, B) @ (K, B, H) -> (K, 1, H)
        batch /= rows
        np.subtract(x, batch, out=normal)
        if rows > 1:
            self._follow(self.mean, batch)
        np.multiply(normal, normal, out=out)
        np.matmul(self._ones, out, out=batch)  # sums of squared deviations
        batch /= rows
        np.add(batch, EPS, out=self._scale)
        np.sqrt(self._scale, out=self._scale)
        np.reciprocal(self._scale, out=self._scale)
        if rows > 1:
            batch *= rows / (rows - 1)
            self._follow(self.variance, batch)
        normal *= self._scale
        np.multiply(normal, self.gamma, out=out)
        return np.add(out, self.beta, out=out)

    @staticmethod
    def _follow(running: Floats, batch: Floats) -> None:
        running *= 1 - MOMENTUM
        running += MOMENTUM * batch

    def infer(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), by the running statistics."""
        np.add(self.variance, EPS, out=self._scale)
        np.sqrt(self._scale, out=self._scale)
        np.divide(self.gamma, self._scale, out=self._scale)
        np.subtract(x, self.mean, out=self._out)
        self._out *= self._scale
        return np.add(self._out, self.beta, out=self._out)

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), through the mini-batch's mean and variance too."""
        back, rows = self._back, self._rows
        np.multiply(gradient, self._normal, out=back)
        np.matmul(self._ones, back, out=self._gammas)  # (1, 1, B) @ (K, B, H) -> (K, 1, H)
        np.matmul(self._ones, gradient, out=self._betas)
        np.divide(self._gammas, rows, out=self._sum)
        np.multiply(self._normal, self._sum, out=back)
        np.subtract(gradient, back, out=back)
        np.divide(self._betas, rows, out=self._sum)
        back -= self._sum
        self._scale *= self.gamma
        back *= self._scale
        return back

    def parameter_gradients(self, lane: int) -> None:
        """Write one lane's gradients of gamma and beta."""
        self._gamma_gradient[...] = self._gammas[lane]
        self._beta_gradient[...] = self._betas[lane]
