"""K networks of the same structure, their parameters stacked as lanes."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.initializers import INITIALIZERS
from hpsearch.nn.lanes import Floats, lane_array, look_up, padded
from hpsearch.nn.layers import ACTIVATIONS, Affine, Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, DTypeLike

_Place = tuple[Layer, str, int, tuple[int, int]]  # layer, parameter's name, offset in the lane, shape


class Network:
    """Fully connected layers with an activation between them, in K lanes.

    A lane's parameters are one vector of length P, all weights before all other parameters, so that an
    optimizer updates a lane in one go and weight decay is one slice. Every parameter begins on a cache line;
    the few elements between them stay 0.

    Args:
        sizes: Units by layer, from inputs to classes: ``[784, 100, 10]``.
        rngs: K generators, each lane's own for weights (`Purpose.WEIGHTS`).
        activation: A name in `ACTIVATIONS`.
        initializer: A name in `INITIALIZERS`. Weights are drawn in float64 and rounded to ``dtype``; biases
            start at 0.
        dtype: float32, or float64 to check gradients.

    Raises:
        BadInput: An unknown name, a size below 1, fewer than two sizes, no lane or another dtype.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rngs: Sequence[np.random.Generator],
        activation: str = "relu",
        initializer: str = "he",
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise BadInput(f"sizes = {list(sizes)}; give two or more layers of at least one unit")
        if not rngs:
            raise BadInput("no generators of weights; a network has at least one lane")
        self.sizes = tuple(sizes)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise BadInput(f"dtype = {self.dtype}; give float32 or float64")
        between = look_up(ACTIVATIONS, activation, "activation")
        draw = look_up(INITIALIZERS, initializer, "initializer")

        self.layers: list[Layer] = []
        for fan_in, fan_out in pairwise(self.sizes):
            self.layers += [Affine(fan_in, fan_out), between(fan_out)]
        self.layers.pop()  # the logits are the last affine layer's output
        self._lay_out(len(rngs))
        for layer, name, offset, shape in self._places:
            if name in layer.weights:
                for lane, rng in enumerate(rngs):
                    self.values[lane, offset : offset + prod(shape)] = draw(shape, rng=rng).ravel()

    def _lay_out(self, lanes: int) -> None:
        self._places: list[_Place] = []
        size = 0
        for kind in ("weights", "others"):
            for layer in self.layers:
                for name, shape in getattr(layer, kind).items():
                    self._places.append((layer, name, size, shape))
                    size += padded(prod(shape), self.dtype)
            if kind == "weights":
                self.weights = size
        self._gradient: Floats = lane_array(1, (size,), self.dtype)[0]
        self._reserved = 0
        self._use(lane_array(lanes, (size,), self.dtype))

    def _use(self, values: Floats) -> None:
        """Make (K, P) parameters the network's own."""
        self.values = values
        self.parameters: list[dict[str, Floats]] = [{} for _ in self.layers]
        gradients: list[dict[str, Floats]] = [{} for _ in self.layers]
        position = {id(layer): i for i, layer in enumerate(self.layers)}
        for layer, name, offset, shape in self._places:
            part = slice(offset, offset + prod(shape))
            i = position[id(layer)]
            self.parameters[i][name] = values[:, part].reshape(-1, *shape)  # (K, P) -> (K, D, H), a view
            gradients[i][name] = self._gradient[part].reshape(shape)
        for layer, own, own_gradients in zip(self.layers, self.parameters, gradients, strict=True):
            layer.bind(own, own_gradients)
        self._selected = 0

    @property
    def lanes(self) -> int:
        """K."""
        return len(self.values)

    def forward(self, x: Floats) -> Floats:
        """Logits, (K, B, C), in a buffer that the next pass writes over.

        Args:
            x: (K, B, D), or (1, B, D) shared by all lanes where no backward pass follows.
        """
        rows = x.shape[1]
        if rows > self._reserved:
            for layer in self.layers:
                layer.reserve(self.lanes, rows, self.dtype)
            self._reserved, self._selected = rows, 0
        if rows != self._selected:
            for layer in self.layers:
                layer.select(self.lanes, rows)
            self._selected = rows
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, gradient: Floats) -> None:
        """Pass the loss's gradient by the logits, (K, B, C), back through all layers.

        Parameter gradients are left to `gradient`, lane by lane: kept for all lanes at once they would
        leave the cache before the optimizer reads them.
        """
        for layer in reversed(self.layers[1:]):
            gradient = layer.backward(gradient)
        self.layers[0].receive(gradient)

    def gradient(self, lane: int) -> Floats:
        """One lane's parameter gradients after `backward`, (P,), in a buffer that the next lane reuses."""
        for layer in self.layers:
            layer.parameter_gradients(lane)
        return self._gradient

    def keep(self, lanes: ArrayLike) -> None:
        """Go on with some lanes alone, and move them together.

        Args:
            lanes: Present positions, in ascending order; at least one.
        """
        kept = np.asarray(lanes, dtype=np.intp)
        if not len(kept) or np.any(np.diff(kept) <= 0):
            raise BadInput(f"lanes = {kept.tolist()}; give one or more positions in ascending order")
        for to, lane in enumerate(kept):  # ascending, so no lane is written over before it has moved
            self.values[to] = self.values[lane]
        self._use(self.values[: len(kept)])
