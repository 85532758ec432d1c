"""The ranking of a confirmation: mean scores, how sure they are, and which settings can be told apart.

Pure functions. R repeats of a setting are scored on the same N images, so a hit h(r, i) varies for three reasons: the
seeds of repeat r (weights, order, masks), the image i, and what is left. A plain standard error over the repeats sees
the first reason only, and shrinks to nothing with many repeats although another hundred images would give another
mean; one over R x N hits takes images that are the same for independent ones. Both reasons have a part in the mean's
variance, which their mean squares in the two-way layout estimate (random effects, one hit a cell; Searle, Casella &
McCulloch 1992, ch. 4):

    Var(mean) = (MS(seeds) + MS(images) - MS(rest)) / (R N)

with Satterthwaite's (1946) degrees of freedom. Settings are compared by the differences of their hits, repeat by repeat
and image by image, in the same way: repeats of one number have the same seeds in all settings, and what seeds and
images do to both of two settings drops out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.records import HITS
from hpsearch.search.best import Repeats, in_order, tally
from hpsearch.statistics import Interval, mean_interval
from hpsearch.statistics.hits import hits_match_score, unpack
from hpsearch.statistics.intervals import student_cdf, student_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.records import Direction, Setting, Stage
    from hpsearch.store import Store


LEVEL = 0.95
_MOST_FREEDOM = 1000
"""Student's t with more degrees of freedom differs from the normal distribution in the third digit."""

_LEAST_P = 1e-15
"""What is left of a smaller probability is rounding."""
_LEAST_TO_COMPARE = 4
"""Repeats that two settings must have in common: the spread of fewer is known so badly that too many differences would
be claimed (in simulations of five equal settings up to 9 % at 3 repeats, at most 5.5 % from 4 on)."""

Covers = Literal["seeds and images", "seeds"]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One setting of a confirmation.

    Args:
        setting: Its values, and the trial and score that it was taken for.
        mean: Its mean score over the repeats.
        scores: Those of the repeats that have one, by repeat: settings are paired by it.
        failed: How many ended without one.
        interval: Of the score that the values come to, over all seeds and images; None with fewer than 2 repeats.
        covers: Whether the interval holds for other images too, or for other seeds on these images alone.
        p: Probability that settings of the same worth differ this much, of the difference to the first one and
            multiplied by the number of pairs of settings, as the first was not chosen beforehand. None for the first
            itself, and with fewer than 4 repeats in common.
        mean_loss: Its mean validation loss; infinite where it is not known.
        compared: What ``p`` holds for: without the hits on single images, for these images alone.
    """

    setting: Setting
    mean: float
    scores: Mapping[int, float]
    failed: int
    interval: Interval | None
    covers: Covers
    p: float | None
    mean_loss: float = math.inf
    compared: Covers = "seeds and images"

    @property
    def repeats(self) -> int:
        """How many repeats have a score."""
        return len(self.scores)

    @property
    def distinguishable(self) -> bool | None:
        """Whether it can be told from the first; None where that cannot be asked."""
        return None if self.p is None else self.p <= 1 - LEVEL


Hits = Mapping[int, Mapping[int, "NDArray[np.bool_]"]]
"""Which images were right, (N,), by the setting's trial and by repeat."""


def rank_confirmed(
    repeats: Sequence[Repeats],
    *,
    direction: Direction,
    accuracy: bool,
    images: int | None = None,
    hits: Hits | None = None,
    level: float = LEVEL,
) -> tuple[Confirmed, ...]:
    """The settings that have a score, best first (`hpsearch.search.best.in_order`), and how sure that is.

    Args:
        repeats: What came of each setting.
        direction: Whether a higher or a lower score is better.
        accuracy: Whether scores are shares of images.
        images: N, where it is known.
        hits: The hits on single images; where a repeat's are missing, its setting's interval adds the most that the
            images' own variance can be, p (1 - p)/N, and it is compared over seeds alone.
        level: Of the intervals.
    """
    ranked = in_order(repeats, direction)
    pairs = len(ranked) * (len(ranked) - 1) // 2
    known: Hits = hits if accuracy and hits is not None else {}  # they say nothing of losses
    found = []
    for place, one in enumerate(ranked):
        mine = known.get(one.setting.trial, {})
        interval, covers = _interval(one, mine, images if accuracy else None, level)
        p, compared = None, covers
        if place:
            first = ranked[0]
            p, compared = _difference_p(first, one, known.get(first.setting.trial, {}), mine)
        found.append(
            Confirmed(
                one.setting,
                one.mean,
                one.scores,
                one.failed,
                interval,
                covers,
                None if p is None else min(1.0, pairs * p),
                one.mean_loss,
                compared,
            )
        )
    return tuple(found)


