"""Gains: their errors hold in simulations, and noise is no gain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.statistics.gains import Gain, retrained, searched

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]
REPLICATES = 200
SETTINGS, REPEATS, EXAMPLES = 5, 10, 60


def repeats(rng: np.random.Generator, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of settings (S, R, N) with these means: a common part of examples, parts of seeds, and the rest."""
    count = len(means)
    examples = 0.3 * rng.normal(size=EXAMPLES)
    seeds = 0.02 * rng.normal(size=(count, REPEATS, 1))
    rest = 0.3 * rng.normal(size=(count, REPEATS, EXAMPLES))
    return means[:, None, None] + examples + seeds + rest


def test_the_interval_of_a_retrained_gain_holds_the_true_one() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(REPLICATES):
        first, second = repeats(rng, np.array([0.8, 0.83]))
        gain = retrained(first, second)
        held += gain.interval.low <= 0.03 <= gain.interval.high
    assert 0.92 <= held / REPLICATES <= 0.99


@pytest.mark.parametrize("single", [False, True])
def test_the_best_of_equal_settings_is_no_gain_where_their_number_is_known(single: bool) -> None:
    rng, adopted, unaware = np.random.default_rng(1), 0, 0
    for _ in range(REPLICATES):
        baseline, *others = repeats(rng, np.full(1 + SETTINGS, 0.8))
        best = max(others, key=lambda values: float(values.mean()))
        if single:  # by the scores of the repeats alone: these examples stand for all
            baseline, best = (of.mean(axis=1, keepdims=True) for of in (baseline, best))
        adopted += retrained(baseline, best, choices=SETTINGS).interval.low > 0
        unaware += retrained(baseline, best).interval.low > 0
    assert adopted / REPLICATES <= 0.05
    assert unaware > adopted


def test_a_planted_gain_is_found() -> None:
    rng, adopted = np.random.default_rng(2), 0
    for _ in range(50):
        baseline, *others = repeats(rng, np.array([0.8, *[0.92] * SETTINGS]))
        adopted += retrained(baseline, others[0], choices=SETTINGS).interval.low > 0
    assert adopted >= 45


def test_folds_count_for_less_than_examples() -> None:
    first, second = repeats(np.random.default_rng(3), np.array([0.8, 0.8]))[:, :, :5]
    assert retrained(first, second, ratio=0.25).error > retrained(first, second).error


TAILS: dict[str, Draw] = {
    "exponential": lambda rng, size: rng.exponential(size=size),
    "normal": lambda rng, size: rng.normal(size=size),
    "bounded": lambda rng, size: -np.sum(rng.random((size, 3)) ** 2, axis=1),
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("sizes", [(60, 60), (40, 120)])
def test_searches_of_one_kind_are_no_gain(tail: str, sizes: tuple[int, int]) -> None:
    draw, adopted, means = TAILS[tail], 0, []
    for seed in range(REPLICATES):
        rng = np.random.default_rng([seed, *sizes])
        gain = searched(draw(rng, sizes[0]), draw(rng, sizes[1]), seed=seed)
        adopted += gain.interval.low > 0
        means.append(gain.mean)
    assert adopted / REPLICATES <= 0.05
    # More trials are no gain by themselves.
    assert abs(np.mean(means)) < 4 * np.std(means) / math.sqrt(REPLICATES)


def test_the_error_of_a_search_is_its_spread_over_searches_where_the_tail_is_exponential() -> None:
    draw = TAILS["exponential"]
    squares = []
    for seed in range(REPLICATES):
        rng = np.random.default_rng(seed)
        squares.append(searched(draw(rng, 100), draw(rng, 100), seed=seed).error ** 2)
    assert np.mean(squares) == pytest.approx(2 * math.pi**2 / 6, rel=0.15)


def searches(rng: np.random.Generator, gain: float) -> list[NDArray[np.bool_]]:
    """The hits of the trials of two searches, the second with a better optimum, best first, (k, N) each."""
    examples, sides = rng.normal(size=200), []
    for top in (0.9, 0.9 + gain):
        latent = np.sum(rng.random((50, 2)) ** 2, axis=1)[:, None] + 0.6 * rng.normal(size=(50, 200)) + 0.8 * examples
        hits = latent < 1.3 + 20 * (top - 0.9)
        sides.append(hits[np.argsort(-hits.mean(axis=1))])
    return sides


@pytest.mark.parametrize(("gain", "least", "most"), [(0.0, 0.0, 0.05), (0.06, 0.9, 1.0)])
def test_a_better_optimum_is_found_on_the_same_examples_and_an_equal_one_is_not(
    gain: float, least: float, most: float
) -> None:
    adopted, count = 0, 60
    for seed in range(count):
        first, second = searches(np.random.default_rng(seed), gain)
        both = searched(first.mean(axis=1), second.mean(axis=1), (first, second), seed=seed)
        adopted += both.interval.low > 0
    assert least <= adopted / count <= most


def test_so_many_repeats_would_tell_the_gain() -> None:
    gain = Gain(0.01, error=0.008, covers="seeds", fixed=0.003**2)
    needed = gain.repeats(10)
    assert needed is not None
    errors = [math.sqrt(gain.fixed + (gain.error**2 - gain.fixed) * 10 / count) for count in (needed - 1, needed)]
    lows = [Gain(0.01, error, "seeds").interval.low for error in errors]
    assert lows[0] < 0 < lows[1]
    assert Gain(0.01, error=0.008, covers="seeds", fixed=0.006**2).repeats(10) is None  # the examples alone hide it
    wanted = replace(gain, choices=5).repeats(10)
    assert wanted is not None
    assert wanted > needed
