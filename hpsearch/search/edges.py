"""Edges: bounds of a range beyond which better values are to be expected.

An alarm means more than that the best trials lie near a bound: the optimum may be just inside. It means that the score
still rises at the bound itself, by a quadratic response of the better trials (`hpsearch.statistics.quadratic`), with a
turning point inside the range unlikely. tests/benchmarks/edges.py has the rates of right and false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hpsearch.search.evidence import draw_probability, positions
from hpsearch.space import to_scale
from hpsearch.statistics.quadratic import Response, response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.space import Float, Int

Side: TypeAlias = Literal["low", "high"]

LEAST_FOR_EDGES = 20  # of fewer trials a fit says little about a bound
RISE_LEVEL = 0.02  # of a parameter without effect twice this is the most that may have an alarm
FALL_LEVEL = 0.7  # the better half of the trials must not say the contrary; of so few a slope is uncertain
FAILED_LEVEL = 0.001  # so long a stretch without a finished trial does not happen unless trials fail there
BETTER_LEVEL = 0.02  # so long a stretch without one of the better trials does not happen unless they are bad there

_SHARES = (1, 0.7, 0.5, 0.35, 0.25)  # of the trials, best first: the most to which a quadratic response fits
_MOST = 1000  # as many trials tell a slope well enough
_BEST = 5  # number of best trials that show which half of the range is the better one
_BEYOND = 0.25  # share of the width by which an expansion moves a bound at least


@dataclass(frozen=True, slots=True)
class Edge:
    """A bound at which the score still rises: better values are to be expected beyond it."""

    side: Side  # the bound
    bound: float  # its value
    p: float  # one-sided p-value that the score does not rise at the bound
    # how much better the score gets within a quarter of the width beyond it, if the response goes on; None: not known
    gain: float | None
    trials: int  # number of trials that the response is fitted to, the better ones
    # how far beyond it an expansion goes at least, on the transformed scale
    reach: float = field(default=0.0, repr=False)
    stage: str | None = None  # the earlier stage whose trials show it; None: the stage's own


def find_edges(
    parameter: Float | Int,
    values: NDArray[Any],
    goodness: NDArray[np.float64],
    others: Sequence[NDArray[np.float64]] = (),
) -> tuple[Edge, ...]:
    """Return the bound at which the score still rises, or none.

    A bound is an edge if all of this holds:

    1. Most of the best five trials lie in that half of the range.
    2. A quadratic response rises at the bound (one-sided, level 0.02): its turning point inside the range would be
       unlikely. Fitted are the most of the better trials to which it is adequate, all of them or the best 70, 50, 35
       or 25 %, as plateaus and floors are not quadratic; 25 % of 80 trials or more need not be adequate. The other
       parameters that matter are in the fit; the slope is that at their best values.
    3. Fitted to the better half of these, it does not seem to fall there (p at most 0.7).
    4. Trials near the bound are among those that finished, and among the better ones: a rise that ends in failures or
       in a cliff needs no wider range.

    Args:
        parameter: Its range.
        values: Of the complete trials, shape (n,).
        goodness: Their scores, higher is better, shape (n,).
        others: Of each other parameter its position or the columns of its choices; see `quadratic.response`.
    """
    if len(goodness) < LEAST_FOR_EDGES:
        return ()
    order = np.lexsort((values.astype(float), -goodness))
    x, score, others = values[order].astype(float), goodness[order], [other[order] for other in others]
    at = positions(parameter, x)
    side: Side = "high" if np.median(at[: _with_ties(score, _BEST)]) >= 0.5 else "low"
    t = at - 1 if side == "high" else -at
    fit: Response | None = None
    count = 0
    for share in _SHARES:
        wanted = int(share * min(len(x), _MOST))
        if wanted < LEAST_FOR_EDGES:
            return ()
        of = _with_ties(score, wanted)
        if _empty(parameter, side, x[:of]) <= (FAILED_LEVEL if of == len(x) else BETTER_LEVEL):
            return ()
        tried = response(t[:of], [other[:of] for other in others], score[:of])
        if tried is not None:
            fit, count = tried, of
            if fit.adequate:
                break
    if fit is None or (p := fit.rising_p) > RISE_LEVEL:
        return ()
    half = _with_ties(score, max(count // 2, LEAST_FOR_EDGES // 2))
    better = response(t[:half], [other[:half] for other in others], score[:half])
    if _empty(parameter, side, x[:half]) <= BETTER_LEVEL or (better is not None and better.rising_p > FALL_LEVEL):
        return ()
    bound = parameter.high if side == "high" else parameter.low
    return (Edge(side, bound, p, fit.gain(_BEYOND), count, least_reach(parameter)),)


def least_reach(parameter: Float | Int) -> float:
    """Return how far beyond a bound an expansion goes at least, on the transformed scale."""
    return _BEYOND * (to_scale(parameter, parameter.high) - to_scale(parameter, parameter.low))


def with_earlier(edges: Sequence[Edge], earlier: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return the edges of a range, and those that earlier stages saw at its bounds, from wider ranges."""
    every = {edge.side: edge for edge in edges}
    for edge in earlier:
        own = every.get(edge.side, edge)
        every[edge.side] = replace(own, reach=max(own.reach, edge.reach))
    return tuple(every.values())


def _with_ties(score: NDArray[np.float64], count: int) -> int:
    """Return the number of trials that are at least as good as the one in this place; scores are best first."""
    return int(np.sum(score >= score[count - 1]))


def _empty(parameter: Float | Int, side: Side, values: NDArray[np.float64]) -> float:
    """Return the probability that so many trials leave so long a stretch at the bound without any."""
    near = float(values.max() if side == "high" else values.min())
    below, upto = draw_probability(parameter, near)
    return float((upto if side == "high" else 1.0 - below) ** len(values))
