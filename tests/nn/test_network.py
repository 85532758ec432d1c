from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import (
    ACTIVATIONS,
    Affine,
    Network,
    Purpose,
    flops_per_trial,
    lane_rng,
    lane_rngs,
    lanes_for,
    parameter_count,
)
from hpsearch.nn.lanes import Floats


def weight_rngs(lanes: int) -> list[np.random.Generator]:
    return [lane_rng(3, number, Purpose.WEIGHTS) for number in range(lanes)]


def test_both_modes_start_from_the_same_weights_and_zero_biases() -> None:
    single = Network([5, 4, 3], rngs=weight_rngs(2))
    double = Network([5, 4, 3], rngs=weight_rngs(2), dtype=np.float64)
    for ours, theirs in zip(single.parameters, double.parameters, strict=True):
        for name, values in ours.items():
            assert values.dtype == np.float32
            assert np.array_equal(values, theirs[name].astype(np.float32))
    assert not single.parameters[0]["bias"].any()
    assert not single.parameters[2]["bias"].any()


def test_purposes_and_numbers_have_streams_of_their_own() -> None:
    draws = {lane_rng(s, n, p).random() for s in range(3) for n in range(3) for p in Purpose}
    assert len(draws) == 27
    assert lane_rng(1, 2, Purpose.ORDER).random() == lane_rng(1, 2, Purpose.ORDER).random()
    assert [int(purpose) for purpose in Purpose] == [0, 1, 2]


def test_the_forward_pass_is_the_formula() -> None:
    network = Network([5, 4, 3], rngs=weight_rngs(2), dtype=np.float64)
    network.parameters[0]["bias"][:] = 0.3
    x = np.random.default_rng(0).standard_normal((2, 6, 5))
    for lane in range(2):
        first, last = ({n: v[lane] for n, v in network.parameters[i].items()} for i in (0, 2))
        hidden = np.maximum(x[lane] @ first["weight"] + first["bias"], 0)
        expected = hidden @ last["weight"] + last["bias"]
        np.testing.assert_allclose(network.forward(x)[lane], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"activation": "rellu"}, "no activation 'rellu'; did you mean 'relu'"),
        ({"activation": "rellu", "sizes": [3, 4, 2]}, "no activation 'rellu'; did you mean 'relu'"),
        ({"sizes": [3]}, "two or more layers"),
        ({"sizes": [3, 0]}, "at least one unit"),
    ],
)
def test_what_is_no_network_is_refused(asked: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"sizes": [3, 2], "rngs": weight_rngs(1), **asked}
    with pytest.raises(BadInput, match=message):
        Network(**options)


def test_costs_by_hand() -> None:
    # 3-4-2: forward 2 (12 + 8) = 40 FLOPs a sample; backward 2 * 40 less the first layer's input, 24: 56.
    assert parameter_count([3, 4, 2]) == 3 * 4 + 4 + 4 * 2 + 2
    for batch_norm in (False, True):
        network = Network([3, 4, 5, 2], rngs=weight_rngs(1), batch_norm=batch_norm)
        counted = sum(gradient.size for gradients in network.gradients for gradient in gradients.values())
        assert parameter_count([3, 4, 5, 2], batch_norm=batch_norm) == counted
    assert flops_per_trial([3, 4, 2], train=10, validation=5, epochs=2) == 2 * (10 * 96 + 5 * 40)


def test_larger_networks_get_fewer_lanes_and_never_none() -> None:
    counts = [lanes_for(10**power) for power in range(10)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1
    assert lanes_for(parameter_count([784, *[100] * 6, 10])) == 3
    assert lanes_for(parameter_count([784, 50, 10])) == 9


ACTIVATED: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("batch_norm", [False, True])
def test_activations_are_those_of_an_evaluation(activation: str, batch_norm: bool) -> None:
    network = Network(
        [5, 4, 6, 3],
        rngs=weight_rngs(2),
        activation=activation,
        batch_norm=batch_norm,
        dropout=0.5,
        dropout_rngs=lane_rngs(0, [0, 1], Purpose.DROPOUT),
        dtype=np.float64,
    )
    rng = np.random.default_rng(0)
    network.forward(rng.normal(2, 1, (2, 20, 5)))  # running statistics of their own
    x = rng.standard_normal((1, 7, 5))
    found = network.activations(x)
    logits = network.infer(x).copy()
    network.infer(x + 1)  # writes over the buffers, not over what was found
    assert [values.shape for values in found] == [(2, 7, 4), (2, 7, 6)]
    inputs: Floats = np.repeat(x, 2, axis=0)
    for i, layer in enumerate(layer for layer in network.layers if isinstance(layer, Affine)):
        outputs = inputs @ layer.weight + layer.bias
        if i == 2:
            np.testing.assert_allclose(logits, outputs, rtol=1e-12)
            break
        if batch_norm:
            own = network.parameters[4 * i + 1]
            outputs = (outputs - own["mean"]) / np.sqrt(own["variance"] + 1e-5) * own["gamma"] + own["beta"]
        inputs = ACTIVATED[activation](outputs)
        np.testing.assert_allclose(found[i], inputs, rtol=1e-11, atol=1e-15)


def test_a_mini_batch_leaves_nothing_behind_for_the_next() -> None:
    """A larger or smaller one in between changes no result."""
    network = Network([5, 4, 3], rngs=weight_rngs(2), activation="tanh")
    rng = np.random.default_rng(0)
    x, slopes = rng.standard_normal((2, 6, 5)).astype(np.float32), rng.standard_normal((2, 6, 3)).astype(np.float32)

    def pass_both_ways() -> list[bytes]:
        logits = network.forward(x).tobytes()
        network.backward(slopes.copy())
        return [logits, network.gradient(0).tobytes(), network.gradient(1).tobytes()]

    first = pass_both_ways()
    for rows in (2, 300, 1):
        network.infer(rng.standard_normal((1, rows, 5)).astype(np.float32))
        assert pass_both_ways() == first
