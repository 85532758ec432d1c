"""The cost of training: parameters, FLOPs, and the number of lanes of a batch."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CACHED_PARAMETERS = 3 * 2**17
"""Parameters of all lanes of a batch together: 1.5 MiB of float32, not much above a core's second-level cache."""
MOST_LANES = 32
"""Beyond this, NumPy's cost a call is already shared among enough lanes."""


def parameter_count(sizes: Sequence[int], *, batch_norm: bool = False) -> int:
    """Return the number of parameters of one lane's network: weights, biases, and gammas and betas.

    ``sizes`` are units by layer, from inputs to classes.
    """
    normalised = 2 * sum(sizes[1:-1]) if batch_norm else 0
    return normalised + sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))


def flops_per_trial(sizes: Sequence[int], *, train: int, validation: int, epochs: int) -> int:
    """Return the floating-point operations of the matrix products of one trial.

    A dense layer costs 2 D H a sample forward and twice that backward; the first layer spares the
    gradient of its input. Validation is one forward pass an epoch. Mini-batches cut the same samples
    differently and change nothing. ``train`` and ``validation`` are numbers of samples.
    """
    forward = sum(2 * fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    backward = 2 * forward - 2 * sizes[0] * sizes[1]
    return epochs * (train * (forward + backward) + validation * forward)


def lanes_for(parameters: int) -> int:
    """Return the number of lanes that train together fastest; results are the same to the bit for any number.

    Lanes share the cost of each NumPy call, which matters for small networks, and compete for the cache,
    which matters for large ones. Measured with float32 and one BLAS thread: 784-100x6-10 takes the same
    time a lane with 2, 3 or 4 lanes, 784-50-10 with 8 to 12, and 784-256-128-10 is fastest with 1. The
    rule looks at no hardware, so that every machine makes the same batches.
    """
    return min(max(CACHED_PARAMETERS // max(parameters, 1), 1), MOST_LANES)
