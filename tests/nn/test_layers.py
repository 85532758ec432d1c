"""Layers and the loss: products are cut right, losses stay finite."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpsearch.nn import ACTIVATIONS, Affine, SoftmaxCrossEntropy
from hpsearch.nn.lanes import Floats, fingerprint, lane_array
from hpsearch.nn.layers import SMALL, copies_transposed, forward_slices, gradient_slices


@pytest.mark.parametrize("units", [1, 2, 5])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_are_right_where_loops_run_across_lanes(
    dtype: type[np.floating[Any]], name: str, units: int
) -> None:
    """One sample a lane: NumPy 2.4's np.negative, for one, was wrong there."""
    layer = ACTIVATIONS[name](units)
    layer.reserve(5, 1, np.dtype(dtype))
    layer.select(5, 1)
    x: Floats = lane_array(5, (1, units), np.dtype(dtype))
    x[:] = np.random.default_rng(0).standard_normal(x.shape)
    raw = x.astype(np.float64)
    formulas: dict[str, Callable[[Floats], Floats]] = {
        "relu": lambda x: (x + abs(x)) / 2,
        "sigmoid": lambda x: 1 / (1 + np.exp(0 - x)),
        "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
    }
    np.testing.assert_allclose(layer.forward(x), formulas[name](raw), rtol=1e-5, atol=1e-7)


