"""A surrogate of a search: the expected score of any values, by all trials that finished or failed.

The score of one trial is partly noise; a Gaussian process over all trials separates the expected score from it. Scores
far below the good ones are raised to a floor: how bad bad values are says nothing about the good ones, and would only
shorten the process's length scales. How likely values are to fail is a second process, over 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpsearch.search.evidence import positions
from hpsearch.search.range_analysis import missing
from hpsearch.search.stage import comparable, params_at
from hpsearch.space import Categorical, Float, Int, Parameter, Value, delivered_as
from hpsearch.statistics import gaussian_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.records import Stage
    from hpsearch.space import Space
    from hpsearch.statistics.gaussian_process import GaussianProcess
    from hpsearch.store import Store

LEAST = 10  # with fewer scores there is no surrogate
MOST = 200  # trials that it learns from
_POOL = 10_000  # trials that these are chosen among


@dataclass(frozen=True, slots=True)
class Encoding:
    """The places of values: numbers on their transformed scale as shares of a range, a 0 or 1 for each choice."""

    space: Space  # by the names that an objective knows

    def points(self, params: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the points of N values of each parameter, (N, C); NaN is a parameter that a trial does not have.

        None is a choice, if it is one.
        """
        return np.column_stack([column for name in self.space for column in self._columns(name, params[name])])

    def rows(self, space: Space, rows: Sequence[Mapping[str, Value]]) -> NDArray[np.float64]:
        """Return the points of N trials, (N, C), whose values have the names of another space, as a stage's."""
        return self.points(columns_as(self.space, space, columns_of(space, rows)))

    @property
    def groups(self) -> NDArray[np.intp]:
        """The number of each column's parameter, (C,)."""
        widths = [len(of.choices) if isinstance(of, Categorical) else 1 for of in self.space.values()]
        return np.repeat(np.arange(len(widths)), widths)

    def _columns(self, name: str, values: NDArray[Any]) -> list[NDArray[np.float64]]:
        of = self.space[name]
        if isinstance(of, Categorical):  # two different choices are 1 apart
            return [np.array([value == choice for value in values.tolist()]) / np.sqrt(2) for choice in of.choices]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = positions(of, values)
        share[np.isneginf(share)] = -0.25  # 0 on a log scale, which another range of the parameter allows
        return [np.where(np.isfinite(share), share, 0.5)]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The expectation at N values, in the units of the score."""

    mean: NDArray[np.float64]  # (N,) the expected score, were it not to fail
    sd: NDArray[np.float64]  # (N,) standard deviation of that expectation; the noise of a single score is left out
    failure: NDArray[np.float64]  # (N,) probability of failing


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """N trials that a surrogate learns from."""

    encoding: Encoding
    places: NDArray[np.intp]  # (N,) of each among those that it was chosen from
    points: NDArray[np.float64]  # (N, C)
    scores: NDArray[np.float64]  # (N,) NaN of failed trials
    sign: float  # 1 where a high score is good, else -1
    floor: float  # worse scores count as this one

    def learn(self) -> Surrogate:
        """Return the surrogate of these trials."""
        raised = np.maximum(self.sign * self.scores, self.sign * self.floor)
        score, failure = gaussian_process.fit_with_failures(self.points, raised, self.encoding.groups)
        of_trials = (self.encoding, self.places, self.points, self.scores, self.sign, self.floor)
        return Surrogate(*of_trials, score=score, failure=failure)


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate(Sample):
    """A surrogate given N trials."""

    score: GaussianProcess  # of sign x score, of the trials that have one
    failure: GaussianProcess | None  # of 0 and 1, of all; None where fewer than two failed

    def at(self, points: NDArray[np.float64]) -> Prediction:
        """Return what is expected at points, (N, C)."""
        mean, sd = self.score.predict(points)
        failure = np.zeros(len(points)) if self.failure is None else self.failure.predict(points)[0]
        return Prediction(self.sign * mean, sd, np.clip(failure, 0.0, 1.0))


class Gathered(NamedTuple):
    """All trials of some stages that finished or failed, N of them."""

    space: Space  # the least ranges that contain those of all, by the names that an objective knows
    trials: Sequence[tuple[Stage, int]]  # the stage and number of each
    scores: NDArray[np.float64]  # (N,) NaN of failed ones
    params: Mapping[str, NDArray[Any]]  # (N,) each
    sign: float  # 1 where a high score is good, else -1


def gather(store: Store, stages: Sequence[Stage], like: Stage) -> Gathered:
    """Return the trials of those stages whose scores compare with one's."""
    same = comparable(stages, like)
    space = delivered_space(*(stage.space for stage in same))
    tables = [table for stage in same for table in _tables(store, stage, space)]
    trials = [(stage, number) for stage, numbers, _, _ in tables for number in numbers]
    scores = np.concatenate([scores for _, _, scores, _ in tables])
    params = {name: np.concatenate([params[name] for *_, params in tables]) for name in space}
    return Gathered(space, trials, scores, params, 1.0 if like.direction == "maximize" else -1.0)


def surrogate_of(
    store: Store, stages: Sequence[Stage], *, like: Stage | None = None, within: Space | None = None
) -> Surrogate | None:
    """Return the surrogate of a search's trials; None with fewer than `LEAST` scores.

    Args:
        store: The database.
        stages: The stages to learn from.
        like: Only from those whose scores compare with this stage's. None: with the last one's.
        within: Only from trials in these ranges, or near them.
    """
    of = gather(store, stages, stages[-1] if like is None else like)
    return fit(of.space, of.scores, of.params, sign=of.sign, within=within)


