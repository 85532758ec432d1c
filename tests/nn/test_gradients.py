"""Gradients of every layer, the loss and whole networks against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.nn import (
    ACTIVATIONS,
    INITIALIZERS,
    SGD,
    Network,
    Purpose,
    ReLU,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    lane_rngs,
)
from hpsearch.nn.lanes import Floats

F64 = np.dtype(np.float64)


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
    return float(np.linalg.norm(a - b)) / max(size, 1e-6)


def with_the_same_masks(rngs: Sequence[np.random.Generator]) -> Callable[[], None]:
    """A function that sets generators back to where they are now."""
    states = [rng.bit_generator.state for rng in rngs]

    def rewind() -> None:
        for rng, state in zip(rngs, states, strict=True):
            rng.bit_generator.state = state

    return rewind


def test_activations_at_their_extremes() -> None:
    """Saturated, the slope is 0 and not nan; at 0, ReLU's is 0."""
    for layer, expected in (
        (ReLU(3), [[0, 0, 1e3], [0, 0, 1]]),
        (Sigmoid(3), [[0, 0.5, 1], [0, 0.25, 0]]),
        (Tanh(3), [[-1, 0, 1], [0, 1, 0]]),
    ):
        layer.reserve(1, 1, F64)
        layer.select(1, 1)
        with np.errstate(over="ignore"):  # as in training
            out = layer.forward(np.array([[[-1e3, 0.0, 1e3]]])).copy()
        assert out[0, 0].tolist() == expected[0]
        assert layer.backward(np.ones((1, 1, 3)))[0, 0].tolist() == expected[1]


class Setup:
    """A network with a loss, some data and masks that are the same at every evaluation."""

    def __init__(
        self,
        sizes: Sequence[int],
        rows: int,
        *,
        lanes: int,
        activation: str,
        batch_norm: bool,
        dropout: bool,
        initializers: list[str],
        seed: int = 2,
    ) -> None:
        rng = np.random.default_rng(seed)
        masks = lane_rngs(seed, range(lanes), Purpose.DROPOUT)
        self.network = Network(
            sizes,
            rngs=lane_rngs(seed, range(lanes), Purpose.WEIGHTS),
            activation=activation,
            batch_norm=batch_norm,
            dropout=np.linspace(0.1, 0.5, lanes) if dropout else None,
            dropout_rngs=masks if dropout else (),
            initializers=initializers[:lanes],
            dtype=F64,
        )
        self.rewind = with_the_same_masks(masks)
        # Biases, gammas and betas too, and weights that are equal no longer.
        self.network.values[:] += 0.1 * rng.standard_normal(self.network.values.shape)
        self.x: Floats = rng.standard_normal((lanes, rows, sizes[0]))
        self.network.forward(np.repeat(self.x, 2, axis=1))  # the mini-batch is a partial one
        self.labels = rng.integers(sizes[-1], size=(lanes, rows))
        self.loss = SoftmaxCrossEntropy(lanes, rows, sizes[-1], F64)
        self.loss.select(lanes, rows)
        self.losses, self.correct = np.zeros((lanes, rows)), np.zeros((lanes, rows), np.bool_)

    def f(self) -> float:
        """The mean losses of all lanes together: what is one lane's has no part in another's gradient."""
        self.rewind()
        logits = self.network.forward(self.x)
        self.loss.forward(logits, self.labels, losses=self.losses, correct=self.correct)
        return float(self.losses.mean(axis=1).sum())

    def gradients(self) -> Floats:
        self.f()
        self.network.backward(self.loss.backward(np.ones(self.network.lanes)))
        return np.stack([self.network.gradient(lane).copy() for lane in range(self.network.lanes)])

    def differences(self, step: float) -> Floats:
        return central_differences(self.f, self.network.values, step)


SETUPS = st.builds(
    Setup,
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    # Two or three samples all but equal, normalised twice, have differences that no step gets right.
    rows=st.integers(4, 7),
    lanes=st.integers(1, 3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    batch_norm=st.booleans(),
    dropout=st.booleans(),
    initializers=st.lists(st.sampled_from(sorted(INITIALIZERS)), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)


@settings(max_examples=40)
@given(setup=SETUPS)
def test_whole_networks(setup: Setup) -> None:
    gradients = setup.gradients()
    # Where a unit is all but at ReLU's kink a smaller step tells the kink from a wrong gradient.
    steps = (1e-5, 1e-6, 1e-7)
    assert any(relative_error(gradients, setup.differences(step)) < 1e-6 for step in steps)


def test_weight_decay_is_the_gradient_of_the_l2_term_over_weights_alone() -> None:
    """What SGD of lr 1 takes away is the gradient of loss + lambda / 2 sum W^2; biases, gammas, betas don't decay."""
    decays = np.array([0.3, 0.7])
    setup = Setup(
        (3, 4, 2), 5, lanes=2, activation="tanh", batch_norm=True, dropout=False, initializers=["he", "xavier"]
    )
    network = setup.network
    weights = [network.parameters[layer]["weight"] for layer in (0, 3)]

    def f() -> float:
        squares = sum((weight**2).sum(axis=(1, 2)) for weight in weights)
        return setup.f() + float(decays @ squares / 2)

    by_difference = central_differences(f, network.values)
    optimizer, before = SGD(np.ones(2), decays), network.values.copy()
    for lane, gradient in enumerate(setup.gradients()):
        optimizer.update(lane, network.values[lane], gradient, weights=network.weights)
    # Between the arrays of a lane lie elements that no layer sees; Setup has put numbers there.
    seen = by_difference != 0
    assert relative_error((before - network.values)[seen], by_difference[seen]) < 1e-6
