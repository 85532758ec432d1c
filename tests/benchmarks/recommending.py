"""How good the finally chosen values are, by what searched and by what chose: regret on surfaces with a known optimum.

``python tests/benchmarks/recommending.py --searches 60`` simulates searches of 300 trials (those of
`tests/benchmarks/narrowing.py`) by three narrowed stages, three and a refinement, plain random search, Sobol' points
and Optuna's TPE sampler.
The regret is the expected score at the optimum less that of the chosen values, times 1,000, where values that fail are
worth what learns nothing. They are chosen

- by the best score;
- by that of 250 trials, of which the best five are confirmed ten times each, all within the budget;
- as `hpsearch recommend` does (`hpsearch.statistics.retraining`);
- and so of 250 trials with a confirmation, which takes every second setting by its expected score.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import optuna
from measuring import markdown
from narrowing import LUCK, NAMES, SPACE, SURFACES, Surface, good_values
from numpy.typing import NDArray
from scipy.stats import qmc

from hpsearch.records import Stage
from hpsearch.search import surrogate
from hpsearch.search.range_analysis import Finished, narrow
from hpsearch.search.refinement import BATCH, Scored
from hpsearch.search.thompson import propose
from hpsearch.space import Space
from hpsearch.statistics.retraining import Judged, judge

TRIALS, CONFIRMED, REPEATS, STAGES, TOP = 300, 5, 10, 3, 5
CHANCE = 0.1
Numbers = NDArray[np.float64]
Run = Callable[[Numbers], Numbers]  # the scores of trials at (N, 3) points, NaN of those that fail
Searched = tuple[Numbers, Numbers]  # the points, (N, 3), and their scores, (N,)


def runner(surface: Surface, examples: int, rng: np.random.Generator) -> Run:
    """What runs trials on a surface."""

    def run(points: Numbers) -> Numbers:
        expected, fails = surface[0](points[:, :2])
        luck = np.clip(expected + LUCK * rng.normal(size=len(points)), 0.01, 0.99)
        return np.where(rng.random(len(points)) < fails, np.nan, rng.binomial(examples, luck) / examples)

    return run


def random(run: Run, trials: int, rng: np.random.Generator) -> Searched:
    """Plain random search."""
    points = rng.random((trials, len(SPACE)))
    return points, run(points)


def sobol(run: Run, trials: int, rng: np.random.Generator) -> Searched:
    """Scrambled Sobol' points."""
    points = qmc.Sobol(len(SPACE), seed=rng).random(trials)
    return points, run(points)


def tpe(run: Run, trials: int, rng: np.random.Generator) -> Searched:
    """Optuna's TPE sampler with its defaults, one trial at a time."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=int(rng.integers(2**31))))
    ranges: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(0, 1) for name in SPACE
    }
    points, scores = np.empty((trials, len(SPACE))), np.empty(trials)
    for number in range(trials):
        trial = study.ask(ranges)
        points[number] = [trial.params[name] for name in SPACE]
        scores[number] = run(points[number : number + 1])[0]
        failed = np.isnan(scores[number])
        study.tell(trial, None if failed else scores[number], optuna.trial.TrialState.FAIL if failed else None)
    return points, scores


def staged(run: Run, trials: int, rng: np.random.Generator) -> Searched:
    """Three stages, narrowed in between by the default rule."""
    _, points, scores = in_stages(run, trials, rng)
    return points, scores


def refined(run: Run, trials: int, rng: np.random.Generator) -> Searched:
    """Three stages of half of the trials together, and a refinement of the last one by the surrogate."""
    space, points, scores = in_stages(run, trials // 2, rng)
    stage = Stage("refined", STAGES + 1, "maximize", int(rng.integers(2**31)), space, {}, study_id=1)
    low, high = ends(space)
    while len(points) < trials:
        inside = ((points >= low) & (points <= high)).all(axis=1)
        rows = [dict(zip(NAMES, row, strict=True)) for row in points[inside].tolist()]
        known = [None if np.isnan(score) else score for score in scores[inside].tolist()]
        count = min(BATCH, trials - len(points))
        past = [Scored(dict(row), score) for row, score in zip(rows, known, strict=True)]
        proposed = propose(stage, past, first=len(points), count=count) or []
        new = np.array([[values[name] for name in NAMES] for values in proposed], dtype=float)
        points, scores = np.vstack((points, new)), np.append(scores, run(new))
    return points, scores


def in_stages(run: Run, trials: int, rng: np.random.Generator) -> tuple[Space, Numbers, Numbers]:
    """Three stages, narrowed in between: the last ranges, the points and their scores."""
    space, points, scores = dict(SPACE), np.empty((0, len(SPACE))), np.empty(0)
    for stage in range(STAGES):
        low, high = ends(space)
        count = trials * (stage + 1) // STAGES - trials * stage // STAGES
        new = low + (high - low) * rng.random((count, len(SPACE)))
        made = run(new)
        points, scores = np.vstack((points, new)), np.append(scores, made)
        if stage < STAGES - 1:
            space = narrowed(space, new, made, points, scores)
    return space, points, scores


def ends(space: Space) -> tuple[Numbers, Numbers]:
    """The lower and the upper ends of ranges, (3,) each."""
    low, high = (np.array([getattr(of, end) for of in space.values()]) for end in ("low", "high"))
    return low, high


def narrowed(space: Mapping[str, Any], new: Numbers, made: Numbers, points: Numbers, scores: Numbers) -> dict[str, Any]:
    """The next stage's ranges by the default rule."""
    done = np.flatnonzero(~np.isnan(made))
    finished = Finished(done, made[done], np.full(len(done), np.nan), dict(zip(NAMES, new[done].T, strict=True)))
    values = partial(good_values, space, points, scores, finished, TOP)
    given: dict[str, Any] = {"by_evidence": True, "plausible": values, "first_space": SPACE, "direction": "maximize"}
    return dict(narrow(space, finished, top=TOP, **given).space)


