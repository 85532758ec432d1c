"""The ranking of a confirmation: mean scores with their intervals, and ties.

R repeats of a setting are scored on the same N examples, so a hit h(r, i) varies for three reasons: the seeds of repeat
r, the example i, and the rest. A plain standard error over the repeats sees the first reason only, and shrinks to
nothing with many repeats although another hundred examples would give another mean; one over R x N hits takes examples
that are the same for independent ones. Both reasons have a part in the mean's variance, which their mean squares in the
two-way layout estimate (random effects, one hit a cell; Searle, Casella & McCulloch 1992, ch. 4):

    Var(mean) = (MS(seeds) + MS(examples) - MS(rest)) / (R N)

with Satterthwaite's (1946) degrees of freedom. Settings are compared by the differences of their hits, repeat by repeat
and example by example, in the same way: repeats of one number have the same seeds in all settings, and what seeds and
examples do to both of two settings drops out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.objectives import kinds
from hpsearch.records import HITS
from hpsearch.search.best import Repeats, in_order, tally
from hpsearch.statistics.hits import hits_match_score, unpack
from hpsearch.statistics.intervals import Interval, mean_interval, student_cdf, student_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.records import Direction, Stage
    from hpsearch.store import Store

LEVEL = 0.95
_MOST_FREEDOM = 1000  # Student's t with more degrees of freedom differs from the normal distribution in the third digit
_LEAST_P = 1e-15  # the rest of a smaller probability is rounding
_LEAST_TO_COMPARE = 4
"""Repeats that two settings must have in common: the spread of fewer is known so badly that too many differences would
be claimed (in simulations of five equal settings up to 9 % at 3 repeats, at most 5.5 % from 4 on)."""

Covers = Literal["seeds and examples", "seeds"]
SettingHits = Mapping[int, "NDArray[np.bool_]"]
"""The hits of one setting, (N,) each, by repeat."""


@dataclass(frozen=True, slots=True)
class Confirmed(Repeats):
    """One setting of a confirmation with the uncertainty of its mean.

    Args:
        interval: Of the score that the values come to, over all seeds and examples; None with fewer than 2 repeats.
        covers: Whether the interval holds for other examples too, or for other seeds on these examples alone.
        p: Two-sided, Bonferroni-adjusted p-value of the difference to the first: multiplied by the number of pairs of
            settings, as the first was not chosen beforehand. None for the first itself, and with fewer than 4 repeats
            in common.
        compared: The scope of ``p``: without hits it holds for these examples alone.
    """

    interval: Interval | None = None
    covers: Covers = "seeds"
    p: float | None = None
    compared: Covers = "seeds and examples"

    @property
    def distinguishable(self) -> bool | None:
        """True if it differs significantly from the first; None where that is not known."""
        return None if self.p is None else self.p <= 1 - LEVEL


def ranking(store: Store, confirmation: Stage) -> tuple[Confirmed, ...]:
    """Return the settings of a confirmation that have a score, best first, with their uncertainty."""
    repeats = tally(confirmation, store.columns(confirmation))
    examples = kinds.examples(confirmation)
    numbers = [number for of in repeats for number in of.numbers.values()]
    texts = store.attribute(confirmation, numbers, HITS) if examples else {}
    hits = {of.setting.trial: _stored_hits(of, texts, examples) for of in repeats if examples}
    return rank_confirmed(repeats, direction=confirmation.direction, examples=examples, hits=hits)


def _stored_hits(of: Repeats, texts: Mapping[int, str], examples: int) -> dict[int, NDArray[np.bool_]]:
    """Return a setting's stored hits by repeat; missing, unreadable or of another score are left out."""
    stored = {}
    for repeat, number in of.numbers.items():
        try:
            hits = unpack(texts[number], examples)
        except (BadInput, KeyError):
            continue
        if hits_match_score(int(hits.sum()), of.scores[repeat], examples):
            stored[repeat] = hits
    return stored


def rank_confirmed(
    repeats: Sequence[Repeats],
    *,
    direction: Direction,
    examples: int | None = None,
    hits: Mapping[int, SettingHits] | None = None,
    level: float = LEVEL,
) -> tuple[Confirmed, ...]:
    """Return the settings that have a score, best first (`hpsearch.search.best.in_order`), with their uncertainty.

    Args:
        repeats: The repeats of each setting.
        examples: N, where the scores are shares of so many examples; otherwise None.
        hits: The hits by the setting's trial and by repeat; where a repeat's are missing, its setting's interval adds
            the most that the examples' own variance can be, p (1 - p)/N, and it is compared over seeds alone.
    """
    ranked = in_order(repeats, direction)
    pairs = len(ranked) * (len(ranked) - 1) // 2
    known = (hits or {}) if examples is not None else {}
    confirmed = []
    for place, of in enumerate(ranked):
        own = known.get(of.setting.trial, {})
        interval, covers = _interval(of, own, examples, level)
        p, compared = None, covers
        if place:
            first = ranked[0]
            p, compared = _difference_p(first, of, known.get(first.setting.trial, {}), own)
            p = None if p is None else min(1.0, pairs * p)
        confirmed.append(
            Confirmed(of.setting, of.scores, of.failed, of.losses, of.numbers, interval, covers, p, compared)
        )
    return tuple(confirmed)


