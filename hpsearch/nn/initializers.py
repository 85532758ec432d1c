"""Initial weights. Every scheme draws in float64, so that float32 and float64 modes start alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class Initializer(Protocol):
    """Draws the weights of one lane's layer."""

    def __call__(self, shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
        """Weights of shape (D, H) = (fan-in, fan-out)."""
        ...


def he(shape: tuple[int, int], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Normal weights of standard deviation sqrt(2 / fan-in), which keeps the spread through ReLU layers.

    Args:
        shape: (D, H) = (fan-in, fan-out).
        rng: The lane's generator of weights.

    Source: He, Zhang, Ren and Sun 2015, "Delving Deep into Rectifiers", eq. 10.
    """
    fan_in, _ = shape
    weights = rng.standard_normal(shape)
    weights *= math.sqrt(2.0 / fan_in)
    return weights


INITIALIZERS: Mapping[str, Initializer] = {"he": he}
"""Initialisers by their name in a study file."""
