"""The null distributions against Monte Carlo and special cases; edges on the chapter's response curve."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from made_stages import as_number
from numpy.typing import NDArray

from hpsearch.records import NewStage
from hpsearch.samplers import RandomSampler
from hpsearch.search.edges import find_edges
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
    assert means == {"low": 1.0, "middle": 2.0, "high": 4.0}


def test_draw_probabilities_add_up() -> None:
    parameter = Int(2, 30, log=True)
    _, weights = cells(parameter)
    for value, weight in zip(range(2, 31), weights, strict=True):
        below, upto = draw_probability(parameter, value)
        assert upto - below == pytest.approx(weight)
    assert draw_probability(parameter, 2)[0] == pytest.approx(0)
    assert draw_probability(parameter, 30)[1] == pytest.approx(1)
    assert draw_probability(Float(1e-4, 1.0, log=True), 1e-2) == pytest.approx((0.5, 0.5))


# The chapter's experiment, from 420 trainings of its network (400 images, 50 epochs, 2,000 validation images):
# log10(lr), mean accuracy, standard deviation between initial weights.
_EXPONENT = [-6.0, -4.5, -3.75, -3.4, -3.1, -2.85, -2.6, -2.35, -2.1, -1.85, -1.5, -1.1, -0.6]
_MEAN = [0.1, 0.105, 0.112, 0.13, 0.19, 0.27, 0.4, 0.6, 0.74, 0.8, 0.841, 0.847, 0.845]
_SPREAD = [0.018, 0.02, 0.022, 0.025, 0.04, 0.06, 0.085, 0.085, 0.05, 0.02, 0.008, 0.008, 0.01]


def _accuracies(exponent: Array, rng: np.random.Generator) -> Array:
    """Measured on 100 images: steps of 0.01 with binomial noise."""
    mean, spread = (np.interp(exponent, _EXPONENT, of) for of in (_MEAN, _SPREAD))
    expected = mean + spread * rng.standard_normal(len(exponent))
    return np.asarray(rng.binomial(100, np.clip(expected, 0.02, 0.98)) / 100.0, dtype=float)


def _after_the_cliff(kind: str, exponent: Array, score: Array, rng: np.random.Generator) -> Array:
    """Above lr = 0.3 trials diverge ("missing"), or mostly end with poor scores ("poor", as really happens)."""
    past = exponent > -0.5 + 0.1 * rng.standard_normal(len(exponent))
    if kind == "missing":
        return np.where(past, np.nan, score - np.round(0.15 * np.clip(exponent + 1, 0, None), 2))
    poor = np.clip(0.5 - 0.6 * (exponent + 0.5) + 0.15 * rng.standard_normal(len(exponent)), 0.05, 0.8)
    return np.where(past, np.where(rng.random(len(exponent)) < 0.3, np.nan, np.round(poor, 2)), score)


def _edge_rates(lr: Float, kind: str, *, seeds: int, k: int = 5) -> dict[str, float]:
    """The share of searches of 100 trials with an edge warning at each bound of lr, and at any of weight decay's."""
    decay = Float(1e-8, 1e-4, log=True)
    count = {"low": 0, "high": 0, "decay": 0}
    for seed in range(seeds):
        rng = np.random.default_rng([13, seed])
        exponent = rng.uniform(math.log10(lr.low), math.log10(lr.high), 100)
        other = 10 ** rng.uniform(-8, -4, 100)
        score = _after_the_cliff(kind, exponent, _accuracies(exponent, rng), rng)
        done = np.flatnonzero(~np.isnan(score))
        # Ties by a validation loss that knows a little more than the score.
        best = done[np.lexsort((-score[done] + 0.02 * rng.standard_normal(len(done)), -score[done]))]
        values = np.clip(10 ** exponent[best], lr.low, lr.high)
        for edge in find_edges(lr, values, score[best], k):
            count[edge.side] += 1
        count["decay"] += bool(find_edges(decay, other[best], score[best], k))
    return {name: number / seeds for name, number in count.items()}


