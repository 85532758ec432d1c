"""Isolation of a parameter: the best trial of each bucket of its values, and the score when the others are tuned.

The best trial of a bucket is lucky in its noise, and unlucky in that few values of the other parameters were tried
there. So a surrogate of all trials says what score the best values of the others are expected to have: the values that
it puts first in a bucket are searched for, and the highest of each function that is drawn from it over these is one
possible score. The trials are resampled for each few functions, since a Gaussian process that does not fit is too sure:
without that the intervals are two thirds as wide and hold in 0.62 to 0.92 instead of 0.80 to 1.00.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.search.surrogate import LEAST, Encoding
from hpsearch.space import Categorical, from_scale, to_scale
from hpsearch.statistics import gaussian_process
from hpsearch.statistics.intervals import LEVEL, Interval

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.space import Parameter, Space, Value
    from hpsearch.statistics.gaussian_process import GaussianProcess

_TRIALS, _FEWEST, _MOST = 10, 4, 10  # trials a bucket, and the numbers of buckets of a range
_POOL = 400  # points from which the search for the best values of the others begins
_WIDE, _KEPT = 32, 8  # the best points of a bucket that are varied, and those that are compared in the end
_STEP, _ROUNDS = 0.08, 2  # how far they are varied, as a share of the ranges, and how often
_RESAMPLES, _FUNCTIONS = 10, 40
_TUNED = 20  # of more choices only the best trials are known
_SLACK = 1e-9  # of rounding, in shares
_LEARNT_FROM = 150  # trials; of more an even sample
_FAR = 1.5  # lower scores are raised to so many quartile distances below the lower quartile


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of a range, or a choice."""

    low: Value  # its ends on the parameter's own scale; of a choice both are that choice
    high: Value
    trials: int  # with a score
    best: int  # the place of the best one among those given
    tuned: float | None  # the expected score with the other parameters tuned; None without a surrogate
    interval: Interval | None  # of that score


