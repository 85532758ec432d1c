"""What training costs: parameters, FLOPs, and how many lanes go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def parameter_count(sizes: Sequence[int]) -> int:
    """The number of weights and biases of one lane's network.

    Args:
        sizes: Units by layer, from inputs to classes.
    """
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))


def flops_per_trial(sizes: Sequence[int], *, train: int, validation: int, epochs: int) -> int:
    """The floating-point operations of the matrix products of one trial.

    A dense layer costs 2 D H a sample forward and twice that backward; the first layer spares the
    gradient of its input. Validation is one forward pass an epoch. Mini-batches cut the same samples
    differently and change nothing.

    Args:
        sizes: Units by layer, from inputs to classes.
        train: Training samples.
        validation: Validation samples.
        epochs: Epochs.
    """
    forward = sum(2 * fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    backward = 2 * forward - 2 * sizes[0] * sizes[1]
    return epochs * (train * (forward + backward) + validation * forward)


def lanes_for(parameters: int) -> int:
    """X."""
    return 4
