"""How often the bands of `hpsearch plot isolation` hold, over simulated searches.

``python tests/benchmarks/isolation_bands.py`` prints a Markdown table; ``--searches 30`` is the default, some minutes.

The truth of a part of a range is the highest response with its values, on the validation examples of the search; the
other parameters range over everything. (Other examples would move the scores of all parts together.)
"""

from __future__ import annotations

import argparse
from statistics import NormalDist

import numpy as np
from budget_coverage import SHARED, SURFACES, Surface, quantiles, scores_at
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.records import Stage
from hpsearch.search.isolation import isolate
from hpsearch.space import Float, Space

PARAMETERS = 4
SPACE: Space = {f"x{place}": Float(0.0, 1.0) for place in range(PARAMETERS)}
STAGE = Stage("s", 1, "maximize", 0, SPACE, {"objective": {"function": "f", "metric": "accuracy"}}, study_id=1)


def highest(surface: Surface, low: float, high: float) -> float:
    """Return the highest response with the first parameter between two values."""
    x = np.random.default_rng(0).uniform(size=(100_000, PARAMETERS))
    x[:, 0] = low + (high - low) * x[:, 0]
    responses = surface(x)
    return float(np.nanmax(responses)) if np.isfinite(responses).any() else float("nan")


def on_examples(truth: float, common: NDArray[np.float64]) -> float:
    """Return the share of examples of these difficulties that are right, expected of a trial whose true share is this.

    A normal variable of variance 1 - s is below the quantile less the common part.
    """
    [cut] = quantiles(np.array([truth]))
    normal = NormalDist(0, np.sqrt(1 - SHARED))
    return float(np.mean([normal.cdf(cut - np.sqrt(SHARED) * of) for of in common.tolist()]))


def row(surface: Surface, trials: int, examples: int, searches: int) -> list[str]:
    """Return how often the bands of the first parameter hold, their width, and how far line and best trial are off."""
    truths: dict[tuple[float, float], float] = {}
    held, widths, lines, best = [], [], [], []
    for number in range(searches):
        rng = np.random.default_rng([number, trials, examples])
        x: NDArray[np.float64] = rng.uniform(size=(trials, PARAMETERS))
        common = rng.normal(size=examples)
        y = scores_at(surface, x, common, rng)
        for of in isolate(STAGE, y, dict(zip(SPACE, x.T, strict=True)), ["x0"])["x0"]:
            assert isinstance(of.low, float)
            assert isinstance(of.high, float)
            if (of.low, of.high) not in truths:
                truths[of.low, of.high] = highest(surface, of.low, of.high)
            if of.tuned is None or of.interval is None or np.isnan(truths[of.low, of.high]):
                continue
            truth = on_examples(truths[of.low, of.high], common)
            held.append(of.interval.low <= truth <= of.interval.high)
            widths.append(of.interval.high - of.interval.low)
            lines.append(of.tuned - truth)
            best.append(y[of.best] - truth)
    cells = [f"{np.mean(held):.2f}", *(f"{np.mean(of):+.3f}" for of in (widths, lines, best))]
    return [surface.__name__, str(trials), str(examples), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=30)
    searches = parser.parse_args().searches
    heading = ["surface", "trials", "examples", "band holds", "width", "line off by", "best trial off by"]
    cells = [
        (surface, trials, examples)
        for surface in SURFACES.values()
        for trials in (30, 100, 300)
        for examples in (100, 1000)
    ]
    print(markdown(heading, [row(*cell, searches) for cell in cells]))


if __name__ == "__main__":
    main()
