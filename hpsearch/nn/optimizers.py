"""Optimizers: the update of one lane's parameters by their gradient.

An optimizer works on one lane at a time, block by block, while parameters, gradient and state are in cache. Below, g is
the gradient of loss and L2 term together: weight decay adds ``weight_decay * W`` to the gradient of weights, and of
nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, lane_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.nn.lanes import Indices


_BLOCK = 16384  # elements: five arrays of 64 KiB each, which a second-level cache holds
_BELOW_ONE = frozenset({"momentum", "rho", "beta1", "beta2"})


class Optimizer:
    """Updates the parameters of one lane at a time: hyperparameters and state by lane, and weight decay.

    Args:
        lr: (K,), learning rates; (K,) or one for all are the others too.
        weight_decay: lambda of the L2 term lambda/2 * sum W^2.
        others: Hyperparameters in ``defaults``.

    Raises:
        BadInput: Another shape, or a value that is not finite, is below 0 or (where only that has a meaning) is not
            below 1.
    """

    hyperparameters: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, float]] = {}  # its other hyperparameters, and their values in the literature
    slots: ClassVar[int] = 0  # the number of states that a parameter has

    def __init__(self, lr: ArrayLike, weight_decay: ArrayLike = 0.0, **others: ArrayLike) -> None:
        lanes = np.size(lr)
        if unknown := set(others) - set(self.defaults):
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        values = {"lr": lr, "weight_decay": weight_decay, **self.defaults, **others}
        self._given = {name: _per_lane(name, value, lanes) for name, value in values.items()}
        self._factors = np.ones(lanes)
        self._steps = np.zeros(lanes, dtype=np.intp)  # counted by those that go by them
        self._state: list[Floats] = []

    def __init_subclass__(cls) -> None:
        cls.hyperparameters = ("lr", "weight_decay", *cls.defaults)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a hyperparameter's values, (K,), as given."""
        return self._given[name]

    @property
    def lanes(self) -> int:
        """K."""
        return len(self._given["lr"])

    @property
    def gradient_scale(self) -> NDArray[np.float64]:
        """(K,): what the loss's gradient is to be multiplied by before it is passed back."""
        return np.ones(self.lanes)

    def scale_lr(self, factors: Sequence[float]) -> None:
        """Multiply the learning rates given at the start by these, one a lane, from the next update on."""
        self._factors = np.array(factors, dtype=np.float64)

    def _lr(self, lane: int) -> float:
        return float(self._given["lr"][lane] * self._factors[lane])

    def _decay(self, lane: int) -> float:
        """Return the factor of ``W`` in the L2 term of the scaled gradient."""
        return float(self._given["weight_decay"][lane])

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        """Make one step, in place.

        Args:
            lane: Which one, for its hyperparameters and state.
            values: (P,), all of the lane's parameters; the first ``weights`` of them decay.
            gradient: (P,), scaled by the lane's ``gradient_scale``; may be written over.
            weights: How many of the parameters are weights.
        """
        if not self._state:
            self._begin(values)
        decay = self._decay(lane)
        step = self._step(lane)
        for start in range(0, len(values), _BLOCK):
            part = slice(start, start + _BLOCK)
            value, slope = values[part], gradient[part]
            scratch = self._scratch[: len(value)]
            decaying = min(max(weights - start, 0), len(value)) if decay else 0
            if decaying:
                np.multiply(value[:decaying], decay, out=scratch[:decaying])
                np.add(slope[:decaying], scratch[:decaying], out=slope[:decaying])
            step(value, slope, scratch, *(state[lane, part] for state in self._state))

    def _begin(self, values: Floats) -> None:
        """Make the state of all lanes, with zeros, for parameters like one lane's."""
        self._state = [lane_array(self.lanes, values.shape, values.dtype) for _ in range(self.slots)]
        self._scratch: Floats = lane_array(1, (_BLOCK,), values.dtype)[0]

    def lane_state(self, lane: int) -> tuple[list[Floats], int]:
        """Return the state of one lane: a view of each slot, (P,), and the steps so far where they count."""
        return [state[lane] for state in self._state], int(self._steps[lane])

    def resume(self, lane: int, slots: Sequence[Floats], steps: int) -> None:
        """Go on in one lane from what `lane_state` gave there or in another optimizer of the kind."""
        if slots and not self._state:
            self._begin(slots[0])
        for state, slot in zip(self._state, slots, strict=True):
            state[lane] = slot
        self._steps[lane] = steps

    def _step(self, lane: int) -> Any:
        """Return the update of one block: ``step(values, gradient, scratch, *state)``, all of one length, in place."""
        raise NotImplementedError

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""
        for state in self._state:
            state[: len(lanes)] = state[lanes]
        self._state = [state[: len(lanes)] for state in self._state]
        self._given = {name: values[lanes] for name, values in self._given.items()}
        self._factors, self._steps = self._factors[lanes], self._steps[lanes]


