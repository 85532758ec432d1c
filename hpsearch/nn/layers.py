"""Layers over lanes: each owns its buffers and works on all lanes at once, without mixing them.

A layer's matrix products are cut into pieces that the BLAS multiplies faster. OpenBLAS packs both factors of a product
before it multiplies, unless the product is small. A layer's products are a few times above that size, so that packing
costs a tenth of their time; cut along one axis, they stay below it. Whether and where to cut depends on the sizes of
one lane alone, never on the number of lanes, because a cut changes in which order numbers are added up.

K lanes, B mini-batch, D inputs, H outputs, n slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

# Multiply-adds of a product that OpenBLAS, from 0.3.17 on, does not pack (`sgemm_small_kernel_permit`).
SMALL = 1_000_000
_THINNEST = 16  # rows of a slice below which the cut costs more than it saves
_MOST_SUMMANDS = 8  # slices of a product that must be added up afterwards: more of them leave the cache
_COPY_FROM_ROWS = 64  # a mini-batch from which on the copy of a transposed factor is small beside the product


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


class Layer:
    """One step of a network; by default one without parameters, of as many outputs as inputs.

    ``weights``, ``others`` and ``statistics`` name its arrays and give the shape of each in one lane. Weight
    decay applies to ``weights`` alone, training fits ``weights`` and ``others``, and ``statistics`` are what the
    layer itself keeps from one mini-batch to the next. All start at 0 but the weights, which an initialiser draws,
    and those in ``ones``. A network calls `bind` with the arrays to use, then `reserve`, then `select`, and only
    then passes data through.

    Args:
        units: H.
    """

    weights: Mapping[str, tuple[int, int]] = {}
    others: Mapping[str, tuple[int, int]] = {}
    statistics: Mapping[str, tuple[int, int]] = {}
    ones: frozenset[str] = frozenset()

    def __init__(self, units: int) -> None:
        self._units = units

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
        """Take the arrays, each (K, *shape), and where one lane's gradient of each parameter goes, (*shape)."""

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        """Allocate buffers for up to ``lanes`` lanes of ``rows`` samples."""
        raise NotImplementedError

    def select(self, lanes: int, rows: int) -> None:
        """Work on the first ``lanes`` lanes and ``rows`` samples of the buffers from now on."""
        raise NotImplementedError

    def forward(self, x: Floats) -> Floats:
        """(K, B, D) -> (K, B, H). The layer may write over ``x`` and keeps what `backward` needs."""
        raise NotImplementedError

    def infer(self, x: Floats) -> Floats:
        """(K, B, D) -> (K, B, H), as in evaluation: nothing random, no statistics kept."""
        return self.forward(x)

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, D), the loss's gradient by the layer's output to that by its input."""
        raise NotImplementedError

    def parameter_gradients(self, lane: int) -> None:
        """Write one lane's parameter gradients where `bind` said, after `backward`."""

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""


