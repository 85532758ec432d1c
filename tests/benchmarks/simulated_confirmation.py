"""Confirmations with known truth: settings trained again, with other seeds, on the same validation images.

The model is `simulated_search`'s: an image's difficulty is shared by all networks, a network's accuracy varies by its
seed, and repeats of one number have part of that in common, as they start from the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from simulated_search import SHARED

from hpsearch.records import Setting
from hpsearch.search.best import Repeats
from hpsearch.search.ranking import Confirmed, rank_confirmed

SEEDS = 0.015
"""How much the accuracy of one setting varies from seed to seed (standard deviation)."""
COMMON = 0.3
"""The share of that variance which settings have in common in a repeat."""


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation said, and the settings' true accuracies by their trials."""

    ranked: tuple[Confirmed, ...]
    truth: dict[int, float]


def confirm(accuracies: list[float], repeats: int, images: int, *, rng: np.random.Generator) -> Confirmation:
    """Train settings again and rank them.

    Args:
        accuracies: Each setting's own, over all seeds and images.
        repeats: How often each is trained.
        images: Of the validation set.
        rng: Draws everything.
    """
    difficulty = rng.normal(size=images)
    common = rng.normal(size=repeats)
    found, hits = [], {}
    for trial, accuracy in enumerate(accuracies):
        seeds = SEEDS * (np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * rng.normal(size=repeats))
        levels = np.clip(accuracy + seeds, 0.02, 0.98)
        threshold = np.array([NormalDist().inv_cdf(a) for a in levels.tolist()])
        noise = rng.normal(size=(repeats, images))
        right = np.sqrt(SHARED) * difficulty + np.sqrt(1 - SHARED) * noise < threshold[:, None]
        hits[trial] = dict(enumerate(right))
        scores = dict(enumerate(right.mean(axis=1).tolist()))
        found.append(Repeats(Setting(trial, {"lr": 0.1}, scores[0]), scores))
    ranked = rank_confirmed(found, direction="maximize", examples=images, hits=hits)
    return Confirmation(ranked, dict(enumerate(accuracies)))


HEAD = """\
| confirmations | intervals cover | that of the first | equals called different | best is first | 0.05 told apart |
|---|---|---|---|---|---|"""


def row(count: int, repeats: int, images: int, seed: int) -> str:
    """A line of the table: five equal settings, and five of which one is better by 0.05.

    Args:
        count: How many confirmations of each kind.
        repeats: How often each setting is trained.
        images: Of the validation set.
        seed: Of everything.
    """
    rngs = [np.random.default_rng([seed, repeats, images, i]) for i in range(2 * count)]
    equal = [confirm([0.84] * 5, repeats, images, rng=rng) for rng in rngs[:count]]
    better = [confirm([0.86, *[0.81] * 4], repeats, images, rng=rng) for rng in rngs[count:]]

    def covers(of: Confirmation, one: Confirmed) -> bool:
        return one.interval is not None and one.interval.low <= of.truth[one.setting.trial] <= one.interval.high

    every = [covers(of, one) for of in (*equal, *better) for one in of.ranked]
    first = [covers(of, of.ranked[0]) for of in (*equal, *better)]
    wrong = [any(one.distinguishable for one in of.ranked) for of in equal]
    right = [of.ranked[0].setting.trial == 0 for of in better]
    told = [one.distinguishable or False for of in better if of.ranked[0].setting.trial == 0 for one in of.ranked[1:]]
    shares = " | ".join(f"{np.mean(flags):.1%}" for flags in (every, first, wrong, right, told))
    return f"| {count} of 5 settings, {repeats} repeats, {images} images | {shares} |"
