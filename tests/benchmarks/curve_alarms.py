"""How often the signs in learning curves are found where they are planted, and where they are not.

``python tests/benchmarks/curve_alarms.py`` prints a Markdown table in a minute; ``--searches 500`` is the default.

A search has 100 trials. A curve is a shape between its first value and its plateau, which differs between trials (by
0.03 of what training gains), and noise of the epochs, whose neighbours are correlated by 0.3 (0.1 to 0.4 in real stages
of the built-in network; 0.6 is shown too). The best 20 are those with the best last epoch, luck included.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.objectives.base import CurveSign
from hpsearch.search.curve_analysis import CurveSigns, analyse

TRIALS, TOP = 100, 20
SPREAD = 0.03  # standard deviation of the trials' plateaus


@dataclass(frozen=True)
class Scenario:
    """A kind of search; ``planted`` are the signs that it has, ``absent`` those that it must not have."""

    planted: tuple[CurveSign, ...]
    absent: tuple[CurveSign, ...]
    rate: float = 8.0  # how many time constants of the exponential approach the epochs have; infinite: flat at once
    rise: float = 0.0  # rise of the validation loss from 40 % of the epochs to the end
    training_rise: float = 0.0  # the same of the training loss
    noise: float = 0.01  # standard deviation of an epoch
    error: float = 3.0  # one standard error of a score, in standard deviations of an epoch


ALL: tuple[CurveSign, ...] = ("overfitting", "unstable", "improving", "saturated", "unsteady")
SCENARIOS: Mapping[str, Scenario] = {
    "learned by half of the epochs": Scenario(("saturated",), ("overfitting", "unstable", "improving", "unsteady"), 12),
    "flat from the first epoch on": Scenario((), ("overfitting", "unstable", "improving", "unsteady"), np.inf),
    "still improving": Scenario(("improving",), ("overfitting", "unstable", "saturated", "unsteady"), 2.5),
    "just long enough": Scenario((), ("overfitting", "unstable", "saturated", "unsteady"), 5.5),
    "overfits by a tenth": Scenario(("overfitting",), ("unstable", "improving"), rise=0.1),
    "overfits by a third": Scenario(("overfitting",), ("unstable", "improving"), rise=0.3),
    "training loss rises": Scenario(("unstable",), ("overfitting",), rise=0.3, training_rise=0.3),
    "moves by two standard errors": Scenario(
        ("unsteady",), ("overfitting", "unstable", "improving"), noise=0.02, error=0.5
    ),
    "moves by half a standard error": Scenario((), ("unsteady",), 12, error=2.0),
}


def noise(size: tuple[int, int], correlation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of epochs, (N, E), each correlated with the one before, of standard deviation 1."""
    values = rng.normal(size=size)
    for epoch in range(1, size[1]):
        values[:, epoch] = correlation * values[:, epoch - 1] + np.sqrt(1 - correlation**2) * values[:, epoch]
    return values


def simulate(of: Scenario, epochs: int, correlation: float, rng: np.random.Generator) -> CurveSigns:
    """Return what the curves of one search show."""
    x = np.arange(epochs) / epochs
    size = (TRIALS, epochs)
    plateau = SPREAD * rng.normal(size=(TRIALS, 1))
    shape = np.exp(-of.rate * x) if np.isfinite(of.rate) else np.zeros(epochs)
    late = np.maximum(0.0, x - 0.4) / 0.6
    scores = shape + plateau + of.noise * noise(size, correlation, rng)
    losses = shape + plateau + of.rise * late + of.noise * noise(size, correlation, rng)
    training = shape + plateau + of.training_rise * late + of.noise * noise(size, correlation, rng)
    best = np.zeros(TRIALS, dtype=bool)
    best[np.argsort(scores[:, -1])[:TOP]] = True
    return analyse(scores, best, losses=losses, training=training, error=of.error * of.noise)


def rates(of: Scenario, epochs: int, correlation: float, *, searches: int, seed: int = 0) -> dict[CurveSign, float]:
    """Return how often each sign is found."""
    rng = np.random.default_rng(seed)
    signs = [simulate(of, epochs, correlation, rng).signs for _ in range(searches)]
    return {sign: float(np.mean([sign in shown for shown in signs])) for sign in ALL}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=500)
    parser.add_argument("--epochs", type=int, nargs="+", default=(5, 8, 12, 15, 20, 50, 200))
    parser.add_argument("--correlation", type=float, default=0.3)
    parser.add_argument("--noise", type=float, help="of every scenario but those that differ in it")
    arguments = parser.parse_args()
    rows = []
    for name, of in SCENARIOS.items():
        for epochs in arguments.epochs:
            scenario = of if arguments.noise is None or "moves" in name else replace(of, noise=arguments.noise)
            found = rates(scenario, epochs, arguments.correlation, searches=arguments.searches)
            cells = [f"{found[sign]:.3f}" + ("" if sign in (*of.planted, *of.absent) else " (either)") for sign in ALL]
            right = min([1.0, *(found[sign] for sign in of.planted)])
            false = max([0.0, *(found[sign] for sign in of.absent)])
            rows.append([name, str(epochs), *cells, f"{right:.3f}" if of.planted else "-", f"{false:.3f}"])
    print(markdown(["search", "epochs", *ALL, "right, at least", "false, at most"], rows))


if __name__ == "__main__":
    main()