@given(lanes=st.integers(1, 5), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_every_lane_starts_on_a_cache_line_with_the_same_inner_strides(lanes: int, shape: list[int]) -> None:
    for dtype in (np.float32, np.float64, np.bool_):
        array = lane_array(lanes, tuple(shape), np.dtype(dtype))
        assert array.shape == (lanes, *shape)
        assert not array.any()
        assert {lane.ctypes.data % 64 for lane in array} == {0}
        assert array.strides[1:] == np.zeros(shape, dtype).strides
        assert array[0].flags.c_contiguous


sizes = st.tuples(st.integers(1, 300), st.integers(1, 1200), st.integers(1, 400))


@given(sizes=sizes)
def test_slices_cover_all_inputs_and_are_small(sizes: tuple[int, int, int]) -> None:
    rows, fan_in, fan_out = sizes
    for slices in (gradient_slices(*sizes), forward_slices(*sizes)):
        assert fan_in % slices == 0
        assert slices == 1 or rows * (fan_in // slices) * fan_out <= SMALL
        if rows * fan_in * fan_out <= SMALL:
            assert slices == 1
    assert forward_slices(*sizes) in (1, gradient_slices(*sizes))


def test_the_book_s_products_are_cut() -> None:
    assert (forward_slices(100, 784, 100), gradient_slices(100, 784, 100)) == (8, 8)
    assert (forward_slices(100, 576, 50), gradient_slices(100, 576, 50)) == (3, 3)
    assert gradient_slices(100, 100, 100) == 1
    assert copies_transposed(100, 100, 100)
    assert not copies_transposed(100, 784, 100)
    assert not copies_transposed(10, 100, 100)
    assert (forward_slices(128, 784, 256), gradient_slices(128, 784, 256)) == (1, 28)


@pytest.mark.parametrize(
    ("shape", "shared"),
    [((100, 784, 100), True), ((100, 576, 50), False), ((64, 128, 100), True), ((128, 784, 256), False)],
)
def test_a_layer_whose_products_are_cut_computes_what_it_should(shape: tuple[int, int, int], shared: bool) -> None:
    rows, fan_in, fan_out = shape
    rng = np.random.default_rng(0)
    lanes = 3
    dtype = np.dtype(np.float64)
    weight, bias = lane_array(lanes, (fan_in, fan_out), dtype), lane_array(lanes, (1, fan_out), dtype)
    weight[:], bias[:] = rng.standard_normal(weight.shape), rng.standard_normal(bias.shape)
    gradients = {"weight": np.zeros((fan_in, fan_out)), "bias": np.zeros((1, fan_out))}
    layer = Affine(fan_in, fan_out)
    layer.bind({"weight": weight, "bias": bias}, gradients)
    layer.reserve(lanes, rows + 5, dtype)
    # Another height in between: the last mini-batch of an epoch, or a validation set.
    for height in (rows, rows - 3, rows):
        layer.select(lanes, height)
        x = rng.standard_normal((1 if shared else lanes, height, fan_in))
        slope = rng.standard_normal((lanes, height, fan_out))
        np.testing.assert_allclose(
            layer.forward(x), np.einsum("kbd,kdh->kbh", x + 0 * weight[:, :1, :1], weight) + bias
        )
        for _ in range(2):  # as between steps: weights are updated, the mini-batch is as high as before
            weight[:] = rng.standard_normal(weight.shape)
            expected = np.einsum("kbh,kdh->kbd", slope, weight)
            np.testing.assert_allclose(layer.backward(slope), expected, atol=1e-9)
        for lane in range(lanes):
            layer.parameter_gradients(lane)
            own = x[0 if shared else lane]
            np.testing.assert_allclose(gradients["weight"], own.T @ slope[lane], atol=1e-9)
            np.testing.assert_allclose(gradients["bias"][0], slope[lane].sum(axis=0), atol=1e-9)


def scores(logits: Floats, labels: NDArray[np.intp]) -> tuple[Floats, NDArray[np.bool_], SoftmaxCrossEntropy]:
    lanes, rows, classes = logits.shape
    loss = SoftmaxCrossEntropy(lanes, rows, classes, logits.dtype)
    loss.select(lanes, rows)
    losses, correct = np.zeros((lanes, rows), logits.dtype), np.zeros((lanes, rows), np.bool_)
    loss.forward(logits, labels, losses=losses, correct=correct)
    return losses, correct, loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_stay_finite(dtype: type[np.floating[Any]]) -> None:
    # exp underflows by design: training runs under np.errstate, and so does this.
    with np.errstate(under="ignore"):
        logits = np.array([[[1e30, -1e30, 0.0], [1000.0, 1000.0, 999.0]]], dtype)
        losses, _, loss = scores(logits, np.array([[0, 1]]))
        gradient = loss.backward(np.ones(1))
    expected = np.log(2 + np.exp(-1.0))
    np.testing.assert_allclose(losses, [[0.0, expected]], rtol=1e-6)
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-6)
    assert np.isfinite(gradient).all()


def test_shifted_logits_cost_the_same_and_equal_ones_log_classes_with_the_first_class_as_the_guess() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((2, 5, 4)), rng.integers(4, size=(2, 5))
    np.testing.assert_allclose(scores(logits + 300, labels)[0], scores(logits, labels)[0], rtol=1e-9)
    losses, correct, _ = scores(np.zeros((1, 3, 4)), np.array([[0, 1, 3]]))
    np.testing.assert_allclose(losses, np.log(4))
    assert correct.tolist() == [[True, False, False]]


def test_nan_and_infinite_logits_make_losses_that_are_not_finite() -> None:
    logits = np.array([[[0.0, np.nan], [np.inf, 0.0], [np.nan, 0.0]]])
    with np.errstate(all="ignore"):
        losses, _, _ = scores(logits, np.array([[0, 0, 0]]))
    assert not np.isfinite(losses).any()


def test_kernels_for_other_processors_round_differently() -> None:
    assert fingerprint() == fingerprint()
    names = set()
    print_it = "from hpsearch.nn.lanes import Floats, fingerprint; print(fingerprint())"
    for kernel in ("Nehalem", "Haswell"):
        environment = {**os.environ, "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": "1"}
        shown = subprocess.run([sys.executable, "-c", print_it], env=environment, capture_output=True, text=True)
        if shown.returncode:
            pytest.skip(f"this BLAS cannot be told to use the kernels of {kernel}")
        names.add(shown.stdout)
    assert len(names) == 2
