"""Retraining: the laws of the judgement, and its interval on simulated searches."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hpsearch.statistics.gaussian_process import GaussianProcess, fit
from hpsearch.statistics.retraining import Judged, expected_elsewhere, judge

EXAMPLES = 200


def simulated(seed: int, *, trials: int = 60, failing: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Points and hits on examples that are easier or harder for all trials alike; the best lie about 0.6."""
    rng = np.random.default_rng(seed)
    points, easy = rng.random((trials, 2)), rng.normal(size=EXAMPLES)
    threshold = 1.2 - 6 * (points[:, 0] - 0.6) ** 2 + 0.05 * rng.normal(size=trials)  # the seed's part
    return points, np.sqrt(0.7) * easy + np.sqrt(0.3) * rng.normal(size=(trials, EXAMPLES)) < threshold[:, None]


@pytest.fixture
def judged() -> Judged:
    points, hits = simulated(0)
    return judge(points, hits.mean(axis=1))


def test_the_expected_score_is_the_mean_of_what_is_expected_of_each_example(judged: Judged) -> None:
    _, hits = simulated(0)
    hits[judged.floored] = False  # not read
    smoothed = judged.smoothed(np.arange(60), hits)
    assert smoothed.mean(axis=1) == pytest.approx(judged.mean)


def test_how_bad_a_bad_score_is_says_nothing() -> None:
    points, hits = simulated(1)
    scores = hits.mean(axis=1)
    one = judge(points, scores)
    scores[one.floored & (scores < one.floor)] -= 0.2
    other = judge(points, scores)
    assert other.mean == pytest.approx(one.mean)
    assert other.noise(0) == pytest.approx(one.noise(0))


def test_where_nothing_matters_low_scores_are_followed_too() -> None:
    """To count the lower ones as the floor would make the expected score too high by 0.03, and the noise too small."""
    expected, noise = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        of = judge(rng.random((80, 2)), rng.binomial(100, 0.8, 80) / 100)
        first = int(of.ranking()[0])
        expected.append(of.mean[first])
        noise.append(of.noise(first))
    assert np.mean(expected) == pytest.approx(0.8, abs=0.015)
    assert np.mean(noise) == pytest.approx(0.04, abs=0.01)


def test_a_setting_among_others_that_fail_is_expected_to_fail_though_it_did_not() -> None:
    points, hits = simulated(2, trials=80)
    scores = hits.mean(axis=1)
    survivor = int(np.argmax(points[:, 0]))
    scores[points[:, 0] > 0.7] = np.nan
    scores[survivor] = 1.0  # the luckiest, and the only one there
    of = judge(points, scores)
    assert of.failure[survivor] > 0.5
    assert of.ranking()[0] != survivor
    assert np.isnan(scores[of.ranking()[-20:]]).any()
    assert not np.isnan(scores[of.ranking()[:20]]).any()
    safe = (points[:, 0] > 0.3) & (points[:, 0] < 0.6)
    assert of.failure[safe].mean() < 0.1
    # Of its own survival ten times over something is learned.
    again = judge(
        np.concatenate((points, points[[survivor] * 10])), np.append(scores, np.full(10, 0.9)), sampled=len(points)
    )
    assert again.failure[survivor] < 0.2


def test_the_probability_of_failing_is_that_of_a_fit_without_the_trial() -> None:
    points, hits = simulated(3, trials=40)
    scores = np.where(points[:, 1] > 0.8, np.nan, hits.mean(axis=1))
    of = judge(points, scores)
    whole = fit(points, np.isnan(scores).astype(float))
    for left_out in (0, 7):
        rest = np.arange(40) != left_out
        kernel = whole.inverse  # (K)^-1; that of the rest by the Schur complement
        a, b = kernel[np.ix_(rest, rest)], kernel[rest, left_out]
        inverse = a - np.outer(b, b) / kernel[left_out, left_out]
        part = GaussianProcess(
            points[rest],
            whole.lengths,
            whole.mean,
            whole.signal,
            whole.noise,
            inverse @ (np.isnan(scores[rest]) - whole.mean),
            inverse,
        )
        expected = float(np.clip(part.predict(points[[left_out]])[0][0], 0, 1))
        assert of.failure[left_out] == pytest.approx(expected, abs=1e-6)


def test_repeats_of_good_settings_do_not_raise_the_floor() -> None:
    points, hits = simulated(4)
    scores = hits.mean(axis=1)
    more = judge(np.concatenate((points, points[:30])), np.append(scores, np.full(30, 0.9)), sampled=60)
    assert more.floor <= judge(points, scores).floor


def test_of_equals_the_luck_of_being_chosen_is_taken_off() -> None:
    """Forty settings of one quality: the best one's own share is too high, the corrected one is not."""
    own, corrected = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        smoothed = (rng.random((40, EXAMPLES)) < 0.8).astype(float)
        shares = smoothed.mean(axis=1)
        own.append(shares.max())
        corrected.append(expected_elsewhere(smoothed, shares, rng=rng))
    assert np.mean(own) > 0.85
    assert np.mean(corrected) == pytest.approx(0.8, abs=0.01)


def test_utility_decides_among_halves_too() -> None:
    rng = np.random.default_rng(5)
    smoothed = np.stack((np.full(EXAMPLES, 0.9), np.full(EXAMPLES, 0.8)))
    assert expected_elsewhere(smoothed, np.array([0.9, 0.8]), rng=rng) == pytest.approx(0.9)
    assert expected_elsewhere(smoothed, np.array([0.7, 0.8]), rng=rng) == pytest.approx(0.8)  # the first may fail


def test_with_one_score_for_all_there_is_nothing_to_tell() -> None:
    points, _ = simulated(6)
    of = judge(points, np.full(60, 0.5))
    assert of.utility == pytest.approx(np.full(60, 0.5))


def test_many_that_share_the_best_score_are_followed() -> None:
    points, _ = simulated(7)
    good = points[:, 0] > 0.45
    of = judge(points, np.where(good, 1.0, 0.5))
    assert of.floor == 0.5
    assert good[of.ranking()[: good.sum() // 2]].all()
