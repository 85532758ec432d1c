"""How far the ends of a narrowed range would move with other trials and other validation images.

The whole narrowing is bootstrapped: trials are drawn again from those there are, each one's score is counted again on
images drawn again, and the best of these make new ends. A trial that is drawn twice counts once, for the ends rest on
how far apart k trials lie. tests/benchmarks/interval_coverage.py holds what comes of it against how far the ends of
simulated searches really differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.search.narrowing.evidence import uniform_ends
from hpsearch.search.narrowing.ranges import FLOOR
from hpsearch.space import Categorical, Float, Int, to_scale
from hpsearch.statistics.findings import FAR, Movement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hpsearch.search.narrowing.finished import Finished
    from hpsearch.search.narrowing.narrowed import Narrowing
    from hpsearch.space import Parameter, Space

RESAMPLES = 100
"""They leave a fourteenth of a standard deviation's own value as its error."""


def within_reach(k: int) -> int:
    """How many of the best trials can be among the best ``k`` of a resample, but for one in millions.

    A resample leaves out 37 % of the trials, and luck with images lets others pass.
    """
    return 4 * k + 80


def movement(
    narrowing: Narrowing,
    ranked: Finished,
    users: Mapping[str, NDArray[np.intp]],
    first_space: Space,
    *,
    total: int,
    hits: NDArray[np.bool_] | None,
    seed: int,
) -> dict[str, Movement]:
    """How far the ends of each numeric range would move. Bounds that ``--expand`` moves are looked at as if it did not.

    Args:
        narrowing: What narrowing made of these trials.
        ranked: The best of the trials, as many as are `within_reach`, best first.
        users: The places among them of those that use a parameter, by name.
        first_space: The search's stage-1 ranges.
        total: How many trials there are.
        hits: Which images ``ranked`` got right, shape (len(ranked), images); None where that is not stored.
        seed: The same one gives the same movement.

    Returns:
        By name, for ranges that were narrowed by at least two trials.
    """
    k = len(narrowing.used)
    reach = len(ranked)
    drawn, order = _resamples(reach, total, hits, np.random.default_rng(seed))
    in_order = np.take_along_axis(drawn, order, axis=1)
    among_best = np.empty_like(drawn)
    np.put_along_axis(among_best, order, in_order & (np.cumsum(in_order, axis=1) <= k), axis=1)
    found = {}
    for name, made in narrowing.ranges.items():
        if isinstance(made.before, Categorical) or made.evidence is None:
            continue
        mask = np.zeros(reach, dtype=bool)
        mask[users[name]] = True
        values = ranked.params[name].astype(float)
        positions = np.log10(values) if made.before.log else values
        ends = _ends(made.before, positions, among_best & mask, first_space.get(name, made.before))
        at = _ends(made.before, positions, (np.arange(reach) < k)[None] & mask, first_space.get(name, made.before))[0]
        width = to_scale(made.before, made.before.high) - to_scale(made.before, made.before.low)
        often = np.mean(np.abs(ends - at) > FAR * width, axis=0)
        low, high = ends.std(axis=0)
        found[name] = Movement(float(low), float(high), float(often[0]), float(often[1]), hits is not None)
    return found


def _resamples(
    reach: int, total: int, hits: NDArray[np.bool_] | None, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which trials a resample has, and the trials best first there; both (resamples, reach)."""
    many = max(20, min(RESAMPLES, 100_000 // reach))
    if total == reach:
        drawn = rng.multinomial(total, np.full(total, 1 / total), size=many) > 0
    else:  # of a few among many: they come independently of each other
        drawn = rng.poisson(1.0, size=(many, reach)) > 0
    if hits is None:
        return drawn, np.broadcast_to(np.arange(reach), drawn.shape)
    images = hits.shape[1]
    weights = rng.multinomial(images, np.full(images, 1 / images), size=many)
    # Whole numbers far below 2**24: float32 counts them exactly, by a fast matrix product.
    scores = weights.astype(np.float32) @ hits.T.astype(np.float32)  # (resamples, images) @ (images, reach)
    # Ties stay in the order that narrowing has them in.
    return drawn, np.argsort(-scores, axis=1, kind="stable")


def _ends(
    before: Float | Int, positions: NDArray[np.float64], chosen: NDArray[np.bool_], first: Parameter
) -> NDArray[np.float64]:
    """Ends by `uniform_ends` of the chosen trials of each resample, before ints are rounded; shape (resamples, 2).

    Where fewer than two were chosen the old range stays, as in narrowing.
    """
    low, high = to_scale(before, before.low), to_scale(before, before.high)
    full = high - low if isinstance(first, Categorical) else to_scale(before, first.high) - to_scale(before, first.low)
    found = np.empty((len(chosen), 2))
    for row, which in enumerate(chosen):
        drawn = positions[which]
        if len(drawn) < 2:
            found[row] = low, high
            continue
        extremes = float(drawn.min()), float(drawn.max())
        found[row] = uniform_ends(extremes, len(drawn), within=(low, high), floor=FLOOR * full)
    return found
