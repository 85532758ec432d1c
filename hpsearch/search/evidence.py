"""Evidence of a stage's trials that a parameter matters.

All p-values are under one hypothesis: *the parameter does not matter to the score*. Two things are tested, as each
sees what the other does not:

- *Spread*: the best k trials are k draws like any others, so the spread of their values has a known distribution. That
  holds too where others were pruned, as these rank below the complete ones. It does not hold of trials that were chosen
  among equal scores by their losses: the best k are taken with all that have the score of the last of them.
- *Effect*: the scores of all trials have one distribution in the low, middle and high third of its values, or with each
  choice.

The p-value of both is twice the smaller one (Bonferroni). Failed trials are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.space import Categorical, Float, Int, Parameter, Value, from_scale, shown, to_scale
from hpsearch.statistics.ranks import groups_p, ranks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hpsearch.records import Direction

CLEAR, WEAK = 0.01, 0.05  # evidence at or below these p-values is called clear, or weak
FEW = 20  # with fewer trials an edge or a parameter without effect may be chance

_MANY_CELLS = 100_000  # above this an int range is continuous for every practical purpose


@dataclass(frozen=True, slots=True)
class Effect:
    """A test of all trials: whether the scores differ between parts of a range, or between choices."""

    p: float  # by Kruskal and Wallis
    # the mean score of each part that has trials: low third, middle third, high third; or of each choice
    means: Mapping[str, float] = field(compare=False)

    def sentence(self, name: str) -> str:
        """Return the means in words."""
        means = ", ".join(f"{part} {mean:.3g}" for part, mean in self.means.items())
        return f"mean score by {name}: {means}"


def effect(
    parameter: Parameter,
    values: NDArray[Any],
    goodness: NDArray[np.float64],
    direction: Direction = "maximize",
    others: NDArray[np.float64] | None = None,
) -> Effect:
    """Test whether the scores of trials differ between the thirds of a parameter's values, or between its choices.

    Args:
        parameter: Its range.
        values: Of the trials, shape (n,).
        goodness: Their scores, the sign changed where they are minimized; shape (n,).
        direction: For the means.
        others: Columns for the parameters that constraints tie to this one, by `columns`, shape (n, q): then the test
            is of what a regression on them leaves.
    """
    group, parts = _parts(parameter, values)
    score = goodness if direction == "maximize" else -goodness
    means = {parts[place]: float(score[group == place].mean()) for place in np.unique(group).tolist()}
    return Effect(groups_p(group, goodness, others) if means else 1.0, means)


def _parts(parameter: Parameter, values: NDArray[Any]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the part of the range that each value lies in, and the names of the parts; equal values lie together."""
    if isinstance(parameter, Categorical):
        return _places(parameter, values), [shown(choice) for choice in parameter.choices]
    group = np.floor(3 * (ranks(values.astype(float)) + 0.5) / max(len(values), 1)).astype(np.intp)
    return group, ["low third", "middle third", "high third"]


def _places(parameter: Categorical, values: NDArray[Any]) -> NDArray[np.intp]:
    return np.array([parameter.choices.index(value) for value in values.tolist()], dtype=np.intp)


