"""Optimizers against published values, closed forms, and what the chapter shows with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.nn import SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSProp

Vector = NDArray[np.float64]


def descend(
    optimizer: Optimizer, start: Vector, gradient: Callable[[Vector, int], Vector | float], steps: int
) -> list[Vector]:
    """The values after each of so many updates, of weights alone; ``gradient(values, step from 0)``."""
    values, seen = start.astype(np.float64), []
    for step in range(steps):
        slope = np.broadcast_to(gradient(values, step), values.shape) * optimizer.gradient_scale[0]
        optimizer.update(0, values, slope.copy(), weights=len(values))
        seen.append(values.copy())
    return seen


# Keras 3, keras/src/optimizers/*_test.py, test_single_step: variables 1, 2, 3, 4, gradients 1, 6, 7, 2, lr 0.5.
SINGLE_STEP = [
    (SGD(0.5), [0.5, -1.0, -0.5, 3.0]),
    (RMSProp(0.5, rho=0.9), [-0.5811, 0.4189, 1.4189, 2.4189]),
    (Adam(0.5), [0.5, 1.5, 2.5, 3.5]),
    (AdamW(0.5, 0.004), [0.4980, 1.4960, 2.494, 3.492]),
]


@pytest.mark.parametrize(("optimizer", "published"), SINGLE_STEP, ids=lambda value: type(value).__name__)
def test_a_single_step_as_keras_publishes_it(optimizer: Optimizer, published: list[float]) -> None:
    gradient = np.array([1.0, 6.0, 7.0, 2.0])
    (found,) = descend(optimizer, np.array([1.0, 2.0, 3.0, 4.0]), lambda values, step: gradient, 1)
    np.testing.assert_allclose(found, published, atol=5.1e-5)


def test_adagrad_as_keras_publishes_it() -> None:
    # Keras 3, adagrad_test.py, test_correctness_with_golden: lr 0.2, from 1, one gradient of 0.01, then 0.1 ... 1.0.
    # Its accumulator starts at 0.3: so one gradient of sqrt(0.3), whose step is lr, goes before.
    published = [
        [0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963, 0.9963],
        [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209],
        [0.9251, 0.8629, 0.8137, 0.7768, 0.7497, 0.7298, 0.7151, 0.704, 0.6956, 0.6891],
        [0.8903, 0.8012, 0.7342, 0.6862, 0.6521, 0.6277, 0.6099, 0.5967, 0.5867, 0.579],
        [0.856, 0.7422, 0.6604, 0.6037, 0.5644, 0.5367, 0.5168, 0.5021, 0.491, 0.4825],
    ]
    given = [np.full(10, 0.3**0.5), np.full(10, 0.01), *[np.arange(0.1, 1.05, 0.1)] * 4]
    found = descend(AdaGrad(0.2), np.full(10, 1.2), lambda values, step: given[step], 6)
    np.testing.assert_allclose(found[0], 1, rtol=1e-6)
    np.testing.assert_allclose(found[1:], published, atol=6e-5)


# The docstrings of tf.keras.optimizers: loss = var^2 / 2, lr 0.1.
def test_momentum_rmsprop_and_adam_as_tensorflow_documents_them() -> None:
    first, second = descend(Momentum(0.1, momentum=0.9), np.ones(1), lambda values, step: values, 2)
    assert [1 - first[0], first[0] - second[0]] == pytest.approx([0.1, 0.18], rel=1e-12)
    (found,) = descend(RMSProp(0.1, rho=0.9), np.full(1, 10.0), lambda values, step: values, 1)
    assert found[0] == pytest.approx(9.683772, abs=5e-7)
    (found,) = descend(Adam(0.1), np.full(1, 10.0), lambda values, step: values, 1)
    assert found[0] == pytest.approx(9.9, abs=5e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_adam_s_steps_of_a_constant_gradient_are_lr(scale: float) -> None:
    """Bias correction makes both moments exact from the first step: lr g / |g|, whatever the gradient's size."""
    gradient = scale * np.array([1.0, -1.0, 7.0])
    found = descend(Adam(0.01, eps=1e-30), np.zeros(3), lambda values, step: gradient, 20)
    expected = -0.01 * np.outer(np.arange(1, 21), np.sign(gradient))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_adagrad_s_steps_of_a_constant_gradient_are_lr_over_sqrt_t(scale: float) -> None:
    found = descend(AdaGrad(0.01, eps=1e-30), np.zeros(1), lambda values, step: scale, 400)
    steps = -np.diff(np.ravel(found), prepend=0.0)
    np.testing.assert_allclose(steps, 0.01 / np.sqrt(np.arange(1, 401)), rtol=1e-10)


