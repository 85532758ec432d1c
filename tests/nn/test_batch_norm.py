"""Batch normalisation: what it makes of a mini-batch, and the running statistics that evaluation uses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import DTypeLike

from hpsearch.nn import BatchNorm, Network, Purpose, lane_rngs
from hpsearch.nn.lanes import Floats

EPS, MOMENTUM = 1e-5, 0.1  # PyTorch's and the paper's eps; PyTorch's momentum


def bound(lanes: int, units: int, rows: int, dtype: DTypeLike = np.float64) -> tuple[BatchNorm, dict[str, Floats]]:
    """A layer with gammas and betas of its own in each lane, and the statistics that it starts with."""
    rng = np.random.default_rng(7)
    layer = BatchNorm(units)
    values: dict[str, Floats] = {name: np.zeros((lanes, 1, units), dtype) for name in ("gamma", "beta", "mean")}
    values["variance"] = np.ones((lanes, 1, units), dtype)
    values["gamma"][:], values["beta"][:] = rng.uniform(0.5, 2, (2, lanes, 1, units))
    layer.bind(values, {"gamma": np.zeros((1, units), dtype), "beta": np.zeros((1, units), dtype)})
    layer.reserve(lanes, rows, np.dtype(dtype))
    layer.select(lanes, rows)
    return layer, values


def test_a_network_s_layer_starts_as_the_identity_and_no_optimizer_sees_its_statistics() -> None:
    network = Network([4, 3, 2], rngs=lane_rngs(0, range(2), Purpose.WEIGHTS), batch_norm=True)
    own = network.parameters[1]
    starts = {name: set(values.ravel().tolist()) for name, values in own.items()}
    assert starts == {"gamma": {1.0}, "beta": {0.0}, "mean": {0.0}, "variance": {1.0}}
    assert [sorted(gradients) for gradients in network.gradients][1] == ["beta", "gamma"]
    network.values[:] = 9  # what an optimizer sees; statistics are no parameters
    assert not (own["mean"] == 9).any()
    assert not (own["variance"] == 9).any()


@pytest.mark.parametrize("rows", [2, 5, 64])
def test_the_output_is_the_formula_with_a_variance_divided_by_all_samples(rows: int) -> None:
    layer, values = bound(3, 4, rows)
    x = np.random.default_rng(0).normal(5, 3, (3, rows, 4))
    out = layer.forward(x.copy())
    expected = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    np.testing.assert_allclose(out, expected * values["gamma"] + values["beta"], rtol=1e-9, atol=1e-12)


def test_running_statistics_follow_every_mini_batch_and_evaluation_uses_them() -> None:
    layer, values = bound(2, 3, 8)
    rng = np.random.default_rng(1)
    mean, variance = np.zeros((2, 1, 3)), np.ones((2, 1, 3))
    for rows in (8, 8, 3, 8, 2):  # partial mini-batches count as much
        layer.select(2, rows)
        x = rng.normal(2, 3, (2, rows, 3))
        layer.forward(x.copy())
        mean = (1 - MOMENTUM) * mean + MOMENTUM * x.mean(axis=1, keepdims=True)
        variance = (1 - MOMENTUM) * variance + MOMENTUM * x.var(axis=1, ddof=1, keepdims=True)
        np.testing.assert_allclose(values["mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(values["variance"], variance, rtol=1e-12)
    layer.select(2, 5)
    x = rng.normal(2, 3, (2, 5, 3))
    expected = (x - mean) / np.sqrt(variance + EPS) * values["gamma"] + values["beta"]
    np.testing.assert_allclose(layer.infer(x.copy()), expected, rtol=1e-12)
    np.testing.assert_allclose(values["mean"], mean, rtol=1e-12)  # and evaluation moves nothing
    np.testing.assert_allclose(values["variance"], variance, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mini_batch_of_one_gives_beta_and_no_statistics(dtype: DTypeLike) -> None:
    layer, values = bound(2, 3, 4, dtype)
    values["mean"][:], values["variance"][:] = 0.3, 1.7
    layer.select(2, 1)
    before = {name: array.tobytes() for name, array in values.items()}
    out = layer.forward(np.full((2, 1, 3), 1e3, dtype))
    np.testing.assert_array_equal(out, values["beta"])
    assert {name: array.tobytes() for name, array in values.items()} == before
    np.testing.assert_array_equal(layer.backward(np.ones((2, 1, 3), dtype)), 0)
    layer.parameter_gradients(1)


def test_equal_samples_have_no_spread_and_stay_finite() -> None:
    layer, values = bound(1, 3, 4)
    out = layer.forward(np.full((1, 4, 3), 7.0))
    np.testing.assert_allclose(out, np.broadcast_to(values["beta"], out.shape), rtol=1e-12)
    assert np.isfinite(layer.backward(np.random.default_rng(0).standard_normal((1, 4, 3)))).all()
