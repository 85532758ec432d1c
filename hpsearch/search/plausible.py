"""The plausible values of a stage's parameters: those that may be as good as the best ones, by the surrogate.

Values are plausible while the probability that their expected score reaches the average of the k best trials', by
expected score, is at least `LEVEL`. That is one statement about all parameters together: of two that
compensate each other, the whole ridge is plausible; where little was tried, much is; of a parameter without effect,
everything is; values that probably fail are not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.search.range_analysis import missing
from hpsearch.search.surrogate import columns_as, place
from hpsearch.space import Categorical, from_scale, in_order, to_scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.objectives.base import UsedBy
    from hpsearch.search.surrogate import Prediction, Surrogate
    from hpsearch.space import Parameter, Space, Value

LEVEL = 0.05
FAILS = 0.5  # values are plausible only while the probability that they fail less often is at least `LEVEL`, too
GAP = 0.2  # of a range: with so wide a stretch between them plausible values are two groups
MOST = 2048  # of a stage's trials: among more, the k best by expected score are among these
_POINTS = 2048  # that fill the ranges evenly
_SWEEP = 32  # values of each parameter at each of the best trials
_SWEPT = 50  # the best of these
_MARKS = 200  # of the k best, evenly: their average tells that of all
Table = dict[str, "NDArray[Any]"]  # values of each parameter, (N,)


@dataclass(frozen=True, slots=True)
class Plausible:
    """The plausible values of one parameter."""

    values: Sequence[Any]  # its choices, or the values tried next below the lowest and above the highest
    trials: int  # number of trials with plausible values of all parameters
    gap: tuple[float, float] | None = None  # the widest stretch inside without any


def plausible(
    surrogate: Surrogate,
    space: Space,
    trials: Mapping[str, NDArray[Any]],
    k: int,
    *,
    fixed: Mapping[str, Value],
    used_by: Mapping[str, UsedBy],
) -> dict[str, Plausible]:
    """Return the plausible values of each parameter that has any.

    Args:
        surrogate: Of these trials and others.
        space: The ranges.
        trials: The stage's finished trials, (N,) of each parameter, or the best `MOST` of them.
        k: Values are compared with the k best of them.
        fixed: Values of parameters that are the same in all of them.
        used_by: The conditions under which a parameter has an effect, by name.
    """
    tried = _encoded(surrogate, space, trials, fixed)
    expected = surrogate.at(tried)
    worth = np.where(expected.failure < FAILS, surrogate.sign * expected.mean, -np.inf)
    best = np.argsort(-worth, kind="stable")[:k]
    marks = tried[best[np.linspace(0, len(best) - 1, min(len(best), _MARKS)).astype(int)]]
    lacking = [name for name, values in trials.items() if space[name].when is None and missing(values).any()]
    candidates = _candidates(space, {name: values[best[:_SWEPT]] for name, values in trials.items()}, lacking)
    points = _encoded(surrogate, space, candidates, fixed)
    reaches = _reaches(surrogate, points, surrogate.at(points), marks)
    count = int(_reaches(surrogate, tried, expected, marks).sum())
    result = {}
    for name, parameter in space.items():
        used = reaches & ~missing(candidates[name])
        condition = used_by.get(name)
        if condition is not None and condition.name in candidates:
            used &= np.array([value in condition.values for value in candidates[condition.name].tolist()], dtype=bool)
        if used.any():
            result[name] = _of(parameter, candidates[name][used], count, _tried(surrogate, name, parameter))
    return result


def _reaches(
    surrogate: Surrogate, points: NDArray[np.float64], expected: Prediction, marks: NDArray[np.float64]
) -> NDArray[np.bool_]:
    least = NormalDist().inv_cdf(LEVEL)
    gain, sd = surrogate.score.difference(points, marks)
    if surrogate.failure is None:
        return np.asarray(gain >= least * sd)
    return np.asarray((gain >= least * sd) & (expected.failure + least * surrogate.failure.predict(points)[1] < FAILS))


def _tried(surrogate: Surrogate, name: str, parameter: Parameter) -> NDArray[np.float64]:
    """Return what was tried of a parameter in any trial, failed ones too, on its transformed scale; none of choices."""
    space = surrogate.encoding.space
    own = place(space, name, parameter)
    within = space[own]
    if isinstance(within, Categorical) or isinstance(parameter, Categorical):
        return np.empty(0)
    low, high = to_scale(within, within.low), to_scale(within, within.high)
    shares = surrogate.points[:, surrogate.encoding.groups == list(space).index(own)][:, 0]
    positions = np.asarray(low + (high - low) * shares)
    if within.log == parameter.log:
        return positions
    return 10.0**positions if within.log else np.log10(np.maximum(positions, sys.float_info.min))


def _of(parameter: Parameter, values: NDArray[Any], count: int, tried: NDArray[np.float64]) -> Plausible:
    if isinstance(parameter, Categorical):
        known = set(values.tolist())
        return Plausible([choice for choice in parameter.choices if choice in known], count)
    scale = np.unique(np.log10(values.astype(float)) if parameter.log else values.astype(float))
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    gap = None
    if len(scale) > 1:
        at = int(np.argmax(np.diff(scale)))
        before, after = float(scale[at]), float(scale[at + 1])
        if after - before > GAP * (high - low) and np.any((tried > before) & (tried < after)):
            gap = from_scale(parameter, before), from_scale(parameter, after)
    # Nothing is known between an end and the next value that was tried.
    first = tried[tried < scale[0]].max(initial=low)
    last = tried[tried > scale[-1]].min(initial=high)
    ends = [from_scale(parameter, float(max(first, low))), from_scale(parameter, float(min(last, high)))]
    return Plausible(ends, count, gap)


def _encoded(
    surrogate: Surrogate, space: Space, table: Mapping[str, NDArray[Any]], fixed: Mapping[str, Value]
) -> NDArray[np.float64]:
    """Return the surrogate's points of a table by the space's names."""
    columns = columns_as(surrogate.encoding.space, space, table)
    for name, value in fixed.items():
        columns[name] = np.full(len(columns[name]), value, dtype=object)
    return surrogate.encoding.points(columns)


def _candidates(space: Space, best: Mapping[str, NDArray[Any]], lacking: Sequence[str]) -> Table:
    """Return values that fill the ranges evenly, and those of the best trials with one parameter varied.

    Some trials are ``lacking`` parameters under no condition that is known: only trials that have one say when it is.
    """
    names = list(space)
    shares = _even(_POINTS, len(names))
    spread = {name: _at(space[name], shares[:, i]) for i, name in enumerate(names)}
    spread |= {name: np.full(_POINTS, np.nan) for name in lacking}
    count = len(best[names[0]])
    parts = [spread]
    for name in names:
        line = {other: np.repeat(best[other], _SWEEP) for other in names}
        line[name] = np.tile(_at(space[name], np.linspace(0, 1, _SWEEP)), count).astype(object)
        line[name][np.repeat(missing(best[name]), _SWEEP)] = np.nan
        parts.append(line)
    table = {name: np.concatenate([np.asarray(part[name], dtype=object) for part in parts]) for name in names}
    for name in in_order(space):
        for other, values in (space[name].when or {}).items():
            if other in table:
                table[name][[value not in values for value in table[other].tolist()]] = np.nan
    for name in names:
        if not isinstance(space[name], Categorical):
            table[name] = table[name].astype(float)
    return table


def _even(count: int, columns: int) -> NDArray[np.float64]:
    """Return points of the unit cube that fill it evenly, (count, columns), by Roberts' R sequence (2018)."""
    root = 2.0
    for _ in range(64):  # of x^(d+1) = x + 1
        root = (1 + root) ** (1 / (columns + 1))
    steps = root ** -np.arange(1.0, columns + 1)
    return np.asarray((0.5 + np.arange(count)[:, None] * steps) % 1.0)


def _at(parameter: Parameter, shares: NDArray[np.float64]) -> NDArray[Any]:
    """Return the values at shares of a range, 0 to 1."""
    if isinstance(parameter, Categorical):
        places = np.minimum((shares * len(parameter.choices)).astype(int), len(parameter.choices) - 1)
        values = np.empty(len(shares), dtype=object)
        values[:] = [parameter.choices[place] for place in places.tolist()]
        return values
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    return np.array([from_scale(parameter, position) for position in (low + shares * (high - low)).tolist()])
