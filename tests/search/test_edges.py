"""Edges on the chapter's response curve and on shapes of which the optimum is known."""

from __future__ import annotations

import math
from dataclasses import replace

import edges as simulated
import numpy as np
import pytest
from made_stages import as_number
from numpy.typing import NDArray

from hpsearch.search.edges import Edge, find_edges, with_earlier
from hpsearch.space import Float, Int, Value

Array = NDArray[np.float64]


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


def _edge_rates(lr: Float, kind: str, *, seeds: int) -> dict[str, float]:
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
        for edge in find_edges(lr, values, score[best], [np.log10(other[best]) / 4 + 2]):
            count[edge.side] += 1
        count["decay"] += bool(find_edges(decay, other[best], score[best], [exponent[best] / 4]))
    return {name: number / seeds for name, number in count.items()}


CUT, WHOLE = Float(1e-6, 1e-2, log=True), Float(1e-4, 1.0, log=True)


@pytest.mark.parametrize(("lr", "kind"), [(CUT, "missing"), (WHOLE, "missing"), (WHOLE, "poor")])
def test_a_range_cut_too_low_is_noticed_and_an_optimum_inside_is_no_edge(lr: Float, kind: str) -> None:
    rates = _edge_rates(lr, kind, seeds=120)
    assert rates["high"] >= 0.85 if lr == CUT else rates["high"] <= 0.02
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
            edges += bool(find_edges(Float(0, 1), x[best], score[best]))
        return edges / 250

    assert max(map(claims, (0.5, 0.65, 0.75))) < 0.05
    assert trials < 100 or claims(1.3) > 0.95


def _edge_sides(parameter: Float | Int, values: list[Value], goodness: list[float]) -> list[str]:
    order = np.argsort(-np.array(goodness), kind="stable")
    numbers = np.array([as_number(v) for v in values])
    return [e.side for e in find_edges(parameter, numbers[order], np.array(goodness)[order])]


def test_a_lower_bound_mirrors_an_upper_one_also_of_ints() -> None:
    rng = np.random.default_rng(17)
    up, units = rng.uniform(0, 1, 60), rng.integers(1, 21, 80)
    goodness, of_units = up + 0.05 * rng.standard_normal(60), (units + rng.standard_normal(80)).tolist()
    assert _edge_sides(Float(0, 1), up.tolist(), goodness.tolist()) == ["high"]
    assert _edge_sides(Float(0, 1), (1 - up).tolist(), goodness.tolist()) == ["low"]
    assert _edge_sides(Float(-1, 0), (-up).tolist(), goodness.tolist()) == ["low"]
    assert _edge_sides(Int(1, 20), units.tolist(), of_units) == ["high"]
    of_octaves = (rng.standard_normal(80) / 4 - np.log2(units)).tolist()
    assert _edge_sides(Int(1, 20, log=True), units.tolist(), of_octaves) == ["low"]


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
    assert [e.side for e in find_edges(Float(0, 1), x[order], goodness[order])] == ["high"]


def _alarms(shape: str, at: float, trials: int, examples: int) -> float:
    seen = [simulated.alarms(shape, at, trials, examples, seed=seed) for seed in range(60)]
    return float(np.mean(["high" in of["x"] for of in seen]))


@pytest.mark.parametrize("shape", ["bowl", "flat", "plateau", "cliff", "collapse", "ridge", "floor", "late"])
def test_an_optimum_a_tenth_of_the_range_inside_is_no_edge(shape: str) -> None:
    assert max(_alarms(shape, at, 100, 1000) for at in (0.8, 0.9)) <= 0.05


@pytest.mark.parametrize("shape", ["bowl", "cliff", "ridge", "floor", "late", "linear"])
def test_what_is_to_be_had_beyond_a_bound_is_seen(shape: str) -> None:
    assert simulated.gain(shape, 1.2) >= 0.02
    assert _alarms(shape, 1.2, 100, 1000) >= 0.9


def test_an_edge_that_an_earlier_stage_saw_too_is_the_stage_s_own_and_moves_as_far_as_the_wider_range_says() -> None:
    own = Edge("high", 1.0, 0.01, 0.1, 50, reach=0.1)
    wider = Edge("high", 1.0, 0.001, 0.2, 80, reach=0.5, stage="a/stage-01")
    low = Edge("low", 0.0, 0.01, None, 30, reach=0.2, stage="a/stage-01")
    assert with_earlier([own], [wider, low]) == (replace(own, reach=0.5), low)
    assert with_earlier([], [wider]) == (wider,)
    assert with_earlier([replace(own, reach=0.9)], [wider]) == (replace(own, reach=0.9),)