def test_rmsprop_s_steps_of_a_constant_gradient_fall_to_lr_and_no_further() -> None:
    # h = (1 - rho^t) g^2: the step is lr / sqrt(1 - rho^t). AdaGrad's tends to 0.
    found = descend(RMSProp(0.01, rho=0.9, eps=1e-30), np.zeros(1), lambda values, step: 5.0, 400)
    steps = -np.diff(np.ravel(found), prepend=0.0)
    np.testing.assert_allclose(steps, 0.01 / np.sqrt(1 - 0.9 ** np.arange(1, 401)), rtol=1e-10)


def test_momentum_s_steps_of_a_constant_gradient_rise_to_lr_g_over_one_minus_m() -> None:
    found = descend(Momentum(0.01, momentum=0.8), np.zeros(1), lambda values, step: 3.0, 200)
    steps = -np.diff(np.ravel(found), prepend=0.0)
    np.testing.assert_allclose(steps, 0.03 * (1 - 0.8 ** np.arange(1, 201)) / 0.2, rtol=1e-9)


CURVATURE = np.array([0.1, 2.0])  # the chapter's f(x, y) = x^2 / 20 + y^2, from (-7, 2)
START = np.array([-7.0, 2.0])


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_nesterov_s_parameters_are_those_looked_ahead_at(weight_decay: float) -> None:
    """``v <- m v - lr g(W + m v); W <- W + v`` directly; what the optimizer holds is W + m v."""
    m, lr = 0.9, 0.1
    w, v, expected = START.copy(), np.zeros(2), []
    for _ in range(30):
        ahead = w + m * v
        v = m * v - lr * (CURVATURE * ahead + weight_decay * ahead)
        w = w + v
        expected.append(w + m * v)
    found = descend(Nesterov(lr, weight_decay, m), START, lambda values, step: CURVATURE * values, 30)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", [Momentum, Nesterov])
def test_without_momentum_there_is_sgd(kind: type[Momentum]) -> None:
    expected = descend(SGD(0.1, 0.2), START, lambda values, step: CURVATURE * values, 10)
    found = descend(kind(0.1, 0.2, 0.0), START, lambda values, step: CURVATURE * values, 10)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_adamw_s_decay_is_its_own_factor() -> None:
    """Where Adam walks to, decayed: W_t = (1 - lr wd) W_(t-1) + Adam's step, for gradients that W has no part in."""
    given = np.random.default_rng(0).standard_normal((20, 3))
    start = np.array([1.0, -2.0, 3.0])
    walk = descend(Adam(0.1), start, lambda values, step: given[step], 20)
    expected, w = [], start
    for step in np.diff(walk, axis=0, prepend=start[None]):
        w = (1 - 0.1 * 0.5) * w + step
        expected.append(w)
    np.testing.assert_allclose(
        descend(AdamW(0.1, 0.5), start, lambda values, step: given[step], 20), expected, rtol=1e-12
    )
    # Without a gradient AdamW's weights decay alike, whatever their history; Adam's L2 step is lr, whatever the decay.
    (decayed,) = descend(AdamW(0.1, 0.5), start, lambda values, step: 0.0, 1)
    np.testing.assert_allclose(decayed, 0.95 * start, rtol=1e-14)
    (coupled,) = descend(Adam(0.1, 0.5), start, lambda values, step: 0.0, 1)
    np.testing.assert_allclose(coupled, start - 0.1 * np.sign(start), rtol=1e-6)


def test_adamw_s_decay_follows_the_schedule() -> None:
    optimizer: Any = AdamW(0.1, 0.5)
    optimizer.scale_lr([0.2])
    (found,) = descend(optimizer, np.ones(1), lambda values, step: 0.0, 1)
    assert found[0] == pytest.approx(1 - 0.02 * 0.5, rel=1e-14)


def test_the_chapter_s_anisotropic_function() -> None:
    """With the chapter's rates all come close to the minimum in 30 steps, and SGD zigzags the most."""
    zigzags = []
    for optimizer in (SGD(0.95), Momentum(0.1), Adam(0.3), AdaGrad(1.5)):
        path = np.array([START, *descend(optimizer, START, lambda values, step: CURVATURE * values, 30)])
        heights = path**2 @ CURVATURE / 2
        assert heights[-1] < 0.1 * heights[0]
        zigzags.append(np.count_nonzero(np.diff(np.sign(np.diff(path[:, 1])))))
    assert zigzags[0] == 29  # every step of SGD turns back
    assert max(zigzags[1:]) < 10
