"""The null distributions against Monte Carlo and special cases; edges on the chapter's response curve."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.records import NewStage
from hpsearch.samplers import RandomSampler
from hpsearch.search.evidence import (
    cells,
    discrete_spread_p,
    distinct_p,
    draw_probability,
    effect,
    lost_choices,
    spread_p,
    uniform_spread_p,
)
from hpsearch.space import Categorical, Float, Int, Parameter, Value

Array = NDArray[np.float64]


@pytest.mark.parametrize("k", [2, 3, 5, 20])
def test_spread_of_uniform_draws_has_the_derived_distribution(k: int) -> None:
    draws = np.random.default_rng([1, k]).random((40_000, k))
    spread = np.ptp(draws, axis=1)
    for ratio in (0.1, 0.3, 0.5, 0.8, 0.95):
        assert uniform_spread_p(ratio, k) == pytest.approx(np.mean(spread <= ratio), abs=0.01)


@pytest.mark.parametrize("parameter", [Int(0, 9), Int(2, 20, step=3), Int(1, 40, log=True), Int(16, 256, log=True)])
def test_weights_of_ints_are_those_of_the_sampler_s_draws(parameter: Int) -> None:
    stage, sampler = NewStage("", 1, "maximize", 3, {"x": parameter}, {}), RandomSampler()
    drawn = np.array([sampler.params(stage, number)["x"] for number in range(12_000)])
    _, weights = cells(parameter)
    values = np.arange(parameter.low, parameter.high + 1, parameter.step)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose([np.mean(drawn == v) for v in values], weights, atol=0.02)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_discrete_spread_equals_counting_every_outcome(k: int) -> None:
    x, weights = [0.0, 1.0, 1.5, 4.0], [0.1, 0.4, 0.3, 0.2]
    for distance in (0.0, 0.5, 1.0, 2.5, 3.0, 4.0):
        exact = sum(
            math.prod(weights[i] for i in draw)
            for draw in itertools.product(range(4), repeat=k)
            if x[max(draw)] - x[min(draw)] <= distance
        )
        assert discrete_spread_p(x, weights, distance, k) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("parameter", "values", "p"),
    [
        # The whole range is no evidence; of one cell it is its power.
        (Int(1, 8), [1, 4, 8], 1),
        (Int(1, 8), [5, 5, 5], 8 * (1 / 8) ** 3),
        (Int(1, 100, log=True), [1, 50, 100], 1),
        (Categorical(("relu", "tanh", "sigmoid")), ["relu"] * 5, 3 / 3**5),
        (Categorical(("relu", "tanh", "sigmoid")), ["relu", "tanh", "sigmoid"], 1),
        (Categorical(("relu",)), ["relu"] * 5, 1),
    ],
)
def test_evidence_by_hand(parameter: Parameter, values: list[Value], p: float) -> None:
    assert spread_p(parameter, values) == pytest.approx(p)


def test_a_huge_int_range_is_as_good_as_continuous() -> None:
    small = spread_p(Int(0, 99_000), [30_000, 42_000, 50_000])
    assert spread_p(Int(0, 990_000), [300_000, 420_000, 500_000]) == pytest.approx(small, rel=1e-3)


@pytest.mark.parametrize(("choices", "k"), [(2, 2), (3, 5), (4, 4), (5, 3)])
def test_distinct_choices_equal_counting_every_outcome(choices: int, k: int) -> None:
    seen = [len(set(draw)) for draw in itertools.product(range(choices), repeat=k)]
    for distinct in range(1, choices + 1):
        assert distinct_p(choices, k, distinct) == pytest.approx(np.mean(np.array(seen) <= distinct))


def _of_choices(rng: np.random.Generator, gain: float) -> tuple[Value, ...]:
    """Return the lost choices of 100 trials; "c" has good values in a third of its trials, better ones by ``gain``."""
    choices = Categorical(("a", "b", "c"))
    values = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, 100)]
    scores = rng.random(100) * np.where(values == "c", np.where(rng.random(100) < 0.3, 1 + gain, 0.5), 1)
    return lost_choices(choices, values, scores if gain else rng.integers(0, 9, 100).astype(float))


def test_a_choice_is_lost_only_where_its_best_trials_are() -> None:
    nothing = [_of_choices(np.random.default_rng([3, seed]), 0.0) for seed in range(400)]
    assert np.mean([bool(lost) for lost in nothing]) <= 0.02
    few_good = [_of_choices(np.random.default_rng([4, seed]), 1.0) for seed in range(200)]
    assert np.mean(["c" in lost for lost in few_good]) <= 0.05
    bad = [_of_choices(np.random.default_rng([4, seed]), -0.5) for seed in range(200)]
    assert np.mean(["c" in lost for lost in bad]) >= 0.95
    assert lost_choices(Categorical(("a", "b")), np.full(20, "a", dtype=object), np.arange(20.0)) == ("b",)


def test_an_effect_of_the_whole_stage_is_seen_where_the_best_are_scattered() -> None:
    """As on Fashion-MNIST: 0.78, 0.86 and 0.73 on average, and the best few anywhere."""
    p = []
    for seed in range(100):
        rng = np.random.default_rng([6, seed])
        x = rng.random(100)
        score = np.array([0.78, 0.86, 0.73])[np.floor(3 * x).astype(int)] - 0.08 * rng.exponential(size=100)
        p.append(effect(Float(0, 1), x, score).p)
    assert np.mean(np.array(p) <= 0.001) >= 0.95
    means = effect(Int(1, 3), np.array([1, 2, 3] * 5), -np.array([1.0, 2.0, 4.0] * 5), "minimize").means
    assert means == {"low third": 1.0, "middle third": 2.0, "high third": 4.0}


def test_draw_probabilities_add_up() -> None:
    parameter = Int(2, 30, log=True)
    _, weights = cells(parameter)
    for value, weight in zip(range(2, 31), weights, strict=True):
        below, upto = draw_probability(parameter, value)
        assert upto - below == pytest.approx(weight)
    assert draw_probability(parameter, 2)[0] == pytest.approx(0)
    assert draw_probability(parameter, 30)[1] == pytest.approx(1)
    assert draw_probability(Float(1e-4, 1.0, log=True), 1e-2) == pytest.approx((0.5, 0.5))
