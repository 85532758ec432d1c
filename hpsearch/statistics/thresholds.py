"""Thresholds of failure: the value of a parameter beyond which, or the choice with which, most of them do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Where: TypeAlias = Literal["above", "below", "at"]
PERMUTATIONS = 199  # a p-value is a multiple of 1/200
_ROUNDING = 1e-9
MOST = 1_000  # of more trials an even sample is enough


@dataclass(frozen=True, slots=True)
class Threshold:
    """A part of a parameter's values where trials fail more often than elsewhere."""

    name: str
    where: Where  # above or below a value, or at a choice
    gap: tuple[float, float]  # the values on either side; of choices the code of the one, twice
    inside: tuple[int, int]  # how many failed there, of how many
    outside: tuple[int, int]  # and elsewhere
    p: float  # probability that failures divide this well by any parameter if none matters


def find_threshold(
    numbers: Mapping[str, NDArray[np.float64]],
    choices: Mapping[str, NDArray[np.float64]],
    failed: NDArray[np.bool_],
    *,
    seed: int = 0,
) -> Threshold | None:
    """Return the split of the trials by one parameter that divides failed from finished ones best.

    The likelihood of two rates of failure is compared with that of one, at each gap between values and for each
    choice; the largest ratio of all is tested by permuting the failures, so that trying many splits is accounted for.

    Args:
        numbers: The values of parameters with a range, on their transformed scale, NaN for none, (N,) each.
        choices: The codes of those with choices, NaN for none, (N,) each.
        failed: Which trials failed, (N,).

    Returns:
        None where no trial failed, or all did, or there is nothing to split.
    """
    if len(failed) > MOST:
        kept = np.linspace(0, len(failed) - 1, MOST).astype(int)
        numbers, choices = ({name: of[kept] for name, of in some.items()} for some in (numbers, choices))
        failed = failed[kept]
    if failed.all() or not failed.any():
        return None
    rng = np.random.default_rng(seed)
    rows = np.vstack([failed, rng.permuted(np.tile(failed, (PERMUTATIONS, 1)), axis=1)])  # (1 + P, N)
    best: tuple[float, Threshold] | None = None
    most = np.zeros(len(rows))  # the largest ratio of each permutation
    for name, values in {**numbers, **choices}.items():
        known = np.isfinite(values)
        levels, level = np.unique(values[known], return_inverse=True)
        if len(levels) < 2:
            continue
        sizes = np.bincount(level)
        hits = np.zeros((len(levels), len(rows)))
        np.add.at(hits, level, rows[:, known].T)  # failed trials at each level, (L, 1 + P)
        every = hits.sum(axis=0)
        if name in numbers:  # at most a level, or above it
            hits, sizes = np.cumsum(hits, axis=0)[:-1], np.cumsum(sizes)[:-1]
        ratios = _likelihood_ratio(hits, sizes[:, None], every, known.sum())
        if name in choices:  # a choice with which trials fail, not one with which they do not
            ratios[hits * known.sum() <= every * sizes[:, None]] = 0.0
        most = np.maximum(most, ratios.max(axis=0))
        at = int(ratios[:, 0].argmax())
        if ratios[at, 0] > (best[0] if best else 0.0):
            best = (
                float(ratios[at, 0]),
                _threshold(name, name in numbers, levels[at : at + 2], hits[at, 0], sizes[at], every[0], known.sum()),
            )
    return None if best is None else replace(best[1], p=float(np.mean(most >= most[0] - _ROUNDING)))


def _threshold(
    name: str, ordered: bool, levels: NDArray[np.float64], hits: int, size: int, every: int, trials: int
) -> Threshold:
    """Return a split into the part with ``hits`` failed trials of ``size``, and the others."""
    parts = (int(hits), int(size)), (int(every - hits), int(trials - size))
    if not ordered:
        return Threshold(name, "at", (float(levels[0]), float(levels[0])), *parts, 1.0)
    gap = float(levels[0]), float(levels[1])
    if hits * trials > every * size:
        return Threshold(name, "below", gap, *parts, 1.0)
    return Threshold(name, "above", gap, *parts[::-1], 1.0)


def _likelihood_ratio(
    hits: NDArray[np.float64], sizes: NDArray[np.int64], every: NDArray[np.float64], trials: int
) -> NDArray[np.float64]:
    """Return the log of the likelihood of two rates, inside and outside of each split, over that of one."""
    return np.asarray(
        _log_likelihood(hits, sizes) + _log_likelihood(every - hits, trials - sizes) - _log_likelihood(every, trials)
    )


def _log_likelihood(hits: NDArray[np.float64], sizes: NDArray[np.int64] | int) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            np.where(hits > 0, hits * np.log(hits / sizes), 0.0)
            + np.where(hits < sizes, (sizes - hits) * np.log((sizes - hits) / sizes), 0.0)
        )
