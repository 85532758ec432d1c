"""Layers over lanes: each owns its buffers and works on all lanes at once, without mixing them.

A layer's matrix products are cut into pieces that the BLAS multiplies faster. OpenBLAS packs both factors of a product
before it multiplies, unless the product is small. A layer's products are a few times above that size, so that packing
costs a tenth of their time; cut along one axis, they stay below it. Whether and where to cut depends on the sizes of
one lane alone, never on the number of lanes, because a cut changes in which order numbers are added up.

K lanes, B mini-batch, D inputs, H outputs, n slices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from hpsearch.nn.lanes import Floats, Indices, lane_array

if TYPE_CHECKING:
    from collections.abc import Mapping


SMALL = 1_000_000
"""Multiply-adds of a product that OpenBLAS, from 0.3.17 on, does not pack (``sgemm_small_kernel_permit``)."""
_THINNEST = 16
"""Rows of a slice below which the cut costs more than it saves."""
_MOST_SUMMANDS = 8
"""Slices of a product that must be added up afterwards: more of them leave the cache."""
_COPY_FROM_ROWS = 64
"""A mini-batch from which on the copy of a transposed factor is small beside the product."""


def gradient_slices(rows: int, fan_in: int, fan_out: int) -> int:
    """Return n for the weights' gradient, (n, D/n, B) @ (B, H): a divisor of D, 1 where no cut helps."""
    least = -(-rows * fan_in * fan_out // SMALL)
    for slices in range(least, fan_in // _THINNEST + 1):
        if fan_in % slices == 0:
            return slices
    return 1


def forward_slices(rows: int, fan_in: int, fan_out: int) -> int:
    """Return n for a forward pass, the sum over n of (B, D/n) @ (D/n, H): a divisor of D, 1 where no cut helps."""
    slices = gradient_slices(rows, fan_in, fan_out)
    return slices if slices <= _MOST_SUMMANDS else 1


def copies_transposed(rows: int, fan_in: int, fan_out: int) -> bool:
    """Return whether the backward pass multiplies with a transposed copy of the weights, (B, H) @ (H, D).

    The one small product that OpenBLAS packs all the same is that with a transposed second factor.
    """
    return rows >= _COPY_FROM_ROWS and rows * fan_in * fan_out <= SMALL


class Layer(Protocol):
    """One step of a network.

    ``weights``, ``others`` and ``statistics`` name its arrays and give the shape of each in one lane. Weight
    decay applies to ``weights`` alone, training fits ``weights`` and ``others``, and ``statistics`` are what the
    layer itself keeps from one mini-batch to the next. All start at 0 but the weights, which an initialiser draws,
    and those in ``ones``. A network calls `bind` with the arrays to use, then `reserve`, then `select`, and only
    then passes data through.
    """

    weights: Mapping[str, tuple[int, int]]
    others: Mapping[str, tuple[int, int]]
    statistics: Mapping[str, tuple[int, int]]
    ones: frozenset[str]

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
        """Take the arrays, each (K, *shape), and where one lane's gradient of each parameter goes, (*shape)."""

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        """Allocate buffers for up to ``lanes`` lanes of ``rows`` samples."""

    def select(self, lanes: int, rows: int) -> None:
        """Work on the first ``lanes`` lanes and ``rows`` samples of the buffers from now on."""

    def forward(self, x: Floats) -> Floats:
        """(K, B, D) -> (K, B, H). The layer may write over ``x`` and keeps what `backward` needs."""

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, D), the loss's gradient by the layer's output to that by its input."""

    def parameter_gradients(self, lane: int) -> None:
        """Write one lane's parameter gradients where `bind` said, after `backward`."""


@runtime_checkable
class Inferring(Protocol):
    """A layer that does something else once training is over."""

    def infer(self, x: Floats) -> Floats:
        """(K, B, D) -> (K, B, H), as in evaluation: nothing random, nothing kept."""


@runtime_checkable
class PerLane(Protocol):
    """A layer that holds something of each lane besides its arrays."""

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""


class Parameterless:
    """A layer without parameters.

    Args:
        units: H, as many outputs as inputs.
    """

    weights: Mapping[str, tuple[int, int]] = {}
    others: Mapping[str, tuple[int, int]] = {}
    statistics: Mapping[str, tuple[int, int]] = {}
    ones: frozenset[str] = frozenset()

    def __init__(self, units: int) -> None:
        self._units = units

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
        """Take nothing."""

    def parameter_gradients(self, lane: int) -> None:
        """Write nothing."""


class Affine:
    """``x W + b``, with W of shape (K, D, H) and b of shape (K, 1, H).

    Args:
        fan_in: D.
        fan_out: H.
    """

    statistics: Mapping[str, tuple[int, int]] = {}
    ones: frozenset[str] = frozenset()

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.weights: Mapping[str, tuple[int, int]] = {"weight": (fan_in, fan_out)}
        self.others: Mapping[str, tuple[int, int]] = {"bias": (1, fan_out)}
        self._fan_in, self._fan_out = fan_in, fan_out

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
        """Take weight and bias, (K, D, H) and (K, 1, H), and a lane's gradients, (D, H) and (1, H)."""
        self.weight, self.bias = values["weight"], values["bias"]
        self._weight_t = self.weight.transpose(0, 2, 1)
        self._weight_gradient, self._bias_gradient = gradients["weight"], gradients["bias"]

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        self._all_out: Floats = lane_array(lanes, (rows, self._fan_out), dtype)
        self._all_back: Floats = lane_array(lanes, (rows, self._fan_in), dtype)
        self._all_ones: Floats = lane_array(1, (1, rows), dtype)
        self._all_ones.fill(1)
        self._dtype = dtype

    def select(self, lanes: int, rows: int) -> None:
        self._out = self._all_out[:lanes, :rows]
        self._back = self._all_back[:lanes, :rows]
        self._ones = self._all_ones[0, :, :rows]
        self._cut(lanes, rows)

    def _cut(self, lanes: int, rows: int) -> None:
        """Cut the products, as `hpsearch.nn.layers` says."""
        sizes = rows, self._fan_in, self._fan_out
        self._summands, self._slices = forward_slices(*sizes), gradient_slices(*sizes)
        self._thick = self._fan_in // self._slices
        self._sliced_gradient = self._weight_gradient.reshape(self._slices, self._thick, self._fan_out)
        if self._summands > 1:
            self._cut_weight = self.weight.reshape(lanes, self._summands, -1, self._fan_out)
            self._products: Floats = lane_array(1, (self._summands, rows, self._fan_out), self._dtype)[0]
        copy = copies_transposed(*sizes)
        self._copy: Floats | None = lane_array(lanes, (self._fan_out, self._fan_in), self._dtype) if copy else None

    def forward(self, x: Floats) -> Floats:
        """(K, B, D) -> (K, B, H); an ``x`` of shape (1, B, D) is shared by all lanes."""
        self._x = x
        # One GEMM a lane: a wide one over all lanes would round differently.
        if self._summands > 1:
            cut = x.reshape(len(x), x.shape[1], self._summands, -1).transpose(0, 2, 1, 3)  # (K, n, B, D/n)
            for lane, (weight, out) in enumerate(zip(self._cut_weight, self._out, strict=True)):
                # (n, B, D/n) @ (n, D/n, H) -> (n, B, H)
                np.matmul(cut[lane if len(x) > 1 else 0], weight, out=self._products)
                np.add.reduce(self._products, axis=0, out=out)
        else:
            np.matmul(x, self.weight, out=self._out)  # (K, B, D) @ (K, D, H) -> (K, B, H)
        return np.add(self._out, self.bias, out=self._out)  # (K, B, H) + (K, 1, H)

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, D). Keeps ``gradient``, which nobody may change until the step is over."""
        self._gradient = gradient
        weight = self._weight_t
        if self._copy is not None:
            np.copyto(self._copy, weight)
            weight = self._copy
        return np.matmul(gradient, weight, out=self._back)  # (K, B, H) @ (K, H, D) -> (K, B, D)

    def receive(self, gradient: Floats) -> None:
        """Keep the output's gradient, (K, B, H), and spare the GEMM for the input's: for a first layer."""
        self._gradient = gradient

    def parameter_gradients(self, lane: int) -> None:
        """Write one lane's gradients of weight and bias."""
        x, gradient = self._x[lane if len(self._x) > 1 else 0], self._gradient[lane]
        cut = x.T.reshape(self._slices, self._thick, -1)  # (n, D/n, B)
        np.matmul(cut, gradient, out=self._sliced_gradient)  # (n, D/n, B) @ (B, H) -> (n, D/n, H)
        # The sum over the mini-batch as a product: a third of the time of np.add.reduce.
        np.matmul(self._ones, gradient, out=self._bias_gradient)  # (1, B) @ (B, H) -> (1, H)
