"""Cut products: the pieces cover the whole, stay small, and give the same product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.nn import Affine
from hpsearch.nn.lanes import lane_array
from hpsearch.nn.layers import SMALL, copies_transposed, forward_slices, gradient_slices

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


@pytest.mark.parametrize("shape", [(100, 784, 100), (100, 576, 50), (64, 128, 100), (128, 784, 256), (7, 5, 3)])
@pytest.mark.parametrize("shared", [False, True])
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
    for height in (rows, max(rows - 3, 1), rows):
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
