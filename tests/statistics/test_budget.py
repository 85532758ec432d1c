"""The best of n trials and the forecast of more: laws, and small simulations. The large one is a benchmark."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpsearch.statistics.budget import best_chances, best_spread, expected_best, tail_of

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.1 + 0.2, 0.3, 0.75, 1e9]), min_size=1, max_size=7)


@given(SCORES, st.data())
def test_the_expected_best_is_the_mean_over_all_draws(scores: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(scores)))
    best = [max(chosen) for chosen in combinations(scores, size)]
    assert expected_best(scores, size) == pytest.approx(sum(best) / len(best))


@given(SCORES, st.integers(0, 4), st.data())
def test_trials_without_a_score_are_drawn_too_and_are_never_the_best(
    scores: list[float], failed: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(scores) + failed))
    draws = combinations([*scores, *[None] * failed], size)
    best = [max(known) for drawn in draws if (known := [score for score in drawn if score is not None])]
    assert expected_best(scores, size, len(scores) + failed) == pytest.approx(sum(best) / len(best))


def test_many_scores_take_no_overflow() -> None:
    scores = np.arange(100_000) / 100_000
    # Of n uniform ranks, m of them: the expected highest rank is m (n + 1) / (m + 1).
    assert expected_best(scores, 99) == pytest.approx(99 * 100_001 / 100 / 100_000 - 1e-5)


@pytest.mark.parametrize(("size", "trials"), [(1, 1), (3, 7), (7, 7), (50, 1000)])
def test_one_of_the_trials_is_the_best(size: int, trials: int) -> None:
    chances = best_chances(size, trials)
    assert chances.sum() == pytest.approx(1)
    assert np.count_nonzero(chances > 0) == trials - size + 1


def test_the_spread_holds_the_best_of_95_draws_in_100() -> None:
    scores = np.random.default_rng(0).normal(size=200)
    rng = np.random.default_rng(1)
    best = np.array([rng.choice(scores, 20, replace=False).max() for _ in range(4000)])
    spread = best_spread(scores, 20)
    assert np.mean(best < spread.low) == pytest.approx(0.025, abs=0.01)
    assert np.mean(best > spread.high) <= 0.025  # the highest of all is the best more often than that
    assert best_spread(scores, 200).low == best_spread(scores, 200).high == scores.max()


def tried(seed: int, trials: int, examples: int | None) -> NDArray[np.float64]:
    """Return scores near a smooth optimum in three parameters, as shares of examples or with a little noise."""
    rng = np.random.default_rng(seed)
    truth = 0.9 - 0.8 * ((rng.uniform(size=(trials, 3)) - 0.6) ** 2).sum(axis=1)
    noisy = rng.binomial(examples, truth) / examples if examples else truth + rng.normal(0, 0.003, trials)
    return np.asarray(noisy)


@pytest.mark.parametrize("examples", [None, 100])
@pytest.mark.parametrize("trials", [30, 100])
def test_the_forecast_holds_the_later_best(trials: int, examples: int | None) -> None:
    held, gains, expected = [], [], []
    for seed in range(60):
        every = tried(seed, 2 * trials, examples)
        tail = tail_of(every[:trials], most=1.0)
        assert tail is not None
        forecast, gain = tail.forecast(trials), max(every[trials:].max() - tail.best, 0.0)
        held.append(forecast.interval.low <= gain + 1e-9 and gain <= forecast.interval.high + 1e-9)
        gains.append(gain)
        expected.append(forecast.gain)
    assert np.mean(held) >= 0.9
    assert 0.5 < np.mean(expected) / np.mean(gains) < 2.5


def test_more_trials_bring_more() -> None:
    tail = tail_of(tried(0, 100, None))
    assert tail is not None
    few, many = tail.forecast(10), tail.forecast(1000)
    assert few.gain < many.gain
    assert few.interval.high < many.interval.high


def test_no_score_is_forecast_above_the_most_that_it_can_be() -> None:
    scores = 1 - np.random.default_rng(0).exponential(0.01, 100)
    tail = tail_of(scores, most=1.0)
    assert tail is not None
    assert tail.best + tail.forecast(10_000).interval.high <= 1 + 1e-9


def test_rounded_scores_have_the_forecast_of_exact_ones() -> None:
    gains = []
    for seed in range(20):
        exact = 0.9 - np.random.default_rng(seed).gamma(2, 0.03, 100)
        tails = tail_of(exact), tail_of(np.round(exact, 2))
        gains.append([tail.forecast(100).gain for tail in tails if tail is not None])
    of_exact, of_rounded = np.mean(gains, axis=0)
    assert of_rounded == pytest.approx(of_exact, rel=0.15)


def test_at_the_most_there_is_nothing_to_gain() -> None:
    tail = tail_of([0.5, 0.6, 0.7, *[1.0] * 30], most=1.0)
    assert tail is not None
    assert (tail.forecast(100).gain, tail.forecast(100).interval.high) == (0.0, 0.0)


@pytest.mark.parametrize("factor", [1e-9, 1e6])
def test_the_unit_of_the_score_does_not_matter(factor: float) -> None:
    scores = tried(0, 50, None)
    one, other = tail_of(scores), tail_of(factor * (scores - 3))
    assert one is not None
    assert other is not None
    assert other.forecast(50).gain == pytest.approx(factor * one.forecast(50).gain, rel=1e-3)


@pytest.mark.parametrize("scores", [[0.5] * 30, [0.1] * 5 + [0.5] * 25, [0.1, 0.2, 0.3], []])
def test_of_few_scores_or_equal_ones_nothing_is_forecast(scores: list[float]) -> None:
    assert tail_of(scores) is None