def columns(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return what a regression has of a parameter: its positions, (n,); of choices a column for all but one, (n, c)."""
    if isinstance(parameter, Categorical):
        places = _places(parameter, values)
        return np.asarray(places[:, None] == np.arange(1, len(parameter.choices))[None], dtype=float)
    return positions(parameter, values)


def positions(parameter: Float | Int, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return where values lie in a range, on its transformed scale: 0 at the low end, 1 at the high end."""
    low, high = (to_scale(parameter, bound) for bound in (parameter.low, parameter.high))
    numbers = np.asarray(values, dtype=float)
    return np.asarray(((np.log10(numbers) if parameter.log else numbers) - low) / max(high - low, 1e-300))


def shares_of(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as shares of a range on its transformed scale, or as the places of choices; NaN for none."""
    if isinstance(parameter, Categorical):
        place = {choice: at for at, choice in enumerate(parameter.choices)}
        return np.array([place.get(value, np.nan) for value in values.tolist()], dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return positions(parameter, values)


def number_at(parameter: Float | Int, share: float) -> float:
    """Return the number at a share of a range, on its own scale; the inverse of `positions`."""
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    return from_scale(parameter, low + share * (high - low))


def either_p(*p: float) -> float:
    """Return the p-value of several tests of one hypothesis: the smallest times their number (Bonferroni)."""
    return min(len(p) * min(p), 1.0)


def lost_choices(
    parameter: Categorical, values: NDArray[Any], score: NDArray[np.float64], level: float = CLEAR
) -> tuple[Value, ...]:
    """Return the choices whose best trial ranks so low that chance alone would not put it there.

    Each trial has any of the C choices with probability 1/C. If they do not matter, the m best trials have none of a
    choice with probability (1 - 1/C)^m; times C, as each of them could be the one. So it is the best of each choice
    that counts, not the mean: one with few good values among many bad ones is kept. A choice whose trials all failed is
    beaten by all that did not.

    Args:
        parameter: All its choices as likely as each other.
        values: Of the complete trials, shape (n,).
        score: Higher is better, shape (n,).
        level: The probability that any choice is called lost where none matters.
    """
    places = _places(parameter, values)
    count, lost = len(parameter.choices), []
    for place, choice in enumerate(parameter.choices):
        better = np.sum(score > score[places == place].max(initial=-np.inf))
        if count * (1 - 1 / count) ** better <= level:
            lost.append(choice)
    return tuple(lost)


def uniform_spread_p(ratio: float, k: int) -> float:
    """Return P(R <= ratio) for the range R of k uniform draws from [0, 1].

    The density of (min, max) = (a, b) is k(k-1)(b-a)^(k-2), so R has density k(k-1) r^(k-2) (1-r): integrated,
    k r^(k-1) - (k-1) r^k.
    """
    r = min(max(ratio, 0.0), 1.0)
    return min(max(k * r ** (k - 1) - (k - 1) * r**k, 0.0), 1.0)


def uniform_ends(
    extremes: tuple[float, float], k: int, *, within: tuple[float, float], floor: float
) -> tuple[float, float]:
    """Return the estimated range of k uniform draws: [a - w, b + w] with w = (b - a)/(k - 1), unbiased, then clipped.

    For k draws from [A, B], E(a) = A + (B - A)/(k + 1), E(b) = B - (B - A)/(k + 1) and so E(w) = (B - A)/(k + 1). The
    range is clipped to ``within`` and has at least the width ``floor``, about its centre where there is room.
    """
    (a, b), (low, high) = extremes, within
    w = (b - a) / (k - 1)
    left, right = max(a - w, low), min(b + w, high)
    floor = min(floor, high - low)
    if right - left < floor:
        left = min(max((left + right - floor) / 2, low), high - floor)
        right = min(left + floor, high)
    return left, right


def discrete_spread_p(positions: ArrayLike, weights: ArrayLike, distance: float, k: int) -> float:
    """Return P(max - min <= distance) for k draws of a discrete variable with these increasing values.

    Sums over the cell i of the minimum: all k draws in i..j(i), less all k in i+1..j(i), where j(i) is the
    last cell within ``distance`` of cell i.
    """
    x = np.asarray(positions, dtype=float)
    total = np.concatenate(([0.0], np.cumsum(np.asarray(weights, dtype=float))))
    # Positions may be logarithms: the slack absorbs the rounding of their distances.
    slack = 1e-9 * max(1.0, abs(x[0]), abs(x[-1]))
    end = total[np.searchsorted(x, x + distance + slack, side="right")]
    from_i, from_next = end - total[:-1], np.maximum(end - total[1:], 0.0)
    return float(min(np.sum(from_i**k - from_next**k), 1.0))


def distinct_p(choices: int, k: int, distinct: int) -> float:
    """Return P(at most ``distinct`` different choices among k uniform draws from ``choices``).

    Draw by draw: after j different choices the next one is new with probability 1 - j / choices.
    """
    seen = np.arange(min(distinct, choices) + 1)
    p = np.where(seen == 0, 1.0, 0.0)  # of so many different choices so far
    for _ in range(k):
        p = p * seen / choices + np.concatenate(([0.0], (p * (1 - seen / choices))[:-1]))
    return float(min(p.sum(), 1.0))


def cells(parameter: Float | Int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values of a range with steps on the transformed scale (log10 where log), and their probabilities.

    Optuna draws from low - step/2 .. high + step/2 (in the logarithm where the range is logarithmic) and
    rounds, so on a log scale v has probability proportional to log(v + 1/2) - log(v - 1/2).
    """
    values = np.linspace(parameter.low, parameter.high, _steps(parameter) + 1)
    if not parameter.log:
        return values, np.full(len(values), 1.0 / len(values))
    sizes = np.log(values + 0.5) - np.log(values - 0.5)
    return np.log10(values), sizes / sizes.sum()


def _steps(parameter: Float | Int) -> int:
    """Return how many steps a range has; 0 where it has any value."""
    return round((parameter.high - parameter.low) / parameter.step) if parameter.step else 0


def draw_probability(parameter: Float | Int, value: float) -> tuple[float, float]:
    """Return the probabilities that a draw is below ``value``, and that it is at most ``value``."""
    half = (parameter.step or 0.0) / 2
    low, high = (to_scale(parameter, bound) for bound in (parameter.low - half, parameter.high + half))
    below, upto = (
        min(max((to_scale(parameter, edge) - low) / (high - low), 0.0), 1.0)
        for edge in (max(value - half, parameter.low - half), value + half)
    )
    return below, upto


def spread_p(parameter: Parameter, values: Sequence[Value]) -> float:
    """Return P(the best trials lie at least this close together) if the parameter does not matter."""
    k = len(values)
    if isinstance(parameter, Categorical):
        if len(parameter.choices) == 1:
            return 1.0
        return distinct_p(len(parameter.choices), k, len({parameter.choices.index(v) for v in values}))
    numbers = [float(v) for v in values if v is not None]
    a, b = min(numbers), max(numbers)
    if 0 < _steps(parameter) < _MANY_CELLS:
        return discrete_spread_p(*cells(parameter), to_scale(parameter, b) - to_scale(parameter, a), k)
    return uniform_spread_p(draw_probability(parameter, b)[1] - draw_probability(parameter, a)[0], k)
