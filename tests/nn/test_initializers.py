"""Initial weights: the spread of each scheme."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import (
    INITIALIZERS,
    Constant,
    Initializer,
    Network,
    Normal,
    Purpose,
    glorot,
    he,
    initializer,
    lane_rng,
    lane_rngs,
    xavier,
)

FAN_IN, FAN_OUT = 200, 800
SPREADS = [
    (he, math.sqrt(2 / FAN_IN)),
    (xavier, math.sqrt(1 / FAN_IN)),
    (glorot, math.sqrt(2 / (FAN_IN + FAN_OUT))),
    (Normal(), 0.01),
    (Normal(1.0), 1.0),
]


@pytest.mark.parametrize(("draw", "std"), SPREADS, ids=["he", "xavier", "glorot", "normal", "normal-1"])
def test_the_spread_of_each_scheme(draw: Initializer, std: float) -> None:
    weights = draw((FAN_IN, FAN_OUT), rng=np.random.default_rng(0)) / std
    n = weights.size
    assert weights.shape == (FAN_IN, FAN_OUT)
    assert weights.dtype == np.float64
    # Six standard errors of the mean and of the standard deviation of n normal numbers: one seed in 10^8.
    assert abs(weights.mean()) < 6 / math.sqrt(n)
    assert abs(weights.std() - 1) < 6 / math.sqrt(2 * n)
    # And the shape is a normal one: the shares within 1, 2 and 3 standard deviations.
    for size, share in ((1, 0.682689), (2, 0.954500), (3, 0.997300)):
        assert abs(np.mean(np.abs(weights) < size) - share) < 6 * math.sqrt(share * (1 - share) / n)


def test_a_registered_name_is_the_scheme_itself() -> None:
    shape = (5, 3)
    schemes: dict[str, Initializer] = {
        "he": he,
        "xavier": xavier,
        "glorot": glorot,
        "normal": Normal(0.3),
        "zeros": Constant(0.0),
        "constant": Constant(0.7),
    }
    assert set(schemes) == set(INITIALIZERS)
    for name, scheme in schemes.items():
        made = initializer(name, std=0.3, value=0.7)(shape, rng=np.random.default_rng(4))
        assert np.array_equal(made, scheme(shape, rng=np.random.default_rng(4)))
    assert initializer("normal") == Normal(0.01)
    assert initializer("constant") == Constant(0.1)


def test_lanes_may_have_different_initialisers_and_each_draws_as_alone() -> None:
    schemes: list[str | Initializer] = ["he", Normal(0.3), "zeros", "glorot", Constant(2.0)]
    network = Network([5, 4, 3], rngs=lane_rngs(3, range(5), Purpose.WEIGHTS), initializers=schemes)
    for number, scheme in enumerate(schemes):
        alone = Network([5, 4, 3], rngs=lane_rngs(3, [number], Purpose.WEIGHTS), initializers=scheme)
        assert network.values[number].tobytes() == alone.values[0].tobytes()
        rng = lane_rng(3, number, Purpose.WEIGHTS)
        draw = initializer(scheme) if isinstance(scheme, str) else scheme
        for layer, shape in zip((0, 2), pairwise([5, 4, 3]), strict=True):
            expected = draw(shape, rng=rng).astype(np.float32)
            assert np.array_equal(network.parameters[layer]["weight"][number], expected)
            assert not network.parameters[layer]["bias"][number].any()


def test_what_is_no_initialiser_is_refused() -> None:
    rngs = lane_rngs(0, range(2), Purpose.WEIGHTS)
    with pytest.raises(BadInput, match="no initializer 'hee'; did you mean 'he'"):
        initializer("hee")
    with pytest.raises(BadInput, match="no initializer 'hee'; did you mean 'he'"):
        Network([3, 2], rngs=rngs, initializers=["he", "hee"])
    with pytest.raises(BadInput, match="3 initialisers for 2 lanes"):
        Network([3, 2], rngs=rngs, initializers=["he"] * 3)
    for std in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BadInput, match=f"init_std = {std}; give a finite number above 0"):
            initializer("normal", std=std)
    for value in (math.inf, math.nan):
        with pytest.raises(BadInput, match=f"init_value = {value}; give a finite number"):
            initializer("constant", value=value)
