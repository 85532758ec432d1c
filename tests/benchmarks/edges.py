"""How often a bound is called an edge, over simulated stages with a known optimum.

``python tests/benchmarks/edges.py`` prints Markdown tables; ``--searches 100`` is the default.

A stage has four parameters: x with the bound in question, y with an effect of its own, and two that do nothing. A
score is the share of hits on some examples, and has a standard deviation of 0.005 between seeds. The optimum lies at a
place of the range of x: 0.5 is its middle, 1 its upper bound, 1.2 a fifth of the range beyond it. An alarm is false
where it is at 0.9 or less; the gain is what is to be had beyond the bound.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.search.edges import find_edges
from hpsearch.space import Float

Array = NDArray[np.float64]
AT = (0.5, 0.7, 0.8, 0.9, 1.1, 1.2)
BEYOND = (1.1, 1.2)


def bowl(x: Array, y: Array, at: float) -> Array:
    """Quadratic in both."""
    return 0.9 - 0.5 * (x - at) ** 2 - 0.3 * (y - 0.6) ** 2


def flat(x: Array, y: Array, at: float) -> Array:
    """Quadratic, with hardly an effect."""
    return 0.9 - 0.1 * (x - at) ** 2 - 0.1 * (y - 0.6) ** 2


def plateau(x: Array, y: Array, at: float) -> Array:
    """A steep rise to a plateau, the optimum 0.4 behind it."""
    return 0.9 - 0.6 / (1 + np.exp((x - at + 0.4) / 0.04)) - 0.05 * (x - at) ** 2 - 0.3 * (y - 0.6) ** 2


def cliff(x: Array, y: Array, at: float) -> Array:
    """A rise up to the optimum; beyond it every trial fails."""
    return np.where(x > at, np.nan, 0.9 - 0.5 * (x - at - 0.1) ** 2 - 0.3 * (y - 0.6) ** 2)


def collapse(x: Array, y: Array, at: float) -> Array:
    """A rise up to the optimum; beyond it every trial ends with a poor score."""
    return np.where(x > at, 0.15, 0.9 - 0.5 * (x - at - 0.1) ** 2 - 0.3 * (y - 0.6) ** 2)


def ridge(x: Array, y: Array, at: float) -> Array:
    """Two parameters that make up for each other."""
    return 0.9 - (x - at + y - 0.5) ** 2 - 0.25 * (x - at - y + 0.5) ** 2


def floor(x: Array, y: Array, at: float) -> Array:
    """A ridge of which half lies at the score of chance."""
    return np.maximum(0.9 - (x - at + y - 0.8) ** 2 - 0.25 * (x - at - y + 0.8) ** 2, 0.1)


def modes(x: Array, y: Array, at: float) -> Array:
    """A narrow optimum, and a wider, lower one in the other half."""
    other = 0.2 if at > 0.55 else 0.85
    narrow, wide = np.exp(-(((x - at) / 0.15) ** 2) / 2), np.exp(-(((x - other) / 0.2) ** 2) / 2)
    return 0.3 + 0.6 * narrow + 0.5 * wide - 0.1 * (y - 0.6) ** 2


def late(x: Array, y: Array, at: float) -> Array:
    """Chance for most of the range, then a steep rise that ends near the optimum."""
    rise = 0.7 / (1 + np.exp((x - at + 0.15) / 0.05))
    return 0.9 - rise - 0.1 * np.clip(x - at, 0, None) - 0.3 * (y - 0.6) ** 2


def linear(x: Array, y: Array, at: float) -> Array:
    """As steep up to the optimum as down from it."""
    return 0.9 - 0.3 * np.abs(x - at) - 0.3 * (y - 0.6) ** 2


SHAPES: dict[str, Callable[[Array, Array, float], Array]] = {
    shape.__name__: shape for shape in (bowl, flat, plateau, cliff, collapse, ridge, floor, modes, late, linear)
}


def gain(shape: str, at: float) -> float:
    """Return how much better the best expected score within a quarter of the range beyond the bound is."""
    x, y = np.linspace(0, 1.25, 251)[:, None], np.linspace(0, 1, 101)[None]
    expected = np.nan_to_num(SHAPES[shape](x, y, at), nan=-1.0).max(axis=1)
    return float(expected[x[:, 0] > 1].max() - expected[x[:, 0] <= 1].max())


def alarms(shape: str, at: float, trials: int, examples: int, *, seed: int) -> dict[str, set[str]]:
    """Return the sides called edges of x, and of a parameter that does nothing, in one simulated stage."""
    rng = np.random.default_rng([seed, trials, examples, round(100 * at)])
    points = rng.random((trials, 4))
    expected = SHAPES[shape](points[:, 0], points[:, 1], at)
    finished = ~np.isnan(expected)
    noisy = np.clip(expected[finished] + 0.005 * rng.standard_normal(int(finished.sum())), 0.02, 0.99)
    score, points = rng.binomial(examples, noisy) / examples, points[finished]
    return {
        name: {edge.side for edge in find_edges(Float(0, 1), points[:, of], score, [*np.delete(points, of, 1).T])}
        for name, of in (("x", 0), ("nothing", 2))
    }


def rows(shapes: Sequence[str], searches: int) -> list[dict[str, str]]:
    """Return the share of stages with an alarm, a row for each shape and budget."""
    made = []
    for shape in shapes:
        beyond = " / ".join(f"{gain(shape, at):.3f}" for at in BEYOND)
        for trials in (30, 100, 300):
            for examples in (100, 1000):
                row = {"shape": shape, "gain at 1.1 / 1.2": beyond, "trials": str(trials), "examples": str(examples)}
                lower, nothing = [], []
                for at in AT:
                    seen = [alarms(shape, at, trials, examples, seed=seed) for seed in range(searches)]
                    row[str(at)] = f"{np.mean(['high' in of['x'] for of in seen]):.2f}"
                    lower += ["low" in of["x"] for of in seen]
                    nothing += [bool(of["nothing"]) for of in seen]
                made.append(row | {"lower bound": f"{np.mean(lower):.3f}", "nothing": f"{np.mean(nothing):.3f}"})
    return made


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("shapes", nargs="*", default=[*SHAPES])
    given = parser.parse_args()
    for shape in given.shapes:
        table = rows([shape], given.searches)
        print(markdown(list(table[0]), [list(row.values()) for row in table]), flush=True)


if __name__ == "__main__":
    main()
