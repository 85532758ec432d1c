"""How often narrowing keeps the optimum, how fast it narrows, and how good the values are that it leads to.

``python tests/benchmarks/narrowing.py --searches 500`` simulates searches of three stages on six surfaces of two
parameters that matter and one that does not, by the rule of today and by ``order-statistics``, on the same trials in
stage 1. Scores are shares of examples; training adds luck of its own. For each cell it prints

- how often the optimum (of the two that matter) lies in the ranges after stages 1, 2 and 3;
- the geometric mean of the ranges' widths after three stages, as shares of the first ones, of those that matter;
- how often a stage narrowed the range of the parameter that does not matter;
- how much worse than the optimum, times 1,000, the values are that `recommend` names, or those of the best score.

Every surface is drawn anew for each search.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product, repeat
from typing import TypeAlias

import numpy as np
from measuring import markdown
from numpy.typing import NDArray

from hpsearch.search.plausible import Plausible, plausible
from hpsearch.search.range_analysis import Finished, narrow
from hpsearch.search.surrogate import fit
from hpsearch.space import Categorical, Float, Space
from hpsearch.statistics.retraining import judge

Numbers: TypeAlias = "NDArray[np.float64]"
# The expected score and the probability of failing at (N, 2) points, and the optimum; NaN: it does not matter.
Surface: TypeAlias = "tuple[Callable[[Numbers], tuple[Numbers, Numbers]], Numbers]"
NAMES = ("a", "b", "dummy")
SPACE: Space = {name: Float(0.0, 1.0) for name in NAMES}
LUCK = 0.01  # standard deviation of what the seed of a training does to its expected score
STAGES = 3
RULES = ("surrogate", "order-statistics")


def _safe(score: Numbers) -> tuple[Numbers, Numbers]:
    return np.clip(score, 0.1, 1.0), np.zeros(len(score))


def bowl(rng: np.random.Generator) -> Surface:
    """A quadratic bowl with its optimum anywhere but at the very edge."""
    best, steep = rng.uniform(0.1, 0.9, 2), rng.uniform(0.45, 1.35, 2)
    return lambda x: _safe(0.9 - ((x - best) ** 2) @ steep), best


def cliff(rng: np.random.Generator) -> Surface:
    """A bowl that ends, at its optimum or a little above it, where training diverges: it fails, or learns nothing."""
    best, steep = np.array([rng.uniform(0.3, 0.85), rng.uniform(0.2, 0.8)]), np.array([rng.uniform(0.5, 1.4), 0.45])
    end = best[0] + rng.uniform(0, 0.12)

    def at(x: Numbers) -> tuple[Numbers, Numbers]:
        beyond = x[:, 0] > end
        return np.where(beyond, 0.1, _safe(0.9 - ((x - best) ** 2) @ steep)[0]), 0.9 * beyond

    return at, best


def ridge(rng: np.random.Generator) -> Surface:
    """Two parameters that compensate each other, with a slight optimum along the ridge."""
    total, apart = rng.uniform(0.6, 1.4), rng.uniform(-0.4, 0.4)

    def at(x: Numbers) -> tuple[Numbers, Numbers]:
        across, along = x[:, 0] + x[:, 1] - total, x[:, 0] - x[:, 1] - apart
        return _safe(0.9 - 2 * across**2 - 0.15 * along**2)

    return at, np.array([(total + apart) / 2, (total - apart) / 2])


def two_modes(rng: np.random.Generator) -> Surface:
    """Two modes apart from each other, the better one narrow."""
    while True:
        wide, narrow_ = rng.uniform(0.15, 0.85, (2, 2))
        if np.hypot(*(wide - narrow_)) > 0.45:
            break

    def at(x: Numbers) -> tuple[Numbers, Numbers]:
        near = [np.exp(-0.5 * np.sum((x - of) ** 2, axis=1) / w**2) for of, w in ((wide, 0.35), (narrow_, 0.1))]
        return _safe(0.3 + np.maximum(0.5 * near[0], 0.6 * near[1]))

    return at, narrow_


def beyond(rng: np.random.Generator) -> Surface:
    """A bowl whose optimum lies beyond the range of one parameter: the best value is at the bound."""
    best = np.array([rng.uniform(1.05, 1.25), rng.uniform(0.1, 0.9)])
    return lambda x: _safe(0.9 - 0.9 * np.sum((x - best) ** 2, axis=1)), np.minimum(best, 1.0)


def flat(rng: np.random.Generator) -> Surface:
    """Nothing matters."""
    return lambda x: _safe(np.full(len(x), 0.8)), np.full(2, np.nan)


SURFACES = {of.__name__.replace("_", " "): of for of in (bowl, cliff, ridge, two_modes, beyond, flat)}


def good_values(space: Space, points: Numbers, scores: Numbers, stage: Finished, k: int) -> dict[str, Plausible]:
    """The plausible values after a stage, by all trials so far."""
    surrogate = fit(space, scores, dict(zip(NAMES, points.T, strict=True)), sign=1.0, within=space)
    assert surrogate is not None
    return plausible(surrogate, space, stage.params, k, fixed={}, used_by={})


def search(surface: str, trials: int, examples: int, top: int, rule: str, number: int) -> list[float]:
    """Simulate a search; return by stage whether the optimum is inside, the dummy narrowed, log widths; the regret."""
    rng = np.random.default_rng([number, trials, examples])
    at, best = SURFACES[surface](rng)
    space, points, scores = dict(SPACE), np.empty((0, 3)), np.empty(0)
    inside, narrowed, widths = [], [], []
    for _ in range(STAGES):
        low, high = (np.array([getattr(of, end) for of in space.values()]) for end in ("low", "high"))
        new = low + (high - low) * rng.random((trials, 3))
        expected, fails = at(new[:, :2])
        luck = np.clip(expected + LUCK * rng.normal(size=trials), 0.01, 0.99)
        made = np.where(rng.random(trials) < fails, np.nan, rng.binomial(examples, luck) / examples)
        points, scores = np.vstack([points, new]), np.append(scores, made)
        done = np.flatnonzero(~np.isnan(made))
        finished = Finished(done, made[done], np.full(len(done), np.nan), dict(zip(NAMES, new[done].T, strict=True)))
        k = min(top, len(done))
        space = dict(
            narrow(
                space,
                finished,
                top=k,
                direction="maximize",
                first_space=SPACE,
                by_evidence=rule == "surrogate",
                plausible=partial(good_values, space, points, scores, finished, k) if rule == "surrogate" else None,
            ).space
        )
        ends = [(of.low, of.high) for of in space.values() if not isinstance(of, Categorical)]
        inside.append(all(np.isnan(o) or a <= o <= b for o, (a, b) in zip(best, ends, strict=False)))
        widths.append(float(np.mean([np.log(b - a) for a, b in ends[:2]])))
        narrowed.append(ends[2][1] - ends[2][0] < 0.999 * (high - low)[2])
    chosen = points[np.nanargmax(scores)]
    if rule == "surrogate":
        table = dict(zip(NAMES, points.T, strict=True))
        of_all = fit(SPACE, scores, table, sign=1.0)
        assert of_all is not None
        judged = judge(of_all.points, of_all.scores, of_all.encoding.groups, sampled=len(of_all.points))
        chosen = of_all.points[next(at for at in judged.ranking() if not np.isnan(of_all.scores[at]))]
    top_score = 0.8 if np.isnan(best).any() else float(at(best[None])[0][0])
    regret = top_score - float(at(chosen[None, :2])[0][0])
    seen = bool(np.max(at(points[:trials, :2])[0]) > 0.8)
    return [*inside, *narrowed, *widths, seen, regret]


def cell(of: tuple[str, int, int, int, str], count: int) -> list[float]:
    """Return the means over the searches of a cell, and the standard error of the last one."""
    made = np.array([search(*of, number) for number in range(count)], dtype=float)
    return [*made.mean(axis=0).tolist(), float(made[:, -1].std() / np.sqrt(count))]


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=40)
    parser.add_argument("--trials", type=int, nargs="*", default=[30, 100, 300])
    parser.add_argument("--examples", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--top", type=int, nargs="*", default=[3, 5, 10])
    parser.add_argument("--surfaces", nargs="*", default=list(SURFACES))
    parser.add_argument("--rules", nargs="*", default=list(RULES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    of = list(product(given.surfaces, given.trials, given.examples, given.top, given.rules))
    with ProcessPoolExecutor(given.jobs) as pool:
        means = pool.map(cell, of, repeat(given.searches))
        rows = []
        for (surface, trials, examples, top, rule), mean in zip(of, means, strict=True):
            inside, dummy, widths, seen, regret, error = mean[:3], mean[3:6], np.exp(mean[6:9]), *mean[9:]
            rows.append(
                (
                    f"{surface}, {trials} trials, {examples} examples, top {top}",
                    rule,
                    " / ".join(f"{share:.2f}" for share in inside),
                    " / ".join(f"{width:.2f}" for width in widths),
                    f"{seen:.2f}",
                    f"{np.mean(dummy):.3f}",
                    f"{1000 * regret:.1f} +- {1000 * error:.1f}",
                )
            )
            print(*rows[-1], sep=" | ", flush=True)
    heads = (
        "searches",
        "rule",
        "optimum inside after stages 1 / 2 / 3",
        "widths",
        "seen",
        "dummy narrowed",
        "regret x 1000",
    )
    print(markdown(heads, rows))


if __name__ == "__main__":
    main()