def fit(
    space: Space,
    scores: NDArray[np.float64],
    params: Mapping[str, NDArray[Any]],
    *,
    sign: float,
    within: Space | None = None,
) -> Surrogate | None:
    """Return the surrogate of trials with these scores, NaN of failed ones; see `surrogate_of`."""
    sample = choose(space, scores, params, sign=sign, within=within)
    return None if sample is None else sample.learn()


def choose(
    space: Space,
    scores: NDArray[np.float64],
    params: Mapping[str, NDArray[Any]],
    *,
    sign: float,
    within: Space | None = None,
) -> Sample | None:
    """Return the trials to learn from: all, or `MOST` of them; None with fewer than `LEAST` scores."""
    encoding = Encoding({**space, **{place(space, name, of): of for name, of in (within or {}).items()}})
    points = encoding.points(params)
    near = np.flatnonzero(_near(encoding, points, params))
    if len(near) > _POOL:
        near = near[np.linspace(0, len(near) - 1, _POOL).astype(int)]
    good = sign * scores[near]
    if np.sum(~np.isnan(good)) < LEAST:
        return None
    high, middle = np.nanquantile(good, [0.9, 0.5])
    floor = sign * float(middle - (high - middle))

    def some(chosen: NDArray[np.intp]) -> Sample:
        kept = near[chosen]
        return Sample(encoding, kept, points[kept], scores[kept], sign, floor)

    if len(near) <= MOST:
        return some(np.arange(len(near)))
    # The best by their own scores would be those selected for their noise: half of the trials come evenly, the others
    # where these expect the best.
    even = np.linspace(0, len(near) - 1, MOST // 2).astype(int)
    expected = some(even).learn().at(points[near])
    worth = np.where(expected.failure < 0.5, sign * expected.mean, -np.inf)
    worth[even] = np.inf
    return some(np.sort(np.argsort(-worth, kind="stable")[:MOST]))


def _near(encoding: Encoding, points: NDArray[np.float64], params: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which points, (N, C), tell what happens inside the ranges: a quarter of each beyond either end does."""
    near: NDArray[np.bool_] = np.all((points >= -0.25) & (points <= 1.25), axis=1)
    for number, (name, of) in enumerate(encoding.space.items()):
        if isinstance(of, Categorical):  # none of the choices is another one, or the trial does not have it
            near &= points[:, encoding.groups == number].any(axis=1) | missing(params[name])
    return near


def delivered_space(*spaces: Space) -> dict[str, Parameter]:
    """Return the least ranges that contain those of these spaces, without steps, by the names that an objective knows.

    Ranges per value of another parameter become one. Of a parameter with choices for one value and numbers for another
    these are two: ``wd`` and ``wd (choices)``.
    """
    every = [(delivered_as(name, of), of) for space in spaces for name, of in space.items()]
    numbers: dict[str, Float] = {}
    choices: dict[str, Categorical] = {}
    for name, of in every:
        if isinstance(of, Categorical):
            known = choices[name].choices if name in choices else ()
            choices[name] = Categorical((*known, *(choice for choice in of.choices if choice not in known)))
        else:
            numbers[name] = _hull(numbers.get(name, of), of)
    result: dict[str, Parameter] = {}
    for name, _ in every:
        if name in numbers:
            result[name] = numbers[name]
        if name in choices:
            result[_choices(name) if name in numbers else name] = choices[name]
    return result


def _choices(name: str) -> str:
    return f"{name} (choices)"


def _hull(first: Float | Int, second: Float | Int) -> Float:
    """Return the least range that contains both but for 0, if only one of them is on a log scale."""
    low, high = min(first.low, second.low), max(first.high, second.high)
    if first.log != second.log and low == 0:
        low = first.low if first.log else second.low
    return Float(low, high, log=(first.log or second.log) and low > 0)


def place(delivered: Space, name: str, parameter: Parameter) -> str:
    """Return the name that a parameter of some space has in a `delivered_space`."""
    known = delivered_as(name, parameter)
    return _choices(known) if isinstance(parameter, Categorical) and _choices(known) in delivered else known


def columns_of(space: Space, rows: Sequence[Mapping[str, Value]]) -> dict[str, NDArray[Any]]:
    """Return N trials' values as columns, (N,) each; NaN where a trial has none."""
    columns = {name: np.full(len(rows), np.nan, dtype=object) for name in space}
    for name, column in columns.items():
        column[:] = [row.get(name, np.nan) for row in rows]
    return columns


def columns_as(delivered: Space, space: Space, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return columns of values by the names of a `delivered_space`, from those by the names of a space that it has."""
    count = len(next(iter(columns.values()), ()))
    result = {
        name: np.full(count, np.nan, dtype=object if isinstance(of, Categorical) else float)
        for name, of in delivered.items()
    }
    for name, of in space.items():
        values, there = columns[name], ~missing(columns[name])
        result[place(delivered, name, of)][there] = values[there]
    return result


def _tables(
    store: Store, stage: Stage, space: Space
) -> list[tuple[Stage, list[int], NDArray[np.float64], dict[str, NDArray[Any]]]]:
    """Return the trials of a stage that completed, and those that failed: numbers, scores and values."""
    complete, failed = store.scores(stage), store.columns(stage, states=("FAIL",))
    values = {name: complete[f"param:{name}"] for name in stage.space}
    rows = [params_at(stage, failed, at) for at in range(len(failed["number"]))]
    return [
        (stage, complete["number"].tolist(), complete["score"], columns_as(space, stage.space, values)),
        (
            stage,
            failed["number"],
            np.full(len(rows), np.nan),
            columns_as(space, stage.space, columns_of(stage.space, rows)),
        ),
    ]