CUT, WHOLE = Float(1e-6, 1e-2, log=True), Float(1e-4, 1.0, log=True)


@pytest.mark.parametrize(("lr", "kind"), [(CUT, "missing"), (WHOLE, "missing"), (WHOLE, "poor")])
@pytest.mark.parametrize("k", [3, 5, 10, 20])
def test_a_range_cut_too_low_is_noticed_and_an_optimum_inside_is_no_edge(k: int, lr: Float, kind: str) -> None:
    rates = _edge_rates(lr, kind, seeds=250, k=k)
    assert rates["high"] >= 0.98 if lr == CUT else rates["high"] <= 0.03
    assert rates["low"] == 0
    assert rates["decay"] <= 0.04


@pytest.mark.parametrize("trials", [10, 20, 30, 100])
def test_a_few_trials_show_no_edge_where_the_optimum_is_inside(trials: int) -> None:
    """Nor does noise; and a hundred show the edge that is one."""

    def claims(optimum: float) -> float:
        edges = 0
        for seed in range(250):
            rng = np.random.default_rng([trials, seed])
            x = rng.random(trials)
            score = -((x - optimum) ** 2) + 0.03 * (seed % 2) * rng.standard_normal(trials)
            best = np.argsort(-score)
            edges += bool(find_edges(Float(0, 1), x[best], score[best], 5))
        return edges / 250

    assert max(map(claims, (0.5, 0.65, 0.75))) < 0.05
    assert trials < 100 or claims(1.3) > 0.95


def _edge_sides(parameter: Float | Int, values: list[Value], goodness: list[float]) -> list[str]:
    order = np.argsort(-np.array(goodness), kind="stable")
    numbers = np.array([as_number(v) for v in values])
    return [e.side for e in find_edges(parameter, numbers[order], np.array(goodness)[order], 5)]


def test_a_lower_bound_mirrors_an_upper_one_also_of_ints() -> None:
    rng = np.random.default_rng(17)
    up, units = rng.uniform(0, 1, 60), rng.integers(1, 21, 80)
    goodness, of_units = up + 0.05 * rng.standard_normal(60), (units + rng.standard_normal(80)).tolist()
    assert _edge_sides(Float(0, 1), up.tolist(), goodness.tolist()) == ["high"]
    assert _edge_sides(Float(0, 1), (1 - up).tolist(), goodness.tolist()) == ["low"]
    assert _edge_sides(Float(-1, 0), (-up).tolist(), goodness.tolist()) == ["low"]
    assert _edge_sides(Int(1, 20), units.tolist(), of_units) == ["high"]
    assert _edge_sides(Int(1, 20, log=True), (21 - units).tolist(), of_units) == ["low"]


UP = np.linspace(0, 1, 60)


@pytest.mark.parametrize(
    ("high", "values", "goodness", "edges"),
    [
        (0.8, UP * 0.8, UP, ["high"]),
        (1.0, UP * 0.8, UP, []),  # a rise that ends in failures: nothing finished in the last fifth
        (1.0, UP, np.where(UP > 0.9, -1.0, UP), []),  # one that turns before the bound
        (1.0, UP[::-1], np.full(60, 0.1), []),  # equal scores
    ],
)
def test_a_rise_up_to_the_bound_alone_is_an_edge(high: float, values: Array, goodness: Array, edges: list[str]) -> None:
    assert _edge_sides(Float(0, high), values.tolist(), goodness.tolist()) == edges


def test_a_stray_twentieth_does_not_hide_an_edge() -> None:
    x = np.linspace(1, 0, 100)
    goodness = x.copy()
    goodness[95] = 0.815  # among the best twenty, but far from the bound
    order = np.argsort(-goodness)
    assert [e.side for e in find_edges(Float(0, 1), x[order], goodness[order], 20)] == ["high"]
