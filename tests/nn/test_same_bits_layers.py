"""The law of lanes, layer by layer: every small shape, in which a kernel's loop may end up running across lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpsearch.nn import Affine, BatchNorm, Dropout, Layer, Purpose, ReLU, Sigmoid, SoftmaxCrossEntropy, Tanh, lane_rngs
from hpsearch.nn.lanes import lane_array

Floats = NDArray[np.floating[Any]]
LANES = 4
LAYERS: dict[str, Callable[[int, list[np.random.Generator]], Layer]] = {
    "affine": lambda units, rngs: Affine(units, 3),
    "relu": lambda units, rngs: ReLU(units),
    "sigmoid": lambda units, rngs: Sigmoid(units),
    "tanh": lambda units, rngs: Tanh(units),
    "batch_norm": lambda units, rngs: BatchNorm(units),
    "dropout": lambda units, rngs: Dropout(units, [0.4] * len(rngs), rngs=rngs),
}
SHAPES = [(rows, units) for rows in (1, 2, 3) for units in (*range(1, 10), 15, 16, 17)] + [(5, 33), (7, 100), (1, 100)]


def laid_out(values: Floats, reserved: int) -> Floats:
    """The (K, B, D) values in a buffer of lanes that have room for more rows."""
    buffer: Floats = lane_array(len(values), (reserved, values.shape[2]), values.dtype)[:, : values.shape[1]]
    buffer[:] = values
    return buffer


def passes(name: str, lanes: list[int], x: Floats, reserved: int) -> dict[int, list[bytes]]:
    """By lane number: what comes out of a pass forward and one back, parameter gradients and arrays."""
    rng = np.random.default_rng(1)
    layer = LAYERS[name](x.shape[2], lane_rngs(0, lanes, Purpose.DROPOUT))
    arrays: dict[str, Floats] = {}
    for array, shape in {**layer.weights, **layer.others, **layer.statistics}.items():
        arrays[array] = lane_array(len(lanes), shape, x.dtype)
        arrays[array][:] = rng.uniform(0.5, 2, (LANES, *shape))[lanes]
    gradients = {n: np.zeros(shape, x.dtype) for n, shape in {**layer.weights, **layer.others}.items()}
    layer.bind(arrays, gradients)
    layer.reserve(len(lanes), reserved, x.dtype)
    layer.select(len(lanes), x.shape[1])
    forward = layer.forward(laid_out(x[lanes], reserved))
    found = {lane: [forward[i].tobytes()] for i, lane in enumerate(lanes)}
    slopes = rng.standard_normal((LANES, *forward.shape[1:])).astype(x.dtype)
    backward = layer.backward(laid_out(slopes[lanes], reserved))
    for i, lane in enumerate(lanes):
        layer.parameter_gradients(i)
        found[lane] += [backward[i].tobytes(), *(gradient.tobytes() for gradient in gradients.values())]
        found[lane] += [values[i].tobytes() for values in arrays.values()]
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extreme", [1.0, np.nan, 1e30])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_s_lanes_are_the_same_alone(name: str, extreme: float, dtype: type[np.floating[Any]]) -> None:
    """Whatever is in lane 2, the others' results have the same bytes as alone, in any shape and buffer."""
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for rows, units in SHAPES:
            x = rng.normal(0, 3, (LANES, rows, units)).astype(dtype)
            x[2] *= extreme
            for reserved in {rows, rows + 3}:
                together = passes(name, list(range(LANES)), x, reserved)
                for lane in (0, 1, 3) if extreme != 1 else range(LANES):
                    assert passes(name, [lane], x, reserved)[lane] == together[lane]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_a_lane_is_the_same_alone(dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(0)

    def score(lanes: list[int], x: Floats, labels: NDArray[np.intp]) -> list[bytes]:
        _, rows, classes = x.shape
        loss = SoftmaxCrossEntropy(len(lanes), rows + 1, classes, x.dtype)
        loss.select(len(lanes), rows)
        losses: Floats = lane_array(len(lanes), (rows,), x.dtype)
        correct: NDArray[np.bool_] = lane_array(len(lanes), (rows,), np.dtype(np.bool_))
        loss.forward(laid_out(x[lanes], rows), labels[lanes], losses=losses, correct=correct)
        gradient = loss.backward(np.linspace(0.1, 2, LANES)[lanes])
        return [losses[i].tobytes() + correct[i].tobytes() + gradient[i].tobytes() for i in range(len(lanes))]

    for rows, classes in SHAPES:
        x = rng.normal(0, 3, (LANES, rows, classes)).astype(dtype)
        labels = rng.integers(classes, size=(LANES, rows))
        together = score(list(range(LANES)), x, labels)
        assert [score([lane], x, labels)[0] for lane in range(LANES)] == together


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_right_where_loops_run_across_lanes(
    dtype: type[np.floating[Any]], name: str, units: int
) -> None:
    """One sample a lane: NumPy 2.4's np.negative, for one, was wrong there."""
    layer = LAYERS[name](units, [])
    layer.reserve(5, 1, np.dtype(dtype))
    layer.select(5, 1)
    x = np.random.default_rng(0).standard_normal((5, 1, units)).astype(dtype)
    formulas: dict[str, Callable[[Floats], Floats]] = {
        "relu": lambda x: (x + abs(x)) / 2,
        "sigmoid": lambda x: 1 / (1 + np.exp(0 - x)),
        "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
    }
    np.testing.assert_allclose(
        layer.forward(laid_out(x, 1)), formulas[name](x.astype(np.float64)), rtol=1e-5, atol=1e-7
    )


@given(lanes=st.integers(1, 5), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_every_lane_starts_on_a_cache_line_with_the_same_inner_strides(lanes: int, shape: list[int]) -> None:
    for dtype in (np.float32, np.float64, np.bool_):
        array = lane_array(lanes, tuple(shape), np.dtype(dtype))
        assert array.shape == (lanes, *shape)
        assert not array.any()
        assert {lane.ctypes.data % 64 for lane in array} == {0}
        assert array.strides[1:] == np.zeros(shape, dtype).strides
        assert array[0].flags.c_contiguous
