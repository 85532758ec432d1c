"""Dropout: a mask with the right expectation, the same both ways, none in evaluation, from the lane's own generator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike, DTypeLike

from hpsearch.errors import BadInput
from hpsearch.nn import SGD, Dropout, Network, Purpose, TrainingData, lane_rngs, train


def layer(units: int, rates: Sequence[float], rows: int, *, dtype: DTypeLike = np.float64) -> Dropout:
    made = Dropout(units, rates, rngs=lane_rngs(0, range(len(rates)), Purpose.DROPOUT))
    made.reserve(len(rates), rows, np.dtype(dtype))
    made.select(len(rates), rows)
    return made


RATES = [0.0, 0.1, 0.2, 0.5, 0.9]


def test_kept_units_are_divided_by_the_keep_rate_and_the_others_are_0() -> None:
    x = np.random.default_rng(0).uniform(1, 2, (5, 40, 30))
    out = layer(30, RATES, 40).forward(x.copy())
    for lane, rate in enumerate(RATES):
        kept = out[lane] != 0
        np.testing.assert_allclose(out[lane][kept], x[lane][kept] / (1 - rate), rtol=1e-14)
        assert kept.all() == (rate == 0)


def test_units_are_dropped_with_probability_p_so_that_the_expected_output_is_the_input() -> None:
    rows, units = 500, 400
    out = layer(units, RATES, rows).forward(np.ones((5, rows, units)))
    # Hoeffding: of n = 200,000 units the share that is kept is off by more than t with probability 2 exp(-2 n t^2).
    t = math.sqrt(math.log(2e9) / (2 * rows * units))  # one in 10^9
    for lane, rate in enumerate(RATES):
        assert abs(np.count_nonzero(out[lane] == 0) / out[lane].size - rate) <= t
        assert abs(out[lane].mean() - 1) <= t / (1 - rate)
    # The same by row and by unit (one in 10^9 each), so that no row or unit has another rate.
    for axis, count in ((0, rows), (1, units)):
        share = (out[3] == 0).mean(axis=axis)
        assert np.abs(share - 0.5).max() <= math.sqrt(math.log(2e9) / (2 * count))


def test_neighbouring_units_rows_and_steps_are_dropped_independently() -> None:
    dropout = layer(401, [0.5], 300)
    first, second = (dropout.forward(np.ones((1, 300, 401)))[0].copy() - 1 for _ in range(2))
    bound = math.sqrt(2 * math.log(2e9) / 100_000)  # Hoeffding for products of -1 and 1
    for a, b in ((first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second)):
        assert abs((a * b).mean()) < bound


def test_the_same_mask_passes_the_gradient_back_and_is_the_same_in_float32() -> None:
    single, double = (layer(7, [0.3, 0.6], 5, dtype=dtype) for dtype in (np.float32, np.float64))
    for _ in range(3):
        mask = double.forward(np.ones((2, 5, 7))).copy()
        gradient = np.random.default_rng(0).standard_normal((2, 5, 7))
        np.testing.assert_allclose(double.backward(gradient.copy()), gradient * mask, rtol=1e-15)
        assert np.array_equal(single.forward(np.ones((2, 5, 7), np.float32)) != 0, mask != 0)


def network(
    dropout: ArrayLike | None, lanes: int = 2, *, hidden: tuple[int, int] = (9, 8), batch_norm: bool = False
) -> Network:
    return Network(
        [6, *hidden, 4],
        rngs=lane_rngs(0, range(lanes), Purpose.WEIGHTS),
        batch_norm=batch_norm,
        dropout=dropout,
        dropout_rngs=() if dropout is None else lane_rngs(0, range(lanes), Purpose.DROPOUT),
    )


def data() -> TrainingData:
    rng = np.random.default_rng(1)
    images, labels = rng.standard_normal((30, 6)), rng.integers(4, size=30)
    return TrainingData(images[:20], labels[:20], images[20:], labels[20:])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_evaluation_has_no_dropout(batch_norm: bool) -> None:
    x = data().images[None].astype(np.float32)
    dropped, plain = network(0.5, batch_norm=batch_norm), network(None, batch_norm=batch_norm)
    expected = plain.infer(x).tobytes()
    assert dropped.infer(x).tobytes() == expected
    assert dropped.infer(x).tobytes() == expected  # nothing is drawn either
    for ours, theirs in zip(dropped.activations(x), plain.activations(x), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    several = np.repeat(x, 2, axis=0)
    assert dropped.forward(several).tobytes() != plain.forward(several).tobytes()


def test_p_of_0_trains_as_no_dropout_does() -> None:
    trained = []
    for made in (network(None), network([0.0, 0.0]), network([0.0, 0.6])):
        rngs = lane_rngs(0, range(2), Purpose.ORDER)
        histories = train(made, SGD([0.1, 0.1], 1e-3), data(), batch_size=7, epochs=3, rngs=rngs)
        trained.append([(made.values[lane].tobytes(), histories[lane]) for lane in range(2)])
    assert trained[0] == trained[1]
    assert trained[0][0] == trained[2][0]
    assert trained[0][1] != trained[2][1]


def test_layers_of_a_network_have_masks_of_their_own() -> None:
    made = network(0.5, lanes=1, hidden=(50, 50))
    made.forward(np.ones((1, 4, 6), np.float32))
    ones = np.ones((1, 4, 50), np.float32)
    first, second = (one.backward(ones.copy()) != 0 for one in made.layers if isinstance(one, Dropout))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(BadInput, match=rf"dropout = {rate} in lane 1; give a probability from 0 to below 1"):
        network([0.5, rate])


def test_generators_are_one_a_lane() -> None:
    rngs = lane_rngs(0, range(2), Purpose.DROPOUT)
    with pytest.raises(BadInput, match="dropout with 1 generators of masks for 2 lanes"):
        Network([3, 4, 2], rngs=rngs, dropout=0.1, dropout_rngs=rngs[:1])