def _per_lane(name: str, values: ArrayLike, lanes: int) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.shape not in ((), (lanes,)):
        raise BadInput(f"{name} has shape {array.shape}; give one value, or {lanes} as lr, one a lane")
    most = 1.0 if name in _BELOW_ONE else np.inf
    array = np.broadcast_to(array, (lanes,))
    for lane, value in enumerate(array.tolist()):
        if not 0 <= value < most:
            allowed = "a number from 0 to below 1" if most == 1 else "a finite number, 0 or above"
            raise BadInput(f"{name} = {value!r} in lane {lane}; give {allowed}")
    return array


class _Linear(Optimizer):
    """An update that is linear in the gradient, which then arrives multiplied by lr: (K, B, C) products, not (K, P)."""

    @property
    def gradient_scale(self) -> NDArray[np.float64]:
        return self._given["lr"] * self._factors

    def _decay(self, lane: int) -> float:
        return self._lr(lane) * super()._decay(lane)


class SGD(_Linear):
    """``W <- W - lr g``.

    Weights shrink by ``1 - lr * weight_decay``. Where that factor rounds to 1 (in float32, lr * weight_decay
    below 3e-8: a decay that takes 30 million steps to show) the product is left out, as it changes nothing.
    """

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        shrink: np.floating[Any] = values.dtype.type(1.0 - self._decay(lane))
        if shrink != 1:
            np.multiply(values[:weights], shrink, out=values[:weights])
        np.subtract(values, gradient, out=values)


class Momentum(_Linear):
    """``v <- m v - lr g; W <- W + v``.

    Source: Polyak 1964, in the form of Sutskever et al. 2013, eq. 1 and 2.
    """

    defaults: ClassVar[Mapping[str, float]] = {"momentum": 0.9}
    slots = 1

    def _step(self, lane: int) -> Any:
        momentum = float(self._given["momentum"][lane])

        def step(values: Floats, gradient: Floats, scratch: Floats, v: Floats) -> None:
            np.multiply(v, momentum, out=v)
            np.subtract(v, gradient, out=v)
            np.add(values, v, out=values)

        return step


class Nesterov(Momentum):
    """Momentum whose gradient is taken one step ahead: ``v <- m v - lr g(W + m v); W <- W + v``.

    The parameters that are kept are the ones looked ahead at, ``Theta = W + m v``, so that every forward pass is made
    where the gradient is wanted: ``v <- m v - lr g(Theta); Theta <- Theta + m v - lr g``, with the new v.

    Source: Sutskever, Martens, Dahl and Hinton 2013, "On the importance of initialization and momentum in deep
    learning", eq. 3 and 4; in Theta as Bengio et al. 2013, "Advances in optimizing recurrent networks", eq. 7.
    """

    def _step(self, lane: int) -> Any:
        momentum = float(self._given["momentum"][lane])

        def step(values: Floats, gradient: Floats, scratch: Floats, v: Floats) -> None:
            np.multiply(v, momentum, out=v)
            np.subtract(v, gradient, out=v)
            np.subtract(values, gradient, out=values)
            np.multiply(v, momentum, out=scratch)
            np.add(values, scratch, out=values)

        return step


