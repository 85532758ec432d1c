"""Activations: functions of each unit by itself, computed in place both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.nn.lanes import Floats, lane_array
from hpsearch.nn.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Activation(Layer):
    """A function of each unit by itself."""


class ReLU(Activation):
    """``max(x, 0)``; its derivative at 0 is 0."""

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        self._all_positive = lane_array(lanes, (rows, self._units), np.dtype(np.bool_))
        # As large as a lane, since np.maximum with a scalar takes three times as long.
        self._all_zeros: Floats = lane_array(1, (rows, self._units), dtype)

    def select(self, lanes: int, rows: int) -> None:
        self._positive = self._all_positive[:lanes, :rows]
        self._zeros = self._all_zeros[:, :rows]

    def forward(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H). A NaN stays one, so that divergence is seen in the loss."""
        self._out: Floats = np.maximum(x, self._zeros, out=x)  # (K, B, H), (1, B, H) -> (K, B, H)
        return self._out

    def backward(self, gradient: Floats) -> Floats:
        np.greater(self._out, 0, out=self._positive)
        np.multiply(gradient, self._positive, out=gradient)
        return gradient


class _Smooth(Activation):
    """An activation whose derivative follows from its output."""

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        self._all_slope: Floats = lane_array(lanes, (rows, self._units), dtype)

    def select(self, lanes: int, rows: int) -> None:
        self._slope = self._all_slope[:lanes, :rows]


class Sigmoid(_Smooth):
    """``1 / (1 + exp(-x))``."""

    def forward(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H). Where exp overflows the result is 0, as it should be."""
        # Not np.negative: NumPy 2.4's is wrong on float64 in steps of 64 bytes, as lanes of one element are.
        np.multiply(x, -1, out=x)
        np.exp(x, out=x)
        np.add(x, 1, out=x)
        self._out: Floats = np.reciprocal(x, out=x)
        return self._out

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, H): ``gradient * y (1 - y)``."""
        np.subtract(1, self._out, out=self._slope)
        np.multiply(self._slope, self._out, out=self._slope)
        return np.multiply(gradient, self._slope, out=gradient)


class Tanh(_Smooth):
    """``tanh(x)``."""

    def forward(self, x: Floats) -> Floats:
        self._out: Floats = np.tanh(x, out=x)
        return self._out

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, H): ``gradient * (1 - y^2)``."""
        np.multiply(self._out, self._out, out=self._slope)
        np.subtract(1, self._slope, out=self._slope)
        return np.multiply(gradient, self._slope, out=gradient)


ACTIVATIONS: Mapping[str, type[Activation]] = {"relu": ReLU, "sigmoid": Sigmoid, "tanh": Tanh}
