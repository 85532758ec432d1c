"""How often the forecast of `hpsearch plot budget` is true, over simulated searches.

``python tests/benchmarks/budget_coverage.py`` prints Markdown tables in two minutes; ``--searches 500`` is the default.

A search has so many trials with values uniform in a cube, and as many again after them. Scores are shares of examples,
the same ones for all trials, or the response itself with the noise of seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from statistics import NormalDist

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.statistics.budget import tail_of

Surface = Callable[[NDArray[np.float64]], NDArray[np.float64]]
SEED_NOISE = 0.005  # standard deviation of a score over seeds


def bowl(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth optimum in four parameters."""
    return np.asarray(0.9 - 0.8 * ((x[:, :4] - 0.6) ** 2).sum(axis=1))


def cliff(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rise up to where training diverges."""
    score = 0.5 + 0.5 * x[:, 0] - 0.3 * (x[:, 1] - 0.5) ** 2
    return np.where(x[:, 0] > 0.8, np.nan, score)


def ridge(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two parameters that compensate."""
    return np.asarray(0.9 - 1.5 * (x[:, 0] - x[:, 1]) ** 2 - 0.05 * x[:, 2])


def modes(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A wide optimum, and a better narrow one."""
    wide = 0.85 * np.exp(-((x[:, 0] - 0.25) ** 2) / 0.08)
    narrow = 0.92 * np.exp(-((x[:, 0] - 0.8) ** 2) / 0.002 - (x[:, 1] - 0.5) ** 2)
    return np.asarray(np.maximum(wide, narrow))


def plateau(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A response that is flat over half of the range."""
    return np.asarray(0.88 - 0.8 * np.maximum(x[:, 0] - 0.5, 0) - 0.02 * x[:, 1] ** 2)


def linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rise up to a corner of the ranges."""
    return np.asarray(0.4 + 0.3 * x[:, 0] + 0.2 * x[:, 1])


SURFACES: Mapping[str, Surface] = {of.__name__: of for of in (bowl, cliff, ridge, modes, plateau, linear)}
SHARED = 0.875  # the share of an example's difficulty that is common to all trials


def scores_at(
    surface: Surface, x: NDArray[np.float64], common: NDArray[np.float64] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the scores of trials with these values, (N, P); NaN of those that diverge.

    Args:
        common: How difficult each example is for all trials, (V,) normal. None: scores are no share of examples.
    """
    truth = surface(x) + rng.normal(0, SEED_NOISE, len(x))
    if common is None:
        return np.asarray(truth)
    # An example is right where its difficulty, in part common to all trials, is below the quantile of the truth.
    own = rng.normal(size=(len(x), len(common)))
    right = (np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own < quantiles(truth)[:, None]).mean(axis=1)
    return np.where(np.isnan(truth), np.nan, right)


def quantiles(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal quantiles of shares."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(share) for share in np.clip(np.nan_to_num(shares), 1e-5, 1 - 1e-5).tolist()])


def row(surface: Surface, trials: int, examples: int | None, searches: int) -> dict[str, object]:
    """Return how often the interval of the forecast holds, and the gains."""
    held, predicted, actual, upper, known = 0, 0.0, 0.0, 0.0, 0
    for number in range(searches):
        rng = np.random.default_rng([number, trials, examples or 0])
        common = None if examples is None else rng.normal(size=examples)
        every = scores_at(surface, rng.uniform(size=(2 * trials, 6)), common, rng)
        first, later = every[:trials], every[trials:]
        tail = tail_of(first[np.isfinite(first)], trials, most=1.0)
        if tail is None:
            continue
        forecast = tail.forecast(trials)
        gain = max(float(np.nanmax(later)) - tail.best, 0.0)
        known += 1
        held += forecast.interval.low - 1e-9 <= gain <= forecast.interval.high + 1e-9
        predicted += forecast.gain
        actual += gain
        upper += forecast.interval.high
    of = max(known, 1)
    return {
        "surface": surface.__name__,
        "trials": trials,
        "examples": examples or "-",
        "forecasts": known / searches,
        "interval holds the gain": round(held / of, 3),
        "gain": round(actual / of, 4),
        "forecast": round(predicted / of, 4),
        "upper end": round(upper / of, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=500)
    searches = parser.parse_args().searches
    for examples in (None, 100, 1000):
        rows = [row(surface, trials, examples, searches) for surface in SURFACES.values() for trials in (30, 100, 300)]
        print(markdown(list(rows[0]), [[str(cell) for cell in of.values()] for of in rows]), flush=True)


if __name__ == "__main__":
    main()
