"""Evidence of a stage's trials about one parameter: does it matter, and does the score still rise at a bound?

All p-values are under one hypothesis: *the parameter does not matter to the score*. Then the best k trials are k
draws like any others, so the spread of their values has a known distribution. That holds too where others were
pruned, as these rank below the complete ones. It does not hold of trials that were chosen among equal scores by their
losses: the best k are taken with all that have the score of the last of them. Failed trials are left out; a stretch
in which every trial failed shows as one without trials.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hpsearch.space import Categorical, Float, Int, Parameter, Value, to_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


Side: TypeAlias = Literal["low", "high"]

# Calibrated in tests/search/test_evidence.py on the response curve of the chapter's experiment.
PRESS_LEVEL = 0.02  # on its own this keeps false alarms of a parameter without effect below 2 x 0.02
RISE_LEVEL = 0.02  # the response is steep where an edge matters; a plateau's slight slope stays above this
FALL_LEVEL = 0.01  # two unlucky trials at the bound must not hide an edge; a cliff's three or four do
EMPTY_LEVEL = 0.001  # so long a stretch without a finished trial does not happen unless trials fail there

CLEAR, WEAK = 0.01, 0.05  # evidence at or below these p-values is called clear, or weak


LEAST_FOR_EDGES = 10  # of fewer that are left after pruning, what lies at a bound says little

_PRESSING = 10  # of many best trials the first ten: one stray twentieth must not hide an edge
_MANY_CELLS = 100_000  # above this an int range is continuous for every practical purpose


@dataclass(frozen=True, slots=True)
class Edge:
    """A bound towards which the score still rises: the optimum may lie outside the range."""

    side: Side  # the bound
    bound: float  # its value
    press: float  # probability that the best trials lie this close to the bound if the parameter does not matter
    correlation: float  # Spearman's rank correlation of score and nearness to the bound among the better trials
    rise: float  # one-sided p-value of that correlation


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


_PERMUTATIONS = 2000  # a p-value of 0.01 is known to 0.002


def permuted_spread_p(parameter: Parameter, values: NDArray[Any], k: int) -> float:
    """Return P(k of these trials lie at least as close together as the first k) if the parameter does not matter.

    Whatever the values' distribution: then the first k are any k of them.

    Args:
        values: Of all finished trials, best first, shape (n,).
    """
    if isinstance(parameter, Categorical):
        positions = np.array([parameter.choices.index(value) for value in values.tolist()])
    else:
        positions = np.array([to_scale(parameter, value) for value in values.tolist()])

    def spread(chosen: NDArray[Any]) -> NDArray[Any]:  # (rows, k) -> (rows,)
        if isinstance(parameter, Categorical):
            return np.asarray((np.diff(np.sort(chosen, axis=1), axis=1) > 0).sum(axis=1))
        return np.asarray(np.ptp(chosen, axis=1))

    rng = np.random.default_rng(0)
    rows = rng.permuted(np.broadcast_to(positions, (_PERMUTATIONS, len(positions))), axis=1)[:, :k]
    closer = np.sum(spread(rows) <= spread(positions[None, :k]) + 1e-9)
    return float((closer + 1) / (_PERMUTATIONS + 1))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 0, ties sharing their average."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count + 1) / 2.0)[group], dtype=float)


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation with average ranks for ties; 0 where either side is constant."""
    rx, ry = _ranks(np.asarray(x, dtype=float)), _ranks(np.asarray(y, dtype=float))
    rx, ry = rx - rx.mean(), ry - ry.mean()
    norm = math.sqrt(float(rx @ rx) * float(ry @ ry))
    return float(np.clip(rx @ ry / norm, -1.0, 1.0)) if norm > 0 else 0.0


def rise_p(correlation: float, n: int) -> float:
    """Return the one-sided p-value of Spearman's correlation of n pairs: P(at least this high) without a relation.

    Fisher's z = atanh(rho) has variance 1.06/(n - 3) (Fieller, Hartley & Pearson 1957), so fewer than 4 pairs
    give 1. The least value is 1/n!, the probability of a perfect order.
    """
    if n < 4 or correlation <= -1.0:
        return 1.0
    if correlation == 0.0:
        return 0.5
    floor = math.exp(-math.lgamma(n + 1))
    if correlation >= 1.0:
        return floor
    return max(0.5 * math.erfc(math.atanh(correlation) * math.sqrt((n - 3) / 2.12)), floor)


def _at_least(parameter: Float | Int, side: Side, value: float) -> float:
    """Return the probability that a draw is as near to a bound as ``value``, or nearer."""
    below, upto = draw_probability(parameter, value)
    return 1.0 - below if side == "high" else upto


def better_trials(n: int, pruned: int) -> int:
    """Return the number of the n complete trials that are tested for a rise: of all of them, the best quarter."""
    return min(n, (n + pruned) // 4)


def find_edges(
    parameter: Float | Int, values: ArrayLike, goodness: ArrayLike, k: int, *, pruned: int = 0
) -> tuple[Edge, ...]:
    """Return the bounds towards which the score still rises.

    A bound is an edge if four things hold, each about something the others do not see:

    1. *Press*: the best k trials (ten at most) all lie within a distance d of the bound. If the parameter does
       not matter that has probability (d / width)^k.
    2. *Rise*: among the best quarter the score goes with nearness to the bound. A quarter, because of more, and
       over a whole log range, the foot of the curve would show a rise wherever the optimum is. Fewer than 20
       trials have no edge: no order of the best four is clear.
    3. *No fall*: of the trials within d of the bound, those beyond the last of the best are not clearly worse
       than the rest (a rank test). A plateau that ends in a cliff before the bound is no edge.
    4. *Not empty*: some trial finished near the bound. A last stretch g without any has probability
       (1 - g / width)^n unless trials fail there, and a rise that ends in failures needs no wider range.

    Args:
        values: Of all complete trials, best trial first, shape (n,).
        goodness: Their scores, higher is better, in the same order, shape (n,).
        k: Number of best trials.
        pruned: Number of further trials, beaten by all of these.
    """
    x, score = np.asarray(values, dtype=float), np.asarray(goodness, dtype=float)
    n, k = len(x), min(k, _PRESSING)
    if (better := better_trials(n, pruned)) < 5:
        return ()
    edges: list[Edge] = []
    side: Side
    for side in ("low", "high"):
        sign = 1.0 if side == "high" else -1.0
        nearness = sign * x  # grows towards the bound
        first, last = float(nearness[:k].min()), float(nearness[:k].max())
        press = _at_least(parameter, side, sign * first) ** k
        if press > PRESS_LEVEL:  # as most are; the rest ranks all trials
            continue
        # The complement is taken by asking the other side, so that an int's own cell counts as filled.
        other: Side = "low" if side == "high" else "high"
        empty = _at_least(parameter, other, sign * float(nearness.max())) ** n
        correlation = spearman(nearness[:better], score[:better])
        rise = rise_p(correlation, better)
        near = nearness >= first
        fall = rise_p(-spearman(nearness[near] > last, score[near]), int(near.sum()))
        if rise <= RISE_LEVEL and fall > FALL_LEVEL and empty > EMPTY_LEVEL:
            bound = parameter.high if side == "high" else parameter.low
            edges.append(Edge(side, bound, press, correlation, rise))
    return tuple(edges)
