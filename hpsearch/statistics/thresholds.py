"""Thresholds of failure: the value of a parameter beyond which, or the choice with which, most trials fail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from hpsearch.statistics.ranks import chi_square_p

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

Where: TypeAlias = Literal["above", "below", "at"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A part of a parameter's values where trials fail more often than elsewhere."""

    name: str
    where: Where  # above or below a value, or at a choice
    gap: tuple[float, float]  # the values on either side; of choices the code of the one, twice
    inside: tuple[int, int]  # how many failed there, of how many
    outside: tuple[int, int]  # and elsewhere
    p: float = 1.0  # that failures divide this well by any parameter if none matters


def find_threshold(
    numbers: Mapping[str, NDArray[np.float64]], choices: Mapping[str, NDArray[np.float64]], failed: NDArray[np.bool_]
) -> Threshold | None:
    """Return the split of the trials by one parameter that divides failed from finished ones best.

    The likelihood of two rates of failure is compared with that of one, at each gap between values and for each
    choice. Twice the log of the largest ratio has about a chi-square distribution of one degree of freedom; its
    p-value times the number of splits tried (Bonferroni) is that of the best one.

    Args:
        numbers: The values of parameters with a range, NaN for none, (N,) each.
        choices: The codes of those with choices, NaN for none, (N,) each.
        failed: Which trials failed, (N,).

    Returns:
        None where no trial failed, or all did, or there is nothing to split.
    """
    best, largest, splits = None, 0.0, 0
    for name, values in {**numbers, **choices}.items():
        known = np.isfinite(values)
        levels, level, sizes = np.unique(values[known], return_inverse=True, return_counts=True)
        if len(levels) < 2:
            continue
        hits = np.bincount(level, weights=failed[known])  # failed trials at each level, (L,)
        every, trials = hits.sum(), known.sum()
        if name in numbers:  # at most a level, or above it
            hits, sizes = np.cumsum(hits)[:-1], np.cumsum(sizes)[:-1]
        ratios = _log_likelihood(hits, sizes) + _log_likelihood(every - hits, trials - sizes)
        ratios -= _log_likelihood(every, trials)
        if name in choices:  # a choice with which trials fail, not one with which they do not
            ratios[hits * trials <= every * sizes] = 0.0
        splits += len(ratios)
        at = int(ratios.argmax())
        if ratios[at] > largest:
            largest = float(ratios[at])
            parts = (int(hits[at]), int(sizes[at])), (int(every - hits[at]), int(trials - sizes[at]))
            if name in choices:
                best = Threshold(name, "at", (float(levels[at]), float(levels[at])), *parts)
            else:
                below = hits[at] * trials > every * sizes[at]
                gap = float(levels[at]), float(levels[at + 1])
                best = Threshold(name, "below" if below else "above", gap, *(parts if below else parts[::-1]))
    return None if best is None else replace(best, p=min(splits * chi_square_p(2 * largest, 1), 1.0))


def _log_likelihood(hits: ArrayLike, sizes: ArrayLike) -> NDArray[np.float64]:
    """Return the log of the largest likelihood of so many failures among so many trials."""
    hits, sizes = np.asarray(hits, dtype=float), np.asarray(sizes, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(hits > 0, hits * np.log(hits / sizes), 0.0)
            + np.where(hits < sizes, (sizes - hits) * np.log((sizes - hits) / sizes), 0.0)
        )
