"""Lanes: generators by identity, aligned arrays, the cost of a lane and the number of lanes of a batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import BadInput, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


Floats: TypeAlias = NDArray[np.floating[Any]]  # an array of float32, or of float64 in the mode that checks gradients
Indices: TypeAlias = NDArray[np.intp]

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
_T = TypeVar("_T", bound=Callable[..., Any])


class Purpose(IntEnum):
    """The purpose of a generator. The numbers are part of every seed: never renumber them."""

    WEIGHTS = 0
    ORDER = 1
    DROPOUT = 2


def lane_rng(seed: int, number: int, purpose: Purpose) -> np.random.Generator:
    """Return the generator of one trial for one purpose, from the stage's seed and the trial's number alone."""
    return np.random.default_rng([seed, number, int(purpose)])


def lane_rngs(seed: int, numbers: Iterable[int], purpose: Purpose) -> list[np.random.Generator]:
    """Return the generators of several trials for one purpose."""
    return [lane_rng(seed, number, purpose) for number in numbers]


def padded(count: int, dtype: np.dtype[Any]) -> int:
    """Return the number of elements, at least ``count``, that fills whole cache lines."""
    step = _ALIGNMENT // dtype.itemsize
    return -(-count // step) * step


def lane_array(lanes: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros of shape ``(lanes, *shape)`` in which every lane starts on a cache line.

    Alignment and inner strides are then the same for each lane, whatever its place and however many
    neighbours it has, so that no kernel has a reason to add up one lane in another order.
    """
    stride = padded(math.prod(shape), dtype) * dtype.itemsize
    memory = np.zeros(lanes * stride + _ALIGNMENT, dtype=np.uint8)
    offset = -memory.ctypes.data % _ALIGNMENT
    inner = tuple(math.prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape)))
    return np.ndarray((lanes, *shape), dtype, memory.data, offset, (stride, *inner))


def look_up(registry: Mapping[str, _T], name: str, what: str) -> _T:
    """Return a registry's entry; ``what`` names the registry in the message.

    Raises:
        BadInput: No such name.
    """
    if name not in registry:
        raise BadInput(f"no {what} {name!r}{nearest(name, registry)}")
    return registry[name]


# Products large and small (B, D, H): a BLAS has several ways to multiply.
_SIZES = ((33, 100, 17), (100, 784, 100), (7, 5, 3))


def fingerprint() -> str:
    """Return a short text that differs between two machines whose results differ in their last bits.

    It hashes operations of training: products in float32 and float64, exponentials, logarithms, roots and sums.
    Equal texts do not prove equal results; different texts prove different ones.
    """
    rng = np.random.default_rng(0)
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for rows, fan_in, fan_out in _SIZES:
            x = rng.normal(size=(rows, fan_in)).astype(dtype)
            weight = rng.normal(size=(fan_in, fan_out)).astype(dtype)
            out = x @ weight  # (B, D) @ (D, H) -> (B, H)
            back = out @ weight.T  # (B, H) @ (H, D) -> (B, D)
            for array in (out, back, x.T @ out, np.exp(-np.abs(out)), np.log1p(np.abs(out)), np.tanh(out)):
                digest.update(np.ascontiguousarray(array).tobytes())
            digest.update(np.sqrt(np.abs(back)).sum(axis=0).tobytes())
    return digest.hexdigest()[:12]


CACHED_PARAMETERS = 3 * 2**17  # of all lanes of a batch: 1.5 MiB of float32, not much above a second-level cache
MOST_LANES = 32  # beyond this, NumPy's cost a call is already shared among enough lanes


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
    rule ignores the hardware, so that every machine makes the same batches.
    """
    return min(max(CACHED_PARAMETERS // max(parameters, 1), 1), MOST_LANES)
