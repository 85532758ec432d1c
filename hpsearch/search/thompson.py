"""Thompson sampling: the trials of a batch, each the best of a function drawn from the surrogate (Thompson 1933).

A drawn function is one of those that the scores so far allow. Where they agree the draws do too, and where they do not
the batch spreads out: no trial needs to know the others of its batch (Kandasamy and others 2018). Candidates are random
values, and values near the best trials; conditions, steps and constraints hold for both.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.records import draw_seed
from hpsearch.samplers import RandomSampler, constraints_of, fill_in
from hpsearch.search import surrogate
from hpsearch.space import Categorical, Float, Parameter, Value, from_scale, to_scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.search.refinement import Scored
    from hpsearch.search.surrogate import Surrogate

_CANDIDATES = 300  # of each kind, at least
_BEST = 10  # trials near which the others lie
_REACH = 0.1  # standard deviation of a step from such a trial, as a share of the range
_MOVED = 0.6  # share of the values that a step changes
_FAILS = 0.3  # candidates that are likelier to fail are passed over


def propose(stage: Stage, past: Sequence[Scored], *, first: int, count: int) -> list[dict[str, Value]] | None:
    """Return the values of ``count`` trials from number ``first``; None where there are too few scores.

    Args:
        stage: The refinement.
        past: The trials to learn from.
        first: Number of the first trial of the batch.
        count: Trials in the batch.
    """
    known = _surrogate(stage, past)
    if known is None:
        return None
    seed = draw_seed(stage.seed, first, "refine")
    rng = np.random.default_rng(seed)
    candidates = _candidates(stage, past, known, count, seed=seed, rng=rng)
    points = known.encoding.rows(stage.space, candidates)
    drawn = known.score.sample(points, count, rng=rng)  # (count, C), higher is better
    drawn -= np.where(known.at(points).failure > _FAILS, 1e3 * known.score.signal, 0.0)
    chosen: list[int] = []
    for function in drawn:
        chosen.append(next(i for i in np.argsort(-function, kind="stable").tolist() if i not in chosen))
    return [candidates[i] for i in chosen]


def _surrogate(stage: Stage, past: Sequence[Scored]) -> Surrogate | None:
    """Return the surrogate of past trials."""
    space = surrogate.delivered_space(stage.space)
    columns = surrogate.columns_of(stage.space, [trial.params for trial in past])
    scores = np.array([np.nan if trial.score is None else trial.score for trial in past])
    sign = 1.0 if stage.direction == "maximize" else -1.0
    return surrogate.fit(space, scores, surrogate.columns_as(space, stage.space, columns), sign=sign)


def _candidates(
    stage: Stage, past: Sequence[Scored], known: Surrogate, count: int, *, seed: int, rng: np.random.Generator
) -> list[dict[str, Value]]:
    """Return random values, and values near the trials of which the surrogate expects most: at least ``count``.

    No values are tried twice, unless the space has too few of them: then the best are tried again.
    """
    random, constraints = RandomSampler(), constraints_of(stage)
    size = max(_CANDIDATES, count)
    proposed = [random.params(stage, (seed << 20) + number) for number in range(size)]
    scored = [trial.params for trial in past if trial.score is not None]
    expected = known.score.predict(known.encoding.rows(stage.space, scored))[0]
    order = np.argsort(-expected, kind="stable").tolist()
    best = [scored[i] for i in order[:_BEST]]
    for number in range(size):
        params = best[number % len(best)]
        given = {name: _near(stage.space[name], value, rng) for name, value in params.items()}
        values = fill_in(stage, (seed << 20) + size + number, given)
        if constraints is None or constraints.hold(values):
            proposed.append(values)
    tried = {_key(trial.params) for trial in past}
    new = {_key(values): values for values in proposed if _key(values) not in tried}
    again = cycle({_key(scored[i]): scored[i] for i in order}.values())
    return [*new.values(), *islice(again, max(count - len(new), 0))]


def _key(params: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(params.items())


def _near(parameter: Parameter, value: Value, rng: np.random.Generator) -> Value:
    """Return a value near another one: a step on the transformed scale, or now and then another choice."""
    if rng.random() > _MOVED:
        return value
    if isinstance(parameter, Categorical):
        return parameter.choices[int(rng.integers(len(parameter.choices)))] if rng.random() < _REACH else value
    assert isinstance(value, int | float)
    low, high = (to_scale(parameter, end) for end in (parameter.low, parameter.high))
    place = min(max(to_scale(parameter, value) + _REACH * (high - low) * float(rng.normal()), low), high)
    near = min(max(from_scale(parameter, place), parameter.low), parameter.high)
    if isinstance(parameter, Float):
        step = parameter.step
        return near if step is None else parameter.low + step * round((near - parameter.low) / step)
    return parameter.low + parameter.step * round((near - parameter.low) / parameter.step)
