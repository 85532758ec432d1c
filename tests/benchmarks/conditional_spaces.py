"""How narrowing does where some trials lack some parameters, over simulated searches with a known optimum.

``python tests/benchmarks/conditional_spaces.py`` prints Markdown tables in a minute; ``--searches 200`` is the default.

Each search draws its own truth: which optimizer is best and by how much, where the best learning rate and momentum lie,
and the best weight decay of each optimizer. Two parameters do nothing, one of them in every trial, one only where the
optimizer is adam; so do ``units`` and ``layers`` but for their constraint. A score has noise.

The second table is of the samplers: the centred discrepancy of their points, as a share of random ones'.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import cast

import numpy as np
from measuring import markdown
from numpy.typing import NDArray
from scipy.stats import qmc

from hpsearch.constraints import Constraints
from hpsearch.records import NewStage
from hpsearch.samplers import SAMPLERS, sampler_of
from hpsearch.search.range_analysis import Finished, Narrowing, narrow
from hpsearch.space import Categorical, Float, Int, Space, Value, per_value, to_scale

OPTIMIZERS = ("sgd", "adam", "rmsprop")
CONSTRAINTS = ["units * layers <= 512"]
DUMMIES = ("idle", "idle_of_adam", "units", "layers")
_DECAY = Float(1e-6, 1e-2, log=True)
SPACE: Space = {
    "lr": Float(1e-4, 1.0, log=True),
    "momentum": Float(0.5, 1.0, when={"optimizer": ("sgd",)}),
    "optimizer": Categorical(OPTIMIZERS),
    **per_value("decay", "optimizer", dict.fromkeys(OPTIMIZERS, _DECAY)),
    "idle": Float(0.0, 1.0),
    "idle_of_adam": Float(0.0, 1.0, when={"optimizer": ("adam",)}),
    "units": Int(8, 256),
    "layers": Int(1, 8),
}
NOISE = 0.005  # standard deviation of a score
LOSES = 0.01  # a value may be so much worse than the best and still be good
WEIGHTS = {"lr": 0.05, "decay": 0.01, "momentum": 0.8}  # the score lost at a distance of 1 from the optimum, squared


@dataclass(frozen=True)
class Truth:
    """What decides the scores of one simulated search; optima are on the transformed scale."""

    worse: dict[str, float]  # by how much the best score with an optimizer is worse than the best of all
    optima: dict[str, float]  # by parameter

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Truth:
        """Return a truth at random, every optimum inside its range."""
        worse = dict(zip(rng.permutation(OPTIMIZERS).tolist(), (0.0, *rng.uniform(0, 0.1, 2)), strict=True))
        optima = {"lr": rng.uniform(-3, -1), "momentum": rng.uniform(0.6, 0.95)}
        return cls(worse, optima | {f"decay[{name}]": rng.uniform(-5, -3) for name in OPTIMIZERS})

    def score(self, params: dict[str, Value]) -> float:
        """Return the expected score of a trial."""
        lost = self.worse[str(params["optimizer"])]
        for name, optimum in self.optima.items():
            if name in params:
                lost += self.lost(name, cast("float", params[name]), optimum)
        return 1 - lost

    def lost(self, name: str, value: float, optimum: float) -> float:
        """Return what a value of a parameter costs."""
        parameter = SPACE[name]
        assert not isinstance(parameter, Categorical)
        return WEIGHTS[name.partition("[")[0]] * (to_scale(parameter, value) - optimum) ** 2

    @property
    def best(self) -> str:
        """The best optimizer."""
        return min(self.worse, key=self.worse.__getitem__)


def trials(sampler: str, truth: Truth, space: Space, count: int, seed: int) -> Finished:
    """Return a stage's trials with their scores."""
    plain = {"trials": {"sampler": sampler}, "constraints": CONSTRAINTS}
    stage = NewStage("s", 1, "maximize", seed, space, plain)
    draws, rng = sampler_of(stage), np.random.default_rng([seed, 1])
    params = [draws.params(stage, number) for number in range(count)]
    score = np.array([truth.score(of) for of in params]) + rng.normal(0, NOISE, count)
    columns: dict[str, NDArray[np.float64]] = {
        name: np.array([of.get(name, np.nan) for of in params], dtype=object if name == "optimizer" else float)
        for name in space
    }
    return Finished(np.arange(count), score, np.full(count, np.nan), columns)