def fitted(points: Numbers, scores: Numbers) -> surrogate.Surrogate | None:
    """The surrogate of some trials."""
    table = dict(zip(NAMES, points.T, strict=True))
    return surrogate.fit(SPACE, scores, table, sign=1.0)


def ranked(points: Numbers, scores: Numbers) -> list[int]:
    """The trials as `recommend` ranks them, the most useful first; those that it does not look at are missing."""
    of = fitted(points, scores)
    assert of is not None
    judged: Judged = judge(of.points, of.scores, of.encoding.groups)
    return [int(of.places[at]) for at in judged.ranking().tolist() if not np.isnan(of.scores[at])]


def confirmed(run: Run, points: Numbers, best: Sequence[int]) -> Numbers:
    """The first of the best settings by their mean over repeats; one with a failed repeat ranks below all others."""
    settings = points[[*dict.fromkeys(best)][:CONFIRMED]]
    scores = run(np.repeat(settings, REPEATS, axis=0)).reshape(len(settings), REPEATS)
    return np.asarray(settings[np.argmax(np.where(np.isnan(scores).any(axis=1), -1, scores.mean(axis=1)))])


def regrets(surface: str, searcher: Callable[..., Searched], examples: int, number: int) -> list[float]:
    """Search once; return the regret by what chooses."""
    rng = np.random.default_rng([number, examples])
    of = SURFACES[surface](rng)
    run = runner(of, examples, rng)

    def regret(chosen: Numbers) -> float:
        (optimum,), _ = of[0](of[1][None])
        (score,), (fails,) = of[0](chosen[None, :2])
        return float(optimum - (1 - fails) * score - fails * CHANCE)

    points, scores = searcher(run, TRIALS, rng)
    fewer, some = (
        searcher(run, TRIALS - CONFIRMED * REPEATS, rng) if searcher is staged else (points[:250], scores[:250])
    )
    by_score = np.argsort(-np.where(np.isnan(some), -1, some), kind="stable").tolist()
    return [
        regret(points[int(np.nanargmax(scores))]),
        regret(confirmed(run, fewer, by_score)),
        regret(points[ranked(points, scores)[0]]),
        regret(confirmed(run, fewer, [at for pair in zip(ranked(fewer, some), by_score, strict=False) for at in pair])),
    ]


SEARCHERS: Mapping[str, Callable[..., Searched]] = {
    "staged": staged,
    "refined": refined,
    "random": random,
    "Sobol'": sobol,
    "TPE": tpe,
}
WAYS = ("best score", "best score, confirmed", "recommended", "recommended, confirmed")


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--examples", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--surfaces", nargs="*", default=["bowl", "cliff", "ridge", "two modes"], choices=SURFACES)
    parser.add_argument("--searchers", nargs="*", default=list(SEARCHERS), choices=SEARCHERS)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for examples, surface, name in product(given.examples, given.surfaces, given.searchers):
        made = np.array([regrets(surface, SEARCHERS[name], examples, number) for number in range(given.searches)])
        means, errors = 1000 * made.mean(axis=0), 1000 * made.std(axis=0, ddof=1) / np.sqrt(given.searches)
        cells = [f"{mean:.1f} +- {error:.1f}" for mean, error in zip(means, errors, strict=True)]
        rows.append((f"{surface}, {examples} examples", name, *cells))
        print(*rows[-1], sep=" | ", flush=True)
    print(markdown(("surface", "search", *WAYS), rows))


if __name__ == "__main__":
    main()