class Affine(Layer):
    """``x W + b``, with W of shape (K, D, H) and b of shape (K, 1, H).

    Args:
        fan_in: D.
        fan_out: H.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.weights, self.others = {"weight": (fan_in, fan_out)}, {"bias": (1, fan_out)}
        self._fan_in, self._fan_out = fan_in, fan_out

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
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
        x, gradient = self._x[lane if len(self._x) > 1 else 0], self._gradient[lane]
        cut = x.T.reshape(self._slices, self._thick, -1)  # (n, D/n, B)
        np.matmul(cut, gradient, out=self._sliced_gradient)  # (n, D/n, B) @ (B, H) -> (n, D/n, H)
        # The sum over the mini-batch as a product: a third of the time of np.add.reduce.
        np.matmul(self._ones, gradient, out=self._bias_gradient)  # (1, B) @ (B, H) -> (1, H)


class BatchNorm(Layer):
    """Each unit over the mini-batch to mean 0 and variance 1, then scaled by gamma and shifted by beta.

    In training the mini-batch's own mean and variance (that of the mini-batch, divided by B) are used, and running
    statistics follow them: ``r <- (1 - 0.1) r + 0.1 s``, the variance with B - 1. In evaluation the running
    statistics are used. A mini-batch of one sample, which the last of an epoch may be, has no variance: its output is
    beta, and the running statistics pass it over.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", algorithms 1 and 2.
    """

    eps = 1e-5  # added to the variance
    momentum = 0.1  # the share of the newest mini-batch in the running statistics
    ones = frozenset({"gamma", "variance"})

    def __init__(self, units: int) -> None:
        super().__init__(units)
        self.others = {"gamma": (1, units), "beta": (1, units)}
        self.statistics = {"mean": (1, units), "variance": (1, units)}

    def bind(self, values: Mapping[str, Floats], gradients: Mapping[str, Floats]) -> None:
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
        np.add(batch, self.eps, out=self._scale)
        np.sqrt(self._scale, out=self._scale)
        np.reciprocal(self._scale, out=self._scale)
        if rows > 1:
            batch *= rows / (rows - 1)
            self._follow(self.variance, batch)
        normal *= self._scale
        np.multiply(normal, self.gamma, out=out)
        return np.add(out, self.beta, out=out)

    def _follow(self, running: Floats, batch: Floats) -> None:
        running *= 1 - self.momentum
        running += self.momentum * batch

    def infer(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), by the running statistics."""
        np.add(self.variance, self.eps, out=self._scale)
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
        self._gamma_gradient[...] = self._gammas[lane]
        self._beta_gradient[...] = self._betas[lane]


class Dropout(Layer):
    """Inverted dropout: in training each unit is 0 with probability p, else divided by the keep rate 1 - p.

    The expected output is the input, so that evaluation needs no dropout at all; the same mask passes the gradient
    back. A lane's masks come from its own generator, whose draws depend on nothing but the shapes passed through.

    Args:
        units: H.
        rates: (K,) or one for all, p of each lane, from 0 to below 1.
        rngs: K generators (`Purpose.DROPOUT`), which a network's dropout layers share.

    Raises:
        BadInput: A rate out of [0, 1).

    Source: Srivastava et al. 2014, "Dropout", section 10 for the inverted form.
    """

    def __init__(self, units: int, rates: ArrayLike, *, rngs: Sequence[np.random.Generator]) -> None:
        super().__init__(units)
        self.rngs = list(rngs)
        self._rates = np.broadcast_to(np.asarray(rates, dtype=np.float64), len(self.rngs))
        for lane, rate in enumerate(self._rates):
            if not 0 <= rate < 1:
                raise BadInput(f"dropout = {rate} in lane {lane}; give a probability from 0 to below 1")

    def reserve(self, lanes: int, rows: int, dtype: np.dtype[Any]) -> None:
        self._all_mask: Floats = lane_array(lanes, (rows, self._units), dtype)
        self._all_out: Floats = lane_array(lanes, (rows, self._units), dtype)

    def select(self, lanes: int, rows: int) -> None:
        self._mask = self._all_mask[:lanes, :rows]
        self._out = self._all_out[:lanes, :rows]

    def forward(self, x: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), in a buffer of its own: the activation's backward pass needs ``x``."""
        count = self._mask[0].size
        for mask, rate, rng in zip(self._mask, self._rates.tolist(), self.rngs, strict=True):
            # 32 random bits a unit straight from the generator: a fifth of the time of rng.random().
            bits = rng.bit_generator.random_raw(-(-count // 2)).view(np.uint32)[:count].reshape(mask.shape)
            np.multiply(bits >= np.uint32(rate * 2**32), 1 / (1 - rate), out=mask, casting="same_kind")
        return np.multiply(x, self._mask, out=self._out)

    def infer(self, x: Floats) -> Floats:
        return x

    def backward(self, gradient: Floats) -> Floats:
        """(K, B, H) -> (K, B, H), through the same mask."""
        return np.multiply(gradient, self._mask, out=gradient)

    def keep(self, lanes: Indices) -> None:
        self._rates = self._rates[lanes]
        self.rngs = [self.rngs[lane] for lane in lanes]
