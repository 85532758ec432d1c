"""K networks of the same structure, their parameters stacked as lanes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.activations import ACTIVATIONS, Activation
from hpsearch.nn.initializers import Initializer, initializer
from hpsearch.nn.inputs import Inputs
from hpsearch.nn.lanes import Floats, Indices, lane_array, look_up, padded
from hpsearch.nn.layers import Affine, BatchNorm, Dropout, Layer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

_Place = tuple[int, str, int, tuple[int, int]]  # index of the layer, array's name, offset in the lane, shape


class Network:
    """Fully connected layers with an activation between them, in K lanes.

    A hidden layer is affine, then batch normalisation if asked for, then the activation, then dropout if asked for.
    A lane's arrays are one vector: all weights, then all other parameters, then running statistics. So an optimizer
    updates a lane in one go, weight decay is one slice, and a lane is moved or saved as one row. Every array begins on
    a cache line; the few elements between them stay 0.

    Args:
        sizes: Units by layer, from inputs to classes: ``[784, 100, 10]``.
        rngs: K generators, each lane's own for weights (`Purpose.WEIGHTS`).
        activation: A name in `ACTIVATIONS`.
        initializers: A name in `INITIALIZERS` or an initialiser for all lanes, or K of them. Weights are drawn in
            float64 and rounded to ``dtype``; biases start at 0.
        batch_norm: Whether hidden layers normalise over the mini-batch.
        dropout: Probability that a hidden unit is dropped in training: (K,) or one for all; None for no dropout.
        dropout_rngs: K generators for the masks (`Purpose.DROPOUT`), with ``dropout``.
        inputs: Which of more inputs the first layer has (`hpsearch.nn.inputs.live_inputs`); None for all there are.
        dtype: float32, or float64 to check gradients.

    Raises:
        BadInput: An unknown name, a size below 1, fewer than two sizes, a rate out of [0, 1), or not one of something
            a lane.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        rngs: Sequence[np.random.Generator],
        activation: str = "relu",
        initializers: str | Initializer | Sequence[str | Initializer] = "he",
        batch_norm: bool = False,
        dropout: ArrayLike | None = None,
        dropout_rngs: Sequence[np.random.Generator] = (),
        inputs: Inputs | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise BadInput(f"sizes = {list(sizes)}; give two or more layers of at least one unit")
        if dropout is not None and len(dropout_rngs) != len(rngs):
            raise BadInput(f"dropout with {len(dropout_rngs)} generators of masks for {len(rngs)} lanes; give one each")
        self.sizes, self.dtype = tuple(sizes), np.dtype(dtype)
        self.activation, self.batch_norm = activation, batch_norm
        activate = look_up(ACTIVATIONS, activation, "activation")
        self._first = Affine(*self.sizes[:2])
        self.layers: list[Layer] = [self._first]
        for units, following in pairwise(self.sizes[1:]):
            if batch_norm:
                self.layers.append(BatchNorm(units))
            self.layers.append(activate(units))
            if dropout is not None:
                self.layers.append(Dropout(units, dropout, rngs=dropout_rngs))
            self.layers.append(Affine(units, following))
        # Looked up once: passes are many and short.
        self._forward = [layer.forward for layer in self.layers]
        self._infer = [layer.infer for layer in self.layers]
        self._backward = [layer.backward for layer in reversed(self.layers[1:])]
        self._lay_out(len(rngs))
        self._draw(initializers, rngs, inputs)

    def _draw(
        self,
        initializers: str | Initializer | Sequence[str | Initializer],
        rngs: Sequence[np.random.Generator],
        inputs: Inputs | None,
    ) -> None:
        if isinstance(initializers, str) or not isinstance(initializers, Sequence):
            initializers = [initializers] * len(rngs)
        if len(initializers) != len(rngs):
            raise BadInput(f"{len(initializers)} initialisers for {len(rngs)} lanes; give one, or one each")
        draws = [initializer(own) if isinstance(own, str) else own for own in initializers]
        for i, name, offset, shape in self._places:
            part = slice(offset, offset + prod(shape))
            layer = self.layers[i]
            if name in layer.weights:
                # Drawn for all inputs there were: leaving some out changes neither the draws nor the fan-in.
                whole, kept = (shape, slice(None)) if inputs is None or i else ((inputs.total, shape[1]), inputs.kept)
                for lane, (draw, rng) in enumerate(zip(draws, rngs, strict=True)):
                    self._lanes[lane, part] = draw(whole, rng=rng)[kept].ravel()
            elif name in layer.ones:
                self._lanes[:, part] = 1

    def _lay_out(self, lanes: int) -> None:
        self._places: list[_Place] = []
        ends: dict[str, int] = {}
        size = 0
        for kind in ("weights", "others", "statistics"):
            for i, layer in enumerate(self.layers):
                for name, shape in getattr(layer, kind).items():
                    self._places.append((i, name, size, shape))
                    size += padded(prod(shape), self.dtype)
            ends[kind] = size
        self.weights, self._parameters = ends["weights"], ends["others"]
        self._gradient: Floats = lane_array(1, (self._parameters,), self.dtype)[0]
        self.gradients: list[dict[str, Floats]] = self._views(self._gradient)
        self._reserved = 0
        self._use(lane_array(lanes, (size,), self.dtype))

    def _views(self, vectors: Floats) -> list[dict[str, Floats]]:
        """By layer and name, the arrays that lie in vectors (..., size): (..., *shape) each."""
        views: list[dict[str, Floats]] = [{} for _ in self.layers]
        for i, name, offset, shape in self._places:
            if offset + prod(shape) <= vectors.shape[-1]:  # statistics have no gradient
                part = vectors[..., offset : offset + prod(shape)]
                views[i][name] = part.reshape(*vectors.shape[:-1], *shape)
        return views

    def _use(self, lanes: Floats) -> None:
        """Make these lanes' arrays, (K, size), the network's own."""
        self._lanes = lanes
        self.values = lanes[:, : self._parameters]
        self.parameters: list[dict[str, Floats]] = self._views(lanes)
        for layer, own, gradients in zip(self.layers, self.parameters, self.gradients, strict=True):
            layer.bind(own, gradients)
        self._selected = 0

    @property
    def lanes(self) -> int:
        """K."""
        return len(self._lanes)

    def lane_vector(self, lane: int) -> Floats:
        """Return all arrays of one lane as a view, (size,): parameters, then running statistics. May be written to."""
        vector: Floats = self._lanes[lane]
        return vector

    def dropout_rngs(self) -> list[np.random.Generator]:
        """Return the K generators of dropout masks, which all dropout layers share; none without dropout."""
        return next((layer.rngs for layer in self.layers if isinstance(layer, Dropout)), [])

    def forward(self, x: Floats) -> Floats:
        """Return the logits of a training pass, (K, B, C), in a buffer that the next pass writes over.

        Args:
            x: (K, B, D), or (1, B, D) shared by all lanes.
        """
        self._make_room(x.shape[1])
        for forward in self._forward:
            x = forward(x)
        return x

    def infer(self, x: Floats) -> Floats:
        """Return the logits as in evaluation, (K, B, C): no dropout, batch normalisation by its running statistics."""
        self._make_room(x.shape[1])
        for infer in self._infer:
            x = infer(x)
        return x

    def activations(self, x: Floats) -> list[Floats]:
        """Return the outputs of the hidden layers' activations in evaluation, a copy each: (K, B, H) by layer."""
        self._make_room(x.shape[1])
        activations = []
        for layer in self.layers:
            x = layer.infer(x)
            if isinstance(layer, Activation):
                activations.append(x.copy())
        return activations

    def _make_room(self, rows: int) -> None:
        if rows > self._reserved:
            for layer in self.layers:
                layer.reserve(self.lanes, rows, self.dtype)
            self._reserved, self._selected = rows, 0
        if rows != self._selected:
            for layer in self.layers:
                layer.select(self.lanes, rows)
            self._selected = rows

    def backward(self, gradient: Floats) -> None:
        """Pass the loss's gradient by the logits, (K, B, C), back through all layers.

        Parameter gradients are left to `gradient`, lane by lane: kept for all lanes at once they would
        leave the cache before the optimizer reads them.
        """
        for backward in self._backward:
            gradient = backward(gradient)
        self._first.receive(gradient)

    def gradient(self, lane: int) -> Floats:
        """Return one lane's parameter gradients after `backward`, (P,), in a buffer that the next lane reuses.

        `gradients` has the same numbers by layer and name.
        """
        for layer in self.layers:
            layer.parameter_gradients(lane)
        return self._gradient

    def widened(self, inputs: Inputs) -> Network:
        """Return the same networks over all inputs: those that were left out in training weigh 0."""
        wide = Network(
            [inputs.total, *self.sizes[1:]],
            rngs=[np.random.default_rng(0)] * self.lanes,
            activation=self.activation,
            initializers="zeros",
            batch_norm=self.batch_norm,
            dtype=self.dtype,
        )
        with_arrays = (filter(None, network.parameters) for network in (self, wide))
        for i, (own, theirs) in enumerate(zip(*with_arrays, strict=True)):
            for name, array in own.items():
                theirs[name][:, inputs.kept if (i, name) == (0, "weight") else slice(None)] = array
        return wide

    def keep(self, lanes: Indices) -> None:
        """Go on with the lanes at these positions alone, at least one in ascending order, and move them together."""
        self._lanes[: len(lanes)] = self._lanes[lanes]
        for layer in self.layers:
            layer.keep(lanes)
        self._use(self._lanes[: len(lanes)])