def searched(sampler: str, truth: Truth, *, seed: int, count: int = 100, top: int = 10, stages: int = 2) -> Narrowing:
    """Return the last narrowing of a search of some stages."""
    space, constrained = SPACE, Constraints(CONSTRAINTS, SPACE, {}).names
    for stage in range(stages):
        finished = trials(sampler, truth, space, count, seed * 100 + stage)
        made = narrow(space, finished, top=top, direction="maximize", first_space=SPACE, constrained=constrained)
        space = made.space
    return made


def inside(made: Narrowing, truth: Truth) -> list[bool]:
    """Return for each parameter of the best branch whether its optimum lies in the narrowed range."""
    contained = []
    for name, optimum in truth.optima.items():
        parameter = made.space[name]
        assert not isinstance(parameter, Categorical)
        if name in ("lr", f"decay[{truth.best}]") or (name == "momentum" and truth.best == "sgd"):
            contained.append(to_scale(parameter, parameter.low) <= optimum <= to_scale(parameter, parameter.high))
    return contained


def loses(made: Narrowing, truth: Truth) -> float:
    """Return how much worse the best point of the narrowed ranges is than the best of all."""
    kept = made.space["optimizer"]
    assert isinstance(kept, Categorical)
    costs = []
    for optimizer in map(str, kept.choices):
        cost = truth.worse[optimizer]
        for name, optimum in truth.optima.items():
            parameter = made.space[name]
            assert not isinstance(parameter, Categorical)
            if name in ("lr", f"decay[{optimizer}]") or (name == "momentum" and optimizer == "sgd"):
                ends = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
                cost += WEIGHTS[name.partition("[")[0]] * (float(np.clip(optimum, *ends)) - optimum) ** 2
        costs.append(cost)
    return min(costs)


def narrowing_table(searches: int) -> list[dict[str, object]]:
    """Return how often the optimum was kept and how often a parameter that does nothing had evidence, by sampler."""
    rows: list[dict[str, object]] = []
    for sampler in SAMPLERS:
        kept, levels = [], {name: np.zeros(3) for name in DUMMIES}
        each: dict[int, list[bool]] = {1: [], 2: []}
        for seed in range(searches):
            truth = Truth.drawn(np.random.default_rng([seed, 0]))
            for stages in (1, 2):
                made = searched(sampler, truth, seed=seed, stages=stages)
                kept.append((stages, loses(made, truth) <= LOSES))
                each[stages] += inside(made, truth)
                for name in DUMMIES if stages == 1 else ():
                    if (p := made.ranges[name].evidence) is not None:
                        levels[name] += (1, p <= 0.05, p <= 0.01)
        row: dict[str, object] = {"sampler": sampler}
        for stages in (1, 2):
            good = [of for after, of in kept if after == stages]
            row[f"stage {stages}: good kept"] = f"{np.mean(good):.1%}"
            row["each optimum" if stages == 1 else "each optimum "] = f"{np.mean(each[stages]):.1%}"
        for name, (known, weak, clear) in levels.items():
            row[f"{name}: p <= 0.05, 0.01"] = f"{weak / known:.1%}, {clear / known:.1%}"
        rows.append(row)
    return rows


def discrepancy_table(repeats: int) -> list[dict[str, object]]:
    """Return the centred discrepancies of quasi-random points as shares of random ones', by number and dimensions."""
    rows: list[dict[str, object]] = []
    for dimensions in (2, 4, 8):
        space: Space = {f"x{i}": Float(0.0, 1.0) for i in range(dimensions)}
        for count in (16, 64, 256, 1024):
            mean = {
                name: np.mean([_discrepancy(name, space, count, seed) for seed in range(repeats)]) for name in SAMPLERS
            }
            shares = {name: f"{mean[name] / mean['random']:.2f}" for name in SAMPLERS if name != "random"}
            rows.append({"dimensions": dimensions, "trials": count, "random": f"{mean['random']:.2g}", **shares})
    return rows


def _discrepancy(sampler: str, space: Space, count: int, seed: int) -> float:
    stage = NewStage("s", 1, "maximize", seed, space, {"trials": {"sampler": sampler}})
    draws = sampler_of(stage)
    points = np.array([[*draws.params(stage, number).values()] for number in range(count)])
    return float(qmc.discrepancy(points))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--searches", type=int, default=200)
    searches = parser.parse_args().searches
    for rows in (narrowing_table(searches), discrepancy_table(max(1, searches // 20))):
        print(markdown(list(rows[0]), [list(map(str, row.values())) for row in rows]))


if __name__ == "__main__":
    main()
