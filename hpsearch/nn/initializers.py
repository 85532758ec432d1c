"""Initial weights. Every scheme draws in float64, so that float32 and float64 modes start alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

STD = 0.01  # standard deviation of ``normal`` unless another is given
CONSTANT = 0.1  # weight of ``constant`` unless another is given


class Initializer(Protocol):
    """Draws the weights of one lane's layer."""

    def __call__(self, shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return weights of shape (D, H) = (fan-in, fan-out)."""


def _normal(shape: tuple[int, int], std: float, rng: np.random.Generator) -> NDArray[np.float64]:
    weights = rng.standard_normal(shape)
    weights *= std
    return weights


def he(shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return normal weights of standard deviation sqrt(2 / fan-in), which keeps the spread through ReLU layers.

    Source: He, Zhang, Ren and Sun 2015, "Delving Deep into Rectifiers", eq. 10.
    """
    return _normal(shape, math.sqrt(2.0 / shape[0]), rng)


def xavier(shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return normal weights of standard deviation sqrt(1 / fan-in): the simplified form, as in Caffe."""
    return _normal(shape, math.sqrt(1.0 / shape[0]), rng)


def glorot(shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return normal weights of standard deviation sqrt(2 / (fan-in + fan-out)), for forward and backward spread alike.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 12.
    """
    return _normal(shape, math.sqrt(2.0 / sum(shape)), rng)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal weights of one standard deviation for all layers; a BadInput unless it is finite and above 0."""

    std: float = STD  # above 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.std) and self.std > 0):
            raise BadInput(f"init_std = {self.std}; give a finite number above 0")

    def __call__(self, shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        return _normal(shape, self.std, rng)


@dataclass(frozen=True, slots=True)
class Constant:
    """Equal weights. All units of a layer then get the same gradient and stay the same: they cannot learn apart."""

    value: float = CONSTANT  # of every weight; 0 included

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise BadInput(f"init_value = {self.value}; give a finite number")

    def __call__(self, shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        return np.full(shape, self.value)


INITIALIZERS: Mapping[str, Callable[[float, float], Initializer]] = {  # made with ``init_std`` and ``init_value``
    "he": lambda std, value: he,
    "xavier": lambda std, value: xavier,
    "glorot": lambda std, value: glorot,
    "normal": lambda std, value: Normal(std),
    "zeros": lambda std, value: Constant(0.0),
    "constant": lambda std, value: Constant(value),
}


def initializer(name: str, *, std: float = STD, value: float = CONSTANT) -> Initializer:
    """Return the initialiser of that name in `INITIALIZERS`; ``std`` is for ``normal``, ``value`` for ``constant``.

    Raises:
        BadInput: No such name, or a value that it cannot take.
    """
    return look_up(INITIALIZERS, name, "initializer")(std, value)
