"""Gradients against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.nn import Affine, Layer, Network, Purpose, ReLU, SoftmaxCrossEntropy, lane_rng

F64 = np.dtype(np.float64)
Floats = NDArray[np.floating[Any]]


def central_differences(f: Callable[[], float], x: Floats, step: float = 1e-5) -> Floats:
    """df/dx by (f(x + h) - f(x - h)) / 2h, entry by entry."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + step
        above = f()
        x[index] = kept - step
        gradient[index] = (above - f()) / (2 * step)
        x[index] = kept
    return gradient


def relative_error(a: Floats, b: Floats) -> float:
    size = float(np.linalg.norm(a)) + float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / max(size, 1e-12)


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Normal numbers that a difference step cannot carry over ReLU's kink."""
    x: Floats = rng.standard_normal(shape)
    return x + 0.1 * np.sign(x)


@pytest.mark.parametrize(("lanes", "rows"), [(1, 1), (3, 4), (2, 5)])
@pytest.mark.parametrize("make", [lambda: Affine(3, 4), lambda: ReLU(3)], ids=["affine", "relu"])
def test_layer(make: Callable[[], Layer], lanes: int, rows: int) -> None:
    rng = np.random.default_rng(lanes)
    layer = make()
    shapes = {**layer.weights, **layer.others}
    values: dict[str, Floats] = {n: rng.standard_normal((lanes, *s)) for n, s in shapes.items()}
    gradients: dict[str, Floats] = {n: np.zeros(s) for n, s in shapes.items()}
    layer.bind(values, gradients)
    layer.reserve(lanes, rows + 2, F64)  # more than in use, as for a partial mini-batch
    layer.select(lanes, rows)
    x = away_from_zero(rng, (lanes, rows, 3))
    out = rng.standard_normal(layer.forward(x.copy()).shape)  # f = sum(forward(x) * out)

    def f() -> float:
        return float(np.sum(layer.forward(x.copy()) * out))

    layer.forward(x.copy())
    by_input = layer.backward(out.copy()).copy()
    by_parameter = []
    for lane in range(lanes):
        layer.parameter_gradients(lane)
        by_parameter.append({name: gradient.copy() for name, gradient in gradients.items()})
    assert relative_error(by_input, central_differences(f, x)) < 1e-6
    for name, value in values.items():
        numeric = central_differences(f, value)
        assert relative_error(np.stack([own[name] for own in by_parameter]), numeric) < 1e-6


@pytest.mark.parametrize(("lanes", "rows", "classes"), [(1, 1, 2), (3, 5, 4)])
def test_softmax_cross_entropy(lanes: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(1)
    logits: Floats = rng.standard_normal((lanes, rows, classes))
    labels = rng.integers(classes, size=(lanes, rows))
    scale = rng.uniform(0.5, 2.0, lanes)
    loss = SoftmaxCrossEntropy(lanes, rows, classes, F64)
    loss.select(lanes, rows)
    losses, correct = np.zeros((lanes, rows)), np.zeros((lanes, rows), np.bool_)

    def f() -> float:
        loss.forward(logits, labels, losses=losses, correct=correct)
        return float(scale @ losses.mean(axis=1))

    f()
    gradient = loss.backward(scale).copy()
    assert relative_error(gradient, central_differences(f, logits)) < 1e-6


@pytest.mark.parametrize("sizes", [(4, 3), (5, 6, 3), (3, 7, 6, 5, 2)])
def test_whole_network(sizes: tuple[int, ...]) -> None:
    lanes, rows = 3, 6
    rng = np.random.default_rng(2)
    network = Network(sizes, rngs=[lane_rng(0, n, Purpose.WEIGHTS) for n in range(lanes)], dtype=F64)
    network.values[:] += 0.05 * rng.standard_normal(network.values.shape)  # biases too
    x: Floats = rng.standard_normal((lanes, rows, sizes[0]))
    labels = rng.integers(sizes[-1], size=(lanes, rows))
    loss = SoftmaxCrossEntropy(lanes, rows, sizes[-1], F64)
    loss.select(lanes, rows)
    losses, correct = np.zeros((lanes, rows)), np.zeros((lanes, rows), np.bool_)

    def f() -> float:
        loss.forward(network.forward(x), labels, losses=losses, correct=correct)
        return float(losses.mean(axis=1).sum())

    f()
    network.backward(loss.backward(np.ones(lanes)))
    gradients = np.stack([network.gradient(lane).copy() for lane in range(lanes)])
    assert relative_error(gradients, central_differences(f, network.values)) < 1e-6
