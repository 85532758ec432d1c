"""Edges: bounds of a range beyond which better values are to be expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from hpsearch.search.evidence import draw_probability
from hpsearch.statistics.ranks import rise_p, spearman

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hpsearch.space import Float, Int

Side: TypeAlias = Literal["low", "high"]

# Calibrated in tests/search/test_evidence.py on the response curve of the chapter's experiment.
PRESS_LEVEL = 0.02  # on its own this keeps false alarms of a parameter without effect below 2 x 0.02
RISE_LEVEL = 0.02  # the response is steep where an edge matters; a plateau's slight slope stays above this
FALL_LEVEL = 0.01  # two unlucky trials at the bound must not hide an edge; a cliff's three or four do
EMPTY_LEVEL = 0.001  # so long a stretch without a finished trial does not happen unless trials fail there

LEAST_FOR_EDGES = 10  # of fewer that are left after pruning, what lies at a bound says little

_PRESSING = 10  # of many best trials the first ten: one stray twentieth must not hide an edge


@dataclass(frozen=True, slots=True)
class Edge:
    """A bound towards which the score still rises: the optimum may lie outside the range."""

    side: Side  # the bound
    bound: float  # its value
    press: float  # probability that the best trials lie this close to the bound if the parameter does not matter
    correlation: float  # Spearman's rank correlation of score and nearness to the bound among the better trials
    rise: float  # one-sided p-value of that correlation


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