def crossed_variance(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the variance of the mean of values with seeds by row and examples by column, and its degrees of freedom.

    A part whose estimate is negative counts as none.

    Args:
        values: (R, N), both at least 2.
    """
    rows, columns = values.shape
    by_row, by_column, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    seeds = columns * float(np.var(by_row, ddof=1))
    examples = rows * float(np.var(by_column, ddof=1))
    freedom = (rows - 1) * (columns - 1)
    rest = float(np.sum((values - by_row[:, None] - by_column + mean) ** 2)) / freedom
    total = max(seeds + examples - rest, seeds, examples)
    if total <= 0:
        return 0.0, _MOST_FREEDOM
    spread = seeds**2 / (rows - 1) + examples**2 / (columns - 1) + rest**2 / freedom
    return total / values.size, total**2 / spread


def share_interval(share: float, variance: float, freedom: float, examples: int, *, level: float = LEVEL) -> Interval:
    """Return Wilson's interval of a share with an estimated variance: at as many examples as would have that variance.

    A symmetric interval would leave [0, 1] near its ends. With Student's t for the normal quantile, as the variance
    is an estimate (after Korn & Graubard 1998).

    Args:
        share: The observed mean.
        variance: Its variance.
        freedom: The variance's degrees of freedom.
        level: Share of such intervals that hold the true share.
    """
    t = student_quantile(0.5 + level / 2, _whole(freedom))
    own = share * (1 - share)
    effective = own / variance if variance > 0 and own > 0 else examples
    shrink = 1 + t * t / effective
    centre = (share + t * t / (2 * effective)) / shrink
    half = t / shrink * math.sqrt(own / effective + (t / (2 * effective)) ** 2)
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0), level)


def _interval(of: Repeats, hits: SettingHits, examples: int | None, level: float) -> tuple[Interval | None, Covers]:
    covers: Covers = "seeds" if examples is None else "seeds and examples"
    scores = list(of.scores.values())
    if len(scores) < 2:
        return None, covers
    if examples is None:
        return mean_interval(scores, level=level), covers
    if of.scores.keys() <= hits.keys() and examples > 1:
        variance, freedom = crossed_variance(_stack(hits, of.scores))
    else:
        over_seeds = float(np.var(scores, ddof=1)) / len(scores)
        variance = over_seeds + of.mean * (1 - of.mean) / examples
        freedom = _MOST_FREEDOM if over_seeds == 0 else (variance / over_seeds) ** 2 * (len(scores) - 1)
    return share_interval(of.mean, variance, freedom, examples, level=level), covers


def _difference_p(
    first: Repeats, other: Repeats, first_hits: SettingHits, hits: SettingHits
) -> tuple[float | None, Covers]:
    """Return the two-sided p of the difference of two settings' means over their common repeats, and its scope."""
    common = sorted(first.scores.keys() & other.scores.keys())
    covers: Covers = "seeds"
    if len(common) < _LEAST_TO_COMPARE:
        return None, covers
    if set(common) <= first_hits.keys() & hits.keys() and len(hits[common[0]]) > 1:
        covers = "seeds and examples"
        values = _stack(first_hits, common) - _stack(hits, common)
        mean = float(values.mean())
        variance, freedom = crossed_variance(values)
    else:
        differences = [first.scores[repeat] - other.scores[repeat] for repeat in common]
        mean = float(np.mean(differences))
        variance, freedom = float(np.var(differences, ddof=1)) / len(common), len(common) - 1
    if variance == 0:
        return (1.0 if mean == 0 else 0.0), covers
    return max(2 * student_cdf(-abs(mean) / math.sqrt(variance), _whole(freedom)), _LEAST_P), covers


def _stack(hits: SettingHits, repeats: Mapping[int, float] | Sequence[int]) -> NDArray[np.float64]:
    return np.array([hits[repeat] for repeat in sorted(repeats)], dtype=np.float64)


def _whole(freedom: float) -> int:
    """Return degrees of freedom rounded down, which makes intervals wider."""
    return max(1, min(_MOST_FREEDOM, int(freedom)))
