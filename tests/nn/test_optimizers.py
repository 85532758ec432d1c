"""Optimizers: their equations worked by hand, the laws that all keep, published values, and closed forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from hpsearch.errors import BadInput
from hpsearch.nn import OPTIMIZERS, AdaGrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSProp

GRADIENTS = (2.0, 1.0, -2.0)
ALL = sorted(OPTIMIZERS)

# One weight and one bias, both 1 at first, with gradients 2, 1, -2, lr 0.1 and weight decay 0.5 (of the weight alone:
# its g is 2 + 0.5 W and so on; AdamW's is not). Worked from the equations in exact decimals, 15 digits kept.
BY_HAND: dict[str, tuple[dict[str, float], list[float], list[float]]] = {
    # W: 1 - 0.1 (2 + 0.5) = 0.75;  0.75 - 0.1 (1 + 0.375) = 0.6125;  0.6125 - 0.1 (-2 + 0.30625) = 0.781875
    # b: 1 - 0.2;  0.8 - 0.1;  0.7 + 0.2
    "sgd": ({}, [0.75, 0.6125, 0.781875], [0.8, 0.7, 0.9]),
    # v: -0.1 * 2.5 = -0.25;  0.5 * -0.25 - 0.1 * 1.375 = -0.2625;  -0.13125 - 0.1 (-2 + 0.24375) = 0.044375
    # W: 1 - 0.25;  0.75 - 0.2625;  0.4875 + 0.044375   (plus v: with the notes' minus the first step would climb)
    # b: v = -0.2;  -0.1 - 0.1 = -0.2;  -0.1 + 0.2 = 0.1
    "momentum": ({"momentum": 0.5}, [0.75, 0.4875, 0.531875], [0.8, 0.6, 0.7]),
    # Theta = W + 0.5 v. v as above, with g at Theta; Theta <- Theta + 0.5 v - 0.1 g.
    # v: -0.25;                  -0.125 - 0.1 * 1.3125 = -0.25625;        -0.128125 - 0.1 * -1.8171875 = 0.05359375
    # W: 1 - 0.125 - 0.25 = 0.625;  0.625 - 0.128125 - 0.13125 = 0.365625;  0.365625 + 0.026796875 + 0.18171875
    # b: v = -0.2, b = 0.7;  v = -0.2, b = 0.7 - 0.1 - 0.1;  v = 0.1, b = 0.5 + 0.05 + 0.2
    "nesterov": ({"momentum": 0.5}, [0.625, 0.365625, 0.574140625], [0.7, 0.5, 0.75]),
    # W: g = 2.5, h = 6.25, step 0.1 * 2.5 / (2.5 + 0.1);  g = 1.4519..., h = 8.3581..., step 0.0485...
    # b: h = 4, step 0.2 / 2.1;  h = 5, step 0.1 / (sqrt 5 + 0.1);  h = 9, step -0.2 / 3.1
    "adagrad": (
        {"eps": 0.1},
        [0.903846153846154, 0.855303649068082, 0.901672591306602],
        [0.904761904761905, 0.861954931264915, 0.926471060297173],
    ),
    # W: g = 2.5, h = 0.25 * 6.25 = 1.5625, step 0.25 / 1.35;  g = 1.4074..., h = 1.6670..., step 0.1011...
    # b: h = 1, step 0.2 / 1.1;  h = 0.75 + 0.25 = 1, step 0.1 / 1.1;  h = 0.75 + 1 = 1.75, step -0.2 / 1.4228...
    "rmsprop": (
        {"rho": 0.75, "eps": 0.1},
        [0.814814814814815, 0.713646341159629, 0.824107817107848],
        [0.818181818181818, 0.727272727272727, 0.867833147448853],
    ),
    # b: m = 1, v = 1, both doubled and quadrupled by their corrections: step 0.1 * 2 / (2 + 0.1);
    #    m = 1, v = 1: m / 0.75, v / 0.4375, step 0.1333... / (1.5118... + 0.1);
    #    m = -0.5, v = 1.75: m / 0.875, v / 0.578125
    # W: the same with g = 2.5, 1.4519..., -1.5915...
    "adam": (
        {"beta1": 0.5, "beta2": 0.75, "eps": 0.1},
        [0.903846153846154, 0.816852108555094, 0.824026581470946],
        [0.904761904761905, 0.822041626509062, 0.853100306463362],
    ),
    # b as Adam's. W: * (1 - 0.1 * 0.5) before each of the very steps of b.
    "adamw": (
        {"beta1": 0.5, "beta2": 0.75, "eps": 0.1},
        [0.854761904761905, 0.729303531270967, 0.723897034661719],
        [0.904761904761905, 0.822041626509062, 0.853100306463362],
    ),
}


def make(
    name: str, lr: ArrayLike = 0.1, weight_decay: ArrayLike = 0.0, options: Mapping[str, Any] | None = None
) -> Optimizer:
    chosen: Any = OPTIMIZERS[name]
    optimizer: Optimizer = chosen(lr, weight_decay, **(options or {}))
    return optimizer


def steps(
    optimizer: Optimizer,
    lane: int,
    values: NDArray[np.floating[Any]],
    gradients: Sequence[ArrayLike],
    *,
    weights: int | None = None,
) -> list[list[float]]:
    """Update in place by each gradient, scaled as a network would scale it; the values after every step."""
    seen = []
    for gradient in gradients:
        scaled = (np.broadcast_to(gradient, values.shape) * optimizer.gradient_scale[lane]).astype(values.dtype)
        optimizer.update(lane, values, scaled, weights=len(values) if weights is None else weights)
        seen.append(values.tolist())
    return seen


@pytest.mark.parametrize("name", ALL)
def test_three_steps_by_hand_with_decay_of_weights_and_not_of_others(name: str) -> None:
    options, weight, bias = BY_HAND[name]
    # In lane 1 of 2, whose neighbour has other hyperparameters.
    optimizer = make(name, [7.0, 0.1], [3.0, 0.5], {key: [0.3, value] for key, value in options.items()})
    seen = steps(optimizer, 1, np.array([1.0, 1.0]), GRADIENTS, weights=1)
    np.testing.assert_allclose(seen, np.transpose([weight, bias]), rtol=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_state_and_hyperparameters_survive_keep(name: str) -> None:
    options, weight, bias = BY_HAND[name]
    lanes = {key: [0.3, value, 0.2, value] for key, value in options.items()}
    optimizer = make(name, [7.0, 0.1, 3.0, 0.1], [3.0, 0.5, 1.0, 0.5], lanes)
    rows = np.ones((4, 2))
    for lane in range(4):
        steps(optimizer, lane, rows[lane], GRADIENTS[: 2 if lane == 1 else 1], weights=1)
    optimizer.keep(np.array([1, 3]))
    assert optimizer.lanes == len(optimizer.gradient_scale) == 2
    steps(optimizer, 0, rows[1], GRADIENTS[2:], weights=1)
    steps(optimizer, 1, rows[3], GRADIENTS[1:], weights=1)
    for row in (rows[1], rows[3]):
        np.testing.assert_allclose(row, [weight[2], bias[2]], rtol=1e-14)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_of_many_blocks_is_updated_as_its_elements_are(name: str, dtype: type[np.floating[Any]]) -> None:
    size, weights = 40_000, 33_000  # blocks have 16,384 elements: decay ends within the third
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(size).astype(dtype), rng.standard_normal((3, size))
    whole = start.copy()
    steps(make(name, 0.1, 0.5), 0, whole, list(gradients), weights=weights)
    for first, last in ((0, 100), (16_300, 16_500), (32_700, 33_000), (33_000, 33_100), (39_000, size)):
        part = start[first:last].copy()
        inside = part.size if first < weights else 0
        steps(make(name, 0.1, 0.5), 0, part, list(gradients[:, first:last]), weights=inside)
        assert part.tobytes() == whole[first:last].tobytes()


@pytest.mark.parametrize("name", sorted(set(ALL) - {"momentum", "nesterov"}))
def test_factors_are_of_the_lr_given_at_the_start_and_stay_with_their_lanes(name: str) -> None:
    options, _, bias = BY_HAND[name]
    moves = np.diff([1.0, *bias])
    optimizer = make(name, [5.0, 0.1, 0.1], 0.0, options)
    rows = np.ones((3, 1))
    for gradient, factor in zip(GRADIENTS[:2], (0.5, 0.25), strict=True):
        optimizer.scale_lr([1.0, factor, 1.0])
        for lane in range(3):
            steps(optimizer, lane, rows[lane], [gradient])
    optimizer.keep(np.array([1, 2]))
    for lane in range(2):
        steps(optimizer, lane, rows[1 + lane], GRADIENTS[2:])
    assert rows[1, 0] == pytest.approx(1 + moves @ [0.5, 0.25, 0.25], rel=1e-14)
    assert rows[2, 0] == pytest.approx(bias[2], rel=1e-14)


def test_momentum_s_v_holds_each_step_s_own_lr() -> None:
    # lr 0.1 then 0.05, m 0.5, gradients 2 and 1: v = -0.2, W = 0.8;  v = -0.1 - 0.05 = -0.15, W = 0.65.
    # Nesterov's Theta: 1 - 0.1 - 0.2 = 0.7;  0.7 - 0.075 - 0.05 = 0.575.
    for name, expected in (("momentum", [0.8, 0.65]), ("nesterov", [0.7, 0.575])):
        optimizer, value = make(name, 0.1, 0.0, {"momentum": 0.5}), np.ones(1)
        steps(optimizer, 0, value, [2.0])
        seen = value.tolist()
        optimizer.scale_lr([0.5])
        steps(optimizer, 0, value, [1.0])
        np.testing.assert_allclose([*seen, *value], expected, rtol=1e-15)


@pytest.mark.parametrize("name", ALL)
def test_weights_of_gradient_zero_and_no_decay_stay(name: str) -> None:
    """So do the elements between two arrays of a lane, which are 0 and have no gradient."""
    values = np.array([0.0, 1.0, -2.0], np.float32)
    assert steps(make(name), 0, values, [0.0] * 3) == [[0.0, 1.0, -2.0]] * 3


@pytest.mark.parametrize("name", ALL)
def test_one_value_is_for_all_lanes_and_defaults_are_the_literature_s(name: str) -> None:
    chosen: Any = OPTIMIZERS[name]
    optimizer = chosen([0.1, 0.2])
    literature = {"weight_decay": 0.0, "momentum": 0.9, "rho": 0.99, "beta1": 0.9, "beta2": 0.999}
    literature["eps"] = 1e-8 if name.startswith("adam") else 1e-7
    assert set(OPTIMIZERS[name].hyperparameters) == {"lr", "weight_decay", *BY_HAND[name][0]}
    for hyperparameter in optimizer.hyperparameters:
        expected = [0.1, 0.2] if hyperparameter == "lr" else [literature[hyperparameter]] * 2
        assert optimizer[hyperparameter].tolist() == expected


@pytest.mark.parametrize(("name", "hyperparameter"), [(n, h) for n in ALL for h in OPTIMIZERS[n].hyperparameters])
def test_what_is_no_hyperparameter_is_refused(name: str, hyperparameter: str) -> None:
    good: dict[str, Any] = {"lr": [0.1, 0.1], "weight_decay": [0.0, 0.0], **BY_HAND[name][0]}
    bad = [np.nan, -1e-9, np.inf] + ([1.0] if hyperparameter in ("momentum", "rho", "beta1", "beta2") else [])
    for value in bad:
        with pytest.raises(BadInput, match=rf"{hyperparameter} = {value} in lane 1; give a"):
            OPTIMIZERS[name](**{**good, hyperparameter: [0.5, value]})
    if hyperparameter != "lr":
        with pytest.raises(BadInput, match=rf"{hyperparameter} has shape \(3,\); give one value, or 2"):
            OPTIMIZERS[name](**{**good, hyperparameter: [0.1] * 3})
    with pytest.raises(BadInput, match=rf"{hyperparameter} has shape \(1, 2\)"):
        OPTIMIZERS[name](**{**good, hyperparameter: [[0.1, 0.1]]})


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


def test_adagrad_as_keras_publishes_it() -> None:
    # Keras 3, adagrad_test.py, test_correctness_with_golden: lr 0.2, from 1, one gradient of 0.01, then 0.1 ... 1.0.
    # Its accumulator starts at 0.3: so one gradient of sqrt(0.3), whose step is lr, goes before.
    published = [
        [0.9963] * 10,
        [0.9604, 0.9278, 0.9003, 0.8784, 0.8615, 0.8487, 0.8388, 0.8313, 0.8255, 0.8209],
        [0.9251, 0.8629, 0.8137, 0.7768, 0.7497, 0.7298, 0.7151, 0.704, 0.6956, 0.6891],
        [0.8903, 0.8012, 0.7342, 0.6862, 0.6521, 0.6277, 0.6099, 0.5967, 0.5867, 0.579],
        [0.856, 0.7422, 0.6604, 0.6037, 0.5644, 0.5367, 0.5168, 0.5021, 0.491, 0.4825],
    ]
    given = [np.full(10, 0.3**0.5), np.full(10, 0.01), *[np.arange(0.1, 1.05, 0.1)] * 4]
    found = descend(AdaGrad(0.2), np.full(10, 1.2), lambda values, step: given[step], 6)
    np.testing.assert_allclose(found[0], 1, rtol=1e-6)
    np.testing.assert_allclose(found[1:], published, atol=6e-5)


T = np.arange(1, 401)
CONSTANT_GRADIENT: dict[str, tuple[Optimizer, NDArray[Any]]] = {
    # Bias correction makes both moments exact from the first step: lr g / |g|, whatever the gradient's size.
    "adam": (Adam(0.01, eps=1e-30), np.full(400, 0.01)),
    "adagrad": (AdaGrad(0.01, eps=1e-30), 0.01 / np.sqrt(T)),
    # h = (1 - rho^t) g^2: the steps fall to lr and no further.
    "rmsprop": (RMSProp(0.01, rho=0.9, eps=1e-30), 0.01 / np.sqrt(1 - 0.9**T)),
    # They rise to lr g / (1 - m).
    "momentum": (Momentum(0.01, momentum=0.8), 0.03 * (1 - 0.8**T) / 0.2),
}


@pytest.mark.parametrize("name", CONSTANT_GRADIENT)
def test_steps_of_a_constant_gradient_have_a_closed_form(name: str) -> None:
    optimizer, expected = CONSTANT_GRADIENT[name]
    scale = 3.0 if name == "momentum" else 1e3  # the others' steps do not depend on it
    path = np.ravel(descend(optimizer, np.zeros(1), lambda values, step: scale, 400))
    np.testing.assert_allclose(-np.diff(path, prepend=0.0), expected, rtol=1e-8)


CURVATURE = np.array([0.1, 2.0])
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
    found = descend(Nesterov(lr, weight_decay, momentum=m), START, lambda values, step: CURVATURE * values, 30)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_adamw_s_decay_is_its_own_factor() -> None:
    """Without a gradient its weights decay alike, whatever their history; Adam's L2 step is lr, whatever the decay."""
    start = np.array([1.0, -2.0, 3.0])
    (decayed,) = descend(AdamW(0.1, 0.5), start, lambda values, step: 0.0, 1)
    np.testing.assert_allclose(decayed, 0.95 * start, rtol=1e-14)
    (coupled,) = descend(Adam(0.1, 0.5), start, lambda values, step: 0.0, 1)
    np.testing.assert_allclose(coupled, start - 0.1 * np.sign(start), rtol=1e-6)
    scheduled: Any = AdamW(0.1, 0.5)
    scheduled.scale_lr([0.2])
    (decayed,) = descend(scheduled, np.ones(1), lambda values, step: 0.0, 1)
    assert decayed[0] == pytest.approx(1 - 0.02 * 0.5, rel=1e-14)
