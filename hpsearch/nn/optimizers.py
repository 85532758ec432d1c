"""Optimizers: how one lane's parameters answer to their gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.nn.lanes import Floats, Indices


def per_lane(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """A hyperparameter's values, one a lane, as float64 of shape (K,).

    Raises:
        BadInput: Not one-dimensional, or a value that is not finite or is below 0.
    """
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise BadInput(f"{name} has shape {array.shape}; give one value a lane, shape (K,)")
    for lane, value in enumerate(array):
        if not (np.isfinite(value) and value >= 0):
            raise BadInput(f"{name} = {value!r} in lane {lane}; give a finite number, 0 or above")
    return array


class Optimizer(Protocol):
    """Updates the parameters of one lane at a time, while they and their gradient are in cache."""

    @property
    def lanes(self) -> int:
        """K."""
        ...

    @property
    def gradient_scale(self) -> NDArray[np.float64]:
        """(K,): what the loss's gradient is to be multiplied by before it is passed back."""
        ...

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        """Make one step, in place.

        Args:
            lane: Which one, for its hyperparameters and state.
            values: (P,), all of the lane's parameters; the first ``weights`` of them decay.
            gradient: (P,), scaled by the lane's ``gradient_scale``; may be written over.
            weights: How many of the parameters are weights.
        """
        ...

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""
        ...


class SGD:
    """``W <- W - lr (g + weight_decay W)`` for weights, ``b <- b - lr g`` for the others.

    The loss's gradient arrives multiplied by lr, which costs (K, B, C) products instead of (K, P), and
    weights shrink by ``1 - lr * weight_decay``. Where that factor rounds to 1 (in float32, lr * weight_decay
    below 3e-8: a decay that takes 30 million steps to show) the product is left out, as it changes nothing.

    Args:
        lr: (K,), learning rates.
        weight_decay: (K,), lambda of the L2 term lambda/2 * sum W^2.

    Raises:
        BadInput: Arrays that are not (K,), or a value that is not finite or is below 0.
    """

    def __init__(self, lr: ArrayLike, weight_decay: ArrayLike) -> None:
        self.lr = per_lane("lr", lr)
        self.weight_decay = per_lane("weight_decay", weight_decay)
        if len(self.lr) != len(self.weight_decay):
            raise BadInput(
                f"{len(self.lr)} values of lr, {len(self.weight_decay)} of weight_decay; give one each a lane"
            )

    @property
    def lanes(self) -> int:
        """K."""
        return len(self.lr)

    @property
    def gradient_scale(self) -> NDArray[np.float64]:
        """(K,): lr."""
        return self.lr

    def update(self, lane: int, values: Floats, gradient: Floats, *, weights: int) -> None:
        """Make one step, in place; ``gradient`` is already multiplied by lr."""
        shrink: np.floating[Any] = values.dtype.type(1.0 - self.lr[lane] * self.weight_decay[lane])
        if shrink != 1:
            np.multiply(values[:weights], shrink, out=values[:weights])
        np.subtract(values, gradient, out=values)

    def keep(self, lanes: Indices) -> None:
        """Go on with these lanes alone, given in ascending order."""
        self.lr, self.weight_decay = self.lr[lanes], self.weight_decay[lanes]


OPTIMIZERS: Mapping[str, type[SGD]] = {"sgd": SGD}
"""Optimizers by their name in a study file."""
