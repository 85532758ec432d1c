"""Scores on folds: the corrected resampled t-test and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from hpsearch.statistics.folds import (
    corrected_best,
    corrected_error,
    error_interval,
    split_ratio,
    upper_p,
    welch_freedom,
)

SEARCHES = 2000


def test_the_share_of_a_split_is_known_by_its_sizes_or_that_of_equal_parts() -> None:
    assert split_ratio(5) == 1 / 4
    assert split_ratio(50, train=80, test=20) == 1 / 4  # repeated, say
    assert split_ratio(5, train=0, test=20) == 1 / 4


@pytest.mark.parametrize(
    ("values", "ratio", "error"), [([1.0, 3.0], 1.0, 3**0.5), ([2.0, 4.0, 6.0], 0.5, (10 / 3) ** 0.5)]
)
def test_the_error_by_hand(values: list[float], ratio: float, error: float) -> None:
    assert corrected_error(values, ratio) == pytest.approx(error)


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 30])
@pytest.mark.parametrize("t", [-2.0, 0.0, 0.7, 3.0])
def test_p_and_interval_are_students(freedom: int, t: float) -> None:
    assert upper_p(0.1 * t, 0.1, freedom) == pytest.approx(scipy.stats.t.sf(t, freedom))
    interval = error_interval(0.5, 0.1, freedom)
    assert (interval.low, interval.high) == pytest.approx(scipy.stats.t.interval(0.95, freedom, 0.5, 0.1))


def test_without_any_spread_every_difference_is_one() -> None:
    assert [upper_p(difference, 0.0, 4) for difference in (0.1, 0.0, -0.1)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("a", "b", "n", "m"), [(0.1, 0.1, 5, 5), (0.2, 0.05, 4, 30), (0.01, 0.3, 9, 3)])
def test_the_freedom_of_a_difference_is_welchs(a: float, b: float, n: int, m: int) -> None:
    freedom = welch_freedom((a, n - 1), (b, m - 1))
    known = scipy.stats.ttest_ind_from_stats(0.3, a * n**0.5, n, 0.0, b * m**0.5, m, equal_var=False)
    assert 2 * scipy.stats.t.sf(0.3 / np.hypot(a, b), freedom) == pytest.approx(known.pvalue)


def split_differences(splits: int, rows: int, rng: np.random.Generator) -> list[float]:
    """Differences of the losses of two equal models on random splits: lines through one of two useless inputs."""
    x, y = rng.normal(size=(2, rows)), rng.normal(size=rows)
    differences = []
    for _ in range(splits):
        test = rng.permutation(rows) < rows // 5
        slope = (x[:, ~test] * y[~test]).sum(axis=1) / (x[:, ~test] ** 2).sum(axis=1)
        loss = ((y[test] - slope[:, None] * x[:, test]) ** 2).mean(axis=1)
        differences.append(float(loss[0] - loss[1]))
    return differences


def test_equal_models_differ_significantly_in_at_most_as_many_cases_as_the_level_says() -> None:
    rng, wrong, naive = np.random.default_rng(0), 0, 0
    for _ in range(500):
        gains = split_differences(15, 40, rng)
        corrected, plain = (corrected_error(gains, ratio) for ratio in (split_ratio(15, train=32, test=8), 0.0))
        wrong += upper_p(float(np.mean(gains)), corrected, 14) < 0.05
        naive += upper_p(float(np.mean(gains)), plain, 14) < 0.05
    assert wrong / 500 < 0.07
    assert naive / 500 > 0.12


def test_the_level_is_exact_where_folds_are_correlated_as_nadeau_and_bengio_assume() -> None:
    rng, folds = np.random.default_rng(1), 5
    common = rng.normal(size=(SEARCHES, 1)) * (1 / folds) ** 0.5  # correlation n2/(n1 + n2)
    gains = common + rng.normal(size=(SEARCHES, folds)) * (1 - 1 / folds) ** 0.5
    ps = [upper_p(sum(of) / folds, corrected_error(of, split_ratio(folds)), folds - 1) for of in gains.tolist()]
    assert scipy.stats.kstest(ps, "uniform").pvalue > 0.01


@pytest.mark.parametrize("sign", [1, -1])
def test_the_best_of_equals_is_corrected_to_what_they_are(sign: int) -> None:
    rng = np.random.default_rng(2)
    best, corrected = [], []
    for _ in range(300):
        folds = (0.8 + 0.05 * rng.normal(size=(30, 5))).tolist()
        best.append(max(sign * np.mean(of) for of in folds) * sign)
        corrected.append(corrected_best(folds, sign=sign))
        assert sign * corrected[-1] <= sign * best[-1] + 1e-12
    assert abs(np.mean(best) - 0.8) > 0.03
    assert np.mean(corrected) == pytest.approx(0.8, abs=0.005)


def test_a_clear_winner_keeps_its_score() -> None:
    assert corrected_best([[0.9, 0.94], [0.1, 0.2], [0.3, 0.1]], sign=1) == pytest.approx(0.92)
