"""Optimizers with a step of its own for every parameter, and all optimizers by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.nn.optimizers import SGD, LaneOptimizer, Momentum, Nesterov

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.nn.lanes import Floats, Indices


class AdaGrad(LaneOptimizer):
    """``h <- h + g*g; W <- W - lr g / (sqrt(h) + eps)``: steps shrink where gradients have been large, for good.

    Args:
        lr: (K,), learning rates.
        weight_decay: lambda of the L2 term.
        eps: Keeps the first steps finite.

    Source: Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods", with diagonal matrices.
    """

    hyperparameters = (*LaneOptimizer.hyperparameters, "eps")
    slots = 1

    def __init__(self, lr: ArrayLike, weight_decay: ArrayLike = 0.0, eps: ArrayLike = 1e-7) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, eps=eps)

    def _step(self, lane: int) -> Any:
        lr, eps = self._lr(lane), float(self._given["eps"][lane])

        def step(values: Floats, gradient: Floats, scratch: Floats, h: Floats) -> None:
            np.multiply(gradient, gradient, out=scratch)
            np.add(h, scratch, out=h)
            _descend(values, gradient, scratch, h, lr, eps)

        return step


class RMSProp(LaneOptimizer):
    """``h <- rho h + (1 - rho) g*g; W <- W - lr g / (sqrt(h) + eps)``: old gradients are forgotten.

    Args:
        lr: (K,), learning rates.
        weight_decay: lambda of the L2 term.
        rho: From 0 to below 1.
        eps: Keeps steps finite where gradients vanish.

    Source: Hinton 2012, "Neural Networks for Machine Learning", lecture 6.
    """

    hyperparameters = (*LaneOptimizer.hyperparameters, "rho", "eps")
    slots = 1

    def __init__(
        self, lr: ArrayLike, weight_decay: ArrayLike = 0.0, rho: ArrayLike = 0.99, eps: ArrayLike = 1e-7
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, rho=rho, eps=eps)

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


class Adam(LaneOptimizer):
    """Momentum and RMSProp together, both freed of their bias towards the zero that they start from.

    ``m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g*g;
    W <- W - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`` at step t from 1.

    Args:
        lr: (K,), learning rates.
        weight_decay: lambda of the L2 term.
        beta1: From 0 to below 1.
        beta2: From 0 to below 1.
        eps: Keeps steps finite where gradients vanish.

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    """

    hyperparameters = (*LaneOptimizer.hyperparameters, "beta1", "beta2", "eps")
    slots = 2

    def __init__(
        self,
        lr: ArrayLike,
        weight_decay: ArrayLike = 0.0,
        beta1: ArrayLike = 0.9,
        beta2: ArrayLike = 0.999,
        eps: ArrayLike = 1e-8,
    ) -> None:
        super().__init__(lr=lr, weight_decay=weight_decay, beta1=beta1, beta2=beta2, eps=eps)
        self._steps: NDArray[np.intp] = np.zeros(self.lanes, dtype=np.intp)

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

    def lane_state(self, lane: int) -> tuple[list[Floats], int]:
        """Both moments of one lane, and how many steps made them."""
        return super().lane_state(lane)[0], int(self._steps[lane])

    def resume(self, lane: int, slots: Sequence[Floats], steps: int) -> None:
        """Go on in one lane from what `lane_state` gave."""
        super().resume(lane, slots, steps)
        self._steps[lane] = steps

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""
        super().keep(lanes)
        self._steps = self._steps[lanes]


class AdamW(Adam):
    """Adam with decoupled weight decay: ``W <- (1 - lr weight_decay) W`` before each step, and none in the gradient.

    The L2 term's gradient is divided by sqrt(v) in Adam as the loss's is, so that weights with large gradients hardly
    decay; here all decay alike.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2, with lr for both rates.
    """

    def _decay(self, lane: int) -> float:
        return 0.0

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        """Make one step, in place; see `hpsearch.nn.optimizers.Optimizer.update`."""
        shrink = values.dtype.type(1 - self._lr(lane) * super()._decay(lane))
        if shrink != 1:
            np.multiply(values[:weights], shrink, out=values[:weights])
        super().update(lane, values, gradient, weights=weights)


OPTIMIZERS: Mapping[str, type[LaneOptimizer]] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
}
"""Optimizers by their name in a study file."""