class AdaGrad(Optimizer):
    """``h <- h + g*g; W <- W - lr g / (sqrt(h) + eps)``: steps shrink where gradients have been large, for good.

    Source: Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods", with diagonal matrices.
    """

    defaults: ClassVar[Mapping[str, float]] = {"eps": 1e-7}
    slots = 1

    def _step(self, lane: int) -> Any:
        lr, eps = self._lr(lane), float(self._given["eps"][lane])

        def step(values: Floats, gradient: Floats, scratch: Floats, h: Floats) -> None:
            np.multiply(gradient, gradient, out=scratch)
            np.add(h, scratch, out=h)
            _descend(values, gradient, scratch, h, lr, eps)

        return step


class RMSProp(Optimizer):
    """``h <- rho h + (1 - rho) g*g; W <- W - lr g / (sqrt(h) + eps)``: old gradients are forgotten.

    Source: Hinton 2012, "Neural Networks for Machine Learning", lecture 6.
    """

    defaults: ClassVar[Mapping[str, float]] = {"rho": 0.99, "eps": 1e-7}
    slots = 1

    def _step(self, lane: int) -> Any:
        lr, eps, rho = self._lr(lane), float(self._given["eps"][lane]), float(self._given["rho"][lane])
        # The state is h / (1 - rho), which saves a pass; the step has that root in numerator and denominator.
        root = math.sqrt(1 - rho)

        def step(values: Floats, gradient: Floats, scratch: Floats, h: Floats) -> None:
            np.multiply(gradient, gradient, out=scratch)
            np.multiply(h, rho, out=h)
            np.add(h, scratch, out=h)
            _descend(values, gradient, scratch, h, lr / root, eps / root)

        return step


def _descend(values: Floats, gradient: Floats, scratch: Floats, h: Floats, lr: float, eps: float) -> None:
    """``values -= lr gradient / (sqrt(h) + eps)``."""
    np.sqrt(h, out=scratch)
    np.add(scratch, eps, out=scratch)
    np.divide(gradient, scratch, out=scratch)
    np.multiply(scratch, lr, out=scratch)
    np.subtract(values, scratch, out=values)


class Adam(Optimizer):
    """Momentum and RMSProp together, both freed of their bias towards the zero that they start from.

    ``m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g*g;
    W <- W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`` at step t from 1.

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    """

    defaults: ClassVar[Mapping[str, float]] = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    slots = 2

    def _step(self, lane: int) -> Any:
        beta1, beta2, eps = (float(self._given[name][lane]) for name in ("beta1", "beta2", "eps"))
        self._steps[lane] += 1
        t = int(self._steps[lane])
        # The state is m / (1 - beta1) and v / (1 - beta2), and sqrt(v) is left as it is and the rest scaled instead:
        # three passes of thirteen are spared.
        spread = math.sqrt((1 - beta2) / (1 - beta2**t))
        rate = self._lr(lane) * (1 - beta1) / (1 - beta1**t) / spread

        def step(values: Floats, gradient: Floats, scratch: Floats, m: Floats, v: Floats) -> None:
            np.multiply(m, beta1, out=m)
            np.add(m, gradient, out=m)
            np.multiply(gradient, gradient, out=scratch)
            np.multiply(v, beta2, out=v)
            np.add(v, scratch, out=v)
            _descend(values, m, scratch, v, rate, eps / spread)

        return step


class AdamW(Adam):
    """Adam with decoupled weight decay: ``W <- (1 - lr weight_decay) W`` before each step, and none in the gradient.

    The L2 term's gradient is divided by sqrt(v) in Adam as the loss's is, so that weights with large gradients hardly
    decay; here all decay alike.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with lr for both rates.
    """

    def _decay(self, lane: int) -> float:
        return 0.0

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        shrink = values.dtype.type(1 - self._lr(lane) * super()._decay(lane))
        if shrink != 1:
            np.multiply(values[:weights], shrink, out=values[:weights])
        super().update(lane, values, gradient, weights=weights)


OPTIMIZERS: Mapping[str, type[Optimizer]] = {  # by their name in a study file
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}