def crossed_variance(values: NDArray[np.float64]) -> tuple[float, float]:
    """The variance of the mean of values that share seeds by row and images by column, and its degrees of freedom.

    A part whose estimate is negative counts as none.

    Args:
        values: (R, N), both at least 2.
    """
    rows, columns = values.shape
    by_row, by_column, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    seeds = columns * float(np.var(by_row, ddof=1))
    images = rows * float(np.var(by_column, ddof=1))
    freedom = (rows - 1) * (columns - 1)
    rest = float(np.sum((values - by_row[:, None] - by_column + mean) ** 2)) / freedom
    total = max(seeds + images - rest, seeds, images)
    if total <= 0:
        return 0.0, _MOST_FREEDOM
    spread = seeds**2 / (rows - 1) + images**2 / (columns - 1) + rest**2 / freedom
    return total / values.size, total**2 / spread


def share_interval(share: float, variance: float, freedom: float, images: int, *, level: float = LEVEL) -> Interval:
    """Wilson's interval of a share whose variance was estimated: at so many images as would have that variance.

    A symmetric interval would leave [0, 1] near its ends. With Student's t for the normal quantile, as the variance
    is an estimate (after Korn & Graubard 1998).

    Args:
        share: The observed mean.
        variance: Its variance.
        freedom: The variance's degrees of freedom.
        images: How many there were; they stand for themselves where the variance is 0.
        level: How often such intervals hold the true share.
    """
    t = _quantile(level, freedom)
    own = share * (1 - share)
    effective = own / variance if variance > 0 and own > 0 else images
    shrink = 1 + t * t / effective
    centre = (share + t * t / (2 * effective)) / shrink
    half = t / shrink * math.sqrt(own / effective + (t / (2 * effective)) ** 2)
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0), level)


def _interval(
    one: Repeats, hits: Mapping[int, NDArray[np.bool_]], images: int | None, level: float
) -> tuple[Interval | None, Covers]:
    covers: Covers = "seeds" if images is None else "seeds and images"
    scores = list(one.scores.values())
    if len(scores) < 2:
        return None, covers
    if images is None:
        return mean_interval(scores, level=level), covers
    if one.scores.keys() <= hits.keys() and images > 1:
        variance, freedom = crossed_variance(_stack(hits, one.scores))
    else:
        over_seeds = float(np.var(scores, ddof=1)) / len(scores)
        variance = over_seeds + one.mean * (1 - one.mean) / images
        freedom = _MOST_FREEDOM if over_seeds == 0 else (variance / over_seeds) ** 2 * (len(scores) - 1)
    return share_interval(one.mean, variance, freedom, images, level=level), covers


def _difference_p(
    first: Repeats, other: Repeats, first_hits: Mapping[int, NDArray[np.bool_]], hits: Mapping[int, NDArray[np.bool_]]
) -> tuple[float | None, Covers]:
    """The two-sided p of the difference of two settings' means over the repeats that both have, and what it covers."""
    common = sorted(first.scores.keys() & other.scores.keys())
    covers: Covers = "seeds"
    if len(common) < _LEAST_TO_COMPARE:
        return None, covers
    if set(common) <= first_hits.keys() & hits.keys() and len(hits[common[0]]) > 1:
        covers = "seeds and images"
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


def _stack(hits: Mapping[int, NDArray[np.bool_]], repeats: Mapping[int, float] | Sequence[int]) -> NDArray[np.float64]:
    return np.array([hits[repeat] for repeat in sorted(repeats)], dtype=np.float64)


def _quantile(level: float, freedom: float) -> float:
    return student_quantile(0.5 + level / 2, _whole(freedom))


def _whole(freedom: float) -> int:
    """Degrees of freedom rounded down, which makes intervals wider."""
    return max(1, min(_MOST_FREEDOM, int(freedom)))


def ranking(store: Store, confirmation: Stage) -> tuple[Confirmed, ...]:
    """The settings of a confirmation that have a score, best first, and how sure that is.

    Args:
        store: The study database.
        confirmation: One of `hpsearch.store.Store.confirmations`.
    """
    repeats = tally(confirmation, store.columns(confirmation))
    images = confirmation.images
    numbers = [number for one in repeats for number in one.numbers.values()]
    texts = store.attribute(confirmation, numbers, HITS) if images else {}
    hits = {one.setting.trial: _hits(one, texts, images) for one in repeats if images}
    return rank_confirmed(
        repeats,
        direction=confirmation.direction,
        accuracy=confirmation.metric == "validation_accuracy",
        images=images,
        hits=hits,
    )


def _hits(one: Repeats, texts: Mapping[int, str], images: int) -> dict[int, NDArray[np.bool_]]:
    """A setting's stored hits by repeat; those that are missing, unreadable or of another score are left out."""
    found = {}
    for repeat, number in one.numbers.items():
        try:
            hits = unpack(texts[number], images)
        except (BadInput, KeyError):
            continue
        if hits_match_score(int(hits.sum()), one.scores[repeat], images):
            found[repeat] = hits
    return found
