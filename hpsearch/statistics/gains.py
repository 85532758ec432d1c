"""The gain of one setting, or one search, over another, with the error of that difference.

Three things vary when an experiment is done again (Godbole, Dahl, Gilmer, Shallue & Nado 2023): training with other
seeds gives another score (trial variance), a search with another seed finds other values (study variance), and other
examples score both differently. `retrained` is about two settings: it covers other seeds and other examples.
`searched` is about the best of two searches: it covers other trials and other examples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.statistics.budget import expected_best
from hpsearch.statistics.intervals import LEVEL, MOST_FREEDOM, Interval, student_quantile, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 400
# Given the trials, the best of a random half of them varies less than the best of all does from search to search. Where
# the scores have an exponential upper tail, the j-th gap below the best is exponential with mean 1/j, and 2^-j of the
# halves lose the j best: the ratio of the two variances is (pi^2/6) / (2 Li2(1/2) - Li2(1/4)).
_OF_HALVES = math.sqrt(1.6449 / 0.8968)
_MOST = 1000  # number of a search's best trials among which the best of a half is looked for
_MOST_REPEATS = 1000  # more than so many are not advised


@dataclass(frozen=True, slots=True)
class Gain:
    """An estimated difference of expected scores, positive where the second is better."""

    mean: float
    error: float  # its standard error
    covers: str  # what may be otherwise when everything is done again: ``seeds and examples``
    freedom: float = field(default=MOST_FREEDOM, repr=False)  # degrees of freedom of that error
    fixed: float = field(default=0.0, repr=False)  # the part of the error's square that more repeats would not lower
    choices: int = field(default=1, repr=False)  # number of settings among which the second was chosen
    # 95 %, simultaneous over the choices (Bonferroni)
    interval: Interval = field(init=False)

    def __post_init__(self) -> None:
        half = self._quantile(self.freedom) * self.error
        object.__setattr__(self, "interval", Interval(self.mean - half, self.mean + half))

    def _quantile(self, freedom: float) -> float:
        return student_quantile(1 - (1 - LEVEL) / 2 / self.choices, whole(freedom))

    def repeats(self, repeats: int) -> int | None:
        """Return how many repeats would tell a gain of this size from none, where it was estimated from ``repeats``.

        None where no number would, or more than 1,000.
        """
        room = (self.mean / self._quantile(MOST_FREEDOM)) ** 2 - self.fixed
        lowered = max(self.error**2 - self.fixed, 0.0)
        needed = math.ceil(repeats * lowered / room) if room > 0 else _MOST_REPEATS + 1
        return needed if needed <= _MOST_REPEATS else None


def retrained(first: NDArray[np.float64], second: NDArray[np.float64], *, ratio: float = 0.0, choices: int = 1) -> Gain:
    """Return the gain of a setting over another one that were each trained again, with seeds of their own.

    The variance of the difference of the two means has a part from each setting's seeds and one from the examples, that
    both share. Each of these three mean squares holds the variance of single hits once, which is counted once in all.
    Of scores alone, (R, 1) and (S, 1), it is that of Welch's test: over other seeds, on these examples.

    Args:
        first: Its hits, or scores on folds, shape (R, N): by repeat, and by example or fold.
        second: The other one's, shape (S, N), on the same examples or folds.
        ratio: Of folds their `split_ratio`.
        choices: Number of settings among which the second was chosen.
    """
    columns, freedom = first.shape[1], max(first.shape[1] - 1, 1)
    differences = second.mean(axis=0) - first.mean(axis=0)  # (N,)
    examples = float(np.var(differences)) / freedom * (1 + columns * ratio)
    seeds, rest, spread = 0.0, 0.0, examples**2 / freedom
    for of in (first, second):
        repeats = len(of)
        by_repeat = float(np.var(of.mean(axis=1), ddof=1)) / repeats
        residuals = of - of.mean(axis=1, keepdims=True) - of.mean(axis=0) + of.mean()
        rest += float(np.sum(residuals**2)) / ((repeats - 1) * freedom * of.size)
        seeds += by_repeat
        spread += by_repeat**2 / (repeats - 1)
    total = max(seeds + examples - rest, seeds, examples)
    return Gain(
        float(differences.mean()),
        math.sqrt(total),
        "seeds and examples" if columns > 1 else "seeds",
        freedom=total**2 / spread if spread > 0 else MOST_FREEDOM,
        fixed=max(examples - rest, 0.0),
        choices=choices,
    )


def searched(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    hits: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
    *,
    seed: int,
) -> Gain:
    """Return the gain of the best trial of a search over that of another one, if both were done again.

    Both bests are of as many trials: of the larger search it is the expected best of as many as the smaller has. The
    error is the spread of that difference over random halves of the trials and, with ``hits``, of the examples, which
    are the same for both sides: the variance of halves drawn without replacement is that of the whole over new samples
    (the delete-half jackknife, Shao & Wu 1989). The bootstrap with replacement would have the best trial itself in 63 %
    of the resamples, and errors too small by a third.

    Args:
        first: The scores of all trials, shape (n,); higher is better.
        second: Those of the other search, shape (m,).
        hits: Of scores that are shares of examples, those of the best trials of each side, (k, N) each.
        seed: Of the halves.
    """
    size = min(len(first), len(second))
    mean = expected_best(second, size) - expected_best(first, size)
    rng = np.random.default_rng(seed)
    inside = None if hits is None else (rng.random((hits[0].shape[1], RESAMPLES)) < 0.5).astype(np.float32)
    bests = []
    for side, scores in enumerate((first, second)):
        if hits is None or inside is None:
            values = np.sort(scores)[::-1][:_MOST, None]
        else:
            values = hits[side].astype(np.float32) @ inside / inside.sum(axis=0)  # (k, N) @ (N, B) -> (k, B)
        kept = rng.random((len(values), RESAMPLES)) < size / len(scores) / 2
        kept[values.mean(axis=1).argmin()] = True
        bests.append(np.where(kept, values, -np.inf).max(axis=0))
    error = float(np.std(bests[1] - bests[0], ddof=1))
    if hits is None:
        return Gain(mean, error * _OF_HALVES, "trials")
    return Gain(mean, error, "trials and examples")
