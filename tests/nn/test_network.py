from __future__ import annotations

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import Network, Purpose, flops_per_trial, he, lane_rng, lanes_for, parameter_count


def weight_rngs(lanes: int) -> list[np.random.Generator]:
    return [lane_rng(3, number, Purpose.WEIGHTS) for number in range(lanes)]


def test_he_has_a_standard_deviation_of_sqrt_of_two_over_fan_in() -> None:
    weights = he((200, 5000), rng=np.random.default_rng(0))
    assert weights.std() == pytest.approx(np.sqrt(2 / 200), rel=0.005)
    assert weights.mean() == pytest.approx(0, abs=0.001)


def test_both_modes_start_from_the_same_weights_and_zero_biases() -> None:
    single = Network([5, 4, 3], rngs=weight_rngs(2))
    double = Network([5, 4, 3], rngs=weight_rngs(2), dtype=np.float64)
    for ours, theirs in zip(single.parameters, double.parameters, strict=True):
        for name, values in ours.items():
            assert values.dtype == np.float32
            assert np.array_equal(values, theirs[name].astype(np.float32))
    assert not single.parameters[0]["bias"].any()
    assert not single.parameters[2]["bias"].any()


def test_every_lane_draws_from_its_own_generator() -> None:
    network = Network([5, 4], rngs=weight_rngs(3))
    expected = he((5, 4), rng=lane_rng(3, 2, Purpose.WEIGHTS)).astype(np.float32)
    assert np.array_equal(network.parameters[0]["weight"][2], expected)


def test_purposes_and_numbers_have_streams_of_their_own() -> None:
    draws = {lane_rng(s, n, p).random() for s in range(3) for n in range(3) for p in Purpose}
    assert len(draws) == 27
    assert lane_rng(1, 2, Purpose.ORDER).random() == lane_rng(1, 2, Purpose.ORDER).random()
    assert [int(purpose) for purpose in Purpose] == [0, 1, 2]
    with pytest.raises(BadInput, match="seed = -1"):
        lane_rng(-1, 0, Purpose.ORDER)


def test_the_forward_pass_is_the_formula() -> None:
    network = Network([5, 4, 3], rngs=weight_rngs(2), dtype=np.float64)
    network.parameters[0]["bias"][:] = 0.3
    x = np.random.default_rng(0).standard_normal((2, 6, 5))
    for lane in range(2):
        first, last = ({n: v[lane] for n, v in network.parameters[i].items()} for i in (0, 2))
        hidden = np.maximum(x[lane] @ first["weight"] + first["bias"], 0)
        expected = hidden @ last["weight"] + last["bias"]
        np.testing.assert_allclose(network.forward(x)[lane], expected, rtol=1e-12)


def test_keep_moves_the_lanes_that_stay_together() -> None:
    network = Network([5, 4, 3], rngs=weight_rngs(4))
    x = np.random.default_rng(0).standard_normal((4, 6, 5)).astype(np.float32)
    before = network.forward(x).copy()
    network.keep([1, 3])
    assert network.lanes == 2
    assert np.array_equal(network.forward(x[[1, 3]]), before[[1, 3]])
    for lanes in ([], [1, 0], [0, 0]):
        with pytest.raises(BadInput, match="ascending"):
            network.keep(lanes)


def test_weights_come_before_all_other_parameters() -> None:
    network = Network([5, 4, 3], rngs=weight_rngs(1))
    network.parameters[0]["bias"][:] = 7
    network.parameters[2]["bias"][:] = 7
    assert not (network.values[:, : network.weights] == 7).any()
    assert (network.values[:, network.weights :] == 7).sum() == 4 + 3


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"activation": "rellu"}, "no activation 'rellu'; did you mean 'relu'"),
        ({"initializer": "hee"}, "no initializer 'hee'; did you mean 'he'"),
        ({"sizes": [3]}, "two or more layers"),
        ({"sizes": [3, 0]}, "at least one unit"),
        ({"rngs": []}, "at least one lane"),
        ({"dtype": "float16"}, "float32 or float64"),
    ],
)
def test_what_is_no_network_is_refused(asked: dict[str, object], message: str) -> None:
    options: dict[str, object] = {"sizes": [3, 2], "rngs": weight_rngs(1), **asked}
    with pytest.raises(BadInput, match=message):
        Network(**options)  # type: ignore[arg-type]


def test_costs_by_hand() -> None:
    # 3-4-2: forward 2 (12 + 8) = 40 FLOPs a sample; backward 2 * 40 less the first layer's input, 24: 56.
    assert parameter_count([3, 4, 2]) == 3 * 4 + 4 + 4 * 2 + 2
    assert flops_per_trial([3, 4, 2], train=10, validation=5, epochs=2) == 2 * (10 * 96 + 5 * 40)


def test_larger_networks_get_fewer_lanes_and_never_none() -> None:
    counts = [lanes_for(10**power) for power in range(10)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1
    assert lanes_for(parameter_count([784, *[100] * 6, 10])) == 2
    assert lanes_for(parameter_count([784, 50, 10])) == 6
