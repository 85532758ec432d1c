"""Isolation of a parameter: the best trial of each bucket of its values, and the score when the others are tuned.

The best trial of a bucket was selected for its noise, and few values of the other parameters were tried there. So a
surrogate of the trials that have the parameter says what score the best values of the others are expected to have: the
values that it puts first in a bucket are searched for, and the highest of each function that is sampled from it over
these is one possible score. The trials are resampled for each few functions, since a Gaussian process that does not fit
is too sure: without that the intervals are two thirds as wide and hold in 0.62 to 0.92 instead of 0.80 to 1.00.

The values of a scientific parameter have the scores of their comparison (`hpsearch.search.scientific`), which asks for
differences: of these the errors of the levels fall out, and a process without resampling holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.objectives import kinds
from hpsearch.samplers import RandomSampler
from hpsearch.search.evidence import number_at, shares_of
from hpsearch.search.noise import score_bounds
from hpsearch.search.surrogate import LEAST, Encoding
from hpsearch.space import Categorical, shown
from hpsearch.statistics import gaussian_process
from hpsearch.statistics.tuned import middle

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.records import Stage
    from hpsearch.search.scientific import ScientificValues
    from hpsearch.space import Parameter, Space, Value
    from hpsearch.statistics.gaussian_process import GaussianProcess
    from hpsearch.statistics.intervals import Interval

_TRIALS, _FEWEST, _MOST = 10, 4, 10  # trials a bucket, and the numbers of buckets of a range
_BEYOND, _POOL = 10**6, 400  # further trials from which the search for the best values begins: the first one's number
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
    tuned: float | None = None  # the expected score with the other parameters tuned; None with too few trials
    interval: Interval | None = None  # of that score
    at: Value = None  # the value of the part that is expected to reach it: an end, if better values lie beyond


def isolate(
    stage: Stage,
    scores: NDArray[np.float64],
    params: Mapping[str, ArrayLike],
    names: Collection[str],
    *,
    scientific: ScientificValues | None = None,
) -> dict[str, list[Bucket]]:
    """Return the buckets of some parameters that have a trial with a score, in order.

    Args:
        stage: Its ranges are split.
        scores: (N,) of complete and failed trials, NaN of failed ones.
        params: (N,) values by parameter; None or NaN where a trial does not have it.
        names: The parameters to be isolated.
        scientific: The comparison of its scientific values, where there are any.
    """
    space, sign = stage.space, 1.0 if stage.direction == "maximize" else -1.0
    rows, goodness, scored = _rows(space, params), sign * scores, np.isfinite(scores)
    further = _further(stage) if scored.sum() >= LEAST else None
    made, fits = {}, dict[bytes, _Fitted]()
    for name in names:
        column = list(space).index(name)
        has = np.isfinite(rows[:, column])
        spans = _spans(space[name], rows[scored & has, column])  # (B, 2)
        within = _within(rows[:, column], spans) & scored[:, None]  # (N, B)
        spans, within = spans[within.any(axis=0)], within[:, within.any(axis=0)]
        buckets = [
            Bucket(
                low=_value(space[name], float(span[0])),
                high=_value(space[name], float(span[1])),
                trials=int(of.sum()),
                best=int(np.argmax(np.where(of, goodness, -np.inf))),
            )
            for span, of in zip(spans, within.T, strict=True)
        ]
        if scientific is not None and name in scientific.names:
            buckets = [_compared(scientific, name, bucket) for bucket in buckets]
        elif further is not None and np.sum(scored & has) >= LEAST and len(spans) <= _TUNED:
            if has.tobytes() not in fits:
                fits[has.tobytes()] = _fit(space, rows[has], goodness[has])
            possible, at = _tuned(fits[has.tobytes()], rows[has], further, within[has], spans, column)
            possible = np.clip(sign * possible, *score_bounds(stage))
            buckets = [
                replace(bucket, tuned=float(of.mean()), interval=middle(of), at=_value(space[name], share))
                for bucket, of, share in zip(buckets, possible, at.tolist(), strict=True)
            ]
        made[name] = buckets
    return made


def _compared(scientific: ScientificValues, name: str, bucket: Bucket) -> Bucket:
    """Return the bucket of a scientific value with the score that the comparison expects of it."""
    known = [
        value
        for value in scientific.compared
        if value.expected is not None and shown(value.combination.get(name)) == shown(bucket.low)
    ]
    if not known:
        return bucket
    sign = 1.0 if scientific.direction == "maximize" else -1.0
    best = max(known, key=lambda value: sign * (value.expected or 0.0))
    return replace(bucket, tuned=best.expected, interval=best.interval)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """The score of any values, more is better, and whether they fail, as the trials have it."""

    space: Space
    varied: NDArray[np.bool_]  # (P,) the parameters in which the trials differ: of the others they tell nothing
    values: NDArray[np.float64]  # (N,) scores
    score: GaussianProcess  # of these
    failure: GaussianProcess | None  # of 0 and 1; None where fewer than two trials failed

    def promise(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an optimistic score of each row of shares; none of one that likely fails."""
        points = self.points(rows)
        mean, sd = self.score.predict(points)
        if self.failure is None:
            return mean + sd
        return np.asarray(np.where(self.failure.predict(points)[0] > 0.5, -np.inf, mean + sd))

    def functions(self, rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return functions at M rows of shares, sampled from the process given resampled trials, (functions, M)."""
        functions, points = [], self.points(rows)
        for _ in range(_RESAMPLES):
            some = rng.integers(len(self.values), size=len(self.values))
            given = self.score.given(self.score.points[some], self.values[some])
            functions.append(given.sample(points, _FUNCTIONS, rng=rng))
        return np.concatenate(functions)

    def points(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the process's points of rows of shares."""
        return _points(self.space, rows, self.varied)


def _fit(space: Space, rows: NDArray[np.float64], goodness: NDArray[np.float64]) -> _Fitted:
    """Fit a surrogate to trials, an even sample of many: the best of them would be those selected for their noise."""
    some = np.unique(np.linspace(0, len(goodness) - 1, _LEARNT_FROM).astype(int))
    rows, goodness = rows[some], goodness[some]
    varied = np.array([len(np.unique(shares)) > 1 for shares in rows.T])  # NaN is a value here
    varied |= not varied.any()
    points = _points(space, rows, varied)
    groups = Encoding({name: of for (name, of), kept in zip(space.items(), varied, strict=True) if kept}).groups
    low, high = np.nanquantile(goodness, [0.25, 0.75])
    values = np.maximum(goodness, low - _FAR * (high - low))
    score, failure = gaussian_process.fit_with_failures(points, values, groups)
    return _Fitted(space, varied, values[~np.isnan(values)], score, failure)


def _tuned(
    fitted: _Fitted,
    rows: NDArray[np.float64],
    further: NDArray[np.float64],
    within: NDArray[np.bool_],
    spans: NDArray[np.float64],
    column: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return possible scores of each bucket with the other parameters tuned, (B, functions), and the best share, (B,).

    Args:
        fitted: The surrogate.
        rows: The trials, (N, P), as shares of the ranges; all have the parameter.
        further: Further trials likewise, (M, P).
        within: The trials of each bucket, (N, B).
        spans: The buckets' ends, (B, 2), in the same shares.
        column: The place of their parameter.
    """
    rng = np.random.default_rng(0)
    numbers = np.array([not isinstance(of, Categorical) for of in fitted.space.values()])
    decides = any(list(fitted.space)[column] in (of.when or {}) for of in fitted.space.values())

    def best(some: NDArray[np.float64], most: int) -> NDArray[np.float64]:
        return some[np.argsort(-fitted.promise(some), kind="stable")[:most]]

    every = np.concatenate([rows, further[np.isfinite(further[:, column])]])
    pool = best(every, _WIDE)
    kept = []
    for span, of in zip(spans, within.T, strict=True):
        if decides:  # other parameters' conditions hold for a value and not for another
            moved = every[_within(every[:, column], span[None])[:, 0]]
        else:
            moved = pool.copy()
            moved[:, column] = rng.uniform(span[0], span[1], len(moved))
        chosen = best(np.concatenate([rows[of], moved]), _WIDE)
        for _ in range(_ROUNDS):
            varied = np.where(numbers, np.clip(chosen + rng.normal(0, _STEP, chosen.shape), 0, 1), chosen)
            varied[:, column] = np.clip(varied[:, column], span[0], span[1])
            chosen = best(np.concatenate([chosen, varied]), _WIDE)
        kept.append(chosen[:_KEPT])
    ends = np.cumsum([0, *map(len, kept)])
    points = np.concatenate(kept)
    functions = fitted.functions(points, rng)
    expected = functions.mean(axis=0)
    at = [points[first + np.argmax(expected[first:end]), column] for first, end in pairwise(ends.tolist())]
    return np.maximum.reduceat(functions, ends[:-1], axis=1).T, np.array(at)


def _further(stage: Stage) -> NDArray[np.float64]:
    """Return further trials as rows of shares, whether or not they meet the constraints."""
    free, sampler = replace(stage, study_file={**stage.study_file, "constraints": []}), RandomSampler()
    values = [sampler.draws(free, number) for number in range(_BEYOND, _BEYOND + _POOL)]
    values = [{name: row[name] for name in kinds.used(stage, row)} for row in values]
    columns = {name: np.array([row.get(name) for row in values], dtype=object) for name in stage.space}
    return _rows(stage.space, columns)


def _rows(space: Space, params: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    """Return N trials as rows of shares, (N, P); NaN where one does not have a parameter."""
    columns = [
        shares_of(of, np.array(params[name], dtype=object if isinstance(of, Categorical) else float))
        for name, of in space.items()
    ]
    return np.column_stack(columns)


def _points(space: Space, rows: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the points of rows of shares, (N, C), encoded as `Encoding` does, by some of the parameters alone."""
    columns: list[NDArray[np.float64]] = []
    for shares, of in zip(rows.T[kept], np.array([*space.values()], dtype=object)[kept], strict=True):
        if isinstance(of, Categorical):
            columns += [(shares == place) / np.sqrt(2) for place in range(len(of.choices))]
        else:
            columns.append(np.where(np.isfinite(shares), shares, 0.5))
    return np.column_stack(columns)


def _within(shares: NDArray[np.float64], spans: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of N shares lie in which of B buckets, (N, B)."""
    inside: NDArray[np.bool_] = (shares[:, None] >= spans[:, 0] - _SLACK) & (shares[:, None] <= spans[:, 1] + _SLACK)
    return inside


def _spans(parameter: Parameter, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of a parameter's buckets, (B, 2): of stretches, or of each of few values."""
    if isinstance(parameter, Categorical) or (
        parameter.step and parameter.high - parameter.low < _MOST * parameter.step
    ):
        values = np.unique(shares[np.isfinite(shares)])
        return np.column_stack([values, values])
    ends = np.linspace(0, 1, min(max(len(shares) // _TRIALS, _FEWEST), _MOST) + 1)
    return np.column_stack([ends[:-1], ends[1:]])


def _value(parameter: Parameter, share: float) -> Value:
    """Return the value at a share."""
    return parameter.choices[int(share)] if isinstance(parameter, Categorical) else number_at(parameter, share)