def isolate(
    space: Space,
    scores: NDArray[np.float64],
    params: Mapping[str, ArrayLike],
    names: Collection[str],
    *,
    sign: float,
) -> dict[str, list[Bucket]]:
    """Return the buckets of some parameters that have a trial with a score, in order.

    Args:
        space: The ranges.
        scores: (N,) of complete and failed trials, NaN of failed ones.
        params: (N,) values by parameter; None or NaN where a trial does not have it.
        names: The parameters to be isolated.
        sign: 1 where a high score is good, else -1.
    """
    columns = {
        name: np.array(params[name], dtype=object if isinstance(parameter, Categorical) else float)
        for name, parameter in space.items()
    }
    rows = np.column_stack([_shares(parameter, columns[name]) for name, parameter in space.items()])  # (N, P)
    scored = np.isfinite(scores)
    fitted = _fit(space, columns, sign * scores) if scored.sum() >= LEAST else None
    made = {}
    for name in names:
        column = list(space).index(name)
        spans = _spans(space[name], rows[scored, column])  # (B, 2)
        within = (rows[:, [column]] >= spans[:, 0] - _SLACK) & (rows[:, [column]] <= spans[:, 1] + _SLACK)  # (N, B)
        within &= scored[:, None]
        spans, within = spans[within.any(axis=0)], within[:, within.any(axis=0)]
        tuned = _tuned(fitted, rows, within, spans, column) if fitted is not None and len(spans) <= _TUNED else None
        made[name] = [
            Bucket(
                low=_value(space[name], float(spans[place, 0])),
                high=_value(space[name], float(spans[place, 1])),
                trials=int(of.sum()),
                best=int(np.argmax(np.where(of, sign * scores, -np.inf))),
                tuned=None if tuned is None else sign * float(tuned[place].mean()),
                interval=None if tuned is None else _interval(sign * tuned[place]),
            )
            for place, of in enumerate(within.T)
        ]
    return made


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """The score of any values, more is better, and whether they fail, as the trials have it."""

    encoding: Encoding
    values: NDArray[np.float64]  # (N,) scores
    score: GaussianProcess  # of these
    failure: GaussianProcess | None  # of 0 and 1; None where fewer than two trials failed

    def promise(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an optimistic score of each row of shares; none of one that likely fails."""
        points = _encoded(self.encoding, rows)
        mean, sd = self.score.predict(points)
        if self.failure is None:
            return mean + sd
        return np.asarray(np.where(self.failure.predict(points)[0] > 0.5, -np.inf, mean + sd))

    def functions(self, points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return functions at M points, drawn from the process given resampled trials, (functions, M)."""
        functions = []
        for _ in range(_RESAMPLES):
            some = rng.integers(len(self.values), size=len(self.values))
            given = self.score.given(self.score.points[some], self.values[some])
            functions.append(given.sample(points, _FUNCTIONS, rng=rng))
        return np.concatenate(functions)


def _fit(space: Space, columns: Mapping[str, NDArray[Any]], goodness: NDArray[np.float64]) -> _Fitted:
    """Fit a surrogate to trials, an even sample of many: the best of them would be those with the luckiest noise."""
    encoding = Encoding(space)
    points = encoding.points(columns)
    some = (
        np.unique(np.linspace(0, len(goodness) - 1, _LEARNT_FROM).astype(int))
        if len(goodness) > _LEARNT_FROM
        else np.arange(len(goodness))
    )
    points, goodness = points[some], goodness[some]
    failed = np.isnan(goodness)
    low, high = np.quantile(goodness[~failed], [0.25, 0.75])
    values = np.maximum(goodness[~failed], low - _FAR * (high - low))
    score = gaussian_process.fit(points[~failed], values, encoding.groups)
    failure = gaussian_process.fit(points, failed.astype(float), encoding.groups) if failed.sum() > 1 else None
    return _Fitted(encoding, values, score, failure)


def _tuned(
    fitted: _Fitted,
    rows: NDArray[np.float64],
    within: NDArray[np.bool_],
    spans: NDArray[np.float64],
    column: int,
) -> NDArray[np.float64]:
    """Return possible scores of each bucket with the other parameters tuned, (B, functions).

    Args:
        fitted: The surrogate.
        rows: The trials, (N, P), as shares of the ranges.
        within: Those of each bucket, (N, B).
        spans: The buckets' ends, (B, 2), in the same shares.
        column: The place of their parameter.
    """
    rng, space = np.random.default_rng(0), fitted.encoding.space

    def best(some: NDArray[np.float64], most: int) -> NDArray[np.float64]:
        return some[np.argsort(-fitted.promise(some), kind="stable")[:most]]

    pool = best(np.concatenate([rows, _random(space, _POOL, rng)]), _WIDE)
    kept = []
    for span, of in zip(spans, within.T, strict=True):
        moved = pool.copy()
        moved[:, column] = rng.uniform(span[0], span[1], len(moved))
        chosen = best(np.concatenate([rows[of], moved]), _WIDE)
        for _ in range(_ROUNDS):
            varied = _varied(space, chosen, rng)
            varied[:, column] = np.clip(varied[:, column], span[0], span[1])
            chosen = best(np.concatenate([chosen, varied]), _WIDE)
        kept.append(chosen[:_KEPT])
    ends = np.cumsum([0, *map(len, kept)])
    functions = fitted.functions(_encoded(fitted.encoding, np.concatenate(kept)), rng)
    return np.maximum.reduceat(functions, ends[:-1], axis=1).T


def _interval(scores: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Interval(low, high)


def _spans(parameter: Parameter, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of a parameter's buckets, (B, 2): of stretches, or of each of few values."""
    if isinstance(parameter, Categorical) or (
        parameter.step and parameter.high - parameter.low < _MOST * parameter.step
    ):
        values = np.unique(shares[np.isfinite(shares)])
        return np.column_stack([values, values])
    ends = np.linspace(0, 1, min(max(len(shares) // _TRIALS, _FEWEST), _MOST) + 1)
    return np.column_stack([ends[:-1], ends[1:]])


def _shares(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as shares of a range on its transformed scale, or as the places of choices; NaN for none."""
    if isinstance(parameter, Categorical):
        place = {choice: at for at, choice in enumerate(parameter.choices)}
        return np.array([place.get(value, np.nan) for value in values.tolist()], dtype=float)
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(((np.log10(values) if parameter.log else values) - low) / (high - low))


def _value(parameter: Parameter, share: float) -> Value:
    """Return the value at a share."""
    if isinstance(parameter, Categorical):
        return parameter.choices[int(share)]
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    return from_scale(parameter, low + share * (high - low))


def _encoded(encoding: Encoding, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the surrogate's points of rows of shares."""
    params: dict[str, NDArray[Any]] = {}
    for shares, (name, parameter) in zip(rows.T, encoding.space.items(), strict=True):
        if isinstance(parameter, Categorical):
            choices = np.array([*parameter.choices, np.nan], dtype=object)
            params[name] = choices[np.where(np.isfinite(shares), shares, len(parameter.choices)).astype(int)]
        else:
            low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
            scaled = low + shares * (high - low)
            params[name] = 10**scaled if parameter.log else scaled
    return encoding.points(params)


def _random(space: Space, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return random points of a space, as rows of shares."""
    return np.column_stack(
        [
            rng.integers(len(of.choices), size=count) if isinstance(of, Categorical) else rng.uniform(size=count)
            for of in space.values()
        ]
    )


def _varied(space: Space, rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return points near others: numbers moved a little, one choice in ten drawn anew."""
    near = np.clip(rows + rng.normal(0, _STEP, rows.shape), 0, 1)
    lists = [isinstance(of, Categorical) for of in space.values()]
    anew = _random(space, len(rows), rng)
    return np.where(lists, np.where(rng.uniform(size=rows.shape) < 0.1, anew, rows), near)
